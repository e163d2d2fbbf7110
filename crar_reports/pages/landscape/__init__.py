"""The page of `crar landscape`: against a base, and without one."""
