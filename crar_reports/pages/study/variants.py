"""Figure 17: success by variant and base, and claim S12 on learning the encoder anew."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from crar_model.agent.symmetry import NEITHER, RIGHT, SWAPPED
from crar_model.models.merit import SUCCESS
from crar_model.tasks import Task
from crar_model.training.variants import VARIANTS
from crar_reports.claims.record import Decided
from crar_reports.claims.released_scores import released_rows
from crar_reports.claims.study import relearned
from crar_reports.claims.study_facts import facts_of
from crar_reports.figures.shares import shares_figure
from crar_reports.pages.study.rows import (
    DONE,
    OPEN,
    USUAL,
    Groups,
    Key,
    Row,
    beginnings,
    by,
    label,
    main_group,
    merit,
    mostly,
    number,
    outcomes,
    searched,
    success,
    successes,
    told,
    units_of,
)
from crar_reports.press.publish import Content
from crar_reports.statistics import CHANCE, interquartile, share_words, share_words_by_base, trimmed, unlike


@dataclass(frozen=True)
class VariantsPart:
    """What the page shows of success by variant.

    Attributes:
        rows: of the table by variant. abouts: (variant, what it does). figure: its name, "" for none. copies: sentences on groups of few networks.
        by_base: (group of bases, their seeds, rows) of each table by base. networks: rows of the table of last networks.
        searching: variants whose search kept another network. episodes, score_copies, score_steps: how scores were taken, in words.
        released, by_eye: rows of what was released.
    """

    rows: list[tuple[object, ...]]
    abouts: list[tuple[str, str]]
    figure: str
    copies: list[str]
    by_base: list[tuple[str, list[str], list[list[str]]]]
    networks: list[list[str]]
    searching: str
    episodes: str
    score_copies: str
    score_steps: str
    released: list[tuple[object, ...]]
    by_eye: list[tuple[str, str]]


def variants_part(groups: Groups, bases: Sequence[Row], figure: str, files: dict[str, Content], task: Task) -> VariantsPart:
    """Success by variant and base (Figure 17), and what was released of it.

    Args:
        groups: transfers of the table.
        bases: of the maze.
        figure: its name. files: of the page; it is put among them.
        task: the maze.
    """
    shown = [(drawn_as(key, groups), values) for key, group in groups.items() if (values := successes(told(group)))]
    if shown:
        files[figure] = shares_figure([("", shown)], "share that succeeded")
    facts, rows = facts_of(task), [row for group in groups.values() for row in told(group)]
    searched_ones = dict.fromkeys(key.variant for key, group in groups.items() if any(row.get("kept_update") for row in group))
    return VariantsPart(
        rows=[_variant_row(key, group, groups) for key, group in groups.items()],
        abouts=[(name, _about(name, own)) for name, own in by((row for group in groups.values() for row in group), "variant").items()],
        figure=figure if shown else "",
        copies=_copies(groups),
        by_base=[_by_base(groups, own) for own in by(bases, "group").values()],
        networks=[_networks(label(key, groups), key, group, scored=task.scored) for key, group in groups.items() if told(group)],
        searching=", ".join(f"`{name}`" for name in searched_ones),
        episodes=_values(rows, "last_score_samples"),
        score_copies=_values(rows, "score_copies"),
        score_steps=_values(rows, "score_steps"),
        released=list(released_rows()) if facts.released_scores else [],
        by_eye=[(name, f"{good}/{good + bad}") for name, good, bad in facts.judged_by_eye],
    )


def drawn_as(key: Key, groups: Groups) -> str:
    """What a group is called in the figure: groups that differ by anything have unlike names."""
    words, _, recipe = label(key, groups, short=True).partition(", from bases of ")
    trained = f"{int(key.updates):,} updates"
    own = f"{_bases(groups[key])}{' of ' * bool(recipe)}{recipe}" if VARIANTS[key.variant].from_base else "of no base"
    return f"{words.removesuffix(f', {trained}')}; {trained}, {own}"


def _about(variant: str, group: Sequence[Row]) -> str:
    """A line on a variant, with those of its own settings that this study has changed."""
    what = VARIANTS[variant]
    set_to = {name: {row.get(name, "") for row in group} - {""} for name in what.unless_set}
    here = {name: values for name, values in set_to.items() if values - {str(what.unless_set[name])}}
    changed = "".join(
        f"; here `{name}` is {' or '.join(f'{int(value):,}' for value in sorted(values, key=int))}" for name, values in here.items()
    )
    old = what.search and not any(row.get("kept_update") for row in told(group))
    return (
        what.about + changed + ("; these are of before that was so: the last network counts, not the best" if old and told(group) else "")
    )


def _copies(groups: Groups) -> list[str]:
    """Groups whose models are fewer than their rows, in words: networks that are the same from every base, and beginnings of longer transfers."""
    lines = []
    for key, group in groups.items():
        digests = [row["last_digest"] for row in told(group) if row.get("last_digest")]
        if len(set(digests)) < len(digests):
            lines.append(
                f"`{label(key, groups)}`: {len(digests)} models are {len(set(digests))} networks, so its intervals and p are far too narrow."
            )
        for other, longer in groups.items():
            begun = len(beginnings(told(group), told(longer)))
            if begun:
                lines.append(
                    f"`{label(key, groups)}`: {begun} of {len(told(group))} models are the first {int(key.updates):,} updates of transfers of `{label(other, groups)}`, no runs of their own."
                )
    return lines


def decide_relearned(groups: Groups) -> Decided | None:
    """Claim S12, each variant by its group of most models; None where no `freeze` transfer tells, or nothing else was asked for.

    Args:
        groups: transfers from the bases that are asked of.
    """
    usual = main_group(groups, USUAL)
    variants = dict.fromkeys(key.variant for key in groups)
    if usual is None or len(variants) == 1:
        return None
    chosen: Mapping[str, Key | None] = {variant: main_group(groups, variant, usual) for variant in variants}
    kept = {variant: key for variant, key in chosen.items() if key is not None and VARIANTS[variant].from_base}
    return replace(
        relearned({variant: outcomes(groups[key]) for variant, key in kept.items()}),
        updates={variant: int(key.updates) for variant, key in kept.items()},
    )


def _variant_row(key: Key, group: Sequence[Row], groups: Groups) -> tuple[object, ...]:
    own = told(group)
    usual = next((told(other) for (name, *rest), other in groups.items() if name == USUAL and tuple(rest) == key[1:]), [])
    both, related = {row["base"] for row in own} & {row["base"] for row in usual}, VARIANTS[key.variant].from_base
    p = math.nan
    if key.variant != USUAL and related and unlike([True] * len(both), [False] * len(both)) < CHANCE:
        p = unlike(*(mostly(row for row in rows if row["base"] in both) for rows in (own, usual)))
    return (
        label(key, groups), f"{len(own)} of {len(group)}", _trained(key, own), share_words_by_base(successes(own)),
        share_words(mostly(own)) if related else "-", *_as_the_original(own), _middle(list(units_of(own).values())), p,
    )  # fmt: skip


def _as_the_original(own: Sequence[Row]) -> list[str]:
    """How many succeeded by the original's word, a final score above 0, where there is a score."""
    return [f"{sum(number(row, 'final_score') > SUCCESS for row in own)}/{len(own)}"] if any(row["scored"] == "1" for row in own) else []


def _middle(units: Sequence[Sequence[Row]]) -> str:
    """The interquartile mean of a figure of merit, with what it leaves out, in words; of fewer than four models their mean."""
    values = [[value for row in rows if not math.isnan(value := merit(row))] for rows in units]
    count, asked = sum(map(len, values)), sum(map(len, units))
    if not count:
        return "all diverged" if asked else "-"
    mean, low, high = interquartile(values)
    around = "" if math.isnan(low) else f" ({low:.3g} to {high:.3g})"
    out = trimmed(count)
    which = f", {out} + {out} of {count} trimmed" if out else f", mean of {count}"
    return f"{mean:.3g}{around}{which}" + (f", {asked - count} diverged left out" if asked > count else "")


def _by_base(groups: Groups, bases: Sequence[Row]) -> tuple[str, list[str], list[list[str]]]:
    """The table of one group of bases: its name, their seeds as heads of narrow columns, and a row for what was transferred from them."""
    names = {base["cell"] for base in bases}
    arms = [(key, group) for key, group in groups.items() if VARIANTS[key.variant].from_base and names & {row["base"] for row in group}]
    return bases[0]["group"], [row["seed"] for row in bases], [_of_bases(label(key, groups), key, group, bases) for key, group in arms]


def _of_bases(name: str, key: Key, group: Sequence[Row], bases: Sequence[Row]) -> list[str]:
    """A row of the table by base: successes of those done, "?" where some are open and "!" where some were left, all narrow, since a study may
    have dozens of bases."""
    cells = []
    for base in bases:
        own = [row for row in group if row["base"] == base["cell"]]
        done, words = told(own), {row["status"] for row in own} - {DONE}
        mark = ("?" if OPEN in words else "") + ("!" if words - {OPEN} else "")
        cells.append(f"{sum(map(success, done))}/{len(done)}{mark}" if done else mark)
    return [name, f"{int(key.updates):,}", *cells]


def _bases(group: Sequence[Row]) -> str:
    count = len({row["base"] for row in told(group)})
    return f"{count} base{'s' * (count != 1)}"


def _networks(name: str, key: Key, group: Sequence[Row], *, scored: bool) -> list[str]:
    """A row of the table of last networks: by embedding and, where there is one, by the interval of the score."""
    own = told(group)
    kinds, related = Counter(row["outcome"] for row in own), VARIANTS[key.variant].from_base  # else it has no base to look like
    cells = [
        name,
        f"{int(key.updates):,}",
        *(str(sum(kinds[one] for one in kind)) if related else "-" for kind in (RIGHT, (SWAPPED,), (NEITHER,))),
    ]
    if scored:
        bounds = [(number(row, "last_score_low"), number(row, "last_score_high")) for row in own if row.get("last_score_low")]
        above, below = sum(low > SUCCESS for low, _ in bounds), sum(high < SUCCESS for _, high in bounds)
        cells += [str(above), str(len(bounds) - above - below), str(below)]
    return cells


def _values(rows: Sequence[Row], name: str) -> str:
    """The values of a column of whole numbers, in words; "" where there are none."""
    return " or ".join(f"{int(value):,}" for value in sorted({float(row[name]) for row in rows if row.get(name)}))


def _trained(key: Key, rows: Sequence[Row]) -> str:
    """Updates of a group in words, those of a search before apart."""
    return f"{int(key.updates):,}{searched(rows)}"
