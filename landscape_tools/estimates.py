"""What random signs say of a matrix by its products: its trace, the traces of its blocks, and its density, each with how well it is known.

The trace is a mean over random signs: by itself (Hutchinson 1989), and with known eigenvectors taken out (Meyer et al. 2021, Hutch++); both need the same
products, and the one whose values differ less is taken. The density is that of stochastic Lanczos quadrature (Ubaru, Chen & Saad 2017; for networks
Ghorbani et al. 2019), of all probes side by side, so that their products are taken together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

Array = np.ndarray[Any, Any]
Times = Callable[[Array], Array]
"""(k, n) -> (k, n)."""
SURE = 0.95
"""Of the intervals."""
EXHAUSTED = 1e-12
"""Share of the largest image below which what is left of one is rounding."""


@dataclass(frozen=True)
class Estimates:
    """What the probes say.

    Attributes:
        traces: (1 + blocks, 3) the whole trace first: its estimate, and both ends of its 95 % interval.
        nodes, weights: (probes, steps) of the density, NaN and 0 beyond a space that was exhausted.
    """

    traces: Array
    nodes: Array
    weights: Array


def estimated_by_signs(
    times: Times,
    blocks: Sequence[slice],
    known: tuple[Array, Array],
    size: int,
    *,
    probes: int,
    steps: int,
    seed: int,
    memory: int,
) -> Estimates:
    """Traces and density.

    Args:
        times: products of a symmetric matrix.
        blocks: columns of each.
        known: orthonormal rows (q, n), and what the matrix makes of them.
        size: n.
        probes: vectors of random signs.
        steps: products of each.
        seed: of the signs.
        memory: bytes that the spaces may take; with less, fewer probes stand side by side, and then in float32, but no fewer than one.
    """
    generator = np.random.default_rng(seed)
    nodes, weights = np.full((probes, min(steps, size)), np.nan), np.zeros((probes, min(steps, size)))
    dtype = np.float64 if 8 * steps * size <= memory else np.float32
    together = max(1, memory // (np.dtype(dtype).itemsize * steps * size))
    own, less = (np.empty((probes, 1 + len(blocks))) for _ in range(2))
    for first in range(0, probes, together):
        signs = generator.choice((-1.0, 1.0), (min(together, probes - first), size))
        at = slice(first, first + len(signs))
        images, nodes[at], weights[at] = _quadrature(times, signs, nodes.shape[1], dtype)
        own[at], less[at] = _traces(signs, images, blocks, known)
    better = np.where(own.std(0) <= less.std(0), own, less)
    mean = better.mean(0)
    spread = (
        better.std(0, ddof=1) * float(stdtrit(probes - 1, 0.5 + SURE / 2)) / math.sqrt(probes) if probes > 1 else np.full(len(mean), np.nan)
    )
    return Estimates(np.stack((mean, mean - spread, mean + spread), 1), nodes, weights)


def _traces(signs: Array, images: Array, blocks: Sequence[slice], known: tuple[Array, Array]) -> tuple[Array, Array]:
    """(probes, 1 + blocks) by the signs alone, and with the known vectors V taken out: tr H = tr V H V' + tr P H P with P = 1 - V'V."""
    vectors, of_vectors = known
    share = signs @ vectors.T
    inside = vectors * of_vectors
    left = (signs - share @ vectors) * (images - share @ of_vectors)
    # A block has a trace of P H P of its own, but V' V does not split by blocks: there H - V' (V H V') V is taken, whose trace is known in every block.
    small = of_vectors @ vectors.T
    rest = signs * (images - share @ small @ vectors)
    within = vectors * (small.T @ vectors)
    plain = signs * images
    return (
        np.stack([plain.sum(1), *(plain[:, block].sum(1) for block in blocks)], 1),
        np.stack([left.sum(1) + inside.sum(), *(rest[:, block].sum(1) + within[:, block].sum() for block in blocks)], 1),
    )


def _quadrature(times: Times, signs: Array, steps: int, dtype: Any) -> tuple[Array, Array, Array]:
    """Lanczos' method from several starts side by side, each with full reorthogonalisation: images of the starts (p, n), nodes and weights (p, steps)."""
    probes, size = signs.shape
    basis, small = np.empty((probes, steps, size), dtype=dtype), np.zeros((probes, steps, steps))
    basis[:, 0] = signs / math.sqrt(size)
    taken, images, scale = np.full(probes, steps), np.empty(0), np.zeros(probes)
    for k in range(steps):
        going = np.flatnonzero(taken == steps)
        if len(going) == 0:
            break
        found = times(basis[going, k])
        if not np.isfinite(found).all():
            raise ValueError("the Hessian is not finite here, so it has no spectrum; certify says more")
        if k == 0:
            images = found * math.sqrt(size)
        for row, image in zip(going, found, strict=True):
            held, rest = basis[row, : k + 1], image.astype(dtype)
            scale[row] = max(scale[row], float(np.linalg.norm(image)))
            for _ in range(2):  # once leaves what rounding brings back
                shares = held @ rest
                rest = rest - shares @ held
                small[row, : k + 1, k] += shares
            length = float(np.linalg.norm(rest))
            if length <= max(EXHAUSTED, 8 * float(np.finfo(dtype).eps)) * scale[row]:
                taken[row] = k + 1
            elif k + 1 < steps:
                basis[row, k + 1] = rest / length
    nodes, weights = np.full((probes, steps), np.nan), np.zeros((probes, steps))
    for start, count in enumerate(taken.tolist()):
        # Above the diagonal stands what the recurrence measured; below it, the same by symmetry.
        upper = np.triu(small[start, :count, :count])
        values, vectors = np.linalg.eigh(upper + np.triu(upper, 1).T)
        nodes[start, :count], weights[start, :count] = values, vectors[0] ** 2
    return images, nodes, weights
