"""How long work is watched: what a caller may give to see how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol


class Ticks(Protocol):
    """Takes the progress of some work, and of a training also its log."""

    def __call__(self, done: int, everything: int, /) -> None:
        """Tell how much is done."""

    def rows(self, first_member: int, update: int, values: Mapping[str, Any], /) -> None:
        """Tell the rows of the log at an update: column -> values of the members from `first_member` on."""


Watch = Callable[[str, str], AbstractContextManager[Ticks]]
"""(what is done, what is counted) -> what is told of it; `crar_reports.progress.progress_bar` is one."""
Notice = Callable[[str], None]
"""Told in one line what one should know before the work goes on."""


class _Unseen:
    def __call__(self, done: int, everything: int, /) -> None:
        pass

    def rows(self, first_member: int, update: int, values: Mapping[str, Any], /) -> None:
        pass


@contextmanager
def unwatched(what: str, units: str) -> Iterator[Ticks]:
    """A :data:`Watch` that shows nothing."""
    yield _Unseen()


def untold(line: str) -> None:
    """A :data:`Notice` that says nothing."""
