"""What is infinite or NaN in a report: said in tables, gaps in pictures, and never a reason for a claim to hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr

from crar_reports.claims.losses import Ratios
from crar_reports.claims.record import HOLDS
from crar_reports.claims.table import decided
from crar_reports.figures.paths import paths_figure
from crar_reports.figures.surface import surface_figure
from crar_reports.press.markdown import measured, number
from landscape_tools import bezier_path, elastic_band
from tests.crar_reports.figures_of_rules import changed, facts
from tests.landscape_tools.test_not_finite import at, hole

NAN, INF = math.nan, math.inf


def test_tables_say_nan_and_infinite() -> None:
    assert [measured(value) for value in (NAN, INF, 0.25, "-", None)] == ["NaN", "inf", "0.25", "-", "-"]
    assert number(NAN) == "-"  # a gap


@pytest.mark.parametrize("term", ["random_pairs", "consecutive", "transition"])
def test_a_term_that_is_nan_is_near_nothing(term: str) -> None:
    good = changed(facts(), {"failed_terms": facts()["optimum_terms"]})
    assert decided("S3", good, complete=True).verdict == HOLDS
    broken = changed(good, {"failed_terms": good["failed_terms"] | {term: NAN}})
    assert decided("S3", broken, complete=True).verdict != HOLDS
    assert math.isnan(Ratios({"random_pairs": 1.0, "consecutive": NAN}, 1.0).structure)
    assert math.isnan(Ratios({"random_pairs": NAN, "consecutive": 1.0}, 1.0).structure)


@pytest.mark.parametrize("bad", [NAN, INF])
def test_pictures_have_gaps(bad: float) -> None:
    axis = np.linspace(-0.25, 1.25, 4)
    values = np.geomspace(0.1, 10, 16).reshape(4, 4)
    values[1, 2] = bad
    assert surface_figure(xr.Dataset({"total": (("y", "x"), values)}, coords={"x": axis, "y": axis})).axes
    ends = at(-1.0), at(1.0)
    path = elastic_band(hole(bad), *ends, images=4, iterations=2)
    curve = bezier_path(hole(bad), *ends, points=4, iterations=2)
    figure = paths_figure([("band", path, "black"), ("curve", curve, "grey")], (np.linspace(0, 1, 3), np.array([1.0, bad, 1.0])))
    assert [text.get_text() for axes in figure.axes for text in axes.texts] == [f"barrier {bad}"]
    figure.canvas.draw()
