"""What keeps a test or a prediction honest: fitted without what it is asked of, corrected for how many were asked, and nothing where too few are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from crar_reports.measure import forecast
from crar_reports.measure.forecast import Table, held_out, score_predictors
from crar_reports.pages.escape import many as escapes
from crar_reports.pages.escape.records import Escapes, Grid, Relation, Row
from crar_reports.pages.study import dependence
from crar_reports.pages.study.dependence import depends_words
from crar_reports.pages.study.rows import groups_of
from crar_reports.statistics import FEWEST_GROUPS, differ, holm, interquartile
from tests.crar_reports.study_rows import text_rows, transfer
from tests.crar_reports.test_predict import made


def test_a_predictor_never_sees_the_base_that_it_is_asked_of() -> None:
    table = Table(("number",), np.arange(9.0)[:, None], np.arange(9) % 3, np.full(9, 3))
    asked: list[list[float]] = []

    def watched(others: Table) -> forecast.Fit:
        asked.append(others.features[:, 0].tolist())
        assert len(others.successes) == len(others.trials) == len(others.features)
        return lambda features: float(features[0])

    assert held_out(table, watched).tolist() == list(range(9))
    assert asked == [[float(k) for k in range(9) if k != base] for base in range(9)]


def test_the_gain_of_a_predictor_is_held_against_as_many_as_were_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gain whose plain 95 % interval lies below 0, and the corrected one does not, is no prediction; asked alone it is one."""
    values = np.concatenate(([-0.1], np.linspace(-1, 0.02, 10_000)))  # 1.96 % lie above 0: between 1.25 and 2.5
    monkeypatch.setattr(forecast, "_brier", lambda table, p, weights: values if p[0] >= 0 else np.zeros_like(values))
    some: dict[str, Any] = {"constant": lambda _: lambda _: -1.0, "one": lambda _: lambda _: 0.5, "other": lambda _: lambda _: 0.5}
    monkeypatch.setattr(forecast, "PREDICTORS", some)
    found = score_predictors(made(12, 1.0, 0))
    assert [row.gain.confidence for row in found.rows if row.gain] == pytest.approx([0.975, 0.975])
    assert found.predicts == ()
    del some["other"]
    alone = score_predictors(made(12, 1.0, 0))
    assert alone.rows[1].gain is not None
    assert (alone.rows[1].gain.confidence, alone.predicts) == (pytest.approx(0.95), ("one",))


def test_fewer_bases_than_said_are_not_scored() -> None:
    assert made(forecast.FEWEST - 1, 1.0, 0).why_not() is not None
    assert made(forecast.FEWEST, 1.0, 0).why_not() is None


def test_holm_goes_down_the_steps() -> None:
    assert holm([0.01, 0.02, 0.03, 0.04]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]


def test_a_relation_counts_by_its_corrected_p() -> None:
    def said(p: float, corrected: float) -> str:
        row = Row(
            name="a", path="a", base="b", base_digest="b", verdict="minimum", loss=1.0, barrier=1.0, log_ratio=0.0, lowest=0.0, highest=1.0, cells=[],
            left=1, seeds=2, matched=0, diverged=0,
        )  # fmt: skip
        relation = Relation("r", "barrier", "left", bases=8, attainable=0.001, rho=-0.9, p=p, corrected=corrected)
        return escapes.verdict(Escapes("", Grid(updates=10), came_back=0, rows=[row], relations=[relation]))

    assert "Nothing that a minimum looks like" in said(0.02, 0.16)
    assert "What goes together" in said(0.005, 0.04)


def test_relations_are_corrected_for_as_many_as_could_be_told() -> None:
    """By Holm's method over looks, outcomes and recipes together."""
    rows = [
        Row(
            name="", path="", base="", base_digest=f"{recipe} {k}", verdict="minimum", loss=1.0, barrier=0.1 * k, log_ratio=float((k * 5) % 7),
            lowest=float((k * 3) % 7), highest=float((k * 2) % 7), cells=[], left=10 * k + k % 3, seeds=100, matched=(k * 4) % 7, diverged=0, recipe=recipe,
        )
        for recipe in ("one", "other")
        for k in range(7)
    ]  # fmt: skip
    told = [one for one in escapes.relations(rows) if one.p is not None and one.corrected is not None]
    assert len(told) == 16
    plain = [one.p for one in told if one.p is not None]
    assert [one.corrected for one in told] == holm(plain)
    assert min(holm(plain)) == pytest.approx(16 * min(plain))


def test_a_group_depends_on_its_base_by_its_corrected_p(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four groups of a p of 0.03 each are none beyond chance; one alone is."""
    rows = [transfer(k, base, good=base == "a" and k < 3, learning_rate=rate, cell=f"{rate} {base} {k}")
            for rate in (1e-5, 1e-4, 1e-3, 1e-2) for base in "abc" for k in range(4)]  # fmt: skip
    monkeypatch.setattr(dependence, "differ", lambda groups: 0.03)
    many = depends_words(groups_of(text_rows(rows)))
    assert len(many) == 4
    assert not any("depends on the base" in line for line in many)
    assert all("0.12 by Holm's correction for 4 tests" in line for line in many)
    (one,) = depends_words(groups_of(text_rows(rows[:12])))
    assert "success depends on the base (p = 0.03;" in one


def test_three_bases_give_no_interval_and_four_do() -> None:
    groups = [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, 7.0]]
    assert FEWEST_GROUPS == 4
    assert all(math.isnan(bound) for bound in interquartile(groups[:3])[1:])
    mean, low, high = interquartile(groups)
    assert low < mean == 3.5 < high
    assert interquartile([*groups[:3], []])[1:] != interquartile(groups)[1:]  # an empty base is none


def test_whether_bases_differ_deals_the_outcomes_anew() -> None:
    assert differ([[True] * 4, [False] * 4, [False] * 4]) < 0.01
    assert differ([[True, False, False, False]] * 3) == 1
