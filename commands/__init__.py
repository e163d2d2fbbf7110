"""The commands of `crar`: flags, settings files, one module per group of commands. Imported by the top-level `cli.py`."""
