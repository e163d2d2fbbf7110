"""What takes time to make, kept in a file under a key of all it depends on: made once, and made again where the key is another.

`.json` files hold plain data; `.pt` files hold tensors as well, in the form that unfinished cures have always had. Both have a digest.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from crar_model.core.errors import UserError
from crar_model.core.files import OTHER, Plain, StrPath, as_read, json_text, read_json, typed, write_json
from crar_model.core.tensor_files import load_plain, save_plain

T = TypeVar("T")
PIECE = "crar-cure-piece"
"""Form of the `.pt` files."""
EDITED = "damaged or edited"
AGAIN = "remove it, and it is made again"
"""What to do about a file that is damaged or was edited."""


def kept(path: StrPath | None, key: Any, make: Callable[[], Any], kind: type[T], *, piece: str = "", page: bool = False) -> T:
    """What a file holds under a key; else it is made and written there.

    Args:
        path: the file; None keeps nothing.
        key: all that it depends on, as plain data.
        make: makes it.
        kind: its type, as :func:`crar_model.core.files.read_json` takes it.
        piece: its name, where the file holds several that are made one after the other.
        page: the file is the `results.json` of a page, which `make` writes with the key in it.

    Returns:
        what was made, as it is read from the file.

    Raises:
        UserError: for a file that is damaged, or was edited.
    """
    if path is None:
        return typed(as_read(make()), kind, EDITED, AGAIN)
    if piece:
        whole: Plain = look(path, key, dict) or {}
        if piece not in whole:
            whole = keep(path, key, whole | {piece: make()})
        return typed(whole[piece], kind, f"{path}: {EDITED}", AGAIN)
    found = look(path, key, kind, page=page)
    if found is not None:
        return found
    made = as_read(make()) if page else keep(path, key, make())
    return typed(made, kind, f"{path}: {EDITED}", AGAIN)


def look(path: StrPath, key: Any, kind: type[T], *, page: bool = False) -> T | None:
    """What a file holds under a key, None where it has nothing; arguments and errors as :func:`kept`."""
    path = Path(path)
    if not os.path.lexists(path):
        return None
    if page:
        whole = read_json(path, dict, AGAIN)
        result = typed(whole, kind, f"{path}: {OTHER}", AGAIN)
        # report.md is written last: without it a kill came before the end
        return result if whole.get("key") == as_read(key) and path.with_name("report.md").exists() else None
    file = read_json(path, File, AGAIN)
    if file.key != as_read(key):
        return None
    if file.digest not in ("", _digest(file.figures)):  # those from before there were digests are taken as they are
        raise UserError(f"{path}: {EDITED}: its digest is not that of its figures; {AGAIN}")
    return typed(file.figures, kind, f"{path}: {EDITED}", AGAIN)


@dataclass(frozen=True)
class File:
    """What a `.json` file holds."""

    key: Any
    figures: Plain
    digest: str = ""


def keep(path: StrPath, key: Any, figures: Any) -> Any:
    """Write figures to a file under a key; returns them as plain data, as they are read from it."""
    figures = as_read(figures)
    write_json(path, File(key, figures, _digest(figures)))
    return figures


def _digest(figures: Plain) -> str:
    return hashlib.sha256(json_text(figures, indent=None).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Pieces:
    """Unfinished work of tensors: a `.pt` file a piece, all under one key. Without a folder nothing is kept.

    Attributes:
        folder: where they lie.
        key: of the problem and the settings.
    """

    folder: Path | None = None
    key: str = ""

    def look(self, name: str) -> Plain | None:
        """A piece, or None where there is none of this work; raises :class:`UserError` for a damaged file, or one of another kind."""
        if self.folder is None or not os.path.lexists(path := self.folder / f"{name}.pt"):
            return None
        found = load_plain(path)
        if not isinstance(found, dict) or not isinstance(found.get("piece"), dict) or not isinstance(found.get("fingerprint"), str):
            raise UserError(f"{path}: not unfinished work of a cure; {AGAIN}")
        return found["piece"] if found["fingerprint"] == self.key else None

    def keep(self, name: str, piece: Plain) -> None:
        """Keep a piece."""
        if self.folder is not None:
            save_plain(self.folder / f"{name}.pt", PIECE, {"fingerprint": self.key, "piece": piece})
