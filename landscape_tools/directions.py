"""Directions to look along: random ones, filter-normalised ones, and those of a training trajectory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from landscape_tools.points import (
    HeldName,
    Point,
    as_real,
    check_alike,
    check_has,
    continuous,
    flatten,
    step_between,
    trainable,
    unflatten,
    wide,
)


def gaussian_direction(like: Point, generator: torch.Generator) -> dict[str, Tensor]:
    """A direction with independent standard normal entries, in the names and shapes of the trained part of `like`.

    It is drawn on the CPU, so a seed gives the same direction on any device. It is in float32 for a point of half precision. Buffers and frozen
    parameters are left out.
    """

    def drawn(value: Tensor) -> Tensor:
        return torch.randn(as_real(value).shape, generator=generator, dtype=torch.float64).to(as_real(wide(value)))

    return {n: torch.view_as_complex(drawn(v)) if v.is_complex() else drawn(v) for n, v in trainable(like).items()}


def filter_normalised(direction: Point, point: Point, *, biases: str = "zero") -> dict[str, Tensor]:
    """Scale each filter of a direction to the norm of the same filter of the point (Li et al. 2018, section 4).

    A filter is one slice along the first axis of a tensor with at least two axes: the incoming weights of a unit,
    the kernel of an output channel. Buffers and frozen parameters, which a direction has from its far end, are not scaled.

    Args:
        direction, point: of the same names and shapes.
        biases: what becomes of tensors with fewer than two axes: "zero" leaves them out (the paper's choice),
            "norm" scales each as a whole to the norm of the point's, "keep" does not touch them.

    Raises:
        ValueError: for another word in `biases`.
    """
    if biases not in ("zero", "norm", "keep"):
        raise ValueError(f"biases is {biases!r}; choose zero, norm or keep")
    check_has(point, direction, "the point")
    scaled: dict[str, Tensor] = {}
    for name, value in ((name, wide(value)) for name, value in direction.items()):  # squares of float16 overflow from 256 on
        own = wide(point[name])
        if isinstance(name, HeldName):
            scaled[name] = value.clone()
        elif value.dim() >= 2:
            axes = tuple(range(1, value.dim()))
            size = value.abs().square().sum(axes, keepdim=True).sqrt()
            wanted = own.abs().square().sum(axes, keepdim=True).sqrt()
            scaled[name] = torch.where(size > 0, value * (wanted / size.clamp_min(torch.finfo(value.dtype).tiny)), value)
        elif biases == "zero":
            scaled[name] = torch.zeros_like(value)
        elif biases == "norm":
            size = value.norm()
            scaled[name] = value * (own.norm() / size) if float(size) > 0 else value.clone()
        else:
            scaled[name] = value.clone()
    return scaled


def random_axes(point: Point, *, seed: int = 0, biases: str = "zero") -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Two filter-normalised random directions: the axes of the usual picture of a network's landscape (Li et al. 2018, section 4).

    Args:
        point: where the picture is centred.
        seed: of the directions.
        biases: as in :func:`filter_normalised`.
    """
    generator = torch.Generator().manual_seed(seed)
    first, second = (filter_normalised(gaussian_direction(point, generator), point, biases=biases) for _ in range(2))
    return first, second


@dataclass(frozen=True)
class TrajectoryPlane:
    """The plane that holds most of a trajectory's movement.

    Attributes:
        origin: the point that the directions start from (the last snapshot).
        directions: two orthonormal directions, those along which the snapshots lie farthest from the origin first: singular vectors of
            the moves away from it, which are not centred. They are principal components about the last snapshot, not about the mean.
        explained: share of the squared distances from the origin along each.
        variance: share of the variance about the mean of the snapshots along each, what principal components usually quote.
        coordinates: (snapshots, 2) of each snapshot in the plane.
        distances: (snapshots,) Euclidean distance of each snapshot from the plane.
    """

    origin: dict[str, Tensor]
    directions: tuple[dict[str, Tensor], dict[str, Tensor]]
    explained: tuple[float, float]
    variance: tuple[float, float]
    coordinates: Tensor
    distances: Tensor


def trajectory_plane(snapshots: Sequence[Point]) -> TrajectoryPlane:
    """The plane through the last snapshot of a trajectory that lies nearest to all of it (Li et al. 2018, section 7).

    Of all planes through that snapshot it leaves the smallest sum of squared distances; Li et al. take the directions of the
    components about the mean instead, through the same snapshot, which leave more. Buffers and frozen parameters count in none of
    this; they follow: each direction moves them by the mixture of the snapshots that its parameters are.

    Args:
        snapshots: at least 3 points in order of time.

    Raises:
        ValueError: for fewer than 3 snapshots, snapshots that do not fit or are not finite, or a trajectory that does not span a plane.
    """
    if len(snapshots) < 3:
        raise ValueError(f"{len(snapshots)} snapshots; a trajectory's plane needs at least 3")
    last = dict(snapshots[-1])
    for snapshot in snapshots:
        check_alike(last, snapshot)
    like = trainable(last)
    rows = torch.stack([flatten({name: s[name] for name in like}).detach().double() for s in snapshots])
    if not bool(rows.isfinite().all()):
        raise ValueError("a snapshot holds values that are not finite; leave it out")
    moves = rows - rows[-1]
    # Singular vectors from the small Gram matrix: snapshots are few, parameters many.
    gram = moves @ moves.T
    values, vectors = torch.linalg.eigh(gram)
    values, vectors = values.flip(0), vectors.flip(1)
    if float(values[1]) <= 1e-12 * float(values[0]) or float(values[0]) == 0:
        raise ValueError("the trajectory is a point or a straight line; it spans no plane")
    mixture = vectors[:, :2].T / values[:2].sqrt().unsqueeze(1)  # (2, snapshots)
    basis = mixture @ moves  # (2, parameters), orthonormal
    coordinates = moves @ basis.T
    distances = (moves.square().sum(1) - coordinates.square().sum(1)).clamp_min(0).sqrt()
    share = (values[:2] / values.clamp_min(0).sum()).tolist()
    spread = (coordinates - coordinates.mean(0)).square().sum(0) / (gram.trace() - gram.sum() / len(rows))
    broad = {name: wide(value) for name, value in like.items()}
    first, second = (unflatten(row, broad) for row in basis)
    for name in [n for n, v in last.items() if n not in like and continuous(v)]:
        follows = torch.stack([step_between(last[name], s[name]) for s in snapshots])
        follows = follows.to(torch.complex128 if follows.is_complex() else torch.float64)
        if bool(follows.any()):
            first[name], second[name] = torch.tensordot(mixture.to(follows), follows, 1).to(last[name])
    variance = (float(spread[0]), float(spread[1]))
    return TrajectoryPlane(last, (first, second), (share[0], share[1]), variance, coordinates, distances)
