from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from landscape_tools import barrier, sample_line


def double_well(point: dict[str, Tensor]) -> dict[str, Tensor]:
    """(w^2 - 1)^2 + b^2: minima at w = +-1, a barrier of exactly 1 between them."""
    w, b = point["w"], point["b"]
    return {"loss": ((w**2 - 1) ** 2).sum() + (b**2).sum(), "norm": w.norm()}


def well(side: float) -> dict[str, Tensor]:
    return {"w": torch.tensor([side], dtype=torch.float64), "b": torch.zeros(2, dtype=torch.float64)}


def test_line_over_a_known_barrier() -> None:
    line = sample_line(double_well, well(-1), well(1), points=21)
    t = line["t"].values
    assert np.allclose(line["loss"].values, ((2 * t - 1) ** 2 - 1) ** 2)
    found = barrier(line, "loss")
    assert (found.start, found.end) == (0.0, 0.0)
    assert (found.peak, found.where, found.climb) == (pytest.approx(1.0), pytest.approx(0.5), pytest.approx(1.0))
    assert line.attrs["not_finite"] == 0


@given(st.integers(0, 1000))
def test_ends_are_exact(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    start, end = ({"w": torch.randn(3, generator=generator, dtype=torch.float64)} for _ in range(2))
    line = sample_line(lambda p: {"first": p["w"][0]}, start, end, points=4)
    assert float(line["first"][0]) == float(start["w"][0])
    assert float(line["first"][-1]) == float(end["w"][0])


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_chunks_do_not_change_values(chunk: int) -> None:
    whole = sample_line(double_well, well(-1), well(0.4), points=9)
    assert sample_line(double_well, well(-1), well(0.4), points=9, chunk=chunk).equals(whole)


def test_values_that_are_not_finite_stay_and_are_counted() -> None:
    line = sample_line(lambda p: {"loss": 1 / p["w"].sum()}, well(-1), well(1), points=5)
    assert line.attrs["not_finite"] == 1
    assert line["loss"].values[2] == np.inf
    assert barrier(line, "loss").peak == np.inf


def test_unusable_ends() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        sample_line(double_well, well(-1), well(1), points=1)
    with pytest.raises(ValueError, match="identical"):
        sample_line(double_well, well(1), well(1))
    with pytest.raises(ValueError, match="parameters: b"):
        sample_line(double_well, well(1), {"w": well(1)["w"]})
    with pytest.raises(ValueError, match="parameter w is"):
        sample_line(double_well, well(1), well(1) | {"w": torch.zeros(2)})
