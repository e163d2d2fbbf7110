"""Every tool takes a model of another device than the CPU, and finds there what it finds on the CPU."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor, nn

import landscape_tools as lt
from landscape_tools import Point, ScalarLoss
from tests.elsewhere import elsewhere

CRITERION = nn.functional.cross_entropy
Tool = Callable[["Subject"], Any]
AXIS = np.linspace(-0.5, 0.5, 3)


class Subject:
    """Two networks with data, and a plane through the first."""

    def __init__(self, device: torch.device | str, *, norms: bool = False) -> None:
        draw = torch.Generator().manual_seed(0)
        inner = (nn.BatchNorm1d(5),) if norms else ()
        self.models = [nn.Sequential(nn.Linear(3, 5), *inner, nn.Tanh(), nn.Linear(5, 3)) for _ in range(2)]
        for model in self.models:
            for value in model.parameters():
                value.data = 0.7 * torch.randn(value.shape, generator=draw)
        self.x, self.y = torch.randn(16, 3, generator=draw), torch.randint(0, 3, (16,), generator=draw)
        self.data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(self.x, self.y), batch_size=6)
        for model in self.models:
            model.to(device).eval()
        self.loss: ScalarLoss = lt.module_loss(self.models[0], CRITERION, self.x.to(device), self.y.to(device))
        self.points: list[Point] = [lt.state_of(model) for model in self.models]
        self.axes = [lt.gaussian_direction(self.points[0], draw) for _ in range(2)]


def settled(s: Subject) -> Point:
    return lt.converge(s.loss, s.points[0], iterations=30).point


TOOLS: dict[str, Tool] = {
    "line": lambda s: lt.sample_line(s.loss, *s.points),
    "plane": lambda s: lt.sample_plane(s.loss, s.points[0], *s.axes, AXIS, AXIS),
    "plane by vmap": lambda s: lt.sample_plane(s.loss, s.points[0], *s.axes, AXIS, AXIS, vectorize="vmap"),
    "data": lambda s: lt.sample_line(lt.data_loss(s.models[0], s.data, CRITERION), *s.points, points=3),
    "trajectory": lambda s: lt.sample_trajectory(s.loss, [*s.points, lt.moved(s.points[0], s.axes[:1], [0.3])], resolution=3),
    "adaptive plane": lambda s: lt.adaptive_plane(s.loss, s.points[0], *s.axes, (-0.5, 0.5), (-0.5, 0.5), most=60),
    "misses": lambda s: lt.plane_misses(s.loss, s.points[0], *s.axes, seeds=2),
    "spectrum": lambda s: lt.spectrum(s.loss, s.points[0]),
    "Gauss-Newton": lambda s: lt.hessian_operator(s.loss, s.points[0], "gauss-newton").matvec(np.ones(38)),
    "certificate": lambda s: lt.certify(s.loss, s.points[0]),
    "subgradient": lambda s: lt.smallest_subgradient(s.loss, s.points[0]),
    "flattest": lambda s: lt.least_curved(s.loss, s.points[0]),
    "converged": settled,
    "band": lambda s: lt.elastic_band(s.loss, *s.points, images=4, iterations=4, climb_after=2, zooms=1, samples=2),
    "curve": lambda s: lt.bezier_path(s.loss, *s.points, points=4, iterations=4, samples=2),
    "connection": lambda s: lt.connect(s.loss, *s.points, iterations=4, images=5, samples=2),
    "polygon": lambda s: lt.connect(s.loss, *s.points, kind="polygon", iterations=4, images=5, samples=2),
    "aligned": lambda s: lt.align(*s.points, [lt.HiddenLayer("0.weight", "0.bias", "2.weight", None)]),
    "atlas": lambda s: lt.atlas(s.loss, {"a": s.points[0], "b": s.points[1]}, certified=False),
    "explained": lambda s: lt.explain(*s.models, s.data, points=5, iterations=4, evaluations=30),
}


def numbers(found: Any) -> list[np.ndarray[Any, Any]]:
    """All floating numbers of a result, in their order."""
    if isinstance(found, Tensor):
        return [found.detach().cpu().double().numpy()] if found.is_floating_point() else []
    if isinstance(found, (float, np.floating)):
        return [np.asarray(found)]
    if isinstance(found, np.ndarray):
        return [found] if found.dtype.kind == "f" else []
    if isinstance(found, xr.Dataset):
        return [value for name in sorted(found.data_vars) for value in numbers(found[name].values)]
    if isinstance(found, dict):
        return [value for part in found.values() for value in numbers(part)]
    if isinstance(found, (list, tuple)):
        return [value for part in found for value in numbers(part)]
    return numbers(vars(found)) if is_dataclass(found) else []


@pytest.mark.parametrize("name", TOOLS)
def test_on_another_device(name: str) -> None:
    here = numbers(TOOLS[name](Subject("cpu")))
    with elsewhere() as device:
        there = numbers(TOOLS[name](Subject(device)))
    assert here
    assert len(here) == len(there)
    for one, other in zip(here, there, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["line", "data", "plane by vmap", "band"])
def test_with_norms_on_another_device(name: str) -> None:
    here = numbers(TOOLS[name](Subject("cpu", norms=True)))
    with elsewhere() as device:
        there = numbers(TOOLS[name](Subject(device, norms=True)))
    for one, other in zip(here, there, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_what_the_other_device_refuses() -> None:
    with elsewhere() as device:
        there, here = torch.ones(3, device=device), torch.ones(3)
        with pytest.raises(RuntimeError, match="two devices"):
            _ = there + here
        with pytest.raises(RuntimeError, match="two devices"):
            _ = here[torch.tensor([0, 1], device=device)]
        with pytest.raises((TypeError, RuntimeError), match="numpy"):
            there.numpy()
        assert (there + torch.ones(())).device == device  # a number is taken along
        assert there[torch.tensor([0, 1])].device == device
        assert copy.deepcopy(nn.Linear(2, 2).to(device)).weight.device == device
        assert float(there.sum()) == 3
        assert there.cpu().numpy().tolist() == [1, 1, 1]
