"""Faults that were met when environments that nobody here made were gathered, trained and cured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import crar_model
from crar_model.core.errors import UserError
from crar_model.models.checkpoints import load_checkpoint
from crar_model.worlds.world import load_world
from crar_reports.measure.options import LandscapeOptions

LINE = "tests.small_worlds:tests/Line-v0"
SHORT: dict[str, Any] = {"updates": 8, "log_interval": 8, "checkpoint_interval": 8, "workers": 1, "members": 1}


def test_data_go_to_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Minari 0.5.4 looks for the files of a relative folder at twice its path."""
    monkeypatch.chdir(tmp_path)
    world = crar_model.gather_world("data/line", LINE, steps=200)
    assert load_world("data/line").digest == world.digest


def test_where_moves_are_random_placement_says_in_a_line_what_applies(tmp_path: Path) -> None:
    base = crar_model.train(tmp_path / "base", env=LINE, env_arg="slip=0.3", steps=8_000, **SHORT)
    there = crar_model.transfer(base.models[0], tmp_path / "freeze", **SHORT)
    line = "a table of moves that are always the same, and tests.small_worlds:tests/Line-v0 has none; choose from first-layer, symmetry"
    with pytest.raises(UserError, match=f"--method placement: .*{line}, restart$"):
        crar_model.cure(there.models[0], method="placement")
    with pytest.raises(UserError, match="--sample is 2,048, and for each of two samples"):
        LandscapeOptions().settled(load_checkpoint(there.models[0]).task)  # before anything is measured
    with pytest.raises(UserError, match=f"--variant placement: .*{line}$"):
        crar_model.transfer(base.models[0], tmp_path / "placed", variant="placement", **SHORT)


def test_a_first_layer_of_convolutions_is_drawn_anew(tmp_path: Path) -> None:
    base = crar_model.train(tmp_path / "base", env=LINE, env_arg="kind='image'", steps=400, **SHORT)
    there = crar_model.transfer(base.models[0], tmp_path / "freeze", **SHORT)
    found = crar_model.cure(there.models[0], method="first-layer", starts=2, effort=0.002, anyway=True).found
    assert {candidate.method for tried in found.tried for candidate in tried.candidates} == {"first-layer"}
    own, encoder = load_checkpoint(base.models[0]).parameters, found.best.encoder
    assert [name for name, value in encoder.items() if not value.equal(own[name])] == ["encoder.0.weight", "encoder.0.bias"]
