"""`crar escape`: noise, noiseless descents, and survival with censoring."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from crar_model.checkpoints import load_checkpoint
from crar_model.cures.problem import pose
from crar_model.errors import UserError
from crar_model.nets import RMSpropSettings, rmsprop_step
from crar_model.params import Params, select
from reports import samples
from reports.escape import Grid, write_escape
from reports.measure import escape
from reports.measure.escape import OPTIMISERS, Exits, settle


def test_plain_sgd_is_rmsprop_whose_averages_stay_zero() -> None:
    changes = OPTIMISERS["sgd"]
    settings = RMSpropSettings(changes["rms_decay"], changes["rms_epsilon"], changes["clip_norm"])
    param, grad, square = torch.ones(2, 3), torch.tensor([[1.0, -40.0, 3.0], [0.0, 2.0, 1.0]]), torch.zeros(2, 3)
    rmsprop_step([param], [grad], [square], torch.tensor([0.1, 0.5]), torch.ones(2, dtype=torch.bool), settings)
    assert torch.allclose(param, 1 - torch.tensor([[0.1], [0.5]]) * grad)
    assert not square.any()


def test_survival_counts_the_censored() -> None:
    found = Exits(np.array([100.0, np.nan, 200.0, np.nan]), np.array([0.0, 100.0, 100.0, 200.0]), 1, 1).plain()
    assert found["left"] == 2
    assert found["updates"] == [100.0, 200.0]
    assert found["inside"] == pytest.approx([0.75, 0.375])  # one of four, then one of the two still watched
    assert found["median"] == 200.0
    stayed = Exits(np.full(3, np.nan), np.full(3, 50.0), 0, 0).plain()
    assert (stayed["left"], stayed["median"], stayed["inside"]) == (0, None, [])


def test_a_noiseless_descent_never_climbs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(escape, "DESCENT", 30)
    failed = load_checkpoint(samples.FAILED)
    problem = pose(failed, None, 0)
    own = {name: torch.stack((value, 1.5 * value)) for name, value in select(failed.parameters, ("encoder",)).items()}
    batch = problem.data.judged
    ended, embeddings = settle(problem, own)
    before, after = (problem.terms(problem.encode(x, batch), batch)["total"].detach() for x in (own, ended))
    assert bool((after < before).all())
    assert embeddings.shape[0] == 2


def test_a_noiseless_descent_does_not_stop_at_a_kink() -> None:
    """From the shipped failure's corner of `ball`: descents from around it come closer to each other, and go on when given more steps."""
    failed = load_checkpoint(samples.FAILED)
    problem = pose(failed, None, 0)
    generator = torch.Generator().manual_seed(0)
    own = {}
    for name, value in select(failed.parameters, ("encoder",)).items():
        noise = torch.randn((6, *value.shape), generator=generator) * value.square().mean().sqrt()
        own[name] = value + 0.02 * noise
    batch = problem.data.judged

    def totals(encoders: Params) -> torch.Tensor:
        return problem.terms(problem.encode(encoders, batch), batch)["total"].detach()

    once = settle(problem, own)[0]
    twice = settle(problem, once)[0]
    assert float(totals(once).std()) < 0.25 * float(totals(own).std())
    assert bool((totals(twice) < totals(once) - 1e-5).all())


def test_bad_input_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--rate is -1"):
        write_escape(samples.FAILED, tmp_path, grid=Grid(rates=(-1.0,)))
    with pytest.raises(UserError, match="--checks is 9, more than --updates 5"):
        write_escape(samples.FAILED, tmp_path, grid=Grid(updates=5, checks=9))
    with pytest.raises(UserError, match="give it with --to"):
        write_escape(samples.FAILED, tmp_path)
