"""The page of `crar compare`: transfers of any runs and studies side by side."""
