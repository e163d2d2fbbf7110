"""What a point is on a sample of a loss, and what an independent sample says of that.

For losses of many outputs, single precision and no Newton's method: L-BFGS on the sample, both ends of the Hessian's spectrum by
Lanczos' method on products that are central differences of gradients, and the same figures along the same directions on another
sample. A Ritz value below 0 proves negative curvature, for it is the curvature of a direction; one above 0 says only that so many
steps found nothing lower.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from landscape_tools.certificates import FLAT, MINIMUM, NOT_CONVERGED, SADDLE, UNDECIDED
from landscape_tools.finite import Slope, Vector, Walled
from landscape_tools.krylov import lanczos


@dataclass(frozen=True)
class Ends:
    """Both ends of a Hessian's spectrum.

    Attributes:
        lowest, highest: Ritz values, as curvatures of `low` and `high`; their residuals |H v - lambda v|.
        low, high: (n,) unit directions.
        steps: of Lanczos' method.
    """

    lowest: float
    lowest_residual: float
    highest: float
    highest_residual: float
    low: Vector
    high: Vector
    steps: int


@dataclass(frozen=True)
class Descended:
    """Where L-BFGS ended.

    Attributes:
        point: (n,). start, loss: the loss where it began and there. gradient: norm of the gradient there.
        iterations: taken; message: why it stopped, in the optimiser's words or "enough".
        expected: what further steps are expected to gain, see :func:`expected_gain`; 0 where the gradient is small.
    """

    point: Vector
    start: float
    loss: float
    gradient: float
    iterations: int
    message: str
    expected: float = 0.0


ENOUGH = "enough"
"""Why a descent ended that its caller was content with."""
FEWEST = 20
"""Steps before which nothing is said of those to come."""


def expected_gain(losses: Sequence[float]) -> float:
    """What a descent is expected to gain by going on: twice what the second half of its steps gained; infinite before `FEWEST` steps.

    A loss that falls by c / steps^p has c / steps^p to go, which is what its last half gained, over 2^p - 1: as much for p = 1, twice as much
    for p = 0.58. A descent through a long flat valley may gain more.

    Args:
        losses: where it began and after every step.
    """
    steps = len(losses) - 1
    return 2 * (losses[steps // 2] - losses[-1]) if steps >= FEWEST else float("inf")


def descend(
    slope: Slope,
    point: Vector,
    *,
    iterations: int,
    tolerance: float,
    enough: Callable[[float, float], bool] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Descended:
    """L-BFGS from a point, until the largest entry of the gradient is below `tolerance` / sqrt(n), so its norm is below `tolerance`, or `enough`.

    Args:
        slope: the loss with its gradient.
        point: (n,) where to start.
        iterations: most steps.
        tolerance: norm of the gradient at which it is done.
        enough: (loss, :func:`expected_gain`) after a step -> whether to stop there.
        progress: called with the steps taken.

    Raises:
        ValueError: when the loss or its gradient is not finite where the descent starts. Where it is not on the way, the descent keeps off.
    """
    start, first = slope(point)
    if not (np.isfinite(start) and np.isfinite(first).all()):
        raise ValueError("the loss or its gradient is not finite where the descent starts")
    losses = [start]

    def called(intermediate_result: Any) -> None:
        losses.append(float(intermediate_result.fun))
        if progress is not None:
            progress(len(losses) - 1)
        if enough is not None and enough(losses[-1], expected_gain(losses)):
            raise StopIteration

    options = {"maxiter": iterations, "maxfun": 2 * iterations, "maxcor": 20, "ftol": 0.0, "gtol": tolerance / len(point) ** 0.5}
    walled = Walled(slope)
    from scipy.optimize import minimize

    found = minimize(walled, point, jac=True, method="L-BFGS-B", callback=called, options=options)
    why = ENOUGH if "StopIteration" in str(found.message) else str(found.message)
    if walled.lowest is not None and not (np.isfinite(found.x).all() and np.isfinite(found.fun)):
        found.x, found.fun, found.jac = walled.lowest
    gradient = float(np.linalg.norm(found.jac))
    left = 0.0 if gradient <= tolerance else expected_gain(losses)
    return Descended(found.x, start, float(found.fun), gradient, int(found.nit), why, left)


def difference_product(slope: Slope, point: Vector, step: float) -> Callable[[Vector], Vector]:
    """v (n,) -> H v by the central difference of gradients at `point` +- `step` v / |v|.

    Args:
        slope: the loss with its gradient.
        point: (n,).
        step: length; in single precision a larger one rounds less, and one above the distance to the next kink averages over it.
    """

    def product(direction: Vector) -> Vector:
        length = float(np.linalg.norm(direction))
        move = direction * (step / length)
        return (slope(point + move)[1] - slope(point - move)[1]) * (length / (2 * step))

    return product


def spectrum_ends(product: Callable[[Vector], Vector], dimension: int, *, steps: int, seed: int = 0) -> Ends:
    """Both ends by Lanczos' method with full reorthogonalisation: one Krylov space serves both, and two more products their residuals.

    Args:
        product: v (n,) -> H v (n,), symmetric.
        dimension: n.
        steps: most products; fewer where the space is exhausted.
        seed: of the start direction.

    Returns:
        the ends; all of it is NaN where a product is not finite.
    """
    space = lanczos(product, np.random.default_rng(seed).standard_normal(dimension), steps=steps)
    if not space.finite:
        nan, lost = float("nan"), np.full(dimension, np.nan)
        return Ends(nan, nan, nan, nan, lost, lost, space.products)
    low, high = space.vectors(np.array([0, -1]))
    found = []
    for direction in (low, high):
        image = product(direction)
        value = float(direction @ image)
        found.append((value, float(np.linalg.norm(image - value * direction))))
    return Ends(*found[0], *found[1], low, high, space.products)


FLATNESS = 1e-3
"""Curvatures within this share of the highest count as 0: what central differences in single precision tell apart."""
GAP = 0.25
"""Relative difference of the losses of two samples up to which one speaks for the other."""


def verdict_on_sample(
    gradient: float, ends: Ends | None, *, stationary: float, left: float = float("inf"), share: float = 0.0, gap: float = float("inf")
) -> tuple[str, str]:
    """(verdict, reason) of a point on the sample it was converged on.

    Args:
        gradient: norm there.
        ends: of the spectrum there; None where it was not looked at.
        stationary: largest norm of the gradient at which it counts as converged.
        left: what further steps are expected to gain, as a share of what there is to gain; it counts as converged, too, where that is `share` or
            less: single precision and kinks may keep the gradient from getting small.
        gap: what there is to gain. A gradient above `stationary` promises a gain of at least its square over twice the highest curvature, so that
            this, too, has to be `share` of it or less.
    """
    if not gradient <= stationary and not 0 <= left <= share:  # also where it is NaN
        more = f", and further steps are expected to gain {100 * left:.0f} % of what there is" if np.isfinite(left) else ""
        return NOT_CONVERGED, f"the norm of the gradient is {gradient:.1e}, above {stationary:.0e}{more}"
    if ends is None:
        return UNDECIDED, "no curvature was looked at"
    if not np.isfinite((ends.lowest, ends.lowest_residual, ends.highest)).all():
        return UNDECIDED, f"the curvature is not finite: {ends.lowest:.2g} to {ends.highest:.2g}"
    if not gradient <= stationary:
        promised = gradient**2 / (2 * max(abs(ends.highest), 1e-300))
        if not np.isfinite(promised) or promised > share * gap:
            return (
                NOT_CONVERGED,
                f"the norm of the gradient is {gradient:.1e}, which promises a gain of {promised:.1e}, {100 * promised / gap:.0f} % of what there is",
            )
    zero, low, off = FLATNESS * abs(ends.highest), ends.lowest, ends.lowest_residual
    rest = (
        ""
        if gradient <= stationary
        else f"; the norm of the gradient is {gradient:.1e}, further steps are expected to gain {100 * left:.0f} % of what there is"
    )
    if low < -zero:
        return SADDLE, f"a direction has curvature {low:.2g}{rest}"
    if low - off > zero:
        return MINIMUM, f"the lowest of {ends.steps} Lanczos steps is {low:.2g}, {off:.1e} from an eigenvalue{rest}"
    if abs(low) + off <= zero:
        return FLAT, f"the lowest of {ends.steps} Lanczos steps is {low:.2g}, a thousandth of the highest or less{rest}"
    return UNDECIDED, f"the lowest curvature {low:.2g} is known to {off:.1e} only"


def verdict_on_both(verdict: str, loss: float, highest: float, other_loss: float, other_lowest: float) -> tuple[str, str]:
    """(verdict, reason) for a sample and an independent one: the sample's, where the independent one has a like loss and its curvature along the
    sample's lowest direction has the same sign; else "undecided".

    Args:
        verdict, loss, highest: of the sample: its verdict, loss and highest curvature.
        other_loss, other_lowest: of the independent sample: the loss, and the curvature along the sample's lowest direction.
    """
    if verdict in (NOT_CONVERGED, UNDECIDED):
        return verdict, "the sample decides nothing already"
    gap = abs(other_loss - loss) / max(abs(loss), 1e-12)
    if not gap <= GAP:  # also where a loss is not finite
        return UNDECIDED, f"the loss of the independent sample is {100 * gap:.0f} % away, so the point belongs to the sample"
    if not np.isfinite((highest, other_lowest)).all():
        return UNDECIDED, f"the curvature is not finite: {other_lowest:.2g} on the independent sample, {highest:.2g} the highest"
    zero = FLATNESS * abs(highest)
    sign = SADDLE if other_lowest < -zero else MINIMUM if other_lowest > zero else FLAT
    if sign != verdict:
        return UNDECIDED, f"along the sample's lowest direction the independent sample has curvature {other_lowest:.2g}"
    return verdict, f"the independent sample has a loss {100 * gap:.0f} % away and curvature {other_lowest:.2g} along the same direction"
