from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from landscape_tools import sample_trajectory


def bowl(point: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"bowl": (point["w"].square() * torch.arange(1.0, 6.0, dtype=torch.float64)).sum()}


def spiral(bump: float) -> list[dict[str, Tensor]]:
    """A spiral in a plane of a five-dimensional space, one snapshot lifted off it."""
    basis = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64))[0]
    points = []
    for k in range(12):
        angle = torch.tensor(0.6 * k)
        points.append(basis[0] * (12 - k) * torch.cos(angle) + basis[1] * (12 - k) * torch.sin(angle) + (bump * basis[2] if k == 4 else 0))
    return [{"w": point} for point in points]


def test_a_flat_trajectory_lies_on_its_plane() -> None:
    data = sample_trajectory(bowl, spiral(0.0), resolution=7)
    assert data["distance"].values == pytest.approx(np.zeros(12), abs=1e-6)
    assert data.attrs["explained_x"] + data.attrs["explained_y"] == pytest.approx(1.0)
    np.testing.assert_allclose(data["bowl_true"], data["bowl_projected"], rtol=1e-9)
    assert data["bowl"].shape == (7, 7)
    assert float(data["x"].min()) < float(data["snapshot_x"].min())


def test_what_a_plane_leaves_out_is_said() -> None:
    data = sample_trajectory(bowl, spiral(0.8), resolution=3)
    assert int(data["distance"].values.argmax()) == 4
    assert 0.4 < float(data["distance"][4]) <= 0.8  # the plane leans towards it
    assert abs(float(data["bowl_true"][4] - data["bowl_projected"][4])) > 1e-3


def test_too_little_for_a_plane() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        sample_trajectory(bowl, spiral(0.0)[:2])
    with pytest.raises(ValueError, match="at least 2"):
        sample_trajectory(bowl, spiral(0.0), resolution=1)
