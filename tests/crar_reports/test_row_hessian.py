"""The Hessian by rows against autograd's, and the rough descent against the exact loss."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from crar_model.agent.loss_rows import row_derivatives
from crar_model.core.params import DYNAMICS, select
from crar_reports.measure.subject import Subject, load_subject

SAMPLES = Path("crar_model/sample_models")


@pytest.fixture(scope="module")
def subject() -> Subject:
    return load_subject(SAMPLES / "failed.pt", SAMPLES / "base.pt")


@pytest.mark.parametrize("smoothing", [1e-1, 1e-3, 1e-6])
@pytest.mark.parametrize("scale", [0.3, 1.0, 1.5])
def test_rows_give_the_derivatives_of_the_whole(subject: Subject, smoothing: float, scale: float) -> None:
    """Inside the ball, at its edge and outside; random_pairs, consecutive and the dynamics' terms all count."""
    composite = subject.composite(select(subject.failed, ("encoder",)), subject.dynamics)
    z = scale * subject.embedding(subject.failed).flatten()
    assert composite.derivatives is not None
    gradient, hessian = composite.derivatives(z, smoothing)

    def loss(outputs: torch.Tensor) -> torch.Tensor:
        return composite.smoothed(outputs, smoothing)

    assert torch.allclose(gradient, torch.func.grad(loss)(z), rtol=1e-10, atol=1e-13)
    whole = torch.func.jacrev(torch.func.grad(loss))(z)
    assert float(whole.abs().max()) > 0.1
    assert torch.allclose(hessian, whole, rtol=1e-9, atol=1e-12)


def test_rows_give_the_derivatives_of_the_lagrangian(subject: Subject) -> None:
    composite = subject.composite({"embedding": subject.embedding(subject.failed)}, subject.dynamics)
    z = 1.5 * subject.embedding(subject.failed).flatten()
    assert composite.pieces is not None
    generator = torch.Generator().manual_seed(0)
    shares = torch.softmax(torch.randn(composite.pieces(z).shape, generator=generator, dtype=torch.float64), -1)
    found = composite.twice(z, shares)
    for part, other in zip(found, replace(composite, derivatives=None).twice(z, shares), strict=True):
        assert torch.allclose(part, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("weights", [{"ball_weight": 0.0}, {"transition_weight": 0.0}, {"value_over_actions": False}])
def test_rows_give_the_derivatives_whatever_the_weights_and_rows(subject: Subject, weights: dict[str, float | bool]) -> None:
    """With moves that stay where they are, and a state that is in most rows."""
    loss, batch = replace(subject.loss, settings=replace(subject.settings, **weights)), subject.batch
    often = torch.where(torch.arange(len(batch.next_state)) % 3 == 0, batch.next_state, torch.zeros_like(batch.next_state))
    mixed = replace(subject, loss=loss, batch=replace(batch, next_state=often))
    composite = mixed.composite({"embedding": subject.embedding(subject.failed)}, subject.dynamics)
    z = 1.1 * subject.embedding(subject.failed).flatten()
    assert composite.derivatives is not None
    gradient, hessian = composite.derivatives(z, 1e-2)

    def loss(outputs: torch.Tensor) -> torch.Tensor:
        return composite.smoothed(outputs, 1e-2)

    assert torch.allclose(gradient, torch.func.grad(loss)(z), rtol=1e-10, atol=1e-13)
    assert torch.allclose(hessian, torch.func.jacrev(torch.func.grad(loss))(z), rtol=1e-9, atol=1e-12)


def test_pairs_that_are_not_listed_have_no_rows(subject: Subject) -> None:
    for lacking in ("pairs", "value_target"):
        batch = replace(subject.batch, **{lacking: None})
        assert row_derivatives(replace(subject, batch=batch), subject.dynamics) is None


def test_the_rough_total_follows_the_exact_one(subject: Subject) -> None:
    free = select(subject.failed, ("encoder", *DYNAMICS))
    composite = subject.composite(free, {})
    z = torch.cat([value.flatten() for value in free.values()]).requires_grad_()
    exact = composite.smoothed(z, 1e-2)
    (slope,) = torch.autograd.grad(exact, z)
    assert composite.rough is not None
    value, gradient = composite.rough(z.detach(), 1e-2)
    assert float(value) == pytest.approx(float(exact.detach()), rel=1e-5)
    assert float((gradient.double() - slope).norm() / slope.norm()) < 1e-4
