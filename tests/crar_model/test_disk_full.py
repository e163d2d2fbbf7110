"""A disk that takes no more: one line from every writer, and the file of before is whole. A limit on the size of files stands for the disk."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from matplotlib.figure import Figure

from crar_model.core.errors import UserError
from crar_model.core.files import write_atomically, write_json, writing
from crar_model.core.tensor_files import save_plain
from crar_model.training.events import EventFile
from crar_reports.press.html import write_html
from crar_reports.press.publish import write

NOISE = np.random.default_rng(0).standard_normal(20_000)


@contextmanager
def at_most(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def figure() -> Figure:
    found = Figure()
    found.subplots().plot(NOISE[:500])
    return found


def event(path: Path) -> None:
    file = EventFile(path.parent / "events", 0)
    for step in range(200):
        file.add(step, summary=None)
    file.flush()


WRITERS: dict[str, Callable[[Path], object]] = {
    "checkpoint": lambda path: save_plain(path, "crar-checkpoint", {"parameters": {"w": torch.from_numpy(NOISE)}}),
    "torch.save": lambda path: write_atomically(path, lambda stream: torch.save(torch.from_numpy(NOISE), stream)),
    "npz": lambda path: write_atomically(path, lambda stream: np.savez_compressed(stream, a=NOISE)),
    "netCDF": lambda path: write(path, xr.Dataset({"a": ("x", NOISE)})),
    "png": lambda path: write(path, figure()),
    "svg": lambda path: write(path.with_suffix(".svg"), figure()),
    "json": lambda path: write_json(path, NOISE.tolist()),
    "html": lambda path: write_html("# title\n\n" + "words " * 5_000, path),
    "tensorboard": event,
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.usefixtures("as_published")
def test_every_writer_ends_in_one_line(write: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"of before")
    with at_most(1_000), pytest.raises(UserError, match=r"cannot write .*; free some space") as found:
        write(path)
    assert "\n" not in str(found.value)
    assert path.read_bytes() == b"of before"
    assert not [left for left in tmp_path.iterdir() if left.name.startswith(".")]


def test_an_interrupted_surface_s_store_too(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"surface\.part\.npz: cannot write"), writing(tmp_path / "surface.part.npz"):
        raise OSError(28, "No space left on device")
