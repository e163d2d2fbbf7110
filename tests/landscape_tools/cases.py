"""The one table of networks that tools are held against: for each kind three points, and what plain PyTorch computes at any of them.

Nothing here uses the toolkit but to make the loss that is tested: values, gradients and Hessians are those of a copy of the module with a
point's tensors written into it.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

import landscape_tools as lt

BATCH, INPUTS, OUTPUTS = 5, 3, 2
STEP = 1e-5
"""Of central differences of plain gradients."""


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru, self.head = nn.GRU(1, 2, batch_first=True), nn.Linear(2, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.gru(x.unsqueeze(-1))[0][:, -1])


class Attentive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inward = nn.Linear(1, 3)
        self.layer = nn.TransformerEncoderLayer(3, 1, 2, dropout=0.1, activation="gelu", batch_first=True)
        self.head = nn.Linear(3, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(self.inward(x.unsqueeze(-1)))[:, 0])


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inward, self.outward, self.head = nn.Linear(INPUTS, INPUTS), nn.Linear(INPUTS, INPUTS), nn.Linear(INPUTS, OUTPUTS)
        self.outward.weight = self.inward.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.outward(torch.tanh(self.inward(x)))))


class Scaled(nn.Module):
    """Has parameters without an axis, as CLIP's `logit_scale`."""

    def __init__(self) -> None:
        super().__init__()
        self.inward, self.outward = nn.Linear(INPUTS, 4), nn.Linear(4, OUTPUTS)
        self.logit_scale, self.offset = nn.Parameter(torch.randn(()) / 2), nn.Parameter(torch.randn(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.logit_scale.exp() * self.outward(torch.tanh(self.inward(x))) + self.offset


class Observer(nn.Module):
    """Normalises what it observes by statistics that it keeps, as agents do, and counts."""

    mean: Tensor
    size: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, value in (("mean", torch.zeros(INPUTS)), ("size", torch.ones(())), ("count", torch.tensor(1))):
            self.register_buffer(name, value)
        self.net = nn.Sequential(nn.Linear(INPUTS, 4), nn.Tanh(), nn.Linear(4, OUTPUTS))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.mean += (x.mean(0) - self.mean) / 2
            self.size += (x.std() - self.size) / 2
            self.count += 1
        return self.net((x - self.mean) / self.size)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(INPUTS, 4), nn.Tanh(), nn.Linear(4, OUTPUTS))


def convolution() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, INPUTS)), nn.Conv1d(1, 3, 2), nn.BatchNorm1d(3), nn.Tanh(), nn.Flatten(), nn.Linear(6, OUTPUTS)
    )


def frozen() -> nn.Module:
    net = nn.Sequential(nn.Linear(INPUTS, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, OUTPUTS))
    net[2].requires_grad_(False)
    return net


@dataclass(frozen=True)
class Kind:
    """A kind of network.

    Attributes:
        make: a network of it, from torch's random numbers.
        chain: a hidden layer to align.
        unaligned: what `align` says of that layer where its units cannot be exchanged; None where they can.
        buffers: of `module_loss`.
        dtype: of parameters, buffers and data.
    """

    make: Callable[[], nn.Module]
    chain: lt.HiddenLayer = field(default_factory=lambda: lt.HiddenLayer("0.weight", "0.bias", "2.weight"))
    unaligned: str | None = None
    buffers: Any = "interpolate"
    dtype: torch.dtype = torch.float64


_conv = lt.HiddenLayer("1.weight", "1.bias", "5.weight", norms=("2",))
_inner = lt.HiddenLayer("inward.weight", "inward.bias", "outward.weight")
KINDS: dict[str, Kind] = {
    "mlp": Kind(mlp),
    "cnn, batch norm by its statistics": Kind(convolution, _conv),
    "cnn, batch norm by the batch": Kind(convolution, _conv, buffers="batch"),
    "gru": Kind(Recurrent, lt.HiddenLayer("gru.weight_hh_l0", None, "head.weight"), "does not read so many"),
    "attention": Kind(Attentive, lt.HiddenLayer("layer.linear1.weight", "layer.linear1.bias", "layer.linear2.weight")),
    "tied": Kind(Tied, _inner, "the chain names outward.weight, which a point lacks"),
    "0-dim": Kind(Scaled, _inner),
    "bf16": Kind(mlp, dtype=torch.bfloat16),
    "frozen": Kind(frozen, lt.HiddenLayer("0.weight", "0.bias", "2.weight")),
    "buffers": Kind(Observer, lt.HiddenLayer("net.0.weight", "net.0.bias", "net.2.weight")),
}


@dataclass(frozen=True)
class Case:
    """A kind of network with its loss, and three points of three networks.

    Attributes:
        kind: whose.
        models: three networks, each with buffers of its own; inputs and targets are those of the loss.
        loss: of the first.
        points: of `state_of`.
    """

    kind: Kind
    models: tuple[nn.Module, ...]
    inputs: Tensor
    targets: Tensor
    loss: lt.ModuleLoss
    points: tuple[dict[str, Tensor], ...]
    _hessians: dict[int, Tensor] = field(default_factory=dict)

    @property
    def narrow(self) -> bool:
        """Whether the digits are too few for second derivatives, which tools say."""
        return self.kind.dtype == torch.bfloat16

    @property
    def near(self) -> float:
        """Relative difference that rounding may make."""
        return 2e-2 if self.narrow else 1e-9

    def at(self, point: Mapping[str, Tensor]) -> nn.Module:
        """A network with the point's tensors, in the mode that its loss is meant in."""
        model = copy.deepcopy(self.models[0])
        own = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        with torch.no_grad():
            for name, value in point.items():
                own[str(name)].copy_(value)
        return model.train(self.kind.buffers == "batch")

    def outputs(self, point: Mapping[str, Tensor]) -> Tensor:
        """(batch, outputs)."""
        with torch.no_grad():
            return self.at(point)(self.inputs.clone())

    def value(self, point: Mapping[str, Tensor]) -> float:
        return float(nn.functional.mse_loss(self.outputs(point), self.targets))

    def gradient(self, point: Mapping[str, Tensor]) -> Tensor:
        """(n,) in what is trained."""
        model = self.at(point)
        nn.functional.mse_loss(model(self.inputs.clone()), self.targets).backward()
        return torch.cat(
            [p.grad.reshape(-1) if p.grad is not None else torch.zeros(p.numel()) for p in model.parameters() if p.requires_grad]
        )

    def trained(self, point: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {str(name): point[name] for name, value in self.models[0].named_parameters() if value.requires_grad}

    def hessian(self, point: Mapping[str, Tensor]) -> Tensor:
        """(n, n) by central differences of plain gradients; kept for each point."""
        if id(point) in self._hessians:
            return self._hessians[id(point)]
        part = self.trained(point)
        vector = torch.cat([value.reshape(-1) for value in part.values()])

        def sloped(moved: Tensor) -> Tensor:
            pieces = moved.split([value.numel() for value in part.values()])
            return self.gradient({**point, **{n: p.view(v.shape) for (n, v), p in zip(part.items(), pieces, strict=True)}})

        rows = [(sloped(vector + step) - sloped(vector - step)) / (2 * STEP) for step in STEP * torch.eye(len(vector), dtype=vector.dtype)]
        self._hessians[id(point)] = 0.5 * (torch.stack(rows) + torch.stack(rows).T)
        return self._hessians[id(point)]


def mixed(origin: Mapping[str, Tensor], steps: list[tuple[float, Mapping[str, Tensor]]]) -> dict[str, Tensor]:
    """origin + sum of share (point - origin): of floating entries, in no less than float32."""
    found = {}
    for name, value in origin.items():
        if not value.is_floating_point():
            found[str(name)] = value
            continue
        broad = value.to(torch.promote_types(value.dtype, torch.float32))
        found[str(name)] = (broad + sum(share * (point[name].to(broad) - broad) for share, point in steps)).to(value.dtype)
    return found


@functools.cache
def case_of(name: str) -> Case:
    """The case of a kind; nothing may change it."""
    kind = KINDS[name]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        data = [torch.randn(BATCH, INPUTS).to(kind.dtype) for _ in range(3)]
        targets = torch.randn(BATCH, OUTPUTS).to(kind.dtype)
        models = [kind.make().to(kind.dtype) for _ in data]
        for model, batch in zip(models, data, strict=True):
            for value in model.parameters():
                value.data.add_(torch.randn(value.shape).to(value) / 4)
            model.train()(3 * batch + 1)  # so that each has buffers of its own
            model.eval()
    still = {n: v.detach().clone() for n, v in models[0].state_dict().items()}
    loss = lt.module_loss(models[0], nn.functional.mse_loss, data[0], targets, buffers=kind.buffers)
    case = Case(kind, tuple(models), data[0], targets, loss, tuple(lt.state_of(model) for model in models))
    assert all(torch.equal(v, models[0].state_dict()[n]) for n, v in still.items())
    return case
