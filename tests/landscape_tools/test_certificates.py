"""Convergence and certificates on losses whose stationary points are known, kinks included."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from landscape_tools import (
    NEWTON_LIMIT,
    Composite,
    ScalarLoss,
    certify,
    composite_of,
    converge,
    extreme_eigenvalues,
    hessian_product,
    smallest_subgradient,
)


def at(*values: float) -> dict[str, Tensor]:
    return {"p": torch.tensor(values, dtype=torch.float64)}


ONE = torch.ones(1, dtype=torch.float64)


def hinged(centre: float) -> Composite:
    """(z0 - centre)^2 + (z1 - 2)^2 + max(0, 10 z0): its minimum lies on the kink z0 = 0 for 0 < centre < 5."""
    goal = torch.tensor([centre, 2.0], dtype=torch.float64)
    return Composite(lambda z: (z - goal).square().sum(), None, lambda z: torch.stack((0 * z[0], 10 * z[0])).unsqueeze(0), ONE)


@given(st.floats(0.5, 4.5))
def test_a_minimum_on_a_kink_is_found_and_certified(centre: float) -> None:
    loss = hinged(centre)
    found = converge(loss, at(3.0, -1.0))
    assert found.point["p"].tolist() == pytest.approx([0.0, 2.0], abs=1e-7)
    assert found.loss == pytest.approx(centre**2, abs=1e-6)
    assert found.subgradient.norm < 1e-7
    assert found.subgradient.kinks == 1
    # 2 (0 - centre) + 10 m = 0
    assert found.subgradient.multipliers is not None
    assert float(found.subgradient.multipliers[0, 1]) == pytest.approx(centre / 5, abs=1e-6)
    result = certify(loss, found.point)
    assert result.verdict == "minimum"
    assert result.slack == pytest.approx(min(centre / 5, 1 - centre / 5), abs=1e-6)
    assert result.signature is not None
    assert (result.signature.negative, result.signature.positive) == (0, 1)  # z1; the kink holds z0


def test_the_gradient_at_a_kink_does_not_vanish_but_the_subgradient_does() -> None:
    found = smallest_subgradient(hinged(1.0), at(0.0, 2.0))
    assert found.norm == pytest.approx(0.0, abs=1e-9)
    assert found.one_sided == pytest.approx(2.0)


def test_a_point_off_its_minimum_is_not_converged() -> None:
    result = certify(hinged(1.0), at(0.0, 2.5))
    assert result.verdict == "not converged"
    assert result.subgradient.norm == pytest.approx(1.0)
    assert result.spectrum is None


def test_curvature_along_a_kink_decides() -> None:
    # |z0| holds z0 at 0; along that tie the loss is -z1^2 + z1^4, lowest at z1^2 = 1/2.
    loss = Composite(lambda z: z[0].square() - z[1].square() + z[1] ** 4, None, lambda z: torch.stack((z[0], -z[0])).unsqueeze(0), ONE)
    result = certify(loss, at(0.0, 0.0))
    assert result.verdict == "saddle"
    assert result.signature is not None
    assert result.signature.negative == 1
    assert result.escape is not None
    assert result.escape.loss == pytest.approx(-0.25, abs=1e-6)


@pytest.mark.parametrize(
    ("function", "verdict"),
    [
        (lambda p: p["p"].square().sum(), "minimum"),
        (lambda p: p["p"][0].square() - p["p"][1].square() + p["p"][1] ** 4, "saddle"),
        (lambda p: p["p"][0].square() + 0 * p["p"][1], "flat"),
        (lambda p: -p["p"].square().sum() + p["p"].pow(4).sum(), "saddle"),
    ],
)
def test_smooth_verdicts(function: ScalarLoss, verdict: str) -> None:
    assert certify(composite_of(function, at(0.0, 0.0)), at(0.0, 0.0)).verdict == verdict


@pytest.mark.parametrize("size", [12, 600])
def test_both_ends_of_a_spectrum_dense_and_matrix_free(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    basis = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))[0]
    values = torch.cat((torch.tensor([-3.0]), torch.zeros(size - 2), torch.tensor([7.0]))).double()
    matrix = (basis * values) @ basis.T
    product = hessian_product(lambda v: 0.5 * v @ matrix @ v, torch.zeros(size, dtype=torch.float64))
    spectrum = extreme_eigenvalues(product, size)
    assert spectrum.complete is (size == 12)
    assert spectrum.lowest[0] == pytest.approx(-3.0, abs=1e-5)
    assert spectrum.highest[-1] == pytest.approx(7.0, abs=1e-5)
    assert max(spectrum.lowest_residuals[0], spectrum.highest_residuals[-1]) < 1e-3
    assert abs(float(spectrum.lowest_vector @ basis[:, 0])) == pytest.approx(1.0, abs=1e-6)


def network(seed: int) -> tuple[Composite, dict[str, Tensor]]:
    """More parameters than outputs: 3 outputs of an 80-parameter network must hit a target, or stay below a hinge."""
    generator = torch.Generator().manual_seed(seed)
    point = {
        "0.weight": torch.randn(20, 2, generator=generator, dtype=torch.float64),
        "1.weight": torch.randn(1, 20, generator=generator, dtype=torch.float64),
    }
    rows = torch.randn(3, 2, generator=generator, dtype=torch.float64)
    goal = torch.tensor([0.3, 2.0, -0.5], dtype=torch.float64)

    def outputs(p: dict[str, Tensor]) -> Tensor:
        return (torch.tanh(rows @ p["0.weight"].T) @ p["1.weight"].T).flatten()

    def pieces(z: Tensor) -> Tensor:
        return torch.stack((torch.zeros_like(z), z - 1), -1)

    return Composite(lambda z: (z - goal).square().sum(), outputs, pieces, 3 * torch.ones(3, dtype=torch.float64)), point


@pytest.mark.parametrize("seed", range(5))
def test_signature_by_outputs_agrees_with_the_dense_parameter_hessian(seed: int) -> None:
    loss, point = network(seed)
    found = converge(loss, point)
    # hitting 0.3 and -0.5 is free, 2.0 is stopped at the hinge 1.0
    assert found.loss == pytest.approx(1.0, abs=1e-7)
    assert found.subgradient.kinks == 1
    result = certify(loss, found.point)
    assert result.verdict == "minimum"
    assert result.signature is not None
    assert (result.signature.positive, result.signature.negative, result.signature.unseen) == (2, 0, 57)
    assert result.spectrum is not None
    assert result.spectrum.complete
    assert result.spectrum.highest[-1] == pytest.approx(float(result.signature.eigenvalues[-1]), rel=1e-6)
    assert abs(result.spectrum.lowest[0]) < 1e-8


def test_more_outputs_than_newton_takes_fall_back_to_lbfgs() -> None:
    size = NEWTON_LIMIT + 1
    start = {"p": torch.linspace(-1, 1, size, dtype=torch.float64)}
    found = converge(composite_of(lambda p: ((p["p"] - 3) ** 2).sum() + (p["p"] ** 4).sum(), start), start)
    assert found.subgradient.norm < 1e-6
    x = found.point["p"]
    assert torch.allclose(2 * (x - 3) + 4 * x**3, torch.zeros_like(x), atol=1e-6)


def rough_loss(centre: float, calls: list[str], *, broken: bool = False) -> Composite:
    """(z - 3)^2 summed, whose rough way has its minimum at `centre`, or no numbers at all."""

    def exact(z: Tensor) -> Tensor:
        calls.append("exact")
        return (z - 3).square().sum()

    def rough(z: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
        calls.append("rough")
        value, slope = (z - centre).square().sum(), (2 * (z - centre)).float()
        return (value * torch.nan, slope * torch.nan) if broken and len(calls) > 8 else (value, slope)

    pieces = torch.zeros(1, 2, dtype=torch.float64)
    return Composite(exact, None, lambda z: pieces + 0 * z[0], ONE, rough=rough)


@pytest.mark.parametrize(("centre", "broken"), [(3.00005, False), (9.0, False), (9.0, True)])
def test_a_rough_way_starts_the_descent_and_the_exact_one_ends_it(centre: float, broken: bool) -> None:
    """Whether the rough way is off in its fifth digit, leads elsewhere or breaks down, the point found is right."""
    start = torch.linspace(-1, 1, NEWTON_LIMIT + 1, dtype=torch.float64)
    calls: list[str] = []
    found = converge(rough_loss(centre, calls, broken=broken), {"p": start}, smoothings=(1e-3,))
    assert "rough" in calls
    assert calls[-5:] == ["exact"] * 5
    assert torch.allclose(found.point["p"], torch.full_like(start, 3.0), atol=1e-7)
    assert found.loss <= found.start


def test_rough_steps_count_as_steps() -> None:
    start = {"p": torch.linspace(-1, 1, NEWTON_LIMIT + 1, dtype=torch.float64)}
    valley = torch.linspace(1, 1e4, NEWTON_LIMIT + 1, dtype=torch.float64)
    told: list[tuple[int, int]] = []

    def value(z: Tensor) -> Tensor:
        return (valley * (z - 3).square()).sum() + (z - 3).pow(4).sum()

    def rough(z: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
        return value(z), (2 * valley * (z - 3) + 4 * (z - 3) ** 3).float()

    pieces = torch.zeros(1, 2, dtype=torch.float64)
    loss = Composite(value, None, lambda z: pieces + 0 * z[0], ONE, rough=rough)
    for most in (1, 5, 30):
        found = converge(loss, start, iterations=most, smoothings=(1e-2, 1e-3), progress=lambda taken, of: told.append((taken, of)))
        assert found.iterations <= max(most, 2)  # a step at each level
    assert all(taken <= max(of, 2) for taken, of in told)


def test_a_start_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        converge(composite_of(lambda p: p["p"].log().sum(), at(-1.0)), at(-1.0))


def test_a_certificate_takes_each_column_of_a_small_hessian_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []

    def counting(*arguments: Any) -> Any:
        product = hessian_product(*arguments)

        def counted(rows: Tensor) -> Tensor:
            counts.append(1 if rows.dim() == 1 else len(rows))
            return product(rows)

        return counted

    monkeypatch.setattr("landscape_tools.certificates.hessian_product", counting)
    torch.manual_seed(0)
    matrix = torch.randn(120, 120, dtype=torch.float64)
    found = certify(
        lambda p: (matrix @ p["w"]).cosh().log().sum() + 0.1 * p["w"].square().sum(), {"w": torch.zeros(120, dtype=torch.float64)}
    )
    assert found.verdict == "minimum"
    assert sum(counts) <= 120 + 10
    assert len(counts) <= 11
