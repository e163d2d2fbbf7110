from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from landscape_tools import bezier_path, elastic_band, sample_polygon

# Mueller & Brown (1979): parameters, minima and saddles as published.
A = torch.tensor([-200.0, -100.0, -170.0, 15.0], dtype=torch.float64)
P = torch.tensor([-1.0, -1.0, -6.5, 0.7], dtype=torch.float64)
Q = torch.tensor([0.0, 0.0, 11.0, 0.6], dtype=torch.float64)
R = torch.tensor([-10.0, -10.0, -6.5, 0.7], dtype=torch.float64)
X0 = torch.tensor([1.0, 0.0, -0.5, -1.0], dtype=torch.float64)
Y0 = torch.tensor([0.0, 0.5, 1.5, 1.0], dtype=torch.float64)


def mueller_brown(point: dict[str, Tensor]) -> Tensor:
    """Scaled by 1/100, so that energies are of order one."""
    x, y = point["x"][0] - X0, point["x"][1] - Y0
    return (A * torch.exp(P * x**2 + Q * x * y + R * y**2)).sum() / 100


def at(x: float, y: float) -> dict[str, Tensor]:
    return {"x": torch.tensor([x, y], dtype=torch.float64)}


def test_mueller_brown_saddle() -> None:
    """From the deepest minimum over the highest saddle, (-0.822, 0.624) at -40.665, to the shallow minimum."""
    path = elastic_band(mueller_brown, at(-0.558, 1.442), at(0.623, 0.028), images=21, iterations=3000, tolerance=1e-3, spring=0.5)
    assert path.converged
    assert float(path.losses[path.peak]) == pytest.approx(-0.40665, abs=1e-4)
    assert path.points["x"][path.peak].tolist() == pytest.approx([-0.822, 0.624], abs=2e-3)
    assert path.barrier == pytest.approx(1.46700 - 0.40665, abs=1e-3)
    assert torch.equal(path.points["x"][0], at(-0.558, 1.442)["x"])
    assert float(path.position[-1]) == 1.0


def ring(point: dict[str, Tensor]) -> Tensor:
    """A circular valley: a barrier of 1 on the straight line between opposite sides, none around."""
    return (point["x"].square().sum() - 1) ** 2


def test_a_barrier_that_a_path_avoids_vanishes() -> None:
    straight = float(ring(at(0.0, 0.0)))
    assert straight == 1.0
    bent = elastic_band(ring, at(-1, 0), at(1, 0), images=15, iterations=3000, tolerance=1e-4, middle=at(0.0, 0.4))
    assert bent.barrier < 1e-3
    assert bent.converged


def test_bezier_goes_around_as_far_as_a_parabola_can() -> None:
    tilted = bezier_path(lambda p: ring(p) - 0.05 * p["x"][1], at(-1, 0), at(1, 0), points=31, iterations=800, rate=0.02)
    assert tilted.barrier < 0.1
    assert float(tilted.points["x"][15, 1]) > 0.7
    assert tilted.converged


def test_a_chain_that_stops_early_says_so() -> None:
    path = elastic_band(mueller_brown, at(-0.558, 1.442), at(0.623, 0.028), images=9, iterations=5)
    assert not path.converged
    assert path.iterations == 5
    assert path.force > 1e-3


def test_unusable_paths() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        elastic_band(ring, at(0, 0), at(1, 0), images=2)
    with pytest.raises(ValueError, match="at least 3"):
        bezier_path(ring, at(0, 0), at(1, 0), points=2)
    with pytest.raises(ValueError, match="differ in their parameters"):
        elastic_band(ring, at(0, 0), {"y": torch.zeros(2)})


def ridge(point: dict[str, Tensor]) -> Tensor:
    """Two wells and a ridge between them that is far narrower than the gap between two images."""
    x, y = point["x"][..., 0], point["x"][..., 1]
    return 0.1 * (x**2 - 1) ** 2 + y**2 + 0.5 * torch.exp(-(((x - 0.51) / 0.02) ** 2))


def test_a_ridge_between_two_images_is_seen() -> None:
    path = elastic_band(ridge, at(-1, 0), at(1, 0), images=6, iterations=40, vectorize="batched", samples=64)
    assert float(path.losses.max()) < 0.2  # no image stands on it
    assert path.barrier > 0.45
    assert path.where == pytest.approx(0.755, abs=0.02)


def test_zooms_lower_the_bound_to_the_saddle() -> None:
    """A coarse chain cuts the corner of the curved valley; zooms follow it."""
    coarse = elastic_band(mueller_brown, at(-0.558, 1.442), at(0.623, 0.028), images=5, iterations=300, spring=0.5, climb_after=300)
    fine = elastic_band(mueller_brown, at(-0.558, 1.442), at(0.623, 0.028), images=5, iterations=600, spring=0.5, zooms=4)
    assert coarse.barrier > fine.barrier + 0.05
    assert fine.barrier == pytest.approx(1.46700 - 0.40665, abs=2e-3)
    assert fine.barrier >= 1.46700 - 0.40665 - 1e-4  # a bound from above
    # What a zoom did not touch keeps its heights: they are those of the whole polygon all the same.
    losses = torch.stack([mueller_brown({"x": x}) for x in fine.points["x"]])
    assert len(losses) > 5
    assert torch.allclose(fine.losses, losses, rtol=1e-12)
    walk, heights = sample_polygon(lambda rows: torch.stack([mueller_brown({"x": x}) for x in rows]), fine.points["x"], 16)
    assert torch.allclose(fine.heights, heights, rtol=1e-12)
    assert torch.equal(fine.walk, walk)


def test_batched_and_mapped_losses_give_the_same_path() -> None:
    one = elastic_band(ridge, at(-1, 0.1), at(1, 0), images=9, iterations=30)
    two = elastic_band(ridge, at(-1, 0.1), at(1, 0), vectorize="batched", images=9, iterations=30)
    assert torch.allclose(one.points["x"], two.points["x"], atol=1e-10)
    assert one.barrier == pytest.approx(two.barrier)


def test_a_loss_may_bring_its_gradient() -> None:
    class Known:
        """The ridge, its gradient computed by itself; autograd would not get through."""

        def __call__(self, point: dict[str, Tensor]) -> Tensor:
            return ridge(point).detach()

        def with_gradients(self, rows: Tensor, like: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
            assert list(like) == ["x"]
            leaves = rows.clone().requires_grad_()
            values = torch.stack([ridge({"x": x}) for x in leaves])
            return values.detach(), torch.autograd.grad(values.sum(), leaves)[0]

    one = elastic_band(ridge, at(-1, 0.1), at(1, 0), images=9, iterations=30)
    two = elastic_band(Known(), at(-1, 0.1), at(1, 0), vectorize="loop", images=9, iterations=30)
    assert torch.allclose(one.points["x"], two.points["x"], atol=1e-10)
    assert one.barrier == pytest.approx(two.barrier)


def test_a_polygon_is_sampled_alike_in_pieces_and_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = torch.linspace(-1, 2, 21, dtype=torch.float64).view(7, 3)
    whole = sample_polygon(lambda rows: rows.square().sum(1), chain, samples=4)
    assert whole[1].shape == (25,)
    assert float(whole[1][1]) == pytest.approx(float((0.75 * chain[0] + 0.25 * chain[1]).square().sum()))
    monkeypatch.setattr("landscape_tools.polygons.SAMPLED", 24)
    for given in (chain, chain.float()):
        walk, heights = sample_polygon(lambda rows: rows.square().sum(1), given, samples=4)
        assert torch.allclose(walk, whole[0], atol=1e-6)
        assert torch.allclose(heights, whole[1], atol=1e-6)
