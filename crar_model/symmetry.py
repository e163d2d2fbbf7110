"""Symmetries of the study: inverse observations, mirrored dynamics, signed axis permutations.

The inverse maze negates every observation. Because the first layer is linear before its tanh, negating its
weights (not its biases) undoes that exactly for every encoder, so the global optimum of a transfer to the
inverse maze is known in closed form (docs/original.md, section 9).
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from crar_model.checkpoints import Checkpoint
from crar_model.params import Params

FIRST_LAYER = "encoder.0.weight"


def negate_first_layer(params: Params) -> Params:
    """Parameters whose encoder maps -s to what the given one maps s to; the other tensors are shared, not copied.

    Args:
        params: parameters that contain "encoder.0.weight", with any leading member axes.
    """
    return {name: -value if name == FIRST_LAYER else value for name, value in params.items()}


def in_maze(checkpoint: Checkpoint, *, inverse: bool) -> Params:
    """The checkpoint's parameters as they stand in the given maze: its own, or the closed-form copy with the
    first layer negated when the checkpoint belongs to the other one."""
    return checkpoint.parameters if checkpoint.inverse == inverse else negate_first_layer(checkpoint.parameters)


def signed_permutations(size: int = 2, dtype: torch.dtype = torch.float64) -> Tensor:
    """All signed permutation matrices of an abstract space with `size` axes, identity first.

    Returns:
        (2^size size!, size, size): 8 matrices for two axes, the symmetries of the square that `ball` respects.
    """
    matrices = []
    for order in itertools.permutations(range(size)):
        for signs in itertools.product((1.0, -1.0), repeat=size):
            matrix = torch.zeros(size, size, dtype=dtype)
            for row, (column, sign) in enumerate(zip(order, signs, strict=True)):
                matrix[row, column] = sign
            matrices.append(matrix)
    return torch.stack(matrices)
