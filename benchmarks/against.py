"""The same work by the code of several commits, in turn, each repetition in a process of its own.

    from benchmarks.against import run
    rates = run("from benchmarks.x import work; print(work())", ("6b7a7ec", "."), repetitions=5)
    rates["."].median, rates["."].ratio

A snippet prints one number, of which more is better, as the last line that it writes. It may use only what every commit has.
Machines drift and are shared: only numbers of one repetition are compared with each other.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HERE = "."
"""The working tree as it is, in place of a commit."""


@dataclass(frozen=True)
class Rates:
    """What a snippet printed in every repetition, and the same over what the first commit's printed in that repetition."""

    values: tuple[float, ...]
    ratios: tuple[float, ...]

    @property
    def median(self) -> float:
        """Of the values."""
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """Smallest and largest value."""
        return min(self.values), max(self.values)

    @property
    def ratio(self) -> float:
        """Median of the ratios."""
        return statistics.median(self.ratios)

    @property
    def ratio_spread(self) -> tuple[float, float]:
        """Smallest and largest ratio."""
        return min(self.ratios), max(self.ratios)


@contextmanager
def trees(commits: Sequence[str]) -> Iterator[dict[str, Path]]:
    """A folder with the code of each commit: `HERE` is this one, the others are git worktrees that are taken away again."""
    with ExitStack() as stack:
        folders = {}
        for commit in dict.fromkeys(commits):
            folders[commit] = ROOT if commit == HERE else stack.enter_context(_worktree(commit))
        yield folders


@contextmanager
def _worktree(commit: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / commit.replace("/", "-")
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(folder), commit], check=True)
        try:
            yield folder
        finally:
            subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def printed(code: str, folder: Path, env: Mapping[str, str] | None = None) -> float:
    """The number that a snippet prints with the code of a folder.

    Raises:
        RuntimeError: with what it wrote, where it failed.
    """
    surrounding = os.environ | {"PYTHONPATH": str(folder)} | dict(env or {})
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=surrounding, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the snippet failed in {folder}:\n{done.stderr[-2000:]}")
    return float(done.stdout.split()[-1])


def compare(code: str, folders: Mapping[str, Path], repetitions: int = 5, env: Mapping[str, str] | None = None) -> dict[str, Rates]:
    """Run a snippet with the code of each folder, once to fill the caches of compiled code and then `repetitions` times in turn, every
    second time in reverse order.

    Args:
        code: prints a number.
        folders: by commit, from :func:`trees`; ratios are over the first one.
        repetitions: at least 1.
        env: environment variables to set, e.g. numbers of threads.
    """
    for folder in folders.values():
        printed(code, folder, env)
    values: dict[str, list[float]] = {commit: [] for commit in folders}
    for turn in range(repetitions):
        for commit in list(folders)[:: -1 if turn % 2 else 1]:
            values[commit].append(printed(code, folders[commit], env))
    first = next(iter(values.values()))
    return {commit: Rates(tuple(own), tuple(a / b for a, b in zip(own, first, strict=True))) for commit, own in values.items()}


def run(
    code: str, commits: Sequence[str] = ("HEAD~1", HERE), repetitions: int = 5, env: Mapping[str, str] | None = None
) -> dict[str, Rates]:
    """:func:`compare` with worktrees made and taken away for this one snippet."""
    with trees(commits) as folders:
        return compare(code, folders, repetitions, env)


def table_row(work: str, rates: Mapping[str, Rates], unit: str = "/s") -> str:
    """One row of a Markdown table: the work, then every commit's median and spread, and the ratio of all but the first."""
    cells = [work]
    for place, own in enumerate(rates.values()):
        low, high = own.spread
        cells.append(f"{own.median:.4g}{unit} ({low:.4g} to {high:.4g})")
        if place:
            low, high = own.ratio_spread
            cells.append(f"{own.ratio:.2f} x ({low:.2f} to {high:.2f})")
    return f"| {' | '.join(cells)} |"
