"""The compiled updates against the one loss function: gradients by autograd in float64, trainings on the plain path."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crar_model.agent.batch import Batch
from crar_model.agent.loss import FOLLOWED, Loss
from crar_model.agent.networks import DenseAgent
from crar_model.core.errors import UserError
from crar_model.core.params import BLOCKS, DYNAMICS, Params, block_of, select
from crar_model.core.settings import LossSettings, TrainSettings
from crar_model.mazes.simple import simple_maze
from crar_model.nets import Observed, RMSpropSettings, Transitions
from crar_model.training.engine import CompiledUpdates, applies
from crar_model.training.log import logged
from crar_model.training.members import Member, Plan, base_plan, transfer_plan
from crar_model.training.trainer import Trainer
from crar_model.training.update_rules import Rule, Step, touched
from crar_model.training.variants import VARIANTS

AGENTS = (
    DenseAgent(),
    DenseAgent(3, (3,), (12, 33, 7, 3), (6, 9, 3), (6, 5, 6, 1), (3, 31, 3)),
    DenseAgent(2, (1,), (5, 17, 1), (3, 2, 1), (3, 1), (1, 4, 2)),
    DenseAgent(5, (6,), (9, 40, 6), (11, 7, 6), (11, 1), (6, 5)),
)
ENGINES = ("compiled", "reference")
QUICK = TrainSettings(updates=30, log_interval=10, checkpoint_interval=30, workers=1, data_size=300)

coefficients = st.builds(
    LossSettings,
    discount=st.floats(0.3, 1.0), pair_scale=st.floats(0.5, 8.0), pair_min=st.sampled_from([1e-6, 0.3]), pair_max=st.sampled_from([0.5, 10.0]),
    ball_radius=st.floats(0.1, 1.0), ball_max=st.sampled_from([0.2, 100.0]), beta=st.floats(0.1, 1.0), transition_weight=st.floats(0.1, 3.0),
    value_weight=st.floats(0.1, 3.0), double_q=st.booleans(), value_over_actions=st.booleans(), reward_weight=st.floats(0.1, 3.0), discount_weight=st.floats(0.1, 3.0),
    ball_weight=st.floats(0.1, 3.0), random_pairs_weight=st.floats(0.1, 3.0),
)  # fmt: skip


def numbers(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    return torch.from_numpy(rng.standard_normal(shape)).float()


def case(agent: DenseAgent, seed: int, batch: int, rows: int) -> tuple[Params, Params, torch.Tensor, Batch]:
    """A model of one member, a target copy, observations with an all-zero one, and a batch; float32."""
    rng = np.random.default_rng(seed)
    models = [{n: v + 0.3 * numbers(rng, *v.shape) for n, v in agent.init(rng).items()} for _ in range(2)]
    pixels = agent.encoder[0]
    observations = numbers(rng, pixels).repeat(rows, 1)
    observations[torch.arange(rows), torch.from_numpy(rng.integers(0, pixels, rows))] = 0.5
    observations[-1] = 0 if rows > 1 else 1
    picks = {name: torch.from_numpy(rng.integers(0, rows, batch)) for name in ("state", "next_state")}
    action = torch.from_numpy(rng.integers(0, agent.n_actions, batch))
    ended = torch.from_numpy(rng.integers(0, 5, batch) == 0).float()
    anchor = numbers(rng, rows, agent.abstract_size)
    made = Batch(observations[:, None, None], **picks, action=action, reward=numbers(rng, batch), terminated=ended, anchor=anchor)
    return models[0], models[1], observations[:, None, None], made


def compiled(
    agent: DenseAgent,
    params: Params,
    target: Params,
    batch: Batch,
    settings: LossSettings,
    terms: tuple[str, ...],
    trained: tuple[str, ...],
) -> Params:
    members = {name: value[None].clone() for name, value in params.items()}
    names = [name for name in members if block_of(name) in trained]
    engine = CompiledUpdates(agent, members, names, Observed.of(batch.observations.flatten(1).numpy()))
    step = Step(terms, "slot", 1.0)
    with torch.no_grad():
        values = agent.value(target, agent.encode(target, batch.observations))[None]

    def lead(value: torch.Tensor) -> torch.Tensor:
        return value[None, None]

    assert batch.anchor is not None
    drawn = Transitions(
        *map(lead, (batch.state, batch.next_state, batch.action, batch.reward, batch.terminated)), values, batch.anchor[None]
    )
    found = engine.gradients(Rule(((step, touched(step, names)),), Loss(agent, settings), RMSpropSettings()), drawn)
    assert all(torch.equal(members[name][0], params[name]) for name in params), "nothing is changed"
    return {name: value for name, value in found.items() if name in touched(step, names)}


def by_autograd(
    agent: DenseAgent,
    params: Params,
    target: Params,
    batch: Batch,
    settings: LossSettings,
    terms: tuple[str, ...],
    trained: tuple[str, ...],
) -> Params:
    exact = {name: value.double().requires_grad_() for name, value in params.items()}
    copy = {name: value.double() for name, value in target.items()}
    wide = batch.to("cpu", torch.float64)
    assert wide.anchor is not None
    wide = dataclasses.replace(wide, anchor=wide.anchor[wide.state])
    found = Loss(agent, settings)(exact, wide, terms, copy)
    value = Loss(agent, settings).total(found) if len(terms) > 1 else found[terms[0]]
    names = [name for name in exact if block_of(name) in trained]
    grads = torch.autograd.grad(value, [exact[name] for name in names], allow_unused=True)
    return {name: grad for name, grad in zip(names, grads, strict=True) if grad is not None}


@pytest.mark.parametrize("terms", [*((term,) for term in FOLLOWED), ("pairing",), FOLLOWED], ids=lambda terms: "+".join(terms)[:20])
@given(
    which=st.sampled_from(range(len(AGENTS))), seed=st.integers(0, 10**6), batch=st.sampled_from([1, 5, 32, 33, 64]),
    rows=st.sampled_from([1, 4, 31, 32, 33]), settings=coefficients, freeze=st.booleans(),
)  # fmt: skip
def test_gradient_of_every_term_is_that_of_autograd(
    terms: tuple[str, ...], which: int, seed: int, batch: int, rows: int, settings: LossSettings, freeze: bool
) -> None:
    agent, trained = AGENTS[which], ("encoder",) if freeze else BLOCKS
    params, target, _, made = case(agent, seed, batch, rows)
    found = compiled(agent, params, target, made, settings, terms, trained)
    wanted = by_autograd(agent, params, target, made, settings, terms, trained)
    assert set(found) >= set(wanted)
    largest = max(float(value.abs().max()) for value in wanted.values())
    for name, value in found.items():
        exact = wanted.get(name, torch.zeros_like(value)).double()
        assert torch.allclose(value.double(), exact, rtol=2e-3, atol=2e-5 * (1 + largest)), (name, terms)


def test_a_frozen_block_has_no_gradient_and_no_slot(base_run: Path) -> None:
    member = (Member(0, 1e-3, str(base_run / "member-0.pt")),)
    trainer = Trainer(Plan(QUICK, member, VARIANTS["freeze"]))
    frozen = {name: value.clone() for name, value in select(trainer.params, DYNAMICS).items()}
    trainer.advance(20)
    assert all(torch.equal(value, trainer.params[name]) for name, value in frozen.items())
    assert all(block_of(name) == "encoder" for slot in trainer.optimizer_state.values() for name in slot)


@pytest.mark.parametrize("rule", ["joint", "sequential"])
@pytest.mark.parametrize("variant", ["base", *(name for name in VARIANTS if name != "negate-input")])
def test_every_variant_follows_the_reference(variant: str, rule: str, base_run: Path) -> None:
    changes: dict[str, Any] = {"terminal_last": True, "structure_delay": 4, "target_interval": 5, "decay_interval": 3}
    settings = dataclasses.replace(QUICK, update_rule=rule, updates=12, **changes)
    if variant == "base":
        plan = base_plan(settings, 2)
    else:
        plan = transfer_plan(settings, [base_run / "member-0.pt"], variant, 2, learning_rates=[5e-4], paired=40)
    trainers = [Trainer(dataclasses.replace(plan, settings=dataclasses.replace(plan.settings, engine=e))) for e in ENGINES]
    assert trainers[0].engine is not None
    assert trainers[1].engine is None
    start = {name: value.detach().clone() for name, value in trainers[0].params.items()}
    for trainer in trainers:
        trainer.advance(12)
    one, other = ({name: value.detach() for name, value in trainer.params.items()} for trainer in trainers)
    moved = max(float((one[name] - value).abs().max()) for name, value in start.items())
    for name, value in one.items():
        assert float((value - other[name]).abs().max()) < 0.02 * moved, name
    for slot, squares in trainers[0].optimizer_state.items():
        for name, value in squares.items():
            assert torch.allclose(value, trainers[1].optimizer_state[slot][name], rtol=1e-2, atol=1e-7), (slot, name)
    column = logged(trainers[0].task).index("total")
    totals = [np.stack(trainer.log_values)[..., column] for trainer in trainers]
    assert np.allclose(*totals, rtol=1e-2)


def test_updates_in_pieces_are_the_same_updates_across_every_boundary() -> None:
    """Of logs, target copies, rates, the delay of the structure terms, and the draws of batches, 1,000 updates each."""
    settings = dataclasses.replace(
        QUICK, updates=1_040, log_interval=70, target_interval=13, decay_interval=11, structure_delay=1_003, terminal_last=True
    )
    whole, pieces, single = (Trainer(base_plan(settings, 2)) for _ in range(3))
    whole.advance(1_040)
    for count in (1, 2, 7, 120, 870, 40):
        pieces.advance(count)
        state, pieces = pieces.state(), Trainer(base_plan(settings, 2))
        pieces.restore(state)
    for _ in range(1_040):
        single.one_update()
    for name, value in whole.params.items():
        assert torch.equal(value, pieces.params[name]), name
        assert torch.equal(value, single.params[name]), name
    assert np.array_equal(whole.log_values, pieces.log_values)


@pytest.mark.parametrize("rule", ["joint", "sequential"])
@pytest.mark.parametrize(
    "changes",
    [
        {"clip_scope": "tensor"},
        {"clip_norm": 0.0},
        {"batch_size": 45},
        {"loss": LossSettings(double_q=True, reward_weight=0.5, discount_weight=2.0, value_weight=3.0)},
        {"loss": LossSettings(value_weight=0.0, random_pairs_weight=0.3)},
        {"structure_delay": 6, "loss": LossSettings(transition_weight=0, reward_weight=0, discount_weight=0, value_weight=0)},
    ],
    ids=["tensor", "unclipped", "batch", "double", "without value", "nothing at first"],
)
def test_every_setting_follows_the_reference(rule: str, changes: dict[str, Any]) -> None:
    plan = base_plan(dataclasses.replace(QUICK, update_rule=rule, updates=12, **changes), 2)
    ours, reference = (Trainer(dataclasses.replace(plan, settings=dataclasses.replace(plan.settings, engine=e))) for e in ENGINES)
    start = {name: value.detach().clone() for name, value in ours.params.items()}
    for trainer in (ours, reference):
        trainer.advance(12)
    moved = max(float((ours.params[name].detach() - value).abs().max()) for name, value in start.items())
    assert moved > 1e-4
    for name, value in ours.params.items():
        assert float((value - reference.params[name]).detach().abs().max()) < 0.02 * moved, name


@pytest.mark.parametrize("rule", ["joint", "sequential"])
def test_members_end_as_in_the_reference(rule: str) -> None:
    """A rate that is not a number, one that is far too high, and abstract states beyond all numbers."""
    settings = dataclasses.replace(QUICK, update_rule=rule, updates=12, log_interval=1)
    ends = []
    for engine in ENGINES:
        trainer = Trainer(base_plan(dataclasses.replace(settings, engine=engine), 4))
        trainer.rates[1], trainer.rates[2] = torch.nan, 1e38
        with torch.no_grad():
            trainer.params["encoder.4.weight"][3] = 3e38
        trainer.advance(12)
        ends.append((trainer.alive.tolist(), trainer.diverged_at))
    assert ends[0] == ends[1]
    assert ends[0][0] == [True, False, False, False]


def test_an_encoder_of_one_layer_takes_the_plain_path() -> None:
    shallow = DenseAgent(2, (1,), (5, 1), (3, 2, 1), (3, 1), (1, 4, 2))
    assert not applies(shallow, LossSettings())
    assert applies(DenseAgent(), LossSettings())
    params, target, _, batch = case(shallow, 0, 5, 4)
    with pytest.raises(ValueError, match="encoder has one layer"):
        compiled(shallow, params, target, batch, LossSettings(), ("ball",), BLOCKS)


def test_a_loss_without_terms_is_refused() -> None:
    nothing = {f"{term}_weight": 0.0 for term in ("transition", "reward", "discount", "ball", "random_pairs", "value")}
    with pytest.raises(UserError, match="every loss term has weight 0"):
        base_plan(dataclasses.replace(QUICK, loss=LossSettings(beta=0.0, **nothing)), 1)


def test_a_member_whose_step_is_not_finite_is_left_alone_and_the_others_go_on() -> None:
    plan = base_plan(QUICK, 3)
    broken = Plan(plan.settings, (plan.members[0], dataclasses.replace(plan.members[1], learning_rate=1e38), plan.members[2]), plan.variant)
    trainers = [Trainer(plan), Trainer(broken)]
    for trainer in trainers:
        trainer.advance(30)
    assert trainers[1].alive.tolist() == [True, False, True]
    assert trainers[1].diverged_at[1] > 0
    for name, value in trainers[1].params.items():
        assert torch.isfinite(value).all(), name
        assert torch.equal(value[0], trainers[0].params[name][0])
        assert torch.equal(value[2], trainers[0].params[name][2])


def test_observations_come_apart_into_one_pattern_and_a_cell() -> None:
    for inverse in (False, True):
        seen = simple_maze().observations(inverse=inverse).flatten(1).numpy()
        found = Observed.of(seen)
        assert len(found.row) == 31, "one entry a state"
        made = found.scale[:31, None] * found.shared
        np.add.at(made, (found.row, found.column), found.value)
        assert np.array_equal(made, seen)
    dense = np.random.default_rng(0).standard_normal((6, 9)).astype(np.float32)
    found = Observed.of(dense)
    made = found.scale[:6, None] * found.shared
    np.add.at(made, (found.row, found.column), found.value)
    assert np.allclose(made, dense, atol=1e-6)


def test_the_door_names_what_does_not_fit() -> None:
    agent = AGENTS[1]
    params, target, _, batch = case(agent, 0, 5, 4)
    with pytest.raises(ValueError, match=r"encoder\.0\.weight has shape"):
        compiled(agent, params | {"encoder.0.weight": torch.zeros(33, 11)}, target, batch, LossSettings(), ("ball",), BLOCKS)
    with pytest.raises(ValueError, match="names rows from"):
        compiled(agent, params, target, dataclasses.replace(batch, state=batch.state + 9), LossSettings(), ("ball",), BLOCKS)
    with pytest.raises(ValueError, match="actions beyond"):
        compiled(agent, params, target, dataclasses.replace(batch, action=batch.action + 9), LossSettings(), ("ball",), BLOCKS)
