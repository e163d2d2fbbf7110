"""Whether success depends on the base, and what predicts it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from crar_model import samples
from crar_model.models.checkpoints import load_checkpoint
from crar_reports.claims.record import HOLDS
from crar_reports.measure.forecast import Estimate, Scored, Scores
from crar_reports.pages.study import dependence
from crar_reports.pages.study.rows import groups_of
from crar_reports.press.publish import Content
from crar_reports.statistics import differ
from tests.crar_reports.study_rows import a_study, text_rows, transfer


def four_bases(root: Path, hits: Sequence[int]) -> list[dict[str, str]]:
    """A table whose cells hold the shipped base."""
    rows = text_rows(a_study(hits))
    for one in rows[: len(hits)]:
        (root / "cells" / one["cell"]).mkdir(parents=True)
        shutil.copy(samples.BASE, root / "cells" / one["cell"] / "best.pt")
    return rows


def test_what_a_base_says_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependence, "RESOLUTION", 9)
    rows = four_bases(tmp_path, [4, 0])
    bases, groups = rows[:2], groups_of(rows[2:])
    found, decided = dependence.dependence_part(groups, bases, tmp_path, "c.png", {})
    assert found.predicted == "Predictors are not scored: 2 bases with transfers, fewer than 4."
    assert "log oddness" in found.features
    assert len(found.predictors) == 2
    assert decided is not None
    assert "fewer than 4" in decided.figure

    def never(*_: object, **__: object) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr(dependence, "foresee", never)
    assert dependence.dependence_part(groups, bases, tmp_path, "c.png", {})[0] == found
    monkeypatch.setattr(dependence, "EDITION", 0)
    with pytest.raises(AssertionError, match="asked again"):
        dependence.dependence_part(groups, bases, tmp_path, "c.png", {})
    for one in rows[2:]:
        one["observation_map"] = "mirror"
    assert "through the map mirror" in dependence.dependence_part(groups_of(rows[2:]), bases, tmp_path, "c.png", {})[0].predicted


def test_what_was_seen_of_networks_that_are_gone_still_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive without networks has it; of another network it says nothing."""
    monkeypatch.setattr(dependence, "RESOLUTION", 9)
    rows = four_bases(tmp_path, [4, 0])
    digest = load_checkpoint(samples.BASE).digest
    bases, groups = [one | {"best_digest": digest} for one in rows[:2]], groups_of(rows[2:])
    found, _ = dependence.dependence_part(groups, bases, tmp_path, "c.png", {})
    for network in tmp_path.glob("cells/*/best.pt"):
        network.unlink()
    assert dependence.dependence_part(groups, bases, tmp_path, "c.png", {})[0] == found
    bases[1]["best_digest"] = "another"
    lost, _ = dependence.dependence_part(groups, bases, tmp_path, "c.png", {})
    assert lost.predicted == "Nothing is said of predictors: the networks of 1 of the 2 bases are not here, nor what was seen of them."


def test_predictors_are_scored_from_four_bases_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter(range(100))
    monkeypatch.setattr(dependence, "foresee", lambda *_, **__: SimpleNamespace(seen={"features": {"number": float(next(calls))}}))
    rows = four_bases(tmp_path, [0, 0, 4, 4])
    found, decided = dependence.dependence_part(groups_of(rows[4:]), rows[:4], tmp_path, "calibration.png", {})
    assert [line[:3] for line in found.predictors] == [
        ("g/0", "0/4", 0.0),
        ("g/1", "0/4", 1.0),
        ("g/2", "4/4", 2.0),
        ("g/3", "4/4", 3.0),
    ]
    assert found.calibration == ""  # a base a group
    assert "on 16 transfers from 4 bases; of fewer than 8 nothing is called a predictor" in found.predicted
    monkeypatch.setattr(dependence, "FEWEST", 4)
    files: dict[str, Content] = {}
    enough = dependence.dependence_part(groups_of(rows[4:]), rows[:4], tmp_path, "c.png", files)[0]
    assert found.predicted != enough.predicted
    assert [enough.calibration] == list(files) == ["c.png"]
    assert decided is not None
    assert decided.verdict == HOLDS
    all_alike = groups_of(text_rows(a_study([4, 4, 4, 4]))[4:])
    assert "all 16 transfers succeeded" in dependence.dependence_part(all_alike, rows[:4], tmp_path, "c.png", {})[0].predicted


def test_groups_without_a_difference_share_a_line() -> None:
    rows = [
        *a_study([0, 4, 0, 4], 4),
        *(transfer(k, f"b{number}", good=False, variant="omit-ball") for number in range(2) for k in range(3)),
        transfer(0, "b0", good=True, variant="scratch"),
    ]
    lines = dependence.depends_words(groups_of(one for one in text_rows(rows) if one["variant"] != "base"))
    assert [line.split(":")[0] for line in lines] == [
        "`freeze, 0.0005, joint`",
        "All transfers of a group ended alike, so there is nothing to tell apart",
    ]
    assert "depends on the base" in lines[0]
    assert "4 bases, 16 transfers" in lines[0]
    assert lines[1].endswith("`unfreeze, 0.0005, joint` (8/8 of 4 bases), `omit-ball, 0.0005, joint` (0/6 of 2 bases).")


def test_many_tests_are_corrected_for_their_number() -> None:
    rows = [
        transfer(k, f"b{number}", good=k < count, variant=variant)
        for variant, counts in (("freeze", (0, 1, 3, 4)), ("unfreeze", (2, 2, 1, 2)))
        for number, count in enumerate(counts)
        for k in range(4)
    ]
    one, two = (dependence.depends_words(groups_of(text_rows(some))) for some in (rows[:16], rows))
    assert "Holm" not in one[0]
    asked = groups_of(text_rows(rows))
    assert dependence.depends_words(asked, next(iter(asked)))[0] == one[0]  # the test of claim S14 is not one of many
    first = differ([[k < count for k in range(4)] for count in (0, 1, 3, 4)])
    assert two[0].endswith(f"(p = {first:.2g}, {2 * first:.2g} by Holm's correction for 2 tests; 4 bases, 16 transfers).")
    assert ("depends on the base" in one[0], "depends on the base" in two[0]) == (first < 0.05, 2 * first < 0.05) == (True, False)


def test_a_predictor_below_the_constant_is_called_none() -> None:
    def scores(brier: float) -> Scores:
        some = Estimate(0.0, 0.0, 0.0, 0.95)
        rows = (
            Scored(name, Estimate(value, 0.0, 1.0, 0.95), some, None, None, better=False, predicted=(), calibration=())
            for name, value in (("constant", 0.2), ("logistic", brier))
        )
        return Scores(4, 8, 2, tuple(rows), (), ())

    assert "The lowest Brier score is that of logistic, 0.100 against 0.200" in dependence._few(scores(0.1))
    assert "None has a lower Brier score than the constant predictor, 0.200; the next is that of logistic, 0.300" in dependence._few(
        scores(0.3)
    )


def test_one_success_cannot_show_a_difference() -> None:
    rows = [transfer(k, f"b{number}", good=(number, k) == (0, 0)) for number in range(4) for k in range(2)]
    assert "could not differ between the bases beyond chance" in dependence.depends_words(groups_of(text_rows(rows)))[0]


def test_networks_that_came_up_late_are_asked_too() -> None:
    rows = [
        transfer(k, base, good=False, last_score_low=-1 if late else -3, last_score_high=0.5 if late else -2)
        for base, late in (("b0", True), ("b1", False))
        for k in range(4)
    ]
    ((main, group),) = groups_of(text_rows(rows)).items()
    (line,) = dependence.failing_words({main: group}, main)
    assert "4/8 score below 0 with their whole interval, by base 0/4, 4/4; this depends on the base" in line
    assert dependence.failing_words({main: group[:4]}, main) == []
    assert dependence.failing_words({main: [{**row, "last_score_high": ""} for row in group]}, main) == []
