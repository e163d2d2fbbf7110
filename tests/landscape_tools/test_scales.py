"""Certificates of losses in other units, of losses without a stationary point, and of what second derivatives do not tell."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import landscape_tools as lt

F = nn.functional
X = torch.randn(8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.randn(8, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def certified(function: Callable[[Tensor], Tensor], *values: float) -> lt.Certificate:
    return lt.certify(lambda p: function(p["p"]), {"p": torch.tensor(values, dtype=torch.float64)})


@pytest.mark.parametrize("unit", [1.0, 1e-6, 1e-12, 1e12])
def test_the_unit_of_a_loss_makes_no_minimum(unit: float) -> None:
    def loss(w: Tensor) -> Tensor:
        return unit * (w - 1).square().sum()

    assert certified(loss, 0.5, 0.5).verdict == lt.NOT_CONVERGED
    assert certified(loss, 1.0, 1.0).verdict == lt.MINIMUM
    assert certified(lambda w: unit * (w[0].square() - w[1].square() + w[1] ** 4), 0.0, 0.0).verdict == lt.SADDLE


@pytest.mark.parametrize("far", [14.0, 30.0])
def test_a_loss_that_falls_for_ever_has_no_minimum(far: float) -> None:
    found = certified(lambda w: F.softplus(-w).sum() + F.softplus(-2 * w).sum(), far)
    assert found.subgradient.norm < 1e-5
    assert found.verdict == lt.NOT_CONVERGED
    assert "no stationary point is nearer than 1" in found.reason


def test_rounding_is_no_kink_and_a_plateau_stays_flat() -> None:
    linear, labels = nn.Linear(3, 2).double(), torch.tensor([0, 1, 1])
    loss = lt.module_loss(linear, F.cross_entropy, X[:3], labels)
    found = lt.certify(loss, lt.converge(loss, loss.point).point)
    assert found.verdict in (lt.NOT_CONVERGED, lt.UNDECIDED)
    assert "not declared" not in found.reason
    assert certified(lambda w: w.softmax(0).sum(), 0.3, -0.4, 0.1).verdict in (lt.FLAT, lt.UNDECIDED)
    assert certified(lambda w: torch.relu(1 - w).sum(), 3.0, 4.0).verdict == lt.FLAT


@pytest.mark.parametrize("unit", [1.0, 1e-6, 1e-12])
def test_a_network_of_zeros_is_a_saddle_in_any_unit(unit: float) -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 2)).double()
    for value in net.parameters():
        nn.init.zeros_(value)
    net[2].bias.data.copy_(Y.mean(0))
    loss = lt.module_loss(net, lambda o, y: unit * F.mse_loss(o, y), X, Y)
    found = lt.certify(loss.composite(), loss.point, escape_iterations=5)
    assert found.signature is not None
    assert (found.verdict, found.signature.rank) == (lt.SADDLE, 2)


def test_a_small_rest_counts_where_its_curvature_does() -> None:
    loss = lt.Composite(lambda z: 5e-6 * z[0] + z.square().sum(), lambda p: torch.stack((-p["p"][0].square(), p["p"][1])))
    assert lt.certify(loss, {"p": torch.zeros(2, dtype=torch.float64)}).verdict == lt.SADDLE


@pytest.mark.parametrize("falling", [lambda w: -(w**4), lambda w: w**3])
def test_many_flat_directions_are_looked_along(falling: Callable[[Tensor], Tensor]) -> None:
    found = certified(lambda w: w[19].square() + falling(w[5]), *[0.0] * 20)
    assert found.verdict == lt.UNDECIDED
    assert "a lower loss lies beside the point" in found.reason
    assert certified(lambda w: w[19].square() + w[5] ** 4, *[0.0] * 20).verdict == lt.FLAT


@pytest.mark.parametrize("square", [lambda r: r.abs().square(), lambda r: r.abs() ** 2.0])
def test_squares_of_sizes_are_squares(square: Callable[[Tensor], Tensor]) -> None:
    # Automatic differentiation says that abs() has the derivative 0 at 0, and so that its square has the second derivative 0.
    linear = nn.Linear(3, 2).double()
    loss = lt.module_loss(linear, lambda o, y: square(o - y).sum(), X, linear(X).detach())
    for form in (loss, loss.composite()):
        found = lt.certify(form, loss.point)
        assert found.verdict == lt.MINIMUM
        assert "another second derivative" in found.reason
    assert certified(lambda w: (w * w.abs()).sum(), 0.0, 0.0).verdict != lt.MINIMUM


def test_a_loss_without_a_bottom_ends_at_numbers() -> None:
    def loss(point: dict[str, Tensor]) -> Tensor:
        return point["p"][:-1].square().sum() - point["p"][-1].square()

    start = torch.zeros(lt.NEWTON_LIMIT + 1, dtype=torch.float64)
    found = lt.certify(loss, {"p": start})
    assert found.verdict == lt.SADDLE
    assert found.escape is not None
    assert found.escape.loss < -1
    start[-1] = 1e-3
    ended = lt.converge(loss, {"p": start})
    assert np.isfinite(ended.loss)
    assert ended.loss == float(loss(ended.point)) < -1


def test_a_negative_weight_of_a_maximum_is_refused() -> None:
    zero = {"p": torch.zeros(2, dtype=torch.float64)}
    with pytest.raises(ValueError, match="a weight of the maxima is negative"):
        lt.composite_of(
            lambda p: p["p"].square().sum(), zero, pieces=lambda p: torch.stack((p["p"], -p["p"]), -1), weights=torch.tensor([1.0, -1.0])
        )
