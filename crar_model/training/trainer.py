"""Trains the members of one shard as one program.

Everything a member does depends on its own seed and on the update number alone, so it follows the same
trajectory whoever shares the batch, and a resumed run draws the batches that it would have drawn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.agents import agent_for, block_of, select
from crar_model.batches import Batch, complete_batch, gather_random_walk
from crar_model.losses import TERMS, loss_terms, total
from crar_model.mazes.simple import simple_maze
from crar_model.networks import Params
from crar_model.training.members import Plan, start_parameters
from crar_model.training.rmsprop import RMSpropSettings
from crar_model.training.update_rules import apply_update, empty_slots, plan_steps, touched

LOGGED = (*TERMS, "total")
"""Columns of the loss log: every term on the complete transition set, and their weighted sum."""
DRAWS = 1_000
"""Updates whose batches are drawn at once, from a generator of their own."""


class Trainer:
    """Members in training, on one device.

    Attributes:
        params: (members, ...) parameters, float32.
        update: updates taken so far.
        alive: (members,) bool on the device; False froze the member because its gradient was not finite.
        diverged_at: update at which each member's divergence was noticed, -1 for none.
        log_updates, log_values: updates and (members, terms) arrays of the loss log.
    """

    def __init__(self, plan: Plan, device: torch.device | str | None = None) -> None:
        settings = plan.settings
        self.plan, self.settings = plan, settings
        self.device = torch.device(settings.device if device is None else device)
        self.agent = agent_for(settings.maze)
        starts = [start_parameters(plan, member) for member in plan.members]
        self.trained = [name for name in starts[0][0] if block_of(name) in plan.trained_blocks]
        self.params: Params = {
            name: torch.stack([params[name] for params, _ in starts]).to(self.device).requires_grad_(name in self.trained)
            for name in starts[0][0]
        }
        self.target = self._target_copy()
        self.rmsprop = RMSpropSettings(settings.rms_decay, settings.rms_epsilon, settings.clip_norm, settings.clip_scope == "tensor")
        paired = plan.variant == "paired"
        steps = plan_steps(settings.update_rule, settings.loss, paired=paired)
        early = plan_steps(settings.update_rule, settings.loss, structure=False, paired=paired)
        self.slots = empty_slots(steps, self.params, self.trained)
        self.steps, self.early_steps = ([(step, touched(step, self.trained)) for step in s] for s in (steps, early))
        self.update = 0
        self.alive = torch.ones(len(plan.members), dtype=torch.bool, device=self.device)
        self.diverged_at = [-1] * len(plan.members)
        self.log_updates: list[int] = []
        self.log_values: list[np.ndarray[Any, Any]] = []
        self.rates = torch.tensor([member.learning_rate for member in plan.members], device=self.device)
        self._gather_data()
        self.anchors = self._anchor_table() if paired else None
        self._bootstrap()
        self._drawn: tuple[int, dict[str, Tensor]] = (-1, {})

    def _gather_data(self) -> None:
        settings = self.settings
        walks = [gather_random_walk(member.seed, settings.data_size, terminal_last=settings.terminal_last) for member in self.plan.members]
        self.data = {name: torch.from_numpy(np.stack([walk[name] for walk in walks])) for name in walks[0]}
        self.complete = complete_batch(inverse=settings.inverse).to(self.device, torch.float32)
        observations = simple_maze().observations(inverse=settings.inverse)
        if settings.terminal_last:  # the all-zero observation that follows the terminal tuple
            observations = torch.cat((observations, torch.zeros_like(observations[:1])))
        self.observations = observations.to(self.device)
        self.no_reward = torch.zeros(len(self.plan.members), settings.batch_size, device=self.device)

    def _anchor_table(self) -> Tensor:
        """(members, rows, d): what each base's encoder says of the paired observation in the base's maze."""
        others = simple_maze().observations(inverse=not self.settings.inverse)
        tables = []
        for member in self.plan.members:
            _, base = start_parameters(self.plan, member)
            assert base is not None
            tables.append(self.agent.encode(base.parameters, others))
        return torch.stack(tables).to(self.device)

    def _target_copy(self) -> Params:
        return {name: value.detach().clone() for name, value in select(self.params, ("encoder", "value")).items()}

    def _batch(self) -> Batch:
        """This update's batch of every member; indices are drawn and moved to the device DRAWS updates at a time."""
        block, row = divmod(self.update, DRAWS)
        if self._drawn[0] != block:
            size = self.settings.batch_size
            draws = np.stack(
                [np.random.default_rng([m.seed, 2, block]).integers(0, self.settings.data_size, (DRAWS, size)) for m in self.plan.members]
            )  # (members, DRAWS, batch)
            picks = torch.from_numpy(draws).flatten(1)
            drawn = {
                name: values.gather(1, picks).view(len(self.plan.members), DRAWS, size).transpose(0, 1).contiguous().to(self.device)
                for name, values in self.data.items()
            }
            drawn["onehot"] = self.agent.one_hot(drawn["action"], torch.float32)
            self._drawn = (block, drawn)
        picked = {name: values[row] for name, values in self._drawn[1].items()}
        if self.bootstrap is not None:
            following = (1 - picked["terminal"]) * self.bootstrap.gather(1, picked["following"])
        anchor = None
        if self.anchors is not None:
            anchor = torch.take_along_dim(self.anchors, picked["current"].unsqueeze(-1), dim=1)
        return Batch(
            self.observations, picked["current"], picked["following"], picked["action"], self.no_reward,
            picked["terminal"], anchor=anchor, onehot=picked["onehot"],
            value_target=None if self.bootstrap is None else following,
        )  # fmt: skip

    def one_update(self) -> None:
        """One update of every member, without a host sync."""
        settings = self.settings
        if self.update % settings.target_interval == 0:
            self._refresh_target()
        decay = settings.learning_rate_decay ** (self.update // settings.decay_interval)
        apply_update(
            self.agent, self.params, self.target, self.slots, self._batch(),
            self.early_steps if self.update < settings.structure_delay else self.steps, self.rates * decay, self.alive, settings.loss, self.rmsprop,
        )  # fmt: skip
        self.update += 1

    def _refresh_target(self) -> None:
        for name, value in self.target.items():
            value.copy_(self.params[name].detach())
        self._bootstrap()

    def _bootstrap(self) -> None:
        """Discounted values of all states by the target copy, which stay the same until its next refresh; with double
        Q they depend on the online network and the loss computes them."""
        self.bootstrap: Tensor | None = None
        if not self.settings.loss.double_q:
            with torch.no_grad():
                values = self.agent.value(self.target, self.agent.encode(self.target, self.observations))
                self.bootstrap = self.settings.loss.discount * values.amax(-1)  # (members, rows)

    def advance(self, updates: int) -> None:
        """Take up to `updates` further updates, logging on the way, never beyond the settings' number."""
        for _ in range(min(updates, self.settings.updates - self.update)):
            if self.update % self.settings.log_interval == 0:
                self.record()
            self.one_update()
        if self.finished:
            self.record()

    @property
    def finished(self) -> bool:
        """True when all updates are taken."""
        return self.update >= self.settings.updates

    def record(self) -> None:
        """Log every term on the complete set, once per update number, and note members that have diverged."""
        if self.log_updates and self.log_updates[-1] >= self.update:
            return
        with torch.no_grad():
            terms = loss_terms(self.agent, self.params, self.complete, self.settings.loss)
            columns = [*terms.values(), total(terms, self.settings.loss)]
            values = torch.stack(columns, dim=-1).cpu().numpy()  # (members, terms)
        self.log_updates.append(self.update)
        self.log_values.append(values)
        for k, alive in enumerate(self.alive.tolist()):
            if not alive and self.diverged_at[k] < 0:
                self.diverged_at[k] = self.update

    def member_parameters(self, k: int) -> Params:
        """Parameters of member k alone, on the CPU."""
        return {name: value.detach()[k].cpu().clone() for name, value in self.params.items()}

    def state(self) -> dict[str, Any]:
        """Everything a resumed run needs, as plain tensors and plain data."""
        return {
            "update": self.update,
            "params": {name: self.params[name].detach().cpu().clone() for name in self.trained},
            "target": {name: value.cpu().clone() for name, value in self.target.items()},
            "slots": {slot: {name: v.cpu().clone() for name, v in values.items()} for slot, values in self.slots.items()},
            "alive": self.alive.cpu().clone(),
            "diverged_at": list(self.diverged_at),
            "log_updates": list(self.log_updates),
            "log_values": torch.from_numpy(np.stack(self.log_values)) if self.log_values else torch.zeros(0),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`, bit for bit."""
        with torch.no_grad():
            for name, value in state["params"].items():
                self.params[name].copy_(value)
            for name, value in state["target"].items():
                self.target[name].copy_(value)
            for slot, values in state["slots"].items():
                for name, value in values.items():
                    self.slots[slot][name].copy_(value)
            self.alive.copy_(state["alive"])
        self._bootstrap()
        self.update = int(state["update"])
        self.diverged_at = [int(update) for update in state["diverged_at"]]
        self.log_updates = [int(update) for update in state["log_updates"]]
        self.log_values = list(state["log_values"].numpy()) if self.log_updates else []
