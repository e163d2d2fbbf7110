"""One look for all figures, and saving them small."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

from crar_model.core.files import StrPath, write_atomically, write_bytes

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


def save_png(figure: Figure, path: StrPath, *, dpi: int = 120) -> Path:
    """Write a figure as a PNG with an 8-bit palette, atomically; returns the path."""
    path, raw = Path(path), io.BytesIO()
    figure.savefig(raw, format="png", dpi=dpi, bbox_inches="tight", pad_inches=0.05)
    raw.seek(0)
    image = Image.open(raw).convert("RGB").quantize(colors=224, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    write_atomically(path, lambda stream: image.save(stream, format="PNG", optimize=True))
    return path


def save_figure(figure: Figure, stem: StrPath, image: str) -> Path:
    """Write a figure as "png" or "svg" beside a report; returns the path with its ending."""
    stem = Path(stem)
    path = stem.with_name(f"{stem.name}.{image}")
    if image == "png":
        return save_png(figure, path)
    raw = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "crar"}):
        figure.savefig(raw, format="svg", bbox_inches="tight", pad_inches=0.05, metadata={"Date": None})
    write_bytes(path, raw.getvalue())
    return path
