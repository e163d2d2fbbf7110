from __future__ import annotations

import pytest
import torch
from torch import Tensor

from landscape_tools import lift


def bent(point: dict[str, Tensor]) -> Tensor:
    """Two outputs of four parameters."""
    a, b = point["a"], point["b"]
    return torch.stack((a[0] * a[1] + b[0], torch.tanh(b[1]) + a[0]))


START = {"a": torch.tensor([0.5, 1.0], dtype=torch.float64), "b": torch.tensor([0.2, 0.1], dtype=torch.float64)}


def test_a_lifted_path_has_the_outputs_asked_for() -> None:
    here = bent(START)
    way = here + torch.linspace(0, 1, 12, dtype=torch.float64).unsqueeze(1) * torch.tensor([1.5, -0.4], dtype=torch.float64)
    lifted = lift(bent, START, way)
    assert lifted.reached == 1.0
    end = {name: value[-1] for name, value in lifted.points.items()}
    assert torch.equal(lifted.points["a"][0], START["a"])
    assert bent(end).tolist() == pytest.approx(way[-1].tolist(), abs=1e-6)
    assert lifted.missed <= 1e-6
    assert lifted.length >= float((way[-1] - here).norm()) / 3
    assert lifted.smallest_singular > 0.1


def test_a_known_jacobian_serves_as_well_as_autograd() -> None:
    asked = []

    def slope(point: dict[str, Tensor]) -> Tensor:
        asked.append(point)
        a, b = point["a"], point["b"]
        zero, one = torch.zeros_like(a[0]), torch.ones_like(a[0])
        return torch.stack((torch.stack((a[1], a[0], one, zero)), torch.stack((one, zero, zero, 1 - torch.tanh(b[1]) ** 2))))

    way = bent(START) + torch.linspace(0, 1, 12, dtype=torch.float64).unsqueeze(1) * torch.tensor([1.5, -0.4], dtype=torch.float64)
    plain, known = lift(bent, START, way), lift(bent, START, way, slope=slope)
    assert len(asked) >= 11
    for name, value in plain.points.items():
        assert torch.allclose(value, known.points[name], rtol=0, atol=1e-12)
    assert known.smallest_singular == pytest.approx(plain.smallest_singular, rel=1e-9)


def test_outputs_out_of_reach_are_not_met() -> None:
    """tanh stays below 1, so the last targets have no parameters."""
    way = torch.linspace(0.1, 3.0, 20, dtype=torch.float64).unsqueeze(1)
    lifted = lift(lambda p: torch.tanh(p["b"][:1]), START, way)
    assert 0 < lifted.reached < 1
    assert lifted.missed <= 1e-6
