"""The encoder x dynamics surface as a page to turn and zoom; everything is inside the file, so it opens offline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from crar_model.files import StrPath, write_text
from reports.figures.surface import PAIR, Words, at_mark


def write_surface_page(surface: xr.Dataset, path: StrPath, words: Words = PAIR) -> Path:
    """Write the page, about 5 MB, with a button per loss term; returns the path."""
    terms = sorted((str(name) for name in surface.data_vars), key=lambda name: name != "total")
    figure = go.Figure()
    for term in terms:
        values = np.log10(np.clip(surface[term].transpose("y", "x").values, 1e-9, None))
        shown = term == terms[0]
        figure.add_surface(x=surface["x"].values, y=surface["y"].values, z=values, colorscale="Viridis", name=term, visible=shown)
        line = np.log10(np.clip(surface[term].sel(y=0.0, method="nearest").values, 1e-9, None)) + 0.01
        figure.add_scatter3d(
            x=surface["x"].values, y=np.zeros(len(line)), z=line, mode="lines", line={"color": "black", "width": 6},
            name="frozen slice", visible=shown,
        )  # fmt: skip
        heights = [np.log10(max(1e-9, at_mark(surface, term, x, y))) + 0.02 for _, x, y, _, _ in words.marks]
        figure.add_scatter3d(
            x=[m[1] for m in words.marks], y=[m[2] for m in words.marks], z=heights, mode="markers+text", text=[m[0] for m in words.marks],
            marker={"size": 6, "color": [m[4] for m in words.marks]}, name="models", visible=shown,
        )  # fmt: skip
    buttons = [
        {"label": term, "method": "update", "args": [{"visible": [k // 3 == number for k in range(3 * len(terms))]}]}
        for number, term in enumerate(terms)
    ]
    figure.update_layout(
        title="Loss over encoder x dynamics (log10)", updatemenus=[{"buttons": buttons}],
        scene={"xaxis_title": words.encoder, "yaxis_title": words.dynamics, "zaxis_title": "log10 loss"},
    )  # fmt: skip
    write_text(path, figure.to_html(include_plotlyjs=True, full_html=True))
    return Path(path)
