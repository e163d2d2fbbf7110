"""`crar landscape`: one page on why a transfer failed, with its data beside it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from crar_model.agents import MAZES
from crar_model.files import write_text
from crar_model.params import DYNAMICS, select
from landscape_tools.lines import barrier
from reports import console
from reports.claims import decide
from reports.dissection import Dissection, LandscapeOptions, dissect
from reports.figures.embedding import embeddings_figure
from reports.figures.landscape import paths_figure, surface_figure
from reports.figures.lines import lines_figure
from reports.figures.style import save_figure
from reports.interactive import write_surface_page
from reports.landscape_files import TITLES, origin_of, save_netcdf
from reports.markdown import render
from reports.random_landscape import write_random_landscape
from reports.second_opinion import second_opinion
from reports.subject import Subject, load_subject


def write_landscape(
    failed_path: Path,
    base_path: Path,
    folder: Path,
    *,
    options: LandscapeOptions | None = None,
    failed_maze: str | None = None,
    base_maze: str | None = None,
    command: str = "",
) -> Path:
    """Write `report.md`, its figures, `surface.html`, `lines.nc`, `surface.nc`, `paths.nc` and `results.json`.

    Args:
        failed_path, base_path: the two models.
        folder: made if missing; files of an earlier report are replaced. An interrupted surface goes on from its store there.
        options: what to measure.
        failed_maze, base_maze: mazes of checkpoints that do not say.
        command: shown in the report as what made it.

    Returns:
        the report's path.

    Raises:
        UserError: for unusable models or options, or a folder that cannot be written.
    """
    options = options or LandscapeOptions()
    options.validate()
    pair = load_subject(failed_path, base_path, failed_maze=failed_maze, base_maze=base_maze, mazes=MAZES)
    options = options.settled(pair.agent.maze)
    if pair.agent.maze == "random":
        return write_random_landscape(pair, failed_path, base_path, folder, options=options, command=command)
    with console.stages("landscape") as stage:
        found = dissect(pair, options, store=folder / "surface.part.npz", stage=stage)
    opinion = second_opinion(pair, found.adapted.params)
    shown = tuple(str(name) for name in found.surface.data_vars)
    _figures(pair, found, folder, shown, options.image)
    write_surface_page(found.surface, folder / "surface.html")
    origin = origin_of(pair, command)
    data = xr.concat(list(found.lines.values()), dim="space", combine_attrs="drop").assign_coords(space=list(found.lines))
    save_netcdf(data.assign_attrs(origin), folder / "lines.nc")
    save_netcdf(found.surface.assign_attrs(origin), folder / "surface.nc")
    save_netcdf(_path_data(found).assign_attrs(origin), folder / "paths.nc")
    plain = found.plain()
    decisions = decide(plain)
    results = {
        "command": command,
        "options": asdict(options),
        "failed": {"path": str(failed_path), "digest": pair.failed_file.digest},
        "optimum": {"path": str(base_path), "digest": pair.optimum_file.digest},
        **plain,
        "second_opinion": None if opinion is None else asdict(opinion),
        "claims": [asdict(d) for d in decisions],
    }
    write_text(folder / "results.json", json.dumps(results, indent=1) + "\n")
    return render(
        "landscape.md",
        folder / "report.md",
        command=command,
        failed=pair.failed_file,
        base=pair.optimum_file,
        failed_path=failed_path,
        base_path=base_path,
        maze="inverse" if pair.inverse else "normal",
        closed_form=pair.optimum_file.inverse != pair.inverse,
        same_dynamics=all(torch.equal(pair.failed[n], v) for n, v in select(pair.optimum, DYNAMICS).items()),
        found=found,
        certificate=plain["certificate"],
        paths=plain["paths"],
        match=found.match,
        barriers={space: {term: barrier(line, term) for term in shown} for space, line in found.lines.items()},
        titles=TITLES,
        decisions=decisions,
        opinion=opinion,
        shown=shown,
        options=options,
    )


def _figures(pair: Subject, found: Dissection, folder: Path, shown: tuple[str, ...], image: str) -> None:
    panels = [
        ("global optimum", pair.agent, pair.optimum, pair.inverse),
        (f"failed encoder ({found.match.verdict})", pair.agent, pair.failed, pair.inverse),
    ]
    save_figure(embeddings_figure(panels), folder / "embeddings", image)
    save_figure(lines_figure([(TITLES[space], line) for space, line in found.lines.items()], shown), folder / "lines", image)
    save_figure(surface_figure(found.surface), folder / "surface", image)
    passage, line = found.passage, found.lines["embedding"]
    paths = [("dynamics frozen", passage.frozen, "#0072B2"), ("dynamics free", passage.free, "#009E73")]
    if passage.valleys is not None:
        paths.append(("dynamics free, from the released model", passage.valleys, "#CC79A7"))
    save_figure(paths_figure(paths, (line["t"].values, line["total"].values)), folder / "paths", image)


def _path_data(found: Dissection) -> xr.Dataset:
    """Positions and total losses of the paths, each over its own samples."""
    paths = {"frozen": found.passage.frozen, "curve": found.passage.curve, "free": found.passage.free, "valleys": found.passage.valleys}
    data: dict[str, Any] = {}
    for name, path in paths.items():
        if path is not None:
            data[f"{name}_position"] = (f"{name}_sample", path.walk.numpy())
            data[f"{name}_total"] = (f"{name}_sample", path.heights.numpy())
    return xr.Dataset(data)
