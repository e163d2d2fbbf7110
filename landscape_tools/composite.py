"""Losses with kinks, as compositions f(p) = smooth(z) + sum_i w_i max_j c_ij(z) with z = outputs(p).

The outputs are what the loss sees of the parameters: a network's outputs on the frozen batch. They are often far fewer
than the parameters, and then Newton's method and exact curvature are cheap in them. Each group i of `pieces` is a
maximum of smooth alternatives c_ij, such as a hinge max(0, c); the places where two alternatives tie are the kinks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from landscape_tools.differentiable import differentiated
from landscape_tools.evaluating import Known, ScalarLoss
from landscape_tools.points import Point, flatten, unflatten

Parts = Callable[[dict[str, Tensor]], Tensor]


@dataclass(frozen=True)
class Composite:
    """A loss as a composition; everything is computed in the dtype of the point.

    Attributes:
        smooth: z (n,) -> scalar, twice differentiable.
        outputs: point -> z (n,), twice differentiable; None takes the flattened point itself.
        pieces: z (n,) -> (groups, alternatives), each twice differentiable; None for a smooth loss.
        weights: (groups,) positive weights of the maxima.
        slope: point -> (n, parameters) Jacobian of the outputs, where you know a cheaper way than autograd's; columns in the order of the
            point's entries.
        together: z -> (smooth(z), pieces(z)), where the two share work.
        rough: (z, smoothing) -> :meth:`smoothed` and its gradient (n,), where you know a much faster way in less precision: long descents begin
            with it.
        derivatives: (z, smoothing) -> gradient (n,) and Hessian (n, n) of :meth:`smoothed`, and (z, multipliers) -> those of
            :meth:`lagrangian`, where you know a cheaper way than autograd's.
        knows: whose outputs they are, where that knows the names of its points, as a `ModuleLoss` does.
    """

    smooth: Callable[[Tensor], Tensor]
    outputs: Callable[[dict[str, Tensor]], Tensor] | None = None
    pieces: Callable[[Tensor], Tensor] | None = None
    weights: Tensor | None = None
    slope: Parts | None = None
    together: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None
    rough: Callable[[Tensor, float], tuple[Tensor, Tensor]] | None = None
    derivatives: Callable[[Tensor, float | Tensor], tuple[Tensor, Tensor]] | None = None
    knows: Known | None = None

    def __post_init__(self) -> None:
        if self.weights is not None and not bool((self.weights >= 0).all()):
            raise ValueError(
                "a weight of the maxima is negative or NaN; what a loss is lowered by is no maximum of it: put it into the smooth part"
            )

    def output(self, vector: Tensor, like: Point) -> Tensor:
        """z at a flattened point, in the vector's dtype."""
        return vector if self.outputs is None else self.outputs(unflatten(vector, like)).to(vector)

    def exact(self, z: Tensor) -> Tensor:
        """The loss itself."""
        return self._with(z, lambda pieces: pieces.amax(-1))

    def smoothed(self, z: Tensor, smoothing: float) -> Tensor:
        """The loss with each maximum replaced by smoothing * logsumexp(c / smoothing): above it by at most
        smoothing * log(alternatives) per unit of weight, and smooth."""
        return self._with(z, lambda pieces: smoothing * torch.logsumexp(pieces / smoothing, -1))

    def _with(self, z: Tensor, tops: Callable[[Tensor], Tensor]) -> Tensor:
        if self.pieces is None:
            return self.smooth(z)
        assert self.weights is not None
        value, pieces = (self.smooth(z), self.pieces(z)) if self.together is None else self.together(z)
        return value + (self.weights * tops(pieces)).sum()

    def lagrangian(self, z: Tensor, multipliers: Tensor | None) -> Tensor:
        """smooth(z) + sum_i w_i sum_j multipliers_ij c_ij(z): smooth, and equal to the loss in value and gradient where
        the multipliers are those of a subgradient."""
        value = self.smooth(z)
        if self.pieces is not None:
            assert self.weights is not None
            assert multipliers is not None
            value = value + (self.weights.unsqueeze(-1) * multipliers * self.pieces(z)).sum()
        return value

    def twice(self, z: Tensor, how: float | Tensor | None) -> tuple[Tensor, Tensor]:
        """Gradient (n,) and Hessian (n, n) in the outputs: of :meth:`smoothed` for a smoothing, else of :meth:`lagrangian`."""
        if self.derivatives is not None:
            return self.derivatives(z, 0.0 if how is None else how)

        def loss(outputs: Tensor) -> Tensor:
            return self.lagrangian(outputs, how) if how is None or isinstance(how, Tensor) else self.smoothed(outputs, how)

        slope: Any = torch.func.grad(loss)

        def both(outputs: Tensor) -> tuple[Tensor, Tensor]:
            gradient = slope(outputs)
            return gradient, gradient

        found: Any = torch.func.jacrev(both, has_aux=True)  # twice as fast here as forward over reverse
        hessian, gradient = found(z)
        return gradient.detach(), hessian.detach()

    def loss(self, point: Point) -> Tensor:
        """The exact loss at a point: what lines, planes and paths sample."""
        z = flatten(point) if self.outputs is None else self.outputs(dict(point))
        return self.exact(z)

    def jacobian(self, vector: Tensor, like: Point) -> Tensor | None:
        """(n, parameters) of the outputs; None stands for the identity."""
        if self.outputs is None:
            return None
        return jacobian_of(self.outputs, self.slope)(vector, like)


def jacobian_of(outputs: Parts, slope: Parts | None) -> Callable[[Tensor, Point], Tensor]:
    """(flattened point, a point like it) -> (n, parameters) Jacobian of outputs: `slope` where it is given, else by autograd."""

    def jacobian(vector: Tensor, like: Point) -> Tensor:
        derivative: Any = torch.func.jacrev(lambda v: outputs(unflatten(v, like)))
        with differentiated():
            result: Tensor = derivative(vector) if slope is None else slope(unflatten(vector, like))
        return result.detach().to(vector)

    return jacobian


def composite_of(loss: ScalarLoss, like: Point, *, pieces: Parts | None = None, weights: Tensor | None = None) -> Composite:
    """A loss of a point, as a composite whose outputs are the flattened point itself.

    Args:
        loss: point -> scalar, the smooth part.
        like: a point with the names, shapes and dtypes of all that follow.
        pieces: point -> (groups, alternatives), the kinks; None for a smooth loss.
        weights: (groups,) positive weights of the maxima; 1 by default.

    Raises:
        ValueError: for weights without pieces.
    """
    if pieces is None:
        if weights is not None:
            raise ValueError("weights weigh the maxima of pieces; give the pieces too")
        return Composite(lambda z: loss(unflatten(z, like)))
    kinks = pieces
    if weights is None:
        example = kinks(dict(like))
        weights = torch.ones(len(example), dtype=example.dtype, device=example.device)
    return Composite(lambda z: loss(unflatten(z, like)), None, lambda z: kinks(unflatten(z, like)), weights)


def as_composite(loss: ScalarLoss | Composite, like: Point) -> Composite:
    """A plain loss as a smooth composite; a composite as it is."""
    return loss if isinstance(loss, Composite) else composite_of(loss, like)
