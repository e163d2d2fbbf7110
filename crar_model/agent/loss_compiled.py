"""The total loss with smooth maxima at many points of a dense agent, its gradient computed beside it in compiled code.

`FrozenLoss.total` is the definition; `tests/crar_model/test_losses_compiled.py` holds both against each other. Autograd of a total is a
few hundred small operations; here it is one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.agent.loss import FrozenLoss, Loss
from crar_model.core.params import Params
from crar_model.core.settings import LossSettings
from crar_model.nets import Observed, Totals, TotalTables

COMPILED = ("transition", "reward", "discount", "ball", "random_pairs", "consecutive", "value")
"""Terms that the kernels have; a loss with another one in it is taken by PyTorch."""
COLUMNS = {term: column for column, term in enumerate((*COMPILED, "pairing"))}
"""Terms in the kernels' order."""


def all_compiled(settings: LossSettings) -> bool:
    """Whether the kernels have every term that has a weight."""
    return all(term in COMPILED for term, weight in settings.weights().items() if weight != 0)


def coefficients(loss: Loss) -> np.ndarray[Any, Any]:
    """The coefficients in the kernels' order."""
    of = loss.settings
    share = 1.0 / loss.agent.n_actions if of.value_over_actions else 1.0
    numbers = (of.discount, of.ball_radius**2, of.ball_max, of.pair_min, of.pair_max, of.pair_scale, share, float(of.double_q))
    return np.array(numbers, dtype=np.float32)


class CompiledTotal:
    """`FrozenLoss.total` of many points, in float32, that carries its gradient.

    Args:
        loss: one that :meth:`fits`; without value targets a point regresses to its own values of the next states.
        fixed: parameters that all points share.
        smoothing: of the maxima in `ball`, above 0.
    """

    def __init__(self, loss: FrozenLoss, fixed: Params, smoothing: float) -> None:
        agent, batch = loss.agent, loss.batch
        assert agent.dense_widths is not None
        assert batch.states is not None
        weights = np.zeros(len(COLUMNS), dtype=np.float32)
        for term in COMPILED:
            weights[COLUMNS[term]] = loss.settings.weights()[term]
        self.fixed, self.kernels = fixed, dict[tuple[str, ...], Totals]()
        self.tables = TotalTables(
            blocks=agent.dense_widths,
            weights=weights,
            scalars=coefficients(loss.loss),
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
            ball_weights=loss.weights,
        )

    @staticmethod
    def fits(loss: FrozenLoss, *, live: bool = False) -> bool:
        """Whether the kernels take it: dense networks, one batch for all points on the CPU, listed states, fixed value targets (`live`: none)."""
        agent, batch = loss.agent, loss.batch
        targets = batch.value_target is None if live else batch.value_target is not None and batch.value_target.dim() == 1
        listed = batch.state.dim() == 1 and batch.states is not None and targets
        return (
            all_compiled(loss.settings)
            and agent.dense_widths is not None
            and listed
            and batch.observations.dim() == 4
            and batch.observations.is_cpu
        )

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


def heights(loss: FrozenLoss, fixed: Params, smoothing: float = 0.0) -> Callable[[Params], Tensor]:
    """The total loss of many points at once: parameters (m, ...) that with `fixed` make whole models, or, in place of
    the encoder, "embedding" (m, rows, d) -> (m,). `smoothing` above 0 replaces the maxima in `ball` by smooth ones and
    computes in float32, many times faster: for the forces on a path, not for its heights."""
    if smoothing > 0 and CompiledTotal.fits(loss):
        return CompiledTotal(loss, fixed, smoothing)
    dtype = torch.float32 if smoothing > 0 else torch.float64
    here = replace(loss, batch=loss.batch.to("cpu", dtype))
    # Two axes of 1: one network on every point's abstract states, the form that the compiled kernels take.
    still = {name: tensor.to(dtype)[None, None] for name, tensor in fixed.items()}

    def value(points: Params) -> Tensor:
        params = still | {name: tensor.to(dtype) for name, tensor in points.items()}
        found = here.total(params, params.pop("embedding", None), smoothing).double()
        return found.squeeze(0) if found.dim() == 2 else found

    return value


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
