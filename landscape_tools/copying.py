"""Copies of modules as they are met: used before, wrapped, with locks and kept features."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


def copied(model: nn.Module, *, sharing: bool = False) -> nn.Module:
    """A copy that shares no tensor with the module and whose parameters `functional_call` can replace; `sharing` the memory of its parameters and
    buffers, for a copy that never computes with them.

    Tensors that a forward pass left behind are copied without their graph; what cannot be copied at all, such as a lock or an open file,
    is shared. `DataParallel` and its like are taken off, and embeddings get dense gradients.

    Raises:
        ValueError: for lazy layers without a shape, scripted modules, and modules that cannot be copied.
    """
    while isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        model = model.module
    check_shaped(model)
    for name, part in model.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            where = f"its part {name} is" if name else "it is"
            raise ValueError(
                f"the model cannot take the parameters of a point, for {where} scripted or traced; give the module it was made of"
            )
    shared: dict[int, Any] = {id(v): nn.Parameter(v.detach(), v.requires_grad) for v in model.parameters()} if sharing else {}
    shared |= {id(value): value.detach() for value in model.buffers()} if sharing else {}
    memo = dict(shared)
    try:
        result = copy.deepcopy(model, memo)
    except Exception:  # something in it does not copy: found and shared, one by one
        memo = shared | {id(value): taken for value, taken in _awkward(vars(model), set())}
        try:
            result = copy.deepcopy(model, memo)
        except Exception as error:
            reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
            raise ValueError(f"the model cannot be copied ({reason}); give one made anew with its state_dict loaded") from error
    for part in result.modules():
        if isinstance(part, (nn.Embedding, nn.EmbeddingBag)):
            part.sparse = False
    return result


def check_shaped(model: nn.Module) -> None:
    """Raise ValueError for lazy layers whose parameters have no shape yet."""
    lazy = [name for name, value in model.named_parameters() if is_lazy(value)]
    if lazy:
        raise ValueError(f"{lazy[0]} of a lazy layer has no shape yet; call the model once on its inputs first")


def _awkward(value: Any, seen: set[int]) -> Iterator[tuple[Any, Any]]:
    """(object, what a copy has in its place) for each part of a value that `copy.deepcopy` does not take."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Tensor):
        if not value.is_leaf:
            yield value, value.detach().clone()
    elif isinstance(value, dict):
        for part in (*value.keys(), *value.values()):
            yield from _awkward(part, seen)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for part in value:
            yield from _awkward(part, seen)
    elif _open(value):
        yield from _awkward(vars(value), seen)
    else:
        try:
            copy.deepcopy(value, {})
        except Exception:
            yield value, value


def _open(value: Any) -> bool:
    """Whether `copy.deepcopy` copies a value by its attributes."""
    kind = type(value)
    if not kind.__dictoffset__ or isinstance(value, (type, ModuleType, FunctionType)) or hasattr(kind, "__deepcopy__"):
        return False
    try:
        value.__reduce_ex__(4)
    except Exception:  # an open file has attributes, and no copy
        return False
    return True
