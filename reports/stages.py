"""Where the time of a report goes: its stages with their seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class StageClock:
    """Takes the time from the beginning of each stage to that of the next.

    Attributes:
        seconds: stage -> wall-clock seconds, in order; one that comes again is added up.
        now: gives the time in seconds.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    now: Callable[[], float] = time.perf_counter
    _stage: str = ""
    _since: float = 0.0

    def begin(self, stage: str) -> None:
        """End the stage at work, if there is one, and begin another; "" only ends."""
        at = self.now()
        if self._stage:
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + at - self._since
        self._stage, self._since = stage, at

    def plain(self) -> list[dict[str, Any]]:
        """As plain data: stage, seconds, and share of all stages."""
        whole = sum(self.seconds.values()) or 1.0
        return [{"stage": stage, "seconds": seconds, "share": seconds / whole} for stage, seconds in self.seconds.items()]

    def table(self) -> str:
        """As lines of text, the whole last."""
        rows = [(row["stage"], row["seconds"], row["share"]) for row in self.plain()]
        rows.append(("together", sum(self.seconds.values()), 1.0))
        width = max(len(stage) for stage, *_ in rows)
        return "\n".join(f"{stage:<{width}} {seconds:8.2f} s {100 * share:5.1f} %" for stage, seconds, share in rows)
