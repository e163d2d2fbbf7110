"""Faults that were met when environments that nobody here made were gathered, trained and cured."""

from __future__ import annotations

from pathlib import Path

import pytest

import crar_model
from crar_model.worlds.world import load_world

LINE = "tests.small_worlds:tests/Line-v0"


def test_data_go_to_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Minari 0.5.4 looks for the files of a relative folder at twice its path."""
    monkeypatch.chdir(tmp_path)
    world = crar_model.gather_world("data/line", LINE, steps=200)
    assert load_world("data/line").digest == world.digest
