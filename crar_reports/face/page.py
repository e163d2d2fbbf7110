"""A page that was made, as notebooks and commands get it; where it is made; and the command that would make it again."""

from __future__ import annotations

import functools
import inspect
import os
import re
import shlex
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from html import escape
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from crar_model.core.files import StrPath, as_read, find_json, writing
from crar_model.core.fresh import fresh
from crar_model.core.ranges import as_flag

if TYPE_CHECKING:
    import xarray as xr

P = ParamSpec("P")
R = TypeVar("R")
FIGURE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True, repr=False)
class Page:
    """A page and the files beside it.

    Attributes:
        folder: where it lies; without an `out` a temporary one, which is gone with this object.
        said: what it comes to in a few lines; "" for a page that says so itself alone.
        results: what was measured, where it is at hand; else it is read from `results.json`.
        temporary: whether the folder is a temporary one.
    """

    folder: Path
    said: str = ""
    results: object = None
    temporary: bool = False

    def __post_init__(self) -> None:
        if self.temporary:
            weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    @cached_property
    def data(self) -> Mapping[str, Any]:
        """What `results.json` holds, as plain data; empty where the page has none."""
        if self.results is not None:
            return cast(Mapping[str, Any], as_read(self.results))
        return find_json(self.folder / "results.json", dict, "make the page again") or {}

    @cached_property
    def datasets(self) -> Mapping[str, xr.Dataset]:
        """The labelled arrays beside the page, by the names of their files: `surface`, `lines`, `paths` ..."""
        import xarray as xr

        return {path.stem: xr.load_dataset(path, engine="h5netcdf") for path in sorted(self.folder.glob("*.nc"))}

    @property
    def path(self) -> Path:
        """The page as a file, `report.md`; `report.html` beside it is the same with its figures inside."""
        return self.folder / "report.md"

    @property
    def text(self) -> str:
        """The page as Markdown."""
        return self.path.read_text(encoding="utf-8")

    @property
    def figures(self) -> Mapping[str, Path]:
        """The pictures that the page shows, by the names of their files, in its order."""
        shown = (self.folder / name for name in FIGURE.findall(self.text) if ":" not in name)
        return {path.stem: path for path in shown}

    def save(self, folder: StrPath, *, force: bool = False) -> Path:
        """Copy the page, its figures and its data; returns the path of the report.

        Args:
            folder: made if missing.
            force: write into a folder that holds something.

        Raises:
            UserError: where something lies there, or it cannot be written.
        """
        with keeping(folder), writing(folder):
            fresh(folder, force=force)
            shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return Path(folder) / self.path.name

    def __repr__(self) -> str:
        """The title of the page and where it lies."""
        return f"Page({self.text.splitlines()[0].lstrip('# ')!r}, {self.folder})"

    def __str__(self) -> str:
        """What a command prints of it."""
        return "\n".join(filter(None, (self.said, "" if self.temporary else f"report: {self.path}")))

    def _repr_html_(self) -> str:
        page = self.path.with_suffix(".html").read_text(encoding="utf-8")
        return f'<iframe srcdoc="{escape(page)}" style="width: 100%; height: 40em; border: 0"></iframe>'


def keeping(out: StrPath) -> AbstractContextManager[None]:
    """Keep other commands out of a folder; where a file lies, it keeps nothing."""
    if os.path.lexists(out) and not Path(out).is_dir():
        return nullcontext()
    from crar_model.core.guards import only_one

    return only_one(out, "another crar command works there")


def going_on(own: str, *, force: bool, resume: bool) -> dict[str, Any]:
    """The rule of :func:`place` for the command `own`, which can also go on where it was stopped."""
    return {"force": force or resume, "other": "--resume to go on, --force to write over it,", "own": "" if force else own}


@contextmanager
def place(out: StrPath | None, *, force: bool = False, other: str = "", own: str = "") -> Iterator[tuple[Path, bool]]:
    """(where a page goes, whether that is a temporary folder); what lies there is guarded by :func:`crar_model.core.fresh.fresh`.

    Other commands are kept out of it. A temporary folder is gone again where the page could not be made.
    """
    if out is not None:
        with keeping(out):
            fresh(out, force=force, other=other, own=own)
            yield Path(out), False
        return
    folder = Path(tempfile.mkdtemp(prefix="crar-"))
    try:
        yield folder, True
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def as_command(name: str, **spelled: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a page's function say, where it is given no `command`, which one makes the same page.

    Args:
        name: of the command.
        spelled: arguments with a flag of another name; "" for one without a flag.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        usual = {each.name: each.default for each in signature.parameters.values()}

        @functools.wraps(function)
        def wrapper(*args: P.args, **values: P.kwargs) -> R:
            if values.get("command"):
                return function(*args, **values)
            given = signature.bind(*args, **{key: value for key, value in values.items() if key in usual}).arguments
            given |= {key: value for key, value in values.items() if key not in usual}
            words = ["crar", name]
            for key, value in given.items():
                if value is not None and value != usual.get(key):
                    words += _words(spelled.get(key, as_flag(key)), value)
            return cast(R, cast(Any, function)(*args, **values | {"command": shlex.join(words)}))

        return wrapper

    return decorate


def _words(flag: str, value: object) -> list[str]:
    """A flag and its value as they are typed."""
    if isinstance(value, bool):
        return [flag if value else f"--no-{flag[2:]}"]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [word for each in value for word in _words(flag, each)]
    return [*([flag] if flag else []), fspath(value) if isinstance(value, PathLike) else str(value)]
