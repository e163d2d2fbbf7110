"""What a size takes of the machine's memory, told before anything is made or written.

Every estimate counts what is there at once for certain, so it is low: what passes may be slow, and what is refused cannot be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from crar_model.core import machine
from crar_model.core.errors import UserError
from crar_model.core.ranges import Spelling, as_flag

MODEL, STEP, STEP_OF_TILES, DRAW, DRAWN, ROW = 700_000, 28, 140, 52, 1_000, 300
"""Bytes of a model in training, of a gathered step, of a drawn transition, how many batches are drawn at once, a row of the log."""
LEAF, MAP = 3_000, 6_500
"""Bytes of a leaf of the planning tree, and of the maps of one run of a score."""
PLACE, POINT, TRANSITION = 100, 70, 6_000
"""Bytes of a place of a surface, of a point of a line, of a transition that a landscape is measured on."""
PROCESS, CELL = 100_000_000, 2_000
"""Bytes of a worker, and of a cell of a study."""
OF_AN_ESCAPE = 20_000
"""Steps of the walk of each of its members."""
Estimate = Callable[..., float]


def afford(estimate: Estimate, given: Mapping[str, float], usual: Mapping[str, float], spell: Spelling = as_flag) -> None:
    """Refuse sizes that take more memory than there is.

    Args:
        estimate: bytes that they take, by name.
        given: the sizes.
        usual: their defaults, by which the one to blame is found.
        spell: how the user wrote a size.

    Raises:
        UserError: in one line with the size to blame, the estimate and what the machine has.
    """
    need, there = estimate(**given), machine.memory()
    if need <= there:
        return
    worst = min(given, key=lambda name: estimate(**{**given, name: min(given[name], usual.get(name, 1))}))
    raise UserError(
        f"{spell(worst)} is {given[worst]}; that takes about {gigabytes(need)} of memory and this machine has {gigabytes(there)}: give less"
    )


def gigabytes(count: float) -> str:
    """Bytes in words."""
    return f"{count / 1e9:.3g} GB"


def leaves(depth: float) -> float:
    """Of the tree that is planned through: four actions, then the two best of each state."""
    return 4 * 2.0 ** min(max(depth - 1, 0), 900) if depth else 1


def check_playing(episodes: int, depth: int, spell: Spelling = as_flag) -> None:
    """Refuse scores whose planning does not fit into the memory; errors as of :func:`afford`."""

    def estimate(episodes: float, depth: float) -> float:
        return episodes * (MAP / 72 + LEAF * leaves(depth))

    afford(estimate, {"episodes": episodes, "depth": depth}, {"episodes": 200, "depth": 3}, spell)


def check_cure(starts: int, resolution: int, spell: Spelling = as_flag) -> None:
    """Refuse candidates and places that do not fit into the memory; errors as of :func:`afford`."""

    def estimate(starts: float, resolution: float) -> float:
        return starts * MODEL + PLACE * resolution**2

    afford(estimate, {"starts": starts, "resolution": resolution}, {"starts": 8, "resolution": 61}, spell)


SAMPLE = 2_048
"""Transitions of a sample where nothing is said; a world of one's own that holds out fewer gives what it has."""


def check_picture(*, points: int = 2, resolution: int = 2, sample: int = 1) -> None:
    """Refuse lines, surfaces and samples of a landscape that do not fit into the memory; errors as of :func:`afford`."""

    def estimate(points: float, resolution: float, sample: float) -> float:
        return POINT * points + PLACE * resolution**2 + TRANSITION * sample

    given = {"points": points, "resolution": resolution, "sample": sample}
    afford(estimate, given, {"points": 101, "resolution": 51, "sample": SAMPLE})


def check_escape(cells: int, seeds: int, batch_size: int) -> None:
    """Refuse members and batches of `crar escape` that do not fit into the memory, `cells` of them at once; errors as of :func:`afford`."""

    def estimate(seeds: float, batch_size: float) -> float:
        return cells * seeds * (MODEL + STEP * OF_AN_ESCAPE + DRAW * DRAWN * batch_size)

    afford(estimate, {"seeds": seeds, "batch_size": batch_size}, {"seeds": 100, "batch_size": 32})


def check_one(name: str, value: Any, each: float, spell: Spelling = as_flag) -> None:
    """Refuse a count of things of `each` bytes that do not fit into the memory; errors as of :func:`afford`."""
    afford(lambda count: each * count, {"count": value}, {}, lambda _: spell(name))
