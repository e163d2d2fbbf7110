"""How often what was predicted came true."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from crar_reports.figures.style import FAINT, SERIES, house_style
from crar_reports.measure.forecast import Scored

STEP = 0.1
"""Each axis ends at a multiple of it, the first that holds all there is to see."""


def calibration_figure(rows: Sequence[Scored]) -> Figure:
    """Predicted probability against the share that succeeded, by groups of bases; each axis goes from 0 as far as there is something to see.

    Args:
        rows: predictors with their groups.
    """
    groups = [group for row in rows for group in row.calibration]
    wide, tall = _end([group.predicted for group in groups]), _end([group.high for group in groups])
    with house_style():
        figure = Figure(figsize=(4.6, 4.2), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([0, min(wide, tall)], [0, min(wide, tall)], color=FAINT, linewidth=0.8, label="as predicted")
        for row, color, marker in zip(rows, SERIES, "so^v", strict=False):
            x, y, low, high = np.array([(group.predicted, group.share, group.low, group.high) for group in row.calibration]).T
            bars = axes.errorbar(x, y, (y - low, high - y), fmt=marker, color=color, markersize=5, linewidth=0.8, label=row.name)
            for part in (bars[0], *bars[2]):
                part.set_clip_on(False)  # a marker at 0 is whole
        axes.set(xlabel="predicted probability of success", ylabel="share that succeeded", xlim=(0, wide), ylim=(0, tall))
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)  # bars stand anywhere inside
    return figure


def _end(values: Sequence[float]) -> float:
    return float(min(1.0, STEP * np.ceil(max(values, default=1.0) / STEP - 1e-9)))
