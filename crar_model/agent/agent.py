"""What an agent is made of: five blocks behind one interface.

The loss, the trainer and the evaluation know an agent only through :class:`Agent`. A subclass (`networks`) gives the encoder and the
networks of the other blocks; what they mean is said once, here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.core.compiled import Kernels
from crar_model.core.params import Params


@dataclass(frozen=True)
class Agent(ABC):
    """Five networks over an abstract state of C channels at P positions, handed around flattened, channel by channel.

    Attributes:
        n_actions: number of actions A.
        abstract_shape: (C,) with P = 1, or (C, rows, columns).
    """

    n_actions: int = 4
    abstract_shape: tuple[int, ...] = (2,)

    @property
    def channels(self) -> int:
        """C, features of a position."""
        return self.abstract_shape[0]

    @property
    def positions(self) -> int:
        """P, positions that the channels repeat at."""
        return self.abstract_size // self.channels

    @property
    def abstract_size(self) -> int:
        """d = C P, numbers in an abstract state."""
        return int(np.prod(self.abstract_shape))

    @abstractmethod
    def unit_signs(self, block: str) -> tuple[bool, ...]:
        """Whether the units of each layer of a block may be negated together with what reads them, without changing the block:
        tanh is odd, but the largest of negated values is the negated smallest, so not before a max-pooling."""

    @abstractmethod
    def state_inputs(self, block: str) -> slice:
        """Which inputs of a dynamics block's first layer, the second axis of its weight, are the abstract state, channel by channel; the others
        are the action's."""

    @abstractmethod
    def init(self, rng: np.random.Generator) -> Params:
        """Glorot-uniform parameters of all five blocks for one model, float32."""

    @abstractmethod
    def encode(self, params: Params, observations: Tensor) -> Tensor:
        """Abstract states e(s): (rows, ...) or (*members, rows, ...) -> (*members, rows, d)."""

    def encoder_jacobian(self, params: Params, observations: Tensor) -> Tensor:
        """(rows, d, numbers) derivative of one model's abstract states by its `params` of the encoder, flattened in their order."""
        derivative: Any = torch.func.jacrev(lambda encoder: self.encode(encoder, observations))
        return torch.cat([part.detach().flatten(2) for part in derivative(params).values()], dim=2)

    def read(self, params: Params, observations: Tensor) -> Tensor:
        """Abstract states of observations as an environment gives them: (rows, 1, height, width) -> (rows, d).

        Raises:
            ValueError: for images of a size that the agent does not see.
        """
        return self.encode(params, observations)

    @abstractmethod
    def network(self, params: Params, block: str, x: Tensor, onehot: Tensor | None = None) -> Tensor:
        """A block of the dynamics on abstract states (*members, rows, d) and, but for `value`, one-hot actions
        (*members, rows, A): -> (*members, rows, outputs)."""

    @property
    def dense_widths(self) -> dict[str, tuple[int, ...]] | None:
        """Widths of every block's layers, input first, where all networks are dense; None elsewhere."""
        return None

    @property
    def dynamics_widths(self) -> dict[str, tuple[int, ...]] | None:
        """Widths of the layers of every block of the dynamics, input first, where these are dense; None elsewhere."""
        return None

    def kernels(self, *, whole_updates: bool) -> Kernels:
        """The compiled functions that a training on the CPU starts with, where whole updates are compiled if the agent has such, and
        where only networks and optimiser are; none is known here."""
        return Kernels()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every parameter of one model."""
        return {name: tuple(value.shape) for name, value in self.init(np.random.default_rng(0)).items()}

    def one_hot(self, action: Tensor, dtype: torch.dtype) -> Tensor:
        """Integer actions (*members, rows) -> (*members, rows, A)."""
        return (action.unsqueeze(-1) == torch.arange(self.n_actions, device=action.device)).to(dtype)

    def by_position(self, x: Tensor) -> Tensor:
        """Abstract states (..., d) as (..., C, P); no copy."""
        return torch.unflatten(x, -1, (self.channels, self.positions))

    def transition(self, params: Params, x: Tensor, action: Tensor) -> Tensor:
        """T(x, a) = x + tau(x, a): (*members, rows, d), action (*members, rows) -> (*members, rows, d).

        Actions are integers, or already one-hot (*members, rows, A) where several networks see the same ones.
        """
        return x + self.network(params, "transition", x, self._as_one_hot(action, x))

    def reward(self, params: Params, x: Tensor, action: Tensor) -> Tensor:
        """R(x, a): -> (*members, rows)."""
        return self.network(params, "reward", x, self._as_one_hot(action, x)).squeeze(-1)

    def discount(self, params: Params, x: Tensor, action: Tensor) -> Tensor:
        """g(x, a), the learned discount: -> (*members, rows)."""
        return self.network(params, "discount", x, self._as_one_hot(action, x)).squeeze(-1)

    def value(self, params: Params, x: Tensor) -> Tensor:
        """Q(x): -> (*members, rows, A)."""
        return self.network(params, "value", x)

    def outcomes(self, params: Params, x: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """R, g and T of several actions in every state: x (*members, rows, d), integer actions (*members, rows, tries) -> reward and discount
        (*members, rows, tries) and the states reached (*members, rows, tries, d)."""
        source = x.unsqueeze(-2).expand(*action.shape, x.shape[-1]).flatten(-3, -2)
        onehot = self.one_hot(action.flatten(-2), x.dtype)
        reward, discount, reached = (
            self.reward(params, source, onehot),
            self.discount(params, source, onehot),
            self.transition(params, source, onehot),
        )
        reward, discount, reached = (torch.unflatten(each, x.dim() - 2, action.shape[-2:]) for each in (reward, discount, reached))
        return reward, discount, reached

    def _as_one_hot(self, action: Tensor, x: Tensor) -> Tensor:
        onehot = action if action.is_floating_point() else self.one_hot(action, x.dtype)
        return onehot.expand(*x.shape[:-1], self.n_actions)
