"""`crar maps`: counts by map, variant and base."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import app
from crar_model.checkpoints import Checkpoint
from crar_model.errors import UserError
from crar_model.settings import TrainSettings
from crar_model.training.members import transfer_plan
from crar_model.training.runner import run_plan
from reports.maps import updates_of, write_maps


def test_counts_by_map_and_variant(base_run: Path, freeze_run: Path, tmp_path: Path) -> None:
    bases = [base_run / "member-0.pt", base_run / "member-1.pt"]
    settings = TrainSettings(updates=0, data_size=200, workers=1)
    pairs = run_plan(transfer_plan(settings, bases, "paired", 1, paired=16), tmp_path / "paired", tensorboard=False)
    assert pairs
    for name in ("mirror", "mix"):
        run_plan(transfer_plan(replace(settings, observation_map=name), bases, "negate-input", 2), tmp_path / name, tensorboard=False)
    words = [
        "maps",
        "--transfer",
        freeze_run,
        "--transfer",
        tmp_path / "mirror",
        "--transfer",
        tmp_path / "mix",
        "--transfer",
        tmp_path / "paired",
        "--out",
        tmp_path / "out",
    ]
    done = CliRunner().invoke(app, [str(word) for word in (*words, "--json")])
    assert done.exit_code == 0, done.output
    found = {(row["map"], row["way"]): row for row in json.loads(done.stdout)["table"]}
    assert set(found) == {
        ("negative", "freeze"),
        ("mirror", "negate-input"),
        ("mix, condition 10", "negate-input"),
        ("negative", "paired, 16 pairs"),
    }
    assert {found[key]["updates"] for key in found if key[1] != "freeze"} == {0}
    for key in (("mirror", "negate-input"), ("mix, condition 10", "negate-input")):  # the closed form is the base
        assert (found[key]["all"]["count"], found[key]["all"]["of"], found[key]["bases_all"]) == (4, 4, 2)
        assert found[key]["by_bases"] == {"low": 1.0, "high": 1.0}
    assert found["negative", "freeze"]["all"]["of"] == 2
    assert "| mirror | negate-input | 0 | 4 of 4 |" in (tmp_path / "out" / "report.md").read_text()


def test_the_updates_of_a_search_count() -> None:
    searched = Checkpoint("simple", inverse=True, parameters={}, updates=5, info={"search": {"updates": 7, "level_updates": 2}})
    assert updates_of(searched) == 14
    assert updates_of(replace(searched, info={})) == 5


def test_what_cannot_be_counted(base_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="names no base"):
        write_maps([base_run / "member-0.pt"], tmp_path / "out")
    with pytest.raises(UserError, match="nothing to count"):
        write_maps([], tmp_path / "out")
    with pytest.raises(UserError, match="no table of crar cure"):
        write_maps([], tmp_path / "out", cures=[base_run])
