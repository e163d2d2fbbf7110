"""How far the encoder's landscape moves with the dynamics."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from crar_reports.figures.style import BLUE, VERMILION, house_style
from crar_reports.measure.shifts import Shift


def shifts_figure(shifts: Sequence[Shift], shares: Sequence[float]) -> Figure:
    """Change of loss and gradient over the distance that the dynamics moved."""
    with house_style():
        figure = Figure(figsize=(8.2, 3.5), layout="constrained")
        left, right = figure.subplots(1, 2)
        count = len(shares)
        for label, part, color in (
            ("towards the adapted dynamics", shifts[1:count], BLUE), ("random direction", shifts[count + 1 : 2 * count], VERMILION),
        ):  # fmt: skip
            distance = [s.distance for s in part]
            left.plot(distance, [s.values for s in part], "o-", color=color, label=label)
            right.plot(distance, [s.gradients for s in part], "o-", color=color, label=label)
        for axes, name in ((left, "change of the loss (rms)"), (right, "change of the gradient, relative")):
            axes.set(xscale="log", yscale="log", xlabel="distance moved by the dynamics", ylabel=name)
        left.legend()
    return figure
