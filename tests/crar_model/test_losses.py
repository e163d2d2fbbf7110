from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from crar_model.agent.batch import Batch
from crar_model.agent.loss import TERMS, Loss
from crar_model.agent.networks import DenseAgent
from crar_model.core.params import Params, select
from crar_model.core.settings import LossSettings
from crar_model.mazes.simple import simple_maze
from crar_model.mazes.walks import gather_states
from crar_model.nets import RMSpropSettings
from crar_model.tasks.batches import complete_batch
from crar_model.training.update_rules import Rule, apply_update, empty_optimizer_state, plan_steps, touched
from tests.crar_model import reference

AGENT, SETTINGS = DenseAgent(), LossSettings()


def random_model(seed: int, scale: float = 1.0) -> Params:
    """A model whose embedding is spread out and whose biases are not zero, float64."""
    rng = np.random.default_rng(seed)
    params = {name: value.double() * scale for name, value in AGENT.init(rng).items()}
    return {name: value + 0.1 * torch.from_numpy(rng.standard_normal(value.shape)) for name, value in params.items()}


def random_batch(seed: int, size: int = 9, *, terminal_last: bool = True) -> Batch:
    walk = gather_states(simple_maze(), seed, 200, terminal_last=terminal_last)
    picks = np.random.default_rng(seed).integers(0, 200, size)
    picks[0] = 199
    rows = {name: torch.from_numpy(values[picks]) for name, values in walk.items()}
    observations = simple_maze().observations(dtype=torch.float64)
    observations = torch.cat((observations, torch.zeros_like(observations[:1])))
    reward = torch.from_numpy(np.random.default_rng(seed).standard_normal(size))
    return Batch(observations, rows["state"], rows["next_state"], rows["action"], reward, rows["terminated"].double())


@pytest.mark.parametrize("name", reference.ORDER)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_term_equals_the_reference(name: str, seed: int) -> None:
    params, target, batch = random_model(seed), random_model(seed + 10), random_batch(seed)
    ours = Loss(AGENT, SETTINGS)(params, batch, [name], target)[name]
    assert torch.allclose(ours, reference.term(name, params, batch, target, SETTINGS), rtol=1e-12, atol=1e-14)


def test_ball_sees_states_outside() -> None:
    outside = {name: value * 1.6 for name, value in random_model(3).items()}
    batch = random_batch(3)
    value = Loss(AGENT, SETTINGS)(outside, batch, ["ball"])["ball"]
    assert float(value) > 0.1
    assert torch.allclose(value, reference.term("ball", outside, batch, outside, SETTINGS))


def test_interpret_follows_the_first_action() -> None:
    """-cos to the +x axis for action 0, nothing for the other three, averaged over all four."""
    params, batch = random_model(2), random_batch(2)
    cosines = []
    for row in batch.state.tolist():
        x = reference.encode(params, batch, row)
        move = reference.network(params, "transition", reference.with_action(x, 0))
        cosines.append(float(move[0] / move.norm()))
    value = Loss(AGENT, SETTINGS)(params, batch, ["interpret"])["interpret"]
    assert float(value) == pytest.approx(-np.mean(cosines) / 4)


def test_members_are_evaluated_as_if_alone() -> None:
    models = [random_model(seed) for seed in range(3)]
    stacked = {name: torch.stack([m[name] for m in models]) for name in models[0]}
    together = Loss(AGENT, SETTINGS)(stacked, complete_batch(dtype=torch.float64))
    for k, model in enumerate(models):
        alone = Loss(AGENT, SETTINGS)(model, complete_batch(dtype=torch.float64))
        for name in TERMS:
            assert torch.allclose(together[name][k], alone[name], rtol=1e-12)


def test_vmap_and_members_agree() -> None:
    stacked = {name: torch.stack([random_model(s)[name] for s in range(3)]).float() for name in random_model(0)}
    batch = complete_batch()
    members = Loss(AGENT, SETTINGS)(stacked, batch)
    mapped = torch.func.vmap(lambda p: Loss(AGENT, SETTINGS)(p, batch))(stacked)
    for name in TERMS:
        assert torch.allclose(members[name], mapped[name], atol=2e-6)


def test_total_weighs_consecutive_by_beta() -> None:
    terms = {"transition": torch.tensor(1.0), "consecutive": torch.tensor(10.0), "interpret": torch.tensor(100.0)}
    assert float(Loss(AGENT, SETTINGS).total(terms)) == pytest.approx(1.0 + 0.2 * 10.0)


def test_double_q_takes_the_online_choice() -> None:
    online, target, batch = random_model(0), random_model(5), random_batch(0)
    settings = dataclasses.replace(SETTINGS, double_q=True)
    found = Loss(AGENT, settings).targets(online, batch, target)
    for i in range(len(batch.state)):
        row = int(batch.next_state[i])
        choice = int(reference.network(online, "value", reference.encode(online, batch, row)).argmax())
        value = float(reference.network(target, "value", reference.encode(target, batch, row))[choice])
        assert float(found[i]) == pytest.approx(float(batch.reward[i] + (1 - batch.terminated[i]) * 0.9 * value))


def test_value_quirk_is_a_quarter() -> None:
    params, batch = random_model(0), random_batch(0)
    plain = Loss(AGENT, dataclasses.replace(SETTINGS, value_over_actions=False))(params, batch, ["value"])["value"]
    assert torch.allclose(4 * Loss(AGENT, SETTINGS)(params, batch, ["value"])["value"], plain)


def test_unknown_term_and_missing_anchor() -> None:
    with pytest.raises(KeyError, match="unknown loss term"):
        Loss(AGENT, SETTINGS)(random_model(0), random_batch(0), ["beauty"])
    with pytest.raises(KeyError, match="anchors"):
        Loss(AGENT, SETTINGS)(random_model(0), random_batch(0), ["pairing"])


@pytest.mark.parametrize("rule", ["joint", "sequential"])
def test_update_rules_equal_the_reference(rule: str) -> None:
    """Three updates of two members at once, against the reference applied to each model alone."""
    rate, batches = 5e-4, [random_batch(seed, 5) for seed in range(3)]
    # Large weights put the norm above 1, so that clipping takes part, and states outside the ball.
    models = [random_model(0, 1.4), random_model(1, 1.4)]
    target = random_model(7)
    stacked = {name: torch.stack([m[name] for m in models]).requires_grad_() for name in models[0]}
    targets = {name: torch.stack([value, value]) for name, value in select(target, ("encoder", "value")).items()}
    steps = plan_steps(rule, SETTINGS)
    optimizer_state = empty_optimizer_state(steps, stacked, list(stacked))
    named = Rule(tuple((step, touched(step, list(stacked))) for step in steps), Loss(AGENT, SETTINGS), RMSpropSettings())
    alive = torch.ones(2, dtype=torch.bool)
    for batch in batches:
        shared = dataclasses.replace(
            batch, **{n: torch.stack([getattr(batch, n)] * 2) for n in ("state", "next_state", "action", "reward", "terminated")}
        )
        rates = torch.full((2,), rate, dtype=torch.float64)
        apply_update(stacked, targets, optimizer_state, shared, named, rates, alive)
    update = reference.joint_update if rule == "joint" else reference.sequential_update
    for k, model in enumerate(models):
        start = dict(model)
        state: dict[str, dict[str, torch.Tensor]] = {}
        for batch in batches:
            update(model, batch, target, state, rate, SETTINGS)
        for name, value in model.items():
            # A wrong rule moves parameters by the rate, 5e-4; rounding grows from 1e-14 about tenfold per step.
            assert torch.allclose(stacked[name].detach()[k], value, rtol=0, atol=1e-7), name
        assert not torch.allclose(model["encoder.0.weight"], start["encoder.0.weight"], atol=1e-5)
    assert bool(alive.all())
