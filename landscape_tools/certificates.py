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

Every verdict is confirmed by a second route (`probing`): gradients and losses a little beside the point. Where these are not what the derivatives at
the point promise, there is a kink that was not declared, or no curvature at all, and the verdict is "undecided" in words that say so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from landscape_tools.composite import Composite, as_composite
from landscape_tools.cones import independent
from landscape_tools.convergence import NEWTON_LIMIT, Converged, converge
from landscape_tools.curvature import DENSE_LIMIT, Spectrum, draw_ends, extreme_eigenvalues
from landscape_tools.differentiable import differentiated
from landscape_tools.entrance import at_one_point
from landscape_tools.evaluating import ScalarLoss
from landscape_tools.points import Point, check_digits, flatten, unflatten
from landscape_tools.probing import Place, differences, directions, doubt_of, probe, scales, sloped
from landscape_tools.products import Matvec, dense_product, hessian_product
from landscape_tools.results import Result, new_axes
from landscape_tools.signatures import (
    FLAT,
    MINIMUM,
    NOT_CONVERGED,
    SADDLE,
    UNDECIDED,
    Signature,
    by_outputs,
    by_parameters,
    carried,
    signature_of,
)
from landscape_tools.subgradients import Subgradient, smallest_subgradient
from landscape_tools.ties import projection, pulled, slack_of, ties_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FLAT", "MINIMUM", "NOT_CONVERGED", "SADDLE", "UNDECIDED", "Certificate", "Signature", "certify"]


@dataclass(frozen=True, repr=False)
class Certificate(Result):
    """What a point is.

    Attributes:
        verdict: "minimum", "saddle", "flat", "undecided" or "not converged".
        reason: why, in a few words.
        loss: exact loss.
        subgradient: smallest subgradient and the active pieces.
        spectrum: extreme eigenvalues in the parameters over the directions that keep the ties; None when not converged or not finite.
        signature: the whole signature by way of the outputs; None when not converged or not finite, or when there are more than
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

    def plot(self, ax: Axes | None = None) -> Axes:
        """The ends of the spectrum, where there is one, under the verdict."""
        ax = new_axes(ax)
        if self.spectrum is not None:
            draw_ends(self.spectrum, ax)
        ax.set_title(f"{self.verdict}: {self.reason}", fontsize="small", wrap=True)
        return ax

    def to_dataset(self) -> xr.Dataset:
        """Verdict and figures as attributes, both ends of the spectrum, and the curvatures that the outputs carry."""
        attrs: dict[str, Any] = {name: getattr(self, name) for name in ("verdict", "reason", "loss", "slack", "weak")}
        attrs |= {"subgradient": self.subgradient.norm, "kinks": self.subgradient.kinks}
        data = xr.Dataset(attrs=attrs) if self.spectrum is None else self.spectrum.to_dataset().assign_attrs(attrs)
        if self.signature is None:
            return data
        counts = {name: getattr(self.signature, name) for name in ("negative", "flat", "positive", "unseen")}
        return data.assign(carried=("output", self.signature.eigenvalues.cpu().numpy())).assign_attrs(counts)


@at_one_point
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
    """Say what a point is: first and second order conditions on the critical cone, and Sylvester's law for the signature.

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
    value = float(composite.exact(z).detach())
    subgradient = smallest_subgradient(composite, point, within=within)
    slack = slack_of(subgradient)
    if not np.isfinite((value, subgradient.norm)).all():
        reason = f"not finite: the loss is {value:.3g} here, and its smallest subgradient {subgradient.norm:.2g} long"
        return Certificate(UNDECIDED, reason, value, subgradient, None, None, slack, 0, None)

    def lagrangian(v: Tensor) -> Tensor:
        return composite.lagrangian(composite.output(v, like), subgradient.multipliers)

    slope, scale = sloped(lagrangian), scales(like)
    along = directions(scale)
    product, how = hessian_product(lagrangian, vector), ""
    if not bool(product(along[0]).isfinite().all()):
        product, how = (
            differences(slope, vector, scale),
            "automatic differentiation has no finite second derivative here; by differences of gradients ",
        )
    place = Place(slope, vector, product, scale, how != "")
    seen = probe(place, along, stationary)
    if not how and not seen.agrees:  # abs().square() has a second derivative at 0, and automatic differentiation another
        other = Place(slope, vector, differences(slope, vector, scale), scale, True)
        again = probe(other, along, stationary)
        if again.agrees:
            place, seen, product = other, again, other.product
            how = "automatic differentiation has another second derivative than the gradients beside; by differences of gradients "
    if subgradient.bound and not seen.falls and not subgradient.norm <= stationary:
        reason = (
            f"the shortest subgradient found is {subgradient.norm:.2g} long, an upper bound of the smallest, with too many ties for that"
        )
        return Certificate(UNDECIDED, reason, value, subgradient, None, None, slack, 0, None)
    if seen.falls or (seen.agrees and not subgradient.norm <= stationary):
        reason = (
            f"the smallest subgradient is {subgradient.norm:.2g} long"
            if seen.agrees
            else f"to first order the loss falls one way; {seen.reason}"
        )
        return Certificate(NOT_CONVERGED, reason, value, subgradient, None, None, slack, 0, None)
    if not how and len(vector) <= DENSE_LIMIT:  # all of its columns are asked for anyway, and more than once
        product = dense_product(product, vector)
        place = replace(place, product=product)
    jacobian = composite.jacobian(vector, like)
    ties = ties_of(composite, z, subgradient, complementary)
    project = projection(pulled(ties.strong, jacobian))
    spectrum = _ends(product, project, vector, along[0], lift=jacobian is None and len(ties.strong) > 0)
    found = None
    if len(z) <= NEWTON_LIMIT:
        found = signature_of(composite, z, jacobian, ties, subgradient, curvature, len(vector), differenced=how != "")
    signature, reason = None if found is None else found[0], ""
    steep = float(np.nan_to_num(np.abs((spectrum.lowest[0], spectrum.highest[-1]))).max())
    if seen.agrees and subgradient.kinks == 0 and _far(subgradient.norm, steep, value, vector, scale):
        reason = (
            f"the gradient is {subgradient.norm:.2g} long, which is much for a curvature of at most {steep:.2g}: by that no stationary point is "
            f"nearer than {subgradient.norm / max(steep, 1e-300):.2g}"
        )
        return Certificate(NOT_CONVERGED, reason, value, subgradient, spectrum, signature, slack, 0, None)
    if found is not None and (
        found[0].rank == found[0].outputs or (found[0].rest <= stationary and carried(found[1], jacobian, product, along) <= curvature)
    ):
        verdict, why, direction = by_outputs(found[1], found[0], jacobian, ties, curvature)
    else:
        if signature is not None:
            reason = (
                f"the Jacobian has rank {signature.rank} of {signature.outputs} and leaves {signature.rest:.2g} of the output gradient; "
            )
        verdict, why, direction = by_parameters(product, spectrum, ties, jacobian, curvature, len(vector))
    doubt = seen.reason
    if not doubt and verdict != UNDECIDED:
        low = (spectrum.lowest_vector if direction is None else direction).to(vector)
        doubt = doubt_of(place, torch.cat((low.unsqueeze(0), along)), stationary, steep, flat=verdict == FLAT)
    verdict, reason = (UNDECIDED, how + doubt) if doubt else (verdict, how + reason + why)
    escape = None
    if verdict == SADDLE:
        assert direction is not None
        escape = _escape(composite, point, direction.to(vector), value, escape_steps, escape_iterations)
        tied = torch.cat((ties.strong, ties.weak))
        why = (
            "the ties depend on each other"
            if not independent(pulled(tied, jacobian))
            else ""
            if len(tied)
            else "the loss shows no such curvature"
        )
        if why and not escape.loss < value - 1e-9 * (max(1.0, abs(value)) if len(tied) else abs(value)):
            verdict, reason = UNDECIDED, f"{reason}; {why}, and nothing lower was found along it"
    return Certificate(verdict, reason, value, subgradient, spectrum, signature, slack, len(ties.weak), escape)


def _ends(product: Matvec, project: Matvec, like: Tensor, along: Tensor, *, lift: bool) -> Spectrum:
    """Both ends of the spectrum over the directions that keep the ties; with `lift` no 0 stands for the others, and what is rounding beside the
    curvature `along` any direction is 0."""

    def kept(vector: Tensor) -> Tensor:
        return project(product(project(vector.to(like))))

    found = extreme_eigenvalues(kept, len(like))
    top = float(found.highest[-1])
    rounding = 1e-12 * float(product(along).norm() / along.norm())
    if lift and max(abs(float(found.lowest[0])), abs(top)) <= rounding:
        return replace(found, lowest=0 * found.lowest, highest=0 * found.highest)
    if not (lift and top > 0):
        return found
    return extreme_eigenvalues(lambda v: kept(v) + top * (v.to(like) - project(v.to(like))), len(like))


FAR = 1e-2
"""Least length of a Newton step, in units of the scale, at which a small gradient is one of a small loss, not of a stationary point."""


def _far(gradient: float, steep: float, value: float, vector: Tensor, scale: Tensor) -> bool:
    """Whether the gradient is beyond rounding, and too long for the highest curvature for a stationary point to be near."""
    rounded = 1024 * torch.finfo(vector.dtype).eps * abs(value)
    return gradient > max(rounded, FAR * steep * float(scale.max()))


def _escape(composite: Composite, point: Point, direction: Tensor, loss: float, steps: tuple[float, ...], iterations: int) -> Converged:
    """Descend from the lowest of the points a step along the direction, either way."""
    like, vector = dict(point), flatten(point).detach()
    direction = direction / direction.norm()
    best, lowest = vector, np.inf
    slope = sloped(lambda v: composite.exact(composite.output(v, like)))
    for step in steps:
        for sign in (1.0, -1.0):
            tried = vector + sign * step * direction
            value, gradient = slope(tried)
            if float(value) < lowest and bool(gradient.isfinite().all()):
                best, lowest = tried, float(value)
    return converge(composite, unflatten(best, like), iterations=iterations)
