"""Claim S10, Figure 15: the loss over encoder x dynamics of a real model."""

from __future__ import annotations

from typing import Any

import torch
import xarray as xr
from torch import Tensor

from crar_model.agent.loss import FOLLOWED, SHOWN
from crar_model.core.errors import UserError
from crar_model.core.files import writing
from crar_model.core.params import Params, select
from crar_reports.measure.subject import Subject
from landscape_tools import difference, norm, sample_product, thread_safe

SPAN = (-0.25, 1.25)
"""Both axes: 0 is the failed model, 1 the global optimum's encoder and the dynamics adapted to the failed embedding."""


def surface_axis(resolution: int) -> Tensor:
    """Coordinates along either axis: `resolution` even steps over `SPAN`, and 0 and 1, where the models are; a step that falls on
    a model, but for rounding, is the model's. A resolution of 2 has the ends alone.
    """
    axis = torch.linspace(*SPAN, resolution, dtype=torch.float64)
    if resolution == 2:
        return axis
    models = torch.tensor([0.0, 1.0], dtype=torch.float64)
    apart = (axis.unsqueeze(1) - models).abs().amin(1) > 1e-9
    return torch.cat((axis[apart], models)).sort().values


def encoder_dynamics(
    subject: Subject,
    adapted: Params,
    blocks: tuple[str, ...],
    *,
    resolution: int,
    space: str,
    align: bool,
    terms: tuple[str, ...] = SHOWN,
    **options: Any,
) -> xr.Dataset:
    """Loss terms over x (encoder: failed to optimum) and y (dynamics: the failed model's own to the adapted ones).

    Args:
        adapted: parameters whose `blocks` of the dynamics are y = 1.
        resolution: points per axis, at least 2; the ends of `SPAN` included, 0 and 1 added as lines of their own.
        space: "embedding" moves the embedding along a straight line, "weight" the encoder's weights.
        align: in weight space, go to the nearest copy of the optimum.
        terms: those to sample, of `SHOWN` and "total".
        options: of :class:`landscape_tools.Sampling`.
    """
    moving, still = select(subject.failed, blocks), {n: v for n, v in subject.dynamics.items() if n not in select(subject.failed, blocks)}
    goal = subject.nearest if align else select(subject.optimum, ("encoder",))
    if space == "embedding":
        ends = [{"embedding": subject.embedding(params)} for params in (subject.failed, subject.optimum)]
    else:
        ends = [select(subject.failed, ("encoder",)), goal]

    def inner(encoder: Params) -> Tensor:
        return encoder["embedding"] if space == "embedding" else subject.agent.encode(encoder, subject.batch.observations)

    @thread_safe  # networks are pure functions here
    def outer(embeddings: Tensor, dynamics: Params) -> dict[str, Tensor]:
        each = {name: value.unsqueeze(1) for name, value in dynamics.items()}
        # Blocks that do not move have one axis of 1 each: one network on every embedding.
        values = subject.terms({name: value[None, None] for name, value in still.items()} | each, embeddings, FOLLOWED)
        return {name: values[name] for name in terms}

    axis = surface_axis(resolution)
    if all(torch.equal(adapted[name], value) for name, value in moving.items()):
        raise UserError(
            f"--blocks {','.join(blocks)}: training them on the failed embedding changes nothing, so there is no second axis; name others"
        )
    second = difference(select(adapted, blocks), moving)
    first = difference(ends[1], ends[0])
    with writing(options.get("store") or "surface"):
        surface = sample_product(
            inner, outer, (ends[0], first), (moving, second), axis, axis, vectorize="batched", **options
        )  # fmt: skip
    return surface.assign_attrs(space=space, aligned=int(align and space == "weight"), blocks=",".join(blocks), encoder_length=norm(first))
