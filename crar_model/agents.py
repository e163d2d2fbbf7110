"""What each maze's agent is made of: five blocks behind one interface.

The loss, the trainer and the evaluation know an agent only through these methods, so another maze brings
another class here and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from crar_model.conv_agent import ConvAgent
from crar_model.errors import UserError
from crar_model.nets.dense import dense, glorot_dense
from crar_model.params import BLOCKS, Params


@dataclass(frozen=True)
class DenseAgent:
    """The simple maze's agent: 64 observed numbers, an abstract state of 2, dense networks (45,880 parameters)."""

    maze: str = "simple"
    n_actions: int = 4
    abstract_shape: tuple[int, ...] = (2,)
    abstract_size: int = 2
    encoder: tuple[int, ...] = (64, 200, 100, 50, 10, 2)
    transition_net: tuple[int, ...] = (6, 10, 30, 30, 10, 2)
    reward_net: tuple[int, ...] = (6, 10, 50, 20, 1)
    value_net: tuple[int, ...] = (2, 20, 50, 20, 4)

    def init(self, rng: np.random.Generator) -> Params:
        """Glorot-uniform parameters of all five blocks for one model, float32."""
        sizes = (self.encoder, self.transition_net, self.reward_net, self.reward_net, self.value_net)
        params: Params = {}
        for block, widths in zip(BLOCKS, sizes, strict=True):
            params |= glorot_dense(block, widths, rng)
        return params

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every parameter of one model."""
        return {name: tuple(value.shape) for name, value in self.init(np.random.default_rng(0)).items()}

    def encode(self, params: Params, observations: Tensor) -> Tensor:
        """Abstract states e(s): (rows, 1, 8, 8) -> (*members, rows, 2)."""
        return dense(params, "encoder", observations.flatten(-3))

    def transition(self, params: Params, x: Tensor, action: Tensor) -> Tensor:
        """T(x, a) = x + tau(x, a): (*members, rows, 2), action (*members, rows) -> (*members, rows, 2).

        Actions are integers, or already one-hot (*members, rows, 4) where several networks see the same ones.
        """
        return x + dense(params, "transition", self._with_action(x, action))

    def reward(self, params: Params, x: Tensor, action: Tensor) -> Tensor:
        """R(x, a): -> (*members, rows)."""
        return dense(params, "reward", self._with_action(x, action)).squeeze(-1)

    def discount(self, params: Params, x: Tensor, action: Tensor) -> Tensor:
        """g(x, a), the learned discount: -> (*members, rows)."""
        return dense(params, "discount", self._with_action(x, action)).squeeze(-1)

    def one_hot(self, action: Tensor, dtype: torch.dtype) -> Tensor:
        """Integer actions (*members, rows) -> (*members, rows, 4)."""
        return (action.unsqueeze(-1) == torch.arange(self.n_actions, device=action.device)).to(dtype)

    def value(self, params: Params, x: Tensor) -> Tensor:
        """Q(x): -> (*members, rows, 4)."""
        return dense(params, "value", x)

    def _with_action(self, x: Tensor, action: Tensor) -> Tensor:
        onehot = action if action.is_floating_point() else self.one_hot(action, x.dtype)
        return torch.cat((x, onehot.expand(*x.shape[:-1], self.n_actions)), dim=-1)  # (*members, rows, 2 + 4)


Agent = DenseAgent | ConvAgent
"""What the loss, the trainer and the evaluation take."""
MAZES = ("simple", "random")


def agent_for(maze: str) -> Agent:
    """The agent of a maze.

    Raises:
        UserError: for a maze that this version does not know.
    """
    if maze == "simple":
        return DenseAgent()
    if maze == "random":
        return ConvAgent()
    raise UserError(f"unknown maze {maze!r}; this version knows: {', '.join(MAZES)}")
