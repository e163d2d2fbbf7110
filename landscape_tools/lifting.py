"""Lifts a path of outputs to a path of parameters.

A path in embedding space says something about the weights only where weights exist that give its embeddings. With more
parameters than outputs and a Jacobian of full rank they do: each step of the path is followed by the shortest step of
the parameters that makes it, corrected by Newton's method.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from landscape_tools.composite import jacobian_of
from landscape_tools.differentiable import differentiated
from landscape_tools.entrance import at_one_point
from landscape_tools.points import Point, check_digits, flatten, unflatten
from landscape_tools.results import Kept

Outputs = Callable[[dict[str, Tensor]], Tensor]


@dataclass(frozen=True, repr=False)
class Lifted(Kept):
    """A path of parameters.

    Attributes:
        points: name -> (corners, ...), from the start to the end.
        missed: largest distance, over the path, of the outputs from those asked for.
        smallest_singular: smallest singular value of the outputs' Jacobian met; NaN where that is not finite.
        length: way walked in the parameters.
        reached: share of the targets that were met before a step failed; 1 when all were.
    """

    points: dict[str, Tensor]
    missed: float
    smallest_singular: float
    length: float
    reached: float


@at_one_point
@differentiated()
def lift(
    outputs: Outputs,
    start: Point,
    targets: Tensor,
    *,
    slope: Outputs | None = None,
    tolerance: float = 1e-6,
    corrections: int = 8,
    halvings: int = 3,
) -> Lifted:
    """Follow a polygon of outputs from a point, by shortest steps and Newton corrections (Allgower & Georg 1990).

    Args:
        outputs: point -> (n,), n at most the number of parameters.
        start: parameters, best of float64.
        targets: (m, n) corners of the polygon, the first one next to where `start` is.
        slope: point -> (n, parameters) derivative of the outputs, where you know a cheaper way than autograd's; columns in the order of
            `start`.
        tolerance: distance from a target at which it counts as met.
        corrections: most Newton steps per target, all with one Jacobian.
        halvings: times a step may be cut in half when its corrections do not converge.
    """
    check_digits(start.values(), "lift")
    like = dict(start)
    vector = flatten(start).detach()
    jacobian_at = jacobian_of(outputs, slope)
    missed, singular, length, corners = 0.0, float("inf"), 0.0, [vector]
    targets = targets.to(vector)
    here = outputs(unflatten(vector, like)).detach().to(vector)
    if here.dim() != 1 or targets.shape[1:] not in (here.shape, () if len(here) == 1 else here.shape):
        raise ValueError(f"outputs are {tuple(here.shape)} and targets {tuple(targets.shape)}; they must be (n,) and (corners, n)")
    for number, target in enumerate(targets):
        todo = [target]
        while todo:
            jacobian = jacobian_at(vector, like)
            gram = jacobian @ jacobian.T
            if not bool(gram.isfinite().all()):  # no way on from here
                return Lifted(unflatten(torch.stack(corners), like), missed, float("nan"), length, number / len(targets))
            singular = min(singular, float(torch.linalg.eigvalsh(gram)[0].clamp_min(0).sqrt()))
            factor, failed = torch.linalg.cholesky_ex(gram)
            tried, gap = vector, float("inf")
            for _ in range(corrections if int(failed) == 0 else 0):
                rest = (todo[-1] - outputs(unflatten(tried, like)).to(vector)).detach()
                gap = float(rest.norm())
                if not gap > tolerance:
                    break
                tried = tried + jacobian.T @ torch.cholesky_solve(rest.unsqueeze(1), factor).squeeze(1)
            if gap <= tolerance:
                length += float((tried - vector).norm())
                missed = max(missed, gap)
                vector, here = tried, todo.pop()
                corners.append(vector)
            elif len(todo) <= halvings:
                todo.append(0.5 * (here + todo[-1]))
            else:
                return Lifted(unflatten(torch.stack(corners), like), missed, singular, length, number / len(targets))
    return Lifted(unflatten(torch.stack(corners), like), missed, singular, length, 1.0)
