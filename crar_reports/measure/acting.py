"""Certificates where some states are only ended at: no dynamics speak of their places, which would leave every verdict "flat"."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from crar_model.agent.batch import Batch
from crar_model.core.params import Params
from crar_model.core.words import plural
from crar_reports.measure.subject import Subject
from landscape_tools import Certificate, Composite, certify, flatten
from landscape_tools.signatures import FLAT, MINIMUM


def ended_at(batch: Batch) -> Tensor:
    """(n,) rows of an evaluation set that only the end of an episode leads to and nothing begins at: of these no term but `consecutive` sees
    anything, and that fades with the distance."""
    spoken = torch.cat((batch.state, batch.next_state[batch.terminated == 0]))
    return torch.tensor(sorted(set(batch.next_state[batch.terminated != 0].tolist()) - set(spoken.tolist())), dtype=torch.int64)


def certified(subject: Subject, composite: Composite, point: Params) -> Certificate:
    """The certificate of an encoder, or of the embedding itself, under frozen dynamics.

    Where it is flat and states are only ended at, these are held where they are, and the rest is certified: a minimum of the rest is one, for what moving
    these could still gain is what `consecutive` has of the moves to them.

    Args:
        subject: whose loss `composite` is.
        composite: its total loss with an encoder or an embedding free.
        point: a stationary point.
    """
    whole = certify(composite, point)
    silent = ended_at(subject.batch)
    if whole.verdict != FLAT or not len(silent):
        return whole
    rest = _of_others(composite, point, silent, subject.agent.abstract_size)
    found = certify(rest, point)  # stationary by itself, too: what the states held still pulled at the weights is missing now
    if found.verdict != MINIMUM:
        return whole
    return replace(
        whole, verdict=MINIMUM, signature=found.signature, slack=found.slack, weak=found.weak,
        reason=f"{found.reason}, the places of {plural(len(silent), 'state')} aside that only an end leads to and no dynamics speak of",
    )  # fmt: skip


def _of_others(composite: Composite, point: Params, silent: Tensor, size: int) -> Composite:
    """The same loss of all outputs but those of some rows, which stay as they are at a point."""
    outputs, slope, pieces, derivatives = composite.outputs, composite.slope, composite.pieces, composite.derivatives
    with torch.no_grad():
        still = (flatten(point) if outputs is None else outputs(point)).detach()
    moved = torch.ones(len(still) // size, dtype=torch.bool)
    moved[silent] = False
    kept = moved.repeat_interleave(size).nonzero().squeeze(1)

    def whole(z: Tensor) -> Tensor:
        return still.to(z).index_copy(0, kept, z)

    def differentiated(z: Tensor, how: float | Tensor) -> tuple[Tensor, Tensor]:
        assert derivatives is not None
        gradient, hessian = derivatives(whole(z), how)
        return gradient[kept], hessian[kept][:, kept]

    return Composite(
        lambda z: composite.smooth(whole(z)),
        lambda p: (flatten(p) if outputs is None else outputs(p))[kept],
        None if pieces is None else lambda z: pieces(whole(z)),
        composite.weights,
        None if slope is None else lambda p: slope(p)[kept],
        derivatives=None if derivatives is None else differentiated,
    )
