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
    """Sorts numbers from low to infinite, and NaN behind all of them."""
    return (math.isnan(value), value)


def walled(slope: Slope) -> Slope:
    """A loss with its gradient for a line search: what is not finite counts as a level wall, far above the first call's loss."""
    wall = math.nan

    def bounded(x: Vector) -> tuple[float, Vector]:
        nonlocal wall
        value, gradient = slope(x)
        if math.isnan(wall):
            wall = value + 1e3 * (1 + abs(value))
        if np.isfinite(value) and np.isfinite(gradient).all():
            return value, gradient
        return wall, np.zeros_like(gradient)

    return bounded


def lowest(ways: Iterable[Way]) -> Way:
    """The way of the lowest barrier, the first of equals; one of barrier NaN only where all are.

    Raises:
        ValueError: for no ways.
    """
    return min(ways, key=lambda way: rank(way.barrier))
