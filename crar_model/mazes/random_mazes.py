"""The random mazes of the study as tensors: a new 8x8 map every episode, three keys to fetch.

Source: `maze_env` of the released code (section 2 of docs/original.md). Maps are drawn in blocks from a
NumPy generator and checked by a flood fill, all at once; copies of the maze step together on any device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.core.streams import Stream
from crar_model.core.tiles import AGENT, FREE, KEY, NEGATIVE, SIZE, WALL
from crar_model.mazes.legacy import legacy_accepts

N_WALLS, N_KEYS = 12, 3


class RandomMazeAction(IntEnum):
    """Actions of the random mazes, in the order of `ACTION_STEPS`; the simple maze uses another."""

    DOWN = 0
    RIGHT = 1
    UP = 2
    LEFT = 3


ACTION_NAMES = tuple(action.name.lower() for action in RandomMazeAction)
"""Action k moves by ACTION_STEPS[k]; the simple maze uses another order."""
ACTION_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))
STEP_REWARD, KEY_REWARD = -0.1, 1.0
EPISODE_STEPS = 50
"""Step limit of a test episode; the gathering of training data has none."""
START = SIZE + 1
"""The agent's first cell, (1, 1), in reading order."""
BLOCK = 4096
"""Candidates drawn at once."""


@dataclass(frozen=True)
class Maps:
    """Maps of the random maze.

    Attributes:
        walls: (N, 64) bool, cells in reading order.
        keys: (N, 3) int64, cells of the keys in the order in which they were drawn.
    """

    walls: Tensor
    keys: Tensor

    def __len__(self) -> int:
        return int(self.walls.shape[0])

    def take(self, index: Tensor) -> Maps:
        """Some of the maps."""
        return Maps(self.walls[index], self.keys[index])

    def to(self, device: torch.device | str) -> Maps:
        """The maps on another device."""
        return Maps(self.walls.to(device), self.keys.to(device))


def _interior(last: int) -> Tensor:
    """Cells with rows and columns in 1..last, without the agent's."""
    cells = [row * SIZE + column for row in range(1, last + 1) for column in range(1, last + 1)]
    return torch.tensor([cell for cell in cells if cell != START])


def draw_candidates(rng: np.random.Generator, count: int) -> Maps:
    """Maps before any check: 12 walls among the 24 cells of rows and columns 1..5, 3 keys on free cells of 1..6."""
    border = torch.ones(SIZE, SIZE, dtype=torch.bool)
    border[1:-1, 1:-1] = False
    walls = border.flatten().repeat(count, 1)
    inner, free = _interior(SIZE - 3), _interior(SIZE - 2)
    order = torch.from_numpy(rng.random((count, len(inner)))).argsort(dim=1, stable=True)[:, :N_WALLS]
    walls.scatter_(1, inner[order], True)
    weight = torch.from_numpy(rng.random((count, len(free))))
    weight = weight.masked_fill(walls[:, free], -1.0)
    return Maps(walls, free[weight.argsort(dim=1, descending=True, stable=True)[:, :N_KEYS]])


def reachable(walls: Tensor) -> Tensor:
    """Cells that the agent can reach from (1, 1) in maps (N, 64): (N, 64) bool."""
    free = ~walls.view(-1, SIZE, SIZE)
    reached = torch.zeros_like(free)
    reached[:, 1, 1] = True
    while True:
        grown = reached.clone()
        grown[:, 1:] |= reached[:, :-1]
        grown[:, :-1] |= reached[:, 1:]
        grown[:, :, 1:] |= reached[:, :, :-1]
        grown[:, :, :-1] |= reached[:, :, 1:]
        grown &= free
        if torch.equal(grown, reached):
            return reached.flatten(1)
        reached = grown


def map_blocks(seed: int | Sequence[int], *, legacy_astar: bool = False) -> Iterator[Maps]:
    """Valid maps, endlessly, in blocks of varying size; the same seed gives the same maps.

    Args:
        seed: seed of the maps, or several integers.
        legacy_astar: quirk: accept only what the released code's uncleared path finder accepts.
    """
    rng = np.random.default_rng([*([seed] if isinstance(seed, int) else seed), Stream.MAPS])
    while True:
        maps = draw_candidates(rng, BLOCK)
        if legacy_astar:
            valid = torch.from_numpy(legacy_accepts(maps.walls.numpy(), maps.keys.numpy(), START))
        else:
            valid = reachable(maps.walls).gather(1, maps.keys).all(1)
        yield maps.take(valid.nonzero().squeeze(1))


def draw_maps(seed: int | Sequence[int], count: int, *, legacy_astar: bool = False) -> Maps:
    """The first `count` maps of :func:`map_blocks`."""
    walls, keys, have = [], [], 0
    for block in map_blocks(seed, legacy_astar=legacy_astar):
        walls.append(block.walls)
        keys.append(block.keys)
        have += len(block)
        if have >= count:
            return Maps(torch.cat(walls)[:count], torch.cat(keys)[:count])
    raise AssertionError("map_blocks ended")


class RandomMazeBatch:
    """Any number of copies of the random maze that step together.

    Every copy has maps of its own, as many as any other, and goes through them episode by episode; after the last
    comes the first again. No operation waits for the device.

    Args:
        num_envs: number of mazes, at least 1.
        seed: seed of the maps.
        inverse: serve the negated observations.
        step_limit: steps after which an episode ends, 0 for none.
        legacy_astar: quirk: draw maps as the released code does.
        maps: maps to use instead of drawn ones, a multiple of `num_envs`, those of the first copy first.
        maps_per_copy: maps drawn for each copy.
        device: where everything lives.

    Attributes:
        walls: (num_envs, 64) bool; position: (num_envs,) int64 cell of the agent; keys: (num_envs, 64) bool, those left.
        steps: (num_envs,) int64 steps taken in the episode.
    """

    def __init__(
        self,
        num_envs: int,
        *,
        seed: int = 0,
        inverse: bool = False,
        step_limit: int = EPISODE_STEPS,
        legacy_astar: bool = False,
        maps: Maps | None = None,
        maps_per_copy: int = 16,
        device: torch.device | str = "cpu",
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs is {num_envs}; give at least 1")
        if maps is not None and (not len(maps) or len(maps) % num_envs):
            raise ValueError(f"{len(maps)} maps for {num_envs} environments; give a multiple")
        self.inverse, self.step_limit = inverse, step_limit
        self.maps = (maps or draw_maps(seed, num_envs * maps_per_copy, legacy_astar=legacy_astar)).to(device)
        self.per_copy = len(self.maps) // num_envs
        self.moves = torch.tensor([row * SIZE + column for row, column in ACTION_STEPS], device=device)
        self.first = torch.arange(num_envs, device=device) * self.per_copy
        self.episode = torch.full((num_envs,), -1, dtype=torch.int64, device=device)
        self.walls = torch.zeros(num_envs, SIZE * SIZE, dtype=torch.bool, device=device)
        self.keys = torch.zeros_like(self.walls)
        self.position = torch.full((num_envs,), START, dtype=torch.int64, device=device)
        self.steps = torch.zeros_like(self.position)
        self.reset()

    def reset(self, where: Tensor | None = None) -> Tensor:
        """Put every copy, or those where the (num_envs,) bool mask `where` is True, at the start of its next map.

        Returns the observations of all copies, (num_envs, 1, 8, 8) uint8 tile maps.
        """
        if where is None:
            where = torch.ones_like(self.position, dtype=torch.bool)
        self.episode = self.episode + where
        turn = self.first + self.episode % self.per_copy
        column = where.unsqueeze(1)
        fresh = torch.zeros_like(self.keys).scatter_(1, self.maps.keys[turn], True)
        self.walls = torch.where(column, self.maps.walls[turn], self.walls)
        self.keys = torch.where(column, fresh, self.keys)
        self.position = torch.where(where, START, self.position)
        self.steps = torch.where(where, 0, self.steps)
        return self.observe()

    def renew(self, where: Tensor, maps: Maps) -> Tensor:
        """Give some copies other maps and put them at the start of the first; the others stay where they are.

        Args:
            where: (num_envs,) bool, True for those copies.
            maps: as many for each of them as every copy has, those of the first of them first.

        Returns the observations of all copies, as :meth:`reset`.
        """
        rows = where.repeat_interleave(self.per_copy)
        walls, keys = self.maps.walls.clone(), self.maps.keys.clone()
        walls[rows], keys[rows] = maps.walls, maps.keys
        self.maps = Maps(walls, keys)
        self.episode = self.episode.masked_fill(where, -1)
        return self.reset(where)

    def observe(self) -> Tensor:
        """Tile maps of what the agents see, (num_envs, 1, 8, 8) uint8; `tiles.draw_pixels` makes images of them."""
        tiles = torch.where(self.walls, WALL, FREE)
        tiles = torch.where(self.keys, KEY, tiles).scatter(1, self.position.unsqueeze(1), AGENT)
        return (tiles + NEGATIVE * self.inverse).to(torch.uint8).view(-1, 1, SIZE, SIZE)

    def step(self, action: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Move every copy by its action; a finished copy must be reset before its next step.

        Args:
            action: (num_envs,) integers in 0..3.

        Returns:
            observations (num_envs, 1, 8, 8) uint8, rewards (num_envs,) float32, and two (num_envs,) bool: no keys left,
            and the step limit reached with keys left.
        """
        target = self.position + self.moves[action.to(torch.int64)]
        blocked = self.walls.gather(1, target.unsqueeze(1)).squeeze(1)
        self.position = torch.where(blocked, self.position, target)
        here = self.position.unsqueeze(1)
        found = self.keys.gather(1, here).squeeze(1)
        self.keys = self.keys.scatter(1, here, False)
        self.steps = self.steps + 1
        reward = torch.where(found, KEY_REWARD, STEP_REWARD).to(torch.float32)
        terminated = ~self.keys.any(1)
        late = (self.steps >= self.step_limit) & ~terminated if self.step_limit else torch.zeros_like(terminated)
        return self.observe(), reward, terminated, late


def compact(maps: Maps) -> np.ndarray[Any, Any]:
    """Maps as tiles without the agent, (N, 64) uint8."""
    tiles = torch.where(maps.walls, WALL, FREE).scatter_(1, maps.keys, KEY)
    return tiles.to(torch.uint8).numpy()
