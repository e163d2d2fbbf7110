"""What the pages call the place that models live in: a maze, or a world of one's own; and what samples of it are counted in."""

from __future__ import annotations

from collections.abc import Mapping

from crar_model.core.words import plural
from crar_model.tasks import Task


def noun(task: Task) -> str:
    """ "maze" or "world"."""
    return "world" if task.known_by_data else "maze"


def side_of(task: Task, *, inverse: bool) -> str:
    """ "inverse maze", "normal mazes" where every episode has another, or "inverse world"."""
    several = not task.known_by_data and not task.sampling.complete
    return f"{'inverse' if inverse else 'normal'} {noun(task)}{'s' * several}"


def pairs_words(task: Task) -> str:
    """ " and all pairs of states", which `random_pairs` is of where states are listed, or how many drawn ones."""
    if (maze := task.maze) is None:
        return ""
    drawn, live = maze.pairs.shape[1], len(maze.live)
    return " and all pairs of states" if 2 * drawn >= live * (live - 1) else f" and {drawn:,} drawn pairs of states"


def parts_words(size: Mapping[str, int], other: str = "") -> str:
    """ "228 maps" of a sample, or "61 episodes" of a world's; `other` stands before the noun."""
    word = "episode" if "episodes" in size else "map"
    return plural(size[f"{word}s"], f"{other}{word}")


def size_words(size: Mapping[str, int]) -> str:
    """ "256 transitions of 228 maps (2 terminal)"."""
    return f"{plural(size['transitions'], 'transition')} of {parts_words(size)} ({size['terminal']:,} terminal)"
