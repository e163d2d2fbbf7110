"""`crar landscape`: one page on why a transfer failed, with its data beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import xarray as xr
from matplotlib.figure import Figure

from crar_model.core.files import StrPath
from crar_model.core.tiles import NEGATED
from crar_model.models.merit import SUCCESSFUL
from crar_model.samples import as_given
from crar_reports import progress as console
from crar_reports.claims.evidence import Listed, Samples, pair_of
from crar_reports.claims.losses import does
from crar_reports.claims.record import Decision
from crar_reports.claims.table import decide
from crar_reports.figures.abstract import abstract_states_figure, scattered_states_figure
from crar_reports.figures.embedding import embeddings_figure
from crar_reports.figures.explorer import NAME as EXPLORER
from crar_reports.figures.interactive import surface_page
from crar_reports.figures.lines import lines_figure
from crar_reports.figures.paths import paths_figure
from crar_reports.figures.style import PATH_COLORS
from crar_reports.figures.surface import surface_figure
from crar_reports.measure.dissection import Dissection, dissect
from crar_reports.measure.mended import mended_or_why, read_mended
from crar_reports.measure.options import LandscapeOptions
from crar_reports.measure.paths import Passage
from crar_reports.measure.second_opinion import second_opinion
from crar_reports.measure.subject import Subject, load_subject, origin_of, refuse_senseless
from crar_reports.pages.landscape.explorer import landscape_explorer
from crar_reports.pages.landscape.sections import TITLES
from crar_reports.pages.landscape.view import landscape_view
from crar_reports.press.markdown import QUICK, Lines, _counted, about_world, number
from crar_reports.press.nouns import side_of
from crar_reports.press.publish import Content, publish
from crar_reports.progress import StageClock
from landscape_tools.signatures import NOT_CONVERGED

SHOWN_STATES = 4
"""Observations whose abstract states are drawn, where the states cannot be listed."""


def write_landscape(
    failed_path: StrPath,
    base_path: StrPath,
    folder: StrPath,
    *,
    options: LandscapeOptions | None = None,
    failed_maze: str | None = None,
    base_maze: str | None = None,
    command: str = "",
    clock: StageClock | None = None,
) -> Path:
    """Write `report.md`, its figures, `surface.html`, `explorer.html`, `lines.nc`, `surface.nc`, `results.json` and, where there are paths, `paths.nc`.

    Args:
        failed_path, base_path: the two models.
        folder: made if missing; files of an earlier report are replaced. An interrupted surface goes on from its store there.
        options: what to measure.
        failed_maze, base_maze: mazes of checkpoints that do not say.
        command: shown in the report as what made it.
        clock: takes the times of the stages, which `results.json` then has as `profile`, up to its own writing.

    Returns:
        the report's path.

    Raises:
        UserError: for unusable models or options, or a folder that cannot be written.
    """
    failed_path, base_path, folder = Path(failed_path), Path(base_path), Path(folder)
    options = options or LandscapeOptions()
    options.validate()
    times = clock or StageClock()
    times.begin("models")
    pair = load_subject(failed_path, base_path, failed_maze=failed_maze, base_maze=base_maze)
    refuse_senseless(pair)
    given = read_mended(options.cured, pair.failed_file) if options.cured else None
    options = options.settled(pair.task)
    complete = pair.task.sampling.complete
    with console.stages("landscape") as tick:

        def stage(name: str, done: int, everything: int) -> None:
            times.begin(name if done < everything else "embeddings compared")
            tick(name, done, everything)

        found = dissect(pair, options, store=folder / "surface.part.npz", stage=stage)
        stage("cure", 0, 1)
        mended, why_not = (given, "") if given is not None else mended_or_why(pair, quick=options.quick)
    pair = found.subject
    times.begin("second opinion")
    opinion = second_opinion(pair, found.adapted.params) if complete else None
    times.begin("figures")
    shown = tuple(str(name) for name in found.surface.data_vars)
    files: dict[str, Content] = dict(_figures(pair, found, shown, options.image))
    embedding = next(iter(files))
    times.begin("data files")
    files["surface.html"], files[EXPLORER] = surface_page(found.surface), landscape_explorer(found, command, mended, why_not)
    data = xr.concat(list(found.lines.values()), dim="space", combine_attrs="drop").assign_coords(space=list(found.lines))
    kept = {"lines.nc": data, "surface.nc": found.surface, "paths.nc": None if found.passage is None else _path_data(found.passage)}
    files |= {name: each.assign_attrs(origin_of(pair, command)) for name, each in kept.items() if each is not None}
    plain = found.plain()
    decisions = decide(plain, complete=complete)
    where = side_of(pair.task, inverse=pair.inverse)
    results = {
        "command": command, "options": asdict(options), "failed": {"path": as_given(failed_path), "digest": pair.failed_file.digest},
        "optimum": {"path": as_given(base_path), "digest": pair.optimum_file.digest}, **plain,
        **({"second_opinion": None if opinion is None else asdict(opinion)} if complete else {}), "claims": [asdict(d) for d in decisions],
    }  # fmt: skip
    variant = str(pair.failed_file.info.get("variant", "?"))
    values = {
        "command": command,
        "summary": [
            *about_world(pair.task.facts),
            *landscape_summary(pair_of(plain, complete=complete), decisions, variant=variant, where=where, cured=_cured(pair)),
        ],
        **landscape_view(found, plain, decisions, opinion, options, embedding),
    }  # fmt: skip
    return publish(folder, "landscape.md", values, lambda: results | ({"profile": clock.plain()} if clock else {}), files, told=times.file)


def _figures(pair: Subject, found: Dissection, shown: tuple[str, ...], image: str) -> dict[str, Figure]:
    """All figures by name, that of the embeddings first."""
    task = pair.task
    if task.maze is not None:
        panels = [
            (found.reference_name, pair.optimum, pair.inverse),
            (f"failed encoder ({found.match.verdict})", pair.failed, pair.inverse),
        ]
        figures = {"embeddings": embeddings_figure(task, panels)}
    elif task.known_by_data:
        figures = {"states": scattered_states_figure(*_states(pair)[1:], ("optimum", "transfer"))}
    else:
        negated = task.observation_map.per_pixel or NEGATED
        figures = {"states": abstract_states_figure(*_states(pair), ("optimum", "transfer"), negated)}
    lines = [(TITLES[space], line) for space, line in found.lines.items()]
    figures |= {"lines": lines_figure(lines, shown, task.sampling.what), "surface": surface_figure(found.surface)}
    if not task.sampling.complete and "transition" in shown:  # the structure terms of a sample hide the valley in the total
        figures["surface_transition"] = surface_figure(found.surface, "transition")
    passage, line = found.passage, found.lines["embedding"]
    if passage is not None:
        began = "" if found.minimum is None else ", from where it converges"
        paths = [
            (f"dynamics frozen{began}", passage.frozen, PATH_COLORS["frozen"]),
            (f"dynamics free{began}", passage.free, PATH_COLORS["free"]),
        ]
        if passage.valleys is not None:
            paths.append(("dynamics free, from the released model", passage.valleys, PATH_COLORS["valleys"]))
        figures["paths"] = paths_figure(paths, (line["t"].values, line["total"].values))
    return {f"{name}.{image}": figure for name, figure in figures.items()}


def _states(pair: Subject) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Observations (n, ...) and both models' abstract states (n, channels, rows, columns) of the first transitions."""
    rows = pair.batch.state if pair.task.known_by_data else pair.batch.state[:SHOWN_STATES]
    optimum, failed = (torch.unflatten(pair.embedding(p)[rows], 1, pair.agent.abstract_shape) for p in (pair.optimum, pair.failed))
    return pair.batch.observations[rows], optimum, failed


def _path_data(passage: Passage) -> xr.Dataset:
    """Positions and total losses of the paths, each over its own samples."""
    paths = {"frozen": passage.frozen, "curve": passage.curve, "free": passage.free, "valleys": passage.valleys}
    data: dict[str, Any] = {}
    for name, path in paths.items():
        if path is not None:
            data[f"{name}_position"] = (f"{name}_sample", path.walk.numpy())
            data[f"{name}_total"] = (f"{name}_sample", path.heights.numpy())
    return xr.Dataset(data)


def _cured(pair: Subject) -> str:
    """The method of the cure that a pair's reference is, of the failed network itself; "" where it is a base."""
    how = pair.optimum_file.info.get("cure")
    return str(how["method"]) if isinstance(how, dict) and how.get("failed") == pair.failed_file.digest else ""


def landscape_summary(e: Listed | Samples, decisions: Sequence[Decision], *, variant: str, where: str, cured: str = "") -> Lines:
    """Of `crar landscape`.

    Args:
        e: what was measured.
        decisions: the claims on it.
        variant: of the transfer.
        where: the maze in words.
        cured: method of `crar cure` that made the reference from this very network, in the place of a base; "" for a base.
    """
    certificate, paths = (e.certificate, e.paths) if isinstance(e, Listed) else (None, None)
    sampled = e.sampled if isinstance(e, Samples) else None
    end = sampled.reference if sampled else e.reference if isinstance(e, Listed) else None
    how_far = "" if end is None else ", descended," if end.verdict == NOT_CONVERGED else ", converged,"
    missed = f"why this `{variant}` transfer misses what its base can do"
    if does(e) == SUCCESSFUL:
        missed = f"what lies between this `{variant}` transfer, which can do what its base can, and its base"
    lines = [
        ("Asked", f"{missed} in the {where}."),
        (
            "Where it is",
            f"total loss {number(e.failed_terms.total)}, the base's copy{how_far} {number(e.optimum_terms.total)}; "
            f"its embedding is {e.match.verdict}.",
        ),
    ]
    if cured:
        lines.insert(
            1,
            (
                "Held against",
                f"what `crar cure` ({cured}) made of this very network: the same dynamics, an encoder found by losses alone. Its base is not at hand, "
                "so 'base' means that cure on this page, and S1 and S2 are of it.",
            ),
        )
    if certificate:
        lines.append(
            (
                "What it is",
                f"{certificate.verdict}, by the certificate of where a descent of its encoder ends under the frozen dynamics "
                f"(total loss {number(certificate.loss)}).",
            )
        )
    if sampled:
        own, size = sampled.failed, sampled.sizes["sample"]
        lines.append(
            (
                "What it is",
                f"{own.verdict} on a sample of {size['transitions']:,} transitions ({size['terminal']} terminal), {own.both} with an independent one: "
                f"a descent of its encoder under the frozen dynamics ends at total loss {number(own.loss)}, {number(own.independent.loss)} there.",
            )
        )
    way = f"the straight line to the base's copy climbs {number(e.barriers['embedding']['total'].climb)}"
    if paths:
        way += (
            f"; the best path found climbs {number(paths.frozen.barrier)} with the dynamics frozen and "
            f"{number(paths.free.barrier)} with them free, upper bounds both"
        )
    if sampled:
        found = sampled.paths
        way += (
            f" between the embeddings; in the weights, from where that descent ended, {number(found.straight)} straight, {number(found.frozen.barrier)} on the "
            f"best path found with the dynamics frozen and {number(found.free.barrier)} with them free, upper bounds both"
        )
    sure = f"verdicts on {len(decisions)} claims: {_counted([one.verdict for one in decisions])}; one pair of models, no more"
    return [*lines, ("What is in the way", f"{way}."), ("How sure", f"{sure}{'; ' + QUICK if e.quick else ''}.")]
