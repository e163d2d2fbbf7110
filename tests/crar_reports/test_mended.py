"""A cure among the paths of the explorer: whose it is, where it leads, and why there is none."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from crar_model.core.errors import UserError
from crar_model.core.params import Params, select
from crar_model.models.checkpoints import load_checkpoint, save_checkpoint
from crar_model.samples import BASE, FAILED
from crar_reports.face.pairs import landscape
from crar_reports.measure.mended import Mended, mended_or_why, read_mended
from crar_reports.measure.subject import Subject, load_subject
from crar_reports.measure.ways import cure_way
from tests.crar_reports.explorer_data import data_of
from tests.crar_reports.pages import end_early


@pytest.fixture(scope="module")
def pair() -> Subject:
    return load_subject(FAILED, BASE)


@pytest.fixture(scope="module")
def encoder(pair: Subject) -> Params:
    """An encoder that a cure could have found: the closed form."""
    return {name: value.float() for name, value in select(pair.copy, ("encoder",)).items()}


@pytest.fixture
def cured(pair: Subject, encoder: Params, tmp_path: Path) -> Path:
    """It in a file as `crar cure` writes it."""
    failed = pair.failed_file
    how = {"method": "placement", "candidate": "start", "updates": 1, "failed": failed.digest}
    save_checkpoint(
        tmp_path / "cured.pt",
        dataclasses.replace(failed, parameters=failed.parameters | encoder, info={**failed.info, "cure": how}),
    )
    return tmp_path / "cured.pt"


def test_a_placed_cure_goes_by_the_place_of_the_start_state(pair: Subject, encoder: Params) -> None:
    way = cure_way(pair, Mended(encoder, "placement", True))
    begin, rolled, end = way.embeddings
    torch.testing.assert_close(begin, pair.embedding(pair.failed))
    torch.testing.assert_close(end, pair.embedding(pair.copy), atol=1e-5, rtol=0)
    maze = pair.task.maze
    assert maze is not None
    torch.testing.assert_close(rolled[maze.start], end[maze.start])
    terms = [float(pair.terms(pair.dynamics, stop)["transition"]) for stop in way.embeddings]
    assert terms[1] < 0.1 * terms[0]  # the dynamics placed the states, so they predict most moves
    assert "in 2 steps" in way.about
    assert "descend freely" not in way.about
    free = torch.stack([begin, end + 0.01])  # the level's embeddings: the one near the end is gone through
    there = cure_way(pair, Mended(encoder, "placement", False, free))
    torch.testing.assert_close(there.embeddings[2], end + 0.01)
    assert "descend freely" in there.about
    assert "(best found)" in there.about


def test_a_cure_of_another_kind_goes_straight(pair: Subject, encoder: Params) -> None:
    way = cure_way(pair, Mended(encoder, "symmetry", True))
    assert len(way.embeddings) == 2
    assert "straight" in way.about


def test_a_file_is_the_cure_of_that_very_network(pair: Subject, cured: Path) -> None:
    found = read_mended(cured, pair.failed_file)
    assert (found.method, found.cured, found.free) == ("placement", True, None)
    with pytest.raises(UserError, match="no network that crar cure wrote"):
        read_mended(BASE, pair.failed_file)
    with pytest.raises(UserError, match="the cure of another network than"):
        read_mended(cured, load_checkpoint(BASE))
    with pytest.raises(UserError, match="--again draws what lies there"):
        landscape(again=cured.parent, cured=cured)


def test_where_none_is_looked_for_a_page_says_so(pair: Subject) -> None:
    found, why = mended_or_why(pair, quick=True)
    assert found is None
    assert "crar cure --from crar_model/sample_models/failed.pt writes with --cured" in why
    whole = dataclasses.replace(pair, failed_file=dataclasses.replace(pair.failed_file, info={"variant": "base"}))
    found, why = mended_or_why(whole, quick=False)
    assert found is None
    assert "never transferred" in why


def test_a_landscape_takes_a_cure(cured: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    end_early(monkeypatch)
    out = tmp_path / "out"
    landscape(FAILED, BASE, out=out, quick=True, certificate=False, points=3, resolution=3, cured=cured)
    data = data_of(out / "explorer.html")
    (way,) = (way for way in data["ways"] if way["name"] == "cure")
    assert way["embeddings"].shape == (3, 31, 2)
    assert not any("No cure" in note for note in data["notes"])
    assert json.loads((out / "results.json").read_text())["options"]["cured"] == str(cured)
    landscape(FAILED, BASE, out=tmp_path / "without", quick=True, certificate=False, points=3, resolution=3)
    data = data_of(tmp_path / "without" / "explorer.html")
    assert {way["name"] for way in data["ways"]} == {"straight", "frozen", "free"}
    assert any("No cure is shown" in note for note in data["notes"])
