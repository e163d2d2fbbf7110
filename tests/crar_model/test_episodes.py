"""Placement where states cannot be listed: windows of episodes, rolled by exact dynamics, find a planted embedding."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import crar_model
from crar_model.agent.agent import Agent
from crar_model.agent.loss import Loss
from crar_model.core.kept import Pieces
from crar_model.core.params import DYNAMICS, Params
from crar_model.core.settings import CureSettings
from crar_model.cures import episodes
from crar_model.cures.cure import applying
from crar_model.cures.episodes import placed_along, smooth_basis, why_no_places, windows_of
from crar_model.cures.methods import FITTED
from crar_model.cures.problem import OwnData, Problem, pose
from crar_model.models.checkpoints import load_checkpoint
from crar_model.tasks import WorldTask, task_named
from crar_model.tasks.samples import COMPARED
from crar_model.tasks.world_batches import SIZE, split
from crar_model.worlds.world import World, save_world
from crar_reports.pages.cure.one import CureOptions, write_cure
from tests.planted import PLAIN
from tests.test_bad_values import refused

SPIN = 0.9 * torch.tensor([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]], dtype=torch.float32)
PUSH = torch.tensor([[0.25, 0.1], [-0.1, 0.2], [0.0, -0.25]])
"""z -> SPIN z + PUSH[a]: where a state lies follows from where it goes."""


@dataclass(frozen=True, eq=False)
class Spinning(Agent):
    """Exact dynamics in a plane."""

    def unit_signs(self, block: str) -> tuple[bool, ...]:
        return (True,)

    def state_inputs(self, block: str) -> slice:
        return slice(0, 2)

    def init(self, rng: np.random.Generator) -> Params:
        encoder = torch.from_numpy(rng.standard_normal((2, 3), dtype=np.float32))
        return {"encoder.0.weight": encoder, "encoder.0.bias": torch.zeros(2)} | {f"{block}.0.bias": torch.zeros(1) for block in DYNAMICS}

    def encode(self, params: Params, observations: Tensor) -> Tensor:
        return observations.flatten(-3) @ params["encoder.0.weight"].transpose(-1, -2) + params["encoder.0.bias"].unsqueeze(-2)

    def network(self, params: Params, block: str, x: Tensor, onehot: Tensor | None = None) -> Tensor:
        if block == "value":
            return torch.zeros(*x.shape[:-1], 3)
        assert onehot is not None
        if block == "transition":
            return x @ (SPIN.T - torch.eye(2)) + onehot @ PUSH
        return torch.full((*x.shape[:-1], 1), 0.0 if block == "reward" else 0.9)


def world_of(count: int = 40, steps: int = 15) -> tuple[World, Tensor]:
    """Episodes that begin near one place, seen as three numbers that depend on the place, and the places of all observations."""
    rng = np.random.default_rng(0)
    places, action = [], rng.integers(0, 3, (count, steps))
    for one in action:
        place = torch.tensor([0.5, -0.3]) + 0.02 * torch.from_numpy(rng.standard_normal(2)).float()
        places.append(place)
        for taken in one:
            place = SPIN @ place + PUSH[taken]
            places.append(place)
    z = torch.stack(places)
    seen = torch.stack((4 * z[:, 0], z[:, 1] - z[:, 0], z.square().sum(1)), 1).numpy()
    row = np.arange(count * (steps + 1), dtype=np.int32).reshape(count, steps + 1)
    last = np.zeros((count, steps), dtype=np.bool_)
    first = last.copy()
    first[:, 0] = True
    return World(
        seen, row[:, :-1].ravel(), row[:, 1:].ravel(), action.ravel().astype(np.int16), np.zeros(action.size), last.ravel(), first.ravel(), 3,
        {"actions": ["a", "b", "c"], "title": "spinning"},
    ), z  # fmt: skip


def problem_of(world: World, folder: Path) -> Problem:
    save_world(folder / "world.npz", world)
    task = task_named("world").with_data(str(folder / "world.npz"), world.digest, 2)
    agent = Spinning(3, (2,))
    own = OwnData.listed(task.batch(inverse=True, dtype=torch.float32))
    return Problem(task, agent.init(np.random.default_rng(0)), None, Loss(agent, PLAIN), own, inverse=True)


def test_windows_find_the_planted_places_from_the_negative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(episodes, "DRAWN", 8)
    world, z = world_of(20)
    problem = problem_of(world, tmp_path)
    assert isinstance(problem.task, WorldTask)
    table = problem.task.table_here
    windows = windows_of(table, inverse=True)
    _, starts, targets, updates = placed_along(problem, CureSettings(effort=0.25), Pieces(), lambda _: None)
    shown = windows.batch.observations.flatten(1)
    every = table.observations(inverse=True).flatten(1)
    right = z[[int((every - one).abs().sum(1).argmin()) for one in shown]]
    off = torch.linalg.vector_norm(targets[0] - right, dim=1)
    assert float(off.mean()) < 0.1 * float(torch.linalg.vector_norm(right - right.mean(0), dim=1).mean())
    assert starts.labels[0].startswith("beginning at (")
    assert len(targets) == len(starts.labels) == 2 * FITTED
    assert updates == 32 * 15 + 8 * 30


def test_windows_are_of_episodes_that_train_and_an_end_leads_nowhere(tmp_path: Path) -> None:
    world, _ = world_of()
    ended = world.terminated.copy()
    ended[14::15] = True
    parts: Mapping[str, Any] = {each.name: getattr(world, each.name) for each in fields(world)}
    problem = problem_of(World(**{**parts, "terminated": ended}), tmp_path)
    assert isinstance(problem.task, WorldTask)
    table = problem.task.table_here
    windows, (trains, held) = windows_of(table, inverse=False), split(table)
    batch = windows.batch
    shown = batch.observations.flatten(1)
    every = table.observations().flatten(1)
    rows = torch.tensor([int((every - one).abs().sum(1).argmin()) for one in shown])
    assert set(rows.tolist()) <= set(table.world.state[trains]) | set(table.world.next_state[trains])
    assert not set(rows.tolist()) & set(table.world.state[held])
    over = batch.terminated == 1
    assert bool((batch.state[over] == batch.next_state[over]).all())
    moved = dict(zip(world.state.tolist(), world.next_state.tolist(), strict=True))
    steps = zip(rows[batch.state[~over]].tolist(), rows[batch.next_state[~over]].tolist(), strict=True)
    assert all(moved[before] == after for before, after in steps)
    assert sum(len(before) for before, _, _ in windows.rings) == int((~over).sum())
    assert len(set(rows[windows.roots].tolist())) == len(windows.roots) == 32  # of 40 episodes 8 are held out


def test_smoothing_keeps_what_is_smooth() -> None:
    points = torch.linspace(-1, 1, 200)[:, None]
    basis = smooth_basis(points)
    assert torch.allclose(basis.T @ basis, torch.eye(basis.shape[1]), atol=1e-4)
    smooth, rough = torch.cat((points, points**2), 1), torch.ones(200, 1)
    rough[::2] = -1
    assert float((basis @ (basis.T @ smooth) - smooth).abs().max()) < 0.01
    assert float((basis @ (basis.T @ rough)).abs().mean()) < 0.7


def test_a_cure_places_along_episodes_and_judges_on_held_out_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(episodes, "DRAWN", 4)
    short: dict[str, Any] = {"updates": 4, "log_interval": 4, "checkpoint_interval": 4, "workers": 1, "members": 1}
    base = crar_model.train(tmp_path / "base", env="CartPole-v1", steps=6_000, **short)
    there = crar_model.transfer(base.models[0], tmp_path / "freeze", **short)
    failed = load_checkpoint(there.models[0])
    assert isinstance(failed.task, WorldTask)
    assert applying(failed.task) == ["placement", "first-layer", "symmetry", "restart"]
    table, judged = failed.task.table_here, pose(failed, None, 0).data.judged
    own = load_checkpoint(base.models[0])
    seen = own.task.compared(inverse=False, size=COMPARED)
    assert seen is not None
    x = own.agent.encode(own.parameters, seen.observations)
    nearest = torch.cdist(own.agent.transition(own.parameters, x[seen.state], seen.action), x).argmin(-1)
    share = float((nearest != seen.next_state)[seen.terminated == 0].double().mean())
    assert 0 < share < 1
    assert failed.info["base_astray"] == pose(failed, None, 0).base_astray == pytest.approx(share)
    assert "base_astray" not in own.info
    held = split(table)[1][SIZE : SIZE + COMPARED]
    assert torch.equal(judged.observations[judged.state], table.rows(table.world.state[held], inverse=True))
    options = CureOptions(settings=CureSettings(effort=0.002), anyway=True, explorer=False)
    page = write_cure(there.models[0], tmp_path / "page", method="placement", options=options)
    assert page.found.best.label.startswith("beginning at (")
    assert page.found.base_astray == failed.info["base_astray"]
    assert f"than by its base on its own side, {share:.1%}" in page.rule
    assert not page.found.loose
    assert dataclasses.replace(page.found, base_astray=None).loose
    assert "placement" in refused("cure", "--from", str(there.models[0]), "--method", "misplaced", "--out", str(tmp_path / "cure"))


def test_too_few_episodes_are_refused_in_a_line(tmp_path: Path) -> None:
    problem = problem_of(world_of(count=8)[0], tmp_path)
    assert why_no_places(problem.task) == "the dynamics are rolled along episodes, and spinning has 6 of two steps or more, of at least 8"
