"""Settings as keyword arguments of a function: named as the flags of the command, with _ for -."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, ParamSpec, TypeVar, cast

from crar_model.core.errors import UserError
from crar_model.core.ranges import as_key
from crar_model.core.settings import LossSettings, typed

P = ParamSpec("P")
R = TypeVar("R")


def keywords(*kinds: type, skip: Sequence[str] = (), only: Sequence[str] = ()) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Give a function that takes `**settings` one keyword for every field of settings dataclasses, which its signature then shows.

    The function receives the fields that were given, under their own names; those of the loss as `loss`, as in a file of settings.

    Args:
        kinds: the dataclasses.
        skip: fields that are no keywords of this function.
        only: where not empty, the fields that are.
    """
    fields = {
        as_key(item.name): (item, kind)
        for kind in kinds
        for item in dataclasses.fields(kind)
        if item.metadata and item.name not in skip and (not only or item.name in only)
    }

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        own = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
        names = {each.name for each in own}
        more = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=f"{type(item.default).__name__} | None")
            for name, (item, _) in fields.items()
        ]

        @functools.wraps(function)
        def wrapper(*args: P.args, **values: P.kwargs) -> R:
            given = {name: value for name, value in values.items() if name not in names and value is not None}
            kept = {name: value for name, value in values.items() if name in names}
            return cast(R, cast(Any, function)(*args, **kept, **_nested(given, fields, [*names, *fields], function.__name__)))

        cast(Any, wrapper).__signature__ = signature.replace(parameters=[*own, *more])
        return wrapper

    return decorate


def _nested(given: Mapping[str, Any], fields: Mapping[str, tuple[Any, type]], known: Sequence[str], where: str) -> dict[str, Any]:
    """Checked settings, those of the loss in a table of their own."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name not in fields:
            near = get_close_matches(name, known, n=1)
            raise UserError(
                f"{where}: unknown setting {name!r}; {f'did you mean {near[0]}?' if near else f'help({where}) lists what there is'}"
            )
        item, kind = fields[name]
        plain = value.item() if getattr(value, "shape", None) == () else value  # a number of NumPy's
        plain = os.fspath(plain) if isinstance(plain, os.PathLike) and isinstance(item.default, str) else plain
        checked = typed(kind, {item.name: plain}, where)
        (found.setdefault("loss", {}) if kind is LossSettings else found).update(checked)
    return found
