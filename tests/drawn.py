"""How tests draw the figures of pages: once and small, or as users get them."""

from __future__ import annotations

import io

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from crar_reports.press import publish

RASTERIZED = publish.rasterized


def once(figure: Figure) -> Image.Image:
    """Every artist of a figure drawn, small and as it lies: laying a figure out draws its texts four times more."""
    figure.set_layout_engine("none")
    figure.set_dpi(40)
    raw = io.BytesIO()
    FigureCanvasAgg(figure).print_png(raw)
    return Image.open(raw)


def draw_once(patch: pytest.MonkeyPatch) -> None:
    """For pages whose pictures nobody looks at."""
    patch.setattr(publish, "rasterized", once)


def draw_as_published(patch: pytest.MonkeyPatch) -> None:
    """Laid out and cut, as users get them: one test or more for every kind of figure."""
    patch.setattr(publish, "rasterized", RASTERIZED)
