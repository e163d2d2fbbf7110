"""The explorer: its data are what was measured, it is offline and small, and what an older folder lacks it says."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from crar_model.agent.loss import SHOWN
from crar_model.core.errors import UserError
from crar_model.core.params import DYNAMICS, select
from crar_model.samples import BASE, FAILED
from crar_reports.face.pairs import landscape
from crar_reports.figures.explorer import MOST_BYTES, MOST_NUMBERS, way_data
from crar_reports.measure.subject import Subject, load_subject
from crar_reports.measure.ways import Way
from crar_reports.pages.landscape.again import explorer_again
from crar_reports.press.typed import embedded, packed, spread, unpacked
from tests.crar_reports.explorer_data import data_of, dynamics_of, total_at
from tests.crar_reports.pages import Tags

PUBLISHED = Path(__file__).parents[2] / "reports" / "published"
FOLDER = PUBLISHED / "landscape"


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    return data_of(FOLDER / "explorer.html")


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "results.json").read_text())
    return found


@pytest.fixture(scope="module")
def pair() -> Subject:
    return load_subject(FAILED, BASE)


@pytest.mark.parametrize("page", sorted(PUBLISHED.glob("**/explorer.html")), ids=lambda page: page.parent.name)
def test_published_explorers_are_offline_and_small(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert page.stat().st_size < MOST_BYTES
    tags = Tags(text)
    assert {tag for tag, _ in tags.tags}.isdisjoint({"link", "img", "iframe", "object", "base"})
    assert not any("src" in attributes for attributes in tags.all("script"))
    assert "default-src 'none'" in str(tags.all("meta")[-1]["content"])
    assert not re.search(r"https?:|url\(|@import|/work/|/tmp/", text)


def test_both_failure_and_cure_are_published() -> None:
    assert {page.parent.name for page in PUBLISHED.glob("*/explorer.html")} >= {"landscape", "cure"}


def test_surface_is_the_measured_one(data: dict[str, Any], results: dict[str, Any]) -> None:
    (shown,) = data["surfaces"]
    with xr.open_dataset(FOLDER / "surface.nc", engine="h5netcdf") as surface:
        for axis in ("x", "y"):
            np.testing.assert_allclose(shown[axis], surface[axis].values, rtol=1e-6, atol=1e-7)
        for name in SHOWN:
            np.testing.assert_allclose(shown["values"][name], surface[name].transpose("y", "x").values, rtol=1e-6, atol=1e-12)
    ends = {end["label"]: end["terms"] for end in data["ends"]}
    assert ends["failed model"] == {name: results["failed_terms"][name] for name in SHOWN}
    assert ends["global optimum"] == {name: results["optimum_terms"][name] for name in SHOWN}


def test_models_of_the_surface_have_the_measured_losses(data: dict[str, Any], results: dict[str, Any], pair: Subject) -> None:
    (shown,), widths = data["surfaces"], pair.agent.dynamics_widths
    assert widths is not None
    assert shown["straight"]
    own, adapted = (dynamics_of(flat, pair.failed, widths) for flat in (data["net"]["own"], shown["adapted"]))
    for name, value in own.items():
        torch.testing.assert_close(value, pair.failed[name].double(), rtol=0, atol=0)  # frozen dynamics were float32 before
    for dynamics, embedding, wanted in ((own, 0, "failed_terms"), (own, 1, "optimum_terms"), (adapted, 0, "adapted")):
        terms = results[wanted].get("terms", results[wanted])
        assert total_at(pair, dynamics, shown["encoder"][embedding]) == pytest.approx(terms["total"], rel=1e-5)


def test_paths_are_the_measured_ones(data: dict[str, Any], results: dict[str, Any], pair: Subject) -> None:
    ways, widths = {way["name"]: way for way in data["ways"]}, pair.agent.dynamics_widths
    assert widths is not None
    assert {"straight", "frozen", "free", "valleys", "cure", "flat-1", "flat-2", "flat-3"} == set(ways)
    with xr.open_dataset(FOLDER / "paths.nc", engine="h5netcdf") as paths:
        for name in ("frozen", "free", "valleys"):
            way, heights = ways[name], ways[name]["heights"]
            np.testing.assert_allclose(heights["total"], paths[f"{name}_total"].values, rtol=1e-6)
            assert float(heights["total"].max() - heights["total"][0]) == pytest.approx(results["paths"][name]["barrier"], abs=1e-6)
            for k in (0, len(way["position"]) // 2, len(way["position"]) - 1):  # what the page computes is what was measured there
                moved = data["net"]["own"] if way["dynamics"] is None else way["dynamics"][k]
                found = total_at(pair, dynamics_of(moved, pair.failed, widths), way["embeddings"][k])
                assert found == pytest.approx(float(np.interp(way["position"][k], heights["at"], heights["total"])), rel=1e-4), (name, k)
    assert ways["frozen"]["dynamics"] is None
    assert ways["free"]["dynamics"] is not None


def test_flat_directions_have_their_curvature(data: dict[str, Any], results: dict[str, Any], pair: Subject) -> None:
    own = select(pair.failed, DYNAMICS)
    for way in (way for way in data["ways"] if way["name"].startswith("flat")):
        low, middle, high = (row.astype(np.float64) for row in way["embeddings"])
        assert total_at(pair, own, middle) == pytest.approx(results["certificate"]["loss"], rel=1e-6)
        length = np.linalg.norm(high - middle)
        (told,) = re.findall(r"([\d.e-]+) per unit", way["about"])
        curvature = float(told)
        step = 0.03 * (high - low) / 2  # near enough for the second order, far enough for single precision
        bent = total_at(pair, own, middle + step) + total_at(pair, own, middle - step) - 2 * total_at(pair, own, middle)
        assert bent / (0.03 * length) ** 2 == pytest.approx(curvature, rel=0.1)


def test_batch_and_maze_are_those_of_the_package(data: dict[str, Any], pair: Subject) -> None:
    batch, maze, of = data["net"]["batch"], pair.task.maze, pair.batch
    assert maze is not None
    assert of.pairs is not None
    assert of.value_target is not None
    for name, wanted in (("state", of.state), ("next", of.next_state), ("action", of.action), ("pairs", of.pairs)):
        assert batch[name].tolist() == wanted.tolist()
    np.testing.assert_allclose(batch["target"], of.value_target.numpy(), rtol=1e-5, atol=1e-7)
    assert data["net"]["weights"] == pair.settings.weights()
    assert data["maze"]["successor"].tolist() == maze.successor.tolist()
    assert data["maze"]["walls"].astype(bool).tolist() == maze.walls.tolist()


def test_cure_leads_from_the_failed_encoder_to_the_cured_one() -> None:
    data, results = data_of(PUBLISHED / "cure" / "explorer.html"), json.loads((PUBLISHED / "cure" / "results.json").read_text())
    ends = {end["label"]: end["terms"]["total"] for end in data["ends"]}
    assert ends == {"failed model": results["before"]["terms"]["total"], "cured": results["after"]["terms"]["total"]}
    planned, placed = data["surfaces"]
    with xr.open_dataset(PUBLISHED / "cure" / "placement.nc", engine="h5netcdf") as surface:
        np.testing.assert_allclose(placed["values"]["total"], surface["total"].values.T, rtol=1e-6)
    cure, straight = (next(way for way in data["ways"] if way["name"] == name) for name in ("cure", "straight"))
    for end in (0, -1):
        np.testing.assert_array_equal(cure["embeddings"][end], straight["embeddings"][end])
        np.testing.assert_array_equal(cure["embeddings"][end], planned["encoder"][end])
    landscape = data_of(FOLDER / "explorer.html")
    there = next(way for way in landscape["ways"] if way["name"] == "cure")
    np.testing.assert_allclose(there["embeddings"], cure["embeddings"], atol=1e-6)  # that of the landscape is the very same
    start = data["maze"]["start"]
    marks = {mark["label"]: (mark["x"], mark["y"]) for mark in placed["marks"]}
    assert marks["cured"] == pytest.approx(cure["embeddings"][-1][start].tolist(), abs=1e-5)
    assert marks["failed"] == pytest.approx(cure["embeddings"][0][start].tolist(), abs=1e-5)


def older(folder: Path, *, paths: bool = True) -> Path:
    """A folder as it was before there were explorers."""
    folder.mkdir()
    for name in ("results.json", "surface.nc", "lines.nc", *(["paths.nc"] if paths else [])):
        shutil.copy(FOLDER / name, folder / name)
    return folder


def test_an_older_folder_is_drawn_from_its_data(tmp_path: Path, data: dict[str, Any]) -> None:
    shown = data_of(explorer_again(older(tmp_path / "old"), tmp_path / "old", "crar landscape"))
    assert [way["name"] for way in shown["ways"]] == ["straight", "frozen", "free", "valleys"]
    np.testing.assert_array_equal(shown["surfaces"][0]["values"]["total"], data["surfaces"][0]["values"]["total"])
    assert shown["net"] is None
    assert "keeps no embeddings" in " ".join(shown["notes"])


def test_an_older_folder_without_paths_says_so_and_another_folder_is_filled(tmp_path: Path) -> None:
    page = landscape(out=tmp_path / "new", again=older(tmp_path / "old", paths=False))
    assert str(page).startswith(f"explorer: {tmp_path / 'new' / 'explorer.html'}")
    assert not (tmp_path / "old" / "explorer.html").exists()
    assert "No paths were kept" in " ".join(data_of(tmp_path / "new" / "explorer.html")["notes"])


def test_folders_that_are_none_are_refused_in_a_line(tmp_path: Path) -> None:
    folder = older(tmp_path / "old")
    with pytest.raises(UserError, match="takes no models"):
        landscape(FAILED, out=tmp_path / "out", again=folder)
    (folder / "surface.nc").write_bytes(b"no netCDF")
    with pytest.raises(UserError, match=r"surface\.nc: damaged"):
        explorer_again(folder, folder, "")
    (folder / "surface.nc").unlink()
    with pytest.raises(UserError, match="has no surface"):
        explorer_again(folder, folder, "")
    (folder / "results.json").unlink()
    with pytest.raises(UserError, match=r"results\.json"):
        explorer_again(folder, folder, "")


def test_a_long_path_is_thinned_and_says_so(pair: Subject) -> None:
    own, widths = select(pair.failed, DYNAMICS), pair.agent.dynamics_widths
    assert widths is not None
    count = 40
    position = torch.linspace(0, 1, count, dtype=torch.float64)
    embeddings = pair.embedding(pair.failed).expand(count, -1, -1)
    moving = {name: value.expand(count, *value.shape) for name, value in own.items()}
    way = Way("free", "Free path", "About.", position, embeddings, moving, True, (position, position), peak=17)
    shown = way_data(way, own, widths)
    kept = unpacked(shown["position"])
    assert unpacked(shown["dynamics"]).size + unpacked(shown["embeddings"]).size <= MOST_NUMBERS
    assert len(kept) < count
    assert shown["thinned"].startswith(f"Thinned: {len(kept)} of its {count}")
    assert not shown["straight"]  # between two stops lies what was left out
    assert kept[0] == 0
    assert kept[-1] == 1
    assert kept[shown["peak"]] == pytest.approx(float(position[17]))


@given(st.integers(1, 300), st.integers(4, 50), st.data())
def test_spread_keeps_what_it_must(count: int, most: int, choose: st.DataObject) -> None:
    keep = choose.draw(st.lists(st.integers(0, count - 1), max_size=2).map(tuple))
    rows = spread(count, most, keep)
    assert rows == sorted(set(rows))
    assert len(rows) <= max(most, 1)
    assert {0, count - 1, *keep} <= set(rows) <= set(range(count))
    if count <= most:
        assert len(rows) == count


@given(st.lists(st.floats(width=32), min_size=1, max_size=20))
def test_packed_numbers_come_back(values: list[float]) -> None:
    np.testing.assert_array_equal(unpacked(packed(Tensor(values))), np.array(values, dtype=np.float32))


def test_whole_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="does not hold"):
        packed([256], "u1")
    assert "<" not in embedded({"words": "</script>", "gap": float("nan")})
    assert json.loads(embedded({"words": "</script>", "gap": float("nan")})) == {"words": "</script>", "gap": None}
