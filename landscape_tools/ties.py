"""The ties of a kinked loss at a point: which of its directions the kinks hold, and which they only bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from landscape_tools.composite import Composite
from landscape_tools.products import Matvec
from landscape_tools.subgradients import Subgradient


@dataclass(frozen=True)
class Ties:
    """Gradients of tied alternatives against the one of their group that has the largest multiplier.

    Attributes:
        strong: (a, n) in the outputs, of alternatives with a positive multiplier: along a critical direction they stay 0.
        weak: (b, n) of those whose multiplier counts as 0: along a critical direction they do not rise.
    """

    strong: Tensor
    weak: Tensor

    @property
    def all(self) -> Tensor:
        """(a + b, n)."""
        return torch.cat((self.strong, self.weak))


def ties_of(composite: Composite, z: Tensor, subgradient: Subgradient, complementary: float) -> Ties:
    """The ties at the outputs z (n,); multipliers up to `complementary` count as 0."""
    none = z.new_zeros(0, len(z))
    if composite.pieces is None or subgradient.active is None or subgradient.multipliers is None or subgradient.kinks == 0:
        return Ties(none, none)
    groups, pieces = (subgradient.active.sum(-1) >= 2).nonzero().flatten(), composite.pieces
    slopes: Any = torch.func.jacrev(lambda outputs: pieces(outputs)[groups])
    strong: list[Tensor] = []
    weak: list[Tensor] = []
    for group, slope in zip(groups.tolist(), slopes(z).detach(), strict=True):
        shares = subgradient.multipliers[group]
        first = int(shares.argmax())
        for other in subgradient.active[group].nonzero().flatten().tolist():
            if other != first:
                (strong if shares[other] > complementary else weak).append(slope[other] - slope[first])
    return Ties(torch.stack(strong) if strong else none, torch.stack(weak) if weak else none)


def slack_of(subgradient: Subgradient) -> float:
    """Smallest multiplier of a tied alternative; NaN without kinks."""
    if subgradient.active is None or subgradient.multipliers is None or subgradient.kinks == 0:
        return float("nan")
    tied = subgradient.active & (subgradient.active.sum(-1, keepdim=True) >= 2)
    return float(subgradient.multipliers[tied].min())


def pulled(rows: Tensor, jacobian: Tensor | None) -> Tensor:
    """Gradients in the outputs (m, n) as gradients in the parameters; None stands for the identity."""
    return rows if jacobian is None else rows @ jacobian


def projection(normals: Tensor) -> Matvec:
    """v -> v without its part along the rows of `normals`."""
    if len(normals) == 0:
        return _unchanged
    basis, sizes, _ = torch.linalg.svd(normals.T, full_matrices=False)  # QR may lose a direction beside rows that depend on each other
    basis = basis[:, sizes > 1e-10 * sizes.max()]

    def project(vector: Tensor) -> Tensor:
        along: Tensor = basis @ (basis.T @ vector)
        return vector - along

    return project


def _unchanged(vector: Tensor) -> Tensor:
    return vector
