"""A quadratic Bezier curve between two points, bent to low loss: the second opinion on a path.

The control point minimises the mean loss over the curve (Garipov et al. 2018). A parabola cannot follow every valley, so a
barrier that it finds may be the curve's own; one that it does not find is none.
"""

from __future__ import annotations

from typing import TypedDict, Unpack

import numpy as np
import torch

from landscape_tools.entrance import between_two
from landscape_tools.evaluating import ScalarLoss, Vectorize, values_and_gradients, values_of
from landscape_tools.options import filled
from landscape_tools.paths import Progress
from landscape_tools.points import Point, check_alike, flatten
from landscape_tools.polygons import Path, sample_polygon, summarise


class Curve(TypedDict, total=False):
    """Settings of a curve, given to :func:`bezier_path` as keywords.

    Attributes:
        points: evenly spaced values of t, ends included, that the mean and the result are taken over, at least 3.
        iterations: Adam steps on the control point.
        rate: Adam's learning rate.
        samples: points sampled per straight piece between two points.
    """

    points: int
    iterations: int
    rate: float
    samples: int


CURVE: Curve = {"points": 25, "iterations": 500, "rate": 0.01, "samples": 4}


@between_two
def bezier_path(
    loss: ScalarLoss,
    start: Point,
    end: Point,
    *,
    exact: ScalarLoss | None = None,
    vectorize: Vectorize = "auto",
    progress: Progress | None = None,
    **settings: Unpack[Curve],
) -> Path:
    """A quadratic Bezier curve (1-t)^2 start + 2t(1-t) c + t^2 end whose control point c lowers the mean loss (Garipov et al. 2018).

    Args:
        loss, start, end, exact, vectorize: as in :func:`landscape_tools.paths.elastic_band`.
        progress: called with (iterations taken, iterations in all).
        settings: of :class:`Curve`.

    Returns:
        the best curve seen: of the fewest points whose loss is not finite, that of the lowest mean over the others. Its `force` is NaN and
        `converged` tells whether the last tenth of the steps lowered the mean loss by less than one percent; it did not where a loss is
        not finite.

    Raises:
        ValueError: for fewer than 3 points, no iterations or ends that do not fit.
    """
    chosen = filled(CURVE, settings)
    points, iterations, samples = chosen["points"], chosen["iterations"], chosen["samples"]
    if points < 3:
        raise ValueError(f"a curve of {points} points; it needs at least 3")
    if iterations < 1:
        raise ValueError(f"a curve of {iterations} iterations; it needs at least 1")
    if samples < 1:
        raise ValueError(f"a curve of {samples} samples per piece; it needs at least 1")
    check_alike(start, end)
    like = dict(start)
    evaluate = values_and_gradients(loss, like, vectorize)
    a, b = flatten(start).detach().double(), flatten(end).detach().double()
    t = torch.linspace(0, 1, points, dtype=torch.float64, device=a.device).unsqueeze(1)
    control = (0.5 * (a + b)).requires_grad_()
    optimiser = torch.optim.Adam([control], lr=chosen["rate"])
    best, best_curve, history = (points + 1, 0.0), torch.empty(0), []
    for taken in range(1, iterations + 1):
        at = control.detach()
        curve = (1 - t) ** 2 * a + 2 * t * (1 - t) * at + t**2 * b
        losses, gradients = evaluate(curve)
        known = losses.isfinite() & gradients.isfinite().all(1)  # the others have no slope to follow
        control.grad = torch.where(known.unsqueeze(1), 2 * t * (1 - t) * gradients, 0.0).mean(0)
        history.append(float(losses.mean()))
        finite = losses[losses.isfinite()]
        found = points - len(finite), float(finite.mean()) if len(finite) else 0.0
        if found < best:
            best, best_curve = found, curve
        optimiser.step()
        if progress is not None:
            progress(taken, iterations)
    walk, heights = sample_polygon(values_of(exact or loss, like, vectorize), best_curve, samples)
    tail = history[-max(2, iterations // 10) :]
    settled = bool(np.isfinite(tail).all()) and tail[0] - min(tail) < 0.01 * abs(tail[0])
    return summarise(best_curve, walk, heights, like, samples, float("nan"), iterations, settled)
