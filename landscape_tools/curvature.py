"""Extreme eigenvalues of a symmetric operator with residuals, from both ends: dense where small, by Lanczos' method otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from landscape_tools.krylov import Krylov, Product, lanczos
from landscape_tools.products import Matvec
from landscape_tools.results import Result, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DENSE_LIMIT = 400
"""Largest dimension for which all eigenvalues are computed."""


@dataclass(frozen=True, repr=False)
class Spectrum(Result):
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

    def plot(self, ax: Axes | None = None) -> Axes:
        """The eigenvalues of both ends, with their residuals as bars."""
        return draw_ends(self, new_axes(ax))

    def to_dataset(self) -> xr.Dataset:
        """Both ends with their residuals."""
        return xr.Dataset(ends_of(self), attrs={"dimension": self.dimension, "complete": int(self.complete), "products": self.products})


class HasEnds(Protocol):
    """What has both ends of a spectrum; all (k,)."""

    @property
    def lowest(self) -> np.ndarray[Any, Any]:
        """Ascending."""
        ...

    @property
    def highest(self) -> np.ndarray[Any, Any]:
        """Ascending."""
        ...

    @property
    def lowest_residuals(self) -> np.ndarray[Any, Any]:
        """Of `lowest`."""
        ...

    @property
    def highest_residuals(self) -> np.ndarray[Any, Any]:
        """Of `highest`."""
        ...


def draw_ends(spectrum: HasEnds, ax: Axes) -> Axes:
    """Eigenvalues by number into these axes."""
    for values, residuals, name in (
        (spectrum.lowest, spectrum.lowest_residuals, "lowest"),
        (spectrum.highest, spectrum.highest_residuals, "highest"),
    ):
        ax.errorbar(np.arange(1, len(values) + 1), values, np.nan_to_num(residuals), fmt="o", capsize=3, label=name)
    ax.axhline(0, color="grey", linewidth=0.5)
    ax.set(xlabel="number", ylabel="eigenvalue")
    ax.legend()
    return ax


def ends_of(spectrum: HasEnds) -> dict[str, tuple[str, np.ndarray[Any, Any]]]:
    """Variables of a dataset; each end has its own axis, for they may differ in length."""
    return {
        "lowest": ("low", spectrum.lowest), "lowest_residual": ("low", spectrum.lowest_residuals),
        "highest": ("high", spectrum.highest), "highest_residual": ("high", spectrum.highest_residuals),
    }  # fmt: skip


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
    return Spectrum(
        low.values, high.values, low.residuals, high.residuals, torch.from_numpy(low.vectors[0].copy()), dimension, False, products
    )


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
    beyond: tuple[np.ndarray[Any, Any] | None, float] = (None, 0.0),
) -> tuple[End, End]:
    """The lowest and the highest eigenvalues, of the operator on what lies `beyond` the eigenvectors known: orthonormal rows (q, n), and the
    largest size of an eigenvalue."""
    against, scale = beyond
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
    low, high = (part[close[part]] for part in (np.arange(k), np.arange(len(close) - k, len(close))))
    return _end(product, space, low), _end(product, space, high)


def _end(product: Product, space: Krylov, chosen: np.ndarray[Any, Any]) -> End:
    if len(chosen) == 0:
        return End(np.full(1, np.nan), np.full(1, np.nan), *[np.full((1, space.basis.shape[1]), np.nan)] * 2)
    values, vectors = space.values[chosen], space.vectors(chosen)
    images = np.stack([product(vector) for vector in vectors])
    return End(values, np.linalg.norm(images - values[:, None] * vectors, axis=1), vectors, images)
