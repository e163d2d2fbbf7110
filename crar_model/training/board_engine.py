"""Updates of the convolutional agent in compiled code: the tables that `nets.update_boards` runs from, as `engine` has them for the dense one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from crar_model.agent.agent import Agent
from crar_model.agent.loss_compiled import all_compiled
from crar_model.core.params import Params
from crar_model.core.settings import LossSettings
from crar_model.nets import BoardTransitions, MemberState, UpdateTables, update_boards
from crar_model.training.engine import by_block, pieces_of, tables_of
from crar_model.training.update_rules import OptimizerState, Rule

MOST_UPDATES = 16
"""Updates of one call: their boards are indexed and their targets computed together, and Ctrl-C waits for its end."""


def boards_apply(agent: Agent, settings: LossSettings) -> bool:
    """Whether an agent's updates can be compiled here: observations are tile maps, every term of the loss has a kernel."""
    return all_compiled(settings) and agent.tile_networks is not None


class BoardUpdates:
    """Several updates per call for members whose observations are tile maps.

    Args:
        agent: gives the networks; it has `tile_networks`.
        params: (members, ...) float32 on the CPU, changed by :meth:`run`.
        trained: names of those that train.
        target: (members, ...) encoder and value parameters of the target copy, read by :meth:`run`.
    """

    def __init__(self, agent: Agent, params: Params, trained: Sequence[str], target: Params) -> None:
        assert agent.tile_networks is not None
        self.layers, self.other = agent.tile_networks
        self.params, self.target, self.names = params, target, by_block(params)
        self.trained = frozenset(trained)
        self.room = torch.zeros(sum(params[name][0].numel() for name in self.names))
        self.tables: dict[Rule, UpdateTables] = {}

    def run(self, rule: Rule, squares: OptimizerState, batches: BoardTransitions, rates: Tensor, alive: Tensor) -> None:
        """Take an update for every row of `rates`.

        Args:
            rule: what an update consists of.
            squares: running averages of every slot, changed.
            batches: (updates, members, batch) transitions.
            rates: (updates, members) float32 learning rates.
            alive: (members,) bool, set False for a member whose step is not finite, from then on left alone.
        """
        if rule not in self.tables:
            self.tables[rule] = tables_of(rule, self.names, self.trained, self.layers)
        update_boards(self.tables[rule], self.target, MemberState(self.params, squares, alive, self.room), batches, rates, self.other)

    def gradients(self, rule: Rule, batches: BoardTransitions) -> Params:
        """Gradient of a rule of one step, for a lone member on one batch; nothing is changed.

        Returns:
            name -> gradient of the parameters that the step trains, without the member axis.
        """
        ((step, touched),) = rule.steps
        squares = {step.slot: {name: torch.zeros_like(self.params[name]) for name in touched}}
        state = MemberState(self.params, squares, torch.ones(1, dtype=torch.bool), self.room)
        tables = tables_of(rule, self.names, self.trained, self.layers)
        update_boards(tables, self.target, state, batches, torch.zeros(1, 1), self.other, gradient_only=True)
        return {name: piece for name, piece in pieces_of(self.room, self.names, self.params).items() if name in touched}
