"""The total loss with smooth maxima at many points of a dense agent, its gradient computed beside it in compiled code.

`losses.smooth_total` is the definition; `tests/crar_model/test_losses_compiled.py` holds both against each other. Autograd of a total is a
few hundred small operations; here it is one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.agent.batch import Batch
from crar_model.agent.loss import FOLLOWED, ball_weights
from crar_model.agent.networks import Agent
from crar_model.core.params import Params
from crar_model.core.settings import LossSettings
from crar_model.nets import Observed, Totals, TotalTables

COLUMNS = {term: column for column, term in enumerate((*FOLLOWED, "pairing"))}
"""Terms in the kernels' order."""


def coefficients(loss: LossSettings, actions: int) -> np.ndarray[Any, Any]:
    """The coefficients in the kernels' order."""
    share = 1.0 / actions if loss.value_over_actions else 1.0
    numbers = (
        loss.discount, loss.ball_radius**2, loss.ball_max, loss.pair_min, loss.pair_max, loss.pair_scale, share, float(loss.double_q),
    )  # fmt: skip
    return np.array(numbers, dtype=np.float32)


class CompiledTotal:
    """`losses.smooth_total` of many points, in float32, that carries its gradient.

    Args:
        agent, batch: a pair that :meth:`fits`; without value targets a point regresses to its own values of the next states.
        fixed: parameters that all points share.
        settings: coefficients and weights.
        smoothing: of the maxima in `ball`, above 0.
    """

    def __init__(self, agent: Agent, fixed: Params, batch: Batch, settings: LossSettings, smoothing: float) -> None:
        assert agent.dense_widths is not None
        assert batch.states is not None
        weights = np.zeros(len(COLUMNS), dtype=np.float32)
        for term in FOLLOWED:
            weights[COLUMNS[term]] = settings.weights()[term]
        self.fixed, self.kernels = fixed, dict[tuple[str, ...], Totals]()
        self.tables = TotalTables(
            blocks=agent.dense_widths,
            weights=weights,
            scalars=coefficients(settings, agent.n_actions),
            smoothing=smoothing,
            observed=Observed.of(batch.observations.flatten(1).float().numpy()),
            state=batch.state,
            next_state=batch.next_state,
            action=batch.action,
            reward=batch.reward,
            terminated=batch.terminated,
            wanted=batch.value_target,
            pairs=torch.stack((batch.state, batch.state.roll(1))) if batch.pairs is None else batch.pairs,
            ball_states=batch.states,
            ball_weights=ball_weights(agent, batch, settings),
        )

    @staticmethod
    def fits(agent: Agent, batch: Batch, *, live: bool = False) -> bool:
        """Whether the kernels take it: dense networks, one batch for all points on the CPU, listed states, fixed value targets (`live`: none)."""
        targets = batch.value_target is None if live else batch.value_target is not None and batch.value_target.dim() == 1
        listed = batch.state.dim() == 1 and batch.states is not None and targets
        return agent.dense_widths is not None and listed and batch.observations.dim() == 4 and batch.observations.is_cpu

    def __call__(self, points: Params) -> Tensor:
        """Totals (m,) float64 of parameters (m, ...) that with the fixed ones make whole models, or, in place of the encoder, "embedding"
        (m, rows, d). The gradient may be taken once.

        Raises:
            KeyError, TypeError, ValueError: for points that do not fit; the message names what.
        """
        total: Tensor = _Total.apply(self._kernel(points), *points.values())  # type: ignore[no-untyped-call]
        return total

    def with_gradients(self, rows: Tensor, like: Params) -> tuple[Tensor, Tensor]:
        """Totals (m,) float64 and gradients (m, n) float32 of flattened points (m, n), the names of `like` side by side: without autograd."""
        return self._kernel(like)(rows.to(torch.float32).contiguous())

    def _kernel(self, points: Params) -> Totals:
        names = tuple(points)
        if names not in self.kernels:
            self.kernels[names] = Totals(self.tables, names, self.fixed)
        return self.kernels[names]


class _Total(torch.autograd.Function):
    """One operation in place of the hundreds of a loss."""

    @staticmethod
    def forward(ctx: Any, kernel: Totals, *tensors: Tensor) -> Tensor:
        flat = torch.cat([tensor.flatten(1) for tensor in tensors], dim=1).to(torch.float32)
        totals, gradients = kernel(flat)
        ctx.save_for_backward(gradients)
        ctx.like = [(tensor.shape, tensor.dtype) for tensor in tensors]
        return totals

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        (gradients,) = ctx.saved_tensors
        scaled = upstream.unsqueeze(1) * gradients
        pieces = scaled.split([shape[1:].numel() for shape, _ in ctx.like], dim=1)
        return None, *(piece.reshape(shape).to(dtype) for piece, (shape, dtype) in zip(pieces, ctx.like, strict=True))
