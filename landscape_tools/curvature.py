"""Extreme eigenvalues of a symmetric operator with residuals, from both ends: dense where small, by Lanczos' method otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape_tools.differentiable import differentiated
from landscape_tools.krylov import Krylov, Product, lanczos
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
    product: Matvec,
    dimension: int,
    *,
    count: int = 1,
    tolerance: float = 1e-6,
    iterations: int | None = None,
    seed: int = 0,
    memory: int = 512 * 2**20,
) -> Spectrum:
    """Eigenvalues of both ends, from one Krylov space.

    Args:
        product: v (n,) -> H v (n,), symmetric, float64.
        dimension: n.
        count: eigenvalues per end. An eigenvalue of high multiplicity, such as the 0 of a network with more parameters than outputs, is found
            once; :func:`landscape_tools.spectra.spectrum` finds its copies.
        tolerance: of the residuals, relative to the largest eigenvalue; the residuals tell what was reached.
        iterations: most products, in units of 20; an end that has not converged by then is NaN.
        seed: of the start vector.
        memory: bytes that the space may take, which starts again when it is full; it holds at least 20
            vectors, of float32 where float64 takes more.
    """
    products = 0

    def counted(vector: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        nonlocal products
        products += 1
        return product(torch.from_numpy(np.ascontiguousarray(vector, dtype=np.float64).reshape(-1))).double().cpu().numpy()

    if dimension <= max(DENSE_LIMIT, 2 * count + 2):
        dense = np.stack([counted(row) for row in np.eye(dimension)])
        finite = bool(np.isfinite(dense).all())
        values, vectors = np.linalg.eigh(0.5 * (dense + dense.T)) if finite else (np.full(dimension, np.nan), np.full_like(dense, np.nan))
        residuals = np.linalg.norm(dense @ vectors - vectors * values, axis=0)
        k = min(count, dimension)
        ends = values[:k], values[-k:], residuals[:k], residuals[-k:]
        return Spectrum(*ends, torch.from_numpy(vectors[:, 0].copy()), dimension, True, products)
    low, high = both_ends(counted, dimension, count, tolerance, 20 * iterations if iterations else 10 * dimension, seed, memory)
    return Spectrum(low.values, high.values, low.residuals, high.residuals, torch.from_numpy(low.vectors[0].copy()), dimension, False, products)


@dataclass(frozen=True)
class End:
    """Eigenvalues (k,) of one end, ascending, with |H v - lambda v| of each, the unit vectors (k, n), and what the operator makes of them; one NaN
    where none has converged."""

    values: np.ndarray[Any, Any]
    residuals: np.ndarray[Any, Any]
    vectors: np.ndarray[Any, Any]
    images: np.ndarray[Any, Any]


def both_ends(
    product: Product,
    dimension: int,
    count: int,
    tolerance: float,
    steps: int,
    seed: int = 0,
    memory: int = 512 * 2**20,
    against: np.ndarray[Any, Any] | None = None,
    scale: float = 0.0,
) -> tuple[End, End]:
    """The lowest and the highest eigenvalues, of the operator on what is orthogonal to the rows `against` (q, n); `scale` is the largest
    size of an eigenvalue known."""
    converged = 0

    def met(values: np.ndarray[Any, Any], residuals: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        close: np.ndarray[Any, Any] = residuals <= tolerance * max(scale, np.abs(values).max())
        return close

    def enough(values: np.ndarray[Any, Any], residuals: np.ndarray[Any, Any]) -> bool:
        nonlocal converged
        close = met(values, residuals)
        converged = converged + 1 if len(values) >= 2 * count and close[:count].all() and close[-count:].all() else 0
        return converged == 2  # twice, for a vector that a random start barely holds comes late

    start = np.random.default_rng(seed).standard_normal(dimension)
    rows = max(20, 4 * count, memory // (8 * dimension))
    if 8 * dimension * rows > memory:  # half the memory for the digits of a float32 Hessian
        start = start.astype(np.float32)
    kept = max(count, min(count + 5, rows // 3))
    space = lanczos(product, start, steps=steps, rows=rows, kept=kept, enough=enough, against=against, scale=scale)
    close = met(space.values, space.residuals) if space.finite else np.zeros(0, dtype=bool)
    k = min(count, len(close))
    return _end(product, space, np.arange(k)[close[:k]]), _end(product, space, np.arange(len(close) - k, len(close))[close[len(close) - k :]])


def _end(product: Product, space: Krylov, chosen: np.ndarray[Any, Any]) -> End:
    if len(chosen) == 0:
        return End(np.full(1, np.nan), np.full(1, np.nan), *[np.full((1, space.basis.shape[1]), np.nan)] * 2)
    values, vectors = space.values[chosen], space.vectors(chosen)
    images = np.stack([product(vector) for vector in vectors])
    return End(values, np.linalg.norm(images - values[:, None] * vectors, axis=1), vectors, images)
