"""Sums up losses along a way so that nothing is lost: infinite is infinite, and what is not a number is said by being none.

Python's `max(0.0, nan)` is 0, and `min` of a NaN and a number depends on their order; here neither happens.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor


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
    return (value != value, value)


def lowest(ways: Iterable[Way]) -> Way:
    """The way of the lowest barrier, the first of equals; one of barrier NaN only where all are.

    Raises:
        ValueError: for no ways.
    """
    return min(ways, key=lambda way: rank(way.barrier))
