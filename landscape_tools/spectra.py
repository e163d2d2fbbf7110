"""The curvature's spectrum in numbers that say how well they are known: both ends with residuals, traces with intervals, the density.

The ends come from one Krylov space, and copies of an eigenvalue from further ones orthogonal to what was found. What is random is in
:mod:`landscape_tools.estimates`, the products are in :mod:`landscape_tools.products`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from landscape_tools.composite import Composite
from landscape_tools.curvature import DENSE_LIMIT, End, both_ends, ends_of
from landscape_tools.estimates import estimated_by_signs
from landscape_tools.evaluating import ScalarLoss
from landscape_tools.krylov import Product, Vector
from landscape_tools.options import filled
from landscape_tools.points import Point
from landscape_tools.products import Matrix, curved
from landscape_tools.results import Result, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False)
class Curvature(Result):
    """The spectrum of a Hessian, or of a Gauss-Newton matrix.

    Attributes:
        lowest, highest: (k,) ascending eigenvalues at each end, copies of one included; NaN where not converged.
        lowest_residuals, highest_residuals: (k,) |H v - lambda v| of each.
        lowest_vectors, highest_vectors: (k, n) unit eigenvectors, in the order of the flattened trained point.
        trace: sum of all eigenvalues; `trace_low` and `trace_high` its 95 % interval, equal where it is exact.
        blocks: names of the trained tensors.
        block_traces: (blocks, 3) trace of the diagonal block of each, and both ends of its 95 % interval.
        lowest_shares, highest_shares: (k, blocks) share of each eigenvector's squared length in each; each row sums to 1.
        nodes, weights: (probes, steps) of the density, NaN and 0 beyond a space that was exhausted; the weights of a probe sum to 1.
        dimension: n; `products` used, whichever of them were taken together.
        matrix: "hessian" or "gauss-newton".
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
    blocks: list[str]
    block_traces: Vector
    lowest_shares: Vector
    highest_shares: Vector
    nodes: Vector
    weights: Vector
    dimension: int
    products: int
    matrix: str

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
        ax.set(xlabel="eigenvalue", ylabel="density", yscale="log", ylim=(floor / 2, 3 * float(density.max())))
        ax.set_title(f"trace {self.trace:.4g} ({self.trace_low:.4g} to {self.trace_high:.4g})")
        return ax

    def to_dataset(self) -> xr.Dataset:
        """Both ends with their residuals, the density's nodes and weights over `probe` and `node`, traces and shares over `block`."""
        attrs = {name: getattr(self, name) for name in ("trace", "trace_low", "trace_high", "dimension", "products", "matrix")}
        data = {
            "nodes": (("probe", "node"), self.nodes), "weights": (("probe", "node"), self.weights),
            **{name: ("block", self.block_traces[:, k]) for k, name in enumerate(("block_trace", "block_trace_low", "block_trace_high"))},
            "lowest_share": (("low", "block"), self.lowest_shares), "highest_share": (("high", "block"), self.highest_shares),
        }  # fmt: skip
        return xr.Dataset({**ends_of(self), **data}, coords={"block": self.blocks}, attrs=attrs)


class Spectral(TypedDict, total=False):
    """Settings of a spectrum, given to :func:`spectrum` as keywords.

    Attributes:
        count: eigenvalues per end, at least 1.
        probes: random vectors for the traces and the density, at least 2 for an interval.
        steps: products per probe, at least 1; one is enough for the traces.
        copies: whether to look for further copies of the eigenvalues found, with as many products again for each round.
        tolerance: of the residuals, relative to the largest eigenvalue.
        seed: of the random vectors.
        memory: bytes that the Krylov spaces may take; a space has at least 20 vectors, of float32 where float64 takes more.
    """

    count: int
    probes: int
    steps: int
    copies: bool
    tolerance: float
    seed: int
    memory: int


SPECTRAL: Spectral = {"count": 1, "probes": 8, "steps": 30, "copies": True, "tolerance": 1e-6, "seed": 0, "memory": 512 * 2**20}


def spectrum(loss: ScalarLoss | Composite, point: Point, *, matrix: Matrix = "hessian", **settings: Unpack[Spectral]) -> Curvature:
    """The spectrum of the curvature at a point; exact up to 400 parameters.

    Args:
        loss: point -> scalar, twice differentiable. Of a `data_loss` the graph of one batch is held at a time.
        point: float64, or float32 with fewer digits.
        matrix: "hessian", or "gauss-newton" of a `module_loss` or a :class:`Composite` with outputs: what is left of it where the outputs do not bend.
        settings: of :class:`Spectral`.

    Raises:
        ValueError: for counts below 1, a curvature that is not finite, or a Gauss-Newton matrix of a loss without outputs.
    """
    how = filled(SPECTRAL, settings)
    count, probes, steps = how["count"], how["probes"], how["steps"]
    if min(count, probes, steps) < 1:
        raise ValueError(f"count is {count}, probes {probes} and steps {steps}; each must be at least 1")
    found = curved(loss, point, matrix)
    n, taken = found.size, 0

    def times(rows: Vector) -> Vector:
        nonlocal taken
        taken += len(rows)
        images: Vector = found.times(rows)
        return images

    blocks = list(found.blocks.values())
    if n <= max(DENSE_LIMIT, 2 * count + 2):
        dense = times(np.eye(n))
        if not np.isfinite(dense).all():
            raise ValueError("the Hessian is not finite here, so it has no spectrum; certify says more")
        low, high, nodes = _exact(dense, min(count, n))
        weights = np.full(nodes.shape, 1 / n)
        diagonal = np.diag(dense)
        traces = np.array([[part.sum()] * 3 for part in (diagonal, *(diagonal[block] for block in blocks))])
    else:
        low, high = _ends(lambda v: times(v[None])[0], n, how)
        known = [end for end in (low, high) if np.isfinite(end.values).all()]
        vectors, images = (np.concatenate([getattr(end, part) for end in known] or [np.zeros((0, n))]) for part in ("vectors", "images"))
        said = estimated_by_signs(
            times, blocks, _independent(vectors, images), n, probes=probes, steps=steps, seed=how["seed"] + 1, memory=how["memory"]
        )
        traces, nodes, weights = said.traces, said.nodes, said.weights
    shares = [np.stack([np.square(end.vectors[:, block]).sum(1) for block in blocks], 1) for end in (low, high)]
    return Curvature(
        low.values, high.values, low.residuals, high.residuals, torch.from_numpy(low.vectors), torch.from_numpy(high.vectors),
        float(traces[0, 0]), float(traces[0, 1]), float(traces[0, 2]), list(found.blocks), traces[1:], shares[0], shares[1], nodes, weights, n, taken, matrix,
    )  # fmt: skip


def _independent(vectors: Vector, images: Vector) -> tuple[Vector, Vector]:
    """Orthonormal rows of the same span, and their images: the ends of few distinct eigenvalues share vectors."""
    left, lengths, _ = np.linalg.svd(vectors @ vectors.T)
    mixed = (left[:, lengths > 1e-6] / np.sqrt(lengths[lengths > 1e-6])).T
    return mixed @ vectors, mixed @ images


def _exact(matrix: Vector, k: int) -> tuple[End, End, Vector]:
    """Both ends and all eigenvalues (1, n) of a matrix (n, n)."""
    values, columns = np.linalg.eigh(0.5 * (matrix + matrix.T))
    images = matrix @ columns
    residuals = np.linalg.norm(images - columns * values, axis=0)

    def end(part: slice) -> End:
        return End(values[part], residuals[part], *(np.ascontiguousarray(rows[:, part].T) for rows in (columns, images)))

    return end(slice(0, k)), end(slice(len(values) - k, None)), values[None]


def _ends(product: Product, n: int, how: Spectral) -> tuple[End, End]:
    """Both ends; where copies are wanted, of further spaces, too, until one brings no eigenvalue that belongs to them."""
    count, tolerance, seed, memory = how["count"], how["tolerance"], how["seed"], how["memory"]
    low, high = both_ends(product, n, count, tolerance, 10 * n, seed, memory)
    while how["copies"] and np.isfinite(low.values).all() and np.isfinite(high.values).all():
        seed += 1
        basis, lengths, _ = np.linalg.svd(np.concatenate((low.vectors, high.vectors)).T, full_matrices=False)
        against = basis[:, lengths > 1e-6].T  # the ends of few distinct eigenvalues share vectors
        scale = max(abs(float(low.values[0])), abs(float(high.values[-1])))
        lower, higher = both_ends(product, n, 1, tolerance, 10 * n, seed, memory, (against, scale))
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
