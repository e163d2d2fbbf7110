"""Figure 16: terms and scores of a base, a good and a failed transfer over updates, and claim S11 over all failed ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crar_model.agent.loss import SHOWN
from crar_model.core.files import Plain, StrPath
from crar_model.core.kept import kept
from crar_model.core.ratio import LEAST
from crar_model.models.merit import SUCCESS
from crar_model.studies.cells import BEST, LAST
from crar_model.tasks import Task
from crar_model.training.log import read_losses
from crar_model.training.variants import VARIANTS
from crar_reports import progress as console
from crar_reports.claims.evidence import Samples, Terms
from crar_reports.claims.losses import Ratios, ratios
from crar_reports.claims.reading import read
from crar_reports.claims.record import Decided
from crar_reports.claims.small_losses import small_losses
from crar_reports.figures.outcomes import Log, outcomes_figure
from crar_reports.measure.subject import load_subject
from crar_reports.pages.study.rows import (
    DONE,
    USUAL,
    Groups,
    Key,
    Row,
    base_name,
    beginnings,
    by,
    label,
    main_group,
    merit,
    number,
    score_words,
    success,
    told,
)
from crar_reports.press.publish import Content


@dataclass(frozen=True)
class TermsPart:
    """What the page shows of terms over updates.

    Attributes:
        words: how the models were chosen. columns: what they are called.
        rows: of the table. set: what its terms are on. figure: its name, "" where nothing is drawn.
        label, updates: of the group.
    """

    words: str
    columns: list[str]
    rows: list[tuple[object, ...]]
    set: str
    figure: str
    label: str
    updates: int


EDITION = 1
"""Of the figures that are kept of a failed transfer."""


def terms_part(
    groups: Groups, bases: Sequence[Row], root: StrPath, figure: str, files: dict[str, Content], task: Task
) -> tuple[TermsPart | None, Decided | None]:
    """What the page shows, None where no `freeze` transfer tells; and claim S11 where the maze has scores, else None.

    Args:
        groups: transfers of the table.
        bases: all bases of the maze.
        root: the study's folder, where logs and models lie.
        figure: its name. files: of the page; it is put among them.
        task: the maze.
    """
    root = Path(root)
    main = main_group(groups, USUAL)
    if main is None:
        return None, None
    shown, words = _chosen(told(groups[main]), bases, scored=task.scored)
    logs = [(title, log) for title, row in shown if (log := _log(root / "cells" / row["cell"])) is not None]
    drawn = len(logs) == len(shown)
    if drawn:
        files[figure] = outcomes_figure(logs, task.sampling.what)
    else:
        words += " Their logs are not in the study's folder, so nothing is drawn."
    start = shown[-1][1]["base_start"]  # which network of a base the transfers begin with
    networks = [(row, LAST if row["base"] else start) for _, row in shown]
    rows = [_terms_row(name, networks) for name in SHOWN]
    if task.scored:
        rows.append(("score", *(score_words(*network) for network in networks), ""))
    part = TermsPart(
        words,
        [title for title, _ in shown],
        rows,
        task.sampling.table or task.sampling.what,
        figure * drawn,
        label(main),
        int(main.updates),
    )
    return part, _decided(groups, main, bases, root) if task.scored else None


def _chosen(rows: Sequence[Row], bases: Sequence[Row], *, scored: bool) -> tuple[list[tuple[str, Row]], str]:
    """(title, row) of the base, the best and the worst transfer, and the rule in words."""
    both = [
        group
        for group in by(rows, "base").values()
        if any(map(success, group))
        and any(not success(row) and not (scored and number(row, "last_score_high") >= SUCCESS) for row in group)
    ]
    asked = [row for group in both for row in group] or rows  # of one base, they differ by luck alone
    order = sorted(asked, key=lambda row: (merit(row) if row["last_total"] else -np.inf, -number(row, "last_total")))
    good, bad = ([row for row in order if success(row) is wanted] for wanted in (True, False))
    worst = (bad or good)[0]
    best = [row for row in good or bad if not both or row["base"] == worst["base"]][-1]
    base = next((row for row in bases if row["cell"] == worst["base"] and row["status"] == DONE), None)
    what = "final score" if scored else "nearest state accuracy, of equal ones by total loss"
    count = sum(map(success, rows))
    if both:
        words = f"of {len(both)} of their bases some do and some do not: the worst of those that failed there and the best of the same base, by {what}, and the base."
        words = f"Of {len(rows)} `{USUAL}` transfers {count} succeeded; {words}"
    elif good and bad:
        words = f"Of {len(rows)} `{USUAL}` transfers {count} succeeded: the best of these and the worst of the others, of different bases, by {what}, and the base of the worst."
    else:
        words = f"All of {len(rows)} `{USUAL}` transfers {'succeeded' if good else 'failed'}: the best and the worst of them by {what}, and the base of the worst."
    names = {row["cell"]: base_name(row) for row in bases}

    def title(what: str, row: Row) -> str:
        return f"{what}: {names.get(row['base'], '?')}, seed {row['seed']}"

    found = [(f"base {base_name(base)}", base)] if base is not None else []
    if best is not worst:
        found.append((title(f"best, {_word(best)}", best), best))
    return [*found, (title(f"worst, {_word(worst)}", worst), worst)], words


def _word(row: Row) -> str:
    return "succeeded" if success(row) else "failed"


def _log(folder: Path) -> Log | None:
    """A cell's log; None where it is not there, or has no row yet."""
    if not (folder / "losses.csv").exists():
        return None
    log = read_losses(folder)
    return log if all(len(column) for column in log.values()) else None


def _terms_row(term: str, networks: Sequence[tuple[Row, str]]) -> tuple[object, ...]:
    values = [number(row, f"{which}_{term}") for row, which in networks]
    base = values[0] if networks[0][0]["base"] == "" else float("nan")
    if np.isnan(base) or term == "value":
        return term, *values, ""
    return term, *values, f"x{values[-1] / base:.3g}" if base >= LEAST else "-"  # a ratio to a rounding error says nothing


def _decided(groups: Groups, main: Key, bases: Sequence[Row], root: Path) -> Decided:
    """S11 over the transfers of a group whose score's whole interval lies below 0 and below that of their base, on the set that verdicts are made on.

    Those of all other `freeze` groups are measured with them while their networks are here: an archive keeps the figures alone, and another day another
    group may have the most models.
    """
    named = {row["cell"]: row for row in bases}
    failed = [
        (key, row)
        for key, rows in groups.items()
        if key.variant == USUAL
        for row in told(rows)
        if row["base"] in named
        and number(row, "last_score_high") < min(SUCCESS, number(named[row["base"]], f"{row['base_start']}_score_low"))
    ]
    pairs, lost, of = [], 0, set[str]()
    with console.progress_bar("study: losses of failed transfers", "models") as tick:
        for done, (key, row) in enumerate(failed):
            tick(done, len(failed))
            start, model = row["base_start"], root / "cells" / row["cell"] / "model.pt"
            base = root / "cells" / row["base"] / ("best.pt" if start == BEST else "model.pt")
            scores = {
                name: {bound: number(one, f"{kind}_score_{bound}") for bound in ("mean", "low", "high")}
                for name, one, kind in (("failed_score", row, "last"), ("copy_score", named[row["base"]], start))
            }
            losses = _losses(model, base, [row["last_digest"], named[row["base"]][f"{start}_digest"]])
            if key == main and losses is None:
                lost += 1
            elif key == main and losses is not None:
                pairs.append(read(Samples, losses | scores))
                of.add(row["base"])
        tick(len(failed), len(failed))
    good = [_of_table(row, named[row["base"]], pairs[0].floor) for row in _scoring(groups) if row["base"] in named] if pairs else []
    return small_losses(pairs, len(of), lost, of=len(told(groups[main])), good=good, updates=int(main.updates))


def _scoring(groups: Groups) -> list[Row]:
    """Trained transfers that have their base's dynamics and score above 0 with their whole interval; not the beginnings of others among them."""
    found = [
        row
        for key, rows in groups.items()
        if int(key.updates) and VARIANTS[key.variant].keeps_dynamics
        for row in told(rows)
        if number(row, "last_score_low") > SUCCESS
    ]
    begun = {row["cell"] for row in beginnings(found, found)}
    return [row for row in found if row["cell"] not in begun]


def _of_table(row: Row, base: Row, floor: Terms) -> Ratios:
    """Terms of a transfer over those of what it started from; the table has them on the set that verdicts are made on."""
    pair = (row, LAST), (base, row["base_start"])
    own, begun = (Terms(**{term: number(one, f"{which}_{term}") for term in SHOWN}) for one, which in pair)
    return ratios(own, begun, floor)


def _losses(model: Path, base: Path, digests: list[str]) -> Plain | None:
    """Terms of a failed transfer and of its base, and the floor of both, as `crar claims` has them; an archive has them without the network. None
    where neither is here."""

    def look() -> Plain:
        if not model.exists():
            raise FileNotFoundError(model)
        subject = load_subject(model, base).table
        pair = {"failed_terms": subject.failed, "copy_terms": subject.copy}
        terms = {name: {term: float(value) for term, value in subject.terms(params).items()} for name, params in pair.items()}
        return terms | {"floor": subject.floor}

    key = {"models": digests, "edition": EDITION}
    try:
        return kept(model.with_name("verdict-losses.json"), key, look, dict)
    except FileNotFoundError:
        return None
