"""The four models on which peers are compared, with their inputs and directions, the same for every tool."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

F = nn.functional


class Block(nn.Module):
    """Two 3x3 convolutions with a way around them (He et al. 2016)."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(into, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(),
            nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out),
        )  # fmt: skip
        changes = stride > 1 or into != out
        self.around = nn.Sequential(nn.Conv2d(into, out, 1, stride, bias=False), nn.BatchNorm2d(out)) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(n, into, h, w) -> (n, out, h / stride, w / stride)."""
        return F.relu(self.body(x) + self.around(x))


class Sequences(nn.Module):
    """Two layers of attention over 16 steps."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
        self.inward, self.head = nn.Linear(8, 64), nn.Linear(64, 10)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 16, 8) -> (n, 10)."""
        found: Tensor = self.head(self.layers(self.inward(x)).mean(1))
        return found


def mlp() -> nn.Module:
    """50,610 parameters."""
    return nn.Sequential(nn.Linear(242, 200), nn.Tanh(), nn.Linear(200, 10))


def cnn() -> nn.Module:
    """Two convolutions with batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip


def resnet() -> nn.Module:
    """ResNet-18 with the stem for small images: 11.2 million parameters."""
    widths = ((64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1))
    stem = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()
    return nn.Sequential(*stem, *(Block(*width) for width in widths), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (mlp, (500, 242)),
    "cnn": (cnn, (64, 3, 16, 16)),
    "resnet": (resnet, (64, 3, 32, 32)),
    "transformer": (Sequences, (32, 16, 8)),
}
"""Name -> maker and the shape of its inputs."""


def made(name: str) -> tuple[nn.Module, Tensor, Tensor]:
    """A model in evaluation mode with inputs and classes, the same for every tool."""
    torch.manual_seed(0)
    make, shape = MODELS[name]
    model, x = make(), torch.randn(shape)
    return model.eval(), x, torch.randint(10, (len(x),))


def drawn(model: nn.Module) -> list[dict[str, Tensor]]:
    """Two random directions, each tensor a tenth as long as the model's, the same for every tool that takes directions."""
    generator = torch.Generator().manual_seed(1)

    def one(value: Tensor) -> Tensor:
        raw = torch.randn(value.shape, generator=generator)
        return raw * (0.1 * float(value.detach().norm()) / float(raw.norm()))

    return [{name: one(value) for name, value in model.named_parameters()} for _ in range(2)]


def pair(name: str) -> list[dict[str, Tensor]]:
    """Two solutions of the same data, each trained from its own start until it errs on none: name -> tensor."""
    found = []
    _, x, y = made(name)
    for seed in (1, 2):
        torch.manual_seed(seed)
        model = MODELS[name][0]()
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
        for _ in range(150):
            optimiser.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimiser.step()
        found.append({n: value.detach().clone() for n, value in model.named_parameters()})
    return found
