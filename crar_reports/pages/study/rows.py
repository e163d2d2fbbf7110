"""Rows of a study's table: how they are grouped, named and counted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import NamedTuple

from crar_model.models.merit import SUCCESS
from crar_model.studies.cells import BEST, LAST, WITHOUT_EFFECT
from crar_model.training.variants import BASE, VARIANTS
from crar_reports.claims.record import recipe_words
from crar_reports.claims.study import most
from crar_reports.pages.study.table import LOSS, SETTINGS
from crar_reports.sections import map_of

Row = dict[str, str]
DONE, OPEN = "done", "open"
USUAL = "freeze"
"""The variant that the others are held against."""
TERMINAL = "terminal last"


class Key(NamedTuple):
    """What models have in common that are counted together.

    Attributes:
        variant, rule, rate, seen: of the transfers; `seen` is the observation map.
        base: recipe of their bases (`TrainSettings.recipe`), "" in tables of before it stood there.
        quirk: `TERMINAL` where the last tuple of an epoch is flagged terminal, else "".
        updates: of each.
    """

    variant: str
    rule: str
    rate: str
    seen: str
    base: str
    quirk: str
    updates: str

    @property
    def recipe(self) -> str:
        """How the transfers were trained, in the words of `TrainSettings.recipe`, and how their bases were; "" where the latter is not known."""
        return self._said(f"{float(self.rate):g}")

    @property
    def recipe_of_rates(self) -> str:
        """The same of transfers at several rates."""
        return self._said("at each rate")

    def _said(self, rate: str) -> str:
        trained = ", ".join(filter(None, (f"{self.rule} {rate}", f"{int(self.updates):,} updates", self.quirk)))
        return recipe_words(self.base, trained)


ORIGIN = ("variant", "maze", "base", "base_start", "seed", "learning_rate", "reset", "paired")
"""What determines a model beside its settings."""


Groups = Mapping[Key, Sequence[Row]]


def key_of(row: Row) -> Key:
    """What a row shares with those it is counted with."""
    base = row.get("base_recipe", "") if row["variant"] == BASE.name or VARIANTS[row["variant"]].from_base else ""
    quirk = TERMINAL if row.get("terminal_last") == "1" else ""
    return Key(row["variant"], row["update_rule"], row["learning_rate"], map_of(row).title, base, quirk, row["updates"])


def groups_of(rows: Iterable[Row]) -> dict[Key, list[Row]]:
    """Rows by their key, in their order."""
    groups: dict[Key, list[Row]] = {}
    for row in rows:
        groups.setdefault(key_of(row), []).append(row)
    return groups


def label(key: Key, among: Iterable[Key] = (), *, short: bool = False) -> str:
    """The name of a group; a short one says what is not the usual. What takes no update has neither rule nor rate.

    Args:
        key: of the group.
        among: all groups; where another differs by its updates alone, these are named.
        short: leave out the joint rule.
    """
    others = [other for other in among if other != key]
    alike = [other for other in others if other.variant == key.variant and other[3:] == key[3:]]
    trained = (
        [] if int(key.updates) == 0 and not alike else [f"{float(key.rate):g}"] + ([] if key.rule == "joint" and short else [key.rule])
    )
    words = [key.variant, *trained] + ([] if key.seen == "negative" else [key.seen]) + ([key.quirk] if key.quirk else [])
    if any(other._replace(updates=key.updates) == key for other in others):
        words.append(f"{int(key.updates):,} updates")
    if len({other.base for other in among if other.base}) > 1 and key.base:
        words.append(f"from bases of {key.base}")
    return ", ".join(words)


def rule_of(recipe: str) -> str:
    """The update rule of a recipe in words (`TrainSettings.recipe`)."""
    return recipe.partition(" ")[0]


def told(rows: Iterable[Row]) -> list[Row]:
    """Rows of models that are done and of which can be said whether they succeeded."""
    return [row for row in rows if row["status"] == DONE and row["success"] != ""]


def success(row: Row) -> bool:
    """Whether a model succeeded."""
    return row["success"] == "1"


def by(rows: Iterable[Row], column: str) -> dict[str, list[Row]]:
    """Rows by the value of a column, in their order."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row[column], []).append(row)
    return found


def base_name(row: Row) -> str:
    """What a base is called on the page."""
    return f"{row['group']}/{row['seed']}"


def origin(row: Row, but: Sequence[str] = ()) -> tuple[tuple[str, str], ...]:
    """All that determines a model but the number of updates, which only ends training: of two models that have it in common the one is the beginning of the
    other.

    Args:
        row: of the model.
        but: columns to leave out, too.
    """
    without = {*WITHOUT_EFFECT, "updates"} - {"seed", "learning_rate"} | {*but}
    return tuple(
        (name, row[name]) for name in (*ORIGIN, *SETTINGS, *(f"loss_{name}" for name in LOSS)) if name in row and name not in without
    )


def beginnings(rows: Iterable[Row], longer: Iterable[Row]) -> list[Row]:
    """Models that are the beginning of one among some that were trained longer."""
    ends: dict[object, int] = {}
    for row in longer:
        ends[origin(row)] = max(int(row["updates"]), ends.get(origin(row), 0))
    return [row for row in rows if int(row["updates"]) < ends.get(origin(row), 0)]


def number(row: Row, name: str) -> float:
    """A figure of a row; NaN where there is none."""
    return float(row[name]) if row.get(name) else math.nan


def merit(row: Row) -> float:
    """The figure of merit of a row: the final score, or the share of transitions predicted to the right state."""
    return number(row, "final_score" if row["scored"] == "1" else "last_nearest_state_accuracy")


def score_words(row: Row, which: str) -> str:
    """Score of a network of a model with its interval; a dash for one that has none."""
    mean, low, high = (number(row, f"{which}_score_{name}") for name in ("mean", "low", "high"))
    return "-" if math.isnan(mean) else f"{mean:.2f} ({low:.2f} to {high:.2f})"


def start_of(base: Row, transfers: Iterable[Row]) -> str:
    """Which network of a base its transfers start from, "last" or "best"; the best there is where it has none."""
    asked = next((row["base_start"] for row in transfers if row["base"] == base["cell"] and row["base_start"]), "")
    return asked or (BEST if base.get(f"{BEST}_total") else LAST)


def sound(bases: Iterable[Row], transfers: Sequence[Row]) -> set[str]:
    """Cells of the bases that can do what their transfers are asked to: where there is a score, its whole interval lies above 0, of the network that
    transfers start from. Where there is none, a transfer is held against its own base, and every base that is done will do."""
    return {
        row["cell"]
        for row in bases
        if row["status"] == DONE and (row["scored"] != "1" or number(row, f"{start_of(row, transfers)}_score_low") > SUCCESS)
    }


def mostly(rows: Iterable[Row]) -> list[bool]:
    """For every base, whether more than half of its transfers succeeded."""
    return [most(list(map(success, group))) for group in by(rows, "base").values()]


def units_of(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by what they are independent by: their base; what takes nothing from a base, by itself."""
    return by(rows, "base" if all(VARIANTS[row["variant"]].from_base for row in rows) else "cell")


def successes(rows: Sequence[Row]) -> list[list[bool]]:
    """Whether models succeeded, by :func:`units_of`."""
    return [[success(row) for row in group] for group in units_of(rows).values()]


def searched(rows: Iterable[Row]) -> str:
    """Said behind updates where a search came before them, " after 5,200 of a search" (the median); "" where none did."""
    taken = [int(row["search_updates"]) for row in rows if int(row["search_updates"])]
    return f" after {median(taken):,.0f} of a search" if taken else ""


def outcomes(rows: Iterable[Row]) -> dict[str, list[bool]]:
    """Base -> outcomes of its transfers, of rows that tell."""
    return {base: [success(row) for row in group] for base, group in by(told(rows), "base").items()}


def main_group(groups: Groups, variant: str, like: Key | None = None) -> Key | None:
    """Of the groups of a variant, the one of most models that tell, of two the one trained longer; None where none tells.

    Args:
        groups: all of them.
        variant: its name.
        like: only groups of this one's map and bases and, where they train at all, rule and quirk.
    """
    keys = [key for key, rows in groups.items() if key.variant == variant and told(rows) and (like is None or _comparable(key, like))]
    return max(keys, key=lambda key: (len(told(groups[key])), int(key.updates)), default=None)


def _comparable(key: Key, like: Key) -> bool:
    alike = (key.rule, key.quirk) == (like.rule, like.quirk) or int(key.updates) == 0
    return key.seen == like.seen and alike and (key.base == like.base or not VARIANTS[key.variant].from_base)


def by_recipe(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Transfers by the recipe of their bases."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.get("base_recipe", ""), []).append(row)
    return found


def recipes_of(groups: Groups) -> dict[str, Groups]:
    """Groups by the recipe of their bases; what starts from none is among those of each."""
    names = list(dict.fromkeys(key.base for key in groups if VARIANTS[key.variant].from_base)) or [""]
    return {name: {key: rows for key, rows in groups.items() if key.base == name or not VARIANTS[key.variant].from_base} for name in names}
