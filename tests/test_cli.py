"""The command line: what it prints, and that bad input ends in one line and exit code 2."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from cli import app, main
from crar_model import samples
from crar_model.core.fresh import COMMANDS
from crar_model.core.settings import CureSettings
from crar_model.models.checkpoints import load_checkpoint
from crar_model.models.original import exported
from crar_reports.measure import dissection, mended, release, shifted_descents
from crar_reports.measure.paths import Effort
from crar_reports.pages.play import save_episode


def crar(*words: object) -> subprocess.CompletedProcess[str]:
    """A command as its entry point runs it, in this process, which has loaded PyTorch already."""
    output, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(output), redirect_stderr(errors):
        patch.setattr(sys, "argv", ["crar", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
    assert isinstance(stop.value.code, int)
    return subprocess.CompletedProcess(words, stop.value.code, output.getvalue(), errors.getvalue())


def crar_process(*words: object) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own."""
    return subprocess.run([sys.executable, "-m", "cli", *map(str, words)], capture_output=True, text=True, check=False)


def test_evaluate_prints_one_json_object(base_run: Path, freeze_run: Path) -> None:
    done = crar_process("evaluate", freeze_run, base_run / "member-1.pt", "--base", base_run / "member-0.pt", "--json")
    assert done.returncode == 0, done.stderr
    models = json.loads(done.stdout)["models"]
    assert [Path(m["path"]).name for m in models] == ["member-0.pt", "member-1.pt", "member-1.pt"]
    first = models[0]
    assert (first["maze"], first["inverse"]) == ("simple", True)
    assert {"transition", "ball", "consecutive", "total"} <= set(first["terms"])
    assert 0 <= first["nearest_state_accuracy"] <= 1
    assert 0 <= first["navigation_success"] <= 1
    assert first["match"]["verdict"] in ("matched", "swapped", "neither")
    assert len(first["match"]["axes"]) == 2
    assert first["match"]["residual_edges"] >= 0


def test_evaluate_prints_a_table(base_run: Path) -> None:
    done = crar("evaluate", base_run)
    assert done.returncode == 0, done.stderr
    assert "member-1 " in done.stdout
    assert "total" in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_train_and_transfer_from_a_config_file(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text("updates = 8\nlog_interval = 4\nworkers = 1\n[loss]\nbeta = 0.3\n")
    done = crar("train", "--config", tmp_path / "s.toml", "--members", 2, "--out", tmp_path / "base", "--batch-size", 16)
    assert done.returncode == 0, done.stderr
    settings = json.loads((tmp_path / "base" / "run.json").read_text())["settings"]
    assert (settings["updates"], settings["batch_size"], settings["loss"]["beta"]) == (8, 16, 0.3)
    again = crar("train", "--resume", "--updates", 12, "--out", tmp_path / "base")
    assert again.returncode == 0, again.stderr
    bases = [word for k in range(2) for word in ("--from", tmp_path / "base" / f"member-{k}.pt")]
    done = crar("transfer", *bases, "--rate", 1e-4, "--rate", 1e-3, "--members", 1, "--updates", 4, "--out", tmp_path / "t")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "t").glob("member-*.pt"))) == 4


@pytest.mark.usefixtures("as_published")
def test_landscape_of_the_shipped_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        dissection, "Effort", partial(Effort, iterations=100, zooms=3)
    )  # barriers are bounds from above: more effort lowers them
    monkeypatch.setattr(release, "SETTLED", 0.25)  # 400 and 200 iterations, after which little changes, and not 1,400
    monkeypatch.setattr(shifted_descents, "STEPS", 50)  # where these descents end is not asked below, nor what a cure finds
    monkeypatch.setattr(mended, "CureSettings", partial(CureSettings, effort=0.05, resolution=21))
    done = crar("landscape", "--points", 11, "--resolution", 5, "--profile", "--out", tmp_path / "ls")
    assert done.returncode == 0, done.stderr
    *stages, together, _ = done.stdout.splitlines()
    assert {"models", "lines", "certificate and released dynamics", "paths"} <= {line.split("  ")[0] for line in stages}
    assert together.endswith("100.0 %")
    report = (tmp_path / "ls" / "report.md").read_text()
    results = json.loads((tmp_path / "ls" / "results.json").read_text())
    found, paths = results["certificate"], results["paths"]
    # The shipped failure converges to a strict local minimum that is still swapped ...
    assert found["verdict"] == "minimum"
    assert found["match"]["verdict"] == "swapped"
    assert found["subgradient_norm"] < 1e-6
    assert found["signature"]["negative"] == 0
    assert found["signature"]["positive"] + found["kinks"] + found["signature"]["flat"] == 62
    # ... out of which a path leads over next to nothing, in embedding space and, lifted, in the weights ...
    assert 0 <= paths["frozen"]["barrier"] < 0.05 * results["barriers"]["embedding"]["total"]["climb"]
    assert paths["lifted"]["reached"] == 1.0
    assert paths["lifted"]["barrier"] < 0.05 * results["barriers"]["weight"]["total"]["climb"]
    # ... its embedding has dynamics of its own, and released it stays swapped at the base's level.
    assert results["adapted"]["terms"]["transition"] < 1e-3
    assert results["released"]["match"]["verdict"] == "swapped"
    assert results["released"]["terms"]["total"] < 1.1 * results["optimum_terms"]["total"]
    assert paths["free"]["barrier"] <= paths["frozen"]["barrier"]
    assert paths["valleys"]["barrier"] < 0.2
    assert str(samples.FAILED) in report or "failed.pt" in report
    for name in ("lines.png", "embeddings.png", "surface.png", "paths.png", "lines.nc", "surface.nc", "paths.nc", "results.json"):
        assert 0 < (tmp_path / "ls" / name).stat().st_size < 200_000


def test_the_help_of_every_command_says_what_a_flag_is_without_it() -> None:
    """What is required, and defaults in words or numbers, stand in the help as the flags declare them."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    commands: dict[str, Any] = dict(group.commands)
    assert set(commands) == set(COMMANDS)
    for name, command in commands.items():
        done = CliRunner().invoke(app, [name, "--help"])
        said = " ".join(done.output.split())
        assert done.exit_code == 0
        for param in command.params:
            if param.required:
                assert "[required]" in said, (name, param.name)
            elif isinstance(param.show_default, str):
                assert f"[default: {param.show_default}]" in said, (name, param.name)
            elif param.show_default and isinstance(param.default, int | float) and not isinstance(param.default, bool):
                assert f"[default: {param.default}]" in said, (name, param.name)


def test_import_makes_a_checkpoint_that_other_commands_take(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", **exported(load_checkpoint(samples.FAILED).parameters))
    words = ["import", tmp_path / "net.npz", "--maze", "simple-inverse", "--out", tmp_path / "model.pt"]
    done = crar(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Checkpoint(simple inverse, imported" in done.stdout
    assert crar(*words).returncode == 2
    assert crar(*words, "--force").returncode == 0
    judged = json.loads(crar("evaluate", tmp_path / "model.pt", samples.FAILED, "--base", samples.BASE, "--json").stdout)["models"]
    assert judged[0]["terms"] == judged[1]["terms"]
    assert judged[0]["match"] == judged[1]["match"]
    assert judged[0]["variant"] == "imported"


def test_no_arguments_shows_help() -> None:
    shown = crar_process()
    assert "Commands" in shown.stdout + shown.stderr


def test_version() -> None:
    assert crar_process("version").stdout.startswith("crar ")


def test_a_film_says_what_it_is_of_and_how_little_that_proves(random_base: Path, tmp_path: Path) -> None:
    played = crar("play", random_base / "member-1.pt", "--seed", 4, "--planning-depth", 0, "--epsilon", 0.5, "--out", tmp_path / "e.gif")
    assert played.returncode == 0, played.stderr
    again = save_episode(random_base / "member-1.pt", tmp_path / "again.gif", seed=4, depth=0, epsilon=0.5)
    found, asked, sure = played.stdout.splitlines()
    assert found.endswith(f"reward {again.reward:.1f}, {again.keys} of 3 keys in {again.steps} steps")
    assert "member-1 does on the map of seed 4, planning 0 steps" in asked
    assert "one episode, 50 % random actions" in sure


def test_several_variants_are_runs_of_their_own(tmp_path: Path, base_run: Path) -> None:
    words = [
        "transfer",
        "--from",
        base_run / "member-0.pt",
        "--members",
        1,
        "--data-size",
        200,
        "--log-interval",
        5,
        "--out",
        tmp_path / "runs",
    ]
    both = ["--variant", "freeze", "--variant", "unfreeze"]
    assert crar(*words, *both, "--updates", 10).returncode == 0
    refused = crar(*words, *both, "--updates", 10)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    more = crar(*words, *both, "--variant", "scratch", "--updates", 20, "--resume")  # goes on with two and begins the third
    assert more.returncode == 0, more.stderr
    assert more.stdout.count("next:") == 1
    assert f"crar evaluate {tmp_path / 'runs'}\n" in more.stdout
    judged = json.loads(crar("evaluate", tmp_path / "runs", "--json").stdout)["models"]
    assert [(model["variant"], model["updates"]) for model in judged] == [("freeze", 20), ("scratch", 20), ("unfreeze", 20)]
    read = {name: json.loads((tmp_path / "runs" / name / "run.json").read_text())["settings"] for name in ("freeze", "scratch")}
    found = {name: [settings[key] for key in ("update_rule", "learning_rate", "learning_rate_decay")] for name, settings in read.items()}
    assert found == {"freeze": ["sequential", 8e-5, 0.9], "scratch": ["joint", 5e-4, 0.9]}  # a transfer's, and those of crar train
    report = crar("report", "--base", base_run, "--transfer", tmp_path / "runs", "--out", tmp_path / "report")
    assert report.returncode == 0, report.stderr
    text = (tmp_path / "report" / "report.md").read_text()
    assert all(f"--variant {name}" in text for name in ("freeze", "unfreeze", "scratch"))
    assert "--update-rule" not in text  # every run has the default of its variant
