"""The sign of a quadratic form on a polyhedral cone: what the second order says where a kink holds nothing back.

A form d' M d on {d : E d = 0, B d <= 0} is even, so with one row in B the halfspace sees what the whole space sees. With
more rows, independent ones, the directions within B d = 0 are minimised over, and what is left is whether a small matrix is
copositive: Kaplan's test (2000) looks for a positive eigenvector with a negative eigenvalue in its principal submatrices.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

MOST_ROWS = 10
"""Most inequalities for which copositivity is decided; its cost doubles with each."""
RANK = 1e-9
"""Singular values below this share of the largest count as 0."""
Sign = Literal["positive", "negative", "zero", "unknown"]


@dataclass(frozen=True)
class OnCone:
    """A quadratic form on a cone.

    Attributes:
        sign: "positive" (on all but 0), "negative" (somewhere), "zero" (nowhere negative, somewhere 0) or "unknown".
        values: eigenvalues on the subspace of the equalities alone, ascending.
        direction: (n,) a direction of the cone with a negative value; None unless "negative".
    """

    sign: Sign
    values: Tensor
    direction: Tensor | None = None


def null_space(rows: Tensor) -> Tensor:
    """(n, k) orthonormal basis of what the rows (m, n) do not see."""
    if len(rows) == 0:
        return torch.eye(rows.shape[1], dtype=rows.dtype, device=rows.device)
    _, values, right = torch.linalg.svd(rows, full_matrices=True)
    basis: Tensor = right[int((values > RANK * values.max()).sum()) :].T
    return basis


def independent(rows: Tensor) -> bool:
    """Whether the rows (m, n) are linearly independent, whatever their lengths."""
    if len(rows) == 0:
        return True
    if len(rows) > rows.shape[1]:
        return False
    values = torch.linalg.svdvals(torch.nn.functional.normalize(rows, dim=1))
    return bool(values[-1] > 1e-7)


def sign_on_cone(matrix: Tensor, equal: Tensor, below: Tensor, share: float) -> OnCone:
    """The sign of d' M d on {d : equal d = 0, below d <= 0}.

    Args:
        matrix: (n, n) symmetric. equal: (a, n). below: (b, n).
        share: values within this share of the largest curvature count as 0.
    """
    free = null_space(equal)
    form = free.T @ matrix @ free
    if not bool(form.isfinite().all()):  # NaN is no sign
        return OnCone("unknown", form.new_full((len(form),), torch.nan))
    values, vectors = torch.linalg.eigh(0.5 * (form + form.T))
    if len(values) == 0:  # the kinks hold every direction
        return OnCone("positive", values)
    limit = share * float(values.abs().max())
    if values[0] > limit:
        return OnCone("positive", values)
    rows = below @ free
    seen = rows.norm(dim=1) > RANK * max(float(below.norm(dim=1).max()), 1e-300) if len(rows) else rows.new_zeros(0, dtype=torch.bool)
    rows = rows[seen]
    if len(rows) <= 1:
        if values[0] >= -limit:
            return OnCone("zero", values)
        lowest = vectors[:, 0]
        return OnCone("negative", values, free @ (-lowest if len(rows) and rows[0] @ lowest > 0 else lowest))
    inner = null_space(rows)
    held = inner.T @ form @ inner
    own, basis = torch.linalg.eigh(0.5 * (held + held.T))
    if len(own) and own[0] < -limit:
        return OnCone("negative", values, free @ inner @ basis[:, 0])
    for lowest in (vectors[:, 0], -vectors[:, 0]):
        if values[0] < -limit and bool((rows @ lowest <= 0).all()):
            return OnCone("negative", values, free @ lowest)
    if len(rows) > MOST_ROWS or not independent(rows) or (len(own) and own[0] <= limit):
        return OnCone("unknown", values)
    # d = outward lambda with lambda = -rows d >= 0, already lowest over the directions that the rows do not see.
    outward = -torch.linalg.pinv(rows)
    if len(own):
        outward = outward - inner @ torch.linalg.solve(held, inner.T @ form @ outward)
    sign, weights = _copositive(outward.T @ form @ outward, share)
    return OnCone(sign, values, None if weights is None else free @ outward @ weights)


def _copositive(matrix: Tensor, share: float) -> tuple[Sign, Tensor | None]:
    """Sign of x' M x over x >= 0, and an x where it is negative."""
    matrix = 0.5 * (matrix + matrix.T)
    limit, zero = share * float(matrix.abs().max()), False
    for size in range(1, len(matrix) + 1):
        for chosen in itertools.combinations(range(len(matrix)), size):
            values, vectors = torch.linalg.eigh(matrix[list(chosen)][:, list(chosen)])
            for value, vector in zip(values, vectors.T, strict=True):
                if value <= limit and bool((vector > 0).all() or (vector < 0).all()):
                    if value < -limit:
                        weights = matrix.new_zeros(len(matrix))
                        weights[list(chosen)] = vector.abs()
                        return "negative", weights
                    zero = True
    return ("zero" if zero else "positive"), None
