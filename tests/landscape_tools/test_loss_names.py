"""Names of losses: those that files do not take, and those that a result has for itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import xarray as xr
from torch import Tensor

import landscape_tools as lt

A, B, C = ({"w": torch.tensor(values)} for values in ([0.0, 0.0], [1.0, 0.5], [0.2, 1.0]))
AXIS = [0.0, 0.5, 1.0]
TOOLS: dict[str, Callable[..., xr.Dataset]] = {
    "line": lambda loss: lt.sample_line(loss, A, B, points=3),
    "plane": lambda loss: lt.sample_plane(loss, A, B, C, AXIS, AXIS),
    "trajectory": lambda loss: lt.sample_trajectory(loss, [A, B, C], resolution=2),
    "product": lambda loss: lt.sample_product(lambda p: p["w"], lambda f, p: loss({"w": f + p["w"]}), (A, B), (A, C), AXIS, AXIS),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_names_with_slashes_are_kept_in_files(tool: str, tmp_path: Path) -> None:
    data = TOOLS[tool](lambda p: {"train/loss": p["w"].sum(), "val/loss": p["w"].square().sum(), " 1.top\n5": p["w"].prod()})
    assert {"train_loss", "val_loss", "1.top_5"} <= set(data.data_vars)
    data.to_netcdf(tmp_path / "data.nc")
    with xr.open_dataset(tmp_path / "data.nc") as again:
        assert again.load().identical(data)
    if tool == "line":
        assert lt.barrier(data, "train/loss") == lt.barrier(data, "train_loss")


@pytest.mark.parametrize(
    ("tool", "name"),
    [
        ("line", "t"),
        ("plane", "x"),
        ("plane", "y"),
        ("product", "x"),
        *(("trajectory", n) for n in ("y", "distance", "snapshot", "snapshot_x")),
    ],
)
def test_names_of_the_result_are_refused_before_the_work(tool: str, name: str) -> None:
    calls = []

    def loss(point: dict[str, Tensor]) -> dict[str, Any]:
        calls.append(1)
        return {name: point["w"].sum()}

    with pytest.raises(ValueError, match=f"a loss is named '{name}', and so is a part of this result; name it '{name}_loss'"):
        TOOLS[tool](loss)
    assert len(calls) < 6


def test_names_that_meet_in_the_result() -> None:
    for names, message in (
        (("a/b", "a_b"), "are both 'a_b' in a file"),
        (("",), "name it by letters"),
        ((3,), "name it by letters"),
        ((".",), "name it by letters"),
    ):
        with pytest.raises(ValueError, match=message):
            lt.sample_line(lambda p, names=names: dict.fromkeys(names, p["w"].sum()), A, B, points=3)
    with pytest.raises(ValueError, match="'fit_true', and so is a part"):
        lt.sample_trajectory(lambda p: {"fit": p["w"].sum(), "fit_true": p["w"].sum()}, [A, B, C], resolution=2)
