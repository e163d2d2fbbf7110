"""Symmetries of the study: inverse observations, mirrored dynamics, signed axis permutations.

The inverse maze negates every observation. Because the first layer is linear before its tanh, negating its
weights (not its biases) undoes that exactly for every encoder, so the global optimum of a transfer to the
inverse maze is known in closed form (docs/original.md, section 9).
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from crar_model.agent.agent import Agent
from crar_model.agent.batch import Batch
from crar_model.core.params import Params

if TYPE_CHECKING:
    pass

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


MATCH_LIMIT = 1.0
"""Largest residual, in mean moves of the base's embedding, at which an embedding counts as a copy of it."""


@dataclass(frozen=True)
class Match:
    """How a transferred embedding relates to the base's.

    Attributes:
        verdict: "matched" (the identity fits best), "swapped" (another signed permutation of the channels does),
            "neither" (none fits within `MATCH_LIMIT`).
        axes: the best signed permutation P, row-major, as nested lists: e_transfer = P e_base at every position.
        residual_edges: root mean square of |e_transfer - P e_base| over the states, in mean moves of the base embedding.
        identity_edges: the same for the identity.
        distance: mean Euclidean distance of the two embeddings as they are.
        mean_move: mean length of a move that changes the state, in the base's embedding: the unit above.
    """

    verdict: str
    axes: list[list[int]]
    residual_edges: float
    identity_edges: float
    distance: float
    mean_move: float

    def plain(self) -> dict[str, Any]:
        """The relation as plain data; the lengths stand beside it."""
        return {name: value for name, value in asdict(self).items() if name not in ("distance", "mean_move")}


def match_embeddings(agent: Agent, batch: Batch, base: Tensor, transferred: Tensor) -> Match:
    """Best of the signed permutations of the channels (8 of 2, 48 of 3) between two embeddings, claim S2.

    Args:
        agent: gives channels and positions.
        batch: the evaluation set that both are of, with `states` and `moves`.
        base, transferred: (rows, d) abstract states, each model seeing its own maze.
    """
    assert batch.states is not None
    unit = mean_move(batch, base)
    pair = [agent.by_position(x[batch.states].double()) for x in (base, transferred)]  # (N, C, P)
    candidates = signed_permutations(agent.channels)  # (n, C, C), identity first
    moved = torch.einsum("pij,njk->pnik", candidates, pair[0])
    residuals = (pair[1] - moved).square().sum((-1, -2)).mean(-1).sqrt() / unit
    best = int(residuals.nan_to_num(nan=torch.inf).argmin())  # what is not a number fits never
    residual = float(residuals[best])
    verdict = ("matched" if best == 0 else "swapped") if residual <= MATCH_LIMIT else "neither"
    axes = [[int(value) for value in row] for row in candidates[best].tolist()]
    distance = float(torch.linalg.vector_norm((transferred - base)[batch.states].double(), dim=1).mean())
    return Match(verdict, axes, residual, float(residuals[0]), distance, float(unit))


def mean_move(batch: Batch, embedding: Tensor) -> Tensor:
    """Mean Euclidean length of the moves that change the state, in an embedding (rows, d) of an evaluation set; float64."""
    assert batch.moves is not None
    before, after = batch.moves
    return (embedding[after] - embedding[before]).double().square().sum(-1).sqrt().mean()
