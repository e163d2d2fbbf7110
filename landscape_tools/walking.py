"""Points of an affine family one after the other, in tensors that are kept: no fresh weights for every point.

Of origin + sum_k c_k direction_k the part without the first direction is the base of a row. It is kept while its coordinates stay, and the first
direction is added to it into the tensors of the point, in one pass over memory. Nothing accumulates, so a point is the same wherever a pass begins.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from landscape_tools.evaluating import single
from landscape_tools.points import Point, wide

SMALL = 2**16
"""Bytes of a tensor up to which it lies beside others in one: a call adds to all of them."""


def moving(directions: Sequence[Point]) -> list[str]:
    """The names that the directions move, in their order."""
    return list(dict.fromkeys(name for direction in directions for name in direction))


class Family:
    """The points of a family, made one after the other; each thread has tensors of its own, and the next point is written into them."""

    def __init__(self, origin: Point, directions: Sequence[Point]) -> None:
        self._origin, self._directions, self._kept = origin, directions, threading.local()

    @property
    def walk(self) -> Walk:
        """This thread's."""
        if not hasattr(self._kept, "walk"):
            self._kept.walk = Walk(self._origin, self._directions)
        found: Walk = self._kept.walk
        return found

    def __call__(self, coordinates: Sequence[float]) -> dict[str, Tensor]:
        """Coordinates of a point -> the tensors that the directions move."""
        return self.walk(tuple(coordinates))


def walked(
    loss: Callable[[dict[str, Tensor]], Any], fixed: Point, family: Family, taken: Collection[str], far: Sequence[float]
) -> Callable[[Sequence[float]], dict[str, Tensor]]:
    """Coordinates -> the named values of a loss there.

    A loss may have a method `mountings`: a point and a walk -> functions that give the loss at whatever the tensors of the walk hold when they are
    called, the fastest first. The first that gives the value of the loss at the far point takes its place from there on.

    Args:
        loss: of one point.
        fixed: what no direction moves.
        family: the rest of the point.
        taken: names that no loss may have.
        far: coordinates of the point by which a mounting is judged, so that what is the same at the origin alone is told.
    """
    one, kept = single(loss, taken), threading.local()

    def owned(values: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in values.items()}  # it may be a view of the point, which moves on

    def plainly(coordinates: Sequence[float]) -> dict[str, Tensor]:
        return owned(one({**fixed, **family(coordinates)}))

    def chosen(first: Sequence[float]) -> Callable[[], dict[str, Tensor]] | None:
        """The mounting that is the loss itself, where one is."""
        ways = getattr(loss, "mountings", None)
        if ways is None:
            return None
        kept.known = {tuple(far): plainly(far)}
        if not all(bool(value.isfinite()) for value in kept.known[tuple(far)].values()):
            kept.known[tuple(first)] = plainly(first)  # what is not finite says little
        for mounted in ways({**fixed, **family(far)}, family.walk):
            held = _valued_by(mounted, taken)
            if all(_same(held, family, at, values) for at, values in kept.known.items()):
                return held
        return None

    def at(coordinates: Sequence[float]) -> dict[str, Tensor]:
        if not hasattr(kept, "held"):
            kept.known, kept.held = {}, None
            kept.held = chosen(coordinates)
        if tuple(coordinates) in kept.known:
            found: dict[str, Tensor] = kept.known[tuple(coordinates)]
            return found
        if kept.held is None:
            return plainly(coordinates)
        family(coordinates)
        try:
            return owned(kept.held())
        except RuntimeError:  # a layout that this point's way through the model does not take
            kept.held = None
            return plainly(coordinates)

    return at


def _valued_by(mounted: Callable[[], Any], taken: Collection[str]) -> Callable[[], dict[str, Tensor]]:
    one = single(lambda _: mounted(), taken)
    return lambda: one({})


def _same(held: Callable[[], dict[str, Tensor]], family: Family, at: Sequence[float], values: dict[str, Tensor]) -> bool:
    """Whether a mounting gives these values at a point, but for rounding."""
    family(at)
    try:
        found = held()
    except Exception:  # the loss itself gave values here
        return False
    return all(
        torch.allclose(found[name], value, rtol=max(1e-5, torch.finfo(value.dtype).eps ** 0.5 / 4), atol=0.0, equal_nan=True)
        for name, value in values.items()
    )


class Walk:
    """A family and the tensors of its point: of the same dtypes as the origin's, through wider ones where that is of half precision.

    Attributes:
        origin: what the directions move, where they begin; `moving` its names.
        directions: of the family.
        coordinates: of the point that the tensors hold.
    """

    def __init__(self, origin: Point, directions: Sequence[Point]) -> None:
        self.moving = moving(directions)
        self.origin, self.directions = {name: origin[name] for name in self.moving}, directions
        self.coordinates: tuple[float, ...] | None = None
        like = {name: wide(value) for name, value in self.origin.items()}
        with torch.inference_mode(False):  # where it is on, tensors count no writes
            self._steps, self._base, moved = _rooms(
                like, {name: wide(value) for name, value in directions[0].items()}, moving(directions[1:])
            )
            self._narrow = {n: torch.empty_like(v, requires_grad=False) for n, v in self.origin.items() if v.dtype != like[n].dtype}
        self._wide = {**self._base, **moved}
        self._point = {name: self._narrow.get(name, self._wide[name]) for name in self.origin}
        self._written: list[int] = []

    def __call__(self, coordinates: tuple[float, ...]) -> dict[str, Tensor]:
        """The tensors of the point."""
        # The loss may have written into its point.
        if self.coordinates is None or coordinates[1:] != self.coordinates[1:] or self._writes() != self._written:
            for name, base in self._base.items():
                base.copy_(self.origin[name])
            for share, direction in zip(coordinates[1:], self.directions[1:], strict=True):
                for name, value in direction.items():
                    self._base[name].add_(wide(value), alpha=share)
        for under, along, moved in self._steps:
            torch.add(under, along, alpha=coordinates[0], out=moved)
        for name, value in self._narrow.items():
            value.copy_(self._wide[name])
        self.coordinates, self._written = coordinates, self._writes()
        return {name: value.detach() for name, value in self._point.items()}  # so that a loss may put another tensor in the place of one

    def _writes(self) -> list[int]:
        """How often each base has been written into; what is moved is written anew for every point."""
        return [value._version for value in self._base.values()]


def _rooms(
    like: Point, along: Point, beside: Collection[str]
) -> tuple[list[tuple[Tensor, Tensor, Tensor]], dict[str, Tensor], dict[str, Tensor]]:
    """Tensors for the points of a family.

    Args:
        like: the origin.
        along: the first direction.
        beside: the names that the others move.

    Returns:
        (what to start from, what to add of it, where to) of each addition: small tensors lie in one, so that one addition moves all; the base of a row, by
        name; the point along the first direction, by name.
    """
    groups: dict[object, list[str]] = {}
    for name, value in like.items():
        if name in along:
            small = value.numel() * value.element_size() <= SMALL and value.is_contiguous()
            groups.setdefault((value.dtype, value.device) if small else name, []).append(name)
    base = {name: torch.empty_like(like[name], requires_grad=False) for name in beside if name not in along}
    steps, moved = [], {}
    for names in groups.values():
        if len(names) == 1:
            (name,) = names
            if name in beside:
                base[name] = torch.empty_like(like[name], requires_grad=False)
            moved[name] = torch.empty_like(like[name], requires_grad=False)
            steps.append((base.get(name, like[name]), along[name], moved[name]))
            continue
        (under, lower), (step, change), (sum_, upper) = (_beside({name: like[name] for name in names}) for _ in range(3))
        for name in names:
            lower[name].copy_(like[name])
            change[name].copy_(along[name])
        base |= {name: value for name, value in lower.items() if name in beside}
        moved |= upper
        steps.append((under, step, sum_))
    return steps, base, moved


def _beside(like: Point) -> tuple[Tensor, dict[str, Tensor]]:
    """A tensor with room for all of these, of one kind, and the part of each."""
    sizes = [-(-value.numel() // 16) * 16 for value in like.values()]  # each begins where vector units like it
    first = next(iter(like.values()))
    whole = torch.zeros(sum(sizes), dtype=first.dtype, device=first.device)
    starts = [sum(sizes[:k]) for k in range(len(sizes))]
    return whole, {name: whole[at : at + v.numel()].view(v.shape) for (name, v), at in zip(like.items(), starts, strict=True)}
