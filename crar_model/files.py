"""Files that are written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import BinaryIO

from crar_model.errors import UserError

StrPath = str | PathLike[str]
"""What a function that takes a path takes."""


def write_atomically(path: StrPath, write: Callable[[BinaryIO], None]) -> None:
    """Write a file so that a reader, or a kill at any moment, finds the old content or the new, never a part.

    Raises:
        UserError: when the disk is full or the folder cannot be written; the old file survives.
    """
    path, temporary = Path(path), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{path}: cannot write ({error.strerror or error}); free some space or choose another folder") from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def write_bytes(path: StrPath, content: bytes) -> None:
    """Write bytes atomically; see :func:`write_atomically`."""
    write_atomically(path, lambda stream: void(stream.write(content)))


def write_text(path: StrPath, text: str) -> None:
    """Write a text file atomically, UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def file_digest(path: StrPath) -> str:
    """SHA-256 of a file's content, in hex.

    Raises:
        UserError: when the file cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot read ({error.strerror or error})") from error


def void(_: object) -> None:
    """Drop a value where a callback must return nothing."""
