"""Subgradients, descents and certificates where ties or parameters are many: by products, by a known Hessian, by the ends of a spectrum."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from landscape_tools import Composite, certify, converge, smallest_subgradient
from landscape_tools.newton import polish
from landscape_tools.ties import projection


def at(*values: float) -> dict[str, Tensor]:
    return {"p": torch.tensor(values, dtype=torch.float64)}


def test_ties_beyond_memory_are_weighed_without_a_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(12, 3, generator=generator, dtype=torch.float64)
    slopes = torch.randn(9, 3, 12, generator=generator, dtype=torch.float64)  # 9 maxima of 3 alternatives each, all tied at the origin

    def curved(p: dict[str, torch.Tensor]) -> torch.Tensor:
        return mixing @ torch.cat((p["a"], p["a"].prod().view(1)))

    composite = Composite(lambda z: z[:3].sum(), curved, lambda z: slopes @ z, torch.rand(9, generator=generator, dtype=torch.float64))
    point = {"a": torch.zeros(2, dtype=torch.float64)}
    exact = smallest_subgradient(composite, point)
    monkeypatch.setattr("landscape_tools.subgradients.MOST_NUMBERS", 0)
    monkeypatch.setattr(Composite, "jacobian", None)
    bound = smallest_subgradient(composite, point)
    assert exact.multipliers is not None
    assert bound.multipliers is not None
    assert bound.bound
    assert not exact.bound
    assert bound.multipliers.min() >= 0
    assert bound.multipliers.sum(-1).allclose(torch.ones(9, dtype=torch.float64))
    assert exact.norm <= bound.norm + 1e-9
    assert bound.norm <= 1.01 * exact.norm + 1e-4
    assert exact.one_sided > 1.5 * exact.norm


def kinked_valley(size: int) -> tuple[Composite, dict[str, Tensor]]:
    """A steep valley with a kink in every other coordinate; its Hessian is known."""
    steep = torch.logspace(0, 1, size, dtype=torch.float64)
    goal = torch.linspace(0.2, 0.8, size, dtype=torch.float64)
    composite = Composite(
        lambda z: 0.5 * (steep * (z - goal).square()).sum(), None, lambda z: torch.stack((0 * z[::2], 2 * steep[::2] * z[::2]), -1),
        torch.ones(size // 2, dtype=torch.float64),
    )  # fmt: skip
    return replace(composite, derivatives=composite.twice), {"p": torch.full((size,), 3.0, dtype=torch.float64)}


def test_many_parameters_whose_hessian_is_known_reach_the_kinks_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    composite, begin = kinked_valley(40)
    monkeypatch.setattr("landscape_tools.convergence.NEWTON_LIMIT", 0)
    found = converge(composite, begin)
    assert found.smoothing == 0
    assert found.subgradient.norm < 1e-7
    assert found.subgradient.kinks == 20
    assert converge(replace(composite, derivatives=None), begin).smoothing > 0  # L-BFGS leaves the smoothing


def test_directions_that_leave_a_kink_are_no_flat_ones_where_only_the_ends_of_the_spectrum_are_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    composite, begin = kinked_valley(40)
    found = converge(composite, begin)
    for limit in ("certificates.NEWTON_LIMIT", "certificates.DENSE_LIMIT", "signatures.DENSE_LIMIT"):
        monkeypatch.setattr(f"landscape_tools.{limit}", 0)
    monkeypatch.setattr("landscape_tools.curvature.DENSE_LIMIT", 8)
    result = certify(composite, found.point)
    assert result.signature is None
    assert result.spectrum is not None
    assert float(result.spectrum.lowest[0]) == pytest.approx(1.06, rel=0.02)  # of the odd coordinates, none of them on a kink
    assert result.verdict == "minimum"


def test_kinks_that_hold_every_direction_make_a_minimum_where_only_the_ends_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("certificates.NEWTON_LIMIT", "certificates.DENSE_LIMIT", "signatures.DENSE_LIMIT"):
        monkeypatch.setattr(f"landscape_tools.{limit}", 0)
    monkeypatch.setattr("landscape_tools.curvature.DENSE_LIMIT", 8)
    turn = torch.linalg.qr(torch.randn(20, 20, generator=torch.Generator().manual_seed(1), dtype=torch.float64))[0]
    for curved in (-1.0, 0.0, 1.0):
        sides = Composite(
            lambda z, c=curved: 0.5 * c * z.square().sum(), None, lambda z: torch.stack((turn @ z, -turn @ z), -1), torch.ones(20, dtype=torch.float64)
        )  # fmt: skip
        assert certify(sides, {"p": torch.zeros(20, dtype=torch.float64)}).verdict == "minimum"
    half = Composite(lambda z: 0 * z.sum(), None, lambda z: torch.stack((z[::2], -z[::2]), -1), torch.ones(10, dtype=torch.float64))
    assert certify(half, {"p": torch.zeros(20, dtype=torch.float64)}).verdict == "flat"


def test_rows_that_depend_on_each_other_are_projected_out_whole() -> None:
    first, second = torch.eye(3, dtype=torch.float64)[:2]
    project = projection(torch.stack((first, first, second)))
    assert float(project(second).norm()) < 1e-12
    assert float(project(torch.ones(3, dtype=torch.float64)).norm()) == pytest.approx(1.0)


def test_a_short_budget_is_not_taken_for_a_stationary_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """Newton's method on the ties ends where other alternatives are higher, which is no point of this loss."""
    monkeypatch.setattr("landscape_tools.convergence.NEWTON_LIMIT", 0)
    composite, begin = kinked_valley(40)
    for iterations in (1, 2, 3, 5, 8, 12):
        found = converge(composite, begin, iterations=iterations)
        assert found.smoothing > 0 or found.subgradient.norm < 1e-6


@pytest.mark.parametrize("kind", [int, np.float32])
def test_smoothings_are_numbers_of_any_kind(kind: Any) -> None:
    composite, begin = kinked_valley(10)
    plain, other = (converge(replace(composite, derivatives=None), begin, smoothings=(of(1),)) for of in (float, kind))
    assert other.loss == pytest.approx(plain.loss)


def test_too_many_ties_leave_what_is_not_short_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    slopes = torch.randn(40, 2, 60, generator=generator, dtype=torch.float64) * torch.logspace(-3, 1, 60, dtype=torch.float64)
    inside = torch.rand(40, generator=generator, dtype=torch.float64)
    pull = ((inside.unsqueeze(-1) * slopes[:, 0]) + (1 - inside).unsqueeze(-1) * slopes[:, 1]).sum(0)
    hard = Composite(lambda z: 0.5 * z.square().sum() - pull @ z, None, lambda z: slopes @ z, torch.ones(40, dtype=torch.float64))
    point = {"p": torch.zeros(60, dtype=torch.float64)}
    assert certify(hard, point).verdict == "minimum"
    monkeypatch.setattr("landscape_tools.subgradients.MOST_TIES", 0)
    monkeypatch.setattr("landscape_tools.subgradients.STEPS", 3)
    result = certify(hard, point)
    assert result.subgradient.bound
    assert result.verdict == "undecided"
    assert "an upper bound" in result.reason


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ties_that_weigh_nothing_have_a_subgradient_too(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    monkeypatch.setattr("landscape_tools.subgradients.MOST_TIES", 0)
    light = Composite(lambda z: z.sum(), None, lambda z: torch.stack((z, -z), -1), torch.zeros(4, dtype=dtype))
    found = smallest_subgradient(light, {"p": torch.zeros(4, dtype=dtype)}, within=0.0)
    assert found.norm == pytest.approx(2.0)


def test_a_known_slope_serves_outputs_that_autograd_does_not_see_through() -> None:
    def outputs(p: dict[str, Tensor]) -> Tensor:
        return torch.from_numpy(2 * p["p"].detach().numpy())

    kinked = Composite(
        lambda z: (z - 1).square().sum(), outputs, lambda z: torch.stack((0 * z, 3 * z), -1), torch.ones(2, dtype=torch.float64),
        lambda p: 2 * torch.eye(2, dtype=torch.float64),
    )  # fmt: skip
    assert smallest_subgradient(kinked, at(0.0, 0.0)).norm == pytest.approx(0.0, abs=1e-9)


def test_ties_that_were_guessed_wrong_are_let_go_and_others_tied() -> None:
    composite, _ = kinked_valley(20)
    near = torch.linspace(0.2, 0.8, 20, dtype=torch.float64)
    near[::4] = 0.0  # half of the kinks; the point of this loss lies on all of them
    assert polish(composite, near, {"p": near}, within=1e-3, tolerance=1e-9) is None
    found = polish(composite, near, {"p": near}, within=1e-3, tolerance=1e-9, rounds=8)
    assert found is not None
    assert smallest_subgradient(composite, {"p": found}).norm < 1e-8
    free = Composite(composite.smooth, None, lambda z: torch.stack((0 * z[::2], -1e-3 * z[::2] - 0.5), -1), composite.weights)
    near = torch.zeros(20, dtype=torch.float64)
    assert polish(free, near, {"p": near}, within=1.0, tolerance=1e-9) is None  # a tie that nothing holds
    found = polish(free, near, {"p": near}, within=1.0, tolerance=1e-9, rounds=8)
    assert found is not None
    assert smallest_subgradient(free, {"p": found}).norm < 1e-8
