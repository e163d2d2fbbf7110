"""The directions in which a stationary point is flattest, seen from the outputs of its loss."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from landscape_tools.composite import Composite, as_composite
from landscape_tools.cones import null_space
from landscape_tools.convergence import NEWTON_LIMIT
from landscape_tools.differentiable import differentiated
from landscape_tools.entrance import at_one_point
from landscape_tools.evaluating import ScalarLoss
from landscape_tools.points import Point, check_digits, flatten
from landscape_tools.signatures import signature_of
from landscape_tools.subgradients import smallest_subgradient
from landscape_tools.ties import ties_of


class Flattest(NamedTuple):
    """Curvatures (k,), ascending, and the directions (k, n) in the outputs, each of length 1."""

    curvatures: Tensor
    directions: Tensor


@at_one_point
@differentiated()
def least_curved(
    loss: ScalarLoss | Composite, point: Point, count: int = 3, *, within: float = 1e-6, complementary: float = 1e-6
) -> Flattest | None:
    """The directions of least curvature at a stationary point, among those that keep its kinks.

    Args:
        loss: point -> scalar, or a :class:`Composite`, whose outputs the directions then move.
        point: best the result of :func:`landscape_tools.converge`; float64.
        count: how many are wanted; fewer come where the kinks leave fewer.
        within, complementary: as in :func:`landscape_tools.certify`.

    Returns:
        curvatures and directions; None where the first or second derivatives are not finite, or there are more than `NEWTON_LIMIT` outputs.
    """
    check_digits(point.values(), "least_curved")
    like = dict(point)
    composite = as_composite(loss, like)
    z = composite.output(flatten(point).detach(), like).detach()
    if len(z) > NEWTON_LIMIT:
        return None
    subgradient = smallest_subgradient(composite, point, within=within)
    if not math.isfinite(subgradient.norm):  # a NaN may have second derivatives of 0, as x * NaN has
        return None
    ties = ties_of(composite, z, subgradient, complementary)
    found = signature_of(composite, z, None, ties, subgradient, 1e-6, len(z))
    if found is None:
        return None
    free = null_space(ties.strong)
    values, vectors = torch.linalg.eigh(free.T @ found[1] @ free)
    return Flattest(values[:count], (free @ vectors[:, :count]).T)
