"""`.pt` files of plain tensors and plain data, with a digest of all of it that is checked when they are read.

PyTorch reads its own archives without looking at their check sums, so a flipped bit of a weight would load as another weight.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from torch import Tensor

from crar_model.core.errors import UnverifiedFileWarning, UserError
from crar_model.core.files import StrPath, write_atomically

VERSION = 2
"""Of all such files; those of version 1 have no digest, nor a version where they are no checkpoints."""
_FOREIGN = "GLOBAL"
"""Word of PyTorch's own error where a file names objects that it does not load."""


def content_digest(content: Any) -> str:
    """SHA-256, in hex, over plain data and the names, types, shapes and values of its tensors.

    Args:
        content: dictionaries, lists, tuples, texts, numbers, None, and tensors of any device.

    Raises:
        TypeError: for anything else.
    """
    hasher = hashlib.sha256()
    _feed(hasher, content)
    return hasher.hexdigest()


def _feed(hasher: Any, value: Any) -> None:
    """Every value goes in with its type and its length, so that no two contents feed the same bytes."""
    if isinstance(value, Tensor):
        plain = value.detach().cpu().contiguous()
        _feed_text(hasher, "tensor", f"{plain.dtype} {tuple(plain.shape)} {value.requires_grad}")
        hasher.update(plain.reshape(-1).view(torch.uint8).numpy())
    elif type(value) is dict:
        _feed_text(hasher, "dict", str(len(value)))
        for name in sorted(value):
            _feed(hasher, name)
            _feed(hasher, value[name])
    elif type(value) in (list, tuple):
        _feed_text(hasher, type(value).__name__, str(len(value)))
        for each in value:
            _feed(hasher, each)
    elif type(value) is float:
        _feed_text(hasher, "float", struct.pack("<d", value).hex())  # the bits: tells -0.0 from 0.0 and knows NaN
    elif value is None or type(value) in (str, int, bool):
        _feed_text(hasher, type(value).__name__, str(value))
    else:
        raise TypeError(f"{type(value).__name__} is no plain data")


def _feed_text(hasher: Any, kind: str, text: str) -> None:
    encoded = text.encode("utf-8", "surrogatepass")
    hasher.update(f"{kind} {len(encoded)} ".encode())
    hasher.update(encoded)


def save_plain(path: StrPath, form: str, content: dict[str, Any]) -> None:
    """Write a file atomically, with its form, its version and its digest.

    Args:
        path: the file.
        form: what it is, such as "crar-checkpoint"; stored as `format`.
        content: plain data and tensors by name; a digest among them is replaced.

    Raises:
        UserError: as :func:`crar_model.core.files.write_atomically`.
    """
    whole = {"format": form, "version": VERSION, **{name: value for name, value in content.items() if name != "digest"}}
    signed = whole | {"digest": content_digest(whole)}
    write_atomically(path, lambda stream: torch.save(signed, stream))


def load_plain(path: StrPath) -> Any:
    """Read a `.pt` file of plain tensors and plain data; a pickle that would run code does not run.

    A digest is checked; what a file without one is, the caller finds out, and tells the user by :func:`warn_unverified`.

    Raises:
        UserError: when the file is missing, truncated, not a PyTorch file, holds anything but plain data, or is not what was written.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path}: is a folder; name a checkpoint file inside it, such as {path / 'member-0.pt'}")
    try:
        read = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot read the checkpoint ({error.strerror or error})") from error
    if not is_zipfile(io.BytesIO(read)):
        hint = "truncated" if read[:2] == b"PK" else "not a PyTorch checkpoint"
        raise UserError(f"{path}: {hint}; give a .pt file that `crar train` or `crar transfer` wrote")
    damaged = f"{path}: damaged or not a PyTorch checkpoint; give a .pt file that `crar` wrote"
    try:
        content = torch.load(io.BytesIO(read), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if _FOREIGN not in str(error):
            raise UserError(damaged) from error
        raise UserError(f"{path}: holds objects other than plain tensors, which are not loaded because they could run code") from error
    except Exception as error:  # damaged bytes can end in any error of the unpickler's
        raise UserError(damaged) from error
    return _verified(path, content)


def _verified(path: Path, content: Any) -> Any:
    """The content, where its digest is right or it need not have one."""
    if not isinstance(content, dict):
        return content  # nothing of ours
    if "digest" not in content:
        version, form = content.get("version"), str(content.get("format", "crar"))
        if type(version) is int and version >= VERSION and form.startswith("crar"):
            raise UserError(f"{path}: damaged, its digest is missing; use another copy of it, or write it again")
        return content
    try:
        found = content_digest({name: value for name, value in content.items() if name != "digest"})
    except Exception as error:  # such as names that cannot be put in order, or objects that are no plain data
        raise UserError(f"{path}: damaged, it holds what `crar` never writes; use another copy of it, or write it again") from error
    if found != content["digest"]:
        raise UserError(
            f"{path}: damaged or edited, its digest is not that of its content; use another copy of it, or write it again with this program"
        )
    return content


def in_float32(tensors: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """Tensors as float32, where every value of theirs is a number there.

    Raises:
        UserError: for values that are not finite, or too large for float32, and for tensors of anything but floating-point numbers.
    """
    found = {}
    for name, value in tensors.items():
        if value.layout != torch.strided or not value.is_floating_point():
            raise UserError(f"{where}: parameter {name} holds {value.dtype} values, no plain floating-point numbers; use another file")
        single = value.detach().to(torch.float32)
        if not bool(torch.isfinite(single).all()):
            what = "are too large for float32" if bool(torch.isfinite(value).all()) else "are not finite"
            raise UserError(f"{where}: parameter {name} holds values that {what}; use another file")
        found[name] = single
    return found


def warn_unverified(path: StrPath, content: dict[str, Any]) -> None:
    """Warn where a file of ours, once it is known to be one, comes from a version that wrote no digests."""
    if "digest" not in content:
        warnings.warn(
            f"{path}: has no digest, so damage to it would not be noticed (it was written before crar had them); saved anew, it has one",
            UnverifiedFileWarning,
            stacklevel=3,
        )
