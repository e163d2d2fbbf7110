"""Second derivatives where PyTorch's fast kernels have none, and one line where it has none at all."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import landscape_tools as lt
from landscape_tools.differentiable import math_kernels

F = nn.functional


def settings() -> tuple[bool, ...]:
    cuda = torch.backends.cuda
    fast = torch.backends.mha.get_fastpath_enabled()
    return cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled(), cuda.math_sdp_enabled(), cuda.cudnn_sdp_enabled(), fast


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(4, 12), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.into(x).unflatten(-1, (3, 2, 2)).permute(2, 0, 3, 1, 4)
        out: Tensor = self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return out


MODELS: dict[str, Callable[[], nn.Module]] = {
    "attention": Attention,
    "encoder": lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 2, batch_first=True), 1, enable_nested_tensor=False),
}


def attentive(name: str) -> lt.ModuleLoss:
    torch.manual_seed(0)
    return lt.module_loss(MODELS[name]().double(), lambda o, _: o.square().mean(), torch.randn(1, 3, 4).double(), torch.zeros(1))


@pytest.mark.parametrize("name", MODELS)
def test_attention_is_differentiated_twice_by_itself(name: str) -> None:
    loss, before = attentive(name), settings()
    point, vector = loss.point, lt.flatten(loss.point)
    direction = torch.randn(len(vector), generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def slope(at: Tensor) -> Tensor:
        at = at.clone().requires_grad_()
        (found,) = torch.autograd.grad(loss(lt.unflatten(at, point)), at)
        return found

    product = lt.hessian_product(lambda v: loss(lt.unflatten(v, point)), vector)(direction)
    assert torch.allclose(product, (slope(vector + 1e-5 * direction) - slope(vector - 1e-5 * direction)) / 2e-5, rtol=1e-4, atol=1e-7)
    descended = lt.converge(loss, point, iterations=3)
    assert descended.loss < descended.start
    assert lt.certify(loss.composite(), point, stationary=1e3).signature is not None
    target = loss.outputs(point).detach().flatten()[:2] + 0.01
    assert lt.lift(lambda p: loss.outputs(p).flatten()[:2], point, target.unsqueeze(0)).reached == 1
    end = lt.moved(point, [lt.random_axes(point)[0]], (1.0,))
    one, two = (lt.elastic_band(loss, point, end, images=4, iterations=2, vectorize=how) for how in ("vmap", "loop"))
    assert torch.allclose(one.heights, two.heights, rtol=1e-9)
    assert settings() == before


def test_nothing_is_warned_of_operations_that_are_mapped_one_by_one() -> None:
    loss = attentive("encoder")
    bag = bags(sparse=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for each in (loss, bag):
            lt.sample_line(each, each.point, lt.moved(each.point, lt.random_axes(each.point), (1.0, 0.0)), points=4)
            lt.converge(each.composite(), each.point, iterations=1)


def test_settings_return_when_the_last_of_overlapping_blocks_ends() -> None:
    before, inside, done = settings(), threading.Event(), threading.Event()

    def other() -> None:
        with math_kernels():
            inside.set()
            done.wait(10)

    thread = threading.Thread(target=other)
    with math_kernels():
        thread.start()
        assert inside.wait(10)
    assert settings()[:3] == (False, False, True)  # the other block is still at work
    done.set()
    thread.join()
    assert settings() == before
    with pytest.raises(KeyError), math_kernels():
        raise KeyError
    assert settings() == before


class Bag(nn.Module):
    def __init__(self, sparse: bool) -> None:
        super().__init__()
        self.bag, self.out = nn.EmbeddingBag(7, 4, mode="sum", sparse=sparse), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.bag(x))
        return out


def bags(sparse: bool) -> lt.ModuleLoss:
    torch.manual_seed(0)
    rows = torch.randint(7, (6, 3))
    return lt.module_loss(Bag(sparse).double(), F.mse_loss, rows, torch.randn(6, 2).double())


def ctc() -> lt.ModuleLoss:
    torch.manual_seed(0)
    lengths = torch.tensor([4, 4]), torch.tensor([2, 2])

    def criterion(o: Tensor, y: Tensor) -> Tensor:
        return F.ctc_loss(o.view(4, 2, 5).log_softmax(-1), y, *lengths)

    return lt.module_loss(nn.Linear(3, 5).double(), criterion, torch.randn(8, 3).double(), torch.randint(1, 5, (2, 2)))


class Old(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


TABLE = {"table": torch.ones(5, 2, dtype=torch.float64)}
FAULTS: dict[str, tuple[Any, dict[str, Tensor] | None, str]] = {
    "ctc": (ctc, None, "no derivative of _ctc_loss_backward.*CTC has first derivatives only"),
    "bag": (lambda: bags(sparse=False), None, "no derivative of _embedding_bag_backward.*an Embedding and a sum"),
    "sparse": (
        lambda: lambda p: F.embedding(torch.tensor([1, 2]), p["table"], sparse=True).square().sum(),
        TABLE,
        "sparse gradients.*sparse=False",
    ),
    "old": (lambda: lambda p: Old.apply(p["table"]).sum(), TABLE, "setup_context"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_has_no_second_derivative_is_said_in_one_line(name: str) -> None:
    make, point, message = FAULTS[name]
    loss = make()
    point = loss.point if point is None else point
    for tool in (lambda: lt.converge(loss, point), lambda: lt.certify(loss, point, stationary=1e3)):
        with pytest.raises(ValueError, match=message) as caught:
            tool()
        assert "\n" not in str(caught.value)


def test_first_derivatives_of_these_losses_are_there() -> None:
    for loss in (ctc(), bags(sparse=False), bags(sparse=True)):  # the last one's copy has dense gradients
        end = {name: value + 0.1 * torch.ones_like(value) * (1 + k) for k, (name, value) in enumerate(loss.point.items())}
        one, two = (lt.elastic_band(loss, loss.point, end, images=4, iterations=2, vectorize=how) for how in ("auto", "loop"))
        assert torch.allclose(one.heights, two.heights, rtol=1e-9)
    table = {"table": torch.arange(10, dtype=torch.float64).view(5, 2)}
    with pytest.raises(ValueError, match="sparse gradients"):
        lt.elastic_band(
            lambda p: F.embedding(torch.tensor([1, 2]), p["table"], sparse=True).sum(), TABLE, table, images=3, vectorize="loop"
        )


def test_an_error_of_the_loss_stays_what_it_is() -> None:
    def loss(point: dict[str, Tensor]) -> Tensor:
        raise RuntimeError("no such file")

    with pytest.raises(RuntimeError, match="no such file"):
        lt.converge(loss, TABLE)
