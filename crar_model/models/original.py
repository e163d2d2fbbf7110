"""Networks of the original code: arrays as its `getAllParams` lists them, saved in an `.npz`, made into a checkpoint.

Section 10 of docs/original.md says how such a file is written and in which order the arrays stand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath, file_digest, read_arrays
from crar_model.core.params import Params
from crar_model.core.version import __version__
from crar_model.models.checkpoints import Checkpoint
from crar_model.tasks import side_named, task_named

ORDER = ("encoder", "value", "reward", "discount", "transition")
"""The networks in the order of the original's list of parameters."""
IMPORTED = "imported"
"""What stands in a checkpoint where others name their variant."""
_NAME = re.compile(r"p[0-9]{2,}")
_LARGEST = 64 * 2**20
"""Bytes that the arrays of a file may take; those of the largest of the original's networks take 1 MB as doubles."""


def import_network(path: StrPath, side: str, *, flag: str = "--maze") -> Checkpoint:
    """Read the arrays `p00`, `p01`, ... of a network of the original code.

    Per layer a Keras dense kernel (inputs, outputs), then its bias (outputs,), layer by layer and network by network in :data:`ORDER`.

    Args:
        path: the `.npz` file; pickled objects in it are not loaded.
        side: the maze that it was trained in: a name of `tasks.TASKS`, or NAME-inverse.
        flag: what supplies `side`, for errors.

    Returns:
        the model, float32, with the loss settings that are the maze's default.

    Raises:
        UserError: for an unknown maze; for a file that is missing, damaged or no such list; for arrays that are too few, too many, of other
            shapes than the maze's networks have, no real numbers or not finite; for convolutional networks.
    """
    path = Path(path)
    maze, inverse = side_named(side, flag)
    arrays = read_arrays(path, limit=_LARGEST)
    odd = [name for name in arrays if not _NAME.fullmatch(name)]
    if odd or not arrays:
        raise UserError(f"{path}: {'has an array ' + repr(odd[0]) if odd else 'is empty'}; name the arrays p00, p01, ... in their order")
    names = sorted(arrays, key=lambda name: int(name[1:]))
    if names != [f"p{number:02d}" for number in range(len(names))]:
        raise UserError(f"{path}: its arrays go from {names[0]} to {names[-1]} with gaps; number all of them from p00 on")
    wanted = task_named(maze).agent().shapes()
    if any(len(shape) > 2 for shape in wanted.values()) or any(array.ndim > 2 for array in arrays.values()):
        raise UserError(f"{path}: convolutional networks are not imported, as the order of their axes cannot be checked; give dense ones")
    places = [name for block in ORDER for name in wanted if name.startswith(f"{block}.")]
    if len(names) != len(places):
        raise UserError(f"{path}: holds {len(names)} arrays, the networks of the {maze} maze have {len(places)}; give all of one network")
    params = {place: _tensor(path, name, arrays[name], place, wanted[place]) for name, place in zip(names, places, strict=True)}
    info = {"variant": IMPORTED, "source": path.name, "source_digest": file_digest(path), "crar": __version__}
    return Checkpoint(maze, inverse, {name: params[name] for name in wanted}, 0, info)


def _tensor(path: Path, name: str, array: np.ndarray[Any, Any], place: str, shape: tuple[int, ...]) -> torch.Tensor:
    """A parameter of this shape from a Keras array: kernels are turned, biases are as they are."""
    keras = shape[::-1]
    if array.shape != keras:
        raise UserError(f"{path}: {name} has shape {array.shape}, but as {place} of the maze's networks it must have {keras}")
    if array.dtype.kind != "f":
        raise UserError(f"{path}: {name} holds {array.dtype}, no floating-point numbers; save the network's own arrays")
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(array.T, dtype=np.float32)
    if not np.isfinite(values).all():
        raise UserError(f"{path}: {name} holds values that are not finite in float32; use another network")
    return torch.from_numpy(values.copy())


def exported(params: Params) -> Mapping[str, np.ndarray[Any, Any]]:
    """The arrays that :func:`import_network` reads, of a model with dense networks: the inverse of the import."""
    places = [name for block in ORDER for name in params if name.startswith(f"{block}.")]
    return {f"p{number:02d}": params[name].detach().cpu().numpy().T for number, name in enumerate(places)}
