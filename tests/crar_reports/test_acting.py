"""Certificates in worlds with an end: states that are only ended at have places that nothing speaks of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import crar_model
from crar_model import samples
from crar_model.core.params import DYNAMICS, select
from crar_reports.measure import minimum
from crar_reports.measure.acting import certified, ended_at
from crar_reports.measure.minimum import examine
from crar_reports.measure.subject import load_subject
from crar_reports.pages.landscape.sections import rested
from landscape_tools import certify

LINE = "tests.small_worlds:tests/Line-v0"
SHORT: dict[str, Any] = {"log_interval": 300, "checkpoint_interval": 300, "workers": 1, "members": 1}


def test_an_end_does_not_make_a_minimum_flat(tmp_path: Path) -> None:
    """Five cells, the last of which ends the episode: four act. Its place is seen by `consecutive` alone, from afar by nothing."""
    base = crar_model.train(tmp_path / "base", env=LINE, steps=2_000, updates=900, abstract_dim=2, **SHORT)
    there = crar_model.transfer(base.models[0], tmp_path / "freeze", updates=20, **SHORT | {"log_interval": 20, "checkpoint_interval": 20})
    subject = load_subject(there.models[0], base.models[0])
    (silent,) = ended_at(subject.batch).tolist()
    world = subject.task.maze
    assert world is not None
    assert silent not in world.live.tolist()
    found = examine(subject, "embedding")
    composite = subject.composite(found.converged.point, select(subject.failed, DYNAMICS))
    assert certify(composite, found.converged.point).verdict == "flat"
    assert found.certificate.verdict == "minimum"
    assert "the places of 1 state aside that only an end leads to" in found.certificate.reason
    assert found.certificate.signature is not None
    assert found.certificate.signature.outputs == 2 * (len(subject.batch.observations) - 1)

    def total(rest: torch.Tensor) -> torch.Tensor:
        """The loss itself by the four cells that act, written without what the certificate uses."""
        x = found.converged.point["embedding"].detach().clone()
        acting = [row for row in range(len(x)) if row != silent]
        return subject.terms(select(subject.failed, DYNAMICS), x.index_copy(0, torch.tensor(acting), rest))["total"]

    here = torch.stack([row for k, row in enumerate(found.converged.point["embedding"].detach()) if k != silent])
    generator, low = torch.Generator().manual_seed(0), float(total(here))
    for _ in range(200):
        step = torch.randn(here.shape, generator=generator, dtype=here.dtype)
        assert float(total(here + 1e-3 * step / step.norm())) >= low
    saddle = {"embedding": found.converged.point["embedding"].detach() * 0}
    assert certified(subject, composite, saddle).verdict == certify(composite, saddle).verdict


def test_a_jacobian_that_is_too_large_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights are descended as ever; what is certified is the embedding, and the page says so by its space."""
    subject = load_subject(samples.FAILED, samples.BASE)
    held = minimum.examine(subject, iterations=3)
    assert not minimum.heavy(subject)
    size = subject.embedding(subject.failed).numel()
    monkeypatch.setattr(minimum, "HEAVY", size)
    assert minimum.heavy(subject)
    free = minimum.examine(subject, iterations=3)
    assert (held.space, free.space) == ("weight", "embedding")
    assert rested(held.figures()) == (
        "The encoder alone was moved towards a stationary point, which it did not reach, of the total loss, and that point was certified with all dynamics frozen."
    )
    assert "The encoder alone was moved" in rested(free.figures())
    assert "the embedding there (its numbers, which" in rested(free.figures())
    still = replace(free.figures(), verdict="minimum", moved="")
    assert rested(still, " on 9 transitions").startswith(
        "The embedding (its numbers, which the encoder can set freely wherever its Jacobian has full rank) was moved to a"
    )
    assert free.converged.point.keys() == held.converged.point.keys()
    assert all(torch.equal(value, held.converged.point[name]) for name, value in free.converged.point.items())
    assert free.certificate.loss == pytest.approx(held.certificate.loss, rel=1e-9)
