"""What writes a page and its data files, and keeps figures that take time."""
