"""The one way into every network: which of its forms computes parameters and inputs with these member axes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from crar_model.nets.check import Shapes, member_axes, members_of_both, same_kind


class Network(ABC):
    """A network of weights and biases in turn, in the forms that it can be computed in; all are the same function.

    Attributes:
        rank: axes of an input without member axes: its rows, and what one row has.
    """

    rank: int

    @abstractmethod
    def wanted(self, block: str, weights: Shapes, row: tuple[int, ...]) -> Shapes:
        """Shapes of one model's parameters for an input of this shape a row, from the shapes of the given ones where the layers are not
        known otherwise.

        Raises:
            ValueError: for a row that the network cannot read.
        """

    @abstractmethod
    def lone(self, weights: Sequence[Tensor], x: Tensor) -> Tensor:
        """One model on x (..., *row)."""

    @abstractmethod
    def members(self, weights: Sequence[Tensor], x: Tensor) -> Tensor:
        """Parameters with one member axis on x with the same one, or without."""

    @abstractmethod
    def broadcast(self, weights: Sequence[Tensor], x: Tensor, both: tuple[int, ...]) -> Tensor:
        """Member axes of any other form; `both` is what they broadcast to."""


def apply(network: Network, block: str, weights: Sequence[Tensor], x: Tensor) -> Tensor:
    """Compute a network.

    Args:
        network: its forms.
        block: its name, for messages.
        weights: weight and bias of each layer in turn, with any member axes.
        x: (*members, rows, *row), or without member axes what all members share.

    Returns:
        (*members, rows, ...), where the member axes of parameters and input are broadcast against each other: parameters (n, 1, ...) and
        x (m, rows, ...) give every network on every x, (n, m, rows, ...).

    Raises:
        TypeError: for parameters of another dtype than x.
        ValueError: for parameters on another device, for shapes that do not fit the layers or the input, and for member axes that do not
            fit each other.
    """
    same_kind(block, weights, x)
    own, row = x.shape[: -network.rank], x.shape[1 - network.rank :]
    if x.dim() < network.rank:
        raise ValueError(f"the input of {block} has shape {tuple(x.shape)}; wanted are rows first, {network.rank} axes and any member axes")
    shapes = tuple([weight.shape for weight in weights])
    lead, alike = member_axes(block, shapes, network.wanted(block, shapes, row))
    if not lead:
        return network.lone(weights, x)
    if alike and len(lead) == 1 and (not own or own == lead):
        return network.members(weights, x)
    if alike and len(lead) == 2 and lead[1] == 1 and len(own) == 1:  # every network on every x: the axis of x becomes rows
        alone = [weight.squeeze(1) for weight in weights]
        return torch.unflatten(apply(network, block, alone, x.flatten(0, 1)), 1, x.shape[:2])
    return network.broadcast(weights, x, members_of_both(block, lead, own))
