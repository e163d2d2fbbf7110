"""A second device without one: its tensors hold their values on the CPU, say that they are elsewhere, and refuse to be mixed with those that are not.

PyTorch's own fake tensors have no values, so no descent, path or certificate runs through on them. These have. They report the device `meta`, the one that
PyTorch lets stand for any and that needs no driver. What a GPU refuses is refused: operations on two devices (but for numbers and the places of an
index, which PyTorch moves itself) and `numpy()` without `cpu()`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

ELSEWHERE = torch.device("meta", 0)
Aten: Any = torch.ops.aten
COPIES = (Aten._to_copy.default, Aten.copy_.default)
INDEXED = (
    Aten.index.Tensor, Aten.index_put.default, Aten.index_put_.default, Aten._index_put_impl_.default, Aten._unsafe_index.Tensor,
)  # fmt: skip
DATA = (torch.tensor, torch.as_tensor)


class Elsewhere(torch.Tensor):
    """A tensor of the other device; `inner` has its values."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> Elsewhere:
        made: Elsewhere = torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype, device=ELSEWHERE
        )
        made.inner = inner
        return made

    def __repr__(self, **_: Any) -> str:
        return f"Elsewhere({self.inner!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, _: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        return _run(func, args, dict(kwargs or {}))


def _run(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """An operation where its operands are: on the CPU's values, its result said to be where a GPU's would be."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    there = any(isinstance(one, Elsewhere) for one in tensors)
    asked = None if kwargs.get("device") is None else torch.device(kwargs["device"]).type
    moved = tensors[:1] if func in INDEXED else tensors
    if there and func not in COPIES and not all(isinstance(one, Elsewhere) or not one.dim() for one in moved):
        raise RuntimeError(f"{func}: tensors of two devices")
    if asked is not None:
        kwargs["device"] = "cpu"
    plain = tree_map(lambda leaf: leaf.inner if isinstance(leaf, Elsewhere) else leaf, (tuple(args), kwargs))
    made = func(*plain[0], **plain[1])
    stays = there if asked is None else asked == ELSEWHERE.type
    goes = isinstance(args[0], Elsewhere) if func is Aten.copy_.default else stays
    if not goes:
        return args[0] if func is Aten.copy_.default else made
    result = tree_map(lambda leaf: Elsewhere(leaf) if isinstance(leaf, Tensor) else leaf, made)
    return return_and_correct_aliasing(func, args, kwargs, result) if there else result


class _Operations(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, _: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        return _run(func, args, dict(kwargs or {}))


class _Data(TorchFunctionMode):
    """Numbers and lists go over from the CPU, as PyTorch takes them to a GPU."""

    def __torch_function__(
        self, func: Callable[..., Any], _: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if getattr(func, "__self__", None) is torch.Tensor.data and len(args) == 2 and isinstance(args[0], Elsewhere):  # x.data = y
            args[0].inner = args[1].inner
        if func is torch.Tensor.tolist and isinstance(args[0], Elsewhere):  # PyTorch refuses it to any class of one's own
            return args[0].inner.tolist()
        if func is torch.Tensor.new_tensor and isinstance(args[0], Elsewhere):
            kwargs.setdefault("device", args[0].device)
            kwargs.setdefault("dtype", args[0].dtype)
            func, args = torch.tensor, args[1:]
        if func in DATA and kwargs.get("device") is not None:
            device = kwargs.pop("device")
            return func(*args, **kwargs).to(device)
        return func(*args, **kwargs)


@contextmanager
def elsewhere() -> Iterator[torch.device]:
    """The other device, while this is open."""
    with _Data(), _Operations():
        yield ELSEWHERE
