"""A module that holds the tensors of a point for good: what is written into them is its next point."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch import Tensor, nn

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
    owners = []
    for name, own in model.named_buffers():
        layer, _, short = name.rpartition(".")
        owners.append((model.get_submodule(layer)._buffers, short, own, point.get(name, own.clone())))

    def valued_now() -> Value:
        for buffers, short, own, source in owners:
            own.copy_(source)
            buffers[short] = own
        return valued(model)

    return valued_now


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
