"""Straight lines from a failed encoder to the reference's, in embedding space and in weight space."""

from __future__ import annotations

import xarray as xr
from torch import Tensor

from crar_model.core.params import Params, select
from crar_reports.measure.subject import Subject
from landscape_tools import sample_line


def sample_lines(subject: Subject, points: int, terms: tuple[str, ...], align: bool) -> dict[str, xr.Dataset]:
    """Losses along the straight line between the encoders, in embedding space, in weight space, and in
    weight space to the nearest copy of the optimum under permutations and signs of hidden units.

    The dynamics are those of the failed model, which a `freeze` transfer shares with its base; the bootstrap
    values of `value` are frozen at the optimum's, so that the whole line sees one loss.
    """

    def in_weights(encoder: Params) -> dict[str, Tensor]:
        values = subject.terms(subject.dynamics | encoder)
        return {name: values[name] for name in terms}

    def in_embedding(point: Params) -> dict[str, Tensor]:
        values = subject.terms(subject.dynamics, point["embedding"])
        return {name: values[name] for name in terms}

    failed, optimum = select(subject.failed, ("encoder",)), select(subject.optimum, ("encoder",))
    ends = [{"embedding": subject.embedding(params)} for params in (subject.failed, subject.optimum)]
    lines = {
        "embedding": sample_line(in_embedding, ends[0], ends[1], points=points, **subject.sampling),
        "weight": sample_line(in_weights, failed, optimum, points=points, **subject.sampling),
    }
    return lines | ({"aligned": sample_line(in_weights, failed, subject.nearest, points=points, **subject.sampling)} if align else {})
