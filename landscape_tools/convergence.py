"""Converges a point to a stationary point of a loss that may have kinks.

Maxima are smoothed and the smoothing is driven down. At each level a Levenberg-Marquardt step uses the exact
Hessian A of the loss in its outputs, made positive: (J^T |A| J + damping) step = -J^T gradient. With n outputs and many
more parameters this costs an n x n system, since (J^T A J + d)^-1 J^T = J^T (A J J^T + d)^-1. Where the smoothing has told
which alternatives tie, Newton's method on the conditions of the kinked problem itself ends it to rounding. A loss of
more outputs than `NEWTON_LIMIT` falls back to L-BFGS; where they are the parameters themselves and their Hessian is known cheaply, a trust
region goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape_tools.composite import Composite, as_composite
from landscape_tools.differentiable import differentiated
from landscape_tools.entrance import at_one_point
from landscape_tools.evaluating import ScalarLoss
from landscape_tools.finite import Walled
from landscape_tools.newton import newton, polish
from landscape_tools.points import Point, check_digits, flatten, unflatten
from landscape_tools.results import Kept
from landscape_tools.subgradients import Subgradient, smallest_subgradient

NEWTON_LIMIT = 1500
"""Most outputs for which Newton's method with a dense Hessian is used."""
ROUNDS = 8
"""Most sets of ties that are tried after a trust region, which ends less near its kinks than Newton's method does."""
HESSIAN_LIMIT = 8_000
"""Most parameters of which a trust region holds the whole Hessian, half a GiB."""
TRUSTED = 60
"""Most steps of a trust region at a level of smoothing."""
AT_LEAST = 20
"""Iterations kept for full precision after the rough ones."""
ROUGH = 1e-9
"""Relative gain of an iteration below which the rough way has no digits left."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True, repr=False)
class Converged(Kept):
    """Where a descent ended.

    Attributes:
        point: parameters.
        loss: the exact loss there; `start` the loss where the descent began.
        subgradient: smallest subgradient there; its `norm` is 0 at a stationary point.
        iterations: steps taken over all levels of smoothing.
        smoothing: last level of smoothing; 0 when the kinked problem itself was solved.
    """

    point: dict[str, Tensor]
    loss: float
    start: float
    subgradient: Subgradient
    iterations: int
    smoothing: float


@at_one_point
@differentiated()
def converge(
    loss: ScalarLoss | Composite,
    point: Point,
    *,
    iterations: int = 300,
    tolerance: float = 1e-8,
    smoothings: tuple[float, ...] = (1e-2, 1e-3, 1e-4, 1e-6),
    progress: Progress | None = None,
) -> Converged:
    """Descend from `point` to a nearby stationary point.

    Args:
        loss: point -> scalar; a :class:`Composite` where it has kinks, or few outputs and many parameters.
        point: where to start; only its parameters move. float64 converges to rounding, float32 as far as its digits go.
        iterations: most steps over all levels of smoothing; the early levels take at most an equal share each.
        tolerance: gradient norm of the smoothed loss at which a level is done.
        smoothings: levels, in units of the pieces; one pass without smoothing when the loss has no kinks.
        progress: called with (steps taken, steps at most).

    Raises:
        ValueError: when the loss or its gradient is not finite where the descent starts.
    """
    check_digits(point.values(), "converge")
    like = dict(point)
    composite = as_composite(loss, like)
    vector = flatten(point).detach()
    z = composite.output(vector, like)
    start = float(composite.exact(z).detach())  # the criterion may have parameters of its own
    if not np.isfinite(start):
        raise ValueError("the loss is not finite where the descent starts")
    levels = smoothings if composite.pieces is not None else (0.0,)
    step = newton if len(z) <= NEWTON_LIMIT else _quasi_newton
    taken, reached = 0, levels[0]
    for level, smoothing in enumerate(levels):
        allowed = max(1, (iterations - taken) // (len(levels) - level))
        before = taken

        def tick(count: int, before: int = before) -> None:
            if progress is not None:
                progress(before + count, iterations)

        vector, used = step(composite, vector, like, smoothing, allowed, max(tolerance, smoothing * 1e-2), tick)
        taken, reached = taken + used, smoothing
        if 0 < smoothing <= 1e-4 and (step is newton or _known_twice(composite, len(z))):
            polished = polish(composite, vector, like, within=50 * smoothing, tolerance=tolerance, rounds=1 if step is newton else ROUNDS)
            if polished is not None:
                vector, reached = polished, 0.0
                break
    if progress is not None:
        progress(iterations, iterations)
    final = unflatten(vector, like)
    value = float(composite.exact(composite.output(vector, like)).detach())
    subgradient = smallest_subgradient(composite, final, within=max(reached * 50, 1e-7))
    if taken == 0 and not np.isfinite(subgradient.norm):
        raise ValueError("the gradient of the loss is not finite where the descent starts")
    return Converged(final, value, start, subgradient, taken, reached)


def _quasi_newton(
    composite: Composite, vector: Tensor, like: Point, smoothing: float, iterations: int, tolerance: float, tick: Callable[[int], Any]
) -> tuple[Tensor, int]:
    """L-BFGS in the parameters: first in the rough way, where there is one, as far as its digits go."""
    rough = composite.rough if composite.outputs is None and smoothing > 0 else None
    count = 0

    def called(_: object) -> None:
        nonlocal count
        count += 1
        tick(count)

    def roughly(x: np.ndarray[Any, Any]) -> tuple[float, np.ndarray[Any, Any]]:
        assert rough is not None
        value, gradient = rough(torch.from_numpy(x).to(vector), smoothing)
        return float(value), gradient.double().cpu().numpy()

    def exactly(x: np.ndarray[Any, Any]) -> tuple[float, np.ndarray[Any, Any]]:
        at = torch.from_numpy(x).to(vector).requires_grad_()
        value = composite.smoothed(composite.output(at, like), smoothing)
        (gradient,) = torch.autograd.grad(value, at)
        return float(value.detach()), gradient.double().cpu().numpy()

    def descended(evaluate: Callable[[np.ndarray[Any, Any]], Any], x: np.ndarray[Any, Any], allowed: int, least: float) -> tuple[Any, int]:
        options = {"maxiter": allowed, "maxfun": 2 * allowed, "maxcor": 30, "ftol": least, "gtol": tolerance / len(vector) ** 0.5}
        walled = Walled(evaluate)
        from scipy.optimize import minimize

        result = minimize(walled, x, jac=True, method="L-BFGS-B", callback=called, options=options)
        there = np.isfinite(result.x).all() and np.isfinite(result.fun)
        return result.x if there or walled.lowest is None else walled.lowest[0], int(result.nit)

    kept = min(TRUSTED, iterations // 3) if _known_twice(composite, len(vector)) and 0 < smoothing < 1e-2 else 0
    iterations -= kept
    begun, taken = vector.double().cpu().numpy(), 0
    x = begun
    if rough is not None and iterations > 1:
        tried, taken = descended(roughly, begun, iterations - min(AT_LEAST, iterations // 2), ROUGH)
        reached = exactly(tried)[0] if np.isfinite(tried).all() else float("nan")
        if reached <= exactly(begun)[0]:  # never for what is not finite: then it was no help
            x = tried
    x, more = descended(exactly, x, iterations - taken, 1e-16)
    taken += more
    if kept:
        x, more = _trust_region(composite, x, vector, smoothing, kept, tolerance)
        taken += more
    return torch.from_numpy(x).to(vector), taken


def _known_twice(composite: Composite, size: int) -> bool:
    """Whether the whole Hessian in the parameters is cheap."""
    return composite.outputs is None and composite.derivatives is not None and size <= HESSIAN_LIMIT


def _trust_region(
    composite: Composite, x: np.ndarray[Any, Any], like: Tensor, smoothing: float, iterations: int, tolerance: float
) -> tuple[np.ndarray[Any, Any], int]:
    """Newton steps within a radius, by Krylov spaces of the known Hessian: a narrow kink stops L-BFGS earlier."""
    from scipy.optimize import minimize

    @lru_cache(1)  # gradient and Hessian are asked for one after the other
    def twice(written: bytes) -> list[np.ndarray[Any, Any]]:
        found = composite.twice(torch.from_numpy(np.frombuffer(written).copy()).to(like), smoothing)
        if not all(bool(part.isfinite().all()) for part in found):
            raise ArithmeticError
        return [part.double().cpu().numpy() for part in found]

    try:
        result = minimize(
            lambda x: float(composite.smoothed(torch.from_numpy(x).to(like), smoothing).detach()), x, method="trust-krylov",
            jac=lambda x: twice(x.tobytes())[0], hess=lambda x: twice(x.tobytes())[1],
            options={"gtol": tolerance, "maxiter": iterations, "inexact": True},
        )  # fmt: skip
    except ArithmeticError:  # nothing to follow
        return x, 0
    return (result.x, int(result.nit)) if np.isfinite(result.x).all() and np.isfinite(result.fun) else (x, 0)
