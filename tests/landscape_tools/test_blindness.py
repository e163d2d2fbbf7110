"""What a plane misses, against dense float64 Hessians."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import landscape_tools as lt


def quadratic(values: list[float]) -> tuple[lt.ScalarLoss, dict[str, Tensor]]:
    entries = torch.tensor(values, dtype=torch.float64)
    return lambda p: 1 + 0.5 * (entries * p["w"].square()).sum(), {"w": torch.zeros(len(values), dtype=torch.float64)}


def axis(*entries: float) -> dict[str, Tensor]:
    return {"w": torch.tensor(entries, dtype=torch.float64)}


def test_a_saddle_that_a_plane_does_not_show() -> None:
    loss, point = quadratic([1.0, 2.0, 100.0, -50.0])
    found = lt.plane_misses(loss, point, axis(3, 0, 0, 0), axis(1, 1, 0, 0), seeds=3)
    assert found.in_plane == pytest.approx([1, 2])
    assert (found.lowest, found.highest, found.trace) == pytest.approx((-50, 100, 53))
    assert (found.steepest, found.downward, found.traced) == pytest.approx((0.02, 0.0, 3 / 53))
    assert found.seeds.shape == (3, 2)
    text = " ".join(found.lines())
    assert "flatter than the loss is" in text
    assert "falls along a direction that the plane does not show" in text
    # 1 + 0.5 * 1 * (3 t)^2 <= e up to t = 0.6; 1 + 1.5 t^2 up to t = 1.07
    assert found.reach.tolist() == [0.5, 1.0]


def test_a_plane_of_the_steepest_directions_shows_all() -> None:
    loss, point = quadratic([1.0, 2.0, 100.0, -50.0])
    others = [lambda p, k=k: k * loss(p) for k in (2.0, 3.0)]
    snapshots = [{"w": torch.tensor(row, dtype=torch.float64)} for row in ([0.0, 0, 1, 1], [3.0, 4, 0, 0], [0.0, 0, 0, 0])]
    found = lt.plane_misses(loss, point, axis(0, 0, 1, 1), axis(0, 0, 0, 1), others=others, snapshots=snapshots)
    assert (found.steepest, found.downward) == pytest.approx((1, 1))
    assert found.others == pytest.approx(np.array([[-100, 200], [-150, 300]]))
    assert found.distances == pytest.approx([0, 5, 0])
    assert found.outside == pytest.approx(25 / 27)
    assert "93% of its squared movement" in " ".join(found.lines())
    assert "the loss falls" not in " ".join(found.lines()).lower()
    assert found.plot().get_title() == "the plane shows 1 of the steepest curvature"
    assert "of the steepest" in found.to_dataset().attrs["lines"]


def test_a_network_with_buffers_against_its_dense_hessian() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 2)).double()
    net(torch.randn(30, 4).double())
    loss = lt.module_loss(net, nn.functional.cross_entropy, torch.randn(20, 4).double(), torch.arange(20) % 2)
    axes = lt.random_axes(loss.point, seed=5, biases="keep")
    found = lt.plane_misses(loss, loss.point, *axes, seeds=4, snapshots=[lt.moved(loss.point, axes, (0.3, -0.2)), loss.point])
    like = lt.trainable(loss.point)
    matrix: Tensor = torch.autograd.functional.hessian(lambda v: loss({**loss.point, **lt.unflatten(v, like)}), lt.flatten(like))
    rows = torch.linalg.qr(torch.stack([lt.flatten({n: axis[n] for n in like}) for axis in axes]).T)[0].T
    assert found.in_plane == pytest.approx(torch.linalg.eigvalsh(rows @ matrix @ rows.T).numpy())
    ends = torch.linalg.eigvalsh(matrix)
    assert (found.lowest, found.highest) == pytest.approx((float(ends[0]), float(ends[-1])))
    assert found.trace == pytest.approx(float(matrix.trace()))
    assert found.distances == pytest.approx([0, 0], abs=1e-9)


def test_a_plane_that_is_none() -> None:
    loss, point = quadratic([1.0, 2.0])
    with pytest.raises(ValueError, match="span no plane"):
        lt.plane_misses(loss, point, axis(1, 1), axis(2, 2))
