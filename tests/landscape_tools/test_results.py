"""Results are drawn, put into words, files and pages, and come back whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

import landscape_tools as lt


def bowl(point: dict[str, Tensor]) -> Tensor:
    return (point["w"][0] ** 2 - 1) ** 2 + 3 * point["w"][1] ** 2


def at(*values: float) -> dict[str, Tensor]:
    return {"w": torch.tensor(values, dtype=torch.float64)}


MAKE: dict[str, Callable[[], Any]] = {
    "path": lambda: lt.elastic_band(bowl, at(-1, 0), at(1, 0), images=5, iterations=3),
    "minimum": lambda: lt.certify(bowl, at(1, 0)),
    "saddle": lambda: lt.certify(bowl, at(0, 0), escape_iterations=5),
    "not converged": lambda: lt.certify(bowl, at(0.5, 0)),
    "ends": lambda: lt.extreme_eigenvalues(lambda v: torch.arange(5.0).double() * v, 5, count=2),
    "curvature": lambda: lt.spectrum(
        lambda p: (p["w"] ** 4).sum() / 12, {"w": torch.linspace(-1, 2, 500).double()}, count=2, probes=3, steps=9
    ),
}
SAMPLED: dict[str, Callable[[], xr.Dataset]] = {
    "line": lambda: lt.sample_line(lambda p: {"a/b": bowl(p), "c": 2 * bowl(p)}, at(-1, 0), at(1, 1), points=5),
    "plane": lambda: lt.sample_plane(lambda p: bowl(p).log(), at(1, 0), at(1, 0), at(0, 1), [-1, 0, 1], [0, 1]),
    "steep plane": lambda: lt.sample_plane(bowl, at(0.9, 0.1), at(9, 0), at(0, 9), [-1, 0, 1], [0, 1]),
    "level plane": lambda: lt.sample_plane(lambda p: 0 * bowl(p) + 1, at(1, 0), at(1, 0), at(0, 1), [-1, 0, 1], [0, 1]),
    "trajectory": lambda: lt.sample_trajectory(bowl, [at(0, 1), at(0.5, 0.2), at(1, 0)], resolution=3),
}


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, lt.Kept):
        return type(one) is type(other) and all(equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))
    if isinstance(one, dict):
        return list(one) == list(other) and all(type(a) is type(b) and equal(one[a], other[b]) for a, b in zip(one, other, strict=True))
    if isinstance(one, (Tensor, np.ndarray)):
        return type(one) is type(other) and one.dtype == other.dtype and bool(np.array_equal(one, other, equal_nan=True))
    return type(one) is type(other) and (one == other or (isinstance(one, float) and math.isnan(one) and math.isnan(other)))


@pytest.mark.parametrize("name", MAKE)
def test_results_come_back_from_their_files_and_pages(name: str, tmp_path: Path) -> None:
    found = MAKE[name]()
    found.save(tmp_path / "result.pt")
    again = lt.load(tmp_path / "result.pt")
    assert equal(found, again)
    assert again is not found
    own = Figure().subplots()
    assert found.plot(own) is own
    assert own.has_data() is (name != "not converged")
    assert isinstance(lt.plot(found), Axes)
    data = found.to_dataset()
    data.to_netcdf(tmp_path / "result.nc")
    with xr.open_dataset(tmp_path / "result.nc") as read:
        xr.testing.assert_identical(read.load(), data)
    place = found.show(tmp_path / "pages" / "result.html")
    text = place.read_text()
    assert text == lt.to_html(found)
    assert 'src="data:image/png;base64,' in text
    assert "http" not in text
    assert len(repr(found)) < 600
    assert repr(found).startswith(type(found).__name__ + "(")


def test_words_and_numbers_are_the_result_s_own() -> None:
    saddle, path, curvature = MAKE["saddle"](), MAKE["path"](), MAKE["curvature"]()
    assert "verdict=saddle" in repr(saddle)
    assert "escape=Converged(...)" in repr(saddle)
    assert "point=1 tensors" in repr(saddle.escape)
    assert saddle.plot().get_title().startswith("saddle: ")
    assert saddle.to_dataset().attrs["subgradient"] == saddle.subgradient.norm
    assert saddle.to_dataset()["lowest"].values.tolist() == saddle.spectrum.lowest.tolist()
    assert path.to_dataset()["height"].values.tolist() == path.heights.tolist()
    assert f"barrier {path.barrier:.4g}" in path.plot().get_title()
    assert curvature.to_dataset().attrs["trace"] == pytest.approx(float((torch.linspace(-1, 2, 500).double() ** 2).sum()), rel=1e-9)


@pytest.mark.parametrize("name", SAMPLED)
def test_lines_planes_and_trajectories_are_drawn(name: str, tmp_path: Path) -> None:
    found = SAMPLED[name]()
    ax = lt.plot(found)
    assert ax.has_data()
    assert lt.show(found, tmp_path / "page.html").read_text() == lt.to_html(found)
    if name == "line":
        assert [line.get_label() for line in ax.lines] == ["a_b", "c"]
        assert [line.get_label() for line in lt.plot(found, name="a/b").lines] == ["a_b"]
    if name == "trajectory":
        assert ax.lines[0].get_xdata().tolist() == found["snapshot_x"].values.tolist()
    with pytest.raises(ValueError, match="there is no loss 'x/y' to draw"):
        lt.plot(found, name="x/y")


def test_buffers_stay_buffers_and_other_files_are_refused(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Tanh(), nn.Linear(3, 1)).double().eval()
    loss = lt.module_loss(net, nn.functional.mse_loss, torch.randn(4, 2).double(), torch.zeros(4, 1).double())
    path = lt.elastic_band(loss, loss.point, lt.moved(loss.point, [lt.random_axes(loss.point)[0]], (0.3,)), images=3, iterations=1)
    path.save(tmp_path / "path.pt")
    assert [type(name) for name in lt.load(tmp_path / "path.pt").points] == [type(name) for name in path.points]
    torch.save({"kind": "Path of another program"}, tmp_path / "other.pt")
    (tmp_path / "text.pt").write_text("a text")
    for name in ("other.pt", "text.pt"):
        with pytest.raises(ValueError, match=f"{name} holds no result"):
            lt.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        lt.load(tmp_path / "none.pt")
