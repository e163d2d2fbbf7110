"""What the second order says of a stationary point: the signature by way of the outputs, and the verdict by outputs or by parameters."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from landscape_tools.composite import Composite
from landscape_tools.cones import OnCone, sign_on_cone
from landscape_tools.curvature import DENSE_LIMIT, Spectrum
from landscape_tools.probing import difference_hessian
from landscape_tools.products import Matvec
from landscape_tools.results import Kept
from landscape_tools.subgradients import Subgradient
from landscape_tools.ties import Ties, projection, pulled

MINIMUM = "minimum"
SADDLE = "saddle"
FLAT = "flat"
UNDECIDED = "undecided"
NOT_CONVERGED = "not converged"
VERDICTS = {"positive": MINIMUM, "negative": SADDLE, "zero": FLAT, "unknown": UNDECIDED}
"""What the sign of the second order on the critical cone says, where it says all."""


@dataclass(frozen=True, repr=False)
class Signature(Kept):
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


def signature_of(
    composite: Composite,
    z: Tensor,
    jacobian: Tensor | None,
    ties: Ties,
    subgradient: Subgradient,
    curvature: float,
    size: int,
    *,
    differenced: bool = False,
) -> tuple[Signature, Tensor] | None:
    """The signature, and the Hessian of the Lagrangian in the outputs; None where that is not finite, by differences of gradients either,
    which are taken at once where they are `differenced`."""

    def lagrangian(outputs: Tensor) -> Tensor:
        return composite.lagrangian(outputs, subgradient.multipliers)

    inner = z.new_full((len(z), len(z)), torch.nan) if differenced else composite.twice(z, subgradient.multipliers)[1]
    if not bool(inner.isfinite().all()):
        inner = difference_hessian(lagrangian, z)
        if not bool(inner.isfinite().all()):
            return None
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
        return torch.eye(len(z), dtype=z.dtype, device=z.device), z.new_ones(len(z))
    squares, left = torch.linalg.eigh(jacobian @ jacobian.T)
    singular = squares.clamp_min(0).sqrt()
    kept = singular > 1e-6 * singular.max()
    return left[:, kept] * singular[kept], singular


def carried(inner: Tensor, jacobian: Tensor | None, product: Matvec, along: Tensor) -> float:
    """Share of the parameters' Hessian that is not J' W J, along the directions (k, n): what the outputs' own curvature adds."""
    if jacobian is None:
        return 0.0
    whole, seen = torch.stack([product(row) for row in along]), along @ jacobian.T @ inner @ jacobian
    return float((whole - seen).norm(dim=1).max() / torch.maximum(whole.norm(dim=1), seen.norm(dim=1)).max().clamp_min(1e-300))


def by_outputs(inner: Tensor, signature: Signature, jacobian: Tensor | None, ties: Ties, share: float) -> tuple[str, str, Tensor | None]:
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
    if bool(found.values.isnan().any()):
        return "the curvature is not finite"
    where = "on the critical cone" if len(ties.weak) else "in every direction that keeps the ties" if len(ties.strong) else "everywhere"
    return {
        "positive": f"the curvature is positive {where}",
        "negative": "a critical direction has negative curvature",
        "zero": "a critical direction has no curvature, and none a negative one",
        "unknown": f"{len(ties.weak)} tied alternatives have a multiplier of 0, and the critical cone is not decided",
    }[found.sign]


def by_parameters(
    product: Matvec, spectrum: Spectrum, ties: Ties, jacobian: Tensor | None, share: float, size: int
) -> tuple[str, str, Tensor | None]:
    """The same by the Hessian in the parameters: dense where small, by its ends otherwise."""
    strong, weak = pulled(ties.strong, jacobian), pulled(ties.weak, jacobian)
    if size <= DENSE_LIMIT:
        rows = torch.stack([product(row) for row in torch.eye(size, dtype=strong.dtype, device=strong.device)])
        if not bool(rows.isfinite().all()):
            return UNDECIDED, "the curvature is not finite", None
        found = sign_on_cone(0.5 * (rows + rows.T), strong, weak, share)
        verdict = UNDECIDED if found.sign == "zero" else VERDICTS[found.sign]
        return verdict, _why(found, ties), found.direction
    if len(strong) and not float(projection(strong)(torch.ones_like(strong[0])).norm()) > 1e-8 * size**0.5:
        return MINIMUM, "the kinks hold every direction", None
    lowest, residual = float(spectrum.lowest[0]), float(spectrum.lowest_residuals[0])
    if jacobian is None and lowest == float(spectrum.highest[-1]) == 0:
        return FLAT, "no direction has any curvature", None
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
