"""Plain data as typed dataclasses: read once, where a rule or a page takes them, so that nothing beyond takes a figure by a string.

A figure that could not be measured is None, whatever its type says, and one that the data lack is missing: either stops only who takes it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")
Plain = Mapping[str, Any]
"""A table of `results.json`, or the same as measured."""


class NotMeasured(Exception):
    """A rule or a measure needs what was not measured."""


def need(figure: T | None) -> T:
    """What has to have been measured.

    Raises:
        NotMeasured: where it was not.
    """
    if figure is None:
        raise NotMeasured
    return figure


def read(kind: type[T], plain: Plain) -> T:
    """Plain data as a dataclass of this module; what it does not name is left out.

    Raises:
        TypeError: where a table is something else. A figure that is missing is an AttributeError for whom takes it.
    """
    found: T = _as(kind, plain)
    return found


_hints = cache(get_type_hints)


def _as(kind: Any, plain: Any) -> Any:
    """Plain data as a type says; None for what is no number, of which a file has null."""
    if plain is None or (isinstance(plain, float) and math.isnan(plain)):
        return None
    if isinstance(kind, type) and is_dataclass(kind):
        if isinstance(plain, kind):
            return plain
        found = object.__new__(kind)  # without a call, which would ask for all that a rule may never take
        for name, hint in _hints(kind).items():
            if name in plain:
                object.__setattr__(found, name, _as(hint, plain[name]))
        return found
    inside = get_args(kind)
    if get_origin(kind) is UnionType:
        return _as(next(one for one in inside if one is not NoneType), plain)
    if get_origin(kind) is dict:
        return {name: _as(inside[1], value) for name, value in plain.items()}
    return [_as(inside[0], value) for value in plain] if inside else plain
