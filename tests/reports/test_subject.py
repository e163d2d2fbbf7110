"""The forms of the loss that landscapes take are the one loss."""

from __future__ import annotations

import pytest
import torch

from crar_model.agents import DYNAMICS, select
from reports.samples import BASE, FAILED
from reports.subject import load_subject


@pytest.mark.parametrize("end", ["failed", "optimum"])
def test_composites_equal_the_total(end: str) -> None:
    subject = load_subject(FAILED, BASE)
    params = subject.failed if end == "failed" else subject.optimum
    wide = {name: 1.3 * value if name.startswith("encoder.4") else value for name, value in params.items()}  # leaves the ball
    wanted = subject.terms(wide)
    assert float(wanted["ball"]) > 1e-3
    encoder, dynamics = select(wide, ("encoder",)), select(wide, DYNAMICS)
    embedding = {"embedding": subject.embedding(wide)}
    for free, fixed in ((encoder, dynamics), (embedding, dynamics), (wide, {})):
        assert float(subject.composite(free, fixed).loss(free)) == pytest.approx(float(wanted["total"]), rel=1e-12)


def test_dynamics_with_an_axis_of_their_own_meet_every_embedding() -> None:
    subject = load_subject(FAILED, BASE)
    embeddings = torch.stack([subject.embedding(subject.failed), subject.embedding(subject.optimum)])
    scales = (1.0, 0.9, 1.1)
    stacked = {name: torch.stack([k * value for k in scales]).unsqueeze(1) for name, value in subject.dynamics.items()}
    table = subject.terms(stacked, embeddings)
    assert table["total"].shape == (3, 2)
    for i, k in enumerate(scales):
        for j in range(2):
            alone = subject.terms({name: k * value for name, value in subject.dynamics.items()}, embeddings[j])
            for term in ("transition", "reward", "value", "total"):
                assert float(table[term][i, j]) == pytest.approx(float(alone[term]), rel=1e-10)
