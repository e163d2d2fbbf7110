"""Kaplan-Meier curves of updates until success, a panel a variant, with the numbers at risk below."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from crar_reports.figures.style import SERIES, SLATE, house_style
from crar_reports.statistics import Times, at_risk, success_curve

LINES = ("-", "--")
TICKS = 4
SHORT = 18
"""Letters of a name of which two stand beside each other in a legend."""


def survival_figure(panels: Sequence[tuple[str, float, Sequence[tuple[str, Times]]]]) -> Figure:
    """The share that has come up by so many updates, with its pointwise 95 % interval; small marks where training ended before success.

    Args:
        panels: (title, updates that its axis goes to, (name, times until success)) of each; the first curve of a panel is drawn solid, the second
            dashed, and a curve ends where its last model does.
    """
    columns = min(3, len(panels))
    lines, most = -(-len(panels) // columns), max(len(curves) for *_, curves in panels)  # alike in all panels, so that their axes are level
    beside = 1 + all(len(_named(name, times)) <= SHORT for *_, curves in panels for name, times in curves)
    head = 6 + 12 * -(-most // beside)  # points of the legend, above which the title stands
    with house_style():
        figure = plt.figure(figsize=(3.7 * columns + 0.3, (2.8 + head / 72) * lines), layout="constrained")
        outer = figure.add_gridspec(lines, columns)
        for place, (title, end, curves) in enumerate(panels):
            ticks = [tick for tick in MaxNLocator(TICKS).tick_values(0, end) if tick <= end]
            inner = outer[place // columns, place % columns].subgridspec(2, 1, height_ratios=(5, 0.7 + 0.55 * most), hspace=0)
            axes = figure.add_subplot(inner[0])
            below = figure.add_subplot(inner[1], sharex=axes)
            below.axis("off")
            below.set_ylim(-most - 0.2, 0.8)
            below.annotate("at risk", (0, 0.3), xycoords="data", fontsize=7, ha="center", color=SLATE)
            for number, (name, times) in enumerate(curves):
                color = SERIES[number % len(SERIES)]
                _draw(axes, name, times, color, LINES[number % len(LINES)])
                for tick in ticks:
                    below.annotate(str(at_risk(times, tick)), (tick, -number - 0.7), fontsize=7, ha="center", color=color)
            axes.set_title(title, pad=head)
            axes.set(xlim=(-0.02 * end, 1.02 * end), ylim=(-0.03, 1.03))
            axes.set_yticks(np.linspace(0, 1, 5))
            axes.set_xticks(ticks, [f"{tick / 1000:g}" for tick in ticks])
            axes.set_xlabel("updates (thousands)", fontsize=8)
            axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.98), ncols=beside, borderaxespad=0)
            if place % columns == 0:
                axes.set_ylabel("share that has come up")
    plt.close(figure)
    return figure


def _draw(axes: Axes, name: str, times: Times, color: str, line: str) -> None:
    curve = success_curve(times)
    last = max((*times.reached, *times.censored))
    steps = [np.array((*values, values[-1])) for values in (curve.updates, curve.share, curve.low, curve.high)]
    steps[0][-1] = last
    axes.step(steps[0], steps[1], where="post", color=color, linestyle=line, linewidth=1.6, label=_named(name, times))
    axes.fill_between(steps[0], steps[2], steps[3], step="post", color=color, alpha=0.15, linewidth=0)
    ends = sorted(set(times.censored))
    axes.plot(ends, [curve.at(end)[0] for end in ends], "|", color=color, markersize=6)


def _named(name: str, times: Times) -> str:
    return f"{name}, {len(times.reached)}/{len(times)}"
