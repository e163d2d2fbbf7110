"""Training, its log, evaluation and planning on another device than the CPU come to what they come to on the CPU.

Whole updates run there, values are read back, and nothing of two devices is mixed (tests/elsewhere.py).
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from crar_model.core.settings import PlaySettings, TrainSettings
from crar_model.models.checkpoints import load_checkpoint
from crar_model.tasks.playing import episode_scores
from crar_model.training.members import Member, Plan, base_plan
from crar_model.training.trainer import Trainer
from crar_model.training.variants import variant_named
from tests.elsewhere import elsewhere

QUICK = TrainSettings(updates=4, log_interval=2, data_size=40, batch_size=4, engine="reference", workers=1)


def ends(plan: Plan, device: torch.device | str) -> tuple[dict[str, torch.Tensor], list[np.ndarray]]:
    trainer = Trainer(plan, device=device)
    trainer.advance(plan.settings.updates)
    assert trainer.params["encoder.0.weight"].device.type == torch.device(device).type
    return {name: value.detach().cpu() for name, value in trainer.params.items()}, trainer.log_values


def held(plan: Plan) -> None:
    params, log = ends(plan, "cpu")
    with elsewhere() as device:
        others, told = ends(plan, device)
    for name, value in params.items():
        torch.testing.assert_close(others[name], value, rtol=1e-4, atol=1e-6)
    assert len(log) == len(told)
    for one, other in zip(log, told, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize("rule", ["joint", "sequential"])
def test_the_simple_maze_elsewhere(rule: str) -> None:
    held(base_plan(dataclasses.replace(QUICK, update_rule=rule), 2))


@pytest.mark.parametrize("variant", ["freeze", "paired", "omit-ball"])
def test_transfers_elsewhere(variant: str, base_run: Path) -> None:
    few = {"data_size": 31} if variant == "paired" else {}
    members = tuple(Member(k, 1e-4, str(base_run / "member-0.pt")) for k in range(2))
    held(Plan(dataclasses.replace(QUICK, inverse=True, **few), members, variant_named(variant)))


def test_random_mazes_elsewhere(random_settings: TrainSettings) -> None:
    """With scores, so by planning."""
    held(base_plan(dataclasses.replace(random_settings, updates=1, log_interval=1, data_size=200, score_steps=2, engine="reference"), 1))


def test_playing_elsewhere(random_base: Path) -> None:
    model = load_checkpoint(random_base / "member-0.pt")
    how, agent = PlaySettings(episodes=2, depth=1), model.task.agent()
    here = episode_scores(agent, model.parameters, how, inverse=False)
    with elsewhere() as device:
        there = episode_scores(agent, {name: value.to(device) for name, value in model.parameters.items()}, how, inverse=False)
    assert here.rewards.tolist() == there.rewards.tolist()
    assert here.lengths.tolist() == there.lengths.tolist()
