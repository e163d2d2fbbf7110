"""Files that are written whole or not at all, and JSON that any reader takes."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from os import PathLike
from pathlib import Path
from types import UnionType
from typing import Any, BinaryIO, TypeVar, get_args, get_origin, get_type_hints

import msgspec
import numpy as np

from crar_model.core.errors import UserError

T = TypeVar("T")
StrPath = str | PathLike[str]
"""What a function that takes a path takes."""
Plain = dict[str, Any]
"""Plain data by name, as JSON holds them."""
OTHER = "damaged, or of another version"
"""What is said of a file that holds something else."""
INFINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}
"""How JSON holds what it has no number for; what is not a number is null. A reader gets the numbers again, and None."""
LOCK = ".lock"
"""File that a command holds in the folder that it writes; it is gone again when the command has ended."""


def is_empty(folder: StrPath) -> bool:
    """Whether a folder is not there, or holds nothing but the lock of a command."""
    return not Path(folder).is_dir() or all(path.name == LOCK for path in Path(folder).iterdir())


@contextmanager
def writing(path: StrPath) -> Iterator[None]:
    """Turn what the system says of a file that cannot be written, such as that the disk is full, into :class:`UserError`."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path}: cannot write ({error.strerror or error}); free some space or choose another folder") from error


def write_atomically(path: StrPath, write: Callable[[BinaryIO], object]) -> None:
    """Write a file so that a reader, or a kill at any moment, finds the old content or the new, never a part.

    Args:
        path: the file; its folder is made if missing.
        write: given a stream in memory, since writers turn a full disk into errors of their own (`torch.save`: RuntimeError).

    Raises:
        UserError: when the disk is full or the folder cannot be written; the old file survives.
    """
    path, temporary, content = Path(path), "", io.BytesIO()
    try:
        with writing(path):
            write(content)
            if path.exists() and not path.is_file() and not path.is_dir():  # a device or a pipe, which is written to and not replaced
                path.write_bytes(content.getbuffer())
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            with os.fdopen(handle, "wb") as stream:
                stream.write(content.getbuffer())
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
    finally:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)


def write_bytes(path: StrPath, content: bytes) -> None:
    """Write bytes atomically; see :func:`write_atomically`."""
    write_atomically(path, lambda stream: stream.write(content))


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


def json_text(content: Any, *, indent: int | None = 1) -> str:
    """Plain data and records as strict JSON: NaN is null, an infinity a text (`INFINITE`). Without `indent` as short as can be.

    A record with a method `plain` is written as that says.
    """
    told = content.plain() if hasattr(content, "plain") else content
    plain = _strict(msgspec.to_builtins(told, enc_hook=np.generic.item))
    return json.dumps(plain, indent=indent, separators=(",", ":") if indent is None else None, allow_nan=False)


def write_json(path: StrPath, content: Any, *, indent: int | None = 1) -> None:
    """Write plain data and records atomically as :func:`json_text`."""
    write_text(path, json_text(content, indent=indent) + "\n")


def as_read(content: Any) -> Any:
    """Plain data and records as plain data, as they are read from the file that :func:`write_json` writes: lists for tuples, None for NaN."""
    return parse_json(json_text(content, indent=None))


def parse_json(text: str | bytes) -> Any:
    """The plain data of JSON, of files from before it was strict, too: NaN is None, and an infinity in either form the number.

    Raises:
        ValueError: for anything else.
    """
    try:
        return _numbers(json.loads(text, parse_constant=lambda name: None if name == "NaN" else float(name)))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _strict(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(each) for each in value]
    return value if not isinstance(value, float) or math.isfinite(value) else INFINITE.get(value)


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _numbers(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_numbers(each) for each in value]
    return float(value) if value in ("Infinity", "-Infinity") else value


def read_json(path: StrPath, kind: type[T], hint: str) -> T:
    """What a JSON file that has to be there holds, as a type.

    Args:
        path: the file.
        kind: a type as msgspec takes it, such as a dataclass; what a file has beside its fields is left out.
        hint: what to do where it holds something else, for the error.

    Raises:
        UserError: when it cannot be read, is not JSON, or holds something else.
    """
    try:
        found = parse_json(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"{path}: cannot read ({error.strerror or error}); {hint}") from error
    except ValueError as error:
        raise UserError(f"{path}: damaged, not JSON ({error}); {hint}") from error
    return typed(found, kind, f"{path}: {OTHER}", hint)


def find_json(path: StrPath, kind: type[T], hint: str) -> T | None:
    """The same of a file that need not be there: None where there is none."""
    return read_json(path, kind, hint) if os.path.lexists(path) else None


def typed(plain: Any, kind: type[T], what: str, hint: str) -> T:
    """Plain data as a type; a null where a number has to be is NaN.

    Raises:
        UserError: for other data: `what`, the field and what is wrong with it, and the hint.
    """
    try:
        return msgspec.convert(_with_nan(plain, kind), kind)
    except (msgspec.ValidationError, OverflowError, RecursionError) as error:
        raise UserError(f"{what}: {str(error).replace('$.', '')}; {hint}") from error


_hints = cache(get_type_hints)


def _with_nan(plain: Any, kind: Any) -> Any:
    inside = get_args(kind)
    if plain is None:
        return math.nan if kind is float else None
    if kind in (None, Any, dict):
        return plain
    if isinstance(kind, UnionType):
        return _with_nan(plain, inside[0])
    if isinstance(plain, dict):
        hints = _hints(kind) if hasattr(kind, "__annotations__") else {}
        every = inside[1] if get_origin(kind) is dict else None
        return {name: _with_nan(value, hints.get(name, every)) for name, value in plain.items()}
    if isinstance(plain, list) and inside:
        kinds = inside if len(inside) == len(plain) and inside[-1] is not ... else inside[:1] * len(plain)
        return [_with_nan(value, each) for value, each in zip(plain, kinds, strict=True)]
    if kind is int and type(plain) is int and abs(plain) >= 2**63:
        raise OverflowError(f"{plain} is no number that is kept here")
    return plain


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
