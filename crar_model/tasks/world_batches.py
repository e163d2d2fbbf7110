"""What a world's task trains on and is judged on: draws from its data, and held-out episodes where its states cannot be listed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from crar_model.agent.batch import Batch
from crar_model.agent.networks import Agent
from crar_model.core.errors import UserError
from crar_model.core.params import Params
from crar_model.core.settings import TrainSettings
from crar_model.core.sizes import SAMPLE
from crar_model.core.streams import Stream
from crar_model.tasks.metrics import Metric, mispredicted
from crar_model.tasks.samples import Sampling
from crar_model.worlds.tables import WorldTable

Array = np.ndarray[Any, Any]
SIZE, LARGE = 512, 8_192
"""Held-out transitions that losses are compared on, and that tables and verdicts are made on."""
LEAST = 64
"""Fewer transitions are no sample that is taken unasked."""
HELD_OUT = 0.2
"""Share of the episodes that no training sees, where states are not listed."""
SEED = 1_000_003
"""Of what is held out; no member of a run has it."""


@lru_cache(maxsize=16)
def split(table: WorldTable) -> tuple[Array, Array]:
    """Transitions that train, and those of held-out episodes in random order; all of them and none where states are listed."""
    world, every = table.world, np.arange(table.world.steps)
    if table.listing.listed:
        return every, every[:0]
    episode = np.cumsum(world.first) - 1
    rng = np.random.default_rng([SEED, Stream.HELD_OUT])
    count = int(world.first.sum())
    if count < 2:
        raise UserError(f"{world.title}: its data are one episode, of which none can be held out; gather more")
    out = np.isin(episode, rng.permutation(count)[: max(1, round(HELD_OUT * count))])
    return every[~out], rng.permutation(every[out])


def walks_of(table: WorldTable, settings: TrainSettings, seeds: Sequence[int], *, paired: bool) -> list[dict[str, Array]]:
    """What members learn from, one table of transitions for all; for a supervised fit the states that each of them observes on both sides."""
    world = table.world
    if paired:
        live = table.live.numpy() if table.listing.listed else np.unique(world.state[split(table)[0]])
        found: list[dict[str, Array]] = []
        for seed in seeds:
            state = np.random.default_rng([seed, Stream.PAIRS]).permutation(live)[: settings.data_size].astype(np.int64)
            none = np.zeros(len(state))
            found.append({"state": state, "next_state": state, "action": none.astype(np.int64), "terminated": none.astype(np.float32)})
        return found
    own = evenly(world.state, world.action) if settings.even_moves else split(table)[0]
    walk: dict[str, Array] = {
        "state": world.state[own].astype(np.int64), "next_state": world.next_state[own].astype(np.int64),
        "action": world.action[own].astype(np.int64), "terminated": world.terminated[own].astype(np.float32),
        "reward": table.paid(own).astype(np.float32),
    }  # fmt: skip
    return [walk]


def evenly(state: Array, action: Array) -> Array:
    """Indices of transitions in which every pair of state and action comes equally often, as often as it does in the mean: its own
    transitions in order, the same ones again where they are few, at even steps where they are many."""
    order = np.lexsort((action, state))
    begins = np.flatnonzero(np.diff(state[order], prepend=-1) | np.diff(action[order], prepend=-1))
    counts = np.diff(begins, append=len(order))
    times = np.arange(len(order) // len(begins))
    found: Array = order[(begins[:, None] + times * counts[:, None] // len(times)).ravel()]
    return found


def sampling_of(table: WorldTable) -> Sampling:
    """How the loss of a world is looked at whose states cannot be listed."""
    held = len(split(table)[1])
    return Sampling(
        f"{min(SIZE, held):,} held-out transitions", complete=False, dtype="float32", space="weight", batched=True, unit="moves",
        table=f"{min(LARGE, held):,} held-out transitions",
    )  # fmt: skip


def picked(table: WorldTable, picks: Array, *, inverse: bool, dtype: torch.dtype) -> Batch:
    """Some transitions as an evaluation set, in their order."""
    world = table.world
    rows, place = np.unique(np.concatenate((world.state[picks], world.next_state[picks])), return_inverse=True)
    state, next_state = torch.from_numpy(place.astype(np.int64)).chunk(2)
    ended = torch.from_numpy(world.terminated[picks])
    moving = (state != next_state) & ~ended
    episodes = np.cumsum(world.first)[picks]
    return Batch(
        table.rows(rows, inverse=inverse, dtype=dtype), state, next_state, torch.from_numpy(world.action[picks].astype(np.int64)),
        torch.from_numpy(table.paid(picks)).to(dtype), ended.to(dtype), states=state, moves=torch.stack((state, next_state))[:, moving],
        maps=len(np.unique(episodes)),
    )  # fmt: skip


def held_out(table: WorldTable, *, inverse: bool, dtype: torch.dtype, size: int) -> Batch:
    """The first held-out transitions, the same in both worlds."""
    return picked(table, split(table)[1][:size], inverse=inverse, dtype=dtype)


def most_further(table: WorldTable) -> int:
    """Transitions that each of two samples can have."""
    return min(len(_beside(table, number)) for number in (0, 1))


def sized(table: WorldTable, asked: int | None) -> int:
    """What was asked for, if each of two samples can have it; where nothing was, the usual size or what there is.

    Raises:
        UserError: where they cannot.
    """
    most, size = most_further(table), SAMPLE if asked is None else asked
    if size <= most or (asked is None and most >= LEAST):
        return min(size, most)
    raise _too_few(size if asked is not None else None, most)


def _beside(table: WorldTable, number: int) -> Array:
    """Held-out transitions of every other episode, without the evaluation set."""
    rest = split(table)[1][SIZE:]
    own: Array = rest[np.cumsum(table.world.first)[rest] % 2 == number % 2]
    return own


def _too_few(size: int | None, most: int) -> UserError:
    """`size` is None where none was asked for."""
    enough = round((SIZE + 2 * LEAST) / HELD_OUT)
    more = f"gather more, some {enough:,} steps at least"
    held = f"for each of two samples {most:,} transitions are held out beside the evaluation set"
    if size is None:
        return UserError(f"{held}, too few to judge on; {more}")
    return UserError(f"--sample is {size:,}, and {held}; {'give at most that, or gather more' if most >= LEAST else more}")


def further(table: WorldTable, *, inverse: bool, dtype: torch.dtype, size: int, number: int) -> Batch:
    """`size` held-out transitions in a random order of their own, without the evaluation set; even numbers and odd ones share no episode.

    Raises:
        UserError: where there are not as many.
    """
    rest = _beside(table, number)
    if size > len(rest):
        raise _too_few(size, len(rest))
    picks = np.random.default_rng([SEED + number, Stream.HELD_OUT]).permutation(rest)[:size]
    return picked(table, picks, inverse=inverse, dtype=dtype)


def held_out_metrics(table: WorldTable, agent: Agent, params: Params, *, inverse: bool) -> dict[str, Metric]:
    """Share of held-out transitions that do not end an episode whose predicted abstract state is nearer to the right one than to any other
    abstract state of the sample; nothing where all of them end one."""
    dtype = next(iter(params.values())).dtype
    batch = held_out(table, inverse=inverse, dtype=dtype, size=SIZE)
    if bool((batch.terminated != 0).all()):
        return {}
    with torch.no_grad():
        x = agent.encode(params, batch.observations)
    return {"nearest_state_accuracy": 1 - mispredicted(agent, params, x, batch)}
