"""Says what a stationary point is: minimum, saddle, flat, undecided or not converged, kinks included.

At a kink the loss grows linearly across the tied alternatives whose multipliers are positive, so there only the directions that
keep those ties matter for the second order. An alternative that is tied with a multiplier of 0 holds nothing back: the loss may
leave the tie on its lower side, and the second order is to be looked at on the whole critical cone (`cones`). The curvature is
that of the Lagrangian, smooth(z) + sum_i w_i sum_j m_ij c_ij(z), with the multipliers of the smallest subgradient. Where the
ties depend on each other, other multipliers would do as well; then a direction of negative curvature counts only with a lower
point found along it.

Where the outputs are fewer than the parameters and their Jacobian J has full rank, the parameter Hessian at a stationary
point is J^T W J with W the output Hessian: as many negative and positive directions as W has (Sylvester), and all
others exactly flat. The whole signature is then known, not just its ends; `extreme_eigenvalues` checks it matrix-free.
Where J lacks rank, the loss may still fall in an output that the parameters move at second order only. What J does not see of
the output gradient is the `rest`; unless it vanishes, the Hessian in the parameters has to decide, and where that has a 0 the
verdict is "undecided".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape_tools.composite import Composite, as_composite
from landscape_tools.cones import OnCone, independent, sign_on_cone
from landscape_tools.convergence import NEWTON_LIMIT, Converged, converge
from landscape_tools.curvature import DENSE_LIMIT, Matvec, Spectrum, extreme_eigenvalues, hessian_product
from landscape_tools.differentiable import differentiated
from landscape_tools.evaluating import ScalarLoss
from landscape_tools.points import Point, check_digits, flatten, unflatten
from landscape_tools.subgradients import Subgradient, smallest_subgradient
from landscape_tools.ties import Ties, projection, pulled, slack_of, ties_of

MINIMUM, SADDLE, FLAT, UNDECIDED, NOT_CONVERGED = "minimum", "saddle", "flat", "undecided", "not converged"
VERDICTS = {"positive": MINIMUM, "negative": SADDLE, "zero": FLAT, "unknown": UNDECIDED}
"""What the sign of the second order on the critical cone says, where it says all."""


@dataclass(frozen=True)
class Signature:
    """Counts of curvature directions among those that keep the ties of positive multipliers.

    Attributes:
        negative, flat, positive: number of each; `flat` counts what the outputs see and have no curvature, not the
            directions that leave the outputs as they are.
        unseen: parameter directions that do not change the outputs at first order.
        eigenvalues: all curvatures of the parameter Hessian that the outputs carry, ascending.
        smallest_singular: smallest singular value of the outputs' Jacobian; `largest_singular` the largest.
        rank: number of outputs that the parameters move independently; below `outputs` the verdict needs more than these counts.
        rest: norm of what the Jacobian does not see of the output gradient; 0 where the rank is full.
    """

    negative: int
    flat: int
    positive: int
    unseen: int
    eigenvalues: Tensor
    smallest_singular: float
    largest_singular: float
    rank: int
    outputs: int
    rest: float


@dataclass(frozen=True)
class Certificate:
    """What a point is.

    Attributes:
        verdict: "minimum", "saddle", "flat", "undecided" or "not converged".
        reason: why, in a few words.
        loss: exact loss.
        subgradient: smallest subgradient and the active pieces.
        spectrum: extreme eigenvalues in the parameters over the directions that keep the ties; None when not converged.
        signature: the whole signature by way of the outputs; None when not converged or when there are more than
            `NEWTON_LIMIT` outputs.
        slack: smallest multiplier of a tied alternative; at 0 the kink holds nothing back. NaN without kinks.
        weak: tied alternatives whose multiplier counts as 0.
        escape: the descent from the most negative direction; None when there is none.
    """

    verdict: str
    reason: str
    loss: float
    subgradient: Subgradient
    spectrum: Spectrum | None
    signature: Signature | None
    slack: float
    weak: int
    escape: Converged | None


@differentiated()
def certify(
    loss: ScalarLoss | Composite,
    point: Point,
    *,
    stationary: float = 1e-5,
    curvature: float = 1e-6,
    within: float = 1e-6,
    complementary: float = 1e-6,
    escape_steps: tuple[float, ...] = (1e-3, 1e-2, 1e-1, 1.0),
    escape_iterations: int = 150,
) -> Certificate:
    """Certify a point.

    Args:
        loss: point -> scalar; a :class:`Composite` where it has kinks, or few outputs and many parameters.
        point: best the result of :func:`landscape_tools.convergence.converge`; float64.
        stationary: largest norm of the smallest subgradient at which the point counts as converged.
        curvature: eigenvalues within this share of the largest count as 0.
        within: distance at which alternatives count as tied.
        complementary: multipliers up to this count as 0.
        escape_steps: lengths tried, both ways, along the most negative direction.
        escape_iterations: of the descent from the lowest point found so.
    """
    check_digits(point.values(), "certify")
    like = dict(point)
    composite = as_composite(loss, like)
    vector = flatten(point).detach()
    z = composite.output(vector, like).detach()
    value = float(composite.exact(z))
    subgradient = smallest_subgradient(composite, point, within=within)
    slack = slack_of(subgradient)
    if not subgradient.norm <= stationary:
        reason = f"the smallest subgradient is {subgradient.norm:.2g} long"
        return Certificate(NOT_CONVERGED, reason, value, subgradient, None, None, slack, 0, None)
    jacobian = composite.jacobian(vector, like)
    ties = ties_of(composite, z, subgradient, complementary)
    project = projection(pulled(ties.strong, jacobian))
    product = hessian_product(lambda v: composite.lagrangian(composite.output(v, like), subgradient.multipliers), vector)
    spectrum = extreme_eigenvalues(lambda v: project(product(project(v.to(vector)))), len(vector))
    signature, inner = None, None
    if len(z) <= NEWTON_LIMIT:
        signature, inner = _signature(composite, z, jacobian, ties, subgradient, curvature, len(vector))
    verdict, reason, direction = MINIMUM, "", None
    if signature is not None and inner is not None and (signature.rank == signature.outputs or signature.rest <= stationary):
        verdict, reason, direction = _by_outputs(inner, signature, jacobian, ties, curvature)
    else:
        if signature is not None:
            reason = (
                f"the Jacobian has rank {signature.rank} of {signature.outputs} and leaves {signature.rest:.2g} of the output gradient; "
            )
        verdict, why, direction = _by_parameters(product, spectrum, ties, jacobian, curvature, len(vector))
        reason += why
    escape = None
    if verdict == SADDLE:
        assert direction is not None
        escape = _escape(composite, point, direction.to(vector), value, escape_steps, escape_iterations)
        if not independent(pulled(torch.cat((ties.strong, ties.weak)), jacobian)) and not escape.loss < value - 1e-9 * max(1.0, abs(value)):
            verdict = UNDECIDED
            reason += "; the ties depend on each other, and nothing lower was found along it"
    return Certificate(verdict, reason, value, subgradient, spectrum, signature, slack, len(ties.weak), escape)


def _signature(
    composite: Composite, z: Tensor, jacobian: Tensor | None, ties: Ties, subgradient: Subgradient, curvature: float, size: int
) -> tuple[Signature, Tensor]:
    """The signature, and the Hessian of the Lagrangian in the outputs."""

    def lagrangian(outputs: Tensor) -> Tensor:
        return composite.lagrangian(outputs, subgradient.multipliers)

    hessian: Any = torch.func.jacrev(torch.func.grad(lagrangian))
    inner = hessian(z).detach()
    inner = 0.5 * (inner + inner.T)
    factor, singular = _factor(jacobian, z)
    found = sign_on_cone(factor.T @ inner @ factor, ties.strong @ factor, ties.weak[:0] @ factor, curvature)
    limit = curvature * float(found.values.abs().max()) if len(found.values) else 0.0
    negative, positive = int((found.values < -limit).sum()), int((found.values > limit).sum())
    rank = factor.shape[1]
    gradient = subgradient.output_gradient
    unit = torch.linalg.qr(factor)[0]
    rest = 0.0 if rank == len(z) else float((gradient - unit @ (unit.T @ gradient)).norm())
    ends = float(singular.min()), float(singular.max())
    flat = len(found.values) - negative - positive
    return Signature(negative, flat, positive, size - rank, found.values, *ends, rank, len(z), rest), inner


def _factor(jacobian: Tensor | None, z: Tensor) -> tuple[Tensor, Tensor]:
    """F (n, rank) with J = F Q for orthonormal rows Q, and the singular values of J."""
    if jacobian is None:
        return torch.eye(len(z), dtype=z.dtype), torch.ones(len(z), dtype=z.dtype)
    squares, left = torch.linalg.eigh(jacobian @ jacobian.T)
    singular = squares.clamp_min(0).sqrt()
    kept = singular > 1e-6 * singular.max()
    return left[:, kept] * singular[kept], singular


def _by_outputs(inner: Tensor, signature: Signature, jacobian: Tensor | None, ties: Ties, share: float) -> tuple[str, str, Tensor | None]:
    """Verdict, reason and direction where the output gradient vanishes, so that the Hessian in the outputs decides."""
    factor, _ = _factor(jacobian, inner)
    found = sign_on_cone(factor.T @ inner @ factor, ties.strong @ factor, ties.weak @ factor, share)
    reason = _why(found, ties)
    if found.sign != "negative" and signature.rank < signature.outputs:
        # What the parameters reach at second order only must not lower the loss either.
        whole = sign_on_cone(inner, ties.strong, ties.weak, share)
        reason = f"the Jacobian has rank {signature.rank} of {signature.outputs}; in all outputs {_why(whole, ties)}"
        return (MINIMUM if whole.sign == "positive" else UNDECIDED), reason, None
    direction = found.direction
    if direction is not None and jacobian is not None:  # Q' d, with J = F Q
        direction = jacobian.T @ torch.linalg.pinv(factor).T @ direction
    return VERDICTS[found.sign], reason, direction


def _why(found: OnCone, ties: Ties) -> str:
    where = "on the critical cone" if len(ties.weak) else "in every direction that keeps the ties" if len(ties.strong) else "everywhere"
    return {
        "positive": f"the curvature is positive {where}",
        "negative": "a critical direction has negative curvature",
        "zero": "a critical direction has no curvature, and none a negative one",
        "unknown": f"{len(ties.weak)} tied alternatives have a multiplier of 0, and the critical cone is not decided",
    }[found.sign]


def _by_parameters(
    product: Matvec, spectrum: Spectrum, ties: Ties, jacobian: Tensor | None, share: float, size: int
) -> tuple[str, str, Tensor | None]:
    """The same by the Hessian in the parameters: dense where small, by its ends otherwise."""
    strong, weak = pulled(ties.strong, jacobian), pulled(ties.weak, jacobian)
    if size <= DENSE_LIMIT:
        rows = torch.stack([product(row) for row in torch.eye(size, dtype=strong.dtype)])
        found = sign_on_cone(0.5 * (rows + rows.T), strong, weak, share)
        verdict = UNDECIDED if found.sign == "zero" else VERDICTS[found.sign]
        return verdict, _why(found, ties), found.direction
    lowest, residual = float(spectrum.lowest[0]), float(spectrum.lowest_residuals[0])
    limit = max(share * max(abs(lowest), abs(float(spectrum.highest[-1]))), residual)
    if lowest < -limit:
        direction = projection(strong)(spectrum.lowest_vector.to(strong))
        along = weak @ direction
        if bool((along <= 0).all() or (along >= 0).all()):
            return SADDLE, f"the lowest curvature is {lowest:.2g}", -direction if bool((along > 0).any()) else direction
        return UNDECIDED, f"the lowest curvature is {lowest:.2g}, in a direction that no side of the kinks allows", None
    if not lowest > limit:  # also where it is NaN
        return UNDECIDED, f"the lowest curvature is {lowest:.2g} with a residual of {residual:.2g}, no different from 0", None
    return MINIMUM, f"the lowest curvature is {lowest:.2g}", None


def _escape(composite: Composite, point: Point, direction: Tensor, loss: float, steps: tuple[float, ...], iterations: int) -> Converged:
    """Descend from the lowest of the points a step along the direction, either way."""
    like, vector = dict(point), flatten(point).detach()
    direction = direction / direction.norm()
    best, lowest = vector, np.inf
    with torch.no_grad():
        for step in steps:
            for sign in (1.0, -1.0):
                tried = vector + sign * step * direction
                value = float(composite.exact(composite.output(tried, like)))
                if value < lowest:
                    best, lowest = tried, value
    return converge(composite, unflatten(best, like), iterations=iterations)
