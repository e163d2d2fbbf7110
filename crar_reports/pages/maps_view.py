"""The words and tables of the page of `crar maps`: what works through which map, and whether failure needs the negative."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crar_reports.pages import plain_words
from crar_reports.pages.cure.view import count, interval
from crar_reports.press.markdown import table

Plain = dict[str, Any]
USUAL, NEGATIVE = "freeze", "negative"
WORKS, FAILS, OPEN = "works", "fails", "undecided"
HALF = 0.5


def maps_view(r: Plain) -> dict[str, str]:
    """What the template places; `r`: what `results.json` holds."""
    rows, bases = r["table"], r["bases"]
    maps, ways = (list(dict.fromkeys(row[name] for row in rows)) for name in ("map", "way"))
    counts = {(row["way"], row["map"]): count(row["all"]) for row in rows}
    works = [way for way in ways if all(standing(row) == WORKS for row in rows if row["way"] == way)]
    answers = [_answer(found) for found in _asked(rows).values()]
    return {
        "plainly": plain_words.maps(answers, works),
        "by_map": table(["variant or cure", *maps], [(way, *(counts.get((way, name), "") for name in maps)) for way in ways]),
        "copies": f"{r['copies']} of the models given are copies of others (the same weights) and count once. " if r["copies"] else "",
        "intervals": table(
            ["map", "variant or cure", "updates, median", "succeeded", "95 % exact, by base", "bases with all", "95 % exact", "bases with any", "95 % exact",
             "95 %, bases resampled"],
            [
                (
                    row["map"], row["way"], row["updates"], *(x for name in ("all", "all_of_base", "any_of_base") for x in (count(row[name]), interval(row[name]))),
                    interval(row["by_bases"]),
                )
                for row in rows
            ],
        ),
        "bases": ", ".join(f"{number} is `{base}`" for number, base in enumerate(bases, 1)),
        "by_base": table(
            ["map", "variant or cure", *(str(number) for number in range(1, len(bases) + 1))],
            [
                (row["map"], row["way"], *(f"{row['bases'][base]['count']}/{row['bases'][base]['of']}" if base in row["bases"] else "" for base in bases))
                for row in rows
            ],
        ),
    }  # fmt: skip


def standing(row: Plain) -> str:
    """`WORKS` or `FAILS` where the whole interval lies on one side of a half: of the transfers, of the bases (all of whose transfers succeed;
    any of whose do), and of resampled bases; else `OPEN`."""
    bounds = [(row["all"]["low"], row["all"]["high"]), (row["all_of_base"]["low"], row["any_of_base"]["high"])]
    lows, highs = zip(*bounds, (row["by_bases"]["low"], row["by_bases"]["high"]), strict=True)
    low, high = min(x for x in lows if x is not None), max(x for x in highs if x is not None)
    return WORKS if low > HALF else FAILS if high < HALF else OPEN


def needs_the_negative(table: Sequence[Plain]) -> str:
    """Whether `freeze` fails through the negative alone, in words: a sentence for every kind of `freeze` that went through the negative and
    through another map."""
    told = [_needed(way, found) for way, found in _asked(table).items()]
    return (
        " ".join(told) or f"Not asked: that takes `{USUAL}` transfers through the negative and through another map, by the same settings."
    )


def _asked(table: Sequence[Plain]) -> dict[str, dict[str, Plain]]:
    """Way -> map -> row, of every kind of `freeze` that went through the negative and through another map."""
    ways: dict[str, dict[str, Plain]] = {}
    for row in table:
        if row["usual"]:
            ways.setdefault(row["way"], {})[row["map"]] = row
    return {way: found for way, found in ways.items() if NEGATIVE in found and len(found) > 1}


def _answer(found: dict[str, Plain]) -> str:
    """Whether failure needs the negative, of one kind of `freeze`: no where another map fails it, too; yes where all others are known to work."""
    others = {standing(row) for name, row in found.items() if name != NEGATIVE}
    if FAILS in others:
        return plain_words.NO
    return plain_words.YES if standing(found[NEGATIVE]) == FAILS and OPEN not in others else OPEN


def _needed(way: str, found: dict[str, Plain]) -> str:
    own, others = found[NEGATIVE], [row for name, row in found.items() if name != NEGATIVE]
    told = {word: ", ".join(_counted(row) for row in others if standing(row) == word) for word in (FAILS, WORKS, OPEN)}
    rest = "".join(f"; {word} {told[key]}" for key, word in ((WORKS, "it works through"), (OPEN, "undecided through")) if told[key])
    negative = f"{own['all']['count']} of {own['all']['of']} succeed"
    answer = _answer(found)
    if answer == plain_words.NO and standing(own) == FAILS:
        return f"No: `{way}` fails through {told[FAILS]}, too{rest}. Through the negative {negative}."
    if answer == plain_words.NO:
        word = "it works" if standing(own) == WORKS else "it is undecided"
        return f"No: `{way}` fails through {told[FAILS]}{rest}. Through the negative {word}: {negative}."
    if answer == plain_words.YES:
        return f"Of the maps asked, yes: `{way}` fails through {_counted(own)} alone{rest}."
    return f"Undecided: `{way}`, through the negative {negative}{rest}."


def survivals(table: Sequence[Plain]) -> list[str]:
    """What each variant and cure works through, and what not, in words."""
    lines = []
    for way in dict.fromkeys(row["way"] for row in table):
        rows = [row for row in table if row["way"] == way]
        parts = [
            f"{words} {', '.join(_counted(row) for row in rows if standing(row) == word)}"
            for word, words in ((WORKS, "works through"), (FAILS, "fails through"), (OPEN, "is undecided through"))
            if any(standing(row) == word for row in rows)
        ]
        lines.append(f"`{way}` {'; '.join(parts)}.")
    return lines


def _counted(row: Plain) -> str:
    return f"{row['map']} ({row['all']['count']} of {row['all']['of']})"
