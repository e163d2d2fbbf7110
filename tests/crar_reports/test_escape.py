"""`crar escape`: noise, noiseless descents, and survival with censoring."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from crar_model import samples
from crar_model.agent.symmetry import mean_move
from crar_model.core.errors import UserError
from crar_model.core.params import Params, select
from crar_model.cures.problem import Problem, pose
from crar_model.models.checkpoints import load_checkpoint, save_checkpoint
from crar_model.nets import RMSpropSettings, rmsprop_step
from crar_model.tasks import default_settings
from crar_reports.measure.exits import Cell, Exits
from crar_reports.pages.escape import measure as escape
from crar_reports.pages.escape.measure import OPTIMISERS, settle
from crar_reports.pages.escape.one import write_escape
from crar_reports.pages.escape.records import Grid

NOISE = Cell("sgd", 0.1, 8)


def test_plain_sgd_is_rmsprop_whose_averages_stay_zero() -> None:
    changes = OPTIMISERS["sgd"]
    settings = RMSpropSettings(changes["rms_decay"], changes["rms_epsilon"], changes["clip_norm"])
    param, grad, square = torch.ones(2, 3), torch.tensor([[1.0, -40.0, 3.0], [0.0, 2.0, 1.0]]), torch.zeros(2, 3)
    rmsprop_step([param], [grad], [square], torch.tensor([0.1, 0.5]), torch.ones(2, dtype=torch.bool), settings)
    assert torch.allclose(param, 1 - torch.tensor([[0.1], [0.5]]) * grad)
    assert not square.any()


def test_survival_counts_the_censored() -> None:
    found = Exits(np.array([100.0, np.nan, 200.0, np.nan]), np.array([0.0, 100.0, 100.0, 200.0]), 1, 1).watched(NOISE)
    assert found.left == 2
    assert found.updates == [100.0, 200.0]
    assert found.inside == pytest.approx([0.75, 0.375])  # one of four, then one of the two still watched
    assert found.median == 200.0
    stayed = Exits(np.full(3, np.nan), np.full(3, 50.0), 0, 0).watched(NOISE)
    assert (stayed.left, stayed.median, stayed.inside) == (0, None, [])


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


def watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: Callable[[torch.Tensor, int], torch.Tensor], rate: float = 1e-9
) -> Exits:
    """Three members that hardly move, watched twice, whose noiseless descents end where `ends` has it from home."""
    failed = load_checkpoint(samples.FAILED)
    problem = pose(failed, None, 0)
    save_checkpoint(tmp_path / "minimum.pt", failed)

    def settled(problem: Problem, encoders: Params) -> tuple[Params, torch.Tensor]:
        return encoders, ends(home, len(next(iter(encoders.values()))))

    own = {name: value[None] for name, value in select(failed.parameters, ("encoder",)).items()}
    home = problem.encode(own, problem.data.judged)[0].detach()
    monkeypatch.setattr(escape, "settle", settled)
    settings = dataclasses.replace(default_settings("simple"), inverse=True, updates=4)
    (found,) = escape.escape(
        tmp_path / "minimum.pt",
        problem,
        settings,
        [Cell("sgd", rate, 8)],
        seeds=3,
        checks=2,
        base=home + 4 * mean_move(problem.data.judged, home),
    )
    return found


def test_who_ends_elsewhere_has_left_and_who_ends_at_the_base_is_matched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = load_checkpoint(samples.FAILED)
    batch = pose(failed, None, 0).data.judged

    def ends(home: torch.Tensor, count: int) -> torch.Tensor:  # to the base's, to nowhere, home; later whoever is left home
        move = mean_move(batch, home)
        return torch.stack((home + 4 * move, home - 4 * move, home + 0.1 * move)[-count:])

    found = watched(tmp_path, monkeypatch, ends)
    assert np.isnan(found.at).tolist() == [False, False, True]
    assert found.at[:2].tolist() == [2.0, 2.0]  # found out at the first check
    assert found.seen[2] == 4.0
    assert (found.matched, found.diverged) == (1, 0)


def test_nobody_leaves_where_all_descents_end_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = watched(tmp_path, monkeypatch, lambda home, count: home.expand(count, *home.shape))
    assert np.isnan(found.at).all()
    assert found.seen.tolist() == [4.0] * 3
    assert (found.matched, found.diverged) == (0, 0)


def test_who_stops_being_finite_is_censored_and_has_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = watched(tmp_path, monkeypatch, lambda home, count: home.expand(count, *home.shape), rate=1e38)
    assert found.diverged == 3
    assert np.isnan(found.at).all()
    assert found.seen.tolist() == [0.0] * 3


def test_strong_noise_carries_the_shipped_failure_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """End to end, with real descents: a rate that no study would choose leaves, one that hardly moves stays."""
    monkeypatch.setattr(escape, "DESCENT", 100)
    failed = load_checkpoint(samples.FAILED)
    save_checkpoint(tmp_path / "minimum.pt", failed)
    problem = pose(failed, None, 0)
    settings = dataclasses.replace(default_settings("simple"), inverse=True, updates=40)
    cells = [Cell("rmsprop", rate, 8) for rate in (0.05, 1e-9)]
    strong, weak = escape.escape(tmp_path / "minimum.pt", problem, settings, cells, seeds=3, checks=1)
    assert not np.isnan(strong.at).any()
    assert np.isnan(weak.at).all()
