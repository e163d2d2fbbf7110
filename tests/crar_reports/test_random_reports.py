from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
import xarray as xr

from crar_model.agent.loss import SHOWN
from crar_model.core.errors import UserError
from crar_model.core.params import select
from crar_model.core.settings import TrainSettings
from crar_model.models.checkpoints import load_checkpoint
from crar_model.samples import RANDOM_BASE, as_given
from crar_model.tasks import batches
from crar_model.tasks.batches import held_out_batch
from crar_model.training.members import transfer_plan
from crar_model.training.runner import run_plan
from crar_reports.figures.explorer import MOST_BYTES
from crar_reports.figures.explorer_maps import WEIGHTS, cure_line, line_way
from crar_reports.measure import dissection, release
from crar_reports.measure.mended import Mended
from crar_reports.measure.options import LandscapeOptions
from crar_reports.measure.sample_minimum import Budget, SampleTotal
from crar_reports.measure.sample_paths import on_samples
from crar_reports.measure.shown_states import chosen_rows, encoder_along
from crar_reports.measure.subject import load_subject
from crar_reports.measure.surface import surface_axis
from crar_reports.pages import claims as many
from crar_reports.pages.landscape.page import write_landscape
from crar_reports.press.typed import unpacked
from landscape_tools import flatten
from landscape_tools.sampled import difference_product
from tests.crar_reports.explorer_data import data_of
from tests.crar_reports.pages import whole_page
from tests.drawn import draw_as_published


@pytest.fixture(scope="module")
def shipped_freeze(random_settings: TrainSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transfer of the shipped base after six updates: a pair that makes sense."""
    folder = tmp_path_factory.mktemp("shipped-freeze") / "run"
    run_plan(transfer_plan(random_settings, [RANDOM_BASE], "freeze", 1), folder, tensorboard=False)
    return folder / "member-0.pt"


SAMPLE = 256
"""Transitions of the page's samples, some of them terminal."""


@pytest.fixture(scope="module")
def page(shipped_freeze: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A landscape report of the random mazes, everything cut short."""
    folder = tmp_path_factory.mktemp("landscape")
    with pytest.MonkeyPatch.context() as patch:
        draw_as_published(patch)
        patch.setattr(release, "QUICK_UPDATES", 3)
        patch.setattr(dissection, "QUICK_EPISODES", 3)
        patch.setattr(batches, "TABLE_SIZE", 1024)
        patch.setattr(batches, "LEAST_MAPS", 20)
        patch.setattr(batches, "SAMPLE_SEED", 19_000)  # either sample has one terminal transition
        patch.setattr(dissection, "QUICK_BUDGET", Budget(iterations=1, steps=2, bends=1, images=3, moves=1, samples=2))
        options = LandscapeOptions(points=3, resolution=3, quick=True, sample=SAMPLE)
        write_landscape(shipped_freeze, RANDOM_BASE, folder, options=options, command="crar landscape")
    return folder


def test_landscape_of_the_random_mazes_has_its_parts(page: Path) -> None:
    names = {file.name for file in page.iterdir()}
    assert {"report.md", "results.json", "lines.nc", "surface.nc", "surface.html", "states.png", "lines.png", "surface.png"} <= names
    assert {link["href"] for link in whole_page(page / "report.md").all("a")} >= {"surface.html", "lines.nc", "results.json"}
    data, pair = (
        data_of(page / "explorer.html"),
        load_subject(Path(json.loads((page / "results.json").read_text())["failed"]["path"]), RANDOM_BASE),
    )
    assert data["net"] is None
    assert (page / "explorer.html").stat().st_size < MOST_BYTES
    rows = (pair.batch.terminated == 0).nonzero().flatten()[:4]
    state = pair.embedding(pair.failed)[pair.batch.state[rows]]
    moved = pair.agent.transition(pair.failed, state, pair.batch.action[rows])
    maps, column, row = data["maps"], data["maps"]["at"].tolist().index(0.0), data["maps"]["rows"].tolist().index(0.0)
    np.testing.assert_allclose(maps["state"][column], state.numpy(), atol=1e-5)
    np.testing.assert_allclose(maps["predicted"][row, column], moved.detach().numpy(), atol=1e-5)
    assert {way["name"] for way in data["ways"]} == {"straight", "frozen", "free"}
    bars = next(way["bars"] for way in data["ways"] if way["name"] == "straight")
    k = bars["at"].tolist().index(0.0)
    wanted = pair.terms(pair.dynamics, pair.embedding(pair.failed))
    assert {name: values[k] for name, values in bars["values"].items()} == pytest.approx(
        {name: float(wanted[name]) for name in SHOWN if name not in ("total", "value")} | {"value": bars["values"]["value"][k]}, rel=1e-4
    )
    assert all(way.get("bars") is not None or "not its terms" in way["thinned"] for way in data["ways"])
    assert "Thinned" in " ".join(data["notes"])
    assert "with --cured" in " ".join(data["notes"])
    text = (page / "report.md").read_text()
    assert "first layer negated" in text
    assert "512 held-out transitions" in text
    assert "1,024 held-out transitions" in text
    for name in ("S2", "S3", "S6", "S7", "S8", "S9", "S10", "S11"):
        assert f"| {name} |" in text


def test_a_coarse_surface_has_the_models_on_its_straight_line(shipped_freeze: Path) -> None:
    """Two columns lie beyond both models: the line keeps maps of the models themselves."""
    pair = load_subject(shipped_freeze, RANDOM_BASE)
    line = xr.Dataset({"total": ("t", [2.0, 1.0])}, coords={"t": [0.0, 1.0]})
    encode = encoder_along(pair, xr.Dataset(attrs={"space": "weight", "aligned": 0}))
    maps = line_way(pair, line, surface_axis(2).tolist(), encode, "")["maps"]
    assert unpacked(maps["at"]).tolist() == [0.0, 1.0]
    rows = chosen_rows(pair)
    for k, params in enumerate((pair.failed, pair.optimum)):
        state = pair.agent.encode(params, pair.batch.observations[pair.batch.state[rows]])
        np.testing.assert_allclose(unpacked(maps["state"])[k], state.detach().numpy(), atol=1e-5)
        moved = pair.agent.transition(pair.failed, state, pair.batch.action[rows])
        np.testing.assert_allclose(unpacked(maps["predicted"])[k], moved.detach().numpy(), atol=1e-5)


def test_a_cure_is_a_line_through_the_weights(shipped_freeze: Path) -> None:
    pair = load_subject(shipped_freeze, RANDOM_BASE)
    encoder = select(pair.copy, ("encoder",))
    there, line, about = cure_line(pair, Mended(encoder, "restart", True))
    assert "(restart)" in about
    for k, params in ((0, pair.failed), (-1, pair.failed | encoder)):
        terms = pair.terms(pair.dynamics, pair.embedding(params))
        assert {name: float(line[name][k]) for name in SHOWN} == pytest.approx(
            {name: float(terms[name]) for name in SHOWN}, rel=1e-5, abs=1e-9
        )
    way = line_way(there, line, line["t"].values.tolist(), encoder_along(there, WEIGHTS), about, cure=True)
    assert (way["name"], way["surface"]) == ("cure", False)
    rows = chosen_rows(pair)
    seen = pair.agent.encode(encoder, pair.batch.observations[pair.batch.state[rows]])
    np.testing.assert_allclose(unpacked(way["maps"]["state"])[-1], seen.detach().numpy(), atol=1e-5)


def test_landscape_ends_are_the_models(page: Path, shipped_freeze: Path) -> None:
    """t = 0 is the transfer, t = 1 the base's losses in its own maze: the closed form is exact."""
    results = json.loads((page / "results.json").read_text())
    with xr.open_dataset(page / "lines.nc", engine="h5netcdf") as lines, xr.open_dataset(page / "surface.nc", engine="h5netcdf") as surface:
        base = load_checkpoint(RANDOM_BASE)
        loss = load_checkpoint(shipped_freeze).loss
        terms = loss(base.parameters, held_out_batch(False, 1024))
        for term in ("transition", "reward", "ball", "random_pairs", "consecutive"):
            assert results["copy_terms"][term] == pytest.approx(float(terms[term]), rel=1e-4, abs=1e-6)
            assert float(lines[term].sel(space="weight", t=1.0)) == pytest.approx(
                float(loss(base.parameters, held_out_batch(False))[term]), rel=0.2, abs=1e-2
            )  # the reference is the copy after a step of its descent
        assert np.isfinite(surface["total"].values).all()
        assert surface.attrs["space"] == "weight"
    assert results["how"]["episodes"] == 3


def test_page_certifies_on_a_sample_and_asks_an_independent_one(page: Path) -> None:
    found = json.loads((page / "results.json").read_text())["sampled"]
    assert found["sizes"]["sample"]["transitions"] == found["sizes"]["independent"]["transitions"] == SAMPLE
    assert min(size["terminal"] for size in found["sizes"].values()) >= 1
    assert min(size["maps"] for size in found["sizes"].values()) >= 20
    own = found["failed"]
    assert own["verdict"] == own["both"] == "not converged"  # one step of a descent
    assert own["loss"] < own["start"]
    assert own["gradient"] > found["budget"]["stationary"]
    assert own["spectrum"]["lowest"] < own["spectrum"]["highest"]
    assert found["paths"]["free"]["barrier"] <= found["paths"]["frozen"]["barrier"]
    assert found["paths"]["frozen"]["start"] == pytest.approx(own["loss"], rel=1e-4)
    text = (page / "report.md").read_text()
    assert "The descent had not converged within that budget" in text
    assert "not measured here: `crar theorem`, or `--full`" in text


def claims_page(page: Path, shipped_freeze: Path, folder: Path, kind: str, **figures: Any) -> str:
    """The page of `crar claims` over one transfer whose figures are those of the landscape page, some of them altered."""
    plain = json.loads((page / "results.json").read_text()) | figures
    with patch.object(many, "_dissected", lambda *_: plain):
        report = many.write_claims([shipped_freeze], folder, quick=kind == "quick", command="crar claims")
    whole_page(report)
    return report.read_text()


def test_claims_of_the_random_mazes(page: Path, shipped_freeze: Path, tmp_path: Path) -> None:
    text = claims_page(page, shipped_freeze, tmp_path, "quick")
    found = json.loads((page / "results.json").read_text())
    own = found["sampled"]["failed"]
    sizes = found["sampled"]["sizes"]
    assert f"Certificates, paths and descents (S6, S7, S9) are of 256 transitions of {sizes['sample']['maps']} maps (1 terminal)" in text
    assert "shifts of the landscape (S9) were not measured" in text
    row = next(line for line in text.split("\n") if line.startswith("| run/member-0 "))
    assert f"| {own['iterations']}, - | not converged | not converged |" in row  # too few steps to expect anything from
    assert "consecutive over the reference's, both above its floor" in text
    assert [
        d["verdict"] for pair in json.loads((tmp_path / "results.json").read_text())["pairs"] for d in pair["claims"] if d["id"] == "S9"
    ] == ["undecided"]


def test_claims_of_the_random_mazes_follow_the_figures(page: Path, shipped_freeze: Path, tmp_path: Path) -> None:
    few = {"transitions": 256, "terminal": 2, "maps": 228}
    find = {"verdict": "not converged", "match": "neither", "level": 3.0, "least": 2.0, "most": 4.0, "loss": 0.5, "other_level": 2.5}
    shift = {"way": "1 of the way", "distance": 2.0, "values": 0.5, "gradients": 0.25}
    moved = {
        "shifts": [shift | {"distance": 0.0, "values": 0.0, "gradients": 0.0}, shift, shift, shift | {"way": "hidden units", "values": 0.0, "gradients": 0.0}],
        "descents": [find | {"way": "own"}, find | {"way": "adapted", "least": 0.5, "level": 1.0, "most": 1.05, "other_level": 1.0}], "shifts_on": few,
    }  # fmt: skip
    good = {"copy_score": {"mean": 0.5, "low": 0.25, "high": 0.75}}
    text = claims_page(page, shipped_freeze, tmp_path / "a", "full", **moved, **good)
    assert "shifts of the landscape (S9) of 256 transitions of 228 maps (2 terminal)" in text
    assert "| S9 | a change of the dynamics changes the encoder's landscape | **holds with exceptions** |" in text
    assert "| S9 | loss moved per unit of the dynamics, 1 % of the way | 0.25 |" in text
    assert "not clearly above" not in text
    weak = claims_page(page, shipped_freeze, tmp_path / "b", "full", copy_score={"mean": 0.1, "low": -0.25, "high": 0.45})
    assert (
        f"own score is not clearly above 0 in the transfer's maze, so that a failed transfer of theirs loses little: {as_given(RANDOM_BASE)}"
        in weak
    )


def test_a_sample_without_a_terminal_transition_is_refused(shipped_freeze: Path) -> None:
    subject = load_subject(shipped_freeze, RANDOM_BASE)
    with pytest.raises(UserError, match="--sample is 2: none of the transitions drawn is terminal"):
        on_samples(subject, 2, ("transition",), Budget())


def test_sampled_products_are_those_of_the_loss(shipped_freeze: Path) -> None:
    """Differences of gradients against the curvature of the loss itself along a direction, in double precision."""
    subject = load_subject(shipped_freeze, RANDOM_BASE)
    small = held_out_batch(True, 16).to("cpu", torch.float64)
    own = replace(subject.on(small), failed={n: v.double() for n, v in subject.failed.items()})
    encoder = {n: v for n, v in own.failed.items() if n.startswith("encoder.")}
    loss = SampleTotal(own, {n: v for n, v in own.failed.items() if n not in encoder}, encoder)
    at = flatten(encoder).numpy()
    direction = np.random.default_rng(0).standard_normal(len(at))
    direction /= np.linalg.norm(direction)
    h = 1e-5  # short of the next kink
    curvature = (loss.slope(at + h * direction)[0] - 2 * loss.slope(at)[0] + loss.slope(at - h * direction)[0]) / h**2
    assert direction @ difference_product(loss.slope, at, h)(direction) == pytest.approx(curvature, rel=0.02)
