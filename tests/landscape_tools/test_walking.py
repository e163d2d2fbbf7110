"""Points made one after the other in kept tensors are those made anew, whatever the loss does with them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import landscape_tools as lt
from landscape_tools.walking import Family

KINDS = (torch.float64, torch.float32, torch.bfloat16, torch.complex128)
GRID = list(itertools.product((-1e8, -0.3, 0.0, 1.0), (0.0, 0.7, -2.0)))


def axes(dtype: torch.dtype) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
    generator = torch.Generator().manual_seed(0)

    def drawn(*names: str) -> dict[str, Tensor]:
        broad = torch.float32 if dtype == torch.bfloat16 else dtype
        return {name: torch.randn(3, 2, generator=generator, dtype=broad) for name in names}

    origin = {name: value.to(dtype) for name, value in drawn("a", "b", "c").items()}
    return origin, [drawn("a", "b"), drawn("b", "c")]


@pytest.mark.parametrize("dtype", KINDS)
def test_points_are_the_same_in_any_order(dtype: torch.dtype) -> None:
    """Nothing accumulates: after a step to 1e8 and back a point has all of its digits."""
    origin, directions = axes(dtype)
    at = Family(origin, directions)
    for steps in (*GRID, *GRID[::-1]):
        fresh = lt.moved(origin, directions, steps)
        for name, value in at(steps).items():
            assert value.dtype == dtype
            torch.testing.assert_close(value, fresh[name])
    assert all(not torch.equal(value, origin[name]) for name, value in at((1.0, 1.0)).items())


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_a_loss_that_writes_into_its_point_or_returns_a_part_of_it(name: str) -> None:
    origin, (first, second) = axes(torch.float64)
    whole = {key: value.clone() for key, value in origin.items()}
    kept: list[Tensor] = []

    def writing(point: dict[str, Tensor]) -> Tensor:
        value = point["a"].sum() + 2 * point["b"].sum() + 3 * point["c"].sum()
        point[name].mul_(5)
        return value

    def viewing(point: dict[str, Tensor]) -> Tensor:
        kept.append(point[name])
        return point[name][0, 0]

    x, y = [-1.0, 0.5, 2.0], [0.0, 1.0, 3.0]
    for loss in (writing, viewing):
        found = lt.sample_plane(loss, origin, first, second, x, y, vectorize="loop")["loss"].values
        by_hand = [[float(loss(lt.moved(whole, (first, second), (a, b)))) for a in x] for b in y]
        np.testing.assert_allclose(found, by_hand, rtol=1e-12)
    assert all(torch.equal(value, whole[key]) for key, value in origin.items())


def test_what_is_not_finite_stays_where_it_is() -> None:
    origin = {"w": torch.tensor([1.0, torch.inf])}
    direction = {"w": torch.tensor([torch.inf, 1.0])}
    at = Family(origin, [direction])
    for step in (-1.0, -0.5, 1.0):
        torch.testing.assert_close(at((step,))["w"], torch.tensor([step * torch.inf, torch.inf]))


@pytest.mark.parametrize("vectorize", ["auto", "loop"])
def test_module_and_data_stay_in_inference_mode_too(vectorize: Any) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(inplace=True), nn.Linear(6, 2))
    net(torch.randn(30, 4))
    net.eval()
    x, y = torch.randn(9, 4), torch.randint(2, (9,))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    loss = lt.module_loss(net, nn.functional.cross_entropy, x, y)
    axes = lt.random_axes(loss.point)
    steps = torch.linspace(-1, 1, 5)
    found = lt.sample_plane(loss, loss.point, *axes, steps, steps, vectorize=vectorize)["loss"].values
    with torch.inference_mode():
        again = lt.sample_plane(loss, loss.point, *axes, steps, steps, vectorize="loop")["loss"].values
    by_hand = [[float(loss(lt.moved(loss.point, axes, (a, b)))) for a in steps.tolist()] for b in steps.tolist()]
    np.testing.assert_allclose(found, by_hand, rtol=1e-5)
    np.testing.assert_allclose(again, by_hand, rtol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


class Taking(nn.Module):
    """Takes entries out of the dict that it is given, and writes into one through NumPy, which counts no writes."""

    def __init__(self, *, quietly: bool) -> None:
        super().__init__()
        self.head, self.quietly = nn.Linear(4, 2), quietly

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        x, scale = batch.pop("x"), batch.pop("scale")
        out: Tensor = self.head(x * scale)
        if self.quietly:
            scale.numpy()[...] *= 2
        else:
            scale.mul_(2)
        return out


@pytest.mark.parametrize("quietly", [True, False])
def test_a_model_that_takes_its_batch_apart(quietly: bool) -> None:
    torch.manual_seed(0)
    net, batch = Taking(quietly=quietly), {"x": torch.randn(5, 4), "scale": torch.ones(1)}
    y = torch.randn(5, 2)
    loss = lt.module_loss(net, nn.functional.mse_loss, batch, y)
    expected = float(nn.functional.mse_loss(net.head(batch["x"]), y).detach())
    assert [float(loss(loss.point)) for _ in range(3)] == pytest.approx([expected] * 3)
    end = {name: value + 1 for name, value in loss.point.items()}
    assert float(lt.sample_line(loss, end, loss.point, points=9)["loss"][-1]) == pytest.approx(expected)
    assert sorted(batch) == ["scale", "x"]
    assert float(batch["scale"]) == 1


class Writing(nn.Module):
    """Computes with a buffer and writes into it, or puts another in its place."""

    def __init__(self, *, replacing: bool) -> None:
        super().__init__()
        self.head, self.replacing = nn.Linear(4, 2), replacing
        self.register_buffer("scale", torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(x) * self.scale
        if self.replacing:
            self.scale = self.scale * 2
        else:
            self.scale.mul_(2)
        return out


def networks() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    tied = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Linear(4, 2))
    tied[2].weight = tied[0].weight
    return {
        "tied": tied,
        "normalised": nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2)),
        "spectral": nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(4, 6)), nn.Linear(6, 2)),
        "replacing": Writing(replacing=True),
        "writing": Writing(replacing=False),
    }


@pytest.mark.parametrize("name", ["tied", "normalised", "spectral", "replacing", "writing"])
@pytest.mark.parametrize("buffers", ["interpolate", "batch"])
def test_a_module_that_holds_the_points_is_the_loss_itself(name: str, buffers: Any) -> None:
    """On lines between states with other buffers, too."""
    net = networks()[name]
    x, y = torch.randn(9, 4, generator=torch.Generator().manual_seed(1)), torch.arange(9) % 2
    loss = lt.module_loss(net, nn.functional.cross_entropy, x, y, buffers=buffers)
    end = {key: value + 0.3 if value.is_floating_point() else value for key, value in loss.point.items()}
    found = lt.sample_line(loss, loss.point, end, points=6, vectorize="loop")["loss"].values
    assert list(loss.mountings({key: value.clone() for key, value in loss.point.items()}))
    step = lt.difference(end, loss.point)
    by_hand = [float(loss(lt.moved(loss.point, [step], [t]))) for t in torch.linspace(0, 1, 6).tolist()]
    np.testing.assert_allclose(found, by_hand, rtol=1e-5)
    assert len(set(by_hand)) == 6
