"""A module that holds the tensors of a point for good: what is written into them is its next point.

On the processor convolutions and poolings of single precision are faster where the channels of a pixel lie side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from landscape_tools.points import Point

Value = TypeVar("Value")


def mount(model: nn.Module, whole: Point, point: Point, valued: Callable[[nn.Module], Value]) -> Callable[[], Value] | None:
    """A function that gives `valued` of the model at whatever the point's tensors hold when it is called.

    Buffers are copied out of the point before each call, so that a model that writes into its own, or puts others in their place, changes no point.

    Args:
        model: a copy that nobody else uses; its parameters take the memory of the point's.
        whole: all tensors of the model, buffers of nobody else's.
        point: the part that may change.
        valued: of the model.

    Returns:
        None where a tensor was made in inference mode, for a module cannot hold it.
    """
    tensors = [(value, whole[name]) for name, value in (*model.named_parameters(), *model.named_buffers())]
    if any(new.is_inference() for _, new in tensors):
        return None
    for value, new in tensors:
        value.requires_grad_(False).data = new.detach()
    held = [(value, new, new.data_ptr()) for value, new in tensors]
    owners = []
    for name, own in model.named_buffers():
        layer, _, short = name.rpartition(".")
        owners.append((model.get_submodule(layer)._buffers, short, own, point.get(name, own.clone())))

    def valued_now() -> Value:
        for buffers, short, own, source in owners:
            own.copy_(source)
            buffers[short] = own
        for value, new, place in held:
            if value.data_ptr() != place:  # the model has put another in its place
                value.data = new.detach()
        return valued(model)

    return valued_now


def convolves(model: nn.Module) -> bool:
    """Whether a model has convolutions of images that are faster with their channels side by side."""
    weights = [
        layer.weight for layer in model.modules() if isinstance(layer, nn.Conv2d) and isinstance(getattr(layer, "weight", None), Tensor)
    ]
    kernels: Any = torch.backends.mkldnn
    return bool(kernels.is_available()) and any(value.dtype == torch.float32 and value.device.type == "cpu" for value in weights)


def side_by_side(data: Any) -> Any:
    """Data whose images (n, channels, h, w) have the channels of a pixel side by side in memory; the values are the same."""

    def laid(part: Any) -> Any:
        images = isinstance(part, Tensor) and part.dim() == 4 and part.dtype == torch.float32
        return part.contiguous(memory_format=torch.channels_last) if images else part

    return tree_map(laid, data)


def leaves_of(value: object) -> list[Tensor]:
    """The tensors with gradients of their own that a value was made of."""
    todo, seen, found = [getattr(value, "grad_fn", None)], set(), []
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.append(node.variable)
        todo += [following for following, _ in node.next_functions]
    return found
