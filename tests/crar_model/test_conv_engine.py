"""The compiled updates of the convolutional agent against the one loss function: gradients by autograd in float64, trainings on the plain path."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from crar_model import samples
from crar_model.agent.batch import Batch
from crar_model.agent.loss import FOLLOWED, Loss
from crar_model.agent.networks import ConvAgent
from crar_model.core.params import BLOCKS, DYNAMICS, Params, block_of, select
from crar_model.core.settings import LossSettings, TrainSettings
from crar_model.nets import BoardTransitions, Conv, Linear, RMSpropSettings, _team, set_threads
from crar_model.training.board_engine import BoardUpdates
from crar_model.training.members import Member, Plan, base_plan, transfer_plan
from crar_model.training.trainer import Trainer
from crar_model.training.update_rules import Rule, Step, touched
from crar_model.training.variants import VARIANTS

HEAD = (Conv(5, 2), Conv(17, 3, pool=2), Linear(9))
AGENTS = (
    ConvAgent(),
    ConvAgent(transition_net=(Conv(18, 2), Conv(3, 3)), reward_net=(*HEAD, Linear(1)), value_net=(*HEAD, Linear(4)), other=(0.5, 0.3)),
)
ENGINES = ("compiled", "reference")


@pytest.fixture(autouse=True)
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads share a call whatever else the machine does."""
    monkeypatch.setattr(_team, "crowded", lambda: False)


def numbers(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    return torch.from_numpy(rng.standard_normal(shape)).float()


def case(agent: ConvAgent, seed: int, size: int) -> tuple[Params, Params, Batch]:
    """A model of one member, a target copy and a batch of boards of drawn tiles; float32."""
    rng = np.random.default_rng(seed)
    models = [{name: value + 0.1 * numbers(rng, *value.shape) for name, value in agent.init(rng).items()} for _ in range(2)]
    tiles = torch.from_numpy(rng.integers(0, 8, (2 * size, 1, 8, 8)).astype(np.uint8))
    state, next_state = torch.arange(2 * size).chunk(2)
    action, ended = torch.from_numpy(rng.integers(0, 4, size)), torch.from_numpy(rng.integers(0, 5, size) == 0).float()
    anchor = numbers(rng, size, agent.abstract_size)
    return models[0], models[1], Batch(tiles, state, next_state, action, numbers(rng, size), ended, anchor=anchor)


def compiled(
    agent: ConvAgent, params: Params, target: Params, batch: Batch, settings: LossSettings, terms: tuple[str, ...], trained: tuple[str, ...]
) -> Params:
    members = {name: value[None].clone() for name, value in params.items()}
    names = [name for name in members if block_of(name) in trained]
    engine = BoardUpdates(agent, members, names, {name: value[None] for name, value in select(target, ("encoder", "value")).items()})
    step = Step(terms, "slot", 1.0)

    def lead(value: torch.Tensor) -> torch.Tensor:
        return value[None, None]

    assert batch.anchor is not None
    drawn = BoardTransitions(*map(lead, (batch.observations, batch.action, batch.reward, batch.terminated)), anchors=lead(batch.anchor))
    found = engine.gradients(Rule(((step, touched(step, names)),), Loss(agent, settings), RMSpropSettings()), drawn)
    assert all(torch.equal(members[name][0], params[name]) for name in params), "nothing is changed"
    return found


def by_autograd(
    agent: ConvAgent, params: Params, target: Params, batch: Batch, settings: LossSettings, terms: tuple[str, ...], trained: tuple[str, ...]
) -> Params:
    exact = {name: value.double().requires_grad_() for name, value in params.items()}
    found = Loss(agent, settings)(exact, batch.to("cpu", torch.float64), terms, {name: value.double() for name, value in target.items()})
    value = Loss(agent, settings).total(found) if len(terms) > 1 else found[terms[0]]
    names = [name for name in exact if block_of(name) in trained]
    grads = torch.autograd.grad(value, [exact[name] for name in names], allow_unused=True)
    return {name: grad for name, grad in zip(names, grads, strict=True) if grad is not None}


SETTINGS = (
    LossSettings(double_q=True, ball_radius=0.2, reward_weight=0.5, discount_weight=2.0, value_weight=3.0, beta=0.7),
    LossSettings(double_q=False, value_over_actions=True, pair_min=0.3, pair_scale=0.5, ball_radius=0.1, ball_max=0.5, discount=0.5),
)


@pytest.mark.parametrize("terms", [*((term,) for term in FOLLOWED), ("pairing",), FOLLOWED], ids=lambda terms: "+".join(terms)[:20])
def test_gradient_of_every_term_is_that_of_autograd(terms: tuple[str, ...]) -> None:
    for seed, (which, size, settings, trained, threads) in enumerate(
        (
            (0, 9, SETTINGS[0], BLOCKS, 1),
            (1, 1, SETTINGS[1], BLOCKS, 2),
            (1, 21, SETTINGS[0], ("encoder",), 3),
            (1, 34, SETTINGS[1], ("encoder", "value", "reward"), 2),
        )
    ):
        agent = AGENTS[which]
        params, target, batch = case(agent, seed, size)
        set_threads(threads)
        try:
            found = compiled(agent, params, target, batch, settings, terms, trained)
        finally:
            set_threads(0)
        wanted = by_autograd(agent, params, target, batch, settings, terms, trained)
        assert set(found) == set(wanted)
        largest = max(float(value.abs().max()) for value in wanted.values())
        for name, value in found.items():
            assert torch.allclose(value.double(), wanted[name], rtol=2e-3, atol=2e-5 * (1 + largest)), (name, terms, seed)


def ends(plan: Plan, updates: int, pieces: tuple[int, ...] = (), threads: int = 1) -> Trainer:
    """A trainer after some updates, without a log."""
    trainer = Trainer(plan)
    set_threads(threads)
    try:
        for count in pieces or (updates,):
            end = trainer.update + count
            while trainer.update < end:
                trainer.take_updates(end - trainer.update)
    finally:
        set_threads(0)
    return trainer


@pytest.mark.parametrize("rule", ["joint", "sequential"])
def test_neither_threads_nor_members_nor_calls_change_a_bit(rule: str, random_settings: TrainSettings) -> None:
    settings = dataclasses.replace(random_settings, update_rule=rule, updates=9, target_interval=3, structure_delay=2)
    plan = base_plan(settings, 2)
    whole = ends(plan, 9)
    others = [
        ends(plan, 9, threads=2),
        ends(plan, 9, (1, 2, 3, 3), threads=3),
        ends(base_plan(dataclasses.replace(settings, seed=1), 1), 9, threads=2),
    ]
    for other in others:
        own = slice(2 - len(other.alive), 2)
        for name, value in whole.params.items():
            assert torch.equal(value[own], other.params[name]), name
        for slot, squares in whole.optimizer_state.items():
            assert all(torch.equal(value[own], other.optimizer_state[slot][name]) for name, value in squares.items()), slot


@pytest.mark.parametrize("rule", ["joint", "sequential"])
@pytest.mark.parametrize("variant", ["base", "freeze", "unfreeze", "paired", "omit-ball"])
def test_every_kind_of_variant_follows_the_reference(variant: str, rule: str, random_settings: TrainSettings) -> None:
    changes: dict[str, Any] = {"terminal_last": True, "structure_delay": 2, "target_interval": 2, "decay_interval": 3, "updates": 5}
    settings = dataclasses.replace(random_settings, update_rule=rule, **changes)
    plan = base_plan(settings, 1)
    if variant != "base":
        plan = transfer_plan(settings, [samples.RANDOM_BASE], variant, 1, learning_rates=[5e-4], paired=20)
    ours, reference = (ends(dataclasses.replace(plan, settings=dataclasses.replace(plan.settings, engine=e)), 5) for e in ENGINES)
    assert ours.board_engine is not None
    assert reference.board_engine is None
    start = Trainer(plan).params
    moved = max(float((ours.params[name] - value).detach().abs().max()) for name, value in start.items())
    assert moved > 1e-4
    for name, value in ours.params.items():
        assert float((value - reference.params[name]).detach().abs().max()) < 0.02 * moved, name
    for slot, squares in ours.optimizer_state.items():
        for name, value in squares.items():
            assert torch.allclose(value, reference.optimizer_state[slot][name], rtol=2e-2, atol=1e-6), (slot, name)


def test_a_frozen_block_stays_as_it_is(random_settings: TrainSettings) -> None:
    plan = Plan(random_settings, (Member(0, 1e-3),), dataclasses.replace(VARIANTS["freeze"], start="fresh"))
    start, trainer = Trainer(plan).params, ends(plan, 3)
    for name, value in trainer.params.items():
        assert torch.equal(value, start[name]) == (block_of(name) in DYNAMICS), name
    assert all(block_of(name) == "encoder" for slot in trainer.optimizer_state.values() for name in slot)


@pytest.mark.parametrize(
    "changes", [{"clip_scope": "tensor"}, {"clip_norm": 0.0}, {"batch_size": 19}], ids=["tensor", "unclipped", "batch"]
)
def test_every_setting_follows_the_reference(changes: dict[str, Any], random_settings: TrainSettings) -> None:
    """Every update from where the compiled ones have come to: a near tie of a pool falls one way or the other by the last bits of the parameters,
    and what follows it differs by far more than rounding, in autograd as in compiled code."""
    plan = base_plan(dataclasses.replace(random_settings, updates=4, **changes), 1)
    ours, reference = (Trainer(dataclasses.replace(plan, settings=dataclasses.replace(plan.settings, engine=e))) for e in ENGINES)
    assert ours.board_engine is not None
    assert reference.board_engine is None
    for update in range(4):
        start = {name: value.detach().clone() for name, value in ours.params.items()}
        for trainer in (ours, reference):
            trainer.take_updates(1)
        moved = max(float((ours.params[name] - value).detach().abs().max()) for name, value in start.items())
        assert moved > 1e-4
        with torch.no_grad():
            for name, value in ours.params.items():
                assert float((value - reference.params[name]).abs().max()) < 1e-3 * moved, (name, update)
                reference.params[name].copy_(value)
            for slot, squares in ours.optimizer_state.items():
                for name, value in squares.items():
                    assert torch.allclose(value, reference.optimizer_state[slot][name], rtol=1e-2, atol=1e-7), (slot, name, update)
                    reference.optimizer_state[slot][name].copy_(value)


@pytest.mark.parametrize("rule", ["joint", "sequential"])
def test_members_end_as_in_the_reference(rule: str, random_settings: TrainSettings) -> None:
    """A rate that is not a number, one that is far too high, and abstract states beyond all numbers; the first member is untouched by it."""
    settings, found = dataclasses.replace(random_settings, update_rule=rule, updates=4), []
    for engine in ENGINES:
        trainer = Trainer(base_plan(dataclasses.replace(settings, engine=engine), 4))
        trainer.rates[1], trainer.rates[2] = torch.nan, 1e38
        with torch.no_grad():
            trainer.params["encoder.3.weight"][3] = 3e38
        for _ in range(4):
            trainer.one_update()
        found.append(trainer)
    assert found[0].alive.tolist() == found[1].alive.tolist() == [True, False, False, False]
    alone = ends(base_plan(settings, 1), 4)
    for name, value in found[0].params.items():
        assert torch.equal(value[:1], alone.params[name]), name
        assert torch.isfinite(value[:3]).all(), name


def test_the_door_names_what_does_not_fit() -> None:
    agent = AGENTS[1]
    params, target, batch = case(agent, 0, 3)
    with pytest.raises(ValueError, match=r"encoder\.0\.weight has shape"):
        compiled(agent, params | {"encoder.0.weight": torch.zeros(8, 1, 3, 3)}, target, batch, LossSettings(), ("ball",), BLOCKS)
    with pytest.raises(ValueError, match="actions beyond"):
        compiled(agent, params, target, dataclasses.replace(batch, action=batch.action + 9), LossSettings(), ("ball",), BLOCKS)
    with pytest.raises(ValueError, match="kinds of tiles"):
        compiled(agent, params, target, dataclasses.replace(batch, observations=batch.observations + 90), LossSettings(), ("ball",), BLOCKS)
    assert ConvAgent(encoder=(Conv(8, 2), Conv(3, 3, pool=6))).tile_networks is None
