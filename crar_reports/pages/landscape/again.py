"""The explorer of a folder that `crar landscape` wrote before there were any: from its JSON and data, without the models."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import xarray as xr

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath, read_json, write_text, writing
from crar_reports.figures.explorer import NAME, end_data, explorer_page, line_bars, loss_way, surface_data
from crar_reports.figures.surface import ALONE, MARKS, PAIR
from crar_reports.pages.landscape.explorer import TITLE

PATHS = {"frozen": "Frozen path", "free": "Free path", "valleys": "Released path"}
"""Paths of `paths.nc`, as a page calls them."""
KEPT = "Its losses as measured; what the states did there was not kept."
AGAIN = "Drawn from the data of an older page"
REMEDY = "give a folder that `crar landscape` wrote, or make its page again"


def explorer_again(folder: StrPath, out: StrPath, command: str) -> Path:
    """Write `explorer.html` of a folder of `crar landscape` into `out`, and copy the folder where that is another one; returns its path.

    The folder keeps losses but no embeddings, so the page has surface, paths and bars, and says what it lacks.

    Raises:
        UserError: where the folder is none of that command, or its files are damaged.
    """
    folder = Path(folder)
    if (folder / NAME).exists() and AGAIN not in (folder / NAME).read_text(encoding="utf-8", errors="replace"):
        raise UserError(f"{folder / NAME}: shows more than its data give again; open that one, or give the folder of an older page")
    results = read_json(folder / "results.json", dict, REMEDY)
    surface = _opened(folder / "surface.nc")
    if surface is None or not {"x", "y"} <= set(surface.coords) or "total" not in surface:
        raise UserError(f"{folder}: has no surface encoder x dynamics in surface.nc; {REMEDY}")
    alone = "failed_terms" not in results
    words = ALONE if alone else PAIR
    names = {"terms": "the model"} if alone else {"failed_terms": "failed model", "optimum_terms": "reference"}
    if not all(isinstance(results.get(name), dict) and all(isinstance(v, (int, float)) for v in results[name].values()) for name in names):
        raise UserError(f"{folder / 'results.json'}: lacks {' or '.join(names)}, or numbers in them; {REMEDY}")
    ends = [end_data(label, mark[4], results[name]) for (name, label), mark in zip(names.items(), MARKS, strict=False)]
    ways = []
    lines, paths = _opened(folder / "lines.nc"), _opened(folder / "paths.nc")
    if lines is not None and "total" in lines:
        line = lines.sel(space="embedding") if "space" in lines.dims else lines
        ways.append(loss_way("straight", "Straight line", KEPT, line["t"].values, line["total"].values, line_bars(line)))
    for name, label in PATHS.items() if paths is not None else ():
        parts = (f"{name}_position", f"{name}_total")
        if paths is not None and set(parts) <= set(paths.variables) and all(np.isfinite(paths[part].values).any() for part in parts):
            ways.append(loss_way(name, label, KEPT, paths[f"{name}_position"].values, paths[f"{name}_total"].values))
    about = "The encoder moves along one axis, the dynamics along the other."
    notes = [
        f"{AGAIN}, which keeps no embeddings; make the page again with crar landscape for these and for the agent.",
        "Losses on the surface are those measured at the nearest grid point.",
        *([] if len(ways) > 1 else ["No paths were kept, so there are none to play."]),
    ]
    page = explorer_page(
        title=TITLE, lede="The losses of a failed transfer: drag the marker, or play along the paths.", command=str(results.get("command") or command),
        ends=ends, surfaces=[surface_data(surface, words, about=about)], ways=ways, notes=notes,
    )  # fmt: skip
    if Path(out).resolve() != folder.resolve():
        with writing(out):
            shutil.copytree(folder, out, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))
    write_text(Path(out) / NAME, page)
    return Path(out) / NAME


def _opened(path: Path) -> xr.Dataset | None:
    if not path.exists():
        return None
    try:
        return xr.load_dataset(path, engine="h5netcdf")
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: damaged, or no netCDF ({type(error).__name__}); {REMEDY}") from error
