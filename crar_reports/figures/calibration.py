"""How often what was predicted came true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from crar_reports.figures.style import ACTION_COLORS, house_style


def calibration_figure(rows: Sequence[dict[str, Any]]) -> Figure:
    """Predicted probability against the share that succeeded, by groups of bases.

    Args:
        rows: predictors with `name` and `calibration`, whose groups have `predicted`, `share`, `low` and `high`.
    """
    with house_style():
        figure = Figure(figsize=(4.6, 4.2), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
        for row, color, marker in zip(rows, ACTION_COLORS, "so^v", strict=False):
            groups = row["calibration"]
            x, y, low, high = (np.array([group[name] for group in groups]) for name in ("predicted", "share", "low", "high"))
            axes.errorbar(x, y, (y - low, high - y), fmt=marker, color=color, markersize=5, linewidth=0.8, label=row["name"])
        axes.set(
            xlabel="predicted probability of success", ylabel="share that succeeded", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal"
        )
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)  # bars stand anywhere inside
    return figure
