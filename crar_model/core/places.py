"""Where a file lies whose path a run wrote down: runs are moved, and commands are called from other folders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from crar_model.core.files import StrPath

SAMPLES = Path(__file__).parent.parent / "sample_models"
"""Where the checkpoints lie that come with the package."""


def listed(paths: StrPath | Sequence[StrPath]) -> list[Path]:
    """Paths, where one may be given in the place of several."""
    return [Path(path) for path in ([paths] if isinstance(paths, str | os.PathLike) else paths)]


def as_given(path: StrPath) -> str:
    """A path as a page shows it: as it was given; a shipped checkpoint, which nobody has to name, without the folder that this machine has it in."""
    path = Path(path)
    return str(Path("crar_model", SAMPLES.name, path.name)) if path.parent == SAMPLES else str(path)


def places(written: StrPath, run: StrPath, *, whole: bool = False) -> Iterator[Path]:
    """Files that may be the one that a run wrote down as a path, likeliest first; the caller tells the right one by its digest.

    Beside the run and above it, then as written, then in the run's folder under its bare name.

    Args:
        written: the path.
        run: the folder of the run.
        whole: only places that end in the whole path, as written first: for a file whose digest is not known.
    """
    run, given = Path(run), Path(written)
    parts = [part for part in Path(os.path.normpath(given)).parts if part not in ("..", given.anchor)]
    above = [run, *run.parents]
    if not run.is_absolute():
        above += [Path(*[".."] * up) for up in range(1, len(Path.cwd().parts))]
    tails = [Path(*parts[first:]) for first in range(1 if whole else max(1, len(parts) - 1))]
    beside = [folder / tail for tail in tails for folder in above]
    ordered = [given, *beside] if whole else [*beside, given, run / given.name]
    yield from (path for path in dict.fromkeys(ordered) if path.is_file())
