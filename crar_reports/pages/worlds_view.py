"""What the page of several worlds says: words from figures alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crar_model.core.words import plural
from crar_model.tasks.worlds import ABSTRACT
from crar_reports.pages import plain_words
from crar_reports.pages.cure.view import interval, percent
from crar_reports.press.markdown import table
from crar_reports.statistics import Share, share_by_base

HALF = 0.5
AIM = 0.9
"""Share of the failed transfers that cures are to restore."""
TRAP, NONE, OPEN = "trap", "none", "open"
WORDS = {TRAP: "yes", NONE: "none", OPEN: "undecided"}
ABLE = 0.9
"""Median share of transitions predicted right from which bases are called able."""
AUTO = "auto"
GRID = "MiniGrid"


@dataclass(frozen=True)
class Through:
    """`freeze` transfers of a world through one map.

    Attributes:
        map: its name. updates: of each transfer. open: transfers that are not done.
        good: what succeeded, by base. right: whose embedding is the base's up to a symmetry of the world, by base.
        verdicts: embedding -> transfers.
    """

    map: str
    updates: int
    open: int
    good: Share
    right: Share
    verdicts: dict[str, int]
    by_base: list[list[bool]]


@dataclass(frozen=True)
class Mended:
    """What a method of `crar cure` did with the failed transfers of a world.

    Attributes:
        method: its name. maps: restored of failed, by map.
        restored: by base. by_base: the same in full.
        wrong: cures that it says and the base does not confirm. updates: median, of candidates and free embeddings.
        failed: transfers of the study that failed; 0 says that all of them were tried.
        right: encoders whose embedding is the base's up to a symmetry of the world, by base; None where it was not kept.
    """

    method: str
    restored: Share
    by_base: list[list[bool]]
    maps: dict[str, Share]
    wrong: int
    updates: int
    failed: int = 0
    right: Share | None = None


@dataclass(frozen=True)
class OneWorld:
    """What was found in a world.

    Attributes:
        title: of the environment. judged_on: what its models are judged on.
        bases, updates: how many, and of how many updates. able: median, lowest and highest share of transitions that a base predicts right.
        through: a map each. mended: a method each; none where no cures were given.
        made: commands behind it.
        numbers: of an abstract state. reached: median share of goals that a base reaches by planning; None where states cannot be listed.
        even_moves: whether every move that was tried was learned from equally often.
    """

    title: str
    judged_on: str
    bases: int
    updates: int
    able: tuple[float, float, float]
    through: list[Through]
    mended: list[Mended]
    made: list[str]
    numbers: int = ABSTRACT
    reached: float | None = None
    even_moves: bool = False

    @property
    def name(self) -> str:
        """What tells it on the page: bases of other numbers are other worlds of abstract states, and how moves are drawn decides what bases can do."""
        return f"{self.title} ({self.numbers} numbers{', even moves' * self.even_moves})"


@dataclass(frozen=True)
class Worlds:
    """What `results.json` holds."""

    command: str
    worlds: list[OneWorld]


def standing(through: Through) -> str:
    """`TRAP` where fewer than half of such transfers end in a right embedding, by the whole interval, and fewer than half succeed, as they can in another
    embedding where a world leaves several; `NONE` where more than half end in a right one, by the whole interval; else `OPEN`."""
    trap = through.right.high < HALF and through.good.share < HALF
    return TRAP if trap else NONE if through.right.low > HALF else OPEN


def traps(world: OneWorld) -> str:
    """`TRAP` where one map has it, `NONE` where none of them does, else `OPEN`."""
    found = {standing(one) for one in world.through}
    return TRAP if TRAP in found else NONE if found == {NONE} else OPEN


def pooled(worlds: Sequence[OneWorld], method: str) -> Share:
    """Failed transfers that a method restored in several worlds, by base."""
    return share_by_base([group for world in worlds for one in world.mended if one.method == method for group in one.by_base])


def aimed(found: Share) -> str:
    """Whether a share reaches `AIM`: shown, reached, or missed; "" of none."""
    if not found.of:
        return ""
    return "shown" if found.low >= AIM else "reached" if found.share >= AIM else "missed"


def worlds_view(worlds: Sequence[OneWorld]) -> dict[str, object]:
    """What the template places."""
    grids = [world for world in worlds if world.title.startswith(GRID)]
    return {
        "plainly": plain_words.worlds({world.name: traps(world) for world in worlds}, {world.name: aimed(pooled([world], AUTO)) for world in worlds}),
        "aim": _aim(pooled(grids, AUTO), grids),
        "weak": _weak(worlds),
        "bases": table(
            ["world", "judged on", "bases", "updates", "transitions right: median", "lowest", "highest", "goals reached: median"],
            [(w.name, w.judged_on, w.bases, f"{w.updates:,}", *(percent(x) for x in w.able), percent(w.reached)) for w in worlds],
        ),
        "transfers": table(
            ["world", "map", "updates", "trap", "succeeded", "95 % exact, by base", "right embedding", "95 % exact, by base", "embeddings", "not done"],
            [
                (w.name, one.map, f"{one.updates:,}", WORDS[standing(one)], one.good, interval(one.good), one.right, interval(one.right), _verdicts(one), one.open)
                for w in worlds for one in w.through
            ],
        ),
        "cures": table(
            [
                "world", "method", "failed", "tried", "restored", "95 % exact, by base", "by map", "right embedding", "says cured, is not", "updates, median"
            ],
            [
                (
                    w.name, one.method, one.failed or one.restored.of, one.restored.of, one.restored, interval(one.restored), _maps(one),
                    one.right or "-", one.wrong, f"{one.updates:,}",
                )
                for w in worlds for one in w.mended
            ],
        ),
        "made": [(world.name, "; ".join(f"`{each}`" for each in world.made)) for world in worlds],
    }  # fmt: skip


def _weak(worlds: Sequence[OneWorld]) -> str:
    """How many worlds have bases that are no masters of them; "" for none."""
    weak = sum(world.able[0] < ABLE for world in worlds)
    return (
        f" In {plural(weak, 'world')} of {len(worlds)} the median base predicts less than {percent(ABLE, 0)} of the transitions right: all that is said of it is said of such bases."
        if weak
        else ""
    )


def _aim(found: Share, grids: Sequence[OneWorld]) -> str:
    asked = f"At least {percent(AIM, 0)} of the failed transfers in MiniGrid worlds restored blind"
    if not found.of:
        return f"{asked}: not asked."
    tried = ", ".join(world.name for world in grids if world.mended)
    answers = {
        "shown": "yes, by the whole interval",
        "reached": "reached by the share, but not by the whole interval",
        "missed": "not reached",
    }
    return f"{asked}: {answers[aimed(found)]}. `{AUTO}` restored {found} ({interval(found)}, by base) in {tried}."


def _verdicts(one: Through) -> str:
    return ", ".join(f"{count} {word}" for word, count in one.verdicts.items())


def _maps(one: Mended) -> str:
    return ", ".join(f"{name} {found}" for name, found in one.maps.items())
