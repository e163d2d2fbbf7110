"""No claim is decided by a figure that is not a number: every comparison with it comes out as False, which may be either answer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from reports.rules import UNDECIDED

Plain = dict[str, Any]
Decide = Callable[[Plain], tuple[str, str]]
MAY_LACK = ("multiplier_slack", "near", "far", "gap")
"""Figures that are not a number where there is nothing to measure; their rules ask for that."""


def sure(decide: Decide) -> Decide:
    """A rule that leaves a claim undecided where one of the figures that it reads is not a number, and names that."""

    def decided(d: Plain) -> tuple[str, str]:
        odd: dict[str, None] = {}
        text, verdict = decide(_Figures(d, odd))
        if odd and verdict != UNDECIDED:
            return f"{text}; {', '.join(odd)}: not a number", UNDECIDED
        return text, verdict

    return decided


class _Figures(Plain):
    """Figures that note which of those that were read are not numbers."""

    def __init__(self, figures: Plain, odd: dict[str, None]) -> None:
        super().__init__(figures)
        self._odd = odd

    def _seen(self, name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return _Figures(value, self._odd)
        if isinstance(value, (list, tuple)):
            return [self._seen(name, each) for each in value]
        if isinstance(value, float) and math.isnan(value) and name not in MAY_LACK:
            self._odd[name] = None
        return value

    def __getitem__(self, name: str) -> Any:
        return self._seen(name, super().__getitem__(name))

    def get(self, name: str, default: Any = None) -> Any:
        return self._seen(name, super().get(name, default))

    def items(self) -> Any:
        return {name: self[name] for name in self}.items()

    def values(self) -> Any:
        return {name: self[name] for name in self}.values()
