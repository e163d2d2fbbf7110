"""The mazes as tensors and as Gymnasium environments."""
