"""Figures that take time, kept in a file: made once, made again where what they depend on is another."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath, as_read, find_json, json_text, misfit, write_json

Plain = dict[str, Any]
AGAIN = "remove it, and it is made again"
"""What to do about a file that is damaged or was edited."""


def kept(path: StrPath, key: Plain, make: Callable[[], Plain], shape: Any = dict) -> Plain:
    """The figures of a file, where it has them under this key; else they are made and written there.

    Args:
        path: the file.
        key: all that the figures depend on.
        make: makes them.
        shape: of the figures, as :func:`crar_model.core.files.read_json` takes it.

    Returns:
        the figures as they are read from the file.

    Raises:
        UserError: for a file that is damaged, or was edited.
    """
    found = look(path, key, shape)
    return keep(path, key, make()) if found is None else found


def look(path: StrPath, key: Plain, shape: Any = dict) -> Plain | None:
    """The figures of a file, None where it has none under this key; errors as :func:`kept`."""
    found = find_json(path, {"key": dict, "figures": dict}, AGAIN)
    if found is None or found["key"] != as_read(key):
        return None
    figures: Plain = found["figures"]
    if found.get("digest", _digest(figures)) != _digest(figures):  # those from before there were digests are taken as they are
        raise UserError(f"{path}: damaged or edited: its digest is not that of its figures; {AGAIN}")
    if wrong := misfit(figures, shape):
        raise UserError(f"{path}: damaged or edited: {wrong}; {AGAIN}")
    return figures


def keep(path: StrPath, key: Plain, figures: Plain) -> Plain:
    """Write figures to a file under a key; returns them as they are read from it."""
    figures = as_read(figures)
    write_json(path, {"key": key, "figures": figures, "digest": _digest(figures)})
    return figures


def _digest(figures: Plain) -> str:
    return hashlib.sha256(json_text(figures, indent=None).encode()).hexdigest()[:16]
