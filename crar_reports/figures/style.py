"""One look for all figures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl

TERM_COLORS = {
    "transition": "#0072B2",
    "reward": "#999999",
    "discount": "#56B4E9",
    "ball": "#D55E00",
    "random_pairs": "#009E73",
    "consecutive": "#CC79A7",
    "value": "#A89000",
    "interpret": "#BBBBBB",
    "total": "#000000",
}
ACTION_COLORS = ("#0072B2", "#E69F00", "#AA3377", "#009E73")
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
            "grid.color": "#e6e6e6",
            "grid.linewidth": 0.6,
            "legend.frameon": False,
            "legend.fontsize": 8,
        }
    ):
        yield
