"""Products of a loss's curvature with directions: of its Hessian, or of its Gauss-Newton matrix, over graphs that are kept.

A product of many directions at once is one backward pass that `torch.func.vmap` maps: for a small network most of a pass is its many small calls. The
Gauss-Newton matrix J' W J has the Hessian W of the loss in the outputs and their Jacobian J, and leaves out how the outputs bend. Where a loss has data
in batches, the products are means over them, with the graph of one batch at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator
from torch import Tensor

from landscape_tools.composite import Composite, as_composite
from landscape_tools.differentiable import differentiated
from landscape_tools.entrance import at_one_point, entered
from landscape_tools.evaluating import ScalarLoss
from landscape_tools.points import Point, check_digits, flatten, trainable, unflatten

Matvec = Callable[[Tensor], Tensor]
Matrix = Literal["hessian", "gauss-newton"]
TOGETHER = 2**22
"""Numbers of the directions that one mapped pass takes at most."""

LONG = 2.5e-3
"""Seconds of a single product from which they are taken one by one: mapping saves calls, and these take less."""


class Pulled:
    """The derivative of kept outputs, for one row or many: (*outputs) -> (*at), or (k, *outputs) -> (k, *at).

    The first mapped pass is held against a single one, and rows are taken one by one from there on where it differs or fails.

    Args:
        outputs: made of `at`; zeros come out where they are not.
        at: a leaf.
    """

    def __init__(self, outputs: Tensor, at: Tensor) -> None:
        self._outputs, self._at = outputs, at
        self._mapping: bool | None = None

    def __call__(self, rows: Tensor) -> Tensor:
        """Of one row, or of many."""
        if rows.dim() == self._outputs.dim():
            return self._pull(rows)
        if self._mapping is False or len(rows) < 2 or not self._outputs.requires_grad:
            return torch.stack([self._pull(row) for row in rows])
        size = max(1, TOGETHER // max(self._outputs.numel(), self._at.numel()))
        if size == 1:
            return torch.stack([self._pull(row) for row in rows])
        first: list[Tensor] = []
        while self._mapping is None and len(first) < 2:  # the first warms up
            began = time.thread_time()
            first.append(self._pull(rows[len(first)]))
            if time.thread_time() - began <= LONG:
                break
            self._mapping = None if len(first) < 2 else False
        if self._mapping is False:
            return torch.stack([*first, *(self._pull(row) for row in rows[2:])])
        try:
            found = torch.cat([self._pull(part, mapped=True) for part in (rows[k : k + size] for k in range(0, len(rows), size))])
        except RuntimeError:  # something in it cannot be mapped
            self._mapping = False
            return self(rows)
        if self._mapping is None:
            alone = first[0]
            limit = 64 * torch.finfo(alone.dtype).eps ** 0.75 * float(alone.abs().nan_to_num(0.0, 0.0, 0.0).max())
            self._mapping = torch.allclose(found[0], alone, rtol=0.0, atol=limit, equal_nan=True)
            if not self._mapping:
                return self(rows)
        return found

    def _pull(self, rows: Tensor, *, mapped: bool = False) -> Tensor:
        if not self._outputs.requires_grad:
            return torch.zeros_like(self._at)
        (found,) = torch.autograd.grad(self._outputs, self._at, rows, retain_graph=True, allow_unused=True, is_grads_batched=mapped)
        zero = self._at.new_zeros((len(rows), *self._at.shape) if mapped else self._at.shape)
        return zero if found is None else found.detach()


def hessian_product(loss: Callable[[Tensor], Tensor], vector: Tensor) -> Matvec:
    """v -> H v of a twice differentiable scalar loss of one vector, one backward pass over a kept gradient graph; rows (k, n) give (k, n).

    It is 0 for a loss that does not depend on the vector, or on it at first order only.

    Raises:
        ValueError: for a vector of half precision, or a loss that PyTorch cannot differentiate twice.
    """
    check_digits([vector], "hessian_product")
    with differentiated():
        pulled = Pulled(*_slope(loss, vector))
    return _differentiated(pulled)


def dense_product(product: Matvec, vector: Tensor) -> Matvec:
    """The same product by the whole matrix, whose columns are taken together now; the vector (n,) tells its dtype."""
    matrix = product(torch.eye(len(vector), dtype=vector.dtype, device=vector.device))
    return lambda rows: rows.to(matrix) @ matrix


def gauss_newton_product(outputs: Callable[[Tensor], Tensor], criterion: Callable[[Tensor], Tensor], vector: Tensor) -> Matvec:
    """v -> J' W J v, with J the Jacobian of the outputs and W the Hessian of the criterion in them; rows (k, n) give (k, n).

    Args:
        outputs: vector (n,) -> z (m,).
        criterion: z (m,) -> scalar, twice differentiable.
        vector: where.

    Raises:
        ValueError: as :func:`hessian_product`.
    """
    check_digits([vector], "gauss_newton_product")
    with differentiated():
        at = vector.detach().clone().requires_grad_()
        z = outputs(at)
        if not z.requires_grad:
            return torch.zeros_like
        weights = torch.zeros_like(z, requires_grad=True)
        (back,) = torch.autograd.grad(z, at, weights, create_graph=True)  # J' weights, whose derivative in them is J'
        push, inner, pull = Pulled(back, weights), Pulled(*_slope(criterion, z)), Pulled(z, at)
    return _differentiated(lambda rows: pull(inner(push(rows))))


def _slope(loss: Callable[[Tensor], Tensor], vector: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient with its graph, and the leaf that it is of."""
    at = vector.detach().clone().requires_grad_()
    value = loss(at)
    found = torch.autograd.grad(value, at, create_graph=True, allow_unused=True)[0] if value.requires_grad else None
    return (torch.zeros_like(vector) if found is None else found), at


def _differentiated(product: Matvec) -> Matvec:
    def called(rows: Tensor) -> Tensor:
        with differentiated():
            return product(rows)

    return called


@dataclass(frozen=True)
class Curved:
    """A symmetric matrix by its products.

    Attributes:
        times: (k, n) float64 -> (k, n) float64, NumPy arrays.
        blocks: name -> columns of each trained tensor.
        size: n.
    """

    times: Callable[[Any], Any]
    blocks: dict[str, slice]
    size: int


def curved(loss: ScalarLoss | Composite, point: Point, matrix: Matrix) -> Curved:
    """The curvature of a loss at a point.

    Raises:
        ValueError: for another word than the two, a Gauss-Newton matrix of a loss that is not known by its outputs, or has kinks.
    """
    if matrix not in ("hessian", "gauss-newton"):
        raise ValueError(f"matrix is {matrix!r}; choose hessian or gauss-newton")
    if matrix == "gauss-newton" and not isinstance(loss, Composite):
        made = getattr(loss, "composite", None)
        if made is None:
            raise ValueError("a Gauss-Newton matrix goes by the outputs; give a module_loss, or a Composite with outputs")
        loss = made()
    averaged = getattr(loss, "averaged", None)
    if averaged is not None:
        return _streamed(loss, averaged, point)
    return _kept(loss, point, matrix)


@at_one_point
@differentiated()
def _kept(loss: ScalarLoss | Composite, point: Point, matrix: Matrix) -> Curved:
    like, vector = dict(point), flatten(point).detach()
    check_digits(point.values(), "curvature")
    composite = as_composite(loss, like)
    if matrix == "hessian":
        times = hessian_product(lambda v: composite.exact(composite.output(v, like)), vector)
    elif composite.outputs is None or composite.pieces is not None:
        raise ValueError("a Gauss-Newton matrix needs outputs without kinks; give a module_loss, or a Composite with outputs")
    else:
        times = gauss_newton_product(lambda v: composite.output(v, like), composite.smooth, vector)
    return _of(times, vector, like)


def _streamed(loss: Any, averaged: Callable[[Callable[[ScalarLoss], Tensor]], Tensor], point: Point) -> Curved:
    """With the graph of one batch at a time."""
    (point,) = entered(loss, [point])
    like = trainable(point)
    check_digits(like.values(), "curvature")
    vector = flatten(like).detach()

    def times(rows: Tensor) -> Tensor:
        def of_batch(part: ScalarLoss) -> Tensor:
            return hessian_product(lambda v: part({**point, **unflatten(v, like)}), vector)(rows)

        return averaged(of_batch)

    return _of(times, vector, like)


def _of(times: Matvec, vector: Tensor, like: Point) -> Curved:
    def product(rows: Any) -> Any:
        directions = torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float64)).to(vector)
        return times(directions).double().cpu().numpy()

    blocks, at = {}, 0
    for name, value in like.items():
        size = flatten({name: value}).numel()
        blocks[str(name)], at = slice(at, at + size), at + size
    return Curved(product, blocks, len(vector))


def hessian_operator(loss: ScalarLoss | Composite, point: Point, matrix: Matrix = "hessian") -> LinearOperator:
    """The Hessian of a loss at a point, or its Gauss-Newton matrix, for SciPy's solvers: (n, n) float64 over the flattened trained part of the point.
    Its products are those of automatic differentiation; of many columns they are taken together.

    Args:
        loss: as in :func:`landscape_tools.spectrum`.
        point: where.
        matrix: "hessian" or "gauss-newton".
    """
    found = curved(loss, point, matrix)

    def many(columns: Any) -> Any:
        return found.times(columns.T).T

    def one(column: Any) -> Any:
        return found.times(column.reshape(1, -1))[0]

    return LinearOperator((found.size, found.size), matvec=one, rmatvec=one, matmat=many, rmatmat=many, dtype=np.float64)
