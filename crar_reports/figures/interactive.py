"""The encoder x dynamics surface as a page to turn and zoom; everything is inside the file, so it opens offline."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from crar_reports.figures.style import INK
from crar_reports.figures.surface import PAIR, Words, at_mark
from crar_reports.press.html import whole_page

TITLE = "Loss over encoder x dynamics"
FLOOR = 1e-9
"""Losses below it are drawn as it: a term can be 0, whose logarithm is not drawn."""
ARROWS = ((45, -70), (45, 60), (-50, 60))
"""Where the label of each mark stands, in pixels right of and below it: away from the others and the axes, on a phone too."""


def surface_page(surface: xr.Dataset, words: Words = PAIR) -> str:
    """The page, about 5 MB of HTML, with an entry of the menu per loss term. Title and legend are text of the page, which wraps on a narrow screen; those of
    plotly would be cut off there."""
    drawn = interactive_surface(surface, words).to_html(
        include_plotlyjs=True, full_html=False, default_height="100%",
        config={"displaylogo": False, "showSendToCloud": False, "responsive": True},
    )  # fmt: skip
    marks = [(words.slice, INK), *((label, color) for label, _, _, _, color in words.marks)]
    legend = "".join(f'<li style="--mark: {color}">{escape(label)}</li>' for label, color in marks)
    head = f"<h1>{escape(TITLE)}</h1>\n<p>{escape(words.encoder)}; {escape(words.dynamics)}</p>\n<ul>{legend}</ul>"
    return whole_page(TITLE, f"<header>{head}</header>\n<main>{drawn}</main>", whole_window=True)


def interactive_surface(surface: xr.Dataset, words: Words = PAIR) -> go.Figure:
    """The surface of every term with its frozen slice and its models, one term shown at a time, `total` first.

    The labels of the models are annotations, which are drawn over the surface; text of a trace would vanish behind it.
    """
    terms = sorted((str(name) for name in surface.data_vars), key=lambda name: name != "total")
    figure = go.Figure()
    for term in terms:
        for trace in _traces(surface, term, words):
            figure.add_trace(trace.update(visible=term == terms[0]))
    each = len(figure.data) // len(terms)
    buttons = [
        {
            "label": term,
            "method": "update",
            "args": [
                {"visible": [k // each == number for k in range(len(figure.data))]},
                {"scene.annotations": _labels(surface, term, words)},
            ],
        }
        for number, term in enumerate(terms)
    ]
    figure.update_layout(
        margin={"l": 5, "r": 5, "t": 40, "b": 5},
        updatemenus=[{"buttons": buttons, "x": 0.01, "xanchor": "left", "y": 0.99, "yanchor": "top"}],
        showlegend=False,
        scene={
            "xaxis_title": "encoder", "yaxis_title": "dynamics", "zaxis_title": "log10 loss", "annotations": _labels(surface, terms[0], words),
            "aspectmode": "manual", "aspectratio": {"x": 1, "y": 1, "z": 0.7},
            "camera": {"eye": {"x": 1.5, "y": 1.5, "z": 1.1}, "center": {"x": 0, "y": 0, "z": -0.15}},
        },
    )  # fmt: skip
    return figure


def _traces(surface: xr.Dataset, term: str, words: Words) -> list[Any]:
    """A term's surface, its frozen slice and its models."""
    values = np.log10(np.clip(surface[term].transpose("y", "x").values, FLOOR, None))
    line = np.log10(np.clip(surface[term].sel(y=0.0, method="nearest").values, FLOOR, None)) + 0.01
    x, y = surface["x"].values, surface["y"].values
    bar = {
        "title": {"text": f"log10 {term}", "side": "top"},
        "orientation": "h",
        "x": 0.5,
        "xanchor": "center",
        "y": 0.0,
        "yanchor": "top",
        "len": 0.9,
        "thickness": 14,
    }
    traces = [
        go.Surface(x=x, y=y, z=values, colorscale="Viridis", name=term, colorbar=bar),
        go.Scatter3d(x=x, y=np.zeros(len(line)), z=line, mode="lines", line={"color": INK, "width": 6}, name=words.slice),
    ]
    traces += [
        go.Scatter3d(x=[a], y=[b], z=[_height(surface, term, a, b)], mode="markers", marker={"size": 6, "color": color}, name=label)
        for label, a, b, _, color in words.marks
    ]
    return traces


def _labels(surface: xr.Dataset, term: str, words: Words) -> list[dict[str, Any]]:
    """The labels of the models where a term's surface has them."""
    return [
        {
            "x": a, "y": b, "z": _height(surface, term, a, b), "text": label.replace(", ", ",<br>"), "ax": right, "ay": down,
            "font": {"color": color}, "bgcolor": "rgba(255, 255, 255, 0.85)", "arrowcolor": color, "arrowwidth": 1.5, "arrowhead": 0,
        }
        for (label, a, b, _, color), (right, down) in zip(words.marks, ARROWS, strict=True)
    ]  # fmt: skip


def _height(surface: xr.Dataset, term: str, x: float, y: float) -> float:
    """Of a model's mark, a little above the surface."""
    return float(np.log10(max(FLOOR, at_mark(surface, term, x, y)))) + 0.02
