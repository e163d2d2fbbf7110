"""Any Gymnasium environment as a task: found out from its data whether states can be listed."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.params import Params
from crar_model.core.settings import PlaySettings, TrainSettings
from crar_model.mazes.maps import OWN_MAP, ObservationMap
from crar_model.tasks.samples import Sampling
from crar_model.tasks.world_samples import WorldSamples

if TYPE_CHECKING:
    import torch

    from crar_model.agent.networks import Agent
    from crar_model.agent.planning import Observation, Rows
    from crar_model.mazes.table import StateTable
    from crar_model.tasks.data import Data
    from crar_model.tasks.metrics import Metric
    from crar_model.tasks.task import Task
    from crar_model.worlds.listing import Listing
    from crar_model.worlds.tables import WorldTable
    from crar_model.worlds.world import World

ABSTRACT = 3
"""Numbers of an abstract state in runs that do not say it: those of before :meth:`WorldTask.begun`."""
NAME = "world"


class WorldTask(WorldSamples):
    """An environment of one's own, by its id or by data of it."""

    name, title = NAME, "world of your own"
    defaults = {"updates": 60_000, "log_interval": 1_000}
    transfer_defaults = {"updates": 40_000, "update_rule": "sequential"}
    sampling = Sampling("all moves that were tried", complete=True, dtype="float64", space="embedding", unit="moves")
    reads_walks = known_by_data = True
    pace = {"joint": 2_000.0, "sequential": 500.0}

    table_of: WorldTable | None = None
    """What was observed; None before data are named."""
    place = ""
    """Where the data were when they were first read."""
    abstract_dim = 0
    """Numbers of an abstract state; 0 takes `ABSTRACT`."""

    def with_data(self, data: str, digest: str, abstract_dim: int = 0, reward_scale: float = 0.0, near: StrPath | None = None) -> Task:
        """The task in the world that data show; the same digest gives the same task."""
        if not data:
            raise UserError(f"--maze {self.name}: it is learned from data; give --env ID, or --data with a Minari dataset")
        from crar_model.worlds.world import find_world

        found = _seen(self, find_world(data, digest, near).digest, abstract_dim, reward_scale or 1.0)
        found.place = found.place or data
        return found

    def begun(self, settings: TrainSettings) -> TrainSettings:
        """With the numbers of an abstract state, and what rewards are divided by, where nothing is said of them."""
        table = self.table_here
        if settings.even_moves and not table.listing.listed:
            raise UserError(f"--even-moves: the states of {self.title} are not listed, so its moves cannot be counted; leave it out")
        return replace(
            settings,
            abstract_dim=settings.abstract_dim or table.usual_size,
            reward_scale=settings.reward_scale or max(1.0, table.largest_reward),
        )

    def told(self, title: str, what: str) -> WorldTask:
        """The task of a world of which only this is known: its title, and what its models are judged on."""
        own = copy.copy(self)
        own.title, own.sampling = title, replace(self.sampling, what=what)
        return own

    def __reduce__(self) -> tuple[type[WorldTask], tuple[()]]:
        """Another process is sent no data: it reads them where the settings say."""
        return WorldTask, ()

    def __copy__(self) -> WorldTask:
        """A copy in this process has the data."""
        own = object.__new__(type(self))
        vars(own).update(vars(self))
        return own

    def data_file(self, data: str, digest: str) -> tuple[int, str]:
        """Transitions that train, and the digest of the world."""
        from crar_model.tasks.world_batches import split
        from crar_model.worlds.world import find_world

        found = find_world(data, digest).digest
        return len(split(_table(found))[0]), found

    def keep(self, folder: StrPath) -> None:
        """Put the world beside the models."""
        from crar_model.worlds.world import FILE, save_world

        if not (path := Path(folder) / FILE).exists():
            save_world(path, self.world)

    @property
    def table_here(self) -> WorldTable:
        """What was observed.

        Raises:
            UserError: before data are named.
        """
        if self.table_of is None:
            raise UserError(f"--maze {self.name}: it is learned from data; give --env ID, or --data with a Minari dataset")
        return _mapped(self.table_of, self.observation_map)

    def rows_of(self, observation: Observation, *, inverse: bool) -> Rows:
        """Observations as the environment gives them, with any axes before: its numbers are scaled, and on the other side of a map mapped."""
        frames = np.asarray(observation)
        inner = self.world.frames.ndim - 1
        if frames.shape[frames.ndim - inner :] != self.world.frames.shape[1:]:
            raise ValueError(
                f"observations of shape {frames.shape}; {self.title} shows {self.world.frames.shape[1:]}, with any axes before"
            )
        lead = frames.shape[: frames.ndim - inner]
        return self.table_here.shown(frames.reshape(-1, *self.world.frames.shape[1:]), inverse=inverse), lead

    @property
    def world(self) -> World:
        """What was observed."""
        return self.table_here.world

    @property
    def listing(self) -> Listing:
        """What that says of states and moves."""
        return self.table_here.listing

    @property
    def maze(self) -> StateTable | None:
        """States and moves, where they can be listed."""
        return self.table_here if self.table_of is not None and self.sampling.complete else None

    @property
    def facts(self) -> tuple[str, ...]:
        """What is to be said of the world."""
        from crar_model.worlds.tables import facts_of

        if self.table_of is None:
            return ()
        other = self.world.about.get("other") if self.observation_map.name == OWN_MAP else None
        scale = self.table_here.reward_scale
        return (
            *facts_of(self.world, self.listing),
            *([f"rewards are divided by {scale:g}"] if scale != 1 else []),
            *([f"its other side is what {other} shows of the same states"] if other else []),
        )

    @property
    def origin(self) -> dict[str, Any]:
        """Where the data were, what they are, and the numbers of an abstract state."""
        if self.table_of is None:
            return {}
        return {
            "data": self.place,
            "digest": self.world.digest,
            "abstract_dim": self.abstract_dim,
            "reward_scale": self.table_here.reward_scale,
        }

    def why_no_map(self, observation_map: ObservationMap) -> str | None:
        """Every map is possible, and what the data hold of the other side."""
        if observation_map.name == OWN_MAP and self.table_of is not None and not len(self.world.other):
            return "the data of this world hold no other side; make one with --map or --to-env"
        return None

    def same_maze(self, other: Task) -> bool:
        """Whether two tasks are one world, whatever its other side."""
        if not isinstance(other, WorldTask) or self.table_of is None or other.table_of is None:
            return super().same_maze(other)
        same = self.world.core == other.world.core and self.agent() == other.agent()
        return same and self.table_here.reward_scale == other.table_here.reward_scale

    def carried(self, params: Params, *, inverse: bool) -> Params:
        """Every map that can be undone is undone by the first dense layer: W A^-1 in the place of W, and its bias."""
        if self.observation_map.per_pixel == (-1.0, 0.0):
            return super().carried(params, inverse=inverse)
        if self.table_here.images:
            return super().carried(params, inverse=inverse)
        from crar_model.agent.symmetry import undo_in_first_layer

        if self.observation_map.name == OWN_MAP:
            from crar_model.tasks.world_agents import fitted

            return undo_in_first_layer(params, *fitted(self.table_here, inverse=inverse))

        channels, height, width = self.table_here.shape
        matrix, shift = self.observation_map.undo(height, width) if inverse else self.observation_map.linear(height, width)
        return undo_in_first_layer(params, np.kron(np.eye(channels), matrix), np.tile(shift, channels))

    def agent(self) -> Agent:
        """Dense networks, or for images an encoder that begins with convolutions."""
        from crar_model.tasks.world_agents import agent_of

        return agent_of(self.table_here, self.abstract_dim or ABSTRACT)

    def data(self, settings: TrainSettings, seeds: Sequence[int], device: torch.device, bases: Sequence[Params] = ()) -> Data:
        """Draws from what was observed, of one's own for every member."""
        from crar_model.tasks.world_batches import walks_of
        from crar_model.tasks.world_data import ImageData, WorldData

        walks = walks_of(self.table_here, settings, seeds, paired=bool(bases))
        kind = ImageData if self.table_here.images else WorldData
        return kind(self.table_here, self.agent(), settings, seeds, device, bases, walks)

    def metrics(self, agent: Agent, params: Params, *, inverse: bool, how: PlaySettings) -> dict[str, Metric]:
        """Share of moves predicted to the right nearest state, and where states are listed of (start, goal) pairs that planning solves."""
        from crar_model.mazes.large import drawn_pairs
        from crar_model.tasks.metrics import navigation_metrics, predicted_successor
        from crar_model.tasks.world_batches import held_out_metrics
        from crar_model.worlds.listing import MOST_GOALS

        if self.sampling.complete:
            table, live = self.table_here, self.table_here.live
            pairs = None
            if len(live) > MOST_GOALS:
                goals, starts = drawn_pairs(len(live))
                pairs = live[goals], live[starts]
            return navigation_metrics(table, predicted_successor(table, agent, params, inverse=inverse), pairs)
        return held_out_metrics(self.table_here, agent, params, inverse=inverse)


@lru_cache(maxsize=64)
def _seen(task: WorldTask, digest: str, abstract_dim: int, reward_scale: float) -> WorldTask:
    own = copy.copy(task)
    table = _scaled(_table(digest), reward_scale)
    own.table_of, own.abstract_dim, own.title = table, abstract_dim, table.world.title
    if table.listing.listed:
        own.sampling = replace(task.sampling, what=f"all {int(table.listing.known.sum()):,} moves that were tried")
    else:
        from crar_model.tasks.world_batches import sampling_of

        own.sampling = sampling_of(table)
    return own


@lru_cache(maxsize=16)
def _table(digest: str) -> WorldTable:
    from crar_model.worlds.listing import list_states
    from crar_model.worlds.tables import WorldTable
    from crar_model.worlds.world import find_world

    world = find_world("", digest)
    return WorldTable.of(world, list_states(world))


@lru_cache(maxsize=64)
def _scaled(table: WorldTable, reward_scale: float) -> WorldTable:
    return table if table.reward_scale == reward_scale else replace(table, reward_scale=reward_scale)


@lru_cache(maxsize=64)
def _mapped(table: WorldTable, observation_map: ObservationMap) -> WorldTable:
    return table if table.map == observation_map else replace(table, map=observation_map)
