"""Modules with buffers, ties and frozen parameters."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

cross_entropy = nn.functional.cross_entropy
mse = nn.functional.mse_loss


class Observer(nn.Module):
    """Normalises what it observes by statistics that it keeps, as agents do."""

    mean: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("count", torch.tensor(1))
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.mean += (x.mean(0) - self.mean) / 2
            self.count += 1
        return self.head(x - self.mean)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inward, self.norm, self.outward = nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4)
        self.outward.weight = self.inward.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.outward(self.norm(self.inward(x)))[:, :2]


def frozen() -> nn.Module:
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))
    net[0].requires_grad_(False)
    net[0].weight.data.normal_()
    return net


KINDS: dict[str, Callable[[], nn.Module]] = {
    "batch norm": lambda: nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 2)),
    "convolution": lambda: nn.Sequential(nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 3, 2), nn.BatchNorm1d(3), nn.ReLU(), nn.Flatten(), nn.Linear(9, 2)),
    "instance norm": lambda: nn.Sequential(
        nn.Unflatten(1, (2, 2)), nn.InstanceNorm1d(2, affine=True, track_running_stats=True), nn.Flatten(), nn.Linear(4, 2)
    ),
    "spectral norm": lambda: nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(4, 6)), nn.Tanh(), nn.Linear(6, 2)),
    "observer": Observer,
    "tied": Tied,
    "frozen": frozen,
}  # fmt: skip


def trained(kind: str, seed: int, steps: int = 12) -> nn.Module:
    torch.manual_seed(seed)
    net = KINDS[kind]()
    x, y = batch(seed + 10)
    optimiser = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
    net.train()
    for _ in range(steps):
        optimiser.zero_grad()
        cross_entropy(net(x), y).backward()
        optimiser.step()
    return net


def batch(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(30, 4, generator=generator) * 2 + seed
    return x, (x.sum(1) > 4 * seed).long()


def by_hand(net: nn.Module, point: dict[str, Tensor] | None = None) -> float:
    """The loss of a copy in evaluation mode, loaded with a point."""
    net = copy.deepcopy(net).eval()
    if point is not None:
        _, unexpected = net.load_state_dict({str(name): value for name, value in point.items()}, strict=False)
        assert not unexpected
    x, y = batch()
    return float(cross_entropy(net(x), y).detach())


def between(a: nn.Module, b: nn.Module, t: float) -> dict[str, Tensor]:
    first, second = a.state_dict(), b.state_dict()
    near = first if t <= 0.5 else second
    return {n: (1 - t) * v + t * second[n] if v.is_floating_point() else near[n] for n, v in first.items()}
