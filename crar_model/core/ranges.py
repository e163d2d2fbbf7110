"""What values a setting takes, and the one line that says so in the words of its user: a flag, or a key of a file."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from numbers import Integral, Real
from typing import Any

from crar_model.core.errors import UserError

FLAGS = {"depth": "planning_depth"}
"""Settings whose flag has another name."""
MOST_WHOLE, MOST = 2**53, 1e12
"""Largest numbers where nothing else is said: whole ones that every file keeps exactly, and those that float32 multiplies without overflow."""
FLAG = re.compile(r"(?<![\w-])--([a-z][a-z-]*[a-z])")
Spelling = Callable[[str], str]
"""A setting's name -> how its user wrote it."""


def option(
    default: Any,
    text: str,
    *,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    least: float = 0.0,
    choices: Sequence[str] = (),
    group: str = "",
) -> Any:
    """A dataclass field with a line of help, which the command line shows, and what values it takes.

    Args:
        default: its value when nothing is said; its type is the field's.
        text: the line of help.
        low, above, high: smallest value, value that it must exceed, largest value.
        least: smallest value but 0, which has a meaning of its own.
        choices: the words that it may be.
        group: the heading of the help that it stands under; empty takes the one of its dataclass.
    """
    about = {"help": text, "low": low, "above": above, "high": high, "least": least, "choices": tuple(choices), "group": group}
    return field(default=default, metadata=about)


def as_flag(name: str) -> str:
    """A setting as the command line spells it."""
    return "--" + as_key(name).replace("_", "-")


def as_key(name: str) -> str:
    """A setting as a file of settings and a keyword argument spell it."""
    return FLAGS.get(name, name)


def in_keys(text: str, others: Mapping[str, str] | None = None) -> str:
    """A message on flags as one on the keys of a file: "--batch-size is 0" becomes "batch_size is 0".

    Args:
        text: the message.
        others: keys that have another name in this file.
    """

    def key(found: re.Match[str]) -> str:
        name = found[1].replace("-", "_")
        return (others or {}).get(name, name)

    return FLAG.sub(key, text)


def as_flags_but(**others: str) -> Spelling:
    """As :func:`as_flag`, but for settings that have come by another flag."""
    return lambda name: others.get(name) or as_flag(name)


def check_ranges(settings: Any, spell: Spelling = as_flag) -> None:
    """Hold every field of a settings dataclass against its :func:`option`.

    Args:
        settings: the dataclass.
        spell: how its user wrote a setting.

    Raises:
        UserError: for the first value out of range.
    """
    for item in dataclasses.fields(settings):
        value, about = getattr(settings, item.name), item.metadata
        if not about:
            continue
        if about["choices"] and value not in about["choices"]:
            raise UserError(f"{spell(item.name)} is {value!r}; choose one of {', '.join(about['choices'])}")
        if isinstance(item.default, bool) or not isinstance(item.default, (int, float)):
            continue
        whole = isinstance(item.default, int)
        fits = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
        if fits and 0 < value < about["least"]:
            raise UserError(f"{spell(item.name)} is {value!r}; give 0, or a number of at least {about['least']:g}")
        if not fits or not within(value, about["low"], about["above"], about["high"], MOST_WHOLE if whole else MOST):
            raise UserError(
                f"{spell(item.name)} is {value!r}; give {wanted(about['low'], about['above'], about['high'], value, whole=whole)}"
            )


def within(value: Any, low: float | None, above: float | None, high: float | None, most: float) -> bool:
    """Whether a number is finite and in its range."""
    return (
        math.isfinite(value) and abs(value) <= most and (low is None or value >= low) and (above is None or value > above)
        and (high is None or value <= high)
    )  # fmt: skip


def wanted(low: float | None, above: float | None, high: float | None, value: Any, *, whole: bool) -> str:
    """What a setting takes, in words; where only the largest number of all is passed, that one."""
    kind = "a whole number" if whole else "a number"
    if high is not None:
        return f"a share from {low} to {high}" if (low, high) == (0, 1) else f"{kind} {_start(low, above)}, at most {high:g}"
    if isinstance(value, (int, float)) and math.isfinite(value) and value > (MOST_WHOLE if whole else MOST):
        return f"{kind} of at most {MOST_WHOLE:,}" if whole else f"{kind} of at most {MOST:g}"
    return f"{kind} above {above}" if above is not None else f"{kind if whole else 'a finite number'} of at least {low}"


def _start(low: float | None, above: float | None) -> str:
    return f"of at least {low:g}" if low is not None else f"above {above:g}"
