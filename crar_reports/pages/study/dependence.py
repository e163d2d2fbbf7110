"""Does success depend on the base (claim S14), and does anything known of a base before the transfer predict it?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.kept import kept, look
from crar_model.cures.foresight import Seen, foresee
from crar_model.models.checkpoints import load_checkpoint
from crar_model.models.merit import SUCCESS
from crar_model.studies.cells import BEST
from crar_model.training.variants import VARIANTS
from crar_reports import progress as console
from crar_reports.claims.record import Decided
from crar_reports.claims.study import depends
from crar_reports.figures.calibration import calibration_figure
from crar_reports.measure.forecast import FEWEST, Scores, Table, score_predictors, verdict
from crar_reports.pages.study.rows import USUAL, Groups, Key, Row, base_name, by, label, main_group, number, outcomes, success, told
from crar_reports.press.publish import Content
from crar_reports.statistics import CHANCE, differ, holm, most_apart

ENOUGH = 4
"""Bases with transfers from which predictors are scored here; `crar predict` asks for more."""
RESOLUTION = 61
"""Places per axis of the placement landscape, as in `crar predict`."""
EDITION = 2
"""Of what is seen of a base; what was kept of another is made again."""


@dataclass(frozen=True)
class DependencePart:
    """What the page shows of the base's part in success.

    Attributes:
        depends: a sentence a group. predicted: whether anything predicts it, in words; "" where nothing is asked.
        features: of a base. predictors: rows of their table. scores: None where nothing is scored. calibration: name of the figure, "" for none.
    """

    depends: list[str]
    predicted: str = ""
    features: list[str] = field(default_factory=list)
    predictors: list[tuple[object, ...]] = field(default_factory=list)
    scores: Scores | None = None
    calibration: str = ""


def dependence_part(
    groups: Groups, bases: Sequence[Row], root: StrPath, figure: str, files: dict[str, Content]
) -> tuple[DependencePart, Decided | None]:
    """What the page shows, and claim S14 by the `freeze` group of most models; None where there is none.

    Args:
        groups: transfers from the bases that are asked of.
        bases: of the table.
        root: the study's folder, where models lie and what is seen of them is kept.
        figure: name of the calibration. files: of the page; it is put among them.
    """
    root = Path(root)
    main = main_group(groups, USUAL)
    found = DependencePart([*depends_words(groups, main), *failing_words(groups, main)])
    if main is None:
        return found, None
    ends = outcomes(groups[main])
    told_of = [row for row in bases if row["cell"] in ends]
    updates = {USUAL: int(main.updates)}
    seen, why = see(told_of, groups[main], root, main)
    if why:
        return replace(found, predicted=f"Nothing is said of predictors: {why}."), replace(depends(ends), updates=updates)
    names = list(next(iter(seen.values())))
    rows = [row for row in told_of if row["cell"] in seen]
    table = Table(
        tuple(names), np.array([[seen[row["cell"]][name] for name in names] for row in rows]),
        np.array([sum(ends[row["cell"]]) for row in rows]), np.array([len(ends[row["cell"]]) for row in rows]), ENOUGH,
    )  # fmt: skip
    predictors: list[tuple[object, ...]] = [
        (base_name(row), f"{k}/{n}", *(seen[row["cell"]][name] for name in names))
        for row, k, n in zip(rows, table.successes, table.trials, strict=True)
    ]
    found = replace(found, features=names, predictors=predictors)
    missing = table.why_not()
    if missing is not None:
        line = f"Predictors are not scored: {missing}."
    else:
        scores = score_predictors(table)
        line = verdict(scores) if len(rows) >= FEWEST else _few(scores)
        drawn = len(rows) >= FEWEST  # of fewer the groups are single bases, whose bars say nothing
        if drawn:
            files[figure] = calibration_figure(scores.rows)
        found = replace(found, scores=scores, calibration=figure if drawn else "")
    return replace(found, predicted=line), replace(depends(ends, line[0].lower() + line[1:].rstrip(".")), updates=updates)


def _few(scores: Scores) -> str:
    """Of few bases the scores are shown, and nothing is called a predictor: resampling so few says too little of how sure they are."""
    constant, *others = scores.rows
    best = min(others, key=lambda row: row.brier.value)
    lowest, plain = best.brier.value, constant.brier.value
    found = (
        f"The lowest Brier score is that of {best.name}, {lowest:.3f} against {plain:.3f} of the constant predictor"
        if lowest < plain
        else f"None has a lower Brier score than the constant predictor, {plain:.3f}; the next is that of {best.name}, {lowest:.3f}"
    )
    return (
        f"Scored on {scores.transfers} transfers from {scores.bases} bases; of fewer than {FEWEST} nothing is called a predictor. {found}."
    )


def see(bases: Sequence[Row], transfers: Sequence[Row], root: StrPath, key: Key) -> tuple[dict[str, dict[str, float]], str]:
    """What a base says of its transfers, by cell, or why there is none of it.

    Args:
        bases: their rows.
        transfers: that start from them, which say from which network.
        root: the study's folder.
        key: of the transfers; what is seen is of the negated maze, so it must be theirs.
    """
    root = Path(root)
    if key.seen != "negative":
        return {}, f"the transfers are through the map {key.seen}, and what is seen of a base is of the negated maze"
    networks: dict[str, tuple[Path, str]] = {}
    found: dict[str, dict[str, float]] = {}
    for row in bases:
        start = next(other["base_start"] for other in transfers if other["base"] == row["cell"])
        path = root / "cells" / row["cell"] / ("best.pt" if start == BEST else "model.pt")
        if path.exists():
            networks[row["cell"]] = path, start
        elif before := _seen_before(path, start, row.get(f"{start}_digest", "")):
            found[row["cell"]] = before.features
    if gone := len(bases) - len(networks) - len(found):
        return {}, f"the networks of {gone} of the {len(bases)} bases are not here, nor what was seen of them"
    with console.progress_bar("study: what the bases say", "bases") as tick:
        for done, (cell, (path, start)) in enumerate(networks.items()):
            tick(done, len(networks))
            try:
                found[cell] = _features(path, start)
            except UserError as error:
                return {}, str(error)
        tick(len(networks), len(networks))
    return found, ""


@dataclass(frozen=True)
class _Features:
    """Of what is seen of a base, what a predictor may use."""

    features: dict[str, float]


def _features(path: Path, start: str) -> dict[str, float]:
    model = load_checkpoint(path)

    def see_now() -> Seen:
        return foresee(model, resolution=RESOLUTION, where=str(path)).seen

    return kept(_file(path, start), _key(model.digest), see_now, _Features).features


def _seen_before(path: Path, start: str, digest: str) -> _Features | None:
    """What was kept of a network that is gone, by the digest that the table has of it; an archive without networks has it still."""
    return look(_file(path, start), _key(digest), _Features) if digest else None


def _file(path: Path, start: str) -> Path:
    return path.with_name(f"foresight-{start}.json")


def _key(digest: str) -> dict[str, object]:
    return {"model": digest, "resolution": RESOLUTION, "edition": EDITION}


def depends_words(groups: Groups, main: Key | None = None) -> list[str]:
    """Whether success depends on the base, a line a group of two bases or more; groups whose transfers all ended alike, or that have one
    transfer of each base, share a line.

    Args:
        groups: transfers from the bases that are asked of.
        main: the group that claim S14 is of, whose test was asked for beforehand; the others are corrected for their number.
    """
    tested: list[tuple[str, float, str, list[list[bool]]]] = []
    lines: list[str] = []
    alike, single = [], []
    for key, group in groups.items():
        shares = list(outcomes(group).values())
        if len(shares) < 2 or not VARIANTS[key.variant].from_base:
            continue
        name, models = f"`{label(key, groups)}`", sum(map(len, shares))
        if len({success(row) for row in told(group)}) == 1:
            alike.append(f"{name} ({sum(map(sum, shares))}/{models} of {len(shares)} bases)")
        elif models == len(shares):
            single.append(f"{name} ({sum(map(sum, shares))}/{models})")
        elif key == main:
            lines.append(f"{name}: success {_word(p := differ(shares), shares)} (p = {p:.2g}; {len(shares)} bases, {models} transfers).")
        else:
            tested.append((name, differ(shares), f"{len(shares)} bases, {models} transfers", shares))
    for (name, p, of, shares), corrected in zip(tested, holm([p for _, p, *_ in tested]), strict=True):
        after = f", {corrected:.2g} by Holm's correction for {len(tested)} tests" if len(tested) > 1 else ""
        lines.append(f"{name}: success {_word(corrected, shares)} (p = {p:.2g}{after}; {of}).")
    if alike:
        lines.append(f"All transfers of a group ended alike, so there is nothing to tell apart: {', '.join(alike)}.")
    if single:
        lines.append(f"One transfer of each base, so bases and transfers cannot be told apart: {', '.join(single)}.")
    return lines


def failing_words(groups: Groups, main: Key | None) -> list[str]:
    """The same asked of the last networks' scores: how many lie below 0 with their whole interval. A final score is of the last validations, so a
    transfer that came up late has failed by it. Nothing where there is no score, or fewer than two bases.

    Args:
        groups: transfers from the bases that are asked of.
        main: the group that claim S14 is of.
    """
    rows = [row for row in told(groups[main]) if row.get("last_score_high")] if main is not None else []
    failing = [[number(row, "last_score_high") < SUCCESS for row in own] for own in by(rows, "base").values()]
    if main is None or len(failing) < 2:
        return []
    shares = ", ".join(f"{sum(own)}/{len(own)}" for own in failing)
    return [
        f"`{label(main, groups)}` by the last networks: {sum(map(sum, failing))}/{len(rows)} score below 0 with their whole interval, by base {shares}; this {_word(p := differ(failing), failing)} "
        f"(p = {p:.2g}). The claim is not decided by it: its measure, the final score, was fixed beforehand."
    ]


def _word(p: float, shares: Sequence[Sequence[bool]]) -> str:
    if p < CHANCE:
        return "depends on the base"
    if differ(most_apart(shares)) >= CHANCE:
        return "could not differ between the bases beyond chance, however these outcomes fell"
    return "does not differ between the bases beyond chance"
