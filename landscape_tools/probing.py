"""A second route to what derivatives say of a point: losses and gradients a little beside it.

Automatic differentiation answers at kinks, too, with the derivative of one side or none: a maximum of tied values has another gradient in each
spelling. Beside the point there is one answer. Where the loss is smooth, the gradient at a small step is the gradient here plus the curvature times
the step, and what is missing shrinks faster than the step; at a kink it does not shrink. Dense random steps cross every kink that is a surface through
the point, however few coordinates it concerns; even ones and steps along coordinates are for kinks within narrow cones.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from landscape_tools.curvature import DENSE_LIMIT
from landscape_tools.points import Point, as_real
from landscape_tools.products import Matvec

Sloped = Callable[[Tensor], tuple[Tensor, Tensor]]
"""A flattened point (n,) -> the loss there, a scalar, and its gradient (n,)."""
RANDOM = 4
"""Dense random directions."""
SINGLE, PAIRS = 16, 6
"""Most parameters for which every coordinate, and the diagonals of every two, are directions."""
NARROWER = 32
"""The second step is this much shorter than the first."""
ROUNDED = 1e-13
"""A jump of the gradient up to which it may be what remains of terms around 1 that cancel."""
SHARE = 1e-3
"""Of the curvature's part of a change: what may be missing of it."""


@dataclass(frozen=True)
class Place:
    """A point with two routes to its curvature.

    Attributes:
        slope: of the loss.
        at: (n,) the point.
        product: v -> H v, the curvature to be confirmed.
        scale: (n,) of :func:`scales`.
        differenced: whether the product is one of differences of gradients, so that losses have to confirm it.
    """

    slope: Sloped
    at: Tensor
    product: Matvec
    scale: Tensor
    differenced: bool


@dataclass(frozen=True)
class Probed:
    """What losses and gradients beside a point say.

    Attributes:
        agrees: whether they are what the gradient and the curvature at the point promise.
        falls: whether, where they are not, the loss still falls one way along some line and rises the other, so that the point is not stationary.
        reason: what does not agree, in words; empty where all does.
    """

    agrees: bool
    falls: bool = False
    reason: str = ""


def sloped(loss: Callable[[Tensor], Tensor]) -> Sloped:
    """A scalar function of a vector, with its gradient; 0 where it does not depend on the vector."""

    def slope(vector: Tensor) -> tuple[Tensor, Tensor]:
        at = vector.detach().clone().requires_grad_()
        value = loss(at)
        found = torch.autograd.grad(value, at, allow_unused=True)[0] if value.requires_grad else None
        return value.detach(), torch.zeros_like(at) if found is None else found

    return slope


def scales(point: Point) -> Tensor:
    """(n,) natural step of every entry: the root mean square of its tensor, at least 1."""
    parts = [as_real(value.detach()) for value in point.values()]
    return torch.cat([part.square().mean().sqrt().clamp_min(1).expand(part.numel()) for part in parts])


def directions(scale: Tensor) -> Tensor:
    """(k, n) directions to probe, in units of the scale (n,); the same for the same n."""
    n = len(scale)
    rows = [torch.randn(RANDOM, n, generator=torch.Generator().manual_seed(n), dtype=torch.float64), torch.ones(1, n, dtype=torch.float64)]
    unit = torch.eye(n if n <= SINGLE else 0, n, dtype=torch.float64)
    rows.append(unit)
    if n <= PAIRS:
        rows += [torch.stack((unit[i] + unit[j], unit[i] - unit[j])) for i, j in itertools.combinations(range(n), 2)]
    return torch.cat(rows).to(scale) * scale


def differences(slope: Sloped, at: Tensor, scale: Tensor) -> Matvec:
    """v -> H v by central differences of gradients: where automatic differentiation has no second derivative."""
    step: float = torch.finfo(at.dtype).eps ** (1 / 3) * float(scale.max())

    def product(direction: Tensor) -> Tensor:
        length = float(direction.abs().max())
        if length == 0:
            return torch.zeros_like(at)
        move = direction * (step / length)
        return (slope(at + move)[1] - slope(at - move)[1]) * (length / (2 * step))

    return product


def difference_hessian(loss: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """(n, n) by :func:`differences`."""
    product = differences(sloped(loss), at, at.abs().clamp_min(1))
    rows = torch.stack([product(row) for row in torch.eye(len(at), dtype=at.dtype, device=at.device)])
    return 0.5 * (rows + rows.T)


@dataclass(frozen=True)
class _Beside:
    """What is missing a step to either side, beyond rounding: of the gradient and of the loss; and both changes of the loss over the step's length."""

    gap: float
    rise: float
    slopes: tuple[float, float]


def probe(place: Place, along: Tensor, stationary: float, steep: float = 0.0) -> Probed:
    """Hold the gradient and the curvature at a point against losses and gradients beside it.

    Args:
        place: the point.
        along: (k, n) directions.
        stationary: slopes up to this count as 0.
        steep: the largest curvature, where it is known; else the largest met along the directions.
    """
    slope, at = place.slope, place.at
    value, gradient = slope(at)
    images = [place.product(row) for row in along]
    steep = max(steep, *(float(image.abs().max() / row.abs().max()) for image, row in zip(images, along, strict=True)))
    eps = torch.finfo(at.dtype).eps
    largest = float(place.scale.max())
    rounded = 32 * eps * steep * largest  # what rounding of the point itself makes

    def beside(row: Tensor, image: Tensor, step: float) -> _Beside:
        gap, rise, slopes = 0.0, 0.0, []
        for move in (step, -step):
            tried = at + move * row
            height, sloping = slope(tried)
            over = 256 * eps * torch.maximum(sloping.abs().max(), gradient.abs().max()) + rounded + SHARE * step * steep * row.abs().max()
            above = (
                256 * eps * torch.maximum(height.abs(), value.abs()).clamp_min(1)
                + rounded * largest
                + SHARE * step**2 * steep * row.abs().max() * row.abs().sum()
            )
            missing = (sloping - gradient - move * image).abs().max() - over
            more = (height - value - (tried - at) @ (gradient + 0.5 * move * image)).abs() - above
            gap, rise = float(torch.maximum(missing, missing.new_tensor(gap))), float(torch.maximum(more, more.new_tensor(rise)))
            slopes.append(float(height - value) / (step * float(row.norm())))
        return _Beside(gap, rise, (slopes[0], slopes[1]))

    wide, narrow = eps**0.375, eps**0.375 / NARROWER
    odd: list[tuple[_Beside, _Beside]] = []
    for row, image in zip(along, images, strict=True):
        far = beside(row, image, wide)
        if far.gap == far.rise == 0:
            continue
        near = beside(row, image, narrow)
        # Where the derivatives are right, what is missing falls by the square of NARROWER, or more; at a kink it stays. Where gradients miss
        # nothing, losses may not either: else the gradient is that of another loss.
        if far.gap == 0 or not (near.gap <= far.gap / NARROWER**1.5 and near.rise <= far.rise / NARROWER**1.5):
            odd.append((far, near))
    if not odd:
        return Probed(agrees=True)
    least = stationary + 1024 * eps * max(1.0, abs(float(value))) / (narrow * float(along.norm(dim=1).min()))
    falls = any(min(near.slopes) < -least and max(near.slopes) > least for _, near in odd)
    return Probed(False, falls, _why(odd, least))


def _why(odd: list[tuple[_Beside, _Beside]], least: float) -> str:
    if not all(math.isfinite(near.gap + near.rise) for _, near in odd):
        return "the loss or its gradient is not finite beside it"
    jump = max(near.gap for _, near in odd)
    if 0 < jump <= ROUNDED:
        return f"the gradient beside it is off by {jump:.2g}, which may be a small kink or the rounding of a sum"
    if jump > max(far.gap for far, _ in odd) / NARROWER**0.5:
        both = ", and the loss falls to both sides" if any(max(near.slopes) < -least for _, near in odd) else ""
        return f"a kink that is not declared: the gradient jumps by {jump:.2g} across it{both}; give it as `pieces` of `composite_of`"
    if jump > 0:
        return "the curvature beside it is another than at it, so the loss is not twice differentiable here"
    return "the loss beside it is another than its gradient says"


def doubt_of(place: Place, along: Tensor, stationary: float, steep: float, *, flat: bool) -> str:
    """What speaks against a verdict, in words; empty where nothing does.

    Args:
        place, stationary, steep: as in :func:`probe`.
        along: (k, n) the direction that decides the verdict, and those of :func:`directions`.
        flat: whether the verdict is that there is no curvature.
    """
    slope, at = place.slope, place.at
    if bool(along[0].isfinite().all()) and bool(along[0].any()):
        seen = probe(place, along[:1] / along[0].abs().max(), stationary, steep)
        if not seen.agrees:
            return seen.reason
    else:
        along = along[1:]
    value, gradient = slope(at)
    eps = torch.finfo(at.dtype).eps
    if flat and len(at) <= DENSE_LIMIT:
        along = torch.cat((along, _level(place)))
    for row in torch.nn.functional.normalize(along, dim=1):
        if place.differenced:
            step = eps**0.25 * float(place.scale.max())
            bend, promised = sum(slope(at + move * row)[0] - value for move in (step, -step)), step**2 * float(row @ place.product(row))
            if not abs(float(bend) - promised) <= 0.05 * abs(promised) + 1024 * eps * max(1.0, abs(float(value))):
                return "the loss does not bend as its gradients say"
        if flat:
            for move in (eps ** (1 / 6), -(eps ** (1 / 6)), eps ** (1 / 8), -(eps ** (1 / 8))):
                height = slope(at + move * row)[0]
                lost = float(torch.maximum(height.abs(), value.abs())) * 1024 * eps + 2 * abs(move) * float(gradient.norm())
                if float(height - value) < -lost:
                    return "there is no curvature along some directions, and a lower loss lies beside the point"
    return ""


def _level(place: Place) -> Tensor:
    """(k, n) directions without curvature: some of a basis of them, and random mixtures."""
    rows = torch.stack([place.product(row) for row in torch.eye(len(place.at), dtype=place.at.dtype, device=place.at.device)])
    values, vectors = torch.linalg.eigh(0.5 * (rows + rows.T))
    basis = vectors[:, values.abs() <= 1e-6 * values.abs().max()].T
    mixtures = torch.randn(RANDOM, len(basis), generator=torch.Generator().manual_seed(len(basis)), dtype=torch.float64)
    return torch.cat((basis[:SINGLE], mixtures.to(basis) @ basis))
