"""The words and tables of the page of `crar maps`: what works through which map, and whether failure needs the negative."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isnan

from crar_reports.pages import plain_words
from crar_reports.pages.cure.view import interval
from crar_reports.press.markdown import table
from crar_reports.statistics import Interval, Share

USUAL, NEGATIVE = "freeze", "negative"
WORKS, FAILS, OPEN = "works", "fails", "undecided"
HALF = 0.5


@dataclass(frozen=True)
class Row:
    """What became of a transfer or a cure.

    Attributes:
        path, digest: of the transfer. maze: of it; place: with its layout and what it observes.
        base, base_digest: of its base. map: that it sees its maze through.
        variant: of a transfer, "" for a cure. way: the variant or the cure, and what tells it from others of its kind.
        settings: by which it may differ from others of its way.
        updates: that it took. good: whether it succeeded.
    """

    path: str
    digest: str
    maze: str
    base: str
    base_digest: str
    map: str
    variant: str
    way: str
    settings: dict[str, float | str]
    updates: int
    good: bool
    place: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tally:
    """So many of so many."""

    count: int
    of: int


@dataclass(frozen=True)
class Cell:
    """What became of a way through a map.

    Attributes:
        usual: whether the way is a kind of `USUAL`. updates: median.
        all: share of successes, by base; by_bases: the same by resampling bases. bases: successes by base.
        all_of_base, any_of_base: share of bases all of whose transfers succeed, and any of whose do.
    """

    map: str
    way: str
    usual: bool
    updates: int
    all: Share
    by_bases: Interval
    bases: dict[str, Tally]
    all_of_base: Share
    any_of_base: Share


@dataclass(frozen=True)
class Maps:
    """What `results.json` of `crar maps` holds: the rows, how many models were copies, and what follows from the rows."""

    command: str
    rows: list[Row]
    copies: int
    definition: str = ""
    table: list[Cell] = field(default_factory=list)
    needs: str = ""
    survives: list[str] = field(default_factory=list)
    bases: list[str] = field(default_factory=list)


def maps_view(r: Maps) -> dict[str, str]:
    """What the template places."""
    rows, bases = r.table, r.bases
    maps, ways = (list(dict.fromkeys(names)) for names in zip(*((row.map, row.way) for row in rows), strict=True))
    counts = {(row.way, row.map): row.all for row in rows}
    works = [way for way in ways if all(standing(row) == WORKS for row in rows if row.way == way)]
    answers = [_answer(found) for found in _asked(rows).values()]
    return {
        "plainly": plain_words.maps(answers, works),
        "by_map": table(["variant or cure", *maps], [(way, *(counts.get((way, name), "") for name in maps)) for way in ways]),
        "copies": f"{r.copies} of the models given are copies of others (the same weights) and count once. " if r.copies else "",
        "intervals": table(
            ["map", "variant or cure", "updates, median", "succeeded", "95 % exact, by base", "bases with all", "95 % exact", "bases with any", "95 % exact",
             "95 %, bases resampled"],
            [
                (row.map, row.way, row.updates, *(x for each in (row.all, row.all_of_base, row.any_of_base) for x in (each, interval(each))), interval(row.by_bases))
                for row in rows
            ],
        ),
        "bases": ", ".join(f"{number} is `{base}`" for number, base in enumerate(bases, 1)),
        "by_base": table(
            ["map", "variant or cure", *(str(number) for number in range(1, len(bases) + 1))],
            [
                (row.map, row.way, *(f"{row.bases[base].count}/{row.bases[base].of}" if base in row.bases else "" for base in bases))
                for row in rows
            ],
        ),
    }  # fmt: skip


def standing(row: Cell) -> str:
    """`WORKS` or `FAILS` where the whole interval lies on one side of a half: of the transfers, of the bases (all of whose transfers succeed;
    any of whose do), and of resampled bases; else `OPEN`."""
    lows, highs = (row.all.low, row.all_of_base.low, row.by_bases.low), (row.all.high, row.any_of_base.high, row.by_bases.high)
    low, high = min(x for x in lows if not isnan(x)), max(x for x in highs if not isnan(x))
    return WORKS if low > HALF else FAILS if high < HALF else OPEN


def needs_the_negative(table: Sequence[Cell]) -> str:
    """Whether `freeze` fails through the negative alone, in words: a sentence for every kind of `freeze` that went through the negative and
    through another map."""
    told = [_needed(way, found) for way, found in _asked(table).items()]
    return (
        " ".join(told) or f"Not asked: that takes `{USUAL}` transfers through the negative and through another map, by the same settings."
    )


def _asked(table: Sequence[Cell]) -> dict[str, dict[str, Cell]]:
    """Way -> map -> row, of every kind of `freeze` that went through the negative and through another map."""
    ways: dict[str, dict[str, Cell]] = {}
    for row in table:
        if row.usual:
            ways.setdefault(row.way, {})[row.map] = row
    return {way: found for way, found in ways.items() if NEGATIVE in found and len(found) > 1}


def _answer(found: dict[str, Cell]) -> str:
    """Whether failure needs the negative, of one kind of `freeze`: no where another map fails it, too; yes where all others are known to work."""
    others = {standing(row) for name, row in found.items() if name != NEGATIVE}
    if FAILS in others:
        return plain_words.NO
    return plain_words.YES if standing(found[NEGATIVE]) == FAILS and OPEN not in others else OPEN


def _needed(way: str, found: dict[str, Cell]) -> str:
    own, others = found[NEGATIVE], [row for name, row in found.items() if name != NEGATIVE]
    told = {word: ", ".join(_counted(row) for row in others if standing(row) == word) for word in (FAILS, WORKS, OPEN)}
    rest = "".join(f"; {word} {told[key]}" for key, word in ((WORKS, "it works through"), (OPEN, "undecided through")) if told[key])
    negative = f"{own.all} succeed"
    answer = _answer(found)
    if answer == plain_words.NO and standing(own) == FAILS:
        return f"No: `{way}` fails through {told[FAILS]}, too{rest}. Through the negative {negative}."
    if answer == plain_words.NO:
        word = "it works" if standing(own) == WORKS else "it is undecided"
        return f"No: `{way}` fails through {told[FAILS]}{rest}. Through the negative {word}: {negative}."
    if answer == plain_words.YES:
        return f"Of the maps asked, yes: `{way}` fails through {_counted(own)} alone{rest}."
    return f"Undecided: `{way}`, through the negative {negative}{rest}."


def survivals(table: Sequence[Cell]) -> list[str]:
    """What each variant and cure works through, and what not, in words."""
    lines = []
    for way in dict.fromkeys(row.way for row in table):
        rows = [row for row in table if row.way == way]
        parts = [
            f"{words} {', '.join(_counted(row) for row in rows if standing(row) == word)}"
            for word, words in ((WORKS, "works through"), (FAILS, "fails through"), (OPEN, "is undecided through"))
            if any(standing(row) == word for row in rows)
        ]
        lines.append(f"`{way}` {'; '.join(parts)}.")
    return lines


def _counted(row: Cell) -> str:
    return f"{row.map} ({row.all})"
