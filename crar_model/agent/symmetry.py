"""Symmetries of the study: inverse observations, mirrored dynamics, signed axis permutations.

The inverse maze negates every observation. Because the first layer is linear before its tanh, negating its
weights (not its biases) undoes that exactly for every encoder, so the global optimum of a transfer to the
inverse maze is known in closed form (docs/original.md, section 9).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.agent.agent import Agent
from crar_model.agent.batch import Batch
from crar_model.core.params import Params
from crar_model.mazes.automorphisms import Symmetries

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


TRIED = 4
"""Channels up to which all signed permutations are tried: 384 of 4."""


def nearest_permutation(overlap: Tensor) -> Tensor:
    """The signed permutation P with the largest <P, overlap>: of (C, C) inner products of channels, that which brings one set of channels nearest to another.

    |y - P x|^2 = |y|^2 + |x|^2 - 2 <P, y x'>, and P chooses one entry a row and a column, with its sign: an assignment, exact for any number of channels.
    """
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(overlap.abs().numpy(), maximize=True)
    matrix = torch.zeros_like(overlap)
    matrix[rows, columns] = torch.where(overlap[rows, columns] < 0, -1.0, 1.0).to(overlap.dtype)
    return matrix


class Likeness(StrEnum):
    """What an embedding may be against its base's."""

    MATCHED = "matched"
    SYMMETRIC = "symmetric"
    SWAPPED = "swapped"
    NEITHER = "neither"


VERDICTS = MATCHED, SYMMETRIC, SWAPPED, NEITHER = tuple(Likeness)
RIGHT = (MATCHED, SYMMETRIC)
"""Those that the base's dynamics are right about."""
MATCH_LIMIT = 1.0
"""Largest residual, in mean moves of the base's embedding, at which an embedding counts as a copy of it."""


@dataclass(frozen=True)
class Match:
    """How a transferred embedding relates to the base's.

    Attributes:
        verdict: "matched" (the identity fits best), "symmetric" (the base's embedding of the world with its states renamed by a symmetry does, see
            `crar_model.mazes.automorphisms`: as right under the same dynamics), "swapped" (a signed permutation of the channels other than the
            identity does), "neither" (none fits within `MATCH_LIMIT`).
        axes: the best signed permutation P, row-major, as nested lists: e_transfer = P e_base p at every position.
        residual_edges: root mean square of |e_transfer - P e_base p| over the states, in mean moves of the base embedding.
        identity_edges: the same for the identity.
        distance: mean Euclidean distance of the two embeddings as they are.
        mean_move: mean length of a move that changes the state, in the base's embedding: the unit above.
        symmetries: how many the world has, the identity among them.
        symmetry_edges: the residual of the best symmetry p without P.
        renamed: p as images of the states, in the order of the batch's `states`; None for the identity.
        more: whether the world has more symmetries than that, which were too many to list.
    """

    verdict: Likeness
    axes: list[list[int]]
    residual_edges: float
    identity_edges: float
    distance: float
    mean_move: float
    symmetries: int = 1
    symmetry_edges: float | None = None
    renamed: list[int] | None = None
    more: bool = False

    def plain(self) -> dict[str, Any]:
        """The relation as plain data; the lengths stand beside it, and symmetries only where the world has some."""
        apart = (
            "distance",
            "mean_move",
            *(() if self.more else ("more",)),
            *(() if self.symmetries > 1 else ("symmetries", "symmetry_edges", "renamed")),
        )
        return {name: value for name, value in asdict(self).items() if name not in apart}


def axes_words(axes: list[list[int]]) -> str:
    """A signed permutation (d, d): the matrix up to three axes, beyond the base's axes in their new order, with a minus where one is mirrored."""
    if len(axes) <= 3:
        return str(axes)
    return (
        ", ".join(f"{sum((at + 1) * value for at, value in enumerate(row)):d}" for row in axes)
        + " (the base's axes in this order, - mirrored)"
    )


def match_embeddings(agent: Agent, batch: Batch, base: Tensor, transferred: Tensor, symmetries: Symmetries | None = None) -> Match:
    """Best of the signed permutations of the channels (8 of 2, 48 of 3) and of the world's symmetries between two embeddings, claim S2.

    Of more than `TRIED` channels the best permutation is found for the identity and for the best symmetry.

    Args:
        agent: gives channels and positions.
        batch: the evaluation set that both are of, with `states` and `moves`.
        base, transferred: (rows, d) abstract states, each model seeing its own maze.
        symmetries: of the world, by position in `states`; None for a world whose only one is the identity, or that is not listed.
    """
    assert batch.states is not None
    unit = mean_move(batch, base)
    x, y = (agent.by_position(each[batch.states].double()) for each in (base, transferred))  # (N, C, P)
    if symmetries is not None:
        return _in_symmetric_world(x, y, unit, _distance(batch, base, transferred), symmetries)
    spoken = torch.isin(batch.states, torch.cat((batch.state, batch.next_state[batch.terminated == 0])))
    x, y = x[spoken], y[spoken]  # where only the end of an episode leads, and nothing begins, the dynamics say nothing
    candidates = _candidates(x, y)  # (n, C, C), identity first
    moved = torch.einsum("pij,njk->pnik", candidates, x)
    residuals = (y - moved).square().sum((-1, -2)).mean(-1).sqrt() / unit
    best = int(residuals.nan_to_num(nan=torch.inf).argmin())  # what is not a number fits never
    residual = float(residuals[best])
    verdict = (SWAPPED if best else MATCHED) if residual <= MATCH_LIMIT else NEITHER
    return Match(verdict, _whole(candidates[best]), residual, float(residuals[0]), _distance(batch, base, transferred), float(unit))


def _candidates(x: Tensor, y: Tensor) -> Tensor:
    """Signed permutations (n, C, C) of the channels of x (N, C, P) to try against y, the identity first."""
    channels = x.shape[-2]
    if channels <= TRIED:
        return signed_permutations(channels)
    best = nearest_permutation(torch.einsum("nik,njk->ij", y.nan_to_num(), x.nan_to_num()))
    return torch.stack((torch.eye(channels, dtype=torch.float64), best))


def _in_symmetric_world(x: Tensor, y: Tensor, unit: Tensor, distance: float, symmetries: Symmetries) -> Match:
    """:func:`match_embeddings` where states may be renamed; those that no move speaks of are left out."""
    speaking = torch.from_numpy(~symmetries.moves.silent)
    identity = torch.arange(len(x))

    def residual(moved: Tensor) -> float:
        found = float((y - moved)[speaking].square().sum((-1, -2)).mean().sqrt() / unit)
        return math.inf if math.isnan(found) else found  # what is not a number fits never

    def renamed(moved: Tensor) -> Tensor:
        cost = torch.cdist(y.flatten(1), moved.flatten(1)).square().nan_to_num(nan=0.0, posinf=0.0) * speaking[:, None]
        return torch.from_numpy(symmetries.nearest(cost.numpy())[0])

    first = renamed(x)
    found = [(residual(x), residual(x[first]), first, torch.eye(x.shape[1], dtype=x.dtype))]
    others = _candidates(x, y) if torch.equal(first, identity) else torch.cat((_candidates(x, y), _candidates(x[first], y)[1:]))
    for axes in others[1:]:
        moved = torch.einsum("ij,njk->nik", axes, x)
        image = renamed(moved)
        found.append((residual(moved), residual(moved[image]), image, axes))
    best = min(range(len(found)), key=lambda k: found[k][1])
    (_, fits, image, axes), itself = found[best], found[0]
    same = torch.equal(image, identity)
    verdict = NEITHER if not fits <= MATCH_LIMIT else SWAPPED if best else MATCHED if same else SYMMETRIC
    return Match(
        verdict, _whole(axes), fits, itself[0], distance, float(unit), symmetries.order, itself[1], None if same else image.tolist(), not symmetries.whole,
    )  # fmt: skip


def _whole(axes: Tensor) -> list[list[int]]:
    return [[int(value) for value in row] for row in axes.tolist()]


def _distance(batch: Batch, base: Tensor, transferred: Tensor) -> float:
    return float(torch.linalg.vector_norm((transferred - base)[batch.states].double(), dim=1).mean())


def mean_move(batch: Batch, embedding: Tensor) -> Tensor:
    """Mean Euclidean length of the moves that change the state, in an embedding (rows, d) of an evaluation set; float64."""
    assert batch.moves is not None
    before, after = batch.moves
    return (embedding[after] - embedding[before]).double().square().sum(-1).sqrt().mean()
