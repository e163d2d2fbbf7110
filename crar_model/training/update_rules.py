"""The two ways to follow the loss: one step on the sum, or one step per term in sequence.

The paper minimises the weighted sum (`joint`); the released code takes one RMSprop step per term within a
batch, each with its own running averages, reward and discount sharing one (`sequential`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from crar_model.agent.batch import Batch
from crar_model.agent.loss import FOLLOWED, STRUCTURE_TERMS, TERM_BLOCKS, Loss
from crar_model.core.params import Params, block_of
from crar_model.core.settings import LossSettings
from crar_model.nets import RMSpropSettings, rmsprop_step

OptimizerState = dict[str, dict[str, Tensor]]


@dataclass(frozen=True)
class Step:
    """One optimiser step of an update: the terms it descends, its running averages, its share of the rate."""

    terms: tuple[str, ...]
    slot: str
    rate: float


@dataclass(frozen=True)
class Rule:
    """What one update consists of.

    Attributes:
        steps: each step of :func:`plan_steps` with the names from :func:`touched`.
        loss: what the steps descend.
        rmsprop: coefficients.
    """

    steps: tuple[tuple[Step, tuple[str, ...]], ...]
    loss: Loss
    rmsprop: RMSpropSettings


def plan_steps(rule: str, settings: LossSettings, *, structure: bool = True, paired: bool = False) -> tuple[Step, ...]:
    """The steps of one update.

    Args:
        rule: "joint" or "sequential".
        settings: weights; a term of weight 0 has no step.
        structure: whether ball, random_pairs and consecutive are switched on; without them there may be no step at all.
        paired: the supervised procedure, whose only term is `pairing`.
    """
    if paired:
        return (Step(("pairing",), "pairing", 1.0),)
    weights = settings.weights()
    terms = tuple(term for term in FOLLOWED if weights[term] > 0 and (structure or term not in STRUCTURE_TERMS))
    if rule == "joint":
        return (Step(terms, "joint", 1.0),) if terms else ()
    return tuple(Step((term,), "reward" if term == "discount" else term, weights[term]) for term in terms)


def touched(step: Step, trained: Sequence[str]) -> tuple[str, ...]:
    """Names of the trained parameters that a step's terms depend on."""
    blocks = {block for term in step.terms for block in TERM_BLOCKS[term]}
    return tuple(name for name in trained if block_of(name) in blocks)


def empty_optimizer_state(steps: Sequence[Step], params: Params, trained: Sequence[str]) -> OptimizerState:
    """Zero running averages for every slot that the steps use."""
    optimizer_state: OptimizerState = {}
    for step in steps:
        zeros = {name: torch.zeros_like(params[name]) for name in touched(step, trained)}
        optimizer_state[step.slot] = optimizer_state.get(step.slot, {}) | zeros
    return optimizer_state


def apply_update(
    params: Params,
    target: Params,
    optimizer_state: OptimizerState,
    batch: Batch,
    rule: Rule,
    learning_rate: Tensor,
    alive: Tensor,
) -> None:
    """One update of every member, in place.

    Args:
        params: (members, ...) leaves; those that a step touches require gradients and are changed.
        target: encoder and value parameters of the target copy.
        optimizer_state: running averages of every step, changed.
        batch: one batch per member.
        rule: what an update consists of.
        learning_rate: (members,).
        alive: (members,) bool, set False for a member whose gradient stops being finite.
    """
    for step, names in rule.steps:
        trained = [params[name] for name in names]
        terms = rule.loss(params, batch, step.terms, target)
        value = rule.loss.total(terms) if len(step.terms) > 1 else terms[step.terms[0]]
        # Members do not interact, so the gradient of the sum is each member's own gradient.
        grads = torch.autograd.grad(value.sum(), trained)
        rate = learning_rate if step.rate == 1.0 else learning_rate * step.rate
        squares = optimizer_state[step.slot]
        rmsprop_step(trained, grads, [squares[name] for name in names], rate, alive, rule.rmsprop)
