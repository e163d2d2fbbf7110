"""Valleys and hills of planes whose shape is known, and gudhi's own count of the valleys."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import landscape_tools as lt

gudhi = pytest.importorskip("gudhi")


def plane(heights: list[list[float]] | np.ndarray) -> xr.Dataset:
    values = np.asarray(heights, dtype=float)
    return xr.Dataset(
        {"loss": (("y", "x"), values)}, coords={"x": np.arange(values.shape[1]) * 1.0, "y": np.arange(values.shape[0]) * 10.0}
    )


def test_three_valleys_and_a_hill() -> None:
    found = lt.topology(plane([[9, 9, 9, 9, 9, 9, 9], [9, 0, 5, 2, 7, 1, 9], [9, 9, 9, 9, 9, 9, 9]]))
    assert found.births.tolist() == [0, 1, 2]
    assert found.deaths.tolist() == [np.inf, 7, 5]
    assert found.valleys.tolist() == [[1, 10], [5, 10], [3, 10]]
    assert found.passes[1:].tolist() == [[4, 10], [2, 10]]
    assert found.into.tolist() == [-1, 0, 0]
    assert len(found.hills) == 0
    ring = np.full((5, 5), 1.0)
    ring[0, :] = ring[-1, :] = ring[:, 0] = ring[:, -1] = 3.0
    ring[2, 2] = 8.0
    assert lt.topology(plane(ring)).hills.tolist() == [[1, 8]]


def test_shallow_valleys_are_left_out() -> None:
    heights = plane([[0, 5, 4.9, 7, 1]])
    assert lt.topology(heights).births.tolist() == [0, 1, 4.9]
    assert lt.topology(heights, least=0.5).births.tolist() == [0, 1]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("least", [0.0, 0.3])
def test_valleys_are_those_that_gudhi_finds(seed: int, least: float) -> None:
    heights = np.random.default_rng(seed).random((9, 12))
    complex_ = gudhi.CubicalComplex(top_dimensional_cells=heights)
    complex_.compute_persistence(min_persistence=least)
    theirs = complex_.persistence_intervals_in_dimension(0)
    mine = lt.topology(plane(heights), least=least)
    np.testing.assert_allclose(sorted(zip(mine.births, mine.deaths, strict=True)), sorted(map(tuple, theirs)))
    for k in range(1, len(mine.into)):
        other = mine.into[k]
        assert mine.births[other] <= mine.births[k]
        assert mine.deaths[other] >= mine.deaths[k]


def test_it_is_kept_drawn_and_refuses() -> None:
    data = plane(np.random.default_rng(1).random((6, 6)))
    found = lt.topology(data)
    assert len(found.plot().get_xticklabels()) == len(found.births)
    assert found.to_dataset()["death"].shape == found.births.shape
    with pytest.raises(ValueError, match="there is no loss 'other'"):
        lt.topology(data, name="other")
    with pytest.raises(ValueError, match="least is -1"):
        lt.topology(data, least=-1)
    data["loss"][0, 0] = np.nan
    with pytest.raises(ValueError, match="is NaN at 1 points"):
        lt.topology(data)
