"""Modules as they are met: used before, wrapped, with locks, kept features and layers without a shape."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import landscape_tools as lt

F = nn.functional
X, Y = torch.linspace(-1, 1, 36).view(9, 4), torch.arange(9) % 3


class Keeping(nn.Module):
    """Keeps features of its last call, in lists and in an object that refers back to it."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 5), nn.Linear(5, 3)
        self.kept: list[Any] = []

    def forward(self, x: Tensor) -> Tensor:
        self.features = self.a(x)
        self.kept.append({"layer": (self, self.features.tanh())})
        out: Tensor = self.b(self.features)
        return out


class Locked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.lock, self.queue, self.condition = nn.Linear(4, 3), threading.Lock(), queue.Queue[int](), threading.Condition()
        self.numbers, self.kernels, self.log = (k for k in range(3)), torch, sys.stderr
        self.double = lambda x: 2 * x

    def forward(self, x: Tensor) -> Tensor:
        with self.lock:
            out: Tensor = self.double(self.a(x))
            return out


class Sharing(nn.Module):
    """The same layer under two names, and a list of layers beside the registered ones."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.b = self.a
        self.out = nn.utils.spectral_norm(nn.Linear(4, 3))
        self.order = [self.a, self.b, self.out]

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.order:
            x = layer(x)
        return x


MODELS: dict[str, Callable[[], nn.Module]] = {
    "weight_norm": lambda: nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 5)), nn.Tanh(), nn.Linear(5, 3)),
    "spectral_norm": lambda: nn.Sequential(nn.utils.spectral_norm(nn.Linear(4, 5)), nn.Tanh(), nn.Linear(5, 3)),
    "parametrized": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)),
    "kept features": Keeping,
    "locks": Locked,
    "shared layers": Sharing,
    "DataParallel": lambda: nn.DataParallel(nn.Sequential(nn.Linear(4, 3))),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
@pytest.mark.parametrize("name", MODELS)
def test_a_module_that_was_used_before(name: str) -> None:
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    right = F.cross_entropy(model(X), Y).item()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    loss = lt.module_loss(model, F.cross_entropy, X, Y)
    assert float(loss(loss.point)) == pytest.approx(right, rel=1e-6)
    end = {key: value + 0.3 * torch.ones_like(value) for key, value in loss.point.items()}
    line = lt.sample_line(loss, loss.point, end, points=5, vectorize="loop", threads=2, chunk=1)["loss"].values
    bare = model.module if isinstance(model, nn.DataParallel) else model
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    with torch.no_grad():
        for key, value in [*bare.named_parameters(), *bare.named_buffers()]:
            value.copy_(end[key])
    assert line[[0, -1]] == pytest.approx([right, F.cross_entropy(model(X), Y).item()], rel=1e-5)
    again = lt.module_loss(model, F.cross_entropy, X, Y)
    assert float(again(again.point)) == pytest.approx(line[-1], rel=1e-5)


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning")
def test_what_cannot_take_a_point_is_said_in_one_line() -> None:
    plain = nn.Linear(4, 3)
    traced = torch.jit.trace(plain, X)

    class Stubborn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = plain

        def __reduce_ex__(self, protocol: Any) -> Any:
            raise TypeError("not\nthis one")

    for model, message in (
        (nn.Sequential(nn.LazyLinear(3)), r"0\.weight of a lazy layer has no shape yet; call the model once"),
        (traced, "it is scripted or traced; give the module it was made of"),
        (nn.Sequential(traced), "its part 0 is scripted"),
        (Stubborn(), r"cannot be copied \(not\); give one made anew"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            lt.module_loss(model, F.cross_entropy, X, Y)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="lazy layer"):
        lt.parameters_of(nn.LazyLinear(3))
    ready = nn.LazyLinear(3)
    ready(X)
    assert float(lt.module_loss(ready, F.cross_entropy, X, Y)(lt.parameters_of(ready))) == pytest.approx(
        F.cross_entropy(ready(X), Y).item()
    )
