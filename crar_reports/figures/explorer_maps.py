"""What the explorer shows where abstract states are maps: those of a few observations, kept at some places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
import xarray as xr
from torch import Tensor

from crar_model.agent.loss import SHOWN
from crar_model.core.files import Plain
from crar_model.core.params import DYNAMICS, Params, select
from crar_model.core.tiles import NEGATED, draw_pixels
from crar_reports.figures.explorer import line_bars
from crar_reports.measure.mended import Mended
from crar_reports.measure.shown_states import Shown, chosen_rows, dynamics_at, encoder_along, shown_states
from crar_reports.measure.subject import Subject
from crar_reports.press.typed import packed, spread
from landscape_tools import Path

PLACES = 9
"""Places along either axis of a surface at which maps are kept."""
WEIGHTS = xr.Dataset(attrs={"space": "weight", "aligned": 0})
"""A line through the weights, to the very encoder of a cure."""


def kept_places(axis: Sequence[float]) -> list[int]:
    """Grid points at which maps are kept: those of the models among them."""
    models = [k for k, value in enumerate(axis) if value in (0.0, 1.0)]
    return spread(len(axis), PLACES, tuple(models))


def maps_scene(pair: Subject, surface: xr.Dataset, adapted: Params) -> Plain:
    """Maps at some of a surface's places."""
    columns, rows = (kept_places(surface[axis].values.tolist()) for axis in ("x", "y"))
    xs, ys = surface["x"].values[columns].tolist(), surface["y"].values[rows].tolist()
    encode = encoder_along(pair, surface)
    found = shown_states(pair, [partial(encode, x) for x in xs], [dynamics_at(pair, adapted, y) for y in ys])
    scene = chosen_scene(pair, [partial(encode, x) for x in (0.0, 1.0)])
    scene["maps"] |= {"at": packed(xs), "rows": packed(ys), **_three(found)}
    return scene


def chosen_scene(pair: Subject, ends: Sequence[Callable[[Tensor], Tensor]]) -> Plain:
    """The observations that are looked at, and how large their abstract states are at both ends."""
    chosen = chosen_rows(pair)
    tiles, other = pair.batch.observations[pair.batch.state[chosen]], pair.task.observation_map.per_pixel or NEGATED
    pixels = draw_pixels(tiles, other=other)[:, 0]
    low, high = float(pixels.min()), float(pixels.max())
    gray = ((pixels - low) / max(high - low, 1e-9) * 255).round()
    limit = max(float(one(tiles).abs().max()) for one in ends)
    return {
        "maps": {
            "shape": list(pair.agent.abstract_shape), "shown": len(chosen), "limit": limit, "observed": packed(gray, "u1"),
            "words_of": [f"after action {action}" for action in pair.batch.action[chosen].tolist()],
            "words": f"{len(chosen)} observations, their abstract states, and those after a move",
        }
    }  # fmt: skip


def maps_note(surface: xr.Dataset) -> str:
    """What was thinned."""
    columns, rows = (len(kept_places(surface[axis].values.tolist())) for axis in ("x", "y"))
    return (
        f"Thinned: maps are kept at {columns} x {rows} places of the surface, and those of the nearest are shown; losses are those measured at the nearest of "
        f"{surface.sizes['x']} x {surface.sizes['y']} grid points."
    )


def map_way(pair: Subject, name: str, label: str, about: str, path: Path) -> Plain:
    """A path through weights, with the maps at its points; dynamics that move with it have a point each."""
    encoders = [{n: value[k] for n, value in select(path.points, ("encoder",)).items()} for k in range(len(path.position))]
    encode = [partial(pair.agent.encode, {n: value.to(pair.failed[n].dtype) for n, value in one.items()}) for one in encoders]
    moving = select(path.points, DYNAMICS)
    each = [
        select(pair.failed, DYNAMICS) | {n: value[k].to(pair.failed[n].dtype) for n, value in moving.items()}
        for k in range(len(path.position))
    ]
    parts = [shown_states(pair, [one], [dynamics]) for one, dynamics in zip(encode, each, strict=True)]
    maps = {
        "at": packed(path.position), "state": packed([part.state[0].numpy() for part in parts]), "actual": packed([part.actual[0].numpy() for part in parts]),
        "predicted": packed([part.predicted[0, 0].numpy() for part in parts]),
    }  # fmt: skip
    return {
        "name": name, "label": label, "about": about, "unit": "of the way", "position": packed(path.position), "straight": True, "surface": False,
        "heights": {"at": packed(path.walk), "total": packed(path.heights)}, "maps": maps,
        "thinned": "Maps are those of the nearest point of the path. Along it the total was measured, not its terms.",
        "embeddings": None, "dynamics": None,
    }  # fmt: skip


def line_way(
    pair: Subject, line: xr.Dataset, axis: Sequence[float], encode: Callable[[float, Tensor], Tensor], about: str, *, cure: bool = False
) -> Plain:  # fmt: skip
    """The straight line to the reference, or to a cure, with maps at some places of an axis; `encode` as of `encoder_along`."""
    xs = [x for x in axis if 0 <= x <= 1] or [0.0, 1.0]  # a coarse axis may have no place between the models
    xs = [xs[k] for k in spread(len(xs), PLACES)]
    found = shown_states(pair, [partial(encode, x) for x in xs], [select(pair.failed, DYNAMICS)])
    maps = {"at": packed(xs), "state": packed(found.state), "actual": packed(found.actual), "predicted": packed(found.predicted[0])}
    heights = {"at": packed(line["t"].values), "total": packed(line["total"].values)}
    return {
        "name": "cure" if cure else "straight", "label": "The cure" if cure else "Straight line", "about": about, "unit": "of the way",
        "position": packed([0.0, 1.0]), "straight": True, "surface": not cure, "heights": heights, "maps": maps, "thinned": f"Maps are kept at {len(xs)} places, and the nearest is shown.", "embeddings": None, "dynamics": None, "bars": line_bars(line),
    }  # fmt: skip


def cure_line(pair: Subject, mended: Mended) -> tuple[Subject, xr.Dataset, str]:
    """The pair with a cure as its reference, the losses on the straight line through the weights to its encoder, and what that line is in a sentence."""
    there = pair.referred_to({name: value.to(pair.failed[name].dtype) for name, value in mended.encoder.items()})
    xs, encode = torch.linspace(0, 1, PLACES, dtype=torch.float64).tolist(), encoder_along(there, WEIGHTS)
    terms = [there.terms(there.dynamics, encode(x, there.batch.observations)) for x in xs]
    about = f"Through the weights, straight from the failed encoder to the {mended.name} one ({mended.method}); the dynamics stay. Nobody had to pass these losses."
    return (
        there,
        xr.Dataset({name: ("t", [float(one[name]) for one in terms]) for name in SHOWN if name in terms[0]}, coords={"t": xs}),
        about,
    )


def _three(found: Shown) -> Plain:
    return {"state": packed(found.state), "actual": packed(found.actual), "predicted": packed(found.predicted)}
