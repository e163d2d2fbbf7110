"""Pages of the random mazes besides the landscape: trajectory, report, films, and mazes that are not mixed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from PIL import Image

from crar_model.core.errors import UserError
from crar_model.core.settings import PlaySettings, TrainSettings
from crar_model.core.tiles import draw_pixels
from crar_model.models.checkpoints import load_checkpoint
from crar_model.tasks.batches import held_out_batch
from crar_model.training.members import base_plan, transfer_plan
from crar_model.training.runner import run_plan
from crar_reports.figures.film import FOOT
from crar_reports.measure.scores import running_mean
from crar_reports.measure.subject import hidden_layers, load_subject
from crar_reports.measure.surface import encoder_dynamics
from crar_reports.models.judged import judge
from crar_reports.pages.landscape.page import write_landscape
from crar_reports.pages.play import WIDE, save_episode
from crar_reports.pages.report import write_study
from crar_reports.pages.theorem import write_theorem
from crar_reports.pages.trajectory import write_trajectory
from landscape_tools import align, apply_symmetry
from tests.crar_reports.pages import whole_page


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
