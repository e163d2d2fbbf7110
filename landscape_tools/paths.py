"""Minimum-energy paths between two parameter points.

`elastic_band`: nudged elastic band with improved tangents and a climbing image (Henkelman & Jonsson 2000; Henkelman,
Uberuaga & Jonsson 2000), moved by FIRE (Bitzek et al. 2006). `bezier_path`: a quadratic curve whose control point
minimises the mean loss (Garipov et al. 2018), as a second opinion. A barrier that vanishes on either was none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from landscape_tools.composite import ScalarLoss
from landscape_tools.points import Point, check_alike, flatten, unflatten

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Path:
    """A discrete path between two points.

    Attributes:
        points: name -> (images, ...), the ends included.
        losses: (images,) float64.
        position: (images,) share of the path's length walked, 0 to 1.
        barrier: highest loss minus the loss at the start, never below 0; `peak` its image.
        force: largest norm over the interior images of what should vanish on a minimum-energy path: the gradient
            across the path, and at the climbing image the whole gradient. NaN for a curve.
        iterations: iterations taken; `converged` whether `force` fell below the tolerance.
    """

    points: dict[str, Tensor]
    losses: Tensor
    position: Tensor
    barrier: float
    peak: int
    force: float
    iterations: int
    converged: bool


def _evaluator(loss: ScalarLoss, like: Point) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """(images, n) -> losses (images,) and gradients (images, n)."""

    def single(vector: Tensor) -> Tensor:
        return loss(unflatten(vector, like))

    batched: Any = torch.func.vmap(torch.func.grad_and_value(single))

    def evaluate(images: Tensor) -> tuple[Tensor, Tensor]:
        gradients, values = batched(images)
        return values.detach(), gradients.detach()

    return evaluate


def _tangents(images: Tensor, losses: Tensor) -> Tensor:
    """Unit tangents of the interior images: towards the higher neighbour, mixed where the loss turns."""
    ahead, behind = images[2:] - images[1:-1], images[1:-1] - images[:-2]
    up, down = losses[2:] - losses[1:-1], losses[:-2] - losses[1:-1]
    larger, smaller = torch.maximum(up.abs(), down.abs()), torch.minimum(up.abs(), down.abs())
    rising = losses[2:] > losses[:-2]
    mixed = torch.where(rising, larger, smaller).unsqueeze(1) * ahead + torch.where(rising, smaller, larger).unsqueeze(1) * behind
    one_way_up, one_way_down = (up > 0) & (down < 0), (up < 0) & (down > 0)
    tangent: Tensor = torch.where(one_way_up.unsqueeze(1), ahead, torch.where(one_way_down.unsqueeze(1), behind, mixed))
    length: Tensor = torch.linalg.vector_norm(tangent, dim=1, keepdim=True)
    return tangent / length.clamp_min(1e-300)


def elastic_band(
    loss: ScalarLoss,
    start: Point,
    end: Point,
    *,
    images: int = 15,
    iterations: int = 500,
    tolerance: float = 1e-3,
    spring: float = 1.0,
    time_step: float = 0.01,
    climb_after: int = 50,
    middle: Point | None = None,
    progress: Progress | None = None,
) -> Path:
    """Relax a chain of points between `start` and `end` to a minimum-energy path.

    Args:
        loss: pure function of one point to a scalar; freeze blocks by leaving them out of the points.
        start, end: the fixed ends, best minima of the loss.
        images: points of the chain, ends included, at least 3.
        iterations: most FIRE iterations.
        tolerance: of :attr:`Path.force`.
        spring: spring constant that spreads the images along the path.
        time_step: FIRE's first time step; it adapts up to ten times that.
        climb_after: iteration from which the highest image climbs along the path.
        middle: bend the first guess through this point; straight by default.
        progress: called with (iterations taken, iterations in all).

    Raises:
        ValueError: for fewer than 3 images or ends that do not fit.
    """
    if images < 3:
        raise ValueError(f"a path of {images} images; it needs at least 3")
    check_alike(start, end)
    evaluate = _evaluator(loss, start)
    a, b = flatten(start).double(), flatten(end).double()
    t = torch.linspace(0, 1, images, dtype=torch.float64).unsqueeze(1)
    chain = (1 - t) * a + t * b
    if middle is not None:
        centre = flatten(middle).double()
        chain = torch.where(t <= 0.5, (1 - 2 * t) * a + 2 * t * centre, (2 - 2 * t) * centre + (2 * t - 1) * b)
    velocity = torch.zeros_like(chain[1:-1])
    step, mixing, downhill, residual, taken = time_step, 0.1, 0, float("inf"), 0
    losses, gradients = evaluate(chain)
    for taken in range(1, iterations + 1):
        tangent = _tangents(chain, losses)
        inner = gradients[1:-1]
        along = (inner * tangent).sum(1, keepdim=True)
        force = -(inner - along * tangent)
        across = force.norm(dim=1)
        gaps = (chain[1:] - chain[:-1]).norm(dim=1)
        force = force + spring * (gaps[1:] - gaps[:-1]).unsqueeze(1) * tangent
        top = int(losses[1:-1].argmax())
        if taken > climb_after and float(losses[top + 1]) > max(float(losses[0]), float(losses[-1])):
            force[top] = -inner[top] + 2 * along[top] * tangent[top]
            across[top] = inner[top].norm()
        residual = float(across.max())
        if residual < tolerance and taken > climb_after:
            break
        # FIRE: steer the velocity along the force, speed up downhill, stop dead when the force points back.
        power = float((force * velocity).sum())
        if power > 0:
            velocity = (1 - mixing) * velocity + mixing * force * (velocity.norm() / force.norm().clamp_min(1e-300))
            downhill += 1
            if downhill > 5:
                step, mixing = min(step * 1.1, 10 * time_step), mixing * 0.99
        else:
            velocity, step, mixing, downhill = torch.zeros_like(velocity), step * 0.5, 0.1, 0
        velocity = velocity + step * force
        chain = torch.cat((chain[:1], chain[1:-1] + step * velocity, chain[-1:]))
        losses, gradients = evaluate(chain)
        if progress is not None:
            progress(taken, iterations)
    return replace(_path(chain, losses, start), force=residual, iterations=taken, converged=residual < tolerance)


def _path(chain: Tensor, losses: Tensor, like: Point) -> Path:
    walked = torch.cat((torch.zeros(1, dtype=torch.float64), (chain[1:] - chain[:-1]).norm(dim=1).cumsum(0)))
    peak = int(losses.argmax())
    climb = max(0.0, float(losses[peak] - losses[0]))
    return Path(unflatten(chain, like), losses, walked / walked[-1], climb, peak, float("nan"), 0, False)


def bezier_path(
    loss: ScalarLoss,
    start: Point,
    end: Point,
    *,
    points: int = 25,
    iterations: int = 500,
    rate: float = 0.01,
    progress: Progress | None = None,
) -> Path:
    """A quadratic Bezier curve (1-t)^2 start + 2t(1-t) c + t^2 end whose control point c lowers the mean loss.

    Args:
        loss, start, end: as in :func:`elastic_band`.
        points: evenly spaced values of t, ends included, that the mean and the result are taken over, at least 3.
        iterations: Adam steps on c.
        rate: Adam's learning rate.
        progress: called with (iterations taken, iterations in all).

    Returns:
        the best curve seen; its `force` is NaN and `converged` tells whether the last tenth of the steps lowered the
        mean loss by less than one percent.

    Raises:
        ValueError: for fewer than 3 points or ends that do not fit.
    """
    if points < 3:
        raise ValueError(f"a curve of {points} points; it needs at least 3")
    check_alike(start, end)
    evaluate = _evaluator(loss, start)
    a, b = flatten(start).double(), flatten(end).double()
    t = torch.linspace(0, 1, points, dtype=torch.float64).unsqueeze(1)
    control = (0.5 * (a + b)).requires_grad_()
    optimiser = torch.optim.Adam([control], lr=rate)
    best, best_curve, history = float("inf"), None, []
    for taken in range(1, iterations + 1):
        with torch.no_grad():
            curve = (1 - t) ** 2 * a + 2 * t * (1 - t) * control + t**2 * b
            losses, gradients = evaluate(curve)
            control.grad = (2 * t * (1 - t) * gradients).mean(0)
        mean = float(losses.mean())
        history.append(mean)
        if mean < best:
            best, best_curve = mean, (curve, losses)
        optimiser.step()
        if progress is not None:
            progress(taken, iterations)
    assert best_curve is not None
    tail = history[-max(2, iterations // 10) :]
    return replace(_path(*best_curve, start), iterations=iterations, converged=tail[0] - min(tail) < 0.01 * abs(tail[0]))
