"""Planes with an error bar against grids of the loss itself, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import landscape_tools as lt
from landscape_tools.chebyshev import ORDERS, Rectangle, nodes, weights_at

ORIGIN = {"w": torch.zeros(2, dtype=torch.float64)}
FIRST, SECOND = ({"w": torch.tensor(row, dtype=torch.float64)} for row in ([1.0, 0.0], [0.0, 1.0]))


def drawn(loss: Callable[[dict[str, Tensor]], Tensor], **options: Any) -> lt.AdaptivePlane:
    return lt.adaptive_plane(loss, ORIGIN, FIRST, SECOND, (-1, 2), (0, 1), **options)


def truth(loss: Callable[[dict[str, Tensor]], Tensor], resolution: int = 61) -> Any:
    x, y = torch.linspace(-1, 2, resolution, dtype=torch.float64), torch.linspace(0, 1, resolution, dtype=torch.float64)
    return lt.sample_plane(loss, ORIGIN, FIRST, SECOND, x, y)["loss"].values


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=25, max_size=25), st.sampled_from(ORDERS))
def test_polynomials_of_few_degrees_are_interpolated_exactly(coefficients: list[float], order: int) -> None:
    part = Rectangle((-1.0, 2.0), (0.5, 0.75), order)
    matrix = np.array(coefficients).reshape(5, 5)

    def value(places: Any) -> Any:
        return np.polynomial.polynomial.polyval2d(places[:, 0], places[:, 1], matrix)

    places = np.random.default_rng(0).uniform((-1, 0.5), (2, 0.75), (50, 2))
    corners = np.array([[-1.0, 0.5], [2.0, 0.75]])
    for at in (places, part.places(), corners):
        np.testing.assert_allclose(part.interpolated(value(part.places()), at), value(at), atol=1e-9)


def test_finer_rectangles_share_points() -> None:
    assert set(nodes(5).tolist()) <= set(nodes(9).tolist())
    coarse = Rectangle((-1.0, 2.0), (0.0, 1.0), ORDERS[-1])
    quarters = coarse.finer()
    assert len(quarters) == 4
    one, two = (set(map(tuple, part.places().tolist())) for part in quarters[:2])
    assert len(one & two) == ORDERS[0]
    np.testing.assert_allclose(weights_at(np.linspace(-1, 1, 7), 9).sum(1), 1)


def test_a_smooth_loss_takes_few_evaluations_and_the_error_is_true() -> None:
    def loss(p: dict[str, Tensor]) -> Tensor:
        return 0.1 + (p["w"][0] - 0.3) ** 2 + (2 * p["w"][1] + p["w"][0]).sin() ** 2

    found = drawn(loss, tolerance=0.01)
    assert found.met
    assert found.evaluations < 400
    data = found.to_dataset(61)
    misses = np.abs(data["loss"].values / truth(loss) - 1)
    assert np.mean(misses > found.error) <= found.worse
    assert misses.max() < 5 * found.tolerance
    assert data.attrs["saved"] == 1 - found.evaluations / 61**2
    direct = [float(loss({"w": torch.tensor([a, b], dtype=torch.float64)})) for a, b, _ in found.checks]
    np.testing.assert_allclose(found.checks[:, 2], direct)
    again = np.abs(found.at(found.checks[:, :2]) / found.checks[:, 2] - 1)
    assert found.error == pytest.approx(again.max())


def test_a_needle_is_refined_where_it_is_and_an_error_too_large_is_said() -> None:
    def loss(p: dict[str, Tensor]) -> Tensor:
        return 1 + 5 * (-60 * (p["w"] - 0.6).square().sum()).exp()

    fine, short = drawn(loss, tolerance=0.02, most=1500, checks=150), drawn(loss, tolerance=1e-4, most=150)
    assert fine.met
    sizes = fine.rectangles[:, 1] - fine.rectangles[:, 0]
    near = (np.abs(fine.rectangles[:, :2].mean(1) - 0.6) < 0.3) & (np.abs(fine.rectangles[:, 2:4].mean(1) - 0.6) < 0.2)
    assert sizes[near].max() < sizes.max()
    assert np.abs(fine.to_dataset(61)["loss"].values / truth(loss) - 1).max() < 0.2
    assert not short.met
    assert short.unfinished > 0
    assert short.evaluations <= 150 + 40 + 4
    assert "MORE THAN" in short.plot().get_title()


def test_losses_below_zero_and_not_finite() -> None:
    found = drawn(lambda p: p["w"][0] ** 3 - p["w"][1])
    assert not found.logarithmic
    assert found.error < 1e-9
    np.testing.assert_allclose(found.to_dataset(61)["loss"].values, truth(lambda p: p["w"][0] ** 3 - p["w"][1]), atol=1e-9)
    lost = drawn(lambda p: (p["w"][0] + 0.5).log().square() + 1, most=300)  # NaN on a sixth of the plane
    assert lost.error == np.inf
    assert not lost.met
    walled = drawn(lambda p: torch.where(p["w"][0] > 1, torch.inf, 1 + p["w"][1]), most=300)  # infinite on a third of it
    assert walled.error == np.inf
    assert "MORE THAN" in walled.plot().get_title()
    heights, true = lost.to_dataset(61)["loss"].values, truth(lambda p: (p["w"][0] + 0.5).log().square() + 1)
    assert np.isnan(heights[~np.isfinite(true)]).all()


def test_a_network_with_buffers_and_its_page() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 2)).double().eval()
    loss = lt.module_loss(net, nn.functional.cross_entropy, torch.randn(20, 4).double(), torch.arange(20) % 2)
    axes, seen = lt.random_axes(loss.point), []
    found = lt.adaptive_plane(loss, loss.point, *axes, (-1, 1), (-1, 1), progress=lambda done, whole: seen.append((done, whole)))
    grid = torch.linspace(-1, 1, 15, dtype=torch.float64)
    true = lt.sample_plane(loss, loss.point, *axes, grid, grid)["loss"].values
    assert np.abs(found.to_dataset(15)["loss"].values / true - 1).max() < 3 * max(found.error, found.tolerance)
    assert seen[-1][0] == min(found.evaluations, 600)
    assert "evaluations" in found.to_html()


def test_bad_planes_are_refused() -> None:
    def several(p: dict[str, Tensor]) -> Any:
        return {"a": p["w"].sum(), "b": p["w"].sum()}

    with pytest.raises(ValueError, match="each must rise"):
        lt.adaptive_plane(lambda p: p["w"].sum(), ORIGIN, FIRST, SECOND, (1, 1), (0, 1))
    with pytest.raises(ValueError, match="above 0"):
        drawn(lambda p: p["w"].sum(), tolerance=0.0)
    with pytest.raises(ValueError, match="needs one scalar"):
        drawn(several)
    with pytest.raises(ValueError, match="it is random"):
        drawn(lambda p: p["w"].sum() + torch.rand(()))
