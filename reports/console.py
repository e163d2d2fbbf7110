"""What commands show while they work and when they are done, with rich."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from reports.models import Judged

LOG_EVERY = 60.0
"""Seconds between two lines of progress where standard error is a file."""


@contextmanager
def progress_bar(what: str, units: str = "updates") -> Iterator[Callable[[int, int], None]]:
    """A bar with elapsed and remaining time on standard error, or a line a minute where that is no terminal.

    Yields a function of (done, in all).
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _logger(what, console, units)
        return
    columns = (
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("ETA"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, refresh_per_second=2) as progress:
        task = progress.add_task(what, total=None)

        def tick(done: int, everything: int) -> None:
            progress.update(task, completed=done, total=everything)

        yield tick


def _logger(what: str, console: Console, units: str) -> Callable[[int, int], None]:
    started = told = time.monotonic()
    first: int | None = None

    def tick(done: int, everything: int) -> None:
        nonlocal told, first
        now = time.monotonic()
        first = done if first is None else first
        if everything == 0 or (now - told < LOG_EVERY and done < everything):
            return
        told = now
        left = (now - started) * (everything - done) / (done - first) if done > first else float("nan")
        console.print(f"{what}: {done} of {everything} {units}, ETA {left / 60:.1f} min", soft_wrap=True)

    return tick


def print_evaluation(judged: Sequence[Judged]) -> None:
    """The table of `crar evaluate` on standard output."""
    from crar_model.evaluation import Score

    first, task = judged[0].evaluation, judged[0].checkpoint.task
    what = task.sampling.what + (f"; score over {first.score.samples} episodes or runs, 95 % interval" if first.score else "")
    table = Table(title=f"{task.title}: {what}")
    terms = ("transition", "ball", "random_pairs", "consecutive", "reward", "discount", "value", "total")
    text = ("model", "maze", "verdict")
    for name in ("model", "maze", "updates", *terms, *first.metrics, "verdict", "residual", "distance"):
        table.add_column(name, justify="left" if name in text else "right", no_wrap=True)
    for model in judged:
        found, match = model.evaluation, model.evaluation.match
        table.add_row(
            "/".join(model.path.parts[-2:]),
            model.checkpoint.maze + (" inverse" if model.checkpoint.inverse else ""),
            str(model.checkpoint.updates),
            *(f"{found.terms[name]:.2g}" for name in terms),
            *(
                f"{value.mean:.2f} ({value.low:.2f} .. {value.high:.2f})" if isinstance(value, Score) else f"{100 * value:.0f} %"
                for value in found.metrics.values()
            ),
            match.verdict if match else "-",
            f"{match.residual_edges:.2f}" if match else "-",
            f"{match.distance:.2f}" if match else "-",
        )
    console = Console()
    console.width = max(console.width, 220)  # a wrapped table of so many columns cannot be read
    console.print(table)


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
