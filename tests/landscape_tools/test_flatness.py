"""The flattest directions of a stationary point."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from landscape_tools import Composite, least_curved

CURVATURES = torch.tensor([5.0, 0.5, 9.0, 2.0], dtype=torch.float64)


def bowl_of(z: Tensor) -> Tensor:
    return 0.5 * (CURVATURES * z**2).sum()


def bowl(point: dict[str, Tensor]) -> Tensor:
    return bowl_of(point["x"])


def test_a_bowl_is_flattest_where_it_is_least_curved() -> None:
    found = least_curved(bowl, {"x": torch.zeros(4, dtype=torch.float64)}, 2)
    assert found is not None
    torch.testing.assert_close(found.curvatures, torch.tensor([0.5, 2.0], dtype=torch.float64))
    torch.testing.assert_close(found.directions.abs(), torch.eye(4, dtype=torch.float64)[[1, 3]])


def test_a_kink_that_holds_the_point_takes_its_direction_away() -> None:
    def pieces(z: Tensor) -> Tensor:
        return torch.stack((z[1:2], -z[1:2]), dim=-1)

    kinked = Composite(bowl_of, None, pieces, torch.ones(1, dtype=torch.float64))
    found = least_curved(kinked, {"x": torch.zeros(4, dtype=torch.float64)}, 9)
    assert found is not None
    torch.testing.assert_close(found.curvatures, torch.tensor([2.0, 5.0, 9.0], dtype=torch.float64))
    assert found.directions[:, 1].abs().max() < 1e-12


def test_no_directions_without_finite_second_derivatives_or_of_too_many_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert least_curved(lambda p: (p["x"] * torch.nan).sum(), {"x": torch.zeros(2, dtype=torch.float64)}) is None
    kinked = Composite(bowl_of, None, lambda z: torch.stack((z[1:2] * torch.nan, z[1:2]), dim=-1), torch.ones(1, dtype=torch.float64))
    assert least_curved(kinked, {"x": torch.zeros(4, dtype=torch.float64)}) is None
    monkeypatch.setattr("landscape_tools.flatness.NEWTON_LIMIT", 3)
    assert least_curved(bowl, {"x": torch.zeros(4, dtype=torch.float64)}) is None
