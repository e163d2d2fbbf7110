"""Any Gymnasium environment: made by its id, gathered from, kept as a Minari dataset, and read as a world."""
