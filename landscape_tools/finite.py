"""What is not finite: summed up so that it is not lost, and kept off by searches. Infinite is infinite, and NaN is said by being NaN.

Python's `max(0.0, nan)` is 0, and `min` of a NaN and a number depends on their order; here neither happens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

Vector = np.ndarray[Any, Any]
Slope = Callable[[Vector], tuple[float, Vector]]
"""A flattened point (n,) float64 -> the loss there and its gradient (n,)."""


class _HasBarrier(Protocol):
    """What :func:`lowest` compares."""

    @property
    def barrier(self) -> float:
        """A climb; NaN where it is not known."""
        ...


Way = TypeVar("Way", bound=_HasBarrier)


def climb(heights: Tensor | np.ndarray[Any, Any]) -> float:
    """The highest of the losses (samples,) above the first, never below 0.

    Infinite where a loss is infinite; NaN where one is NaN, or where the first is infinite itself.
    """
    values = torch.as_tensor(heights)
    rise = float(values.max()) - float(values[0])  # torch's maximum is NaN where one value is
    return 0.0 if rise < 0 else rise


def rank(value: float) -> tuple[bool, float]:
    """A key that sorts numbers from low to infinite, and NaN behind all of them: (whether it is NaN, the number)."""
    return (math.isnan(value), value)


class Walled:
    """A loss with its gradient for a line search: what is not finite counts as a level wall, far above the first call's loss.

    Attributes:
        lowest: the finite point of lowest loss, with that and its gradient; None before the first call. A search in a loss without a bottom
            ends where nothing is finite.
    """

    def __init__(self, slope: Slope) -> None:
        self._slope, self._wall = slope, math.nan
        self.lowest: tuple[Vector, float, Vector] | None = None

    def __call__(self, x: Vector) -> tuple[float, Vector]:
        """The loss and its gradient, or the wall."""
        value, gradient = self._slope(x)
        if math.isnan(self._wall):
            self._wall = value + 1e3 * (1 + abs(value))
        if not (np.isfinite(value) and np.isfinite(gradient).all() and np.isfinite(x).all()):
            return self._wall, np.zeros_like(gradient)
        if self.lowest is None or value < self.lowest[1]:
            self.lowest = x.copy(), value, gradient.copy()
        return value, gradient


def lowest(ways: Iterable[Way]) -> Way:
    """The way of the lowest barrier, the first of equals; one of barrier NaN only where all are.

    Raises:
        ValueError: for no ways.
    """
    return min(ways, key=lambda way: rank(way.barrier))
