"""Certificates held against a second route: kinks of plain losses, curvature that is not finite, plateaus. Never a wrong word."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import landscape_tools as lt

F = nn.functional
Function = Callable[[Tensor], Tensor]
TOPS: dict[str, Function] = {
    "max": lambda w: w.max(),
    "max along an axis": lambda w: w.max(0).values,
    "amax": lambda w: w.amax(),
    "topk": lambda w: w.topk(1).values.sum(),
    "sort": lambda w: w.sort().values[-1],
    "maximum": lambda w: torch.maximum(w[0], w[1]),
    "fmax": lambda w: torch.fmax(w[0], w[1]),
    "relu": lambda w: w[0] + torch.relu(w[1] - w[0]),
}


def zeros(size: int, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    return {"p": torch.zeros(size, dtype=dtype)}


def certified(function: Function, point: dict[str, Tensor]) -> lt.Certificate:
    return lt.certify(lambda p: function(p["p"]), point)


@pytest.mark.parametrize(
    ("function", "size"),
    [
        (lambda w: -w.abs().sum() + w.square().sum(), 1),
        (lambda w: -w.abs().sum() + w.square().sum(), 2),
        (lambda w: -(w[0] - w[1]).abs() + w.square().sum(), 2),
        (lambda w: w.abs().sum(), 2),
        (lambda w: torch.relu(w).sum(), 2),
        (lambda w: -torch.relu(w).sum() + w.square().sum(), 3),
        (lambda w: (w.clamp(0, 1) - 0.5).square().sum(), 1),
        (lambda w: w.median() - w.sort().values[1] * 2 + w.sum() / 3 + w.square().sum(), 3),
        (lambda w: -torch.relu(w[0].abs() - 5 * w[1].abs()) + w.square().sum(), 2),  # within a narrow cone around an axis
        (lambda w: -torch.relu((w[0] + w[1]).abs() - 5 * (w[0] - w[1]).abs()) + w.square().sum(), 2),  # around a diagonal
        (lambda w: -1e-3 * w[37].abs() + w.square().sum(), 300),  # one of many coordinates
        (lambda w: -w[37].abs() + w.square().sum(), 2000),
        (lambda w: w.norm(), 3),
        (lambda w: -w.norm() + w.square().sum(), 3),
        (lambda w: w.abs().pow(1.5).sum(), 2),
    ],
)
def test_kinks_of_plain_losses_are_said(function: Function, size: int) -> None:
    found = certified(function, zeros(size))
    assert found.verdict in (lt.UNDECIDED, lt.NOT_CONVERGED)
    assert "a kink that is not declared" in found.reason
    assert "`pieces` of `composite_of`" in found.reason


@pytest.mark.parametrize("name", TOPS)
def test_the_spelling_of_a_maximum_decides_nothing(name: str) -> None:
    top = TOPS[name]
    concave = certified(lambda w: -top(w) + w.sum() / 2 + w.square().sum(), zeros(2))
    convex = certified(lambda w: top(w) - w.sum() / 2 + w.square().sum(), zeros(2))
    tilted = certified(lambda w: top(w) + w.square().sum(), zeros(2))
    assert [c.verdict for c in (concave, convex, tilted)] == [lt.UNDECIDED, lt.UNDECIDED, lt.NOT_CONVERGED]
    assert "falls to both sides" in concave.reason
    assert "falls to both sides" not in convex.reason


def test_a_declared_kink_is_certified_and_one_beside_it_is_said() -> None:
    def kinked(bent: float) -> lt.Composite:
        return lt.composite_of(
            lambda p: p["p"].square().sum() - bent * p["p"][0].abs(), zeros(2), pieces=lambda p: torch.stack((p["p"], -p["p"]), -1)
        )

    assert lt.certify(kinked(0.0), zeros(2)).verdict == lt.MINIMUM
    assert lt.certify(kinked(0.5), zeros(2)).verdict == lt.UNDECIDED


CRITERIA: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "norm": lambda o, y: (o - y).norm() ** 2,
    "dist": lambda o, y: torch.dist(o, y) ** 2,
    "vector norm": lambda o, y: torch.linalg.vector_norm(o - y) ** 2,
    "norms of rows": lambda o, y: (o - y).norm(dim=1).square().sum(),
    "sum of squares": lambda o, y: (o - y).square().sum(),
}


@pytest.mark.parametrize("name", CRITERIA)
def test_every_spelling_of_a_perfect_fit_is_a_minimum(name: str) -> None:
    """At a norm of 0 the second derivative of automatic differentiation is NaN, which is no negative curvature."""
    torch.manual_seed(0)
    model, inputs = nn.Linear(3, 2).double(), torch.randn(20, 3).double()
    loss = lt.module_loss(model, CRITERIA[name], inputs, model(inputs).detach())
    for form in (loss, loss.composite()):
        found = lt.certify(form, loss.point)
        assert found.verdict == lt.MINIMUM
        assert ("differences of gradients" in found.reason) == (name != "sum of squares")
    signature = lt.certify(loss, loss.point).signature
    assert signature is not None
    assert (signature.positive, signature.negative) == (8, 0)


@pytest.mark.parametrize(("size", "sign", "verdict"), [(3, 1, lt.MINIMUM), (3, -1, lt.SADDLE), (1600, 1, lt.MINIMUM)])
def test_squared_norms_at_zero(size: int, sign: int, verdict: str) -> None:
    """Weight decay on biases that are still 0; matrix-free for many."""
    assert certified(lambda w: sign * w.norm() ** 2, zeros(size)).verdict == verdict


@pytest.mark.parametrize(
    "function",
    [
        lambda w: w.log().sum(),
        lambda w: w.abs().sqrt().sum(),
        lambda w: torch.xlogy(w, w).sum(),
        lambda w: w.square().sum().sqrt(),
        lambda w: w.sum() * torch.nan,
        lambda w: w.sum() + torch.inf,
    ],
)
def test_what_is_not_finite_is_undecided(function: Function) -> None:
    found = certified(function, zeros(2))
    assert found.verdict == lt.UNDECIDED
    assert "not finite" in found.reason
    assert found.spectrum is None


@pytest.mark.parametrize("size", [3, 450, 1600])
@pytest.mark.parametrize(
    "function",
    [
        lambda w: (w**4).sum(),
        lambda w: torch.relu(-1 - w).sum(),
        lambda w: (w * 0).sum(),
        lambda w: torch.tensor(1.0, dtype=torch.float64),
    ],
)
def test_plateaus_are_flat_at_any_size(function: Function, size: int) -> None:
    assert certified(function, zeros(size)).verdict == lt.FLAT


@pytest.mark.parametrize(
    "function",
    [
        lambda w: -(w**4).sum(),
        lambda w: (w[:1] ** 3).sum(),
        lambda w: w[0] ** 3 - 3 * w[0] * w[1] ** 2,
        lambda w: w[0] ** 2 - w[1] ** 4,
    ],
)
def test_what_falls_at_a_higher_order_is_not_flat(function: Function) -> None:
    found = certified(function, zeros(2))
    assert found.verdict == lt.UNDECIDED
    assert "a lower loss lies beside" in found.reason


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1.0, 1e6])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_smooth_verdicts_at_any_scale(scale: float, dtype: torch.dtype) -> None:
    assert certified(lambda w: scale * (w[0] ** 2 - w[1] ** 2 + w[1] ** 4), zeros(2, dtype)).verdict == lt.SADDLE
    assert certified(lambda w: scale * (w.cosh() - 1).sum(), zeros(2, dtype)).verdict == lt.MINIMUM
    at = {"p": torch.full((2,), scale, dtype=dtype)}
    assert certified(lambda w: ((w / scale - 1) ** 2).sum(), at).verdict == lt.MINIMUM
    assert certified(lambda w: scale * (w.square().sum() - w.abs().sum()), zeros(2, dtype)).verdict not in (lt.MINIMUM, lt.FLAT)


def test_a_gradient_that_is_not_that_of_the_loss_decides_nothing() -> None:
    held = certified(lambda w: w.square().sum() - 2 * w.detach().square().sum(), zeros(2))
    assert held.verdict == lt.UNDECIDED
    assert "another than its gradient says" in held.reason
    assert certified(lambda w: w.square().sum() + w.sign().sum(), zeros(2)).verdict in (lt.UNDECIDED, lt.NOT_CONVERGED)


def test_networks_with_kinks_elsewhere_are_not_doubted() -> None:
    """A ReLU network has kinks nearly everywhere beside a point, and at none of them is it."""
    torch.manual_seed(1)
    inputs = torch.randn(200, 4).double()
    model = nn.Sequential(nn.Linear(4, 12), nn.ReLU(), nn.Linear(12, 1)).double()
    loss = lt.module_loss(model, F.mse_loss, inputs, model(inputs).detach())
    assert lt.certify(loss, loss.point).verdict == lt.FLAT  # its units may be scaled against each other
    ridge = lt.certify(lambda p: loss(p) + sum((p[n] - v).square().sum() for n, v in loss.point.items()), loss.point)
    assert ridge.verdict == lt.MINIMUM
    inputs[:3] = 0.0
    blank = loss.point | {"0.bias": torch.zeros(12, dtype=torch.float64)}
    assert lt.certify(lt.module_loss(model, F.mse_loss, inputs, torch.ones(200, 1).double()), blank).verdict == lt.NOT_CONVERGED


def test_an_escape_does_not_begin_where_the_gradient_is_infinite() -> None:
    """The longest step of an escape ends at the edge of the root's domain, at the lowest loss of all."""
    found = certified(lambda w: w[0].square() - w[1].square() + (1 - w[1].square()).sqrt(), zeros(2))
    assert found.verdict == lt.SADDLE
    assert found.escape is not None
    assert found.escape.loss < 1
