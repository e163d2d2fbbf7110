"""Evaluates a loss at many points of an affine family, many points per pass.

The family is origin + sum_k c_k direction_k. A direction names only the parameters that it moves; parameters that
no direction moves are never copied, so a plane that moves one block costs memory for that block alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from os import PathLike
from typing import TypedDict, Unpack

import numpy as np
import torch
from torch import Tensor

from landscape_tools.entrance import check_steady, entered, known, renamed, singly
from landscape_tools.evaluating import Loss, Vectorize, passes, singly_called
from landscape_tools.mapping import LARGE, settled
from landscape_tools.options import allowed_threads, filled
from landscape_tools.points import Point, check_has, wide
from landscape_tools.stores import Progress, Values, fingerprint, run_passes
from landscape_tools.walking import Family, moving, walked

Evaluator = Callable[[Tensor], dict[str, Values]]
CHUNK_LIMIT = 64
"""Most points per pass: beyond this a pass leaves the cache and becomes slower."""
AUTO_CHUNK = 16
"""Most points per pass where the way is found by a trial: large modules leave the cache with more."""
FEW = 16
"""Points below which "auto" does not map: what that saves is less than what it may cost."""
SHARE = 64
"""The first two passes of "auto", by which it decides, are together at most two of so many parts of the whole."""


class Sampling(TypedDict, total=False):
    """Options of every function that samples a loss, given as keywords.

    Attributes:
        vectorize: "auto", "vmap", "batched" or "loop" (:mod:`landscape_tools.evaluating`). A batched loss gets parameters that no direction
            moves without the leading axis.
        chunk: points per pass (:func:`sample_product`: values of y); None fits `memory`, at most `CHUNK_LIMIT`.
        memory: bytes that the parameters of all passes at work may take.
        threads: passes at work at once, for losses known to be safe (`module_loss`, or declared by `thread_safe`), else 1 with a
            warning; PyTorch's own threads should then be 1.
        store: file that keeps what is finished; a later call with the same points and a loss of the same values goes on from it, and the file
            is removed at the end.
        progress: called with (points finished, points in all).
    """

    vectorize: Vectorize
    chunk: int | None
    memory: int
    threads: int
    store: str | PathLike[str] | None
    progress: Progress | None


SAMPLING: Sampling = {"vectorize": "auto", "chunk": None, "memory": 256 * 2**20, "threads": 1, "store": None, "progress": None}


def sample_points(
    loss: Loss, origin: Point, directions: Sequence[Point], coordinates: Tensor, taken: Collection[str] = (), **options: Unpack[Sampling]
) -> dict[str, Values]:
    """Evaluate every named loss at origin + sum_k coordinates[:, k] directions[k].

    Args:
        loss: pure function of one point to named scalars; a bare scalar is named "loss".
        origin: name -> tensor.
        directions: each a name -> tensor of some of the origin's names and shapes.
        coordinates: (points, len(directions)) floating.
        taken: names that no loss may have, since the caller's result has parts of these names.
        options: of :class:`Sampling`.

    Returns:
        name -> (points,) float64; values that are infinite or NaN stay so.

    Raises:
        ValueError: for directions that do not fit the origin, coordinates of the wrong shape, names that a module loss does not have, a
            loss that is random, or one that does not return one scalar per point.
    """
    (origin,) = entered(loss, [origin])
    return sample_entered(loss, origin, renamed(loss, directions), coordinates, taken=taken, **options)


def sample_entered(
    loss: Loss,
    origin: Point,
    directions: Sequence[Point],
    coordinates: Tensor,
    *,
    taken: Collection[str] = (),
    probe: bool = True,
    **options: Unpack[Sampling],
) -> dict[str, Values]:
    """:func:`sample_points` of points under the loss's own names; without a `probe` of whether the loss is steady, where one was made."""
    _check(origin, directions, coordinates)
    how = filled(SAMPLING, options)
    if how["chunk"] is not None and how["chunk"] < 1:
        raise ValueError(f"chunk is {how['chunk']}; it must be at least 1, or None for what fits the memory")
    threads = allowed_threads(loss, how["threads"])
    vectorize, points = how["vectorize"], len(coordinates)
    moved = {name: value for direction in directions for name, value in direction.items()}
    each = sum(value.numel() * value.element_size() for value in moved.values())
    size = how["chunk"] or max(1, min(CHUNK_LIMIT, how["memory"] // max(1, each * threads)))
    far = coordinates[int(coordinates.abs().sum(1).argmax())].tolist()
    alone = evaluator(loss, origin, directions, singly(vectorize), taken, far)
    if probe and known(loss) is None:
        check_steady(lambda: alone(coordinates[:1]))
    sizes = [size] * -(-points // size)
    if vectorize == "auto" and (points < FEW or 2 * each > LARGE):
        vectorize = "loop"
    elif vectorize == "auto" and how["chunk"] is None:
        size = max(1, min(size, AUTO_CHUNK, LARGE // max(1, each)))
        trial = min(size, max(2, points // SHARE))
        sizes = [trial, trial, *[size] * -(-(points - 2 * trial) // size)]
    evaluate = evaluator(loss, origin, directions, vectorize, taken, far)
    ends = [min(points, sum(sizes[: k + 1])) for k in range(len(sizes))]
    pieces = [coordinates[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    sizes = [len(piece) for piece in pieces]
    mark = "" if how["store"] is None else fingerprint([origin, *directions, {"coordinates": coordinates}], *sizes)

    def spot(number: int) -> dict[str, Values]:
        return alone(pieces[number][:1])

    parts = run_passes(lambda k: evaluate(pieces[k]), sizes, mark, spot=spot, threads=threads, store=how["store"], progress=how["progress"])
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _check(origin: Point, directions: Sequence[Point], coordinates: Tensor) -> None:
    if coordinates.dim() != 2 or coordinates.shape[1] != len(directions) or len(coordinates) == 0:
        raise ValueError(f"coordinates are {tuple(coordinates.shape)}; they must be (points, {len(directions)}) with at least one point")
    check_fit(origin, directions)


def check_fit(origin: Point, directions: Sequence[Point]) -> None:
    """Raise ValueError for a direction that moves what the origin does not have in its shape."""
    for direction in directions:
        for name, value in direction.items():
            check_has(origin, direction, "the origin")
            if origin[name].shape != value.shape:
                raise ValueError(f"a direction moves {name} {tuple(value.shape)}, which the origin does not have in that shape")


def evaluator(
    loss: Loss, origin: Point, directions: Sequence[Point], vectorize: Vectorize, taken: Collection[str], far: Sequence[float]
) -> Evaluator:
    """Coordinates (m, directions) -> named values (m,): all points in one pass, or one by one in the same tensors; `far` as :func:`walked` has it."""
    names = moving(directions)
    fixed = {name: value for name, value in origin.items() if name not in names}
    together, one = passes(loss, taken), walked(loss, fixed, Family(origin, directions), taken, far)

    def run(way: str, piece: Tensor) -> dict[str, Tensor]:
        if way == "loop":
            return singly_called(one, piece.tolist())
        points = {}
        for name in names:
            stacked = wide(origin[name]).unsqueeze(0)
            for k, direction in enumerate(directions):
                if name in direction:
                    stacked = stepped(stacked, piece[:, k], direction[name])
            points[name] = stacked.to(origin[name].dtype)
        return together(way, fixed, points)

    evaluated = settled(run, lambda piece: (piece[:1],), vectorize, loss, origin, count=len)

    def evaluate(piece: Tensor) -> dict[str, Values]:
        with torch.no_grad():
            return {name: values.double().cpu().numpy() for name, values in evaluated(piece).items()}

    return evaluate


def stepped(stacked: Tensor, steps: Tensor, direction: Tensor) -> Tensor:
    """(1 or m, ...) points moved by steps (m,) along a direction (...)."""
    return torch.addcmul(stacked, steps.to(stacked).view(-1, *([1] * direction.dim())), wide(direction).unsqueeze(0))
