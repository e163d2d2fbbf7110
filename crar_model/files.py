"""Files that are written whole or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Collection
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

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
        if path.exists() and not path.is_file() and not path.is_dir():  # a device or a pipe, which is written to and not replaced
            with path.open("wb") as stream:
                write(stream)
            return
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


def read_text(path: StrPath, *, what: str = "", give: str = "give a text file, UTF-8") -> str:
    """The text of a UTF-8 file, without the byte order mark that Windows puts before it, and with plain line ends.

    Args:
        path: the file.
        what: how the error begins, before the path.
        give: how it ends.

    Raises:
        UserError: when the file cannot be read or is no UTF-8.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{what}cannot read {path} ({error.strerror or error}); {give}") from error
    except ValueError as error:  # other bytes, or a path that cannot be
        raise UserError(f"{what}{path} is no UTF-8 text ({error}); {give}") from error


def read_json(path: StrPath, keys: Collection[str] = ()) -> dict[str, Any] | None:
    """The object of a JSON file that can be made again; None where there is none, it is damaged, or it lacks one of the keys."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and all(key in found for key in keys) else None


def read_arrays(path: StrPath, *, limit: int) -> dict[str, np.ndarray[Any, Any]]:
    """All arrays of an `.npz` file; objects, which are pickled there and could run code, are not loaded.

    Args:
        path: the file.
        limit: bytes that the arrays may take together.

    Raises:
        UserError: when the file cannot be read, is damaged or no `.npz` file, has a name twice, holds objects, or is larger.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot read ({error.strerror or error})") from error
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            sizes = [entry.file_size for entry in archive.infolist()]
            names = archive.namelist()
        if len(set(names)) < len(names):
            raise UserError(f"{path}: has the name {max(names, key=names.count)!r} twice; save every array under a name of its own")
        if sum(sizes) > limit:
            raise UserError(f"{path}: its arrays take {sum(sizes) / 2**20:.0f} MB, more than such a file has; give another")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: np.asarray(arrays[name]) for name in arrays.files}
    except UserError:
        raise
    except Exception as error:  # damaged bytes can end in any error of the readers'
        if "allow_pickle" in str(error):
            raise UserError(
                f"{path}: holds objects, which are not loaded because they could run code; save plain arrays of numbers"
            ) from error
        raise UserError(f"{path}: damaged or not an .npz file; write it again with numpy.savez") from error


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
