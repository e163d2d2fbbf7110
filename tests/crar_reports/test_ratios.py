"""Ratios over nothing: of a network of zeros, and of a base whose states all lie at one place."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import crar_reports
from crar_model import samples
from crar_model.core.errors import UserError
from crar_model.core.files import as_read, read_json
from crar_model.core.params import DYNAMICS
from crar_model.core.ratio import ratio
from crar_model.models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from crar_reports.claims.evidence import Errors, pair_of, read
from crar_reports.claims.record import FAILS, HOLDS, UNDECIDED, Found, Rule, attempt
from crar_reports.claims.table import CLAIMS, claims_of
from crar_reports.measure.move_errors import transition_errors
from crar_reports.measure.release import adapt
from crar_reports.measure.subject import load_subject, refuse_senseless
from crar_reports.pages.claims_groups import spreads
from crar_reports.pages.escape.one import log_ratio
from crar_reports.press.markdown import number, share


def test_a_ratio_over_nothing() -> None:
    assert ratio(1.0, 2.0) == 0.5
    assert ratio(1.0, 0.0) == math.inf
    assert ratio(-1.0, 0.0) == -math.inf
    assert math.isnan(ratio(0.0, 0.0))
    assert math.isnan(ratio(math.nan, 1.0))
    assert log_ratio(math.e, 1.0) == 1.0
    assert all(math.isnan(log_ratio(*pair)) for pair in ((1.0, 0.0), (0.0, 1.0), (-1.0, -1.0), (math.nan, 1.0)))
    assert (number(None), number(math.nan), number(math.inf), share(None)) == ("-", "-", "inf", "-")


def zeroed(model: Checkpoint, start: str | tuple[str, ...]) -> Checkpoint:
    return replace(model, parameters={name: value * (not name.startswith(start)) for name, value in model.parameters.items()})


def test_a_network_of_zeros_is_measured(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "zero.pt", zeroed(load_checkpoint(samples.FAILED), (*DYNAMICS, "encoder")))
    subject = load_subject(tmp_path / "zero.pt", samples.BASE)
    found = adapt(subject, ("reward",), iterations=1)
    assert found.moved == math.inf or math.isnan(found.moved)
    assert as_read(found.plain())["moved"] in (None, math.inf)
    assert subject.task.maze is not None
    errors = transition_errors(subject, subject.task.maze)
    assert errors["largest"] == 0
    assert math.isnan(errors["worst_share"])


def test_a_collapsed_base_is_named(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "flat.pt", zeroed(load_checkpoint(samples.BASE), "encoder"))
    subject = load_subject(samples.FAILED, tmp_path / "flat.pt")
    with pytest.raises(UserError, match=r"flat\.pt: all its states lie at one place"):
        refuse_senseless(subject)
    assert subject.task.maze is not None
    assert transition_errors(subject, subject.task.maze)["largest"] == math.inf


def test_a_verdict_on_a_figure_that_is_no_number_is_undecided() -> None:
    def judged(e: Errors) -> Found:
        return f"{e.near:.2g}", HOLDS if e.near < 1 else FAILS

    rule = Rule("near below 1", judged)
    assert [rule.decide(read(Errors, {"near": value}))[1] for value in (0.5, 2.0, math.nan, None, math.inf)] == [
        HOLDS, FAILS, UNDECIDED, UNDECIDED, FAILS,
    ]  # fmt: skip
    assert attempt(lambda e: e.near / 2, read(Errors, {"near": math.nan})) is None
    with pytest.raises(TypeError):
        attempt(lambda e: e.near / 2, read(Errors, {"near": "text"}))
    with pytest.raises(AttributeError, match="near"):
        rule.decide(read(Errors, {}))


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    """What was measured on the shipped pair."""
    path = Path(crar_reports.__file__).parents[1] / "reports" / "published" / "landscape" / "results.json"
    found: dict[str, Any] = read_json(path, dict, "")
    return found


def nulled(value: Any, only: tuple[object, ...] = ()) -> list[tuple[tuple[object, ...], Any]]:
    """(place, copy) of plain data with one number replaced by null."""
    found: list[tuple[tuple[object, ...], Any]] = []
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        inner = value[key]
        changed = [((), None)] if isinstance(inner, float) else nulled(inner)
        for at, other in changed[:6]:
            found.append(((key, *at), {**value, key: other} if isinstance(value, dict) else [*value[:key], other, *value[key + 1 :]]))
    return found


def test_no_rule_ends_in_an_error_where_one_figure_is_missing(figures: dict[str, Any]) -> None:
    whole = {claim.id: rule.decide(pair_of(figures, complete=True))[1] for claim, rule in claims_of(complete=True)}
    seen = 0
    for key, value in figures.items():
        for at, d in nulled({key: value}):
            pair = pair_of(figures | d, complete=True)
            for claim, rule in claims_of(complete=True):
                verdict = rule.decide(pair)[1]
                assert verdict in (whole[claim.id], UNDECIDED), (at, claim.id)
                seen += verdict != whole[claim.id]
    assert seen > 10
    assert {row[0] for row in spreads([pair_of(figures | {"oddness": [None, None]}, complete=True)])} >= {claim.id for claim in CLAIMS[1:4]}
