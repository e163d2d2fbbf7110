"""Verdicts of certificates where strict complementarity or full rank fails, and against brute force."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from landscape_tools import Composite, certify, converge
from landscape_tools.cones import sign_on_cone

Parts = Callable[[Tensor], Tensor]


def at(*values: float) -> dict[str, Tensor]:
    return {"p": torch.tensor(values, dtype=torch.float64)}


def kinked(smooth: Parts, *alternatives: Parts) -> Composite:
    return Composite(smooth, None, lambda z: torch.stack([f(z) for f in alternatives]).unsqueeze(0), torch.ones(1, dtype=torch.float64))


def test_a_kink_with_a_multiplier_of_0_holds_nothing_back() -> None:
    # The smooth part is stationary already, so the kink max(0, 10 z0) has a multiplier of 0, and f(-0.1, 0) = -0.01 lies below.
    loss = kinked(lambda z: z[1].square() - z[0].square(), lambda z: 0 * z[0], lambda z: 10 * z[0])
    assert float(loss.loss(at(-0.1, 0.0))) < float(loss.loss(at(0.0, 0.0)))
    result = certify(loss, at(0.0, 0.0))
    assert result.verdict == "saddle"
    assert (result.slack, result.weak) == (0.0, 1)
    assert result.escape is not None
    assert result.escape.loss < -0.009


@pytest.mark.parametrize(("steep", "verdict"), [(1.0, "saddle"), (-1.0, "minimum")])
def test_outputs_of_deficient_rank_leave_it_to_the_rest_of_the_hessian(steep: float, verdict: str) -> None:
    # Where p0 moves z0 at second order only, the gradient of z0 decides: z0 + z1^2 with z0 = -steep p0^2.
    loss = Composite(lambda z: z[0] + z[1].square(), lambda p: torch.stack((-steep * p["p"][0].square(), p["p"][1])))
    result = certify(loss, at(0.0, 0.0))
    assert result.verdict == verdict
    assert result.signature is not None
    assert (result.signature.rank, result.signature.outputs, result.signature.rest) == (1, 2, 1.0)


def test_what_neither_order_sees_is_undecided() -> None:
    # z0 = -p0^4: the loss falls along p0, and neither gradient nor Hessian of the parameters knows.
    loss = Composite(lambda z: z[0] + z[1].square(), lambda p: torch.stack((-(p["p"][0] ** 4), p["p"][1])))
    assert float(loss.loss(at(0.1, 0.0))) < 0
    result = certify(loss, at(0.0, 0.0))
    assert result.verdict == "undecided"
    assert "rank 1 of 2" in result.reason


def test_a_minimum_of_the_outputs_is_one_whatever_their_rank() -> None:
    loss = Composite(lambda z: z.square().sum(), lambda p: torch.stack((-(p["p"][0] ** 4), p["p"][1])))
    assert certify(loss, at(0.0, 0.0)).verdict == "minimum"
    # The same rank, but falling in the output that is reached at second order only.
    falling = Composite(lambda z: z[1].square() - z[0].square(), lambda p: torch.stack((p["p"][0].square(), p["p"][1])))
    assert certify(falling, at(0.0, 0.0)).verdict == "undecided"


def test_a_tie_of_three() -> None:
    def alternatives(height: float) -> Composite:
        corners = torch.tensor([[1.0, 0.0], [-0.5, 0.75**0.5], [-0.5, -(0.75**0.5)]], dtype=torch.float64)
        return Composite(
            lambda z: -height * z.square().sum(), None, lambda z: (corners @ z).unsqueeze(0), torch.ones(1, dtype=torch.float64)
        )

    # Three slopes that span the plane hold it whatever the curvature.
    held = certify(alternatives(5.0), at(0.0, 0.0))
    assert (held.verdict, held.subgradient.kinks) == ("minimum", 1)
    assert held.slack == pytest.approx(1 / 3, abs=1e-6)
    found = converge(alternatives(0.1), at(0.4, -0.3))
    assert found.point["p"].tolist() == pytest.approx([0.0, 0.0], abs=1e-6)
    # Two slopes hold z0; the third is tied with a multiplier of 0 and bounds z1 on one side only.
    for curvature, verdict in ((1.0, "minimum"), (-1.0, "saddle")):
        loss = kinked(lambda z, c=curvature: c * z[1].square(), lambda z: z[0], lambda z: -z[0], lambda z: z[1])
        result = certify(loss, at(0.0, 0.0))
        assert (result.verdict, result.weak) == (verdict, 1)


def test_two_bounds_leave_a_cone_that_decides() -> None:
    # max(0, 10 z0) + max(0, 10 z1): only z0, z1 <= 0 are critical, where 2 a z0 z1 has the sign of a.
    def loss(a: float) -> Composite:
        return Composite(
            lambda z: 0.1 * z.square().sum() + 2 * a * z[0] * z[1],
            None,
            lambda z: torch.stack((torch.stack((0 * z[0], 10 * z[0])), torch.stack((0 * z[1], 10 * z[1])))),
            torch.ones(2, dtype=torch.float64),
        )

    assert certify(loss(1.0), at(0.0, 0.0)).verdict == "minimum"  # its Hessian has an eigenvalue of -1.8
    assert certify(loss(-1.0), at(0.0, 0.0)).verdict == "saddle"


def test_ties_that_depend_on_each_other_need_a_lower_point() -> None:
    # The same kink twice: its two multipliers can be split at will, and none of the splits is the multiplier.
    def twice(c: float) -> Composite:
        return Composite(
            lambda z: z[0] + c * z[1].square(),
            None,
            lambda z: torch.stack((0 * z[0], -z[0], -z[0])).unsqueeze(0),
            3 * torch.ones(1, dtype=torch.float64),
        )

    assert certify(twice(1.0), at(0.0, 0.0)).verdict == "minimum"
    result = certify(twice(-1.0), at(0.0, 0.0))
    assert result.verdict == "saddle"
    assert result.escape is not None
    assert result.escape.loss < -1e-3


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_forms_on_cones_against_sampling(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    seen = set()
    for _ in range(60):
        matrix = torch.randn(4, 4, generator=generator, dtype=torch.float64)
        matrix = matrix + matrix.T + 2 * torch.eye(4)
        below = torch.randn(size, 4, generator=generator, dtype=torch.float64)
        found = sign_on_cone(matrix, matrix[:0], below, 1e-9)
        rays = torch.randn(40_000, 4, generator=generator, dtype=torch.float64)
        rays = torch.cat((rays, rays - (rays @ below.T).clamp_min(0) @ torch.linalg.pinv(below).T))  # and onto the faces
        rays = torch.nn.functional.normalize(rays, dim=1)
        rays = rays[(rays @ below.T <= 1e-12).all(1)]
        lowest = float(((rays @ matrix) * rays).sum(1).min())
        seen.add(found.sign)
        if found.sign == "positive":
            assert lowest > 0
        elif found.sign == "negative":
            assert found.direction is not None
            assert float(found.direction @ matrix @ found.direction) < 0
            assert bool((below @ found.direction <= 1e-9).all())
        else:
            assert lowest > -1e-9
    assert {"positive", "negative"} <= seen


def planted(seed: int) -> Composite:
    """A quadratic in three variables with one to three kinks through 0, stationary there; some multipliers are 0."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    groups = 1 + seed % 3
    half = draw(3, 3)
    slopes, curves = draw(groups, 2, 3), 0.3 * draw(groups, 2, 3, 3)
    weights = 1 + torch.rand(groups, generator=generator, dtype=torch.float64)
    share = torch.rand(groups, generator=generator, dtype=torch.float64)
    share[torch.rand(groups, generator=generator) < 0.4] = 0.0
    shares = torch.stack((share, 1 - share), -1)
    push = -(weights.view(-1, 1, 1) * shares.unsqueeze(-1) * slopes).sum((0, 1))
    matrix = half + half.T + torch.eye(3)

    def pieces(z: Tensor) -> Tensor:
        return slopes @ z + torch.einsum("gaij,i,j->ga", curves, z, z)

    return Composite(lambda z: 0.5 * z @ matrix @ z + push @ z, None, pieces, weights)


def lowest_nearby(loss: Composite, radius: float, seed: int) -> float:
    """The lowest value of a random search in a ball around 0, each of its best points refined at ever smaller steps."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.func.vmap(loss.exact)
    points = torch.nn.functional.normalize(torch.randn(4_000, 3, generator=generator, dtype=torch.float64), dim=1) * radius
    best = points[values(points).argsort()[:20]]
    step = 0.3 * radius
    for _ in range(25):
        tried = best.unsqueeze(1) + step * torch.randn(len(best), 50, 3, generator=generator, dtype=torch.float64)
        tried = torch.nn.functional.normalize(torch.cat((best.unsqueeze(1), tried), 1), dim=-1) * radius
        heights = values(tried.flatten(0, 1)).view(len(best), -1)
        best = tried[torch.arange(len(best)), heights.argmin(1)]
        step *= 0.7
    return float(values(best).min())


def test_planted_kinks_against_brute_force() -> None:
    """On the sphere around a strict minimum nothing lies below it, around a saddle something does."""
    seen = {"minimum": 0, "saddle": 0, "weak": 0}
    for seed in range(60):
        loss = planted(seed)
        result = certify(loss, at(0.0, 0.0, 0.0), escape_iterations=1)
        assert result.verdict in ("minimum", "saddle"), (seed, result.reason)
        spread = max(abs(float(result.spectrum.lowest[0])), abs(float(result.spectrum.highest[-1]))) if result.spectrum else 1.0
        clear = [v for v in (result.signature.eigenvalues.tolist() if result.signature else []) if abs(v) < 0.05 * spread]
        if clear:
            continue  # too close to call at a finite distance
        lowest = lowest_nearby(loss, 1e-3, seed)
        assert (lowest > 0) == (result.verdict == "minimum"), (seed, lowest, result)
        seen[result.verdict] += 1
        seen["weak"] += result.weak > 0
    assert min(seen.values()) >= 8, seen
