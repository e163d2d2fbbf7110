"""One look for all figures and pages: every colour stands here, once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl

BLUE, VERMILION, GREEN, PINK, SKY, AMBER = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"
VIOLET, BROWN, SLATE = "#8833EE", "#774422", "#5F5F5F"
"""Colours that stay apart for all kinds of sight, on white and on `DARK_PAPER`: a test measures it."""
INK, FAINT, GRID, PAPER = "#000000", "#999999", "#e6e6e6", "#ffffff"
DARK_INK, DARK_PAPER = "#ffffff", "#1b1b1b"
"""What `INK` and `PAPER` are on a dark page (`templates/page.html`); all other colours are the same on both."""
TERM_COLORS = {
    "transition": BLUE,
    "reward": SLATE,
    "discount": SKY,
    "ball": VERMILION,
    "random_pairs": GREEN,
    "consecutive": PINK,
    "value": VIOLET,
    "interpret": BROWN,
    "total": INK,
}
"""Of the loss terms, in every figure and on every page."""
SERIES = (BLUE, VERMILION, GREEN, PINK, SKY, VIOLET, AMBER, BROWN)
"""Of curves that are told apart by a legend: runs, members, predictors."""
MODEL_COLORS = {"failed": VERMILION, "reference": BLUE, "adapted": GREEN, "base": GREEN, "chosen": PINK, "start": VERMILION}
"""Of models in a landscape."""
PATH_COLORS = {"straight": FAINT, "frozen": BLUE, "free": GREEN, "valleys": PINK}
"""Of ways through a landscape."""
CROSS_COLORS = {"before": AMBER, "expected": VERMILION, "after": VIOLET}
"""Of abstract states before and after a move."""
ACTION_COLORS = (BLUE, AMBER, "#AA3377", GREEN)
DOOR_COLOR = "#222222"
ROOM_COLORS = ("#4477AA", "#CC6677", "#228833", "#AA7733", "#66CCEE", "#AA3377")


@contextmanager
def house_style() -> Iterator[None]:
    """Settings that every figure is drawn under."""
    with mpl.rc_context(
        {
            "font.size": 9,
            "axes.titlesize": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.color": GRID,
            "grid.linewidth": 0.6,
            "legend.frameon": False,
            "legend.fontsize": 8,
        }
    ):
        yield
