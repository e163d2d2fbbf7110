"""`explorer.html`: surface, paths, embedding, losses and the walking agent on one page, everything inside it, so that it opens offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
import xarray as xr

from crar_model.agent.loss import SHOWN, FrozenLoss
from crar_model.core.files import Plain
from crar_model.core.params import DYNAMICS, Params
from crar_model.mazes.simple import SimpleMaze
from crar_reports.figures.style import DOOR_COLOR, ROOM_COLORS, TERM_COLORS
from crar_reports.figures.surface import Words
from crar_reports.measure.ways import Way
from crar_reports.press.html import templates
from crar_reports.press.typed import embedded, packed, spread

MOST_BYTES = 3_000_000
"""Of the page."""
MOST_NUMBERS = 120_000
"""Numbers of one way: what has more is thinned, and says so."""
NAME = "explorer.html"


def explorer_page(
    *, title: str, lede: str, command: str, ends: Sequence[Plain], surfaces: Sequence[Plain], ways: Sequence[Plain], scene: Plain | None = None,
    notes: Sequence[str] = (),
) -> str:  # fmt: skip
    """The page.

    Args:
        title, lede, command: what stands above, and what made it.
        ends: models whose terms are marked on the bars: label, color, terms.
        surfaces: of :func:`surface_data` or :func:`placement_data`.
        ways: of :func:`way_data`.
        scene: of :func:`moves_scene` where embeddings can be computed on the page, of `maps_scene` where they are stored; None where there are none.
        notes: what a reader should know, a sentence or two each.

    Raises:
        ValueError: for a page of `MOST_BYTES` or more.
    """
    colors = (mpl.colormaps["viridis"](np.linspace(0, 1, 256))[:, :3] * 255).round()
    data: Plain = {
        "terms": sorted(SHOWN, key=lambda name: name != "total"), "colors": TERM_COLORS, "colormap": packed(colors, "u1"), "ends": list(ends),
        "surfaces": list(surfaces), "ways": list(ways), "notes": list(notes), "net": None, "maze": None, "maps": None, **(scene or {}),
    }  # fmt: skip
    page = templates().get_template(NAME).render(title=title, lede=lede, command=command, data=embedded(data))
    if len(page.encode()) >= MOST_BYTES:
        raise ValueError(f"the page has {len(page.encode()):,} bytes; it should have less than {MOST_BYTES:,}")
    return page


def end_data(label: str, color: str, terms: Plain) -> Plain:
    """A model whose terms are marked on the bars."""
    return {"label": label, "color": color, "terms": {name: float(terms[name]) for name in SHOWN if name in terms}}


def surface_data(
    surface: xr.Dataset, words: Words, *, about: str, stops: torch.Tensor | None = None, adapted: torch.Tensor | None = None
) -> Plain:
    """The surface encoder x dynamics.

    Args:
        surface: of `encoder_dynamics`.
        words: marks and axes.
        about: a sentence.
        stops: (2, rows, d) embeddings at encoder 0 and 1 of a surface in embedding space, (columns, rows, d) at every x of another; None where none are kept.
        adapted: the dynamics at 1, as :func:`flat_dynamics` has them.
    """
    straight = surface.attrs.get("space") == "embedding"
    at = [0.0, 1.0] if straight else surface["x"].values
    return {
        "kind": "product", "name": "Encoder x dynamics", "about": about, **_grid(surface), "begin": [0.0, 0.0], "slice": words.slice,
        "marks": [{"label": label, "x": x, "y": y, "shape": shape, "color": color} for label, x, y, shape, color in words.marks],
        "xlabel": words.encoder, "ylabel": "dynamics: 0 its own, 1 adapted", "straight": straight, "at": packed(at),
        "encoder": None if stops is None else packed(stops), "adapted": None if adapted is None else packed(adapted),
    }  # fmt: skip


def placement_data(data: xr.Dataset, places: Plain, *, about: str) -> Plain:
    """The total by the place of the start state, of `crar cure`; `places` of the models on it: label -> (place, shape, color)."""
    turned = data.transpose("y", "x")
    return {
        "kind": "placement", "name": "Place of the start state", "about": about, **_grid(turned), "slice": None,
        "begin": [float(value) for value in next(iter(places.values()))[0]],
        "marks": [{"label": label, "x": at[0], "y": at[1], "shape": shape, "color": color} for label, (at, shape, color) in places.items()],
        "xlabel": "start state, first feature", "ylabel": "second feature", "straight": True,
    }  # fmt: skip


def _grid(surface: xr.Dataset) -> Plain:
    values = {str(name): packed(surface[name].transpose("y", "x").values) for name in surface.data_vars}
    return {"x": packed(surface["x"].values), "y": packed(surface["y"].values), "values": values}


def flat_dynamics(params: Params, widths: dict[str, tuple[int, ...]]) -> torch.Tensor:
    """(..., numbers) dense dynamics block by block, layer by layer, each weight (out, in) and then its bias; leading axes are those of the parameters."""
    parts = []
    for block in DYNAMICS:
        for layer in range(len(widths[block]) - 1):
            parts += [params[f"{block}.{layer}.weight"].flatten(-2), params[f"{block}.{layer}.bias"]]
    return torch.cat(parts, dim=-1)


def way_data(way: Way, own: Params, widths: dict[str, tuple[int, ...]]) -> Plain:
    """A way, thinned to `MOST_NUMBERS`: then its stops alone are shown, for between two of those that are left lies what was left out."""
    moving = None
    if way.dynamics is not None:
        count = len(way.position)
        still = {name: value.expand(count, *value.shape) for name, value in own.items() if name not in way.dynamics}
        moving = flat_dynamics(still | way.dynamics, widths)
    each = way.embeddings[0].numel() + (0 if moving is None else moving.shape[1])
    kept = spread(len(way.position), max(3, MOST_NUMBERS // each), (way.peak,))
    thinned = len(kept) < len(way.position)
    heights = None if way.heights is None else {"at": packed(way.heights[0]), "total": packed(way.heights[1])}
    return {
        "name": way.name, "label": way.label, "about": way.about, "unit": way.unit, "position": packed(way.position[kept]), "heights": heights,
        "embeddings": packed(way.embeddings[kept]), "dynamics": None if moving is None else packed(moving[kept]),
        "straight": way.straight and not thinned, "surface": way.surface, "peak": kept.index(way.peak) if way.peak in kept else 0,
        "thinned": f"Thinned: {len(kept)} of its {len(way.position)} points are kept, and the nearest is shown." if thinned else "",
    }  # fmt: skip


def bars_data(at: Any, terms: Mapping[str, Any]) -> Plain:
    """The terms along a way whose losses a page cannot compute: `terms` by name, at positions `at`."""
    return {"at": packed(at), "values": {name: packed(value) for name, value in terms.items() if name != "total" and name in SHOWN}}


def line_bars(line: xr.Dataset) -> Plain:
    """The terms of a line over `t`."""
    return bars_data(line["t"].values, {str(name): line[name].values for name in line.data_vars})


def loss_way(
    name: str, label: str, about: str, at: np.ndarray[Any, Any], total: np.ndarray[Any, Any], bars: Plain | None = None
) -> Plain:  # fmt: skip
    """A way of which only the losses are known, at positions from 0 to 1; the straight one lies on the surface. `bars` of :func:`bars_data`."""
    known = np.isfinite(at) & (at >= 0) & (at <= 1)
    return {
        "name": name, "label": label, "about": about, "unit": "of the way", "position": packed([float(at[known][0]), float(at[known][-1])]),
        "heights": {"at": packed(at[known]), "total": packed(total[known])}, "embeddings": None, "dynamics": None, "straight": True,
        "surface": name == "straight", "thinned": "" if bars else "Along it the total was measured, not its terms.", "bars": bars,
    }  # fmt: skip


def moves_scene(frozen: FrozenLoss, own: Params, maze: SimpleMaze, *, live: bool = False) -> Plain:
    """What the page needs to compute losses, predictions and routes of a maze whose states can be listed.

    Args:
        frozen: the loss on all transitions, of an agent with dense dynamics.
        own: the failed model's dynamics.
        maze: its tables.
        live: bootstrap values are the model's own at every place, as `crar cure` has them, not those of the batch.
    """
    batch, settings, widths = frozen.batch, frozen.settings, frozen.agent.dynamics_widths
    assert widths is not None
    assert batch.pairs is not None
    parts, names = maze.regions()
    rooms = parts.tolist()
    count = max(rooms) + 1
    target = None if live or batch.value_target is None else packed(batch.value_target)
    coefficients = ("discount", "pair_scale", "pair_min", "pair_max", "ball_radius", "ball_max", "value_over_actions")
    return {
        "net": {
            "widths": {block: list(widths[block]) for block in DYNAMICS}, "own": packed(flat_dynamics(own, widths)), "size": frozen.agent.abstract_size,
            "actions": frozen.agent.n_actions, "loss": {name: getattr(settings, name) for name in coefficients}, "weights": settings.weights(),
            "batch": {
                "state": packed(batch.state, "i4"), "next": packed(batch.next_state, "i4"), "action": packed(batch.action, "i4"),
                "reward": packed(batch.reward), "terminated": packed(batch.terminated), "pairs": packed(batch.pairs, "i4"), "target": target,
            },
        },
        "maze": {
            "walls": packed(maze.walls, "u1"), "positions": packed(maze.positions, "i4"), "successor": packed(maze.successor, "i4"), "start": maze.start,
            "goal": _far_from(maze), "rooms": packed(rooms, "i4"), "roomNames": [names[room] for room in range(count)],
            "colors": [ROOM_COLORS[room % len(ROOM_COLORS)] for room in range(count)], "door": DOOR_COLOR,
        },
    }  # fmt: skip


def _far_from(maze: SimpleMaze) -> int:
    """A state that lies far from the start."""
    from crar_model.tasks.metrics import graph_distances

    return int(graph_distances(maze.successor)[maze.start].argmax())
