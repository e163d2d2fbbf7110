"""Symmetries of the study: inverse observations, mirrored dynamics, signed axis permutations.

The inverse maze negates every observation. Because the first layer is linear before its tanh, negating its
weights (not its biases) undoes that exactly for every encoder, so the global optimum of a transfer to the
inverse maze is known in closed form (docs/original.md, section 9).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from crar_model.checkpoints import Checkpoint
from crar_model.params import Params

if TYPE_CHECKING:
    from crar_model.tasks import Task

FIRST_LAYER = "encoder.0.weight"
FIRST_BIAS = "encoder.0.bias"


def negate_first_layer(params: Params) -> Params:
    """Parameters whose encoder maps -s to what the given one maps s to; the other tensors are shared, not copied.

    Args:
        params: parameters that contain "encoder.0.weight", with any leading member axes.
    """
    return {name: -value if name == FIRST_LAYER else value for name, value in params.items()}


def scale_first_layer(params: Params, factor: float) -> Params:
    """Parameters whose first layer's weights are multiplied; the other tensors are shared."""
    return {name: factor * value if name == FIRST_LAYER else value for name, value in params.items()}


def undo_in_first_layer(params: Params, inverse: np.ndarray[Any, Any], shift: np.ndarray[Any, Any]) -> Params:
    """Parameters whose dense encoder maps y to what the given one maps inverse y + shift to.

    Args:
        params: parameters that contain "encoder.0.weight" (..., units, pixels) and its bias, with any leading member axes.
        inverse, shift: (pixels, pixels) and (pixels,), float64.
    """
    weight, bias = params[FIRST_LAYER], params[FIRST_BIAS]
    product = weight.double() @ torch.from_numpy(np.column_stack((inverse, shift)))  # (..., units, pixels + 1)
    return params | {
        FIRST_LAYER: product[..., :-1].to(weight.dtype).contiguous(),
        FIRST_BIAS: (bias.double() + product[..., -1]).to(bias.dtype),
    }


def in_maze(checkpoint: Checkpoint, *, inverse: bool, task: Task | None = None) -> Params:
    """The checkpoint's parameters as they stand in the given maze: its own, or the closed-form copy, in the study with the
    first layer negated, when the checkpoint belongs to the other one.

    Args:
        checkpoint: the model.
        inverse: the side it is wanted on.
        task: whose observation map lies between the sides; the checkpoint's own where it is None.

    Raises:
        UserError: for a map without a closed form.
    """
    return (
        checkpoint.parameters
        if checkpoint.inverse == inverse
        else (task or checkpoint.task).carried(checkpoint.parameters, inverse=inverse)
    )


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
