"""The agent: its networks, its loss, what it plans, and the symmetries of its embedding."""
