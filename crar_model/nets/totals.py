"""Total losses of many points of a dense agent and their gradients in compiled code: what is checked before an address is passed on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.core.params import BLOCKS, Params
from crar_model.nets._blas import address
from crar_model.nets._first import Observed
from crar_model.nets._terms import Batch
from crar_model.nets._totals import Loss, Points, totals_kernel
from crar_model.nets.check import layer_names
from crar_model.nets.layers import Linear, parameter_shapes
from crar_model.nets.updates import blocks_of, floats, integers

EMBEDDING = "embedding"
"""Name of abstract states (rows, d) that take the encoder's place."""


@dataclass(frozen=True)
class TotalTables:
    """One total loss on one batch.

    Attributes:
        blocks: widths of every block's layers, input first.
        weights: (8,) of the terms, in the order of `UpdateTables.step_weights`; `ball` and `pairing` are not read.
        scalars: coefficients, as in `UpdateTables`.
        smoothing: of the maxima in `ball`, above 0.
        observed: what the encoder reads.
        state, next_state, action: (batch,) rows of s and s', actions.
        reward, terminated, wanted: (batch,) rewards, ends, and the values that `value` regresses to; None where these are the reward and a
            point's own discounted value of s', without a gradient.
        pairs: (2, K) rows of `random_pairs`.
        ball_states, ball_weights: (N,) rows and (N P,) weights of the maxima at their positions.
    """

    blocks: Mapping[str, tuple[int, ...]]
    weights: np.ndarray[Any, Any]
    scalars: np.ndarray[Any, Any]
    smoothing: float
    observed: Observed
    state: Tensor
    next_state: Tensor
    action: Tensor
    reward: Tensor
    terminated: Tensor
    wanted: Tensor | None
    pairs: Tensor
    ball_states: Tensor
    ball_weights: Tensor


class Totals:
    """Totals and gradients at points whose numbers lie side by side.

    Args:
        tables: the loss.
        moving: names that a point has, in the order of its numbers: parameters, or "embedding" in place of the encoder's.
        fixed: parameters that all points share; only those that do not move are read.

    Raises:
        KeyError: for a parameter that neither moves nor is fixed, and for a name that there is not.
        TypeError, ValueError: for what does not fit; the message names it.
    """

    def __init__(self, tables: TotalTables, moving: Sequence[str], fixed: Params) -> None:
        self.tables, self.moving = tables, tuple(moving)
        widths = [tables.blocks[block] for block in BLOCKS]
        self._check()
        shapes: dict[str, tuple[int, ...]] = {}
        for block, sizes in zip(BLOCKS, widths, strict=True):
            names = [name for layer in range(len(sizes) - 1) for name in layer_names(block, layer)]
            shapes |= dict(zip(names, parameter_shapes(tuple(map(Linear, sizes[1:])), sizes[0], 1), strict=True))
        d, embedded = widths[0][-1], EMBEDDING in self.moving
        own = shapes | {EMBEDDING: (tables.observed.rows, d)}
        if unknown := [name for name in self.moving if name not in own]:
            raise KeyError(f"{unknown[0]} is no parameter of these networks")
        numbers = [int(np.prod(own[name])) for name in self.moving]
        begins = dict(zip(self.moving, np.cumsum([0, *numbers]).tolist(), strict=False))
        self.size, self._embedded = sum(numbers), begins.get(EMBEDDING, -1)
        self._most = max(int(np.prod(shape)) for shape in shapes.values())
        self._spare = torch.empty(self._most)  # gradients of what is fixed in a block that moves
        self._fixed: list[Tensor] = []
        columns, addresses = [], []
        for name, shape in shapes.items():
            if name in begins:
                columns.append(begins[name])
                addresses.append(0)
                continue
            columns.append(-1)
            if embedded and name.startswith("encoder."):
                addresses.append(0)
                continue
            if name not in fixed:
                raise KeyError(f"{name} neither moves nor is fixed")
            value = fixed[name].detach().to("cpu", torch.float32).contiguous()
            if tuple(value.shape) != shape:
                raise ValueError(f"{name} has shape {tuple(value.shape)}; wanted is {shape}")
            self._fixed.append(value)
            addresses.append(address(value))
        self._columns, self._addresses = np.array(columns, dtype=np.int64), np.array(addresses, dtype=np.int64)
        self._moves = self._columns >= 0
        trained = np.array([any(name.startswith(f"{block}.") for name in self.moving) for block in BLOCKS])
        self._blocks = blocks_of(widths)
        batch = Batch(
            integers(tables.state), integers(tables.next_state), integers(tables.action), floats(tables.reward), floats(tables.terminated),
            np.zeros((0, 0), dtype=np.float32),
        )  # fmt: skip
        self._loss = Loss(
            tables.weights.astype(np.float32), tables.scalars.astype(np.float32), trained, np.float32(tables.smoothing),
            integers(tables.ball_states), floats(tables.ball_weights), integers(tables.pairs[0]), integers(tables.pairs[1]), tables.observed,
            batch, batch.reward if tables.wanted is None else floats(tables.wanted), tables.wanted is None,
        )  # fmt: skip

    def __call__(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Totals (m,) float64 and gradients (m, n) float32 at points (m, n), contiguous float32 on the CPU.

        Raises:
            TypeError, ValueError: for other points.
        """
        if points.dim() != 2 or points.shape[1] != self.size:
            raise ValueError(f"the points have shape {tuple(points.shape)}; wanted is (m, {self.size})")
        at = address(points.detach())
        totals, gradients = torch.empty(len(points), dtype=torch.float64), torch.zeros(points.shape)
        step = 4 * self.size * self._moves
        params = np.where(self._moves, at + 4 * self._columns, self._addresses)
        grads = np.where(self._moves, address(gradients) + 4 * self._columns, address(self._spare))
        numbers = points.detach().numpy()
        given = Points(numbers, gradients.numpy(), totals.numpy(), self._embedded, params, grads, step, self._most)
        totals_kernel(given, self._blocks, self._loss)
        return totals, gradients

    def _check(self) -> None:
        tables = self.tables
        batch, widths = tables.state.shape, [tables.blocks[block] for block in BLOCKS]
        if tables.smoothing <= 0:
            raise ValueError(f"smoothing is {tables.smoothing}; give one above 0")
        for name in ("next_state", "action", "reward", "terminated", "wanted"):
            value = getattr(tables, name)
            if value is not None and (value.shape != batch or len(batch) != 1):
                raise ValueError(f"{name} has shape {tuple(value.shape)}; wanted is {tuple(batch)}, one axis")
        for name, rows in (
            ("state", tables.state), ("next_state", tables.next_state), ("pairs", tables.pairs), ("ball_states", tables.ball_states),
        ):  # fmt: skip
            if rows.numel() == 0 or not 0 <= int(rows.min()) <= int(rows.max()) < tables.observed.rows:
                raise ValueError(f"{name} names no rows, or such as there are not; there are {tables.observed.rows}")
        if not 0 <= int(tables.action.min()) <= int(tables.action.max()) < widths[-1][-1]:
            raise ValueError(f"the batch has actions beyond the {widths[-1][-1]} known")
        if tables.ball_weights.dim() != 1 or len(tables.ball_weights) % len(tables.ball_states) or widths[0][-1] % self._positions():
            raise ValueError(f"ball_weights have shape {tuple(tables.ball_weights.shape)} for {len(tables.ball_states)} states")
        if widths[0][0] != len(tables.observed.shared):
            raise ValueError(f"observations have {len(tables.observed.shared)} numbers and the encoder reads {widths[0][0]}")

    def _positions(self) -> int:
        return max(1, len(self.tables.ball_weights) // len(self.tables.ball_states))
