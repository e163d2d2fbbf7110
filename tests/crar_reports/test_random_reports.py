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
from PIL import Image

from crar_model.agent.loss import SHOWN
from crar_model.core.errors import UserError
from crar_model.core.params import select
from crar_model.core.settings import PlaySettings, TrainSettings
from crar_model.core.tiles import draw_pixels
from crar_model.models.checkpoints import load_checkpoint
from crar_model.samples import RANDOM_BASE, as_given
from crar_model.tasks import batches
from crar_model.tasks.batches import held_out_batch
from crar_model.training.members import base_plan, transfer_plan
from crar_model.training.runner import run_plan
from crar_reports.figures.explorer import MOST_BYTES
from crar_reports.figures.explorer_maps import WEIGHTS, cure_line, line_way
from crar_reports.figures.film import FOOT
from crar_reports.measure import dissection, release
from crar_reports.measure.mended import Mended
from crar_reports.measure.options import LandscapeOptions
from crar_reports.measure.sample_minimum import Budget, SampleTotal
from crar_reports.measure.sample_paths import on_samples
from crar_reports.measure.scores import running_mean
from crar_reports.measure.shown_states import chosen_rows, encoder_along
from crar_reports.measure.subject import hidden_layers, load_subject
from crar_reports.measure.surface import encoder_dynamics, surface_axis
from crar_reports.models.judged import judge
from crar_reports.pages import claims as many
from crar_reports.pages.landscape.page import write_landscape
from crar_reports.pages.play import WIDE, save_episode
from crar_reports.pages.report import write_study
from crar_reports.pages.theorem import write_theorem
from crar_reports.pages.trajectory import write_trajectory
from crar_reports.press.typed import unpacked
from landscape_tools import align, apply_symmetry, flatten
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


def test_trajectory_of_the_random_mazes(random_settings: TrainSettings, tmp_path: Path) -> None:
    run_plan(base_plan(replace(random_settings, snapshots=True), 1), tmp_path / "run", tensorboard=False)
    text = write_trajectory(tmp_path / "run", tmp_path / "out", resolution=2).read_text()
    whole_page(tmp_path / "out" / "report.md")
    batch = held_out_batch(False)
    assert f"Losses are of 512 held-out transitions, {int(batch.terminated.sum())} of them terminal, in the maze that it trained in" in text
    assert "3 snapshots" in text
    last = load_checkpoint(tmp_path / "run" / "member-0.pt")
    with xr.open_dataset(tmp_path / "out" / "trajectory.nc", engine="h5netcdf") as data:
        own = last.loss(last.parameters, batch)
        assert float(data["transition_true"][-1]) == pytest.approx(float(own["transition"]), rel=1e-4)
        assert np.isfinite(data["total"].values).all()


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


def test_surface_is_the_loss_of_whole_models(random_freeze: Path, random_base: Path) -> None:
    subject = load_subject(random_freeze / "member-0.pt", random_base / "member-0.pt")
    rng = torch.Generator().manual_seed(0)
    moved = {n: v + 0.01 * torch.randn(v.shape, generator=rng) for n, v in subject.failed.items()}
    surface = encoder_dynamics(subject, moved, ("transition", "reward"), resolution=2, space="weight", align=False)
    x, y = (float(surface[axis][1]) for axis in ("x", "y"))
    point = dict(subject.failed)
    for name in point:
        if name.startswith("encoder."):
            point[name] = (1 - x) * subject.failed[name] + x * subject.optimum[name]
        elif name.startswith(("transition.", "reward.")):
            point[name] = (1 - y) * subject.failed[name] + y * moved[name]
    assert float(surface["total"][1, 1]) == pytest.approx(float(subject.terms(point)["total"]), rel=1e-3)


def test_hidden_channels_can_be_exchanged_and_unpooled_ones_negated(random_base: Path) -> None:
    model = load_checkpoint(random_base / "member-0.pt")
    encoder = {n: v.double() for n, v in model.parameters.items() if n.startswith("encoder.")}
    layers = hidden_layers(model.agent)
    assert [layer.signs for layer in layers] == [True, False, False]
    rng = torch.Generator().manual_seed(1)
    changed = encoder
    for layer in layers:
        units = len(encoder[layer.bias])
        sign = torch.where(torch.rand(units, generator=rng) < 0.5, -1.0, 1.0) if layer.signs else torch.ones(units)
        changed = apply_symmetry(changed, layer, torch.randperm(units, generator=rng), sign)
    tiles = held_out_batch(True).observations[:6]
    assert draw_pixels(tiles).shape == (6, 1, 48, 48)
    assert torch.allclose(model.agent.encode(changed, tiles), model.agent.encode(encoder, tiles), atol=1e-12)
    back = align(changed, encoder, layers)
    assert all(torch.allclose(back[name], encoder[name]) for name in encoder)


@pytest.mark.usefixtures("as_published")
def test_report_of_the_random_mazes(random_base: Path, random_freeze: Path, random_settings: TrainSettings, tmp_path: Path) -> None:
    negated = tmp_path / "negated"
    run_plan(transfer_plan(random_settings, [random_base / "member-0.pt"], "negate-input", 1), negated, tensorboard=False)
    how = PlaySettings(episodes=4, depth=1)
    report = write_study([random_base], [random_freeze, negated], tmp_path / "report", how=how, command="crar report")
    text = report.read_text()
    assert "the largest difference in any of the 4 episodes is 0" in text
    assert "crar transfer --from" in text
    whole_page(report)
    results = json.loads((report.parent / "results.json").read_text())
    assert [m["variant"] for m in results["models"]].count("negate-input") == 2
    own = next(m for m in results["models"] if m["variant"] == "negate-input")
    assert own["match"]["verdict"] == "matched"
    assert own["embedding_distance"] == 0.0
    assert (report.parent / "scores.csv").read_text().count("\n") == 1 + 2 * 3 + 3 + 1
    assert (report.parent / "scores.png").stat().st_size < 200_000


def test_running_mean() -> None:
    assert running_mean(np.array([1.0, 2.0, 3.0, 4.0]), 2).tolist() == [1.0, 1.5, 2.5, 3.5]


def test_episode_is_saved_as_an_animation(random_base: Path, tmp_path: Path) -> None:
    episode = save_episode(random_base / "member-0.pt", tmp_path / "episode.gif", seed=1, depth=1)
    with Image.open(episode.path) as picture:
        assert getattr(picture, "n_frames", 1) > 1
        assert picture.size == (320, 8 * WIDE + FOOT)  # eight rows of cells, and the line of text below
    assert episode.reward == pytest.approx(1.1 * episode.keys - 0.1 * episode.steps, abs=1e-4)
    with pytest.raises(UserError, match="--planning-depth"):
        save_episode(random_base / "member-0.pt", tmp_path / "episode.gif", depth=-1)
    with pytest.raises(UserError, match="--epsilon"):
        save_episode(random_base / "member-0.pt", tmp_path / "episode.gif", epsilon=2.0)
    with pytest.raises(UserError, match="gif"):
        save_episode(random_base / "member-0.pt", tmp_path / "episode.avi")


def test_mazes_are_not_mixed(random_base: Path, random_freeze: Path, base_run: Path, tmp_path: Path) -> None:
    random_model, simple_model = random_base / "member-0.pt", base_run / "member-0.pt"
    with pytest.raises(UserError, match="judge them apart"):
        judge([random_model, simple_model])
    with pytest.raises(UserError, match="a base of the simple maze"):
        judge([random_model], simple_model)
    with pytest.raises(UserError, match="two of one maze"):
        write_landscape(random_freeze / "member-0.pt", simple_model, tmp_path / "out")
    with pytest.raises(UserError, match="two of one maze"):
        write_theorem(random_freeze / "member-0.pt", simple_model, tmp_path / "out")
    with pytest.raises(UserError, match="apart"):
        write_study([base_run], [random_freeze], tmp_path / "out")
