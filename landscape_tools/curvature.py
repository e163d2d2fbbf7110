"""Extreme eigenvalues of a symmetric operator with residuals, from both ends: dense where small, matrix-free otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor

from landscape_tools.differentiable import differentiated
from landscape_tools.points import check_digits

DENSE_LIMIT = 400
"""Largest dimension for which all eigenvalues are computed."""
Matvec = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Spectrum:
    """The two ends of a spectrum; NaN where the operator is not finite, or where so few restarts found nothing.

    Attributes:
        lowest, highest: (k,) ascending eigenvalues at each end.
        lowest_residuals, highest_residuals: (k,) |H v - lambda v| of each.
        lowest_vector: (n,) unit eigenvector of the lowest.
        dimension: n; `complete` whether the whole spectrum was computed.
        products: Hessian-vector products used.
    """

    lowest: np.ndarray[Any, Any]
    highest: np.ndarray[Any, Any]
    lowest_residuals: np.ndarray[Any, Any]
    highest_residuals: np.ndarray[Any, Any]
    lowest_vector: Tensor
    dimension: int
    complete: bool
    products: int


def hessian_product(loss: Callable[[Tensor], Tensor], vector: Tensor) -> Matvec:
    """v -> H v of a twice differentiable scalar loss of one vector, one backward pass over a kept gradient graph.

    It is 0 for a loss that does not depend on the vector, or on it at first order only.

    Raises:
        ValueError: for a vector of half precision, or a loss that PyTorch cannot differentiate twice.
    """
    check_digits([vector], "hessian_product")
    with differentiated():
        at = vector.detach().clone().requires_grad_()
        value = loss(at)
        found = torch.autograd.grad(value, at, create_graph=True, allow_unused=True)[0] if value.requires_grad else None
    gradient = torch.zeros_like(at) if found is None else found

    def product(direction: Tensor) -> Tensor:
        if not gradient.requires_grad:
            return torch.zeros_like(at)
        with differentiated():
            (result,) = torch.autograd.grad(gradient, at, direction, retain_graph=True, allow_unused=True)
        return torch.zeros_like(at) if result is None else result.detach()

    return product


def extreme_eigenvalues(
    product: Matvec, dimension: int, *, count: int = 1, tolerance: float = 1e-6, iterations: int | None = None, seed: int = 0
) -> Spectrum:
    """Eigenvalues of both ends.

    Args:
        product: v (n,) -> H v (n,), symmetric, float64.
        dimension: n.
        count: eigenvalues per end. An eigenvalue of high multiplicity, such as the 0 of a network with more parameters
            than outputs, is found once; asking for more near it is slow.
        tolerance: of ARPACK, relative to the largest eigenvalue; the residuals tell what was reached.
        iterations: most restarts of ARPACK.
        seed: of the start vector.
    """
    products = 0

    def counted(vector: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        nonlocal products
        products += 1
        return product(torch.from_numpy(np.ascontiguousarray(vector).reshape(-1))).double().cpu().numpy()

    if dimension <= max(DENSE_LIMIT, 2 * count + 2):
        dense = np.stack([counted(row) for row in np.eye(dimension)])
        finite = bool(np.isfinite(dense).all())
        values, vectors = np.linalg.eigh(0.5 * (dense + dense.T)) if finite else (np.full(dimension, np.nan), np.full_like(dense, np.nan))
        residuals = np.linalg.norm(dense @ vectors - vectors * values, axis=0)
        k = min(count, dimension)
        ends = values[:k], values[-k:], residuals[:k], residuals[-k:]
        return Spectrum(*ends, torch.from_numpy(vectors[:, 0].copy()), dimension, True, products)
    start = np.random.default_rng(seed).standard_normal(dimension)
    high = _one_end(counted, dimension, start, count, tolerance, iterations)
    # The lowest eigenvalues as the highest of shift - H: near 0 a relative tolerance would never be met.
    shift = 2 * float(np.abs(high[0]).max())
    if not np.isfinite(shift):
        return Spectrum(high[0], high[0], high[1], high[1], torch.from_numpy(high[2][:, 0].copy()), dimension, False, products)
    below = _one_end(lambda v: shift * v - counted(v), dimension, start, count, tolerance, iterations)
    low = shift - below[0][::-1], below[1][::-1], below[2][:, ::-1]
    return Spectrum(low[0], high[0], low[1], high[1], torch.from_numpy(low[2][:, 0].copy()), dimension, False, products)


def _one_end(
    product: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]],
    dimension: int,
    start: np.ndarray[Any, Any],
    count: int,
    tolerance: float,
    iterations: int | None,
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Highest eigenvalues ascending, their residuals, their vectors (n, k)."""
    nothing = np.full(1, np.nan), np.full(1, np.nan), np.full((dimension, 1), np.nan)
    image = product(start)
    if not np.isfinite(image).all():
        return nothing
    if not image.any():  # of a random vector: the operator is 0, which ARPACK refuses
        return np.zeros(1), np.zeros(1), (start / np.linalg.norm(start)).reshape(-1, 1)
    operator = LinearOperator((dimension, dimension), matvec=product, dtype=np.float64)
    try:
        values, vectors = eigsh(operator, k=count, which="LA", v0=start, tol=tolerance, ncv=max(20, 4 * count), maxiter=iterations)
    except ArpackNoConvergence as stopped:  # what has converged stands; the residuals tell how well
        values, vectors = stopped.eigenvalues, stopped.eigenvectors
        if len(values) == 0:
            return nothing
    except ArpackError:  # among them: what the operator makes of the vectors is not finite
        return nothing
    order = np.argsort(values)
    values, vectors = values[order], vectors[:, order]
    residuals = np.array([np.linalg.norm(product(v) - value * v) for value, v in zip(values, vectors.T, strict=True)])
    return values, residuals, vectors
