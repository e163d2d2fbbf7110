"""Infinite is infinite, and NaN is said, wherever a number is summed up; searches keep off both."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import landscape_tools as lt
from landscape_tools.cones import sign_on_cone

INF, NAN = math.inf, math.nan
BAD = pytest.mark.parametrize("bad", [INF, NAN])


def at(*values: float) -> dict[str, Tensor]:
    return {"w": torch.tensor(values, dtype=torch.float64)}


def hole(bad: float, low: float = -0.3, high: float = 0.3) -> lt.ScalarLoss:
    """w^2, and `bad` where the first entry lies between `low` and `high`."""

    def loss(point: dict[str, Tensor]) -> Tensor:
        w = point["w"]
        return torch.where((w[0] > low) & (w[0] < high), torch.full_like(w[0], bad), w.square().sum())

    return loss


def same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


@BAD
def test_a_climb_over_what_is_not_finite(bad: float) -> None:
    ends = at(-1.0, 0.0), at(1.0, 0.0)
    line = lt.sample_line(hole(bad), *ends, points=5)
    found = lt.barrier(line, "loss")
    assert same(found.peak, bad)
    assert same(found.climb, bad)
    assert (found.where, found.start, found.end, line.attrs["not_finite"]) == (0.5, 1.0, 1.0, 1)
    for way in (
        lt.elastic_band(hole(bad), *ends, images=5, iterations=5),
        lt.elastic_band(hole(bad), *ends, images=5, iterations=5, zooms=2),
        lt.bezier_path(hole(bad), *ends, points=5, iterations=5),
    ):
        assert same(way.barrier, bad)
        assert 0.3 < way.where < 0.7
        assert not way.converged
        assert math.isnan(way.force)
        assert bool(way.points["w"].isfinite().all())


@BAD
def test_a_start_that_is_not_finite_has_no_climb(bad: float) -> None:
    loss, ends = hole(bad, -2.0, -0.9), (at(-1.0), at(1.0))
    found = lt.barrier(lt.sample_line(loss, *ends, points=5), "loss")
    assert same(found.start, bad)
    assert math.isnan(found.climb)
    assert math.isnan(lt.elastic_band(loss, *ends, images=4, iterations=3).barrier)
    assert math.isnan(lt.bezier_path(loss, *ends, points=4, iterations=3).barrier)


@pytest.mark.parametrize(
    ("heights", "climb"),
    [([1, 3, 2], 2), ([3, 2, 1], 0), ([1, INF, 2], INF), ([1, NAN, 9], NAN), ([1, INF, NAN], NAN), ([NAN, 1], NAN), ([INF, 1], NAN),
     ([-INF, 1], INF), ([1, -INF], 0)],
)  # fmt: skip
def test_climbs(heights: list[float], climb: float) -> None:
    assert same(lt.climb(np.array(heights, dtype=float)), climb)
    assert same(lt.climb(torch.tensor(heights, dtype=torch.float32)), climb)


def test_the_lowest_of_ways_is_never_nan_by_its_place() -> None:
    ways = [SimpleNamespace(barrier=value) for value in (NAN, 2.0, INF, 1.0, NAN)]
    assert lt.lowest(ways).barrier == lt.lowest(ways[::-1]).barrier == 1.0
    assert lt.lowest([ways[0], ways[2]]).barrier == INF
    assert max(1.0, NAN, 2.0, key=lt.rank) != 2.0


@BAD
def test_a_way_around_a_hole_is_found_and_preferred(bad: float) -> None:
    """The images that meet the hole are carried over its rim by the others, and a curve without such points is the better one."""

    def ring(point: dict[str, Tensor]) -> Tensor:
        x, y = point["w"]
        radius = (x**2 + y**2).sqrt()
        return torch.where(radius < 0.5, torch.full_like(x, bad), (radius - 1) ** 2)

    ends = at(-1.0, 0.0), at(1.0, 0.0)
    path = lt.elastic_band(ring, *ends, images=9, iterations=120, middle=at(0.0, 0.55))
    assert path.barrier < 0.01
    curve = lt.bezier_path(lambda p: ring(p) - 0.3 * p["w"][1], *ends, points=9, iterations=60, rate=0.05)
    assert math.isfinite(curve.barrier)


def test_planes_keep_and_count_what_is_not_finite() -> None:
    plane = lt.sample_plane(lambda p: 1 / p["w"].prod(), at(0.0, 0.0), at(1.0, 0.0), at(0.0, 1.0), [0.0, 1.0], [1.0, 2.0])
    assert plane["loss"].values.tolist() == [[INF, 1.0], [INF, 0.5]]
    assert plane.attrs["not_finite"] == 2
    with pytest.raises(ValueError, match="second direction is not finite"):
        lt.sample_plane(lambda p: p["w"].sum(), at(0.0, 0.0), at(1.0, 0.0), at(0.0, NAN), [0.0, 1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="not finite"):
        lt.three_point_axes(at(0.0, 0.0), at(1.0, 0.0), at(NAN, 1.0))
    with pytest.raises(ValueError, match="snapshot holds values that are not finite"):
        lt.trajectory_plane([at(0.0, 0.0), at(NAN, 1.0), at(1.0, 1.0)])


@pytest.mark.parametrize("size", [3, 600])
def test_spectra_of_operators_that_are_zero_or_not_finite(size: int) -> None:
    zero = lt.extreme_eigenvalues(lambda v: 0 * v, size)
    assert (zero.lowest[0], zero.highest[-1], zero.lowest_residuals[0]) == (0, 0, 0)
    assert float(zero.lowest_vector.norm()) == pytest.approx(1)
    entries = torch.ones(size, dtype=torch.float64)
    entries[1] = NAN
    assert np.isnan(lt.extreme_eigenvalues(lambda v: entries * v, size).lowest).all()
    few = lt.extreme_eigenvalues(lambda v: torch.arange(size) * v, size, iterations=1)
    assert np.isnan(few.lowest[0]) or few.complete


def test_second_derivatives_of_losses_that_have_none() -> None:
    ones = torch.ones(3, dtype=torch.float64)
    weight = torch.ones(3, dtype=torch.float64, requires_grad=True)
    for loss in (lambda v: (v * 0).sum(), lambda v: v.sum(), lambda v: torch.tensor(1.0), lambda v: weight.sum()):
        assert lt.hessian_product(loss, ones)(ones).tolist() == [0, 0, 0]


def test_nan_has_no_sign_on_a_cone() -> None:
    nothing = torch.zeros(0, 2, dtype=torch.float64)
    assert sign_on_cone(torch.full((2, 2), NAN, dtype=torch.float64), nothing, nothing, 1e-6).sign == "unknown"


ENDS = lt.Ends(0.5, 1e-3, 9.0, 1e-3, np.ones(1), np.ones(1), 16)


def test_verdicts_of_samples_never_rest_on_nan() -> None:
    assert lt.verdict_on_sample(NAN, ENDS, stationary=1e-3)[0] == lt.NOT_CONVERGED
    for broken in ({"highest": INF}, {"highest": NAN}, {"lowest": -INF}, {"lowest": NAN}, {"lowest_residual": NAN}):
        assert lt.verdict_on_sample(1e-4, replace(ENDS, **broken), stationary=1e-3)[0] == lt.UNDECIDED
    for loss, highest, other_loss, other_lowest in (
        (0.3, 9.0, NAN, 0.4),
        (0.3, 9.0, 0.31, NAN),
        (0.3, NAN, 0.31, 0.4),
        (INF, 9.0, INF, 0.4),
    ):
        for verdict in (lt.MINIMUM, lt.FLAT, lt.SADDLE):
            assert lt.verdict_on_both(verdict, loss, highest, other_loss, other_lowest)[0] == lt.UNDECIDED
    lost = lt.spectrum_ends(lambda v: NAN * v, 5, steps=3)
    assert math.isnan(lost.lowest)
    assert lt.verdict_on_sample(0.0, lost, stationary=1e-3)[0] == lt.UNDECIDED


@BAD
def test_a_descent_keeps_off_what_is_not_finite(bad: float) -> None:
    """x - log x from far to the right: the first steps of L-BFGS lead to where it has no value."""

    def slope(x: np.ndarray) -> tuple[float, np.ndarray]:
        return (float(x[0] - np.log(x[0])), 1 - 1 / x) if x[0] > 0 else (bad, x * bad)

    assert lt.descend(slope, np.array([50.0]), iterations=60, tolerance=1e-6).point == pytest.approx([1.0], abs=1e-4)
    with pytest.raises(ValueError, match="not finite where the descent starts"):
        lt.descend(slope, np.array([-1.0]), iterations=5, tolerance=1e-6)
    size = lt.NEWTON_LIMIT + 1
    far = {"w": torch.full((size,), 50.0, dtype=torch.float64)}
    found = lt.converge(lambda p: (p["w"] - torch.where(p["w"] > 0, p["w"], torch.full_like(p["w"], bad)).log()).sum(), far, iterations=60)
    assert found.point["w"].tolist() == pytest.approx([1.0] * size, abs=1e-4)


def test_a_gradient_that_is_not_finite_at_the_start_is_refused() -> None:
    for loss in (lambda p: p["w"].abs().sqrt().sum(), lambda p: torch.xlogy(p["w"], p["w"]).sum()):
        for size in (2, lt.NEWTON_LIMIT + 1):
            with pytest.raises(ValueError, match="not finite where the descent starts"):
                lt.converge(loss, {"w": torch.zeros(size, dtype=torch.float64)}, iterations=3)
    kinked = lt.composite_of(lambda p: p["w"].square().sum(), at(1.0), pieces=lambda p: torch.stack((p["w"] * NAN, -p["w"]), -1))
    assert math.isnan(lt.smallest_subgradient(kinked, at(1.0)).norm)


def test_a_curvature_that_is_not_finite_does_not_stop_a_descent() -> None:
    """The norm of the second half is 0 at the start: its second derivative is NaN there."""
    found = lt.converge(lambda p: (p["w"][:2] - 1).square().sum() + p["w"][2:].norm() ** 2, at(0.0, 3.0, 0.0, 0.0))
    assert found.point["w"].tolist() == pytest.approx([1, 1, 0, 0], abs=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_least_squares_of_more_outputs_than_parameters(seed: int) -> None:
    """The squared norm of a pulled gradient, taken by way of the outputs, rounds below 0; its root was complex."""
    torch.manual_seed(seed)
    inputs, targets = torch.randn(25, 3).double(), 10.0 ** (seed - 6) * torch.randn(25, 1).double()
    loss = lt.module_loss(nn.Linear(3, 1).double(), nn.functional.mse_loss, inputs, targets)
    composite = loss.composite()
    found = lt.converge(composite, loss.point)
    columns = torch.cat((inputs, torch.ones(25, 1)), 1)
    best = float((columns @ torch.linalg.lstsq(columns, targets).solution - targets).square().mean())
    assert found.loss == pytest.approx(best, rel=1e-9, abs=1e-15)
    assert found.subgradient.norm < 1e-6 * max(1.0, best)


def test_a_lift_ends_where_the_jacobian_is_not_finite() -> None:
    lifted = lt.lift(lambda p: p["w"].sqrt(), at(0.0, 1.0), torch.tensor([[0.0, 1.0], [1.0, 1.0]], dtype=torch.float64))
    assert lifted.reached == 0
    assert math.isnan(lifted.smallest_singular)
