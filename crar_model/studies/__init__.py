"""Whole studies: a file becomes cells, cells lie on disk, a Dask cluster makes those that are missing."""
