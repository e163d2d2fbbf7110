"""The page of `crar landscape` for models of the random mazes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
import xarray as xr

from crar_model.files import write_text
from crar_model.params import DYNAMICS, select
from landscape_tools.lines import barrier
from reports import console
from reports.dissection import LandscapeOptions
from reports.figures.abstract import abstract_states_figure
from reports.figures.landscape import surface_figure
from reports.figures.lines import lines_figure
from reports.figures.style import save_figure
from reports.interactive import write_surface_page
from reports.landscape_files import TITLES, origin_of, save_netcdf
from reports.markdown import render
from reports.random_claims import decide_random
from reports.random_dissection import dissect_random, states_of
from reports.subject import Subject

SHOWN_STATES = 4


def write_random_landscape(
    pair: Subject, failed_path: Path, base_path: Path, folder: Path, *, options: LandscapeOptions, command: str = ""
) -> Path:
    """Write `report.md`, its figures, `surface.html`, `lines.nc`, `surface.nc` and `results.json`; returns the report's path.

    Args:
        pair: the two models, of the random mazes.
        failed_path, base_path: where they lie.
        folder: made if missing; an interrupted surface goes on from its store there.
        options: validated.
        command: shown in the report as what made it.
    """
    with console.stages("landscape") as stage:
        found = dissect_random(pair, failed_path, options, store=folder / "surface.part.npz", stage=stage)
    shown = tuple(str(name) for name in found.surface.data_vars)
    titles = ("optimum", "transfer")
    save_figure(abstract_states_figure(*states_of(pair, SHOWN_STATES), titles), folder / "states", options.image)
    panels = [(TITLES[space], line) for space, line in found.lines.items()]
    save_figure(lines_figure(panels, shown, "512 held-out transitions"), folder / "lines", options.image)
    save_figure(surface_figure(found.surface), folder / "surface", options.image)
    save_figure(surface_figure(found.surface, "transition"), folder / "surface_transition", options.image)
    write_surface_page(found.surface, folder / "surface.html")
    origin = origin_of(pair, command)
    data = xr.concat(list(found.lines.values()), dim="space", combine_attrs="drop").assign_coords(space=list(found.lines))
    save_netcdf(data.assign_attrs(origin), folder / "lines.nc")
    save_netcdf(found.surface.assign_attrs(origin), folder / "surface.nc")
    plain = found.plain()
    decisions = decide_random(plain)
    results = {
        "command": command, "options": asdict(options),
        "failed": {"path": str(failed_path), "digest": pair.failed_file.digest},
        "optimum": {"path": str(base_path), "digest": pair.optimum_file.digest},
        **plain, "claims": [asdict(d) for d in decisions],
    }  # fmt: skip
    write_text(folder / "results.json", json.dumps(results, indent=1) + "\n")
    return render(
        "random_landscape.md", folder / "report.md", command=command, failed=pair.failed_file, base=pair.optimum_file,
        failed_path=failed_path, base_path=base_path, maze="inverse" if pair.inverse else "normal",
        closed_form=pair.optimum_file.inverse != pair.inverse,
        same_dynamics=all(torch.equal(pair.failed[n], v) for n, v in select(pair.optimum, DYNAMICS).items()),
        found=found, barriers={space: {term: barrier(line, term) for term in shown} for space, line in found.lines.items()},
        titles=TITLES, decisions=decisions, shown=shown, options=options,
    )  # fmt: skip
