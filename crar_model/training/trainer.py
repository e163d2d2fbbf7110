"""Trains the members of one shard as one program.

Everything a member does depends on its own seed and on the update number alone, so it follows the same
trajectory whoever shares the batch, and a resumed run draws the batches that it would have drawn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.agent.loss import Loss
from crar_model.core.params import Params, block_of, select
from crar_model.core.settings import TrainSettings
from crar_model.nets import RMSpropSettings
from crar_model.training.engine import CompiledUpdates, applies
from crar_model.training.leaders import Leaders, by_losses, fill
from crar_model.training.members import Plan, start_parameters
from crar_model.training.update_rules import Rule, apply_update, empty_optimizer_state, plan_steps, touched


class Trainer:
    """Members in training, on one device.

    Attributes:
        params: (members, ...) parameters, float32.
        update: updates taken so far.
        alive: (members,) bool on the device; False froze the member because its gradient was not finite.
        diverged_at: update at which each member's divergence was noticed, -1 for none.
        log_updates, log_values: updates and (members, columns) arrays of the log.
        tail: what the last row of a run of no multiple of the log interval replaced, for when the run is extended beyond it.
        best: every member's network of the best score; None where the maze has none.
        kept: every member's network of the lowest losses, of a variant with a search; None else.
    """

    def __init__(self, plan: Plan, device: torch.device | str | None = None) -> None:
        settings = plan.settings
        self.plan, self.settings = plan, settings
        self.device = torch.device(settings.device if device is None else device)
        self.task = plan.task
        self.agent = self.task.agent()
        loss = Loss(self.agent, settings.loss)
        starts = [start_parameters(plan, member) for member in plan.members]
        self.trained = [name for name in starts[0][0] if block_of(name) in plan.variant.trained]
        self.params: Params = {
            name: torch.stack([params[name] for params, _ in starts]).to(self.device).requires_grad_(name in self.trained)
            for name in starts[0][0]
        }
        self.target = self._target_copy()
        self.rmsprop = RMSpropSettings(settings.rms_decay, settings.rms_epsilon, settings.clip_norm, settings.clip_scope == "tensor")
        supervised = plan.variant.supervised
        steps = plan_steps(settings.update_rule, settings.loss, paired=supervised)
        early = plan_steps(settings.update_rule, settings.loss, structure=False, paired=supervised)
        self.optimizer_state = empty_optimizer_state(steps, self.params, self.trained)
        self.rule, self.early_rule = (
            Rule(tuple((step, touched(step, self.trained)) for step in s), loss, self.rmsprop) for s in (steps, early)
        )
        self.update = 0
        self.alive = torch.ones(len(plan.members), dtype=torch.bool, device=self.device)
        self.diverged_at = [-1] * len(plan.members)
        self.log_updates: list[int] = []
        self.log_values: list[np.ndarray[Any, Any]] = []
        self.rates = torch.tensor([member.learning_rate for member in plan.members], device=self.device)
        moving = {name: self.params[name] for name in self.trained}
        self.best = Leaders(moving, len(plan.members)) if self.task.scored else None
        self.kept = Leaders(moving, len(plan.members)) if plan.variant.search else None
        bases = [base.parameters for _, base in starts if base is not None] if supervised else []
        self.data = self.task.data(settings, [member.seed for member in plan.members], self.device, bases)
        self.evaluation = loss.on(self.task.batch(inverse=settings.inverse, dtype=torch.float32).to(self.device, torch.float32))
        self.data.new_target(self.target)
        self.engine: CompiledUpdates | None = None
        self.listed = (
            self.data.listed if settings.engine == "compiled" and self.device.type == "cpu" and applies(self.agent, settings.loss) else None
        )
        if self.listed is not None:
            self.engine = CompiledUpdates(self.agent, self.params, self.trained, self.listed.seen)
        self.tail: dict[str, Any] = {}

    def _target_copy(self) -> Params:
        return {name: value.detach().clone() for name, value in select(self.params, ("encoder", "value")).items()}

    def one_update(self) -> None:
        """One update of every member, without a host sync."""
        self.take_updates(1)

    def take_updates(self, most: int) -> None:
        """Up to `most` updates of every member, without a host sync between them: one, or in compiled code as many as share a target copy, a
        rule and a draw of batches."""
        settings, now = self.settings, self.update
        if now % settings.target_interval == 0:
            self._refresh_target()
        rule, until = self.rule, now + most
        if now < settings.structure_delay:
            rule, until = self.early_rule, min(until, settings.structure_delay)
        if self.engine is None or self.listed is None:
            apply_update(self.params, self.target, self.optimizer_state, self.data.batch(now), rule, self._rates(now, 1)[0], self.alive)
            self.update += 1
            return
        until = min(until, (now // settings.target_interval + 1) * settings.target_interval)
        batches = self.listed.batches(now, until - now)
        count = len(batches.state)
        self.engine.run(rule, self.optimizer_state, batches, self._rates(now, count), self.alive)
        self.update += count

    def _rates(self, first: int, count: int) -> Tensor:
        """(updates, members) learning rates."""
        settings = self.settings
        decays = [settings.learning_rate_decay ** (update // settings.decay_interval) for update in range(first, first + count)]
        return torch.stack([self.rates * decay for decay in decays])

    def _refresh_target(self) -> None:
        for name, value in self.target.items():
            value.copy_(self.params[name].detach())
        self.data.new_target(self.target)

    def advance(self, updates: int) -> None:
        """Take up to `updates` further updates, logging on the way, never beyond the settings' number."""
        interval, end = self.settings.log_interval, min(self.update + updates, self.settings.updates)
        while self.update < end:
            if self.update % interval == 0:
                self.record()
            self.take_updates(min(end, (self.update // interval + 1) * interval) - self.update)
        if self.finished:
            if self.update % self.settings.log_interval and not self.tail:
                self.tail = self._leaders() | {"update": self.update, "diverged_at": list(self.diverged_at)}
            self.record()

    @property
    def finished(self) -> bool:
        """True when all updates are taken."""
        return self.update >= self.settings.updates

    def record(self) -> None:
        """Log every term on the evaluation batch, and the score where the maze has one, once per update number; keep
        the parameters that lead, and note members that have diverged."""
        if self.log_updates and self.log_updates[-1] >= self.update:
            return
        values = self._terms()
        if self.best is not None:
            seeds = [[member.seed, self.update] for member in self.plan.members]
            with torch.no_grad():
                scores = self.task.validate(self.agent, self.params, seeds=seeds, settings=self.settings).numpy().astype(np.float32)
            self.best.offer(self.params, [[score] for score in scores.tolist()], self.update)
            values = np.concatenate((values, scores[:, None]), axis=1)
        self.log_updates.append(self.update)
        self.log_values.append(values)
        for k, alive in enumerate(self.alive.tolist()):
            if not alive and self.diverged_at[k] < 0:
                self.diverged_at[k] = self.update

    def _terms(self) -> np.ndarray[Any, Any]:
        """(members, terms) losses on the evaluation batch, the total last; keeps the parameters of the lowest where the variant asks for it."""
        with torch.no_grad():
            terms = self.evaluation.terms(self.params)
            if self.kept is not None:
                self.kept.offer(self.params, by_losses(self.task, self.params, terms, inverse=self.settings.inverse), self.update)
            return torch.stack(list(terms.values()), dim=-1).cpu().numpy()

    def member_parameters(self, k: int) -> Params:
        """Parameters of member k alone, on the CPU."""
        return {name: value.detach()[k].cpu().clone() for name, value in self.params.items()}

    def state(self) -> dict[str, Any]:
        """Everything a resumed run needs, as plain tensors and plain data."""
        return {
            "update": self.update,
            "params": {name: self.params[name].detach().cpu().clone() for name in self.trained},
            "target": {name: value.cpu().clone() for name, value in self.target.items()},
            "slots": {slot: {name: v.cpu().clone() for name, v in values.items()} for slot, values in self.optimizer_state.items()},
            "alive": self.alive.cpu().clone(),
            "diverged_at": list(self.diverged_at),
            "log_updates": list(self.log_updates),
            **self._leaders(),
            "tail": self.tail,
            "log_values": torch.from_numpy(np.stack(self.log_values)) if self.log_values else torch.zeros(0),
        }

    def _leaders(self) -> dict[str, Any]:
        return {name: leaders.state() for name, leaders in (("best", self.best), ("kept", self.kept)) if leaders is not None}

    def _restore_leaders(self, state: dict[str, Any]) -> None:
        """Before the parameters: what a state of an earlier version lacks begins with where the member started."""
        best, kept = state.get("best"), state.get("kept")
        if self.best is not None and best:
            if "best_score" in state:  # as it was written once
                best = {"params": best, "figures": [[score] for score in state["best_score"]], "updates": state["best_update"]}
            self.best.restore(best)
        if self.kept is not None and kept:
            self.kept.restore(kept)
        elif self.kept is not None:
            self._terms()

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`, bit for bit; a run that goes beyond where it ended, as if it had not ended there."""
        rows = kept_rows(state, self.settings)
        if rows < len(state["log_updates"]):
            state = {**state, **state.get("tail", {}), "update": state["update"], "tail": {}}
        with torch.no_grad():
            self._restore_leaders(state)
            fill(self.params, state["params"])
            fill(self.target, state["target"])
            for slot, values in state["slots"].items():
                fill(self.optimizer_state[slot], values)
            self.alive.copy_(state["alive"])
        self.data.new_target(self.target)
        self.update = int(state["update"])
        self.diverged_at = [int(update) for update in state["diverged_at"]]
        self.log_updates = [int(update) for update in state["log_updates"][:rows]]
        self.log_values = list(state["log_values"].numpy()[:rows]) if self.log_updates else []
        self.tail = dict(state.get("tail", {}))


def kept_rows(state: dict[str, Any], settings: TrainSettings) -> int:
    """How many rows of a saved state's log belong to a run with these settings: the last one does not when it was written only because
    the run ended there, and the run now goes on."""
    updates = state["log_updates"]
    ended_there = bool(updates) and updates[-1] % settings.log_interval != 0 and updates[-1] < settings.updates
    return len(updates) - ended_there
