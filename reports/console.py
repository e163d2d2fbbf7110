"""What commands show while they work and when they are done, with rich."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from reports.models import Judged


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with elapsed and remaining time on standard error; yields a function of (done, in all)."""
    columns = (
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("ETA"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=2) as progress:
        task = progress.add_task(what, total=None)

        def tick(done: int, everything: int) -> None:
            progress.update(task, completed=done, total=everything)

        yield tick


def print_evaluation(judged: Sequence[Judged]) -> None:
    """The table of `crar evaluate` on standard output."""
    table = Table(title="complete maze: 124 transitions, 465 pairs of states")
    names = (
        "model",
        "maze",
        "transition",
        "ball",
        "random_pairs",
        "consecutive",
        "reward",
        "discount",
        "value",
        "total",
        "nearest",
        "navigation",
        "verdict",
        "residual",
    )
    for name in names:
        table.add_column(name, justify="left" if name in ("model", "maze", "verdict") else "right", overflow="fold")
    for model in judged:
        terms, match = model.evaluation.terms, model.evaluation.match
        table.add_row(
            str(model.path),
            model.checkpoint.maze + (" inverse" if model.checkpoint.inverse else ""),
            *(f"{terms[name]:.2g}" for name in names[2:10]),
            f"{100 * model.evaluation.nearest_state_accuracy:.0f} %",
            f"{100 * model.evaluation.navigation_success:.0f} %",
            match.verdict if match else "-",
            f"{match.residual_edges:.2f}" if match else "-",
        )
    console = Console()
    console.width = max(console.width, 170)
    console.print(table)
