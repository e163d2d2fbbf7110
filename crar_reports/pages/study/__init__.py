"""The page of `crar study`: one file a part, all from the rows of its table."""
