"""Aligns one network's hidden units to another's by permutation and sign, layer by layer.

tanh is odd, so a hidden unit may be exchanged for another, and negated together with its incoming weights, bias and
outgoing weights, without changing the function. A straight line to an arbitrary copy of a network says little; a line
to the nearest copy says something.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from landscape_tools.points import Point


@dataclass(frozen=True)
class HiddenLayer:
    """One hidden layer of a chain.

    Attributes:
        weight, bias: names of its incoming weight (units, inputs, ...) and bias (units).
        following: name of the weight that reads its units along its second axis, (outputs, units, ...); behind flattened maps every unit has
            as many inputs there as its map has places, side by side.
        signs: whether units may be negated: the activation is odd and nothing between the layer and `following`
            breaks that (max-pooling does: the largest of negated values is the negated smallest).
    """

    weight: str
    bias: str
    following: str
    signs: bool = True


def dense_chain(block: str, layers: int, *, signs: bool = True) -> list[HiddenLayer]:
    """The hidden layers of a network named `block.0.weight` ... `block.{layers - 1}.weight`."""
    return [HiddenLayer(f"{block}.{k}.weight", f"{block}.{k}.bias", f"{block}.{k + 1}.weight", signs) for k in range(layers - 1)]


def apply_symmetry(point: Point, layer: HiddenLayer, order: Tensor, sign: Tensor) -> dict[str, Tensor]:
    """The same function with the layer's unit k replaced by sign[k] times the old unit order[k].

    Args:
        point: parameters; tensors that the layer does not touch are shared, not copied.
        layer: the hidden layer.
        order: (units,) permutation.
        sign: (units,) of +-1.
    """
    changed = dict(point)
    weight, following = point[layer.weight], point[layer.following]
    sign = sign.to(weight)
    changed[layer.weight] = weight[order] * sign.view(-1, *([1] * (weight.dim() - 1)))
    changed[layer.bias] = point[layer.bias][order] * sign
    ahead = torch.unflatten(following, 1, (len(order), -1))  # (outputs, units, places, ...)
    changed[layer.following] = (ahead[:, order] * sign.view(1, -1, *([1] * (ahead.dim() - 2)))).flatten(1, 2)
    return changed


def _similarity(moving: Point, fixed: Point, layer: HiddenLayer, *, outgoing: bool) -> Tensor:
    """(units of fixed, units of moving) inner products of incoming weights and biases, and of outgoing weights."""
    score = fixed[layer.weight].flatten(1).double() @ moving[layer.weight].flatten(1).double().T
    score = score + torch.outer(fixed[layer.bias].double(), moving[layer.bias].double())
    if outgoing:
        ahead = (
            torch.unflatten(point[layer.following], 1, (len(score), -1)).transpose(0, 1).flatten(1).double() for point in (fixed, moving)
        )
        first, second = ahead
        score = score + first @ second.T
    return score


def align(moving: Point, fixed: Point, chain: Sequence[HiddenLayer], *, sweeps: int = 20) -> dict[str, Tensor]:
    """The copy of `moving`, under permutations and signs of hidden units, that lies near `fixed`.

    A first pass goes from the input on and matches each layer by its incoming weights, which recovers a planted change
    exactly; further sweeps also weigh the outgoing weights and never increase the distance. Finding the nearest of all
    copies is a hard problem; the result is a copy that no change of a single layer brings nearer.

    Args:
        moving, fixed: points of the same names and shapes.
        chain: hidden layers, input side first.
        sweeps: most sweeps after the first pass.

    Returns:
        the aligned point; it computes the same function as `moving`, and is never farther from `fixed` than `moving`.
    """
    best = dict(moving)
    forward = dict(moving)
    for layer in chain:
        forward = _matched(forward, fixed, layer, outgoing=False)
    names = {name for layer in chain for name in (layer.weight, layer.bias, layer.following)}
    start = forward if _distance(forward, fixed, names) <= _distance(best, fixed, names) else best
    current, distance = start, _distance(start, fixed, names)
    for _ in range(sweeps):
        for layer in chain:
            current = _matched(current, fixed, layer, outgoing=True)
        shorter = _distance(current, fixed, names)
        if shorter >= distance * (1 - 1e-12):
            break
        distance = shorter
    return current


def _matched(moving: Point, fixed: Point, layer: HiddenLayer, *, outgoing: bool) -> dict[str, Tensor]:
    score = _similarity(moving, fixed, layer, outgoing=outgoing)
    gain = score.abs() if layer.signs else score
    rows, order = linear_sum_assignment(gain.detach().cpu().numpy(), maximize=True)
    chosen = score[torch.as_tensor(rows), torch.as_tensor(order)]
    sign = torch.where(chosen < 0, -1.0, 1.0) if layer.signs else torch.ones(len(order))
    return apply_symmetry(moving, layer, torch.as_tensor(order), sign)


def _distance(moving: Point, fixed: Point, names: set[str]) -> float:
    return sum(float((moving[name].double() - fixed[name].double()).square().sum()) for name in names)
