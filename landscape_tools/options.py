"""What callers may choose, with its defaults, and how many threads a loss allows."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

Options = TypeVar("Options", bound=Mapping[str, Any])
Function = TypeVar("Function", bound=Callable[..., Any])


def filled(defaults: Options, given: Mapping[str, Any]) -> Options:
    """Options with the defaults of those that are not given.

    Raises:
        TypeError: for an option that there is not.
    """
    for name in given:
        if name not in defaults:
            raise TypeError(f"there is no option {name!r}; there are {', '.join(defaults)}")
    return cast(Options, {**defaults, **given})


def thread_safe(loss: Function) -> Function:
    """Declare that a loss may be called by several threads at once: it changes nothing that it shares, no module's weights either."""

    @functools.wraps(loss)
    def declared(*arguments: Any, **options: Any) -> Any:
        return loss(*arguments, **options)

    vars(declared)["thread_safe"] = True
    return cast(Function, declared)


def allowed_threads(loss: object, threads: int) -> int:
    """`threads` for losses that are known to be safe, else 1 with a warning: `functional_call` and its like swap the weights of a
    module that all threads share, and the values come out wrong without a word."""
    if threads <= 1 or getattr(loss, "thread_safe", False):
        return max(1, threads)
    warnings.warn(
        f"threads={threads} is not used: this loss may share a module between threads. Pass a module by module_loss, or declare a loss "
        "that changes nothing it shares by thread_safe",
        stacklevel=3,
    )
    return 1
