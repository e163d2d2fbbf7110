"""Lanczos' method with full reorthogonalisation: one Krylov space for both ends of a symmetric operator, for its trace and for its density."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Vector = np.ndarray[Any, Any]
Product = Callable[[Vector], Vector]
CHECKED = 32
"""A look at what has converged is taken after every product at first, after every second from so many vectors on, and so forth."""
EXHAUSTED = 1e-12
"""Share of the largest image below which what is left of one is rounding: the space then holds all that its start reaches."""


@dataclass(frozen=True)
class Krylov:
    """What a Krylov space says of its operator.

    Attributes:
        basis: (m, n) orthonormal rows.
        values: (m,) Ritz values, ascending; `inner` (m, m) their vectors as columns in the basis.
        residuals: (m,) |H v - value v| of each Ritz vector, by the last of the recurrence.
        products: taken.
        finite: whether all of them were; nothing else holds where not.
    """

    basis: Vector
    values: Vector
    inner: Vector
    residuals: Vector
    products: int
    finite: bool

    def vectors(self, chosen: Vector) -> Vector:
        """(k, n) unit Ritz vectors of these numbers (k,)."""
        found = self.inner[:, chosen].T @ self.basis
        unit: Vector = found / np.linalg.norm(found, axis=1, keepdims=True)
        return unit


def lanczos(
    product: Product,
    start: Vector,
    *,
    steps: int,
    rows: int | None = None,
    kept: int = 1,
    enough: Callable[[Vector, Vector], bool] | None = None,
    against: Vector | None = None,
    scale: float = 0.0,
) -> Krylov:
    """Build a Krylov space.

    Args:
        product: v (n,) -> H v (n,), symmetric.
        start: (n,), not 0; the basis is of its dtype.
        steps: most products; fewer where the space is exhausted.
        rows: most vectors of the basis, for the memory; then it starts again from `kept` Ritz vectors of each end (the thick restart of
            Wu & Simon 2000). None keeps all.
        enough: (Ritz values, residuals) -> whether to stop, asked by `CHECKED`.
        against: (q, n) orthonormal rows that the space stays orthogonal to.
        scale: length of images against which rounding is measured, where the operator is known to make longer ones than this space shows.
    """
    n = len(start)
    steps = max(1, min(steps, n) if rows is None or rows >= n else steps)
    rows = min(steps, n if rows is None else rows)
    basis, small = np.empty((rows, n), dtype=start.dtype), np.zeros((rows, rows))
    vector, below, size, k = _without(start, against), np.zeros(0), 0.0, 0
    vector = vector / np.linalg.norm(vector)
    values, inner = np.zeros(0), np.zeros((0, 0))
    for taken in range(1, steps + 1):
        if k == rows:
            values, inner = _ritz(small)
            chosen = np.r_[:kept, rows - kept : rows]
            basis[: 2 * kept] = inner[:, chosen].T @ basis
            small[:] = 0
            k, below = 2 * kept, size * inner[-1, chosen]
            small[range(k), range(k)] = values[chosen]
        basis[k], small[k, :k] = vector, below
        image = product(vector)
        if not np.isfinite(image).all():
            return Krylov(basis[:k], values, inner, values, taken, False)
        held, rest = basis[: k + 1], image.astype(start.dtype)
        for _ in range(2):  # once leaves what rounding brings back
            share = held @ rest
            rest = _without(rest - share @ held, against)
            small[: k + 1, k] += share
        size, scale, k = float(np.linalg.norm(rest)), max(scale, float(np.linalg.norm(image))), k + 1
        if size <= EXHAUSTED * scale:
            size = 0.0
            break
        if enough is not None and taken % (1 + k // CHECKED) == 0:
            values, inner = _ritz(small[:k, :k])
            if enough(values, size * np.abs(inner[-1])):
                break
        below, vector = np.r_[np.zeros(k - 1), size], rest / size
    values, inner = _ritz(small[:k, :k])
    return Krylov(basis[:k], values, inner, size * np.abs(inner[-1]), taken, True)


def _ritz(small: Vector) -> tuple[Vector, Vector]:
    values, inner = np.linalg.eigh(0.5 * (small + small.T))
    return values, inner


def _without(vector: Vector, against: Vector | None) -> Vector:
    return vector if against is None or len(against) == 0 else vector - (against @ vector) @ against
