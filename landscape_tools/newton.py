"""Newton's methods in the outputs: Levenberg-Marquardt steps on the smoothed loss, and the kinked problem with its ties held."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape_tools.composite import Composite
from landscape_tools.points import Point
from landscape_tools.probing import difference_hessian

REFRESH = 4
"""Steps for which one Jacobian of the outputs serves; it is the dearest part of a step and changes slowly."""


def newton(
    composite: Composite, vector: Tensor, like: Point, smoothing: float, iterations: int, tolerance: float, tick: Callable[[int], Any]
) -> tuple[Tensor, int]:
    """Levenberg-Marquardt steps with the positive part-and-mirror of the output Hessian; returns (vector, steps)."""
    with torch.no_grad():
        z = composite.output(vector, like)
        value = float(composite.smoothed(z, smoothing))
    damping, taken, age = 1e-4, 0, REFRESH
    jacobian, gram = None, torch.eye(len(z), dtype=z.dtype, device=z.device)
    for taken in range(1, iterations + 1):
        if age >= REFRESH:
            jacobian, gram, age = *_gram(composite, vector, like, len(z)), 0
        gradient, hessian = composite.twice(z, smoothing)
        size = _length(gradient, jacobian)
        if size <= tolerance or not np.isfinite(size):  # done, or nothing to follow
            return vector, taken - 1
        if not bool(hessian.isfinite().all()):  # at a norm of 0, for one
            hessian = difference_hessian(lambda outputs: composite.smoothed(outputs, smoothing), z).nan_to_num(0.0, 0.0, 0.0)
        values, basis = torch.linalg.eigh(0.5 * (hessian + hessian.T))
        positive = (basis * values.abs()) @ basis.T
        improved = False
        for _ in range(30):
            inner, _ = torch.linalg.solve_ex(positive @ gram + damping * torch.eye(len(z), dtype=z.dtype, device=z.device), -gradient)
            step = inner if jacobian is None else jacobian.T @ inner
            expected = max(0.0, -float(gradient @ gram @ inner))  # decrease to first order; below 0 by rounding alone
            with torch.no_grad():
                tried = composite.output(vector + step, like)
                reached = float(composite.smoothed(tried, smoothing))
            if np.isfinite(reached) and value - reached > 1e-4 * expected:
                damping, improved = max(1e-10, damping * (0.1 if value - reached > 0.25 * expected else 1.0)), True
                break
            damping *= 10
        if not improved:
            if age == 0 or jacobian is None:  # rounding is all that is left
                return vector, taken
            age, damping = REFRESH, 1e-4
            continue
        vector, z, value, age = vector + step, tried, reached, age + 1
        tick(taken)
    return vector, taken


def _gram(composite: Composite, vector: Tensor, like: Point, size: int) -> tuple[Tensor | None, Tensor]:
    """Jacobian J of the outputs (None: the identity) and J J^T."""
    jacobian = composite.jacobian(vector, like)
    return jacobian, torch.eye(size, dtype=vector.dtype, device=vector.device) if jacobian is None else jacobian @ jacobian.T


def _length(gradient: Tensor, jacobian: Tensor | None) -> float:
    """Norm in the parameters of a gradient in the outputs. The root of gradient @ (J J^T) @ gradient has half the digits, and rounds below 0."""
    return float((gradient if jacobian is None else gradient @ jacobian).norm())


def polish(
    composite: Composite, vector: Tensor, like: Point, *, within: float, tolerance: float, iterations: int = 12, rounds: int = 1
) -> Tensor | None:
    """Newton's method on the kinked problem, with the ties of `vector` kept: where a maximum has several alternatives
    within `within` of it, they are held equal, and the multipliers of that are unknowns beside the parameters. In a further round
    ties of a negative multiplier are let go, and alternatives that have become higher are tied (an active-set method).

    Returns:
        the stationary point, or None when Newton's method does not get there, in the last round a multiplier leaves [0, 1] or another
        alternative is higher than the ties, or the loss is above where it began by more than `within`: then the ties were not the right ones.
    """
    assert composite.pieces is not None
    pieces = composite.pieces
    with torch.no_grad():
        z = composite.output(vector, like)
        values = pieces(z)
        began = float(composite.exact(z))
    top, every = values.argmax(-1), torch.arange(len(values), device=values.device)
    near = values >= values.amax(-1, keepdim=True) - within
    shares = torch.softmax(values / max(within / 50, 1e-300), -1)
    for _ in range(rounds):
        near[every, top] = False
        held = _held(composite, vector, like, near, top, shares, tolerance, iterations)
        if held is None:
            return None
        vector, shares = held
        with torch.no_grad():
            z = composite.output(vector, like)
            values = pieces(z)
        over = values - values[every, top].unsqueeze(-1) > max(tolerance, 1e-7)
        let_go = shares <= -1e-6
        if not bool((over | let_go).any()):
            return vector if float(composite.exact(z)) <= began + within else None
        kept = (shares > 0) & ~let_go
        near, top = (near & ~let_go) | over, torch.where(let_go[every, top] & kept.any(-1), shares.argmax(-1), top)
    return None


def _held(
    composite: Composite, vector: Tensor, like: Point, near: Tensor, top: Tensor, shares: Tensor, tolerance: float, iterations: int
) -> tuple[Tensor, Tensor] | None:
    """Newton's method with alternatives `near` (groups, alternatives) held equal to those of `top` (groups,): a point, and its multipliers, which begin
    at `shares`; None when it does not converge."""
    assert composite.pieces is not None
    assert composite.weights is not None
    pieces, weights = composite.pieces, composite.weights
    rows, columns = near.nonzero(as_tuple=True)  # ties: alternative `columns` of group `rows` equals alternative `top`

    def ties(outputs: Tensor) -> Tensor:
        found = pieces(outputs)
        return weights[rows] * (found[rows, columns] - found[rows, top[rows]])

    def multipliers(share: Tensor) -> Tensor:
        found = torch.nn.functional.one_hot(top, near.shape[-1]).to(vector)
        return found.index_put((rows, columns), share, accumulate=True).index_put((rows, top[rows]), -share, accumulate=True)

    slope: Any = torch.func.jacrev(ties)
    share = shares[rows, columns]
    with torch.no_grad():
        z = composite.output(vector, like)
    jacobian, gram = _gram(composite, vector, like, len(z))
    error = float("inf")
    for taken in range(iterations):
        (gradient, curved), gap = composite.twice(z, multipliers(share)), ties(z).detach()
        across = slope(z).detach() if len(rows) else gap.new_zeros(0, len(z))
        missed = float((gap / weights[rows]).abs().max()) if len(gap) else 0.0
        previous, error = error, max(_length(gradient, jacobian), missed)
        if error <= tolerance:
            return vector, multipliers(share)
        if taken > 3 and error > 10 * previous:
            return None
        damping = 1e-10 * float(gram.diagonal().mean())
        size, more = len(z), len(share)
        system = z.new_zeros(size + more, size + more)
        system[:size, :size] = (curved if jacobian is None else curved @ gram) + damping * torch.eye(size, dtype=z.dtype, device=z.device)
        system[:size, size:] = across.T
        system[size:, :size] = across if jacobian is None else across @ gram
        try:
            solved = torch.linalg.solve(system, -torch.cat((gradient, gap)))
        except RuntimeError:  # singular: the ties depend on each other
            return None
        inner = solved[:size]
        vector = vector + (inner if jacobian is None else jacobian.T @ inner)
        share = share + solved[size:]
        with torch.no_grad():
            z = composite.output(vector, like)
    return None
