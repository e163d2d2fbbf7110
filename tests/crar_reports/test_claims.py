"""What a dissection of the shipped pair gives to the rules; tests/crar_reports/test_rules.py holds the rules themselves."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from crar_model.core.params import DYNAMICS, select
from crar_model.mazes.simple import simple_maze
from crar_model.samples import BASE, FAILED
from crar_reports.claims.evidence import pair_of
from crar_reports.claims.record import HOLDS
from crar_reports.claims.table import decide
from crar_reports.measure.dissection import Dissection, dissect
from crar_reports.measure.move_errors import transition_errors
from crar_reports.measure.options import LandscapeOptions
from crar_reports.measure.paths import Effort, find_passage
from crar_reports.measure.subject import load_subject
from crar_reports.pages.claims_groups import spreads, verdicts


@pytest.fixture(scope="module")
def found() -> Dissection:
    return dissect(load_subject(FAILED, BASE), LandscapeOptions(quick=True, resolution=5, points=21))


@pytest.fixture(scope="module")
def plain(found: Dissection) -> dict[str, Any]:
    return found.plain()


def test_the_reference_is_the_copy_converged_as_the_failed_model_is(found: Dissection, plain: dict[str, Any]) -> None:
    assert plain["reference"]["verdict"] == "minimum"
    assert plain["reference"]["match"]["verdict"] == "matched"
    assert plain["reference"]["start"] == pytest.approx(plain["copy_terms"]["total"], rel=1e-9)
    assert plain["optimum_terms"]["total"] == pytest.approx(plain["reference"]["loss"], rel=1e-9)
    assert plain["optimum_terms"]["total"] < 0.99 * plain["copy_terms"]["total"]
    # Lines and paths end there.
    assert plain["barriers"]["embedding"]["total"]["end"] == pytest.approx(plain["reference"]["loss"], rel=1e-9)
    assert plain["paths"]["frozen"]["end"] == pytest.approx(plain["reference"]["loss"], rel=1e-6)
    assert plain["paths"]["frozen"]["start"] == pytest.approx(plain["certificate"]["loss"], rel=1e-9)
    assert found.lowest == ("reference", plain["optimum_terms"]["total"])
    assert found.reference_name == "global optimum"


def test_a_reference_with_something_below_it_is_not_called_the_optimum(found: Dissection) -> None:
    lower = replace(found.released, terms=found.released.terms | {"total": 0.9 * found.optimum.terms["total"]})
    other = replace(found, released=lower)
    assert other.lowest == ("released model", lower.terms["total"])
    assert other.reference_name == "reference"


def test_the_floor_of_the_moves_that_change_nothing(plain: dict[str, Any]) -> None:
    assert plain["floor"]["consecutive"] == pytest.approx(34 / 124, rel=6e-3)
    assert plain["floor"]["total"] == pytest.approx(0.2 * plain["floor"]["consecutive"])


def test_errors_are_in_lengths_of_the_very_move(plain: dict[str, Any]) -> None:
    errors = plain["errors"]
    assert (errors["moves"], errors["near_states"], errors["states"], errors["board_near"], errors["board"]) == (90, 18, 31, 28, 64)
    subject = load_subject(FAILED, BASE)
    base, maze = subject.embedding(subject.copy), simple_maze()
    worst = 0.0
    for state in range(31):
        for action in range(4):
            after = int(maze.successor[state, action])
            if after != state:
                x = subject.embedding(subject.failed)
                moved = subject.agent.transition(subject.failed, x[state].view(1, -1), subject.batch.action[action].view(1))[0]
                worst = max(worst, float((moved - x[after]).norm() / (base[after] - base[state]).norm()))
    assert transition_errors(subject, maze)["largest"] == pytest.approx(worst, rel=1e-9)


@pytest.mark.parametrize("space", ["embedding", "weight"])
def test_where_the_first_paths_refute_nothing_unlike_searches_follow(space: str) -> None:
    subject = load_subject(FAILED, BASE)
    effort = Effort(images=5, iterations=4, zooms=0, lift=False)
    passage = find_passage(subject, select(subject.failed, ("encoder",)), DYNAMICS, None, space=space, align=False, effort=effort)
    names = ["straight", "Bezier curve", "turned left", "turned right", "shaken 0", "shaken 1", "the free path's encoders"]
    assert list(passage.searches) == names
    assert passage.frozen.barrier == min(path.barrier for path in passage.searches.values())
    start, end = (float(subject.terms(params)["total"]) for params in (subject.failed, subject.optimum))
    for path in passage.searches.values():
        assert [float(path.heights[0]), float(path.heights[-1])] == pytest.approx([start, end], rel=1e-9)
    assert len({round(path.barrier, 6) for path in passage.searches.values()}) >= 5  # unlike ones
    quiet = find_passage(
        subject, select(subject.failed, ("encoder",)), DYNAMICS, None, space=space, align=False, effort=replace(effort, searches=False)
    )
    assert list(quiet.searches) == names[:2]
    assert passage.straight["embedding"] == pytest.approx(0.3433, rel=1e-3)
    assert set(passage.straight) == {"embedding", "weight", "aligned"}


def test_every_claim_is_decided(plain: dict[str, Any]) -> None:
    assert [d.id for d in decide(plain, complete=True)] == [f"S{k}" for k in range(1, 11)]


def test_groups_of_models(plain: dict[str, Any]) -> None:
    other = copy.deepcopy(plain)
    other["match"]["verdict"], other["midpoint"] = "neither", plain["midpoint"] + 1
    pairs = [pair_of(one, complete=True) for one in (plain, other)]
    found = verdicts(pairs)
    assert found["S1"][0] == HOLDS
    assert found["S2"][0] == "mixed"
    rows = {row[1]: row for row in spreads(pairs)}
    midpoint = rows["distance of the midpoints from 0, edges"]
    assert float(midpoint[4]) == pytest.approx(float(midpoint[3]) + 1, rel=1e-2)
    assert midpoint[5] == 2


def test_the_same_pair_gives_the_same_figures(plain: dict[str, Any]) -> None:
    again = dissect(load_subject(FAILED, BASE), LandscapeOptions(quick=True, resolution=5, points=21)).plain()
    assert again["shifts"] == plain["shifts"]
    assert again["paths"]["frozen"] == plain["paths"]["frozen"]
    assert again["certificate"]["loss"] == plain["certificate"]["loss"]
