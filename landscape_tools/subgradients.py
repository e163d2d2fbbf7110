"""The smallest subgradient of a loss with kinks: what vanishes at a stationary point where the gradient does not exist."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from landscape_tools.composite import Composite, as_composite
from landscape_tools.differentiable import differentiated
from landscape_tools.entrance import at_one_point
from landscape_tools.evaluating import ScalarLoss
from landscape_tools.points import Point, check_digits, flatten
from landscape_tools.results import Kept

MOST_NUMBERS = 1 << 26
"""Numbers of the matrix of tied gradients that is held at most, half a GiB; beyond, the multipliers are found by descent."""
MOST_TIES = 2_000
"""Tied gradients that are weighed against each other at most: their least squares take 5 s for 1,600, and grow with the cube."""
CHUNK = 64
"""Rows of it that are made at once."""
SHARPNESS = 50.0
"""Alternatives count as tied at so many widths of a smoothing, see :func:`landscape_tools.converge`."""
STEPS = 30
"""Most steps of the descent of the multipliers."""
SMALL = 1e-6
"""Relative gain of a step at which it ends."""


@dataclass(frozen=True, repr=False)
class Subgradient(Kept):
    """Smallest element of the subdifferential in the parameters.

    Attributes:
        norm: its Euclidean norm; 0 at a stationary point. NaN or infinite where the loss, a piece or a gradient is not finite. An upper bound where
            `bound` says so.
        one_sided: norm of the gradient that automatic differentiation gives (one piece chosen per maximum), which need
            not be small at a stationary point.
        multipliers: (groups, alternatives) weights of the alternatives, each row summing to 1; None without kinks.
        active: (groups, alternatives) bool, alternatives within the tolerance of their maximum; None without kinks.
        output_gradient: (n,) the subgradient in the outputs.
        bound: whether there were too many ties for the least norm itself, so that `norm` is that of a short element.
    """

    norm: float
    one_sided: float
    multipliers: Tensor | None
    active: Tensor | None
    output_gradient: Tensor
    bound: bool = False

    @property
    def kinks(self) -> int:
        """Number of maxima that sit on a kink: two or more active alternatives."""
        return 0 if self.active is None else int((self.active.sum(-1) >= 2).sum())


@at_one_point
@differentiated()
def smallest_subgradient(loss: ScalarLoss | Composite, point: Point, *, within: float = 1e-6) -> Subgradient:
    """Solve min over multipliers of |J^T (grad smooth + sum_i w_i sum_j m_ij grad c_ij)|, each m_i in a simplex over the
    alternatives that lie within `within` of their maximum: the shortest element of Clarke's (1983) subdifferential.

    Args:
        loss: point -> scalar, or a :class:`Composite`.
        point: where; float64.
        within: distance, in units of the pieces, at which alternatives count as tied.
    """
    check_digits(point.values(), "smallest_subgradient")
    like = dict(point)
    composite = as_composite(loss, like)
    vector = flatten(point).detach()
    z, pulled = _pulled(composite, vector, like)
    pieces, weights = composite.pieces, composite.weights
    grad: Any = torch.func.grad(composite.smooth)
    base: Tensor = grad(z).detach()
    if pieces is None:
        size = float(pulled(base).detach().norm())
        return Subgradient(size, size, None, None, base)
    assert weights is not None
    known, back_of_pieces = _pullback(pieces, z)
    values = known.detach()

    def mixed(shares: Tensor) -> Tensor:  # (groups, alternatives) -> (n,)
        return back_of_pieces(weights.unsqueeze(-1) * shares).detach()

    if not all(bool(part.isfinite().all()) for part in (values, mixed(torch.ones_like(values)), pulled(base))):
        return Subgradient(float("nan"), float("nan"), None, None, torch.full_like(base, torch.nan))
    active = values >= values.amax(-1, keepdim=True) - within
    first = torch.nn.functional.one_hot(values.argmax(-1), values.shape[-1]).to(z)
    one_sided = base + mixed(first)
    tied = active & (active.sum(-1, keepdim=True) >= 2)
    multipliers, bound = first.clone(), int(tied.sum()) > min(MOST_TIES, MOST_NUMBERS // max(len(vector), len(z)))
    if bool(tied.any()):
        if not bound:

            def alone(index: Tensor) -> Tensor:  # of one alternative
                one = (torch.arange(values.numel(), device=z.device) == index).view_as(values)
                return back_of_pieces(weights.unsqueeze(-1) * one.to(z))

            multipliers[tied.any(-1)] = 0.0
            rows = torch.func.vmap(alone, chunk_size=CHUNK)(tied.flatten().nonzero().flatten()).detach()
            rows = torch.func.vmap(pulled, chunk_size=CHUNK)(rows).detach()
            multipliers[tied] = _by_least_squares(rows, pulled(base + mixed(multipliers)).detach(), tied.nonzero()[:, 0])
            multipliers = multipliers / multipliers.sum(-1, keepdim=True)
        else:
            multipliers = _by_descent(partial(_slope, composite, vector, like), values, tied, within)
    smallest = base + mixed(multipliers)
    return Subgradient(
        float(pulled(smallest).detach().norm()), float(pulled(one_sided).detach().norm()), multipliers, active, smallest, bound
    )


def _pulled(composite: Composite, vector: Tensor, like: Point) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """The outputs z (n,), and a gradient in them -> the gradient (parameters,)."""
    if composite.outputs is None:
        return vector, lambda gradient: gradient
    if composite.slope is not None:
        with torch.no_grad():
            z = composite.output(vector, like)
        if len(z) * len(vector) <= MOST_NUMBERS:
            jacobian = composite.jacobian(vector, like)
            return z, lambda gradient: gradient @ jacobian
    z, back = _pullback(lambda v: composite.output(v, like), vector)
    return z.detach(), back


def _pullback(function: Callable[[Tensor], Tensor], at: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Its value, and a gradient in the value -> the gradient in `at`."""
    made: Any = torch.func.vjp(function, at)
    value, back = made

    def pulled(gradient: Tensor) -> Tensor:
        through: Tensor = back(gradient)[0]
        return through

    return value, pulled


def _by_least_squares(rows: Tensor, fixed: Tensor, groups: Tensor) -> Tensor:
    """(k,) shares >= 0, summing to 1 in each group, of the least |fixed + shares rows|: rows (k, parameters), groups (k,)."""
    # Orthonormal coordinates keep the problem small; simplices enter as heavily weighted equations.
    basis = torch.linalg.qr(torch.cat((rows, fixed.unsqueeze(0))).T)[0]
    scale = float(rows.norm(dim=1).max()) * 1e4
    place = (groups.diff(prepend=groups[:1]) != 0).long().cumsum(0)
    sums = scale * torch.nn.functional.one_hot(place).T.to(rows)
    system = torch.cat((basis.T @ rows.T, sums))
    wanted = torch.cat((-(basis.T @ fixed), rows.new_full((len(sums),), scale)))
    from scipy.optimize import nnls

    found = nnls(system.double().cpu().numpy(), wanted.double().cpu().numpy(), maxiter=50 * system.shape[1])[0]
    return torch.from_numpy(found).to(rows)


def _slope(composite: Composite, vector: Tensor, like: Point, shares: Tensor) -> Tensor:
    """(parameters,) the element of the subdifferential that has these multipliers, differentiable in them."""

    def weighed(v: Tensor) -> Tensor:
        return composite.lagrangian(composite.output(v, like), shares)

    grad: Any = torch.func.grad(weighed)
    slope: Tensor = grad(vector)
    return slope


def _by_descent(slope: Callable[[Tensor], Tensor], values: Tensor, tied: Tensor, within: float) -> Tensor:
    """(groups, alternatives) multipliers of a short element by spectral projected gradient (Birgin, Martinez and Raydan 2000), without a matrix.

    It begins at the multipliers of maxima that are smoothed over a share of `within`, as those are that a descent of a smoothed loss ends with.
    """
    within = within or 1.0
    allowed = tied | (torch.nn.functional.one_hot(values.argmax(-1), values.shape[-1]).bool() & ~tied.any(-1, keepdim=True))
    shares = torch.softmax((values * (SHARPNESS / within)).masked_fill(~allowed, -torch.inf), -1)
    pace = 0.0
    for _ in range(STEPS):
        length, back = _pullback(slope, shares)
        uphill = back(length).detach()
        steepest = float(uphill.abs().max())
        if not steepest > 0:
            break
        ahead = _onto_simplices(shares - (pace or 1 / steepest) * uphill, allowed) - shares
        change = (slope(shares + ahead) - length).detach()  # the element is affine in its multipliers, so the best length is known
        steep = float(change.square().sum())
        if not steep > 0:
            break
        share = min(1.0, max(0.0, -float(length.detach() @ change) / steep))
        shares = shares + share * ahead
        pace = float(ahead.square().sum()) / steep
        if share * steep**0.5 <= SMALL * float(length.detach().norm()):
            break
    return shares


def _onto_simplices(points: Tensor, allowed: Tensor) -> Tensor:
    """The nearest rows (groups, alternatives) of shares >= 0 that sum to 1, with 0 where they are not allowed."""
    falling = points.masked_fill(~allowed, -torch.inf).sort(-1, descending=True).values
    excess = (falling.cumsum(-1) - 1) / torch.arange(1, points.shape[-1] + 1, device=points.device)
    kept = (falling > excess) & falling.isfinite()
    level = excess.gather(-1, (kept.sum(-1, keepdim=True) - 1).clamp_min(0))
    return (points - level).clamp_min(0).masked_fill(~allowed, 0.0)
