"""Paths that no command can use: refused with the flag that has them, before anything is read or written."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from crar_model.core.errors import UserError

OF_FILES = ("walls", "data")
"""Flags of text that name files."""
ROOM = 80
"""Letters that the longest name of a file inside a folder takes."""


def check_paths(params: Iterable[Any], values: Mapping[str, Any], where: str = "") -> None:
    """Refuse paths that the system cannot hold, and text that no file can: results name the paths that they came from, in UTF-8.

    Args:
        params: flags and arguments of a command.
        values: what was given, by the name of the parameter.
        where: put before the line.

    Raises:
        UserError: in one line with the flag.
    """
    for param in params:
        given = values.get(param.name)
        for value in given if isinstance(given, (list, tuple)) else [given]:
            if isinstance(value, (str, Path)):
                name = param.opts[0] if param.param_type_name == "option" else param.metavar
                _check(f"{where}{name}", os.fspath(value), is_path=of_path(param))


def of_path(param: Any) -> bool:
    """Whether a flag or an argument takes paths."""
    kind = param.type_descriptor.annotation
    return (get_args(kind) or (kind,))[0] is Path or param.name in OF_FILES


def _check(name: str, value: str, *, is_path: bool) -> None:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        shown = os.fsencode(value).decode("utf-8", errors="backslashreplace")
        raise UserError(f"{name} is {shown}, which is no UTF-8; reports and results could not name it: give another") from error
    if not is_path or not value:
        return
    path = Path(value)
    probes = [path, path / ("x" * ROOM)] + ([path.with_name(f".{path.name}.xxxxxxxx")] if path.name else [])
    for probe in probes:
        try:
            os.lstat(probe)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError) as error:
            if probe is not path and getattr(error, "errno", None) != errno.ENAMETOOLONG:
                continue  # the path itself is there
            short = value if len(value) <= 60 else f"{value[:59]}…"
            raise UserError(f"{name}: {short!r} cannot be used ({getattr(error, 'strerror', None) or error}); give another") from error
