"""What a loss shares is kept, checked or refused; names that do not fit are errors; a store belongs to one loss."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import landscape_tools as lt

mse = nn.functional.mse_loss


def batch(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(20, 4, generator=generator), torch.randn(20, 2, generator=generator)


def line_net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Linear(4, 2)


class Writes(nn.Module):
    """Writes into what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x.sub_(x.mean(0)).mul_(0.5)
        return self.head(x)


class Renormed(nn.Module):
    """Writes into its own weight in a forward pass, as `max_norm` does."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Embedding(5, 2, max_norm=0.1)

    def forward(self, x: Tensor) -> Tensor:
        return self.rows(x[:, 0].abs().long() % 5)


def leading_relu() -> nn.Module:
    return nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 2))


@pytest.mark.parametrize("kind", [Writes, leading_relu, Renormed])
def test_data_and_points_are_never_written_into(kind: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    net, (x, y) = kind(), batch()
    before = [x.clone(), y.clone(), *(value.clone() for value in net.state_dict().values())]
    expected = float(mse(copy.deepcopy(net)(x.clone()), y).detach())
    loss = lt.module_loss(net, mse, x, y)
    point = {name: value.clone() for name, value in loss.point.items()}
    assert [float(loss(point)) for _ in range(3)] == pytest.approx([expected] * 3)
    line = lt.sample_line(loss, point, {name: value + 1 for name, value in point.items()}, points=4, vectorize="loop")
    assert float(line["loss"][0]) == pytest.approx(expected)
    assert all(torch.equal(value, loss.point[name]) for name, value in point.items())
    assert all(map(torch.equal, before, [x, y, *net.state_dict().values()]))


def test_a_batch_that_is_used_again_and_a_criterion_that_writes() -> None:
    x, y = batch()
    net = line_net()
    expected = float(mse(net(x), y).detach())
    loss = lt.module_loss(net, lambda o, t: mse(o, t.mul_(1.0).add_(0.5).sub_(0.5)), x, y)
    doubled = lt.module_loss(net, lambda o, t: mse(o, t.mul_(2)), x, y)
    x.zero_()
    y.fill_(7.0)
    assert float(loss(loss.point)) == pytest.approx(expected)
    assert float(doubled(doubled.point)) == float(doubled(doubled.point))
    weights = nn.CrossEntropyLoss(weight=torch.ones(2))
    classed = lt.module_loss(net, weights, batch()[0], torch.zeros(20, dtype=torch.long))
    before = float(classed(classed.point))
    weights.weight.mul_(torch.tensor([1.0, 9.0])) if isinstance(weights.weight, Tensor) else None
    assert float(classed(classed.point)) == before


class Careless(nn.Module):
    """Dropout that does not ask for the mode."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(self.head(x), 0.5)


def test_random_losses_are_refused() -> None:
    x, y = batch()
    torch.manual_seed(0)
    with pytest.raises(ValueError, match=r"and then .* at one point: it is random"):
        lt.module_loss(Careless(), mse, x, y)
    with pytest.raises(ValueError, match="it is random"):
        lt.module_loss(line_net(), lambda o, t: mse(o[(rows := torch.randperm(20)[:5])], t[rows]), x, y)
    net = nn.Sequential(nn.Linear(4, 2), nn.Dropout(0.5))
    steady = lt.module_loss(net, mse, x, y)  # its dropout is off
    assert float(steady(steady.point)) == pytest.approx(float(mse(copy.deepcopy(net).eval()(x), y).detach()))

    def drawn(p: Any) -> Any:
        return (p["w"] * torch.randn(3)).sum()

    counter = iter(range(10**6))

    def counting(p: Any) -> Any:
        return p["w"].sum() + next(counter)

    origin = {"w": torch.ones(3)}
    far = {"w": torch.zeros(3)}
    tools: list[Callable[[Any], Any]] = [
        lambda f: lt.sample_line(f, origin, far, points=3),
        lambda f: lt.sample_line(f, origin, far, points=3, vectorize="loop"),
        lambda f: lt.sample_plane(f, origin, {"w": torch.eye(3)[0]}, {"w": torch.eye(3)[1]}, [0, 1], [0, 1]),
        lambda f: lt.sample_points(f, origin, [far], torch.zeros(2, 1)),
        lambda f: lt.sample_trajectory(f, [origin, far, {"w": torch.eye(3)[0]}], resolution=2),
        lambda f: lt.sample_product(lambda p: p["w"], lambda z, p: {"a": f({"w": z})}, (origin, far | {"w": torch.ones(3)}), (origin, origin), [0, 1], [0, 1]),
        lambda f: lt.elastic_band(f, origin, far, images=3, iterations=1),
        lambda f: lt.bezier_path(f, origin, far, points=3, iterations=1),
        lambda f: lt.converge(f, origin, iterations=1),
        lambda f: lt.converge(lt.composite_of(f, origin), origin, iterations=1),
        lambda f: lt.certify(f, origin),
        lambda f: lt.smallest_subgradient(f, origin),
    ]  # fmt: skip
    for loss in (drawn, counting):
        for tool in tools:
            with pytest.raises(ValueError, match="at one point: it is random"):
                tool(loss)


def test_names_that_do_not_match_are_named_with_the_nearest() -> None:
    net, (x, y) = line_net(), batch()
    loss = lt.module_loss(net, mse, x, y)
    wrong = {"wieght": torch.zeros(2, 4), "bias": torch.zeros(2)}
    other = {name: value + 1 for name, value in wrong.items()}
    for call in (
        lambda: loss(wrong),
        lambda: lt.sample_line(loss, wrong, other, points=3),
        lambda: lt.sample_plane(loss, loss.point, {"wieght": torch.ones(2, 4)}, {"bias": torch.ones(2)}, [0, 1], [0, 1]),
        lambda: lt.elastic_band(loss, wrong, other, images=3),
        lambda: lt.converge(loss, wrong),
        lambda: lt.converge(loss.composite(), wrong),
        lambda: lt.sample_trajectory(loss, [wrong, other, wrong]),
    ):
        with pytest.raises(ValueError, match="the module has no wieght; nearest to wieght is weight"):
            call()
    with pytest.raises(ValueError, match=r"bias is \(3,\) in the point and \(2,\) in the module"):
        loss({"bias": torch.zeros(3)})
    old = nn.utils.parametrizations.weight_norm(nn.Linear(4, 2))
    with pytest.raises(ValueError, match=r"no parametrizations\.weight\.original0"):
        loss(lt.parameters_of(old))
    assert float(loss({"bias": torch.zeros(2)})) == pytest.approx(float(mse(x @ net.weight.T, y).detach()))  # a part of a network


def test_names_that_do_not_match_without_a_module() -> None:
    """Points, directions and guesses by hand."""

    def loss(p: Any) -> Any:
        return p["w"].square().sum()

    origin, far, other = {"w": torch.ones(2, 2)}, {"w": torch.zeros(2, 2)}, {"v": torch.ones(2, 2)}
    for call in (
        lambda: lt.sample_points(loss, origin, [other], torch.ones(1, 1)),
        lambda: lt.sample_plane(loss, origin, origin, other, [0, 1], [0, 1]),
        lambda: lt.moved(origin, [other], (1.0,)),
        lambda: lt.filter_normalised(other, origin),
        lambda: lt.sample_product(lambda p: p["w"], lambda z, p: {"a": z.sum()}, (other, origin), (origin, origin), [0, 1], [0, 1]),
        lambda: lt.elastic_band(loss, origin, far, images=3, middle=other),
        lambda: lt.elastic_band(loss, origin, far, images=3, guess=other),
    ):
        with pytest.raises(ValueError, match=r"has no (v; nearest to v is w|w; nearest to w is v)"):
            call()
    with pytest.raises(ValueError, match="the second point has no v"):
        lt.dot(other, origin)


def test_prefixes_of_wrappers_are_understood() -> None:
    x, y = batch()
    net, other = line_net(1), line_net(2)
    expected = float(mse(other(x), y).detach())
    loss = lt.module_loss(net, mse, x, y)
    for prefix in ("module.", "_orig_mod.", "module._orig_mod."):
        point = {prefix + name: value for name, value in other.state_dict().items()}
        assert float(loss(point)) == pytest.approx(expected)
        line = lt.sample_line(loss, loss.point, point, points=3)
        assert float(line["loss"][-1]) == pytest.approx(expected)
        found = lt.converge(loss, point, iterations=1)
        assert set(found.point) == {"weight", "bias"}
        direction = {prefix + "bias": torch.ones(2)}
        moved = lt.sample_points(loss, loss.point, [direction], torch.ones(1, 1))["loss"]
        assert float(moved[0]) == pytest.approx(float(loss(loss.point | {"bias": loss.point["bias"] + 1})))

    class Wrapped(nn.Module):
        def __init__(self, module: nn.Module) -> None:
            super().__init__()
            self.module = module

        def forward(self, x: Tensor) -> Tensor:
            return self.module(x)

    wrapped = lt.module_loss(Wrapped(net), mse, x, y)
    assert set(wrapped.point) == {"module.weight", "module.bias"}
    assert float(wrapped(lt.state_of(other))) == pytest.approx(expected)
    with pytest.raises(ValueError, match="another name, with other values"):
        loss({"weight": net.weight.detach(), "module.weight": other.weight.detach()})


def test_tied_tensors_have_one_value() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Linear(4, 2))
    net[2].weight = net[0].weight
    net.register_buffer("first", torch.ones(1))
    net.register_buffer("second", net.get_buffer("first"))
    x, y = batch()
    loss = lt.module_loss(net, mse, x, y)
    assert "2.weight" not in loss.point
    assert "second" not in loss.point
    whole = {name: value.clone() for name, value in net.state_dict().items()}  # names tied tensors twice
    assert float(loss(whole)) == pytest.approx(float(mse(net(x), y).detach()))
    alone = {("2.weight" if name == "0.weight" else name): value for name, value in loss.point.items()}
    assert float(loss(alone)) == float(loss(loss.point))
    with pytest.raises(ValueError, match=r"2\.weight is the module's 0\.weight under another name"):
        loss(whole | {"2.weight": whole["2.weight"] + 1})
    assert lt.sample_line(loss, whole, {name: value + 1 for name, value in whole.items()}, points=3)["loss"].shape == (3,)


class Cached(nn.Module):
    """Computes with a tensor that is no buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 2)
        self.kept: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.kept is None:
            self.kept = self.head.weight.detach().clone()
        return x @ self.kept.T


def test_a_module_that_computes_with_more_than_its_state_is_found() -> None:
    loss = lt.module_loss(Cached(), mse, *batch())
    with pytest.raises(ValueError, match="more than its parameters and buffers"):
        lt.sample_line(loss, loss.point, {name: value + 1 for name, value in loss.point.items()}, points=3)
