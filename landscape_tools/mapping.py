"""One pass over many points by `torch.func.vmap`, or by a loop where that fails or is not the loss itself."""

from __future__ import annotations

import time
import warnings
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from landscape_tools.differentiable import math_kernels
from landscape_tools.points import Point

Run = Callable[..., Any]
"""(way, *arguments) -> a tensor, a tuple or a dict of tensors; the leading axes count points."""
LARGE = 32 * 2**20
"""Bytes of a pass from which "auto" does not map: mapped, its points leave the cache, and their activations fill the memory."""
LONG_PASS = 0.05
"""Seconds from which a mapped pass that warms up is judged as it is; of the thread's own work, so that a busy machine decides nothing."""
LONG_POINT = 2e-3
"""Seconds of one point from which "auto" does not try to map: mapping saves the calls of a point, and they take less."""
CLEAR = 0.8
"""Share of the loop's time that a mapped pass may take: what it saves has to be worth its memory."""
_SAID: weakref.WeakSet[Any] = weakref.WeakSet()


class NotMappable(ValueError):
    """A loss that `torch.func.vmap` cannot map, and why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"torch.func.vmap cannot map this loss ({reason}); vectorize='loop' calls it point by point")
        self.reason = reason


def mapped(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """`torch.func.vmap` with kernels that it maps."""
    vectorized: Any = torch.func.vmap(function, **options)

    def call(*arguments: Any) -> Any:
        with math_kernels():
            return vectorized(*arguments)

    return call


def check_way(vectorize: str) -> None:
    """Raise ValueError for another word than the four."""
    if vectorize not in ("auto", "vmap", "batched", "loop"):
        raise ValueError(f"vectorize is {vectorize!r}; choose auto, vmap, batched or loop")


def settled(
    run: Run,
    first: Callable[..., tuple[Any, ...]],
    vectorize: str,
    loss: object,
    like: Point | None = None,
    *,
    count: Callable[..., int] | None = None,
) -> Callable[..., Any]:
    """`run` in the way that is asked for; "auto" maps until that fails once, and loops from then on, with a warning. It also loops where a pass
    has more than `LARGE` bytes and, with `count`, where one of its first two mapped passes is slower: no pass is evaluated for the trial alone.

    The first mapped pass is compared with the loop at its first point: a loss that keeps a state, or an operation that PyTorch maps
    wrongly, is found so.

    Args:
        run: one pass, in the way "vmap", "loop" or "batched".
        first: arguments of a pass -> those of its first point alone.
        vectorize: "auto", "vmap", "batched" or "loop".
        loss: whose passes they are; it is warned of once.
        like: a point of the loss, where the arguments are not in its dtypes.
        count: arguments of a pass -> its points. What depends on the clock is not the same to the last digit in two calls, so descents go without.

    Raises:
        ValueError: at once for another word than the four.
        NotMappable: when called as "vmap", where mapping fails or gives other values than the loss itself.
        Exception: any of the loss's own, as the loop meets it.
    """
    check_way(vectorize)
    way, checked = vectorize, False
    if vectorize == "auto":
        way = "loop" if getattr(loss, "unmapped", False) else "vmap"
    looped: float | None = None  # seconds of a point, as long as it is open which way is faster

    def call(*arguments: Any) -> Any:
        nonlocal way, checked, looped
        if way != "vmap":
            return run(way, *arguments)
        if vectorize == "auto" and sum(value.numel() * value.element_size() for value in _tensors(arguments)) > LARGE:
            return run("loop", *arguments)
        single, alone = 0.0, None
        if vectorize == "auto" and count is not None and not checked:
            alone = run("loop", *first(*arguments))
            single = _seconds(lambda: run("loop", *first(*arguments)))
            if single > LONG_POINT:
                way = "loop"
                return run("loop", *arguments)
        trouble: Exception | None = None
        began = time.thread_time()
        try:
            result = run("vmap", *arguments)
        except MemoryError:
            raise
        except Exception as error:
            trouble = error
        took = time.thread_time() - began
        if trouble is None and checked:
            if looped is not None and count is not None and took > CLEAR * looped * count(*arguments):
                way = "loop"
            looped = None
            return result
        if alone is None:
            alone = run("loop", *first(*arguments))  # raises what is the loss's own fault
        if trouble is None:
            reason = _differing(_tensors(result), _tensors(alone), _digits((arguments, like or {})))
            checked = True
            if not reason:
                if vectorize == "auto" and count is not None and took > (slower := CLEAR * single * count(*arguments)):
                    if took > LONG_PASS and took > 2 * slower:
                        way = "loop"  # too slow for its warming up to be the reason
                    looped = single
                return result
        else:
            reason = next(iter(str(trouble).strip().splitlines()), "") or type(trouble).__name__
        if vectorize == "vmap":
            raise NotMappable(reason) from trouble
        way = "loop"
        result = run("loop", *arguments)
        say_looped(loss, reason)
        return result

    return call


def _seconds(work: Callable[[], Any]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


def say_looped(loss: object, reason: str) -> None:
    """Warn, once for a loss, that it is called point by point."""
    owner = getattr(loss, "__self__", loss)  # a method is made anew each time that it is asked for
    try:
        if owner in _SAID:
            return
        _SAID.add(owner)
    except TypeError:  # neither hashed nor referred to weakly: said each time
        pass
    text = f"torch.func.vmap cannot map this loss ({reason}), so it is called point by point; vectorize='loop' does so without a trial"
    warnings.warn(text, stacklevel=3)


def _tensors(result: Any) -> list[Tensor]:
    """The tensors of nested dicts and tuples, in their order."""
    if isinstance(result, Tensor):
        return [result]
    parts = result.values() if isinstance(result, Mapping) else result
    return [tensor for part in parts for tensor in _tensors(part)]


def _digits(arguments: Any) -> float:
    """The coarsest spacing at 1 of the floating dtypes of the arguments."""
    return max(
        (torch.finfo(value.dtype).eps for value in _tensors(arguments) if value.is_floating_point() or value.is_complex()), default=0.0
    )


def _differing(many: list[Tensor], alone: list[Tensor], eps: float) -> str:
    """How the first point differs from what the loop found; empty where they agree to rounding."""
    for values, value in zip(many, alone, strict=True):
        own = values.detach()[tuple(slice(0, size) for size in value.shape)].double()
        largest = float(torch.nan_to_num(values.detach().double().abs(), 0.0, 0.0).max()) if values.numel() else 0.0
        limit = max(eps**0.5, 1e-5) * largest + 16 * eps
        if own.shape != value.shape or not torch.allclose(own, value.detach().double(), rtol=0.0, atol=limit, equal_nan=True):
            return f"it gives {_shown(own)} where the loss itself gives {_shown(value)}"
    return ""


def _shown(value: Tensor) -> str:
    if value.numel() == 1:
        return f"{float(value):.6g}"
    return f"shape {tuple(value.shape)} and length {float(value.detach().double().norm()):.6g}"
