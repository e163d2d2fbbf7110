"""The explorer of `crar landscape`."""

from __future__ import annotations

import torch
import xarray as xr

from crar_model.core.params import DYNAMICS, select
from crar_reports.figures.explorer import end_data, explorer_page, flat_dynamics, moves_scene, surface_data, way_data
from crar_reports.figures.surface import MARKS, PAIR
from crar_reports.measure.dissection import Dissection
from crar_reports.measure.subject import Subject
from crar_reports.measure.ways import flat_ways, passage_ways, straight_way

TITLE = "Explore a failed transfer"


def landscape_explorer(found: Dissection, command: str) -> str:
    """The page of a pair of models."""
    pair = found.subject
    widths, maze = pair.agent.dynamics_widths, pair.task.maze
    goal = "the base's copy" if found.reference is None else "the base's copy, converged"
    failed, reference = MARKS[0], MARKS[1]
    ends = [end_data("failed model", failed[4], found.failed.terms), end_data(found.reference_name, reference[4], found.optimum.terms)]
    about = "The encoder moves from the failed one to the reference, the dynamics from the failed model's to those adapted to its embedding."
    if widths is None or maze is None or pair.batch.pairs is None:
        return explorer_page(
            title=TITLE, lede=_lede(found), command=command, ends=ends, surfaces=[surface_data(found.surface, PAIR, about=about)], ways=[]
        )
    own = select(pair.failed, DYNAMICS)
    ways = [straight_way(pair, found.lines.get("embedding"), goal)]
    ways += [] if found.passage is None else passage_ways(pair, found.passage)
    ways += [] if found.minimum is None else flat_ways(pair, found.minimum)
    surface = surface_data(
        found.surface, PAIR, about=about, stops=encoder_stops(pair, found.surface), adapted=flat_dynamics(found.adapted.params, widths)
    )
    return explorer_page(
        title=TITLE, lede=_lede(found), command=command, ends=ends, surfaces=[surface], ways=[way_data(way, own, widths) for way in ways],
        scene=moves_scene(pair, own, maze), notes=_notes(found),
    )  # fmt: skip


def encoder_stops(pair: Subject, surface: xr.Dataset) -> torch.Tensor:
    """Embeddings (k, rows, d) along a surface's first axis: at its two models in embedding space, at every grid point in weight space."""
    if surface.attrs["space"] == "embedding":
        return torch.stack([pair.embedding(params) for params in (pair.failed, pair.optimum)])
    goal = pair.nearest if surface.attrs["aligned"] else select(pair.optimum, ("encoder",))
    begin = select(pair.failed, ("encoder",))
    return torch.stack([pair.embedding({n: v + x * (goal[n] - v) for n, v in begin.items()}) for x in surface["x"].values.tolist()])


def _lede(found: Dissection) -> str:
    where = f"the {'inverse' if found.subject.inverse else 'normal'} {found.subject.task.title}"
    return (
        f"A `{found.subject.failed_file.info.get('variant', '?')}` transfer in {where} whose embedding is {found.match.verdict}. Drag the marker over the loss, "
        "or play a path from the failed model to the restored one, and watch what becomes of the embedding and the agent."
    ).replace("`", "")


def _notes(found: Dissection) -> list[str]:
    said = []
    if found.surface.attrs["space"] != "embedding":
        said.append("The encoder moves through its weights, so embeddings are kept at grid points and at the paths' points; the nearest is shown.")
    if found.passage is None:
        said.append("No paths were looked for, so there are none to play.")
    if found.quick:
        said.append("Made with --quick: descents and paths were cut short.")
    return said
