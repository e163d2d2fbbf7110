"""The explorer of `crar cure`: the landscape of placements, the surface encoder x dynamics between failed and cured, and the way of the cure."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
import xarray as xr

from crar_model.agent.loss import SHOWN
from crar_model.core.files import Plain
from crar_model.core.params import DYNAMICS, select
from crar_model.cures.problem import Problem
from crar_model.mazes.simple import SimpleMaze
from crar_model.models.checkpoints import Checkpoint
from crar_model.training.mending import cured_checkpoint
from crar_reports.figures.explorer import end_data, explorer_page, flat_dynamics, moves_scene, placement_data, surface_data, way_data
from crar_reports.figures.explorer_maps import PLACES, WEIGHTS, chosen_scene, cure_line, line_way
from crar_reports.figures.surface import MARKS, Words
from crar_reports.measure.mended import Mended
from crar_reports.measure.release import adapt
from crar_reports.measure.shown_states import encoder_along
from crar_reports.measure.subject import Subject
from crar_reports.measure.surface import encoder_dynamics
from crar_reports.measure.ways import cure_way, straight_way
from crar_reports.pages.cure.records import CureResult

ADAPTING = 60
"""Iterations of the dynamics that the second axis leads to: a picture's, not those of a verdict."""
RESOLUTION = 25


def cure_explorer(result: CureResult, problem: Problem, failed: Checkpoint, data: xr.Dataset | None) -> str | None:
    """The page; None where nothing was tried, and of a world without a board.

    Args:
        result: what came of the cure.
        problem, failed: that it was of.
        data: losses by the place of the start state; None where states cannot be placed.
    """
    found, command = result.found, result.command
    listed = isinstance(failed.task.maze, SimpleMaze) and failed.agent.abstract_size == 2
    if found.already or failed.task.known_by_data or (failed.task.maze is not None and not listed):
        return None
    name = "cured" if found.cured else "best found"
    file = Path(failed.file or found.best.label)
    pair = Subject.of(failed, cured_checkpoint(failed, found), (file, file))
    ends = [
        end_data("failed model", MARKS[0][4], result.before.terms), end_data(name, MARKS[1][4], result.after.terms),
    ]  # fmt: skip
    title = f"Explore a cure: {found.best.method}" if found.cured else "Explore a cure that failed"
    straight = f"The embedding moves straight from the failed one to that of the {name} model; the dynamics stay as they are."
    if data is None or result.placement is None:
        lede = f"Abstract states between the failed encoder and the {name} one: play the line and watch them change."
        return explorer_page(title=title, lede=lede, command=command, ends=ends, surfaces=[], **_line(pair, Mended.of(found)))
    lede = (
        f"The dynamics stay frozen; the cure looks for places of the states that these can use. Drag the start state, or play the way from the failed "
        f"encoder to the {name} one, and watch the agent find its way again."
    )
    return explorer_page(title=title, lede=lede, command=command, ends=ends, **_parts(result, problem, pair, data, (name, straight)))


def _parts(result: CureResult, problem: Problem, pair: Subject, data: xr.Dataset, words: tuple[str, str]) -> Plain:
    (name, straight), found = words, result.found
    widths, maze, own = pair.agent.dynamics_widths, problem.task.maze, select(pair.failed, DYNAMICS)
    assert widths is not None
    assert isinstance(maze, SimpleMaze)
    adapted = adapt(pair, DYNAMICS, ADAPTING)
    surface = encoder_dynamics(pair, adapted.params, DYNAMICS, resolution=RESOLUTION, space="embedding", align=False, terms=SHOWN)
    marks = tuple((label, *mark[1:]) for mark, label in zip(MARKS, (MARKS[0][0], f"{name}, frozen dynamics", MARKS[2][0]), strict=True))
    axes = Words(marks, f"encoder: 0 failed, 1 {name}", slice=MARKS[0][0])
    about = f"The encoder moves from the failed one to the {name} one, the dynamics to those that fit the failed embedding after {ADAPTING} iterations."
    stops = torch.stack([pair.embedding(params) for params in (pair.failed, pair.optimum)])
    assert result.placement is not None
    places = result.placement.places
    base = {"base": (result.to.place, "s", MARKS[2][4])} if result.to and result.to.place else {}
    shown = {"failed": (places["failed"], "o", MARKS[0][4]), **base, name: (places["chosen"], "*", MARKS[1][4])}
    placed = placement_data(
        data, shown, about="Every point puts the start state there; the frozen dynamics place the others from it, move by move."
    )
    planned = surface_data(surface, axes, about=about, stops=stops, adapted=flat_dynamics(adapted.params, widths))
    ways = [*([cure_way(pair, Mended.of(found))] if found.best.method == "placement" else []), straight_way(pair, None, straight)]
    return {
        "surfaces": [planned, placed], "ways": [way_data(way, own, widths) for way in ways], "scene": moves_scene(pair, own, maze),
        "notes": ["A model of that place need not exist: a dragged start state shows where the frozen dynamics would put the states, not an encoder."],
    }  # fmt: skip


def _line(pair: Subject, mended: Mended) -> Plain:
    """The straight line through the weights where abstract states are maps, with the losses on it."""
    there, line, about = cure_line(pair, mended)
    xs, encode = line["t"].values.tolist(), encoder_along(there, WEIGHTS)
    return {
        "ways": [line_way(there, line, xs, encode, about, cure=True)], "scene": chosen_scene(there, [partial(encode, x) for x in (0.0, 1.0)]),
        "notes": [f"Thinned: maps and losses are kept at {PLACES} places of the line, losses on {pair.task.sampling.what}; the maps of the nearest are shown."],
    }  # fmt: skip
