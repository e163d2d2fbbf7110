"""Ways out for a failed transfer, from its checkpoint and data of its own maze: never an observation of the base's maze, nor how it was changed."""
