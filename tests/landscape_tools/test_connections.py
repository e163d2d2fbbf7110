"""Stochastic connections: they go round what is high, end where they are asked to, and keep their ends."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import landscape_tools as lt
from landscape_tools.connections import _bernstein, _hats

F = nn.functional


def ring(p: dict[str, Tensor]) -> Tensor:
    """A valley along the unit circle, with a peak of height 1 in its middle."""
    return (p["w"].square().sum() - 1).square()


def at(*values: float, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    return {"w": torch.tensor(values, dtype=dtype)}


@pytest.mark.parametrize(("kind", "bends"), [("bezier", 1), ("bezier", 3), ("polygon", 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_curve_goes_round_a_peak(kind: Any, bends: int, dtype: torch.dtype) -> None:
    limit = {1: 0.2, 3: 0.01, 5: 0.05}[bends]  # what such a curve can do along a half circle
    found = lt.connect(
        ring, at(-1, 0.02, dtype=dtype), at(1, 0.02, dtype=dtype), kind=kind, bends=bends, iterations=400, rate=0.05, tolerance=0.0
    )  # fmt: skip
    assert found.barrier < limit
    assert found.points["w"].dtype == dtype
    assert torch.equal(found.points["w"][[0, -1]], torch.stack((at(-1, 0.02, dtype=dtype)["w"], at(1, 0.02, dtype=dtype)["w"])))
    direct = [float(ring({"w": row})) for row in found.points["w"]]
    assert found.losses.tolist() == pytest.approx(direct, rel=1e-5, abs=1e-6)
    assert found.barrier == pytest.approx(float(found.heights.max() - found.heights[0]))


def test_it_ends_when_the_barrier_is_small_enough() -> None:
    seen: list[tuple[int, int]] = []
    found = lt.connect(
        ring, at(-1, 0.02), at(1, 0.02), bends=2, rate=0.05, tolerance=0.3, iterations=2000, progress=lambda *done: seen.append(done)
    )
    assert found.converged
    assert found.barrier <= 0.3
    assert found.iterations == len(seen) < 2000
    short = lt.connect(ring, at(-1, 0.02), at(1, 0.02), iterations=2)
    assert not short.converged


def test_bases_sum_to_one() -> None:
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    for shares in (_bernstein(t, 4), _hats(t, 4)):
        torch.testing.assert_close(shares.sum(1), torch.ones_like(t))
        assert shares[0].tolist() == [1, 0, 0, 0]
        assert shares[-1].tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("streamed", [False, True])
def test_networks_with_statistics_and_batches(streamed: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(60, 4)
    y = (x.sum(1) > 0).long()

    def trained(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
        optimiser = torch.optim.Adam(net.parameters(), lr=0.05)
        for _ in range(40):
            optimiser.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimiser.step()
        return net.eval()

    one, two = trained(1), trained(2)
    loss = (
        lt.data_loss(one, [(x[:17], y[:17]), (x[17:], y[17:])], F.cross_entropy) if streamed else lt.module_loss(one, F.cross_entropy, x, y)
    )
    ends = lt.state_of(one), lt.state_of(two)
    straight = lt.barrier(lt.sample_line(loss, *ends, points=31), "loss").climb
    found = lt.connect(loss, *ends, iterations=150, rate=0.05, batch=20, images=9)
    assert found.barrier < 0.5 * straight
    for k, net in ((0, one), (-1, two)):
        image = {name: value[k] for name, value in found.points.items()}
        assert float(loss(image)) == pytest.approx(float(F.cross_entropy(net(x), y).detach()), rel=1e-5)
    again = lt.connect(loss, *ends, iterations=150, rate=0.05, batch=20, images=9)
    assert torch.equal(again.heights, found.heights)


def test_a_band_takes_its_gradients_in_chunks() -> None:
    counts: list[int] = []

    def loss(p: dict[str, Tensor]) -> Tensor:
        counts.append(len(p["w"]))
        return (p["w"].square().sum(-1) - 1).square()

    options: Any = {"images": 9, "iterations": 20, "vectorize": "batched"}
    whole = lt.elastic_band(loss, at(-1, 0), at(1, 0), middle=at(0, 1), **options)
    assert 9 in counts
    counts.clear()
    parts = lt.elastic_band(loss, at(-1, 0), at(1, 0), middle=at(0, 1), chunk=4, **options)
    assert 9 not in counts
    torch.testing.assert_close(parts.heights, whole.heights)


def test_bad_settings_are_refused() -> None:
    word: Any = "spline"
    with pytest.raises(ValueError, match="choose bezier or polygon"):
        lt.connect(ring, at(0, 1), at(1, 0), kind=word)
    with pytest.raises(ValueError, match="images is 2; it must be at least 3"):
        lt.connect(ring, at(0, 1), at(1, 0), images=2)
    more: Any = {"steps": 3}
    with pytest.raises(TypeError, match="no option 'steps'"):
        lt.connect(ring, at(0, 1), at(1, 0), **more)
