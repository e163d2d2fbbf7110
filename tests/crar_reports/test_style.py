"""Colours are told apart by all kinds of sight, on light and dark, and stand in one file; figures show what they should."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from crar_model.agent.loss import SHOWN
from crar_reports.figures import style
from crar_reports.figures.calibration import calibration_figure
from crar_reports.figures.escape import escape_figure
from crar_reports.figures.placement import placement_figure
from crar_reports.figures.shares import shares_figure
from crar_reports.measure.exits import Watched
from crar_reports.measure.forecast import Estimate, Group, Scored

REPORTS = Path(style.__file__).parents[1]
SIGHT = {  # Machado, Oliveira and Fernandes 2009, severity 1: linear RGB to linear RGB
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritan": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
APART = 14.0
"""CIELAB distance below which thin lines are mistaken for each other; 2.3 is a just noticeable difference of large fields."""
Array = np.ndarray[Any, Any]


def linear(color: str) -> Array:
    rgb = np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: Array) -> Array:
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(to_xyz @ np.clip(rgb, 0, 1) / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one: str, other: str) -> float:
    low, high = sorted(float(linear(color) @ [0.2126, 0.7152, 0.0722]) for color in (one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("sight", list(SIGHT))
@pytest.mark.parametrize("colors", [list(style.TERM_COLORS.values()), [*style.SERIES]], ids=["terms", "series"])
def test_colours_are_told_apart(sight: str, colors: list[str]) -> None:
    seen = {color: lab(np.array(SIGHT[sight]) @ linear(color)) for color in colors}
    assert len(seen) == len(colors)
    for one, other in itertools.combinations(colors, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > APART, (one, other)


def test_colours_are_seen_on_light_and_dark() -> None:
    assert set(style.TERM_COLORS) >= set(SHOWN)
    for color in {*style.TERM_COLORS.values(), *style.SERIES} - {style.INK}:
        assert contrast(color, style.PAPER) > 2, color
        assert contrast(color, style.DARK_PAPER) > 2, color
    assert contrast(style.INK, style.PAPER) > 15
    assert contrast(style.DARK_INK, style.DARK_PAPER) > 15
    page = (REPORTS / "templates" / "page.html").read_text(encoding="utf-8")
    assert re.findall(r"--paper: (#\w+)", page)[:2] == [style.PAPER, style.DARK_PAPER]


def test_colours_stand_in_one_file() -> None:
    names = "|".join((*mpl.colors.BASE_COLORS, *mpl.colors.CSS4_COLORS))
    for path in REPORTS.rglob("*.py"):
        if path.name != "style.py":
            found = re.findall(rf'"#[0-9A-Fa-f]{{6}}"|color="(?:{names})"', path.read_text(encoding="utf-8"))
            assert not found, path


def drawn(figure: Figure) -> None:
    figure.draw_without_rendering()  # places all that the layout moves


def test_calibration_fills_its_axes() -> None:
    def row(name: str, predicted: float, high: float) -> Scored:
        some = Estimate(0.0, 0.0, 0.0, 0.95)
        return Scored(
            name, some, some, None, None, better=False, predicted=(), calibration=(Group(predicted, 1, 2, 0.5 * high, 0.0, high),)
        )

    figure = calibration_figure([row("constant", 0.0, 0.09), row("logistic", 0.16, 0.33)])
    drawn(figure)
    axes = figure.axes[0]
    assert (axes.get_xlim(), axes.get_ylim()) == ((0.0, pytest.approx(0.2)), (0.0, pytest.approx(0.4)))
    full = calibration_figure([row("constant", 0.97, 1.0)]).axes[0]
    assert (full.get_xlim()[1], full.get_ylim()[1]) == (1.0, 1.0)


def test_curves_of_an_escape_lie_between_0_and_1_and_their_legend_outside() -> None:
    def cell(batch: int, inside: list[float]) -> Watched:
        return Watched(
            "sgd", 0.01 * batch, batch, seeds=2, left=1, matched=0, diverged=0, updates=[5.0, 10.0], inside=inside, low=[], high=[], median=None,
        )  # fmt: skip

    figure = escape_figure([cell(8, [0.5, 0.0]), cell(32, [1.0, 1.0]), cell(64, [0.0, 0.0])], 10)
    drawn(figure)
    axes = figure.axes[0]
    assert axes.get_ylim() == (0.0, 1.0)
    for line in axes.lines:
        assert 0 <= np.min(line.get_ydata()) <= np.max(line.get_ydata()) <= 1
    widths = [line.get_linewidth() for line in axes.lines]
    assert widths == sorted(set(widths), reverse=True)  # of curves on one another the lower one looks out
    assert axes.get_legend() is None
    (legend,) = figure.legends
    assert legend.get_window_extent().y1 < axes.get_window_extent().y0
    assert [text.get_text() for text in legend.get_texts()] == [
        "rate 0.08", "rate 0.32", "rate 0.64", "batch 8", "batch 32", "batch 64"
    ]  # fmt: skip


def test_labels_of_shares_are_level_and_whole() -> None:
    groups = [(f"delay-structure, 0.0005; 60,000 updates, {k} bases", [[True, False]] * (k + 1)) for k in range(13)]
    figure = shares_figure([("by variant", groups), ("by seed", groups[:2])], "share that succeeded")
    drawn(figure)
    window = figure.bbox
    for axes, shown in zip(figure.axes, (groups, groups[:2]), strict=True):
        labels = axes.get_yticklabels()
        assert [label.get_text() for label in labels] == [name for name, _ in shown]
        assert {label.get_rotation() for label in labels} == {0.0}
        boxes = [label.get_window_extent() for label in labels]
        assert min(box.x0 for box in boxes) >= window.x0 - 1
        assert all(upper.y0 > lower.y1 for upper, lower in itertools.pairwise(boxes))  # the first group on top, none over another
        assert [note.get_text() for note in axes.texts] == [f"{len(values)}/{2 * len(values)}" for _, values in shown]


def test_the_base_is_seen_around_what_was_chosen() -> None:
    axis = np.linspace(-1, 1, 5)
    data = xr.Dataset({"total": (("x", "y"), np.ones((5, 5)) + axis**2)}, coords={"x": axis, "y": axis})
    axes = placement_figure(data, {"base": (0.1, 0.2), "chosen": (0.1, 0.2), "failed": (0.5, 0.5)}).axes[0]
    marks = {str(line.get_label()): line for line in axes.lines}
    base, chosen = marks["the base, in its own maze"], marks["the chosen candidate"]
    assert base.get_markerfacecolor() == "none"
    assert float(base.get_markersize()) > float(chosen.get_markersize()) + float(chosen.get_markeredgewidth())
