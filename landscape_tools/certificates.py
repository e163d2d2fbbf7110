"""Says what a stationary point is: minimum, saddle, flat or not converged, kinks included.

At a kink the loss grows linearly across the tied alternatives as long as their multipliers lie strictly inside their
simplex, so only the directions that keep the ties matter for the second order: there the curvature is that of the
Lagrangian, smooth(z) + sum_i w_i sum_j m_ij c_ij(z), with the multipliers of the smallest subgradient.

Where the outputs are fewer than the parameters and their Jacobian J has full rank, the parameter Hessian at a stationary
point is J^T W J with W the output Hessian: as many negative and positive directions as W has (Sylvester), and all
others exactly flat. The whole signature is then known, not just its ends; `extreme_eigenvalues` checks it matrix-free.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape_tools.composite import Composite, as_composite
from landscape_tools.convergence import NEWTON_LIMIT, Converged, converge
from landscape_tools.curvature import Spectrum, extreme_eigenvalues, hessian_product
from landscape_tools.evaluating import ScalarLoss
from landscape_tools.points import Point, flatten, unflatten
from landscape_tools.subgradients import Subgradient, smallest_subgradient

MINIMUM, SADDLE, FLAT, NOT_CONVERGED = "minimum", "saddle", "flat", "not converged"


@dataclass(frozen=True)
class Signature:
    """Counts of curvature directions among those that keep the ties.

    Attributes:
        negative, flat, positive: number of each; `flat` counts what the outputs see and have no curvature, not the
            directions that leave the outputs as they are.
        unseen: parameter directions that do not change the outputs at first order.
        eigenvalues: all curvatures of the parameter Hessian that the outputs carry, ascending.
        smallest_singular: smallest singular value of the outputs' Jacobian; `largest_singular` the largest.
    """

    negative: int
    flat: int
    positive: int
    unseen: int
    eigenvalues: Tensor
    smallest_singular: float
    largest_singular: float


@dataclass(frozen=True)
class Certificate:
    """What a point is.

    Attributes:
        verdict: "minimum", "saddle", "flat" or "not converged".
        loss: exact loss.
        subgradient: smallest subgradient and the active pieces.
        spectrum: extreme eigenvalues in the parameters over the directions that keep the ties; None when not converged.
        signature: the whole signature by way of the outputs; None when not converged or when there are more than
            `NEWTON_LIMIT` outputs.
        slack: smallest distance of a tied multiplier from 0; at 0 the kink holds nothing back. NaN without kinks.
        escape: the descent from the most negative direction; None when there is none.
    """

    verdict: str
    loss: float
    subgradient: Subgradient
    spectrum: Spectrum | None
    signature: Signature | None
    slack: float
    escape: Converged | None


def certify(
    loss: ScalarLoss | Composite,
    point: Point,
    *,
    stationary: float = 1e-5,
    curvature: float = 1e-6,
    within: float = 1e-6,
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
        escape_steps: lengths tried, both ways, along the most negative direction.
        escape_iterations: of the descent from the lowest point found so.
    """
    like = dict(point)
    composite = as_composite(loss, like)
    vector = flatten(point).detach()
    z = composite.output(vector, like).detach()
    value = float(composite.exact(z))
    subgradient = smallest_subgradient(composite, point, within=within)
    slack = _slack(subgradient)
    if not subgradient.norm <= stationary:
        return Certificate(NOT_CONVERGED, value, subgradient, None, None, slack, None)
    jacobian = composite.jacobian(vector, like)
    ties = _tie_normals(composite, z, subgradient)  # (m, n)
    pulled = ties if jacobian is None else ties @ jacobian
    project = _projection(pulled)
    product = hessian_product(lambda v: composite.lagrangian(composite.output(v, like), subgradient.multipliers), vector)
    spectrum = extreme_eigenvalues(lambda v: project(product(project(v.to(vector)))), len(vector))
    signature = None
    if len(z) <= NEWTON_LIMIT:
        signature = _signature(composite, z, jacobian, ties, subgradient, curvature, len(vector))
    lowest, highest = float(spectrum.lowest[0]), float(spectrum.highest[-1])
    limit = curvature * max(abs(lowest), abs(highest))
    negative = signature.negative > 0 if signature is not None else lowest < -limit
    if negative or lowest < -max(limit, float(spectrum.lowest_residuals[0])):
        escape = _escape(composite, point, project(spectrum.lowest_vector.to(vector)), value, escape_steps, escape_iterations)
        return Certificate(SADDLE, value, subgradient, spectrum, signature, slack, escape)
    degenerate = signature.flat > 0 if signature is not None else lowest <= limit
    return Certificate(FLAT if degenerate else MINIMUM, value, subgradient, spectrum, signature, slack, None)


def _slack(subgradient: Subgradient) -> float:
    if subgradient.active is None or subgradient.multipliers is None or subgradient.kinks == 0:
        return float("nan")
    tied = subgradient.active & (subgradient.active.sum(-1, keepdim=True) >= 2)
    return float(subgradient.multipliers[tied].min())


def _tie_normals(composite: Composite, z: Tensor, subgradient: Subgradient) -> Tensor:
    """(m, n) gradients of what must stay 0 for every tie to last."""
    if composite.pieces is None or subgradient.active is None or subgradient.kinks == 0:
        return torch.zeros(0, len(z), dtype=z.dtype)
    slopes: Any = torch.func.jacrev(composite.pieces)
    gradients = slopes(z).detach()
    normals = []
    for group in (subgradient.active.sum(-1) >= 2).nonzero().flatten().tolist():
        first, *others = subgradient.active[group].nonzero().flatten().tolist()
        normals += [gradients[group, other] - gradients[group, first] for other in others]
    return torch.stack(normals)


def _projection(normals: Tensor) -> Any:
    """v -> v without its part along the rows of `normals`."""
    if len(normals) == 0:
        return _unchanged
    basis, triangle = torch.linalg.qr(normals.T)
    basis = basis[:, triangle.diagonal().abs() > 1e-10 * triangle.abs().max()]

    def project(vector: Tensor) -> Tensor:
        along: Tensor = basis @ (basis.T @ vector)
        return vector - along

    return project


def _unchanged(vector: Tensor) -> Tensor:
    return vector


def _signature(
    composite: Composite, z: Tensor, jacobian: Tensor | None, ties: Tensor, subgradient: Subgradient, curvature: float, size: int
) -> Signature:
    def lagrangian(outputs: Tensor) -> Tensor:
        return composite.lagrangian(outputs, subgradient.multipliers)

    hessian: Any = torch.func.jacrev(torch.func.grad(lagrangian))
    inner = hessian(z).detach()
    if jacobian is None:
        left, singular = torch.eye(len(z), dtype=z.dtype), torch.ones(len(z), dtype=z.dtype)
    else:
        squares, left = torch.linalg.eigh(jacobian @ jacobian.T)
        singular = squares.clamp_min(0).sqrt()
    kept = singular > 1e-7 * singular.max()
    factor = left[:, kept] * singular[kept]  # J = factor Q with orthonormal rows Q
    reduced = factor.T @ (0.5 * (inner + inner.T)) @ factor
    normals = ties @ factor  # the ties in the coordinates of Q
    if len(normals):
        _, values, right = torch.linalg.svd(normals, full_matrices=True)
        free = right[int((values > 1e-10 * values.max()).sum()) :].T
        reduced = free.T @ reduced @ free
    values = torch.linalg.eigvalsh(reduced)
    limit = curvature * float(values.abs().max()) if len(values) else 0.0
    negative, positive = int((values < -limit).sum()), int((values > limit).sum())
    unseen = size - int(kept.sum())
    return Signature(negative, len(values) - negative - positive, positive, unseen, values, float(singular.min()), float(singular.max()))


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
