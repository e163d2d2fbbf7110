"""Interpolation on rectangles by values at Chebyshev's points, ends included; those of 5 are among those of 9."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
ORDERS = (5, 9)
"""Points per axis that a rectangle has: few first, then more, then it is cut into four."""


def nodes(count: int) -> Array:
    """(count,) in [-1, 1], ascending; exactly symmetric."""
    found = np.sin(0.5 * np.pi * np.arange(1 - count, count, 2) / (count - 1))
    return np.asarray(found, dtype=np.float64)


def weights_at(places: Array, count: int) -> Array:
    """(m,) places in [-1, 1] -> (m, count): what the value at each node counts there (barycentric: Berrut & Trefethen 2004)."""
    own = (-1.0) ** np.arange(count)
    own[[0, -1]] /= 2
    gaps = np.asarray(places)[:, None] - nodes(count)
    hit = gaps == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = own / gaps
        found: Array = np.where(hit.any(1, keepdims=True), hit.astype(float), shares / shares.sum(1, keepdims=True))
    return found


@dataclass(frozen=True)
class Rectangle:
    """Part of a plane.

    Attributes:
        x, y: (low, high) of each side.
        order: points per axis.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    order: int

    def places(self) -> Array:
        """(order^2, 2) its points, rows of constant y; rectangles that touch share those of their sides to the last bit."""
        x, y = (0.5 * ((1 - nodes(self.order)) * low + (1 + nodes(self.order)) * high) for low, high in (self.x, self.y))
        return np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)

    def has(self, places: Array) -> Array:
        """(m, 2) -> (m,) whether each lies in it, its sides included."""
        low, high = np.array([self.x[0], self.y[0]]), np.array([self.x[1], self.y[1]])
        return np.asarray(((places >= low) & (places <= high)).all(1))

    def interpolated(self, values: Array, places: Array) -> Array:
        """Values (order^2,) at its points -> (m,) values at places (m, 2)."""
        scaled = [(2 * places[:, k] - low - high) / (high - low) for k, (low, high) in enumerate((self.x, self.y))]
        along, up = (weights_at(part.clip(-1, 1), self.order) for part in scaled)
        found: Array = np.einsum("mj,ji,mi->m", up, values.reshape(self.order, self.order), along)
        return found

    def finer(self) -> list[Rectangle]:
        """It with more points, or its four quarters with few."""
        at = ORDERS.index(self.order)
        if at + 1 < len(ORDERS):
            return [Rectangle(self.x, self.y, ORDERS[at + 1])]
        halves = [((low, 0.5 * (low + high)), (0.5 * (low + high), high)) for low, high in (self.x, self.y)]
        return [Rectangle(x, y, ORDERS[0]) for y in halves[1] for x in halves[0]]
