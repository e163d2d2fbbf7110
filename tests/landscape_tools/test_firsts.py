"""Layers that see the data keep their outputs, and images lie as is fastest: the values are those of the loss by hand, whatever the model does."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import landscape_tools as lt
from landscape_tools.firsts import _First
from landscape_tools.walking import Family

X = torch.randn(9, 20, generator=torch.Generator().manual_seed(1))
IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(2))
STEPS = torch.linspace(-1, 1, 5)


class Masked(nn.Module):
    """Multiplies its weights by a mask, in place or into another tensor: at the masked origin nothing is seen of it."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.first, self.last, self.how = nn.Linear(20, 6), nn.Linear(6, 3), how
        self.mask = torch.arange(120).view(6, 20) % 2.0
        self.first.weight.data *= self.mask

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "data":
            self.first.weight.data = self.first.weight.data * self.mask
        elif self.how == "writes":
            self.first.weight.data.mul_(self.mask)
        found: Tensor = self.last(torch.tanh(self.first(x)))
        return found


class Twice(nn.Module):
    """One layer on the data, on a view of them and on what it made of them, and written into."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(20, 20), nn.Linear(20, 3)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.first(x), self.first(x.flip(1))
        a.relu_()
        c = self.first(x.view(-1, 20)).tanh_()
        found: Tensor = self.last(self.first(a) + b + c)
        return found


def masking(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    weight = layer.weight
    assert isinstance(weight, Tensor)
    weight.data = weight.data.abs()


def hooked() -> nn.Module:
    net = nn.Sequential(nn.Linear(20, 6), nn.Tanh(), nn.Linear(6, 3))
    net[0].register_forward_pre_hook(masking)
    return net


def tied() -> nn.Module:
    net = nn.Sequential(nn.Linear(20, 20), nn.Tanh(), nn.Linear(20, 20), nn.Linear(20, 3))
    net[2].weight = net[0].weight
    return net


def images(*after: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.MaxPool2d(2), *after)


class Viewing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.view(len(x), -1)


class Unordered(nn.Module):
    """Reads its input as it lies in memory, so that another layout is another result."""

    def forward(self, x: Tensor) -> Tensor:
        return x.as_strided((len(x), x[0].numel()), (x[0].numel(), 1)) * torch.arange(x[0].numel())


NETS: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
    "dense": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(20, 6), nn.ReLU(inplace=True), nn.Linear(6, 3)), X),
    "no bias": (lambda: nn.Sequential(nn.Linear(20, 6, bias=False), nn.Tanh(), nn.Linear(6, 3)), X),
    "twice": (Twice, X),
    "tied": (tied, X),
    "hooked": (hooked, X),
    "masked": (functools.partial(Masked, "data"), X),
    "written": (functools.partial(Masked, "writes"), X),
    "weight norm": (lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(20, 6)), nn.Linear(6, 3)), X),
    "images": (lambda: images(nn.Flatten(), nn.Linear(96, 3)), IMAGES),
    "viewed": (lambda: images(Viewing(), nn.Linear(96, 3)), IMAGES),
    "unordered": (lambda: images(Unordered(), nn.Linear(96, 3)), IMAGES),
    "circular": (
        lambda: nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, padding_mode="circular", groups=3), nn.Flatten(), nn.Linear(384, 3)),
        IMAGES,
    ),
}


def by_hand(net: nn.Module, x: Tensor, y: Tensor, origin: lt.Point, axes: Any) -> list[list[float]]:
    found = []
    for b in STEPS.tolist():
        row = []
        for a in STEPS.tolist():
            net.load_state_dict({name: value.clone() for name, value in lt.moved(origin, axes, (a, b)).items()}, strict=False)
            with torch.no_grad():
                row.append(float(nn.functional.cross_entropy(net(x.clone()), y)))
        found.append(row)
    return found


@pytest.mark.parametrize("vectorize", ["auto", "loop"])
@pytest.mark.parametrize("name", list(NETS))
def test_planes_are_those_by_hand(name: str, vectorize: Any) -> None:
    torch.manual_seed(0)
    make, x = NETS[name]
    net, y = make().eval(), torch.arange(len(x)) % 3
    loss = lt.module_loss(net, nn.functional.cross_entropy, x, y)
    axes = lt.random_axes(loss.point)
    options: dict[str, Any] = (
        {"vectorize": vectorize} if name not in ("masked", "written", "hooked", "unordered") else {"vectorize": "loop"}
    )
    found = lt.sample_plane(loss, loss.point, *axes, STEPS, STEPS, **options)["loss"].values
    np.testing.assert_allclose(found, by_hand(net, x, y, loss.point, axes), rtol=3e-4 if name == "unordered" else 2e-5)


@pytest.mark.parametrize("name", ["masked", "written", "hooked"])
def test_lines_that_begin_where_a_trick_is_not_seen(name: str) -> None:
    torch.manual_seed(0)
    make, x = NETS[name]
    net, y = make().eval(), torch.arange(9) % 3
    loss = lt.module_loss(net, nn.functional.cross_entropy, x, y)
    (axis,) = lt.random_axes(loss.point)[:1]
    end = lt.moved(loss.point, [axis], [1.0])
    found = lt.sample_line(loss, loss.point, end, points=5, vectorize="loop")["loss"].values
    direct = [float(loss(lt.moved(loss.point, [axis], [t]))) for t in (0, 0.25, 0.5, 0.75, 1)]
    np.testing.assert_allclose(found, direct, rtol=1e-5)


def outputs_made(net: nn.Module, x: Tensor, monkeypatch: pytest.MonkeyPatch, directions: int = 2) -> int:
    """How often the first layer's outputs were taken from what is kept, on a plane of 25 points."""
    seen = []
    original = _First.__call__

    def counted(self: _First, layer: Any, data: Tensor) -> Tensor:
        found = original(self, layer, data)
        seen.append(bool(self._kept) and self._key is not None)
        return found

    monkeypatch.setattr(_First, "__call__", counted)
    loss = lt.module_loss(net.eval(), nn.functional.cross_entropy, x, torch.arange(len(x)) % 3)
    axes = lt.random_axes(loss.point)
    lt.sample_plane(loss, loss.point, *axes[:directions], STEPS, STEPS, vectorize="loop")
    return sum(seen)


def test_the_first_layer_of_a_dense_network_keeps_its_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert outputs_made(nn.Sequential(nn.Linear(20, 6), nn.Tanh(), nn.Linear(6, 3)), X, monkeypatch) >= 24


@pytest.mark.parametrize("net", [hooked(), nn.Sequential(nn.Linear(8, 6), nn.Linear(6, 3)), Masked("data")])
def test_layers_that_keep_nothing(net: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    assert outputs_made(net, X[:, :8].clone() if not isinstance(net, Masked) and net[0].in_features == 8 else X, monkeypatch) == 0


def test_what_is_too_large_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("landscape_tools.firsts.LIMIT", 9 * 6 * 4 * 3)
    assert outputs_made(nn.Sequential(nn.Linear(20, 6), nn.Linear(6, 3)), X, monkeypatch) == 0


def test_a_direction_without_the_first_layer() -> None:
    """Its outputs stay as they are, and what a later layer writes into them does not."""
    torch.manual_seed(0)
    net, y = nn.Sequential(nn.Linear(20, 6), nn.ReLU(inplace=True), nn.Linear(6, 3)), torch.arange(9) % 3
    loss = lt.module_loss(net, nn.functional.cross_entropy, X, y)
    first, second = lt.random_axes(loss.point)
    for one, other in (
        (lt.restrict(first, ["2"]), lt.restrict(second, ["2"])),
        (lt.restrict(first, ["2"]), second),
        ({"0.bias": torch.ones(6)}, second),
    ):
        found = lt.sample_plane(loss, loss.point, one, other, STEPS, STEPS, vectorize="loop")["loss"].values
        np.testing.assert_allclose(found, by_hand(net, X, y, loss.point, (one, other)), rtol=1e-5)
        net.load_state_dict(loss.point)


def test_an_infinite_weight_stays_infinite() -> None:
    net, y = nn.Sequential(nn.Linear(20, 6), nn.Tanh(), nn.Linear(6, 3)), torch.arange(9) % 3
    net[0].weight.data[0, 0] = torch.inf
    loss = lt.module_loss(net, nn.functional.cross_entropy, X, y)
    axes = lt.random_axes({name: value for name, value in loss.point.items() if name != "0.weight"})
    found = lt.sample_plane(loss, loss.point, *axes, STEPS, STEPS, vectorize="loop")["loss"].values
    np.testing.assert_allclose(found, by_hand(net, X, y, loss.point, axes), rtol=1e-5)


def test_a_loader_of_images_and_a_dict_of_inputs() -> None:
    torch.manual_seed(0)
    net, y = images(nn.Flatten(), nn.Linear(96, 3)).eval(), torch.arange(4) % 3
    batches = [(IMAGES[:3], y[:3]), (IMAGES[3:], y[3:])]
    loss = lt.data_loss(net, batches, nn.functional.cross_entropy)
    axes = lt.random_axes(loss.point)
    found = lt.sample_plane(loss, loss.point, *axes, STEPS, STEPS)["loss"].values
    np.testing.assert_allclose(found, by_hand(net, IMAGES, y, loss.point, axes), rtol=2e-5)


def test_small_tensors_lie_in_one_and_large_ones_by_themselves() -> None:
    origin = {"a": torch.randn(3), "large": torch.randn(200, 200), "b": torch.randn(5, 2), "c": torch.randn(4, dtype=torch.float64)}
    directions = [{name: torch.randn_like(origin[name]) for name in names} for names in (("a", "large", "b", "c"), ("b", "large"))]
    at = Family(origin, directions)
    for steps in ((0.3, -1.0), (0.7, -1.0), (0.7, 2.0)):
        found = at(steps)
        assert list(found) == ["a", "large", "b", "c"]
        for name, value in lt.moved(origin, directions, steps).items():
            torch.testing.assert_close(found[name], value)
    assert found["a"].untyped_storage().data_ptr() == found["b"].untyped_storage().data_ptr()
    assert len(at.walk._steps) == 3
