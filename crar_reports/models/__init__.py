"""Models that a page is of: loaded and judged, and the runs that they come from."""
