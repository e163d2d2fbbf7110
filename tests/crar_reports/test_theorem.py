"""Claim S9: the linear case with its exceptions, and a trained model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sympy as sp
import torch

from crar_model.core.params import DYNAMICS, select
from crar_model.samples import BASE, FAILED
from crar_reports.measure.linear_theorem import Statement, statements
from crar_reports.measure.paths import turned
from crar_reports.measure.shifts import landscape_shifts
from crar_reports.measure.subject import load_subject
from crar_reports.pages.theorem import write_theorem
from landscape_tools import difference
from tests.crar_reports.pages import summary_of, whole_page

CASES = [(s, name) for s in statements() for name, _ in s.exceptions]


@pytest.mark.parametrize("statement", statements(), ids=lambda s: s.name)
def test_identities_are_proven_and_not_empty(statement: Statement) -> None:
    assert statement.proven
    assert sp.simplify(statement.difference) != 0  # in general the dynamics do change it


@pytest.mark.parametrize(("statement", "name"), CASES, ids=[name for _, name in CASES])
def test_every_exception_leaves_nothing(statement: Statement, name: str) -> None:
    values = dict(statement.exceptions)[name]
    assert sp.simplify(statement.difference.subs(values, simultaneous=True)) == 0
    again = {symbol: values.get(symbol, symbol) for symbol in sp.symbols("w1 w2 b1 b2", real=True)}
    w1, w2, b1, b2 = again.values()
    assert sp.simplify(w1 - w2) != 0 or sp.simplify(b1 - b2) != 0  # the dynamics do differ


def test_the_landscape_of_a_trained_encoder() -> None:
    subject = load_subject(FAILED, BASE)
    towards = {name: value + 0.01 for name, value in subject.failed.items()}
    shifts = {s.way: s for s in landscape_shifts(subject, towards).rows}
    for way, s in shifts.items():
        if way.startswith("0 of the way"):
            assert (s.distance, s.values, s.gradients) == (0.0, 0.0, 0.0)  # exactly
        elif "of the way" in way:
            assert s.values > 0
            assert s.gradients > 0
    exchanged = shifts["hidden units exchanged and negated"]
    assert exchanged.distance > 1
    assert exchanged.values < 1e-12
    assert shifts["mirrored, T'(x) = -T(-x)"].values > 1e-2
    assert shifts["mirrored, seen from the mirrored encoders"].values < 1e-12


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_turned_agent_has_the_same_losses(quarters: int) -> None:
    """By quarter turns even `ball`; half a turn is the swapped embedding with dynamics that fit it."""
    subject = load_subject(FAILED, BASE)
    other = turned(subject.agent, subject.optimum, quarters)
    before, after = subject.terms(subject.optimum), subject.terms(other)
    for name in ("transition", "reward", "discount", "ball", "random_pairs", "consecutive", "value", "total"):
        assert float(after[name]) == pytest.approx(float(before[name]), rel=1e-9, abs=1e-15)
    if quarters == 2:
        assert torch.allclose(subject.embedding(other), -subject.embedding(subject.optimum))
    assert difference(select(other, DYNAMICS), select(subject.optimum, DYNAMICS))


@pytest.mark.usefixtures("as_published")
def test_theorem_report(tmp_path: Path) -> None:
    text = write_theorem(FAILED, BASE, tmp_path, command="crar theorem --out x").read_text()
    assert "crar theorem --out x" in text
    assert any("not moved, by 0." in line for line in summary_of(text))
    assert "NOT proven" not in text
    whole_page(tmp_path / "report.md")
    assert "opposite residuals" in text
    results = json.loads((tmp_path / "results.json").read_text())
    assert [f["way"] for f in results["descents"]] == ["own", "towards the adapted dynamics", "in a random direction"]
    assert results["descents"][0]["level"] > 2 > results["descents"][1]["level"]  # adapted, the same embedding is near the base's level
    assert f"The claim on this model: **{results['verdict']}**" in text
    assert results["verdict"] == "holds with exceptions"
    assert (tmp_path / "shifts.png").stat().st_size < 200_000
