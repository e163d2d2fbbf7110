"""The Hessian's spectrum in numbers that say how well they are known: both ends with residuals, the trace with an interval, the density.

The ends come from one Krylov space, and copies of an eigenvalue from further ones orthogonal to what was found. The trace is a mean over random signs:
by itself (Hutchinson 1989), and with the found eigenvectors taken out (Meyer et al. 2021, Hutch++); both need the same products, and the one whose values
differ less is taken. The density is that of stochastic Lanczos quadrature (Ubaru, Chen & Saad 2017; for networks Ghorbani et al. 2019).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr
from scipy.sparse.linalg import LinearOperator
from scipy.stats import t
from torch import Tensor

from landscape_tools.composite import Composite, as_composite
from landscape_tools.curvature import DENSE_LIMIT, End, Matvec, both_ends, ends_of, hessian_product
from landscape_tools.differentiable import differentiated
from landscape_tools.entrance import at_one_point
from landscape_tools.evaluating import ScalarLoss
from landscape_tools.krylov import Product, Vector, lanczos
from landscape_tools.points import Point, check_digits, flatten
from landscape_tools.results import Result, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SURE = 0.95
"""Of the trace's interval."""


@dataclass(frozen=True, repr=False)
class Curvature(Result):
    """The spectrum of a Hessian.

    Attributes:
        lowest, highest: (k,) ascending eigenvalues at each end, copies of one included; NaN where not converged.
        lowest_residuals, highest_residuals: (k,) |H v - lambda v| of each.
        lowest_vectors, highest_vectors: (k, n) unit eigenvectors, in the order of the flattened trained point.
        trace: sum of all eigenvalues; `trace_low` and `trace_high` its 95 % interval, equal where it is exact.
        nodes, weights: (probes, steps) of the density, NaN and 0 beyond a space that was exhausted; the weights of a probe sum to 1.
        dimension: n; `products` used.
    """

    lowest: Vector
    highest: Vector
    lowest_residuals: Vector
    highest_residuals: Vector
    lowest_vectors: Tensor
    highest_vectors: Tensor
    trace: float
    trace_low: float
    trace_high: float
    nodes: Vector
    weights: Vector
    dimension: int
    products: int

    def density(self, at: Vector, width: float | None = None) -> Vector:
        """The density of eigenvalues, of integral 1, seen through a Gaussian.

        Args:
            at: (m,) where.
            width: standard deviation of the Gaussian; a hundredth of the range of the nodes by default.

        Returns:
            (probes, m), one for each probe: their mean is the estimate, and how they differ says how well it is known.
        """
        width = width or max(float(np.nanmax(self.nodes) - np.nanmin(self.nodes)), 1e-300) / 100
        bells = np.exp(-0.5 * ((np.asarray(at)[None, :, None] - np.nan_to_num(self.nodes)[:, None, :]) / width) ** 2)
        found: Vector = (bells * self.weights[:, None, :]).sum(2) / (width * math.sqrt(2 * math.pi))
        return found

    def plot(self, ax: Axes | None = None) -> Axes:
        """The density, one thin line for each probe, and the eigenvalues of both ends as ticks below."""
        ax = new_axes(ax)
        low, high = float(np.nanmin(self.nodes)), float(np.nanmax(self.nodes))
        at = np.linspace(low - 0.05 * (high - low), high + 0.05 * (high - low), 500)
        density = self.density(at)
        floor = 1e-6 * float(density.max())
        ax.plot(at, density.T, color="grey", linewidth=0.5)
        ax.plot(at, density.mean(0))
        ax.plot(np.concatenate((self.lowest, self.highest)), np.full(len(self.lowest) + len(self.highest), floor), "|", color="black")
        ax.set(xlabel="eigenvalue", ylabel="density", yscale="log", ylim=(floor / 2, None))
        ax.set_title(f"trace {self.trace:.4g} ({self.trace_low:.4g} to {self.trace_high:.4g})")
        return ax

    def to_dataset(self) -> xr.Dataset:
        """Both ends with their residuals, and the density's nodes and weights over `probe` and `node`."""
        attrs = {name: getattr(self, name) for name in ("trace", "trace_low", "trace_high", "dimension", "products")}
        quadrature = {"nodes": (("probe", "node"), self.nodes), "weights": (("probe", "node"), self.weights)}
        return xr.Dataset({**ends_of(self), **quadrature}, attrs=attrs)


@dataclass(frozen=True)
class _Prepared:
    product: Product
    size: int


@at_one_point
@differentiated()
def _prepared(loss: ScalarLoss | Composite, point: Point) -> _Prepared:
    check_digits(point.values(), "spectrum")
    like = dict(point)
    composite, vector = as_composite(loss, like), flatten(point).detach()
    times: Matvec = hessian_product(lambda v: composite.exact(composite.output(v, like)), vector)

    def product(direction: Vector) -> Vector:
        column = torch.from_numpy(np.ascontiguousarray(direction, dtype=np.float64).reshape(-1))
        found: Vector = times(column.to(vector)).double().cpu().numpy()
        return found

    return _Prepared(product, len(vector))


def hessian_operator(loss: ScalarLoss | Composite, point: Point) -> LinearOperator:
    """The Hessian of a loss at a point, for SciPy's solvers: (n, n) float64 over the flattened trained part of the point. Its products are those of
    automatic differentiation, over a graph that is kept."""
    found = _prepared(loss, point)
    return LinearOperator((found.size, found.size), matvec=found.product, rmatvec=found.product, dtype=np.float64)


def spectrum(
    loss: ScalarLoss | Composite,
    point: Point,
    *,
    count: int = 1,
    probes: int = 8,
    steps: int = 30,
    copies: bool = True,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> Curvature:
    """The spectrum of the Hessian at a point; exact up to 400 parameters.

    Args:
        loss: point -> scalar, twice differentiable.
        point: float64, or float32 with fewer digits.
        count: eigenvalues per end, at least 1.
        probes: random vectors for the trace and the density, at least 2 for an interval.
        steps: products per probe, at least 1; one is enough for the trace.
        copies: whether to look for further copies of the eigenvalues found, with as many products again for each round.
        tolerance: of the residuals, relative to the largest eigenvalue.
        seed: of the random vectors.

    Raises:
        ValueError: for counts below 1, or a Hessian that is not finite.
    """
    if min(count, probes, steps) < 1:
        raise ValueError(f"count is {count}, probes {probes} and steps {steps}; each must be at least 1")
    prepared = _prepared(loss, point)
    n, taken = prepared.size, 0

    def product(vector: Vector) -> Vector:
        nonlocal taken
        taken += 1
        return prepared.product(vector)

    if n <= max(DENSE_LIMIT, 2 * count + 2):
        return _dense(np.stack([product(row) for row in np.eye(n)]), min(count, n))
    low, high = _ends(product, n, count, tolerance, seed, copies)
    if not np.isfinite(product(np.ones(n))).all():
        raise ValueError("the Hessian is not finite here, so it has no spectrum; certify says more")
    known = [end for end in (low, high) if np.isfinite(end.values).all()]
    vectors, images = (np.concatenate([getattr(end, part) for end in known] or [np.zeros((0, n))]) for part in ("vectors", "images"))
    nodes, weights = np.full((probes, min(steps, n)), np.nan), np.zeros((probes, min(steps, n)))
    plain, less = np.empty(probes), np.empty(probes)
    generator = np.random.default_rng(seed + 1)
    for k in range(probes):
        signs = generator.choice((-1.0, 1.0), n)
        images_of: list[Vector] = []

        def heard(vector: Vector, images_of: list[Vector] = images_of) -> Vector:
            image = product(vector)
            if not images_of:
                images_of.append(image * math.sqrt(n))
            return image

        space = lanczos(heard, signs, steps=steps)
        nodes[k, : len(space.values)], weights[k, : len(space.values)] = space.values, space.inner[0] ** 2
        plain[k] = signs @ images_of[0]
        share = vectors @ signs
        less[k] = (signs - share @ vectors) @ (images_of[0] - share @ images) + (vectors * images).sum()
    values = min((plain, less), key=lambda found: float(found.std()))
    reach = float(t.ppf(0.5 + SURE / 2, probes - 1) * values.std(ddof=1) / math.sqrt(probes)) if probes > 1 else float("nan")
    mean = float(values.mean())
    return Curvature(
        low.values, high.values, low.residuals, high.residuals, torch.from_numpy(low.vectors), torch.from_numpy(high.vectors),
        mean, mean - reach, mean + reach, nodes, weights, n, taken,
    )  # fmt: skip


def _dense(matrix: Vector, k: int) -> Curvature:
    """The spectrum of a matrix (n, n)."""
    if not np.isfinite(matrix).all():
        raise ValueError("the Hessian is not finite here, so it has no spectrum; certify says more")
    values, columns = np.linalg.eigh(0.5 * (matrix + matrix.T))
    residuals = np.linalg.norm(matrix @ columns - columns * values, axis=0)
    low, high = (torch.from_numpy(np.ascontiguousarray(part.T)) for part in (columns[:, :k], columns[:, -k:]))
    trace, n = float(np.trace(matrix)), len(matrix)
    return Curvature(
        values[:k], values[-k:], residuals[:k], residuals[-k:], low, high, trace, trace, trace, values[None], np.full((1, n), 1 / n), n, n
    )


def _ends(product: Product, n: int, count: int, tolerance: float, seed: int, copies: bool) -> tuple[End, End]:
    """Both ends; with `copies`, of further spaces, too, until one brings no eigenvalue that belongs to them."""
    low, high = both_ends(product, n, count, tolerance, 10 * n, seed)
    while copies and np.isfinite(low.values).all() and np.isfinite(high.values).all():
        seed += 1
        basis, lengths, _ = np.linalg.svd(np.concatenate((low.vectors, high.vectors)).T, full_matrices=False)
        against = basis[:, lengths > 1e-6].T  # the ends of few distinct eigenvalues share vectors
        scale = max(abs(float(low.values[0])), abs(float(high.values[-1])))
        lower, higher = both_ends(product, n, 1, tolerance, 10 * n, seed, beyond=(against, scale))
        near = tolerance * scale
        news = (
            lower.values[0] < low.values[-1] - near or len(low.values) < count,
            higher.values[0] > high.values[0] + near or len(high.values) < count,
        )
        if not (np.isfinite(lower.values[0] + higher.values[0]) and any(news)):
            break
        low, high = (_joined(low, lower, slice(0, count)), _joined(high, higher, slice(-count, None)))
    return low, high


def _joined(one: End, other: End, chosen: slice) -> End:
    values = np.concatenate((one.values, other.values))
    order = np.argsort(values, kind="stable")[chosen]
    parts: list[Any] = [np.concatenate((getattr(one, name), getattr(other, name)))[order] for name in ("residuals", "vectors", "images")]
    return End(values[order], *parts)
