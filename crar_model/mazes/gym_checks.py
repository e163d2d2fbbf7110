"""What the environments refuse, in one line each: senseless actions, options, seeds and limits."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
MASK = "reset_mask"
"""The one option of a vector environment's reset: the copies that begin anew."""


def chosen(action: Any, count: int) -> int:
    """An action of an environment as a number: an integer of any kind, no text and no fraction.

    Raises:
        ValueError: for anything but an integer from 0 to `count` - 1.
    """
    try:
        number = operator.index(action)
    except TypeError:
        number = -1
    if not 0 <= number < count:
        raise ValueError(f"action is {short(action)}; give an integer from 0 to {count - 1}")
    return number


def chosen_each(actions: Any, copies: int, count: int) -> Array:
    """(copies,) int64, the actions of a vector environment.

    Raises:
        ValueError: for anything but one integer from 0 to `count` - 1 a copy.
    """
    found = np.asarray(actions)
    if found.shape != (copies,) or not np.issubdtype(found.dtype, np.integer) or not ((found >= 0) & (found < count)).all():
        raise ValueError(f"actions must be {copies} integers from 0 to {count - 1}")
    return found.astype(np.int64)


def check_options(options: Mapping[str, Any] | None, known: Sequence[str] = ()) -> None:
    """Refuse options of a reset that would change nothing.

    Raises:
        ValueError: for a name that is not known.
    """
    if odd := [name for name in options or {} if name not in known]:
        raise ValueError(f"options has {short(odd[0])}; this environment knows {', '.join(map(repr, known)) or 'none'}: leave it out")


def restarted(options: Mapping[str, Any] | None, copies: int) -> Array:
    """(copies,) bool, the copies that a reset with these options begins anew: all, or those of `reset_mask`.

    Raises:
        ValueError: for another option, or a mask that is not one True or False a copy with at least one True.
    """
    check_options(options, (MASK,))
    if not options:
        return np.ones(copies, dtype=np.bool_)
    mask = np.asarray(options[MASK])
    if mask.dtype != np.bool_ or mask.shape != (copies,) or not mask.any():
        raise ValueError(f"{MASK} is {short(options[MASK])}; give {copies} times True or False, at least one of them True")
    return mask


def own_seeds(seed: Any, copies: int) -> list[Any] | None:
    """A seed for every copy, or None where all share one, or none is given.

    Raises:
        ValueError: for a list of another length.
    """
    if not isinstance(seed, (list, tuple, np.ndarray)):
        return None
    found = seed.tolist() if isinstance(seed, np.ndarray) else list(seed)
    if not isinstance(found, list) or len(found) != copies:
        raise ValueError(f"seed is {short(seed)}; give one number, or a list of {copies}, one a copy")
    return found


def positive(name: str, value: Any, *, least: int = 1) -> int:
    """A count that an environment is made with.

    Raises:
        ValueError: for anything but an integer of at least `least`.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} is {short(value)}; give an integer of at least {least}")
    return int(value)


def short(value: Any) -> str:
    """A value in one line of at most 60 letters."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:59]}\u2026"
