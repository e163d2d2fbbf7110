"""What is looked at before a network is computed: types, places, shapes and member axes, with the name of what does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from torch import Tensor

Shapes = tuple[tuple[int, ...], ...]


@lru_cache(maxsize=4096)
def layer_names(block: str, layer: int) -> tuple[str, str]:
    """Names of the weight and the bias of a layer, e.g. "encoder.0.weight"."""
    return f"{block}.{layer}.weight", f"{block}.{layer}.bias"


def same_kind(block: str, weights: Sequence[Tensor], like: Tensor, what: str = "the input") -> None:
    """Check that the parameters of a network have the dtype of a tensor and lie where it lies.

    Raises:
        TypeError: for another dtype.
        ValueError: for another device.
    """
    dtype, cpu = like.dtype, like.is_cpu
    for index, weight in enumerate(weights):
        if weight.dtype is not dtype:
            raise TypeError(f"{_name(block, index)} is {weight.dtype} and {what} {dtype}; give both in one dtype")
        if weight.is_cpu is not cpu or (not cpu and weight.device != like.device):
            raise ValueError(f"{_name(block, index)} lies on {weight.device} and {what} on {like.device}; give both on one device")


@lru_cache(maxsize=1024)
def member_axes(block: str, shapes: Shapes, wanted: Shapes) -> tuple[tuple[int, ...], bool]:
    """Member axes of a network's parameters.

    Args:
        block: name of the network.
        shapes: of its weights and biases in turn.
        wanted: the same for one model.

    Returns:
        the member axes, broadcast over the tensors, and whether every tensor has them all.

    Raises:
        ValueError: for a shape that is not a wanted one behind member axes, and for member axes that do not fit each other.
    """
    lead: tuple[int, ...] = ()
    for index, (shape, own) in enumerate(zip(shapes, wanted, strict=True)):
        axes = shape[: max(len(shape) - len(own), 0)]
        if tuple(shape[len(axes) :]) != own:
            raise ValueError(f"{_name(block, index)} has shape {_text(shape)}; wanted is {_text(own)} behind any member axes")
        found = together(lead, axes)
        if found is None:
            raise ValueError(
                f"{_name(block, index)} has member axes {_text(axes)} and the tensors before it {_text(lead)}; give one number"
            )
        lead = found
    return lead, all(len(shape) == len(lead) + len(own) and shape[: len(lead)] == lead for shape, own in zip(shapes, wanted, strict=True))


def together(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...] | None:
    """Member axes broadcast against each other, or None where they do not fit."""
    try:
        return np.broadcast_shapes(tuple(one), tuple(other))  # PyTorch's own loads SymPy at its first call, 0.4 s in every worker
    except ValueError:
        return None


def members_of_both(block: str, lead: Sequence[int], own: Sequence[int]) -> tuple[int, ...]:
    """Member axes of parameters (`lead`) and input (`own`) together.

    Raises:
        ValueError: where they do not fit.
    """
    found = together(lead, own)
    if found is None:
        raise ValueError(f"the input of {block} has member axes {_text(own)} and its parameters {_text(lead)}; give one number of members")
    return found


def unchanged(before: Sequence[tuple[int, ...]], tensors: Sequence[Tensor]) -> None:
    """Check that tensors kept for a backward pass, and the gradient that it is given, still have the shapes of the forward pass.

    Raises:
        ValueError: where one has not, as after an assignment to `.data`.
    """
    now = [tensor.shape for tensor in tensors]
    if now != before:
        raise ValueError(
            f"shapes were {_texts(before)} in the forward pass and are {_texts(now)}; leave tensors alone until the backward pass"
        )


def _name(block: str, index: int) -> str:
    return layer_names(block, index // 2)[index % 2]


def _text(shape: Sequence[int]) -> str:
    return str(tuple(shape))


def _texts(shapes: Sequence[Sequence[int]]) -> str:
    return ", ".join(map(_text, shapes))
