"""The smallest subgradient of a loss with kinks: what vanishes at a stationary point where the gradient does not exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from landscape_tools.composite import Composite, as_composite
from landscape_tools.differentiable import differentiated
from landscape_tools.entrance import at_one_point
from landscape_tools.evaluating import ScalarLoss
from landscape_tools.points import Point, check_digits, flatten
from landscape_tools.results import Kept


@dataclass(frozen=True, repr=False)
class Subgradient(Kept):
    """Smallest element of the subdifferential in the parameters.

    Attributes:
        norm: its Euclidean norm; 0 at a stationary point. NaN or infinite where the loss, a piece or a gradient is not finite.
        one_sided: norm of the gradient that automatic differentiation gives (one piece chosen per maximum), which need
            not be small at a stationary point.
        multipliers: (groups, alternatives) weights of the alternatives, each row summing to 1; None without kinks.
        active: (groups, alternatives) bool, alternatives within the tolerance of their maximum; None without kinks.
        output_gradient: (n,) the subgradient in the outputs.
    """

    norm: float
    one_sided: float
    multipliers: Tensor | None
    active: Tensor | None
    output_gradient: Tensor

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
    z = composite.output(vector, like).detach()
    jacobian = composite.jacobian(vector, like)
    grad: Any = torch.func.grad(composite.smooth)
    base: Tensor = grad(z).detach()

    def pulled(outputs: Tensor) -> Tensor:  # (..., n) -> (..., parameters)
        return outputs if jacobian is None else outputs @ jacobian

    if composite.pieces is None:
        size = float(pulled(base).norm())
        return Subgradient(size, size, None, None, base)
    assert composite.weights is not None
    values = composite.pieces(z).detach()
    slopes: Any = torch.func.jacrev(composite.pieces)
    gradients = slopes(z).detach() * composite.weights.view(-1, 1, 1)  # (groups, alternatives, n)
    if not all(bool(part.isfinite().all()) for part in (values, gradients, pulled(base))):
        return Subgradient(float("nan"), float("nan"), None, None, torch.full_like(base, torch.nan))
    active = values >= values.amax(-1, keepdim=True) - within
    first = torch.nn.functional.one_hot(values.argmax(-1), values.shape[-1]).to(z)
    one_sided = base + (first.unsqueeze(-1) * gradients).sum((0, 1))
    tied = (active.sum(-1) >= 2).nonzero().flatten()
    multipliers = first.clone()
    if len(tied):
        multipliers[tied] = 0.0
        fixed = base + (multipliers.unsqueeze(-1) * gradients).sum((0, 1))
        rows, columns = active[tied].nonzero(as_tuple=True)
        columns_of = pulled(gradients[tied[rows], columns])  # (variables, parameters)
        target = pulled(fixed)
        # The Gram form keeps the problem small; simplices enter as heavily weighted equations.
        basis = torch.linalg.qr(torch.cat((columns_of, target.unsqueeze(0))).T)[0]
        scale = float(columns_of.norm(dim=1).max()) * 1e4
        sums = z.new_zeros(len(tied), len(rows))
        sums[rows, torch.arange(len(rows), device=rows.device)] = scale
        system = torch.cat((basis.T @ columns_of.T, sums))
        wanted = torch.cat((-(basis.T @ target), z.new_full((len(tied),), scale)))
        from scipy.optimize import nnls

        solution = torch.from_numpy(nnls(system.double().cpu().numpy(), wanted.double().cpu().numpy(), maxiter=50 * system.shape[1])[0]).to(
            z
        )
        multipliers[tied[rows], columns] = solution
        multipliers[tied] /= multipliers[tied].sum(-1, keepdim=True)
    smallest = base + (multipliers.unsqueeze(-1) * gradients).sum((0, 1))
    return Subgradient(float(pulled(smallest).norm()), float(pulled(one_sided).norm()), multipliers, active, smallest)
