"""`crar landscape` of a model that names no base."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from typer.testing import CliRunner

from cli import app
from crar_model.core.errors import UserError
from crar_model.mazes.simple import simple_maze
from crar_model.models.checkpoints import load_checkpoint, save_checkpoint
from crar_model.models.evaluation import evaluate
from crar_model.models.original import exported, import_network
from crar_model.samples import BASE, FAILED
from crar_reports.claims.record import EXCEPTIONS, FAILS, HOLDS, UNDECIDED
from crar_reports.claims.table import CLAIMS, decide_alone, need_a_base
from crar_reports.face.pairs import stands_alone
from crar_reports.measure.without_reference import lone_subject
from tests.crar_reports.pages import whole_page


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped failed transfer, as a network of the original code that was imported."""
    folder = tmp_path_factory.mktemp("imported")
    np.savez(folder / "net.npz", **exported(load_checkpoint(FAILED).parameters))
    save_checkpoint(folder / "model.pt", import_network(folder / "net.npz", "simple-inverse"))
    return folder / "model.pt"


@pytest.fixture(scope="module")
def folder(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its page, by the command."""
    out = tmp_path_factory.mktemp("alone") / "page"
    done = CliRunner().invoke(app, ["landscape", "--quick", "--resolution", "5", "--from", str(model), "--out", str(out)])
    assert done.exit_code == 0, done.output
    return out


@pytest.fixture(scope="module")
def plain(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return found


def test_the_figures_are_those_of_the_model(plain: dict[str, Any]) -> None:
    model = load_checkpoint(FAILED)
    own = evaluate(model.task, model.parameters, inverse=True, settings=model.settings.loss)
    assert plain["terms"]["transition"] == pytest.approx(own.terms["transition"])
    assert plain["terms"]["total"] == pytest.approx(own.terms["total"])
    assert plain["accuracy"] == own.metrics["nearest_state_accuracy"]
    assert plain["certificate"]["start"] == pytest.approx(own.terms["total"])
    assert plain["certificate"]["loss"] == pytest.approx(plain["stationary_terms"]["total"], rel=1e-6)
    assert plain["certificate"]["subgradient_norm"] < 1e-6
    assert plain["adapted"]["terms"]["transition"] < 0.1 * plain["terms"]["transition"]
    assert plain["adapted"]["terms"]["consecutive"] == plain["terms"]["consecutive"]  # its embedding stays
    assert plain["adapted"]["match"]["identity_edges"] == 0
    assert plain["released"]["terms"]["total"] < plain["stationary_terms"]["total"]


def test_the_floor_is_what_a_spread_out_embedding_leaves(model: Path) -> None:
    """Of any embedding: `consecutive` of states as far apart as one likes, all of whose moves but those that change nothing cost nothing."""
    subject = lone_subject(model)
    apart = torch.arange(simple_maze().n_states, dtype=torch.float64).unsqueeze(1).repeat(1, 2) * 100
    terms = subject.terms(subject.dynamics, apart)
    assert subject.settings.beta * float(terms["consecutive"]) == pytest.approx(subject.floor["total"], rel=1e-4)


def test_the_surface_stands_on_the_models_own_numbers(folder: Path, plain: dict[str, Any]) -> None:
    with xr.open_dataset(folder / "surface.nc", engine="h5netcdf") as surface:
        at = {(x, y): float(surface["total"].sel(x=x, y=y, method="nearest")) for x, y in ((0.0, 0.0), (0.0, 1.0))}
    assert at[0.0, 0.0] == pytest.approx(plain["terms"]["total"])
    assert at[0.0, 1.0] == pytest.approx(plain["adapted"]["terms"]["total"])


def test_the_page_says_what_was_found(folder: Path, plain: dict[str, Any]) -> None:
    text = (folder / "report.md").read_text()
    whole_page(folder / "report.md")
    assert "(imported, from `net.npz`)" in text
    assert f"end at {plain['released']['terms']['total']:.3g}" in text
    assert f"| verdict | **{plain['certificate']['verdict']}** |" in text
    for claim in plain["claims"]:
        assert f"| {claim['id']} | {claim['claim']} | {claim['figure']} | **{claim['verdict']}** |" in text
    assert all(f"{claim.id} ({claim.text})" in text for claim in need_a_base())
    assert "made with `--quick`" in text
    page = (folder / "surface.html").read_text()
    assert "own encoder, adapted dynamics" in page
    assert "global optimum" not in page


def test_every_claim_is_decided_or_needs_a_base() -> None:
    known, alone = ({claim.id for claim in CLAIMS if rule(claim)} for rule in (lambda claim: claim.listed, lambda claim: claim.alone))
    assert alone | {claim.id for claim in need_a_base()} == known
    assert {claim.id for claim in need_a_base()} == {"S2", "S3", "S5", "S6"}


CHANGES: list[tuple[str, dict[str, Any], str]] = [
    ("S1", {"oddness": [0.1, 2.0]}, HOLDS),
    ("S1", {"oddness": [1.0, 2.0]}, FAILS),
    ("S4", {"errors.largest": 1.9, "errors.near": 0.9}, HOLDS),
    ("S4", {"errors.largest": 1.9, "errors.near": None, "errors.board": 0}, HOLDS),
    ("S4", {"errors.largest": 3.0, "errors.above_two": 0.05}, EXCEPTIONS),
    ("S4", {"errors.largest": 3.0, "errors.above_two": 0.3}, FAILS),
    ("S7", {"certificate.verdict": "minimum", "released.terms.total": 0.1}, HOLDS),
    ("S7", {"certificate.verdict": "minimum", "released.terms.total": 0.36, "adapted.terms.total": 0.36}, UNDECIDED),
    ("S7", {"certificate.verdict": "saddle"}, FAILS),
    ("S7", {"certificate.verdict": "flat"}, UNDECIDED),
    ("S7", {"certificate.verdict": "undecided"}, UNDECIDED),
    ("S7", {"certificate.verdict": "not converged"}, UNDECIDED),
    ("S8", {"released.terms.total": 0.1}, HOLDS),
    ("S8", {"released.terms.total": 0.35, "quick": True}, UNDECIDED),
    ("S8", {"released.terms.total": 0.35, "quick": False}, FAILS),
    ("S9", {}, EXCEPTIONS),
    ("S9", {"shifts.0.values": 1e-3}, FAILS),
    ("S9", {"shifts.2.values": 0.0}, FAILS),
    ("S10", {"adapted.terms.total": 0.1}, HOLDS),
    ("S10", {"adapted.terms.total": 0.41}, FAILS),
]


@pytest.mark.parametrize(("claim", "changes", "verdict"), CHANGES)
def test_verdict_follows_the_figures(plain: dict[str, Any], claim: str, changes: dict[str, Any], verdict: str) -> None:
    changed = copy.deepcopy(plain)
    for where, value in changes.items():
        *way, last = where.split(".")
        inner: Any = changed
        for name in way:
            inner = inner[int(name)] if isinstance(inner, list) else inner[name]
        inner[last] = value
    assert {decision.id: decision.verdict for decision in decide_alone(changed)}[claim] == verdict


def test_which_models_are_looked_at_alone(model: Path, random_base: Path, tmp_path: Path) -> None:
    assert stands_alone(model, None, None)
    assert not stands_alone(None, None, None)  # the shipped pair
    assert not stands_alone(model, BASE, None)
    assert not stands_alone(FAILED, None, None)  # it names its base
    assert not stands_alone(BASE, None, None)  # a base, which is no transfer
    random = load_checkpoint(random_base / "member-0.pt")
    save_checkpoint(tmp_path / "random.pt", replace(random, info={"variant": "imported"}))
    assert not stands_alone(tmp_path / "random.pt", None, None)
    with pytest.raises(UserError, match=r"random\.pt: a model of random mazes, which needs its base"):
        lone_subject(tmp_path / "random.pt")
