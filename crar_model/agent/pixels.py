"""The agent of images of any size: convolutions with a stride of two in plain PyTorch, dense layers behind them, dense dynamics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from crar_model.agent.networks import DenseDynamics
from crar_model.core.compiled import Kernels
from crar_model.core.params import Params
from crar_model.nets import DENSE_STEPS, fast_tanh, glorot_dense

FILTERS = (16, 32, 32, 32, 32, 32)
"""Of the convolutions; as many of them as it takes for a side of at most `SIDE`."""
SIDE = 10
KERNEL, NEXT_KERNEL, STRIDE = 5, 3, 2
HIDDEN = (200, 50)
"""Units of the dense layers behind them."""


@dataclass(frozen=True)
class PixelAgent(DenseDynamics):
    """An agent on images (channels, height, width) of any size.

    Attributes:
        image: (channels, height, width) of an observation.
    """

    image: tuple[int, int, int] = (3, 56, 56)

    @property
    def filters(self) -> tuple[tuple[int, int, int], ...]:
        """(out, in, kernel) of every convolution."""
        channels, height, width = self.image
        found: list[tuple[int, int, int]] = []
        for out in FILTERS:
            kernel = KERNEL if not found else NEXT_KERNEL
            if min(height, width) < kernel or (found and max(height, width) <= SIDE):
                break
            found.append((out, channels, kernel))
            height, width, channels = _after(height, kernel), _after(width, kernel), out
        return tuple(found)

    @property
    def widths(self) -> tuple[int, ...]:
        """Of the dense layers, input first."""
        channels, height, width = self.image
        for out, _, kernel in self.filters:
            channels, height, width = out, _after(height, kernel), _after(width, kernel)
        return channels * height * width, *HIDDEN, self.abstract_size

    def encoder_signs(self) -> tuple[bool, ...]:
        """All: there is no pooling."""
        return (True,) * (len(self.filters) + len(self.widths) - 2)

    def init_encoder(self, rng: np.random.Generator) -> Params:
        """Glorot-uniform parameters of the encoder."""
        params: Params = {}
        for k, (out, channels, kernel) in enumerate(self.filters):
            limit = (6 / ((out + channels) * kernel**2)) ** 0.5
            params[f"encoder.{k}.weight"] = torch.from_numpy(rng.uniform(-limit, limit, (out, channels, kernel, kernel)).astype(np.float32))
            params[f"encoder.{k}.bias"] = torch.zeros(out)
        behind = glorot_dense("behind", self.widths, rng)
        for name, value in behind.items():
            _, number, kind = name.split(".")
            params[f"encoder.{int(number) + len(self.filters)}.{kind}"] = value
        return params

    def kernels(self, *, whole_updates: bool) -> Kernels:
        """Those of dense networks, step by step."""
        return DENSE_STEPS

    def encode(self, params: Params, observations: Tensor) -> Tensor:
        """Abstract states e(s): (*members, rows, channels, height, width) or without member axes -> (*members, rows, d)."""
        first = params["encoder.0.weight"]
        lead = np.broadcast_shapes(tuple(first.shape[:-4]), tuple(observations.shape[:-4]))
        layers = range(len(self.filters) + len(self.widths) - 1)
        flat = []
        for k in layers:
            for name in (f"encoder.{k}.weight", f"encoder.{k}.bias"):
                value = params[name]
                own = value.shape[len(first.shape[:-4]) :]
                flat.append(value.expand(*lead, *own).reshape(-1, *own).unbind(0))
        shown = observations.shape[-4:]
        images = (
            [observations] * len(flat[0]) if observations.dim() == 4 else observations.expand(*lead, *shown).reshape(-1, *shown).unbind(0)
        )
        found = [self._alone([part[one] for part in flat], x) for one, x in enumerate(images)]
        return torch.stack(found).view(*lead, shown[0], self.abstract_size)

    def _alone(self, values: list[Tensor], x: Tensor) -> Tensor:
        """One network on (rows, channels, height, width)."""
        pairs = list(zip(values[::2], values[1::2], strict=True))
        for k, (weight, bias) in enumerate(pairs):
            if k < len(self.filters):
                x = torch.nn.functional.conv2d(x, weight, bias, stride=STRIDE)
            else:
                x = torch.nn.functional.linear(x.flatten(1) if k == len(self.filters) else x, weight, bias)
            if k < len(pairs) - 1:
                x = fast_tanh(x)
        return x


def _after(side: int, kernel: int) -> int:
    """A side after a convolution."""
    return (side - kernel) // STRIDE + 1
