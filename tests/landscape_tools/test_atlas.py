"""An atlas of wells whose passes are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import landscape_tools as lt

PLACES = {"left": -2.0, "middle": 0.0, "right": 2.5}


def wells(p: dict[str, Tensor]) -> Tensor:
    """Minima at -2, 0 and 2.5 along x, in a valley that bends: y = 0.3 sin(3 x)."""
    x, y = p["w"]
    return 0.1 * (x + 2).square() * x.square() * (x - 2.5).square() + 5 * (y - 0.3 * (3 * x).sin()).square() + 0.2 * x.cos()


def start(x: float) -> dict[str, Tensor]:
    point = torch.tensor([x, 0.3 * float(np.sin(3 * x))], dtype=torch.float64)
    return lt.converge(wells, {"w": point}).point


def banded(loss: lt.ScalarLoss, a: lt.Point, b: lt.Point) -> lt.Path:
    return lt.elastic_band(loss, a, b, images=21, iterations=400, time_step=0.05)


def test_passes_are_upper_bounds_near_the_true_ones() -> None:
    points, seen = {name: start(x) for name, x in PLACES.items()}, []
    found = lt.atlas(wells, points, through=banded, progress=lambda *done: seen.append(done))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert found.verdicts == ["minimum"] * 3
    x = np.linspace(-2.2, 2.7, 4001)
    floor = 0.1 * (x + 2) ** 2 * x**2 * (x - 2.5) ** 2 + 0.2 * np.cos(x)  # the valley's ground, whatever the way
    for (one, two), low, high in (((0, 1), -2, 0), ((1, 2), 0, 2.5)):
        true = floor[(x > low) & (x < high)].max()
        assert true - 1e-6 <= found.passes[one, two] <= true + 0.05
    assert found.passes[0, 2] == max(found.passes[0, 1], found.passes[1, 2])
    assert found.heights[0, 2] >= found.passes[0, 2]
    assert found.merges[:, :2].tolist() in ([[0, 1], [0, 2]], [[0, 1], [1, 2]])  # the way from 0 to 2 leads through 1
    assert found.merges[:, 2].tolist() == [found.passes[0, 1], found.passes[1, 2]]
    assert found.copies.tolist() == [0, 1, 2]
    assert all(top in ("saddle", "not converged") for top in found.tops)
    assert "saddle" in found.tops
    assert "From left to middle the loss need not rise above" in found.lines()[0]
    axes = found.plot()
    assert [label.get_text() for label in axes.get_xticklabels()] == ["left", "middle", "right"]
    assert max(np.asarray(line.get_ydata()).max() for line in axes.lines) == pytest.approx(found.merges[-1, 2])
    assert found.to_dataset()["passes"].sel(minimum="left", other="right") == found.passes[0, 2]


def test_copies_are_found_modulo_symmetry() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    loss = lt.module_loss(net, nn.functional.cross_entropy, torch.randn(12, 2).double(), torch.arange(12) % 2)
    layer = lt.HiddenLayer("0.weight", "0.bias", "2.weight")
    copy = lt.apply_symmetry(loss.point, layer, torch.tensor([2, 0, 3, 1]), torch.tensor([1.0, -1, 1, -1]))
    other = {name: value + torch.randn(value.shape, dtype=value.dtype) for name, value in loss.point.items()}
    options: Any = {"certified": False, "through": lambda *a: lt.connect(*a, iterations=20)}
    found = lt.atlas(loss, {"a": loss.point, "copy": copy, "b": other}, chain=[layer], function=loss.outputs, **options)
    assert found.copies.tolist() == [0, 0, 2]
    assert found.distances[0, 1] < 1e-9
    assert found.heights[0, 1] == pytest.approx(found.losses[0])
    assert found.verdicts == ["", "", ""]
    assert found.lines()[0] == "copy is a copy of a."
    apart = lt.atlas(loss, {"a": loss.point, "copy": copy}, **options)
    assert apart.copies.tolist() == [0, 1]
    with pytest.raises(ValueError, match="at least 2"):
        lt.atlas(loss, {"a": loss.point})
