"""Updates of the dense agent in compiled code: the tables that `nets.update_members` runs from.

What an update is, is said in `update_rules` and `agent.loss`; here it is only written down as numbers. `--engine reference` does without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.agent.agent import Agent
from crar_model.agent.loss_compiled import COLUMNS, all_compiled, coefficients
from crar_model.core.params import BLOCKS, Params, block_of
from crar_model.core.settings import LossSettings
from crar_model.nets import MemberState, Observed, Transitions, UpdateTables, ready_for, update_members
from crar_model.training.update_rules import OptimizerState, Rule

MOST_ROWS = 512
"""Observations that every update encodes; where there are more, it encodes those of its batch."""


def applies(agent: Agent, settings: LossSettings) -> bool:
    """Whether an agent's updates can be compiled: all networks dense, the encoder with a hidden layer, every term of the loss with a kernel."""
    return all_compiled(settings) and agent.dense_widths is not None and len(agent.dense_widths["encoder"]) > 2


def tables_of(rule: Rule, names: Sequence[str], trained: frozenset[str], blocks: Mapping[str, tuple[Any, ...]]) -> UpdateTables:
    """What an update consists of, as numbers.

    Args:
        rule: the same in words.
        names: parameters, block by block.
        trained: those that train.
        blocks: widths or layers of every block.
    """
    weights = np.zeros((len(rule.steps), len(COLUMNS)), dtype=np.float32)
    of_total = rule.loss.settings.weights() | {"pairing": 1.0}
    for row, (step, _) in enumerate(rule.steps):
        for term in step.terms:  # a step on one term follows it unweighted, its rate has the weight
            weights[row, COLUMNS[term]] = of_total[term] if len(step.terms) > 1 else 1.0
    return UpdateTables(
        names=tuple(names),
        blocks={block: tuple(layers) for block, layers in blocks.items()},
        trained=tuple(any(name in trained for name in names if block_of(name) == block) for block in BLOCKS),
        step_weights=weights,
        step_slots=tuple(step.slot for step, _ in rule.steps),
        step_rates=np.array([step.rate for step, _ in rule.steps], dtype=np.float32),
        step_names=tuple(frozenset(own) for _, own in rule.steps),
        scalars=coefficients(rule.loss),
        optimiser=rule.rmsprop,
    )


def by_block(params: Params) -> list[str]:
    """Names of parameters, block by block."""
    return [name for block in BLOCKS for name in params if block_of(name) == block]


def pieces_of(room: Tensor, names: Sequence[str], params: Params) -> Params:
    """The numbers of one member's parameters that lie one after the other, copied."""
    pieces = torch.split(room, [params[name][0].numel() for name in names])
    return {name: piece.view(params[name].shape[1:]).clone() for name, piece in zip(names, pieces, strict=True)}


class CompiledUpdates:
    """Several updates per call for members whose networks are dense and whose observations can be listed.

    Args:
        agent: gives the widths of the networks.
        params: (members, ...) float32 on the CPU, changed by :meth:`run`.
        trained: names of those that train.
        observed: the observations of every state.
    """

    def __init__(self, agent: Agent, params: Params, trained: Sequence[str], observed: Observed) -> None:
        assert agent.dense_widths is not None
        self.agent, self.params = agent, params
        self.names = by_block(params)
        self.trained = frozenset(trained)
        self.observed = observed
        self.room = torch.zeros(sum(params[name][0].numel() for name in self.names))
        self.tables: dict[Rule, UpdateTables] = {}

    def run(self, rule: Rule, squares: OptimizerState, batches: Transitions, rates: Tensor, alive: Tensor) -> None:
        """Take an update for every row of `rates`.

        Args:
            rule: what an update consists of.
            squares: running averages of every slot, changed.
            batches: (updates, members, batch) transitions.
            rates: (updates, members) float32 learning rates.
            alive: (members,) bool, set False for a member whose step is not finite, from then on left alone.
        """
        if rule not in self.tables:
            self.tables[rule] = self._tables(rule)
        if self.observed.rows <= MOST_ROWS:
            update_members(self.tables[rule], self.observed, MemberState(self.params, squares, alive, self.room), batches, rates)
            return
        for member in range(len(alive)):
            own = slice(member, member + 1)
            slots = {slot: {name: value[own] for name, value in values.items()} for slot, values in squares.items()}
            state = MemberState({name: value[own] for name, value in self.params.items()}, slots, alive[own], self.room)
            ready = ready_for(self.tables[rule], state)
            for update in range(len(rates)):
                observed, batch = self._of_batch(batches, update, own)
                update_members(self.tables[rule], observed, state, batch, rates[update : update + 1, own], ready=ready)

    def _of_batch(self, batches: Transitions, update: int, own: slice) -> tuple[Observed, Transitions]:
        """One update of one member, on the observations of its batch alone."""
        one = {name: getattr(batches, name)[update : update + 1, own] for name in ("state", "next_state", "action", "reward", "terminated")}
        rows, place = torch.unique(torch.cat((one["state"], one["next_state"])), return_inverse=True)
        one["state"], one["next_state"] = place[:1], place[1:]
        anchors = None if batches.anchors is None else batches.anchors[own, rows.clamp_max(batches.anchors.shape[1] - 1)]
        return self.observed.pick(rows.numpy()), Transitions(**one, values=batches.values[own, rows], anchors=anchors)

    def gradients(self, rule: Rule, batches: Transitions) -> Params:
        """Gradient of a rule of one step, for a lone member on one batch; nothing is changed.

        Returns:
            name -> gradient of the parameters that the step trains, without the member axis.
        """
        ((_, touched),) = rule.steps
        squares = {step.slot: {name: torch.zeros_like(self.params[name]) for name in names} for step, names in rule.steps}
        state = MemberState(self.params, squares, torch.ones(1, dtype=torch.bool), self.room)
        update_members(self._tables(rule), self.observed, state, batches, torch.zeros(1, 1), gradient_only=True)
        return {name: piece for name, piece in pieces_of(self.room, self.names, self.params).items() if name in touched}

    def _tables(self, rule: Rule) -> UpdateTables:
        return tables_of(rule, self.names, self.trained, self.agent.dense_widths or {})
