"""Figures of a cell that take time, kept in its folder: made once, made again where the model is another."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crar_model.files import StrPath, read_json, write_text

Plain = dict[str, Any]


def kept(path: StrPath, key: Plain, make: Callable[[], Plain]) -> Plain:
    """The figures of a file, where it has them under this key; else they are made and written there.

    Args:
        path: the file.
        key: all that the figures depend on.
        make: makes them.
    """
    path = Path(path)
    found = read_json(path)
    if found is not None and found.get("key") == key and isinstance(found.get("figures"), dict):
        return dict(found["figures"])
    figures: Plain = json.loads(json.dumps(make()))  # as they are read the next time
    write_text(path, json.dumps({"key": key, "figures": figures}, indent=1) + "\n")
    return figures
