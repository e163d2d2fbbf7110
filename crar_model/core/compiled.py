"""Numba, with a cache of compiled code that is found on every machine.

Its decorators carry no types, so a strict type checker would refuse every compiled function: `numba` here is `Any`.

Kernels ask for `cache=True`, and Numba refuses to compile at all where it can write neither beside the source nor into the user's cache
directory (a read-only install, a service without a home). Then a folder of the user among the temporary ones takes the cache, and where even
that cannot be, kernels are compiled anew by every process.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import os
import stat
import tempfile
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba as _numba
from numba.core.ccallback import CFunc as _CFunc


@dataclass(frozen=True)
class Kernels:
    """Compiled functions that some work starts with; what they call is compiled and kept with them.

    Attributes:
        functions: as `numba.njit` made them, with a cache.
        seconds: that compiling them takes, about, of a core of 2024.
        tiles: whether they have products that a processor's tile unit can take over.
    """

    functions: tuple[Any, ...] = ()
    seconds: float = 0.0
    tiles: bool = False

    @property
    def kept(self) -> bool:
        """Whether compiled code outlives the process."""
        return all(function.stats.cache_path for function in self.functions)

    def missing(self) -> bool:
        """Whether any function has to be compiled: neither this process nor the cache has it, or the source is younger."""
        return not all(function.signatures or is_cached(function) for function in self.functions)


def is_cached(function: Any) -> bool:
    """Whether the cache has compiled code of a function that is not older than its source, nor than those of what it may call."""
    folder, plain = function.stats.cache_path, function.py_func
    source = Path(inspect.getfile(plain))
    entries = [] if folder is None else Path(folder).glob(f"{source.stem}.{plain.__qualname__}-{plain.__code__.co_firstlineno}.*.nbi")
    made = [entry.stat().st_mtime for entry in entries]
    called = sources() if PACKAGE in source.parents else []
    return bool(made) and max(made) >= max(path.stat().st_mtime for path in (source, *called))


def _of_the_user(parent: Path) -> Path | None:
    """A folder in which nobody else can put code for us to run; None where there can be none."""
    user = os.getuid() if hasattr(os, "getuid") else None
    folder = parent / ("crar-numba" if user is None else f"crar-numba-{user}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return None
    ours = stat.S_ISDIR(found.st_mode) and (user is None or (found.st_uid == user and not found.st_mode & 0o077))
    return folder if ours else None


def _caches() -> bool:
    """Whether Numba finds a place for the code of this package."""
    try:
        _numba.njit(cache=True)(_of_the_user)  # this looks for the place; it compiles nothing
    except RuntimeError:
        return False
    return True


PACKAGE = Path(__file__).parents[1]


def sources() -> list[Path]:
    """Every file whose functions are compiled into each other."""
    return [Path(__file__), *sorted((PACKAGE / "nets").glob("*.py")), *sorted((PACKAGE / "mazes").glob("*.py"))]


def _stamp() -> str:
    """Of all of them: Numba itself looks at a function's own file only, and would go on with old code of what that one calls."""
    hasher = hashlib.sha256()
    for path in sources():
        hasher.update(path.read_bytes())
    return hasher.hexdigest()


def _own_numba(*, cached: bool) -> Any:
    """Numba for this package alone: its caches know of all sources, or there are none."""
    stamp = _stamp() if cached else ""
    plain: Any = _numba
    callbacks: Any = _CFunc

    def marked(dispatcher: Any) -> Any:
        if PACKAGE in Path(inspect.getfile(inspect.unwrap(dispatcher))).parents:
            with contextlib.suppress(AttributeError):  # Numba's own affair; a version that has it otherwise looks at one file
                dispatcher._cache._cache_file._source_stamp = (dispatcher._cache._cache_file._source_stamp, stamp)
        return dispatcher

    def njit(*functions: Any, cache: bool = False, **options: Any) -> Any:
        made = plain.njit(*functions, cache=cache and cached, **options)
        if not (cache and cached):
            return made
        return marked(made) if functions else lambda function: marked(made(function))

    def callback(function: Any) -> Any:
        """A function of integers that gives one, compiled now, to be called at its address."""
        integer = plain.types.int64
        made = callbacks(
            function,
            ([integer] * len(inspect.signature(function).parameters), integer),
            locals={},
            options={"error_model": "numpy", "nogil": True},
        )
        if cached:
            made.enable_caching()
            marked(made)
        made.compile()
        return made

    own = types.ModuleType("numba")
    own.__dict__.update(_numba.__dict__, njit=njit, callback=callback)
    return own


def _numba_here() -> Any:
    if _caches():
        return _own_numba(cached=True)
    try:
        folder = _of_the_user(Path(tempfile.gettempdir()))
    except FileNotFoundError:  # no temporary folder either
        folder = None
    if folder is None:
        return _own_numba(cached=False)
    settings: Any = _numba.config
    settings.CACHE_DIR = str(folder)
    return _own_numba(cached=_caches())


numba: Any = _numba_here()
