"""The agents of the study: dense networks, dense networks behind a convolutional encoder, convolutional networks."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.agent.agent import Agent
from crar_model.core.compiled import Kernels
from crar_model.core.params import DYNAMICS, Params
from crar_model.core.tiles import CELL_PIXELS, NEGATED, SIZE, Other, read_grid
from crar_model.nets import (
    CONV_STEPS,
    CONV_UPDATES,
    DENSE_STEPS,
    DENSE_UPDATES,
    IMAGE_STEPS,
    STEM,
    Conv,
    Layers,
    Linear,
    boards_fit,
    convolve,
    dense,
    dense_jacobian,
    encode_tiles,
    glorot_conv,
    glorot_dense,
)

__all__ = ["Agent", "ConvAgent", "DenseAgent", "DenseDynamics", "ImageAgent"]


@dataclass(frozen=True)
class DenseDynamics(Agent):
    """An agent whose dynamics are dense networks; a subclass says what its encoder is.

    Attributes:
        encoder: its layers, or their widths.
        transition_net, reward_net, value_net: widths of the layers, input first; `discount` is as wide as `reward`.
    """

    encoder: tuple[Any, ...] = ()
    transition_net: tuple[int, ...] = (6, 10, 30, 30, 10, 2)
    reward_net: tuple[int, ...] = (6, 10, 50, 20, 1)
    value_net: tuple[int, ...] = (2, 20, 50, 20, 4)

    @property
    def dynamics_widths(self) -> dict[str, tuple[int, ...]]:
        """Widths of the layers of every block of the dynamics, input first."""
        return dict(zip(DYNAMICS, (self.transition_net, self.reward_net, self.reward_net, self.value_net), strict=True))

    @abstractmethod
    def encoder_signs(self) -> tuple[bool, ...]:
        """:meth:`unit_signs` of the encoder."""

    def unit_signs(self, block: str) -> tuple[bool, ...]:
        """The encoder's own; all units of dense dynamics."""
        return self.encoder_signs() if block == "encoder" else (True,) * (len(self.dynamics_widths[block]) - 1)

    def state_inputs(self, block: str) -> slice:
        """The first ones."""
        return slice(0, self.abstract_size)

    @abstractmethod
    def init_encoder(self, rng: np.random.Generator) -> Params:
        """Glorot-uniform parameters of the encoder."""

    def init(self, rng: np.random.Generator) -> Params:
        """Glorot-uniform parameters of all five blocks for one model, float32."""
        params = self.init_encoder(rng)
        for block, widths in self.dynamics_widths.items():
            params |= glorot_dense(block, widths, rng)
        return params

    def network(self, params: Params, block: str, x: Tensor, onehot: Tensor | None = None) -> Tensor:
        """A dense network on the state and the action side by side."""
        return dense(params, block, x if onehot is None else torch.cat((x, onehot), dim=-1))


@dataclass(frozen=True)
class DenseAgent(DenseDynamics):
    """The simple maze's agent: 64 observed numbers, an abstract state of 2, dense networks (45,880 parameters)."""

    encoder: tuple[int, ...] = (64, 200, 100, 50, 10, 2)

    def encoder_signs(self) -> tuple[bool, ...]:
        """All: there is no pooling."""
        return (True,) * (len(self.encoder) - 1)

    @property
    def dense_widths(self) -> dict[str, tuple[int, ...]]:
        """Widths of every block's layers, input first."""
        return {"encoder": self.encoder, **self.dynamics_widths}

    def init_encoder(self, rng: np.random.Generator) -> Params:
        """Glorot-uniform parameters of the encoder."""
        return glorot_dense("encoder", self.encoder, rng)

    def kernels(self, *, whole_updates: bool) -> Kernels:
        """Those of dense networks."""
        return DENSE_UPDATES if whole_updates else DENSE_STEPS

    def encode(self, params: Params, observations: Tensor) -> Tensor:
        """Abstract states e(s): (rows, 1, 8, 8) -> (*members, rows, 2)."""
        return dense(params, "encoder", observations.flatten(-3))

    def encoder_jacobian(self, params: Params, observations: Tensor) -> Tensor:
        """Layer by layer."""
        return dense_jacobian(params, "encoder", observations.flatten(-3))


@dataclass(frozen=True)
class ImageAgent(DenseDynamics):
    """The simple maze's agent on 48x48 images: a convolutional encoder with dense layers behind it, an abstract state of 2, dense dynamics
    (447,888 parameters). Source: `HIGHER_DIM_OBS` of the released `run_simple_maze.py`.

    Observations are tile maps (rows, 1, 8, 8) uint8 (`mazes.tiles`).

    Attributes:
        other: (contrast, brightness) of what the inverse maze shows; it draws observations and is no part of the networks.
    """

    encoder: Layers = (*STEM, Linear(200), Linear(100), Linear(50), Linear(10), Linear(2))
    other: Other = NEGATED

    def encoder_signs(self) -> tuple[bool, ...]:
        """Layers that no max-pooling follows."""
        return tuple(layer.odd for layer in self.encoder)

    def init_encoder(self, rng: np.random.Generator) -> Params:
        """Glorot-uniform parameters of the encoder."""
        return glorot_conv("encoder", self.encoder, 1, SIZE * CELL_PIXELS, rng)

    def kernels(self, *, whole_updates: bool) -> Kernels:
        """Those of dense networks, step by step, and of what repeats in tile maps."""
        return IMAGE_STEPS

    def encode(self, params: Params, observations: Tensor) -> Tensor:
        """Abstract states e(s): tile maps (*members, rows, 1, 8, 8) or (rows, 1, 8, 8) -> (*members, rows, 2)."""
        return encode_tiles(params, "encoder", self.encoder, observations, self.other)

    def read(self, params: Params, observations: Tensor) -> Tensor:
        """Images of 48x48 as they are, whatever they show, and tile maps by what they stand for."""
        if observations.is_floating_point():
            return convolve(params, "encoder", self.encoder, observations)
        return self.encode(params, observations)


_HEAD = (Conv(16, 2), Conv(32, 3, pool=2), Conv(16, 2), Conv(4, 1), Linear(200), Linear(50), Linear(20))


@dataclass(frozen=True)
class ConvAgent(Agent):
    """The random mazes' agent: 48x48 images, an abstract state of 3x8x8, convolutional networks (128,602 parameters).

    Observations are tile maps (rows, 1, 8, 8) uint8 (`mazes.tiles`): what they show is drawn where it is needed.

    Attributes:
        other: (contrast, brightness) of what the inverse mazes show; it draws observations and is no part of the networks.
    """

    abstract_shape: tuple[int, ...] = (3, SIZE, SIZE)
    encoder: Layers = (Conv(8, 2), Conv(16, 2, pool=2), Conv(32, 3, pool=3), Conv(3, 1))
    transition_net: Layers = (Conv(16, 1), Conv(32, 2), Conv(64, 3), Conv(32, 2), Conv(16, 1), Conv(3, 1))
    reward_net: Layers = (*_HEAD, Linear(1))
    value_net: Layers = (*_HEAD, Linear(4))
    other: Other = NEGATED

    def unit_signs(self, block: str) -> tuple[bool, ...]:
        """Layers that no max-pooling follows."""
        return tuple(layer.odd for layer in (self.encoder if block == "encoder" else self.networks[block]))

    def state_inputs(self, block: str) -> slice:
        """The last ones, behind the action's constant maps."""
        return slice(-self.channels, None)

    @property
    def networks(self) -> dict[str, Layers]:
        """Layers of every block of the dynamics."""
        return {"transition": self.transition_net, "reward": self.reward_net, "discount": self.reward_net, "value": self.value_net}

    def init(self, rng: np.random.Generator) -> Params:
        """Glorot-uniform parameters of all five blocks for one model, float32."""
        params = glorot_conv("encoder", self.encoder, 1, SIZE * CELL_PIXELS, rng)
        for block, layers in self.networks.items():
            params |= glorot_conv(block, layers, self.channels + (0 if block == "value" else self.n_actions), SIZE, rng)
        return params

    @property
    def tile_networks(self) -> tuple[dict[str, Layers], Other] | None:
        """All layers, where the compiled updates know them."""
        fit = self.positions == SIZE * SIZE and boards_fit(self.encoder, tuple(self.networks.values()), self.channels, self.n_actions)
        return ({"encoder": self.encoder, **self.networks}, self.other) if fit else None

    def kernels(self, *, whole_updates: bool) -> Kernels:
        """Those of networks of tile maps and maps."""
        return CONV_UPDATES if whole_updates and self.tile_networks is not None else CONV_STEPS

    def encode(self, params: Params, observations: Tensor) -> Tensor:
        """Abstract states e(s): tile maps (*members, rows, 1, 8, 8) or (rows, 1, 8, 8) -> (*members, rows, 192)."""
        return encode_tiles(params, "encoder", self.encoder, observations, self.other)

    def read(self, params: Params, observations: Tensor) -> Tensor:
        """Images of 48x48 as they are, whatever they show; grids of 8x8 numbers and tile maps by what they stand for."""
        if observations.shape[-1] == SIZE * CELL_PIXELS:
            return convolve(params, "encoder", self.encoder, observations).flatten(-3)
        return self.encode(params, read_grid(observations) if observations.is_floating_point() else observations)

    def network(self, params: Params, block: str, x: Tensor, onehot: Tensor | None = None) -> Tensor:
        """A convolutional network on the action's one-hot as constant maps, then the maps of the state."""
        maps = torch.unflatten(x, -1, self.abstract_shape)  # (*members, rows, 3, 8, 8)
        if onehot is None:
            return convolve(params, block, self.networks[block], maps)
        layers = self.networks[block]  # the tries' axis is counted from behind: networks broadcast against states bring axes of their own
        out = convolve(params, block, layers, maps, onehot.unsqueeze(-2)).squeeze(-4 if layers[-1].maps else -2)
        return out.flatten(-3) if block == "transition" else out

    def outcomes(self, params: Params, x: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As every agent's; what a network makes of a state alone is computed once for all actions."""
        maps, onehot = torch.unflatten(x, -1, self.abstract_shape), self.one_hot(action, x.dtype)
        reward, discount, moved = (
            convolve(params, block, self.networks[block], maps, onehot) for block in ("reward", "discount", "transition")
        )
        return reward.squeeze(-1), discount.squeeze(-1), x.unsqueeze(-2) + moved.flatten(-3)
