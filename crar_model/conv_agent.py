"""The random mazes' agent: 48x48 images, an abstract state of 3x8x8, convolutional networks (128,602 parameters)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from crar_model.mazes.tiles import CELL_PIXELS, SIZE, draw_pixels
from crar_model.nets._tile_index import index_tiles
from crar_model.nets.conv import Conv, Layers, Linear, convolve, glorot_conv
from crar_model.nets.tiles import encode_pieces
from crar_model.params import Params

CHANNELS = 3
_HEAD = (Conv(16, 2), Conv(32, 3, pool=2), Conv(16, 2), Conv(4, 1), Linear(200), Linear(50), Linear(20))


@dataclass(frozen=True)
class ConvAgent:
    """Five networks of the random mazes; abstract states are handed around flattened, channel by channel.

    Observations are tile maps (rows, 1, 8, 8) uint8 (`mazes.tiles`): what they show is drawn where it is needed.
    """

    maze: str = "random"
    n_actions: int = 4
    abstract_shape: tuple[int, ...] = (CHANNELS, SIZE, SIZE)
    encoder: Layers = (Conv(8, 2), Conv(16, 2, pool=2), Conv(32, 3, pool=3), Conv(3, 1))
    transition_net: Layers = (Conv(16, 1), Conv(32, 2), Conv(64, 3), Conv(32, 2), Conv(16, 1), Conv(CHANNELS, 1))
    reward_net: Layers = (*_HEAD, Linear(1))
    value_net: Layers = (*_HEAD, Linear(4))

    @property
    def abstract_size(self) -> int:
        """Numbers in an abstract state, 192."""
        return int(np.prod(self.abstract_shape))

    def init(self, rng: np.random.Generator) -> Params:
        """Glorot-uniform parameters of all five blocks for one model, float32."""
        with_action = CHANNELS + self.n_actions
        params = glorot_conv("encoder", self.encoder, 1, SIZE * CELL_PIXELS, rng)
        params |= glorot_conv("transition", self.transition_net, with_action, SIZE, rng)
        params |= glorot_conv("reward", self.reward_net, with_action, SIZE, rng)
        params |= glorot_conv("discount", self.reward_net, with_action, SIZE, rng)
        return params | glorot_conv("value", self.value_net, CHANNELS, SIZE, rng)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every parameter of one model."""
        return {name: tuple(value.shape) for name, value in self.init(np.random.default_rng(0)).items()}

    def encode(self, params: Params, observations: Tensor) -> Tensor:
        """Abstract states e(s): tile maps (*members, rows, 1, 8, 8) or (rows, 1, 8, 8) -> (*members, rows, 192)."""
        weights = [params[f"encoder.{k}.{kind}"] for k in range(len(self.encoder)) for kind in ("weight", "bias")]
        if observations.device.type != "cpu":
            images = draw_pixels(observations, weights[0].dtype)
            return convolve(params, "encoder", self.encoder, images).flatten(-3)
        lead = weights[1].shape[:-1]
        if not lead:
            return torch.unflatten(encode_pieces(weights, index_tiles(observations)), 0, observations.shape[:-3])
        flat = [weight.flatten(0, len(lead) - 1).unbind(0) for weight in weights]
        if observations.dim() == 4:  # shared by all members
            shared = index_tiles(observations)
            states = [encode_pieces(own, shared) for own in zip(*flat, strict=True)]
        else:
            states = [encode_pieces(own, index_tiles(seen)) for *own, seen in zip(*flat, observations.unbind(0), strict=True)]
        return torch.unflatten(torch.stack(states) if len(states) > 1 else states[0].unsqueeze(0), 0, lead)

    def transition(self, params: Params, x: Tensor, action: Tensor) -> Tensor:
        """T(x, a) = x + tau(x, a): (*members, rows, 192), action (*members, rows) -> (*members, rows, 192).

        Actions are integers, or already one-hot (*members, rows, 4) where several networks see the same ones.
        """
        moved = convolve(params, "transition", self.transition_net, self._with_action(x, action))
        return x + moved.flatten(-3)

    def reward(self, params: Params, x: Tensor, action: Tensor) -> Tensor:
        """R(x, a): -> (*members, rows)."""
        return convolve(params, "reward", self.reward_net, self._with_action(x, action)).squeeze(-1)

    def discount(self, params: Params, x: Tensor, action: Tensor) -> Tensor:
        """g(x, a), the learned discount: -> (*members, rows)."""
        return convolve(params, "discount", self.reward_net, self._with_action(x, action)).squeeze(-1)

    def one_hot(self, action: Tensor, dtype: torch.dtype) -> Tensor:
        """Integer actions (*members, rows) -> (*members, rows, 4)."""
        return (action.unsqueeze(-1) == torch.arange(self.n_actions, device=action.device)).to(dtype)

    def value(self, params: Params, x: Tensor) -> Tensor:
        """Q(x): -> (*members, rows, 4)."""
        return convolve(params, "value", self.value_net, torch.unflatten(x, -1, self.abstract_shape))

    def _with_action(self, x: Tensor, action: Tensor) -> Tensor:
        """The action's one-hot as 4 constant maps, then the 3 maps of the state: (*members, rows, 7, 8, 8)."""
        onehot = action if action.is_floating_point() else self.one_hot(action, x.dtype)
        maps = onehot.expand(*x.shape[:-1], self.n_actions)[..., None, None].expand(*x.shape[:-1], self.n_actions, SIZE, SIZE)
        return torch.cat((maps, torch.unflatten(x, -1, self.abstract_shape)), dim=-3)
