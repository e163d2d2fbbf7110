"""Verdicts come from the figures, and can come out either way."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from reports.claims import EXCEPTIONS, FAILS, HOLDS, UNDECIDED, decide
from reports.many import spreads, verdicts
from reports.measure.dissection import LandscapeOptions, dissect
from reports.measure.subject import load_subject
from reports.samples import BASE, FAILED


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    return dissect(load_subject(FAILED, BASE), LandscapeOptions(quick=True, resolution=5, points=21)).plain()


CHANGES: list[tuple[str, str, Any, str]] = [
    ("S1", "oddness", [0.1, 2.0], HOLDS),
    ("S1", "oddness", [1.0, 2.0], FAILS),
    ("S2", "match.verdict", "swapped", HOLDS),
    ("S2", "match.verdict", "neither", FAILS),
    ("S3", "failed_terms.transition", 0.001, HOLDS),
    ("S3", "failed_terms.transition", 0.005, EXCEPTIONS),
    ("S3", "failed_terms.transition", 0.3, FAILS),
    ("S4", "errors", {"largest": 1.9, "mean": 0.7, "above_two": 0.0, "near": 0.9, "far": 0.5, "near_states": 18}, HOLDS),
    ("S4", "errors", {"largest": 3.0, "mean": 0.7, "above_two": 0.3, "near": 0.9, "far": 0.5, "near_states": 18}, FAILS),
    ("S5", "midpoint", 0.1, HOLDS),
    ("S5", "midpoint", 0.9, EXCEPTIONS),
    ("S6", "paths.frozen.barrier", 0.0001, FAILS),
    ("S6", "paths.frozen.barrier", 0.3, UNDECIDED),
    ("S7", "certificate.verdict", "minimum", HOLDS),
    ("S7", "certificate.verdict", "saddle", FAILS),
    ("S7", "certificate", None, UNDECIDED),
    ("S8", "released.terms.total", 0.08, HOLDS),
    ("S8", "released.terms.total", 0.3, UNDECIDED),
    ("S10", "adapted.terms.total", 0.09, HOLDS),
    ("S10", "adapted.terms.total", 0.3, FAILS),
]


@pytest.mark.parametrize(("claim", "where", "value", "verdict"), CHANGES)
def test_verdict_follows_the_figures(plain: dict[str, Any], claim: str, where: str, value: Any, verdict: str) -> None:
    changed = copy.deepcopy(plain)
    *way, last = where.split(".")
    inner = changed
    for step in way:
        inner = inner[step]
    inner[last] = value
    assert {d.id: d.verdict for d in decide(changed, complete=True)}[claim] == verdict


def test_a_full_search_decides_what_a_quick_one_leaves_open(plain: dict[str, Any]) -> None:
    changed = copy.deepcopy(plain) | {"quick": False}
    changed["paths"]["frozen"] |= {"barrier": 0.3, "converged": True}
    changed["released"]["terms"]["total"] = 0.3
    found = {d.id: d.verdict for d in decide(changed, complete=True)}
    assert (found["S6"], found["S8"]) == (HOLDS, FAILS)


def test_groups_of_models(plain: dict[str, Any]) -> None:
    other = copy.deepcopy(plain)
    other["match"]["verdict"], other["midpoint"] = "neither", plain["midpoint"] + 1
    found = verdicts([plain, other])
    assert found["S1"][0] == HOLDS
    assert found["S2"][0] == "mixed"
    rows = {row[1]: row for row in spreads([plain, other])}
    midpoint = rows["distance of the midpoints from 0, edges"]
    assert float(midpoint[4]) == pytest.approx(float(midpoint[3]) + 1, rel=1e-2)
    assert midpoint[5] == 2


def test_the_same_pair_gives_the_same_figures(plain: dict[str, Any]) -> None:
    again = dissect(load_subject(FAILED, BASE), LandscapeOptions(quick=True, resolution=5, points=21)).plain()
    assert again["shifts"] == plain["shifts"]
    assert again["paths"]["frozen"] == plain["paths"]["frozen"]
    assert again["certificate"]["loss"] == plain["certificate"]["loss"]
