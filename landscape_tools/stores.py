"""Passes of a sampling: taken in order, some at once, and kept in a file so that a later call goes on from it."""

from __future__ import annotations

import hashlib
import io
import time
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from landscape_tools.entrance import agree
from landscape_tools.files import written
from landscape_tools.points import Point

Progress = Callable[[int, int], None]
Values = np.ndarray[Any, Any]
SAVE_EVERY = 5.0
"""Seconds between two saves of an unfinished sampling."""
SPOTS = 8
"""Passes of a store whose values are compared with the loss before they are taken."""


def run_passes(
    evaluate: Callable[[int], dict[str, Values]],
    sizes: Sequence[int],
    mark: str,
    *,
    spot: Callable[[int], dict[str, Values]],
    threads: int = 1,
    store: str | PathLike[str] | None = None,
    progress: Progress | None = None,
) -> list[dict[str, Values]]:
    """Evaluate passes 0, 1, ... in order, some at once, going on from `store` where it has the same mark and the same values.

    Args:
        evaluate: number of a pass -> its named values.
        sizes: points of every pass, for `progress`.
        mark: changes with the points.
        spot: number of a pass -> the first of each of its named values: at up to `SPOTS` passes of the store it must be what is kept.
        threads, store, progress: as in :class:`landscape_tools.sampling.Sampling`.
    """
    memo = _Store(None if store is None else Path(store), mark)
    memo.check(spot)
    todo = [k for k in range(len(sizes)) if k not in memo.parts]
    done = sum(sizes) - sum(sizes[k] for k in todo)
    with ThreadPoolExecutor(max_workers=threads) as pool:
        # Results are taken in order, so at most `threads` passes are ever at work or waiting.
        for begin in range(0, len(todo), threads):
            group = todo[begin : begin + threads]
            at_work = (
                pool.map(evaluate, group) if threads > 1 else map(evaluate, group)
            )  # a thread of its own gives memory back after each pass
            for k, values in zip(group, at_work, strict=True):
                memo.add(k, values)
                done += sizes[k]
            if progress is not None:
                progress(done, sum(sizes))
    memo.finish()
    return [memo.parts[k] for k in range(len(sizes))]


def fingerprint(parts: Sequence[Point], *numbers: int) -> str:
    """SHA-256 over names, values and numbers."""
    hasher = hashlib.sha256(f"{numbers}".encode())
    for part in parts:
        for name, value in part.items():
            hasher.update(name.encode())
            hasher.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())  # bfloat16, too
    return hasher.hexdigest()


class _Store:
    """Finished passes, by number; kept on disk when there is a path."""

    def __init__(self, path: Path | None, fingerprint: str) -> None:
        self.path, self.fingerprint = path, fingerprint
        self.parts: dict[int, dict[str, Values]] = {}
        self._saved = time.monotonic()
        if path is not None and path.exists():
            try:
                self.parts = self._read(path)
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
                self.parts = {}  # not a whole file of ours: the passes are computed again

    def _read(self, path: Path) -> dict[int, dict[str, Values]]:
        parts: dict[int, dict[str, Values]] = {}
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as content:  # NumPy leaves a damaged file open
            if str(content["fingerprint"]) == self.fingerprint:
                for key in content.files:
                    at, _, name = key.partition("/")
                    if name:
                        parts.setdefault(int(at), {})[name] = content[key]
        return parts

    def check(self, spot: Callable[[int], dict[str, Values]]) -> None:
        """Forget everything where a value is another loss's."""
        numbers = sorted(self.parts)
        for at in numbers[:: -(-len(numbers) // SPOTS) or 1]:
            part = self.parts[at]
            scale = max((float(np.abs(v[np.isfinite(v)]).max(initial=0.0)) for v in part.values()), default=0.0)
            if not agree({n: v.flat[0] for n, v in spot(at).items()}, {n: v.flat[0] for n, v in part.items()}, scale=scale, least=0.0):
                self.parts = {}
                return

    def add(self, at: int, values: dict[str, Values]) -> None:
        self.parts[at] = values
        if self.path is not None and time.monotonic() - self._saved > SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Write all finished passes, so that a kill leaves the old file or the new one."""
        assert self.path is not None
        content = io.BytesIO()
        arrays = {f"{at}/{name}": values for at, part in self.parts.items() for name, values in part.items()}
        np.savez_compressed(content, allow_pickle=False, **arrays, fingerprint=np.array(self.fingerprint))
        written(self.path, content.getvalue())
        self._saved = time.monotonic()

    def finish(self) -> None:
        if self.path is not None and self.path.exists():
            self.path.unlink()
