"""Where a trainer's batches come from: random-policy data on the device that trains.

What a member sees depends on its own seed and on the update number alone. Indices are drawn and moved to the
device DRAWS updates at a time; an update itself waits for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from crar_model.agent.batch import Batch
from crar_model.agent.networks import Agent
from crar_model.core.errors import UserError
from crar_model.core.params import Params, select
from crar_model.core.settings import TrainSettings
from crar_model.core.streams import Stream
from crar_model.core.tiles import SIZE, negated
from crar_model.mazes.table import StateTable
from crar_model.mazes.walks import Walk, gather_pairs, gather_states, gather_walk, load_walk, observed
from crar_model.nets import Observed, Transitions

DRAWS = 1_000
"""Updates whose batches are drawn at once, from a generator of their own."""


class Data(Protocol):
    """What a trainer asks of its data."""

    @property
    def listed(self) -> TableData | None:
        """Itself where the states of the maze can be listed, so that updates can run in compiled code; None elsewhere."""

    def batch(self, update: int) -> Batch:
        """One batch per member."""

    def new_target(self, target: Params) -> None:
        """Note that the target copy has changed."""


class _Draws:
    """Rows of a data set for every member and update."""

    def __init__(self, seeds: Sequence[int], data_size: int, batch_size: int) -> None:
        self.seeds, self.data_size, self.batch_size = tuple(seeds), data_size, batch_size

    def block(self, block: int) -> Tensor:
        """(members, DRAWS * batch) int64."""
        shape = (DRAWS, self.batch_size)
        draws = np.stack([np.random.default_rng([seed, Stream.BATCHES, block]).integers(0, self.data_size, shape) for seed in self.seeds])
        return torch.from_numpy(draws).flatten(1)


class TableData:
    """Walks of a maze whose states can be listed, as state indices: a batch encodes every state once and picks rows."""

    def __init__(
        self,
        maze: StateTable,
        agent: Agent,
        settings: TrainSettings,
        seeds: Sequence[int],
        device: torch.device,
        bases: Sequence[Params] = (),
        walks: Sequence[dict[str, np.ndarray[Any, Any]]] = (),
    ) -> None:
        self.settings, self.agent, self.device = settings, agent, device
        if walks:  # gathered already: one for each, or one for all
            pass
        elif bases:  # a supervised fit, which has states and no moves
            if settings.data_size > maze.n_states:
                raise UserError(
                    f"{settings.data_size} pairs of {maze.n_states} states: a run of an earlier version; begin it anew with another --out"
                )
            walks = [gather_pairs(maze, seed, settings.data_size) for seed in seeds]
        else:
            walks = [gather_states(maze, seed, settings.data_size, terminal_last=settings.terminal_last) for seed in seeds]
        self.data = {name: torch.from_numpy(np.stack([walk[name] for walk in walks])).expand(len(seeds), -1) for name in walks[0]}
        self.data.setdefault("reward", torch.zeros(1, 1).expand(self.data["terminated"].shape))
        self.rewarded = bool(self.data["reward"].any())
        self.maze = maze
        self._observe()
        self.draws = _Draws(seeds, min(settings.drawn_size, self.data["action"].shape[1]), settings.batch_size)
        self.drawn: tuple[int, dict[str, Tensor]] = (-1, {})
        self.values = torch.zeros(0)
        self.bootstrap: Tensor | None = None
        self.anchors: Tensor | None = None
        if bases:  # (members, states, d): what each base's encoder says of the paired observation in the base's maze
            self.anchors = torch.stack([self._encode_others(base) for base in bases]).to(device)

    def _observe(self) -> None:
        """Keep the observation of every state."""
        observations = self.maze.observations(inverse=self.settings.inverse)
        if self.settings.terminal_last:  # the all-zero observation that follows the terminal tuple
            observations = torch.cat((observations, self.maze.blank()))
        self.observations = observations.to(self.device)

    def _encode(self, params: Params) -> Tensor:
        """(*members, rows, d) abstract states of every observation."""
        return self.agent.encode(params, self.observations)

    def _encode_others(self, params: Params) -> Tensor:
        """(states, d) what an encoder says of the states as the other side shows them."""
        return self.agent.encode(params, self.maze.observations(inverse=not self.settings.inverse))

    @property
    def listed(self) -> TableData | None:
        """Itself."""
        return self

    @property
    def seen(self) -> Observed:
        """Every observation, as compiled updates take them."""
        return Observed.of(self.observations.flatten(1).numpy())

    def new_target(self, target: Params) -> None:
        """Compute the values of all states by the target copy, which stay the same until its next refresh, and what they are worth one
        step before; with double Q that depends on the online network and the loss computes it."""
        with torch.no_grad():
            self.values = self.agent.value(target, self._encode(target))  # (members, rows, A)
        if not self.settings.loss.double_q:
            self.bootstrap = self.settings.loss.discount * self.values.amax(-1)  # (members, rows)

    def batches(self, update: int, count: int) -> Transitions:
        """Transitions of at most `count` updates from `update` on, as many as are drawn together."""
        block, row = divmod(update, DRAWS)
        drawn = {name: values[row : row + count] for name, values in self._drawn(block).items()}
        return Transitions(
            drawn["state"], drawn["next_state"], drawn["action"], drawn["reward"], drawn["terminated"], self.values, self.anchors
        )  # fmt: skip

    def _drawn(self, block: int) -> dict[str, Tensor]:
        if self.drawn[0] != block:
            picks, shape = self.draws.block(block), (-1, DRAWS, self.settings.batch_size)
            drawn = {
                name: values.gather(1, picks).view(shape).transpose(0, 1).contiguous().to(self.device) for name, values in self.data.items()
            }
            drawn["onehot"] = self.agent.one_hot(drawn["action"], torch.float32)
            self.drawn = (block, drawn)
        return self.drawn[1]

    def batch(self, update: int) -> Batch:
        """One batch per member."""
        block, row = divmod(update, DRAWS)
        picked = {name: values[row] for name, values in self._drawn(block).items()}
        next_state = None
        if self.bootstrap is not None:
            next_state = (1 - picked["terminated"]) * self.bootstrap.gather(1, picked["next_state"])
            next_state = picked["reward"] + next_state if self.rewarded else next_state
        anchor = None
        if self.anchors is not None:
            anchor = torch.take_along_dim(self.anchors, picked["state"].unsqueeze(-1), dim=1)
        return Batch(
            *self._rows(picked["state"], picked["next_state"]), picked["action"], picked["reward"],
            picked["terminated"], anchor=anchor, onehot=picked["onehot"], value_target=next_state,
        )  # fmt: skip

    def _rows(self, state: Tensor, next_state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A table of observations, and the rows (members, batch) of these states in it."""
        return self.observations, state, next_state


def _own_walk(settings: TrainSettings, seed: int) -> Walk:
    quirks = {name: getattr(settings, name) for name in ("legacy_astar", "blank_terminal", "terminal_last", "inverse")}
    return gather_walk(seed, settings.data_size, **quirks)


class TileData:
    """Walks of the random mazes as tile maps: a batch picks its boards, whose images are drawn by the encoder."""

    def __init__(
        self, agent: Agent, settings: TrainSettings, seeds: Sequence[int], device: torch.device, bases: Sequence[Params] = ()
    ) -> None:
        self.settings, self.agent, self.device = settings, agent, device
        if settings.data:  # one walk for all; the members still draw their own batches from it
            walks = [observed(load_walk(Path(settings.data), settings.data_digest), inverse=settings.inverse)]
        else:
            walks = [_own_walk(settings, seed) for seed in seeds]
        frames = max(len(walk.tiles) for walk in walks)
        padded = [np.pad(walk.tiles, ((0, frames - len(walk.tiles)), (0, 0))) for walk in walks]
        self.tiles = torch.from_numpy(np.concatenate(padded)).to(device)  # (members frames, 64)
        offset = torch.arange(len(walks)).unsqueeze(1) * frames

        def stacked(name: str) -> Tensor:  # (members, transitions)
            return torch.from_numpy(np.stack([getattr(walk, name) for walk in walks]))

        self.rows = {name: (stacked(name) + offset).expand(len(seeds), -1) for name in ("state", "next_state")}
        self.data = {name: stacked(name).expand(len(seeds), -1) for name in ("action", "reward", "terminated")}
        size = settings.batch_size
        self.places = torch.arange(2 * size, device=device).chunk(2)
        self.draws = _Draws(seeds, settings.drawn_size, size)
        self.drawn: tuple[int, dict[str, Tensor]] = (-1, {})
        self.bases: Params | None = None
        if bases:
            encoders = [select(base, ("encoder",)) for base in bases]
            self.bases = {name: torch.stack([e[name] for e in encoders]).to(device) for name in encoders[0]}

    @property
    def listed(self) -> None:
        """The states are too many to list."""
        return None

    def new_target(self, target: Params) -> None:
        """Nothing to note: the observations are too many to keep their values."""

    def batch(self, update: int) -> Batch:
        """One batch per member; its observations are those of s, then those of s'."""
        block, row = divmod(update, DRAWS)
        if self.drawn[0] != block:
            picks, shape = self.draws.block(block), (-1, DRAWS, self.settings.batch_size)

            def pick(values: Tensor) -> Tensor:
                return values.gather(1, picks).view(shape).transpose(0, 1).contiguous()

            drawn = {name: pick(values) for name, values in self.data.items()}
            drawn["rows"] = torch.cat([pick(self.rows[name]) for name in ("state", "next_state")], dim=-1).to(torch.int64)
            drawn["terminated"] = drawn["terminated"].to(torch.float32)
            drawn["action"] = drawn["action"].to(torch.int64)
            drawn = {name: values.to(self.device) for name, values in drawn.items()}
            drawn["onehot"] = self.agent.one_hot(drawn["action"], torch.float32)
            self.drawn = (block, drawn)
        picked = {name: values[row] for name, values in self.drawn[1].items()}
        tiles = torch.unflatten(self.tiles[picked["rows"]], -1, (1, SIZE, SIZE))  # (members, 2 batch, 1, 8, 8)
        state, next_state = self.places
        anchor = None
        if self.bases is not None:
            with torch.no_grad():
                anchor = self.agent.encode(self.bases, negated(tiles[:, : len(state)]))
        return Batch(
            tiles, state, next_state, picked["action"], picked["reward"], picked["terminated"], anchor=anchor, onehot=picked["onehot"]
        )
