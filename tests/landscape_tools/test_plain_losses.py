"""Losses that are plain functions go through every tool."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import landscape_tools as lt
from tests.landscape_tools.test_face import AXIS


def bowl(point: dict[str, Tensor]) -> Tensor:
    return (point["x"] - 1).square().sum() + (point["y"] * point["y"]).sum()


def start(dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    return {"x": torch.full((2, 2), 3.0, dtype=dtype), "y": torch.ones(3, dtype=dtype)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_plain_losses_go_through_every_tool(dtype: torch.dtype) -> None:
    found = lt.converge(bowl, start(dtype))
    assert {name: (value.shape, value.dtype) for name, value in found.point.items()} == {
        name: (value.shape, dtype) for name, value in start(dtype).items()
    }
    assert found.loss < 1e-8
    assert lt.certify(bowl, found.point).verdict == "minimum"
    assert lt.smallest_subgradient(bowl, start(dtype)).norm == pytest.approx(2 * (4 * 4 + 3) ** 0.5, rel=1e-5)
    path = lt.elastic_band(bowl, found.point, start(dtype), images=5, iterations=5)
    curve = lt.bezier_path(bowl, found.point, start(dtype), points=5, iterations=5)
    assert path.points["x"].dtype == curve.points["x"].dtype == dtype
    assert float(lt.sample_line(bowl, found.point, start(dtype))["loss"][-1]) == pytest.approx(19.0)


def test_points_that_still_ask_for_gradients() -> None:
    asking = {name: value.requires_grad_() for name, value in start().items()}
    path = lt.elastic_band(bowl, asking, {name: value.detach() + 1 for name, value in asking.items()}, images=4, iterations=3)
    assert not path.points["x"].requires_grad
    assert lt.certify(bowl, lt.converge(bowl, asking).point).verdict == "minimum"


def test_a_kink_needs_pieces_only() -> None:
    def smooth(point: dict[str, Tensor]) -> Tensor:
        return 0.1 * point["x"].square().sum()

    def pieces(point: dict[str, Tensor]) -> Tensor:
        return torch.stack((point["x"], -point["x"]), -1)

    at = {"x": torch.tensor([0.4, -0.2], dtype=torch.float64)}
    kinked = lt.composite_of(smooth, at, pieces=pieces)
    assert float(kinked.loss(at)) == pytest.approx(0.1 * 0.2 + 0.6)
    found = lt.converge(kinked, at)
    assert found.loss < 1e-6
    assert lt.certify(kinked, {"x": torch.zeros(2, dtype=torch.float64)}).verdict == "minimum"
    with pytest.raises(ValueError, match="pieces"):
        lt.composite_of(smooth, at, weights=torch.ones(2))


def unmappable(point: dict[str, Tensor]) -> Tensor:
    """A Python branch on a value."""
    return bowl(point) if point["y"].sum().item() > 0 else 2 * bowl(point)


def test_losses_that_cannot_be_mapped_are_called_one_by_one() -> None:
    ends = start(), {name: -value for name, value in start().items()}
    with pytest.raises(ValueError, match="vectorize='loop'"):
        lt.sample_line(unmappable, *ends, points=4, vectorize="vmap")
    with pytest.warns(UserWarning, match="point by point"):
        assert lt.elastic_band(unmappable, *ends, images=4, iterations=2).losses.shape == (4,)
    line = lt.sample_line(unmappable, *ends, points=4, vectorize="loop")
    assert line["loss"].values.tolist() == pytest.approx(
        [float(unmappable({n: (1 - t) * ends[0][n] + t * ends[1][n] for n in ends[0]})) for t in line["t"].values]
    )
    assert lt.elastic_band(unmappable, *ends, images=4, iterations=2, vectorize="loop").losses.shape == (4,)
    options: dict[str, Any] = {
        "first": (start(), start()),
        "second": ({"z": torch.ones(2)}, {"z": torch.ones(2)}),
        "x": AXIS,
        "y": AXIS[:3],
    }
    stages = lambda p: p["x"].sum(), lambda f, p: {"loss": f * p["z"].sum()}
    looped, mapped = (lt.sample_product(*stages, **options, vectorize=how) for how in ("loop", "vmap"))
    assert np.allclose(looped["loss"], mapped["loss"])


def test_losses_that_return_numbers() -> None:
    """A line needs values alone; a path needs their gradients and says so."""
    ends = start(), {name: -value for name, value in start().items()}
    line = lt.sample_line(lambda p: bowl(p).item(), *ends, points=4, vectorize="loop")
    assert line["loss"].values == pytest.approx(lt.sample_line(bowl, *ends, points=4)["loss"].values)
    with pytest.raises(ValueError, match=r"without \.item\(\)"):
        lt.elastic_band(lambda p: bowl(p).item(), *ends, images=4, iterations=2)


def test_wrong_values_are_refused() -> None:
    ends = start(), {name: -value for name, value in start().items()}
    with pytest.raises(ValueError, match="one scalar per point"):
        lt.sample_line(lambda p: p["y"], *ends)
    with pytest.raises(ValueError, match="one scalar per point"):  # forgets the leading axis
        lt.sample_line(bowl, *ends, vectorize="batched")
    with pytest.raises(ValueError, match="choose auto, vmap, batched or loop"):
        lt.sample_line(bowl, *ends, vectorize="fast")
    with pytest.raises(ValueError, match="a path needs one scalar"):
        lt.elastic_band(lambda p: {"a": bowl(p), "b": bowl(p)}, *ends)


def test_the_faster_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss that takes long when mapped, and one that takes long one by one, by a clock that only they move."""
    calls: dict[str, int] = {"mapped": 0, "single": 0}
    clock = [0.0]
    monkeypatch.setattr("landscape_tools.mapping.time", SimpleNamespace(thread_time=lambda: clock[0]))

    def loss(point: dict[str, Tensor]) -> Tensor:
        kind = "mapped" if torch._C._functorch.is_batchedtensor(point["x"]) else "single"
        calls[kind] += 1
        clock[0] += slow[kind]
        return bowl(point)

    ends = start(), {name: -value for name, value in start().items()}
    coordinates, direction = torch.linspace(0, 1, 40).unsqueeze(1), lt.difference(ends[1], ends[0])
    slow: dict[str, float] = {}
    found = {}
    for way, long_pass, mapped, single in (
        ("loop", 1e9, 0.03, 0.001),
        ("loop at once", 0.0, 0.03, 0.001),
        ("vmap", 1e9, 0.001, 0.0015),
        ("long", 1e9, 0.001, 0.005),
    ):
        monkeypatch.setattr("landscape_tools.mapping.LONG_PASS", long_pass)
        slow.update(mapped=mapped, single=single)
        calls.update(mapped=0, single=0)
        found[way] = lt.sample_points(loss, ends[0], [direction], coordinates, chunk=8)["loss"]
        # Two at the start, to see whether the loss is random, one to compare with, one for the clock; no pass of the trial is evaluated twice.
        assert (calls["mapped"], calls["single"] - 4) == {"loop": (2, 24), "loop at once": (1, 32), "vmap": (5, 0), "long": (0, 40)}[way]
    assert np.allclose(found["loop"], found["vmap"])
    calls.update(mapped=0, single=0)
    slow["single"] = 0.0015
    lt.sample_points(loss, ends[0], [direction], coordinates[:15])  # too few for a trial
    assert (calls["mapped"], calls["single"] - 2) == (0, 15)
    lt.sample_points(loss, ends[0], [direction], coordinates, chunk=None)  # its first passes are short ones
    assert (calls["mapped"], calls["single"] - 2) == (2 + 3, 15 + 4)
