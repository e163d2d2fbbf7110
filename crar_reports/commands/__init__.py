"""The commands of `crar`: flags, settings files, one module for each group of commands."""
