"""What commands show while they work, with rich; nothing here waits for PyTorch."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from crar_model.core.words import of_all

LOG_EVERY = 60.0
"""Seconds between two lines of progress where standard error is a file."""
TOLD = ("total", "transition", "score")
"""Columns of the log that are shown while a run goes on."""


def say(line: str) -> None:
    """Print a line on standard error, above a bar where one is shown."""
    print(line, file=sys.stderr, flush=True)


class Ticker:
    """Takes the progress of some work, and of a training also its log.

    Args:
        show: called with (done, in all, the latest losses in words or "").
    """

    def __init__(self, show: Callable[[int, int, str], None]) -> None:
        self._show = show
        self._done = self._everything = 0
        self._latest: dict[int, Mapping[str, Sequence[float]]] = {}

    def __call__(self, done: int, everything: int) -> None:
        """Tell how much is done."""
        self._done, self._everything = done, everything
        self._show(done, everything, self.losses)

    def at(self, done: int, everything: int, what: str) -> None:
        """Tell how much is done, and what is at work now."""
        self._done, self._everything = done, everything
        self._show(done, everything, what)

    def rows(self, first_member: int, update: int, values: Mapping[str, Sequence[float]]) -> None:
        """Tell the rows of the log at an update: column -> values of the members from `first_member` on."""
        self._latest[first_member] = values
        if self._everything:
            self._show(self._done, self._everything, self.losses)

    @property
    def losses(self) -> str:
        """Medians over the members in their latest rows, such as "total 0.42, transition 0.013"."""
        columns = {name: [x for values in self._latest.values() for x in values.get(name, ()) if np.isfinite(x)] for name in TOLD}
        return ", ".join(f"{name} {np.median(found):.2g}" for name, found in columns.items() if found)


@contextmanager
def progress_bar(what: str, units: str = "updates") -> Iterator[Ticker]:
    """A bar with elapsed and remaining time on standard error, or a line a minute where that is no terminal.

    Yields a function of (done, in all).
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        log = _Log(what, console, units)
        yield Ticker(log.show)
        log.end()
        return
    columns = (
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("ETA"), TimeRemainingColumn(), TextColumn("{task.fields[losses]}"),
    )  # fmt: skip
    with Progress(*columns, console=console, refresh_per_second=2) as progress:
        task = progress.add_task(what, total=None, losses="")
        yield Ticker(lambda done, everything, losses: progress.update(task, completed=done, total=everything, losses=losses))


class _Log:
    """Progress as lines of text: one a minute, and one at the end."""

    def __init__(self, what: str, console: Console, units: str) -> None:
        self.what, self.console, self.units = what, console, units
        self.started = self.told = time.monotonic()
        self.first: int | None = None
        self.latest = (0, 0, "")

    def show(self, done: int, everything: int, losses: str) -> None:
        """Keep the latest state, and print it where a minute is over."""
        self.latest = done, everything, losses
        self.first = done if self.first is None else self.first
        now = time.monotonic()
        if everything and done < everything and now - self.told >= LOG_EVERY:
            self.told = now
            new = done - self.first
            self.say(f"ETA {_duration((now - self.started) * (everything - done) / new)}" if new else "")

    def end(self) -> None:
        """Print the last line, where the work is done."""
        done, everything, _ = self.latest
        if everything and done >= everything:
            self.say(f"took {_duration(time.monotonic() - self.started)}")

    def say(self, about_time: str) -> None:
        """Print a line."""
        done, everything, losses = self.latest
        notes = (of_all(done, everything, self.units), losses, about_time)
        self.console.print(f"{self.what}: {', '.join(note for note in notes if note)}", soft_wrap=True, highlight=False)


def _duration(seconds: float) -> str:
    """A time in words."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextmanager
def stages(what: str) -> Iterator[Callable[[str, int, int], None]]:
    """Progress of work in named stages. Yields a function of (stage, done, in all)."""
    console = Console(stderr=True)
    if not console.is_terminal:

        def say(name: str, done: int, everything: int) -> None:
            console.print(f"{what}: {name} ({done} of {everything})", highlight=False)

        yield say
        return
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, refresh_per_second=2) as progress:
        task = progress.add_task(what, total=None)

        def tick(name: str, done: int, everything: int) -> None:
            progress.update(task, description=f"{what}: {name}", completed=done, total=everything)

        yield tick


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

    def file(self, name: str) -> None:
        """Begin the stage of a page's file by its name; what comes after the figures and data is no stage."""
        page = name in ("results.json", "report.md")
        self.begin("" if page else "figures" if name.endswith((".png", ".svg")) else "data files")

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
