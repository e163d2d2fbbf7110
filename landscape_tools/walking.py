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

Family = Callable[[Sequence[float]], dict[str, Tensor]]
"""Coordinates of a point -> the tensors that the directions move; the next call may write into them."""


def moving(directions: Sequence[Point]) -> list[str]:
    """The names that the directions move, in their order."""
    return list(dict.fromkeys(name for direction in directions for name in direction))


def family(origin: Point, directions: Sequence[Point]) -> Family:
    """The points of a family; each thread has tensors of its own."""
    kept = threading.local()

    def at(coordinates: Sequence[float]) -> dict[str, Tensor]:
        if not hasattr(kept, "walk"):
            kept.walk = _Walk(origin, directions)
        found: dict[str, Tensor] = kept.walk(tuple(coordinates))
        return found

    return at


def walked(
    loss: Callable[[dict[str, Tensor]], Any], fixed: Point, point_at: Family, taken: Collection[str]
) -> Callable[[Sequence[float]], dict[str, Tensor]]:
    """Coordinates -> the named values of a loss there.

    A loss may have a method `mounted`: a point -> a function that gives the loss at whatever the point's tensors hold when it is called, or None. It
    takes the place of the loss where both give the same value at the first point: a module that holds the tensors for good needs no other ones put in.

    Args:
        loss: of one point.
        fixed: what no direction moves.
        point_at: the rest of the point.
        taken: names that no loss may have.
    """
    one, kept = single(loss, taken), threading.local()

    def owned(values: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in values.items()}  # it may be a view of the point, which moves on

    def at(coordinates: Sequence[float]) -> dict[str, Tensor]:
        point = point_at(coordinates)
        if not hasattr(kept, "held"):
            kept.held = None
            values = owned(one({**fixed, **point}))
            mounted = getattr(loss, "mounted", lambda _: None)({**fixed, **point_at(coordinates)})
            if mounted is not None:
                held = single(lambda _: mounted(), taken)
                if all(torch.allclose(held({})[name], value, rtol=1e-5, atol=0.0, equal_nan=True) for name, value in values.items()):
                    kept.held = held
            return values
        return owned(one({**fixed, **point}) if kept.held is None else kept.held({}))

    return at


class _Walk:
    """A family and the tensors of its point: of the same dtypes as the origin's, through wider ones where that is of half precision."""

    def __init__(self, origin: Point, directions: Sequence[Point]) -> None:
        self._origin, self._others = {name: origin[name] for name in moving(directions)}, directions[1:]
        self._along = {name: wide(value) for name, value in directions[0].items()}
        beside = {name for direction in self._others for name in direction}
        with torch.inference_mode(False):  # where it is on, tensors count no writes
            own = {name: torch.empty_like(wide(value), requires_grad=False) for name, value in self._origin.items()}
            self._base = {name: own[name] for name in beside}
            self._moved = {name: torch.empty_like(own[name]) if name in beside else own[name] for name in self._along}
            self._narrow = {n: torch.empty_like(v, requires_grad=False) for n, v in self._origin.items() if v.dtype != own[n].dtype}
        self._under = {name: self._base[name] if name in beside else wide(self._origin[name]) for name in self._along}
        self._point = {**own, **self._moved, **self._narrow}
        self._row: tuple[float, ...] | None = None
        self._written: list[int] = []

    def __call__(self, coordinates: tuple[float, ...]) -> dict[str, Tensor]:
        if coordinates[1:] != self._row or self._writes() != self._written:  # the loss may have written into its point
            self._row = coordinates[1:]
            for name, base in self._base.items():
                base.copy_(self._origin[name])
            for share, direction in zip(self._row, self._others, strict=True):
                for name, value in direction.items():
                    self._base[name].add_(wide(value), alpha=share)
        for name, moved in self._moved.items():
            torch.add(self._under[name], self._along[name], alpha=coordinates[0], out=moved)
        for name, value in self._narrow.items():
            value.copy_(self._moved[name] if name in self._moved else self._base[name])
        self._written = self._writes()
        return dict(self._point)

    def _writes(self) -> list[int]:
        """How often each base has been written into; what is moved is written anew for every point."""
        return [value._version for value in self._base.values()]
