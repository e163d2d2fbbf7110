"""Loss terms along straight lines from the failed model to the reference."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr
from matplotlib.figure import Figure

from crar_reports.figures.style import TERM_COLORS, house_style


def lines_figure(panels: Sequence[tuple[str, xr.Dataset]], terms: Sequence[str], what: str) -> Figure:
    """A column per line: the total on a linear axis, the terms below it on a logarithmic one. Terms that stay below its end are named, not drawn.

    Args:
        panels: (title, line over `t`) pairs.
        terms: variables to draw.
        what: the batch, for the axis.
    """
    floor = 1e-6  # a logarithmic axis cannot show 0
    with house_style():
        seen = [term for term in terms if term != "total" and any(float(line[term].max()) > floor for _, line in panels)]
        hidden = [term for term in terms if term not in (*seen, "total")]
        rows = [name for name, there in (("total", "total" in terms), ("terms", bool(seen))) if there]
        figure = Figure(figsize=(3.7 * len(panels), 2.0 + 1.9 * len(rows)), layout="constrained")
        grid = figure.subplots(len(rows), len(panels), sharex=True, sharey="row", squeeze=False)
        for column, (title, line) in enumerate(panels):
            for row, name in enumerate(rows):
                axes = grid[row][column]
                for term in ("total",) if name == "total" else seen:
                    values = line[term].values if name == "total" else line[term].values.clip(min=floor)
                    axes.plot(line["t"], values, color=TERM_COLORS[term], label=term, linewidth=2.2 if term == "total" else 1.4)
            grid[0][column].set_title(title)
            grid[-1][column].set_xlabel("t: 0 failed, 1 reference")
        for row, name in enumerate(rows):
            grid[row][0].set_ylabel(f"{name} on {what}" if len(what) < 22 else name)
            if name == "total":
                grid[row][0].set_ylim(bottom=0)
            else:  # after the last panel, so that the shared axis reaches the highest of all
                grid[row][0].set(yscale="log")
                grid[row][0].set_ylim(bottom=floor)
        found = [pair for axes in grid[:, 0] for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
        note = f"below {floor:g} everywhere: {', '.join(hidden)}" if hidden else None
        figure.legend(*zip(*found, strict=True), loc="outside lower center", ncols=len(found), title=note, title_fontsize=8)
    return figure
