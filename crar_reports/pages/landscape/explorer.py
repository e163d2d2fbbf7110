"""The explorer of `crar landscape`: of a pair of models, and of one alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import xarray as xr

from crar_model.core.files import Plain
from crar_model.core.params import DYNAMICS, Params, select
from crar_model.mazes.simple import SimpleMaze
from crar_reports.figures.explorer import (
    bars_data,
    end_data,
    explorer_page,
    flat_dynamics,
    line_bars,
    loss_way,
    moves_scene,
    surface_data,
    way_data,
)
from crar_reports.figures.explorer_maps import WEIGHTS, cure_line, line_way, map_way, maps_note, maps_scene
from crar_reports.figures.surface import ALONE, MARKS, PAIR, Words
from crar_reports.measure.dissection import Dissection
from crar_reports.measure.mended import Mended
from crar_reports.measure.shown_states import encoder_along
from crar_reports.measure.subject import Subject
from crar_reports.measure.ways import Way, cure_way, flat_ways, passage_ways, straight_way
from crar_reports.measure.without_reference import Lone

TITLE = "Explore a failed transfer"
VERDICTS = {"matched": "is its base's", "swapped": "is swapped", "neither": "is neither its base's nor a swapped one"}
STRAIGHT = "The encoder moves straight from the failed one to the reference; the dynamics stay."
SURFACE = "The encoder moves from the failed one to the reference, the dynamics from the failed model's to those adapted to its embedding."
LOSSES = (
    "A world that others made has no board on which states and agent could be drawn, and no tiles to show its observations by. So the page has losses alone, those measured "
    "at the nearest grid point."
)
QUICK = "Made with --quick: descents and paths were cut short."


def landscape_explorer(found: Dissection, command: str, mended: Mended | None = None, why_not: str = "") -> str:
    """The page of a failed model and its base, with what a cure made of it, or why none is shown."""
    pair = found.subject
    ends = [
        end_data("failed model", MARKS[0][4], found.failed.terms), end_data(found.reference_name, MARKS[1][4], found.optimum.terms),
    ]  # fmt: skip
    seen = "the abstract states" if computable(pair) or are_maps(pair) else "its losses"
    lede = (
        f"A {pair.failed_file.info.get('variant', '?')} transfer in the {'inverse' if pair.inverse else 'normal'} {pair.task.title}; its embedding "
        f"{VERDICTS[found.match.verdict]}. Drag the marker over the loss, or play a path from the failed model to the restored one, and watch what becomes of "
        f"{seen}."
    )
    notes = [*([QUICK] if found.quick else []), *([why_not] if why_not else [])]
    if computable(pair):
        ways = [straight_way(pair, found.lines.get("embedding"), STRAIGHT)]
        ways += [] if found.passage is None else passage_ways(pair, found.passage)
        ways += [] if mended is None else [cure_way(pair, mended)]
        ways += [] if found.minimum is None else flat_ways(pair, found.minimum)
        parts = moving_parts(pair, found.surface, found.adapted.params, ways, PAIR, SURFACE)
        return explorer_page(title=TITLE, lede=lede, command=command, ends=ends, **parts, notes=[*notes, *_missing(found.surface, ways)])
    if are_maps(pair):
        return explorer_page(
            title=TITLE, lede=lede, command=command, ends=ends, **_map_parts(found, mended), notes=[*notes, maps_note(found.surface)]
        )
    line = found.lines["embedding"]
    lines = [loss_way("straight", "Straight line", STRAIGHT, line["t"].values, line["total"].values, line_bars(line))]
    for way in [] if found.passage is None else passage_ways(pair, found.passage):
        assert way.heights is not None
        at, total = way.heights
        lines.append(loss_way(way.name, way.label, way.about, at.numpy(), total.numpy(), _bars(pair, way)))
    if mended is not None:
        _, data, about = cure_line(pair, mended)
        lines.append(loss_way("cure", "The cure", about, data["t"].values, data["total"].values, line_bars(data)))
    surfaces = [surface_data(found.surface, PAIR, about=SURFACE)]
    return explorer_page(title=TITLE, lede=lede, command=command, ends=ends, surfaces=surfaces, ways=lines, notes=[*notes, LOSSES])


def alone_explorer(found: Lone, command: str, mended: Mended | None = None, why_not: str = "") -> str:
    """The page of one model without its base; the others as of :func:`landscape_explorer`."""
    pair = found.subject
    ends = [end_data("the model", ALONE.marks[0][4], found.terms)]
    lede = (
        f"A model of the {'inverse' if pair.inverse else 'normal'} {pair.task.title}, looked at without its base: drag the marker over the loss, and watch "
        "what becomes of the embedding and the agent."
    )
    about = "The encoder moves to the one of the released model, the dynamics to those adapted to the model's embedding."
    if not computable(pair):
        surfaces = [surface_data(found.surface, ALONE, about=about)]
        return explorer_page(title="Explore a model", lede=lede, command=command, ends=ends, surfaces=surfaces, ways=[], notes=[LOSSES])
    way = straight_way(
        pair, None, "The encoder moves straight from the model's own to the one that it has once everything is released; the dynamics stay."
    )
    ways = [way, *([] if mended is None else [cure_way(pair, mended)]), *flat_ways(pair, found.minimum)]
    parts = moving_parts(pair, found.surface, found.adapted.params, ways, ALONE, about)
    notes = [*([QUICK] if found.quick else []), *([why_not] if why_not else []), *_missing(found.surface, ways)]
    return explorer_page(title="Explore a model", lede=lede, command=command, ends=ends, **parts, notes=notes)


def computable(pair: Subject) -> bool:
    """Whether a page can compute losses and routes itself: all states are listed, and the dynamics are dense."""
    return isinstance(pair.task.maze, SimpleMaze) and pair.agent.dynamics_widths is not None and pair.batch.pairs is not None


def are_maps(pair: Subject) -> bool:
    """Whether abstract states are maps, of observations that are pictures of tiles."""
    return pair.task.maze is None and not pair.task.known_by_data and pair.agent.positions > 1


def moving_parts(pair: Subject, surface: xr.Dataset, adapted: Params, ways: Sequence[Way], words: Words, about: str) -> Plain:
    """Surface, ways and scene of a pair whose page computes everything itself."""
    widths, maze, own = pair.agent.dynamics_widths, pair.task.maze, select(pair.failed, DYNAMICS)
    assert widths is not None
    assert isinstance(maze, SimpleMaze)
    encode = encoder_along(pair, surface)
    places = (0.0, 1.0) if surface.attrs["space"] == "embedding" else surface["x"].values.tolist()
    stops = torch.stack([encode(x, pair.batch.observations) for x in places])
    return {
        "surfaces": [surface_data(surface, words, about=about, stops=stops, adapted=flat_dynamics(adapted, widths))],
        "ways": [way_data(way, own, widths) for way in ways], "scene": moves_scene(pair, own, maze),
    }  # fmt: skip


def _bars(pair: Subject, way: Way) -> Plain:
    """The terms at the stops of a way."""
    found = [
        pair.terms(pair.dynamics | {name: value[k] for name, value in (way.dynamics or {}).items()}, at) for k, at in enumerate(way.embeddings)
    ]  # fmt: skip
    return bars_data(way.position, {name: [float(one[name]) for one in found] for name in found[0]})


def _map_parts(found: Dissection, mended: Mended | None) -> Plain:
    """The same where abstract states are maps: they are kept at some places."""
    pair, sampled = found.subject, found.sampled
    space = "embedding" if found.surface.attrs["space"] == "embedding" else "aligned" if found.surface.attrs["aligned"] else "weight"
    axis, encode = found.surface["x"].values.tolist(), encoder_along(pair, found.surface)
    ways = [line_way(pair, found.lines[space], axis, encode, STRAIGHT)]
    if sampled is not None:
        on = "Losses along it are those of the sample of transitions that it was found on."
        for name, label, path in (("frozen", "Frozen path", sampled.paths.frozen), ("free", "Free path", sampled.paths.free)):
            ways.append(map_way(pair, name, label, f"The lowest path found in the weights with the dynamics {name}. {on}", path))
    if mended is not None:
        there, line, about = cure_line(pair, mended)
        ways.append(line_way(there, line, line["t"].values.tolist(), encoder_along(there, WEIGHTS), about, cure=True))
    maps = maps_scene(pair, found.surface, found.adapted.params)
    return {"surfaces": [surface_data(found.surface, PAIR, about=SURFACE)], "ways": ways, "scene": maps}


def _missing(surface: xr.Dataset, ways: Sequence[Way]) -> list[str]:
    said = []
    if surface.attrs["space"] != "embedding":
        said.append(
            "The encoder moves through its weights here, so embeddings are kept at grid points and at the paths' points; the nearest is shown."
        )
    if not any(way.name == "frozen" for way in ways):
        said.append("No paths were looked for, so there are none to play but the straight line.")
    return said
