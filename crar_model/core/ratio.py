"""Ratios of what was measured, where the whole can be nothing: of a network of zeros, of a base whose states all lie at one place."""

from __future__ import annotations

import math

LEAST = 1e-6
"""A level or term of a reference below this counts as this: a ratio of two rounding errors says nothing."""
LIKE, LIKE_AT_0 = 2e-7, 1e-12
"""Two numbers are one that differ by less than this share of themselves, or of the largest there is: rounding, and no more."""


def ratio(part: float, whole: float) -> float:
    """A part over its whole: infinite over nothing, and NaN, which reads as not measured, for nothing over nothing."""
    if whole:
        return part / whole
    return math.copysign(math.inf, part) if part else math.nan
