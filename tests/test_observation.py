"""The simple maze in 48x48 images: trained in, transferred, judged and dissected by the commands as the maze in numbers is."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from cli import app
from crar_model.agent import networks as agents
from crar_model.agent.networks import ImageAgent
from crar_model.core.errors import UserError
from crar_model.core.tensor_files import save_plain
from crar_model.models.checkpoints import FORMAT, load_checkpoint
from crar_model.nets import STEM, Linear
from crar_model.tasks import task_as
from crar_reports.measure.subject import hidden_layers
from landscape_tools import align, apply_symmetry
from tests.crar_reports.pages import end_early, whole_page


def crar(*words: str, fails: bool = False) -> str:
    done = CliRunner().invoke(app, list(words))
    assert (done.exit_code != 0) == fails, done.output
    return done.stdout if not fails else str(done.exception)


@pytest.mark.usefixtures("as_published")
def test_every_command_takes_the_models_own_observation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base_run: Path) -> None:
    monkeypatch.chdir(tmp_path)
    narrow = ImageAgent(encoder=(*STEM, Linear(6), Linear(2)))  # the landscape of all 447,888 parameters takes half a minute
    monkeypatch.setattr(agents, "ImageAgent", lambda other: dataclasses.replace(narrow, other=other))
    end_early(monkeypatch)
    small = ["--members", "1", "--data-size", "300", "--log-interval", "50", "--workers", "1"]
    crar("train", "--observation", "image", *small, "--updates", "100", "--out", "base")
    crar("train", "--resume", "--updates", "120", "--out", "base")
    model = load_checkpoint("base/member-0.pt")
    assert model.updates == 120
    assert model.task is task_as("simple", observation="image")
    crar("transfer", "--from", "base/member-0.pt", *small, "--variant", "reset-encoder", "--updates", "10", "--out", "moved")
    judged = json.loads(crar("evaluate", "moved", "--json"))["models"]
    assert judged[0]["match"]["verdict"] in ("matched", "swapped", "neither")
    assert 0 <= judged[0]["navigation_success"] <= 1
    small_page = ["--quick", "--no-certificate", "--resolution", "3", "--points", "3"]
    crar("landscape", *small_page, "--from", "moved/member-0.pt", "--out", "page")
    text = Path("page/report.md").read_text()
    assert "all 124 transitions" in text
    assert "simple maze in 48x48 images" in text
    whole_page(Path("page/report.md"))
    crar("report", "--base", "base", "--transfer", "moved", "--out", "report")
    text = Path("report/report.md").read_text()
    assert "crar train --members 1 --updates 120" in text
    assert "--observation image" in text
    with Image.open("report/inputs.png") as picture:
        assert picture.width > 600
    grid = str(base_run / "member-0.pt")
    assert "judge them apart" in crar("evaluate", "moved", grid, fails=True)
    assert "another layout or observation" in crar("transfer", "--from", "base/member-0.pt", "--from", grid, "--out", "both", fails=True)
    assert "another layout or observation" in crar("transfer", "--from", grid, "--observation", "image", "--out", "both", fails=True)
    base = ["--from", "base/member-0.pt", *small]
    assert "kept as maps of tiles" in crar("transfer", *base, "--observation-map", "mirror", "--out", "both", fails=True)
    crar("transfer", *base, "--observation-map", "affine", "--map-brightness", "0", "--variant", "negate-input", "--out", "scaled")
    match = json.loads(crar("evaluate", "scaled", "--json"))["models"][0]["match"]
    assert match["identity_edges"] < 1e-4  # the closed form, seen through the map
    assert "seen in one way only" in crar("train", "--maze", "random", "--observation", "image", "--out", "both", fails=True)
    Path("small.txt").write_text("####\n#..#\n####\n")
    assert "images show 8x8" in crar("train", "--walls", "small.txt", "--observation", "image", "--out", "both", fails=True)
    assert not Path("both").exists()


def test_hidden_units_of_the_encoder_can_be_exchanged_and_unpooled_ones_negated() -> None:
    task = task_as("simple", observation="image")
    agent, rng = task.agent(), torch.Generator().manual_seed(1)
    encoder = {n: v.double() for n, v in agent.init(np.random.default_rng(0)).items() if n.startswith("encoder.")}
    layers = hidden_layers(agent)
    assert [layer.signs for layer in layers] == [True, False, False, True, True, True, True]
    changed = encoder
    for layer in layers:
        units = len(encoder[layer.bias])
        sign = torch.where(torch.rand(units, generator=rng) < 0.5, -1.0, 1.0) if layer.signs else torch.ones(units)
        changed = apply_symmetry(changed, layer, torch.randperm(units, generator=rng), sign)
    seen = task.batch(inverse=True, dtype=torch.float64).observations
    assert torch.allclose(agent.encode(changed, seen), agent.encode(encoder, seen), atol=1e-12)
    back = align(changed, encoder, layers)
    assert all(torch.allclose(back[name], encoder[name]) for name in encoder)


def test_a_checkpoint_that_does_not_fit_its_observation(base_run: Path, tmp_path: Path) -> None:
    content = torch.load(base_run / "member-0.pt", weights_only=True)
    settings = content["info"]["settings"]
    for observation, message in (
        ("image", r"bad\.pt: parameter encoder\.0\.bias is \(200,\)"),
        ("sound", r"bad\.pt: .*choose grid or image"),
    ):
        save_plain(tmp_path / "bad.pt", FORMAT, content | {"info": content["info"] | {"settings": settings | {"observation": observation}}})
        with pytest.raises(UserError, match=message):
            load_checkpoint(tmp_path / "bad.pt")
    old = {name: value for name, value in settings.items() if name != "observation"}  # a file of before images
    save_plain(tmp_path / "old.pt", FORMAT, content | {"info": content["info"] | {"settings": old}})
    assert load_checkpoint(tmp_path / "old.pt").settings.observation == "grid"
