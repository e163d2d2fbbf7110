"""Where a file lies whose path a run wrote down: runs are moved, and commands are called from other folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from crar_model.core.files import StrPath


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
