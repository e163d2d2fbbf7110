"""Random-policy data: one long walk, as state indices where the states can be listed, else as tile maps.

200,000 transitions are 200,000 boards of 64 bytes (13 MB) where their images would be 3.7 GB; a batch's images
are drawn on the device when it is sampled.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from crar_model.core.compiled import numba
from crar_model.core.errors import UserError
from crar_model.core.files import StrPath, file_digest, write_atomically
from crar_model.core.streams import Stream
from crar_model.core.tiles import AGENT, BLANK, FREE, KEY, NEGATIVE, SIZE, WALL
from crar_model.mazes.random_mazes import ACTION_STEPS, KEY_REWARD, START, STEP_REWARD, compact, map_blocks
from crar_model.mazes.table import StateTable

_MOVES = np.array([row * SIZE + column for row, column in ACTION_STEPS], dtype=np.int64)


@dataclass(frozen=True)
class Walk:
    """Transitions (s, a, r, s', terminated) of one walk.

    Attributes:
        tiles: (frames, 64) uint8 tile maps, every observation once.
        state, next_state: (size,) int32 rows of s and s'.
        action: (size,) uint8; reward: (size,) float32; terminated: (size,) bool.
    """

    tiles: np.ndarray[Any, Any]
    state: np.ndarray[Any, Any]
    next_state: np.ndarray[Any, Any]
    action: np.ndarray[Any, Any]
    reward: np.ndarray[Any, Any]
    terminated: np.ndarray[Any, Any]

    def __len__(self) -> int:
        return len(self.action)

    @property
    def n_bytes(self) -> int:
        """Memory of all arrays."""
        return sum(int(value.nbytes) for value in vars(self).values())


@numba.njit(cache=True)
def _walk(
    maps: Any, actions: Any, moves: Any, frames: Any, state: Any, next_state: Any, reward: Any, terminated: Any, blank: bool,
    step: int, frame: int,
) -> Any:  # fmt: skip # pragma: no cover - compiled
    """Walk through the maps until they or the actions are used up; returns (steps, frames, maps) used.

    A map that is not finished when the actions end is used all the same.
    """
    used = 0
    while used < maps.shape[0] and step < actions.shape[0]:
        board = maps[used].copy()
        used += 1
        keys = 0
        for cell in range(board.shape[0]):
            keys += board[cell] == KEY
        at = START
        frames[frame] = board
        frames[frame, at] = AGENT
        while keys > 0 and step < actions.shape[0]:
            target = at + moves[actions[step]]
            if board[target] != WALL:
                at = target
            found = board[at] == KEY
            if found:
                keys -= 1
                board[at] = FREE
            state[step], next_state[step] = frame, frame + 1
            frame += 1
            frames[frame] = board
            frames[frame, at] = AGENT
            reward[step] = KEY_REWARD if found else STEP_REWARD
            terminated[step] = keys == 0
            if keys == 0 and blank:
                frames[frame] = BLANK
            step += 1
        frame += 1
    return step, frame, used


def gather_walk(
    seed: int,
    size: int,
    *,
    inverse: bool = False,
    legacy_astar: bool = False,
    blank_terminal: bool = False,
    terminal_last: bool = False,
) -> Walk:
    """Walk a uniformly random policy through one map after the other; an episode ends with its last key only.

    Args:
        seed: seed of policy and maps; the same seed gives the same walk.
        size: number of transitions, at least 1.
        inverse: observe the inverse maze.
        legacy_astar: quirk: draw maps as the released code does.
        blank_terminal: quirk: the observation after a terminal step is all zeros.
        terminal_last: quirk: the last tuple is flagged terminal and its next observation is all zeros.
    """
    actions = np.random.default_rng([seed, Stream.POLICY]).integers(0, 4, size=size, dtype=np.uint8)
    state, next_state = np.empty(size, dtype=np.int32), np.empty(size, dtype=np.int32)
    reward, terminated = np.empty(size, dtype=np.float32), np.empty(size, dtype=np.bool_)
    frames = np.empty((size + 2, SIZE * SIZE), dtype=np.uint8)
    step = frame = 0
    for block in map_blocks(seed, legacy_astar=legacy_astar):
        maps = compact(block)
        frames = np.concatenate((frames, np.empty((len(maps), SIZE * SIZE), dtype=np.uint8)))  # one more frame an episode
        step, frame, _ = _walk(maps, actions, _MOVES, frames, state, next_state, reward, terminated, blank_terminal, step, frame)
        if step == size:
            break
    tiles = frames[:frame].copy()
    if terminal_last:
        terminated[-1] = True
        tiles[next_state[-1]] = BLANK
    if inverse:
        tiles[tiles != BLANK] += NEGATIVE
    return Walk(tiles, state, next_state, actions, reward, terminated)


EPOCH = 500
"""Steps of a gathering epoch in the released launcher of the simple maze, which runs 10."""


def gather_states(maze: StateTable, seed: int, size: int, *, terminal_last: bool = False) -> dict[str, np.ndarray[Any, Any]]:
    """A random policy in a maze whose states can be listed, as state indices, from its start on: one episode.

    Args:
        maze: the maze.
        seed: seed of the policy; the same seed gives the same actions.
        size: number of transitions.
        terminal_last: quirk of the original: an episode every `EPOCH` steps, each from the start; the last tuple of an episode is
            flagged terminal and its next observation is all zeros, which stands as one more row of the observation table.

    Returns:
        state, next_state, action (size,) int64 and terminated (size,) float32.
    """
    table = maze.successor.numpy()
    action = np.random.default_rng([seed, Stream.POLICY]).integers(0, maze.n_actions, size=size)
    state, next_state = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
    terminated = np.zeros(size, dtype=np.float32)
    if terminal_last:
        terminated[EPOCH - 1 :: EPOCH] = terminated[-1:] = 1.0
    at = maze.start
    for step in range(size):
        state[step], next_state[step] = at, table[at, action[step]]
        at = maze.start if terminated[step] else next_state[step]
    next_state[terminated == 1.0] = maze.n_states
    return {"state": state, "next_state": next_state, "action": action, "terminated": terminated}


def gather_pairs(maze: StateTable, seed: int, count: int) -> dict[str, np.ndarray[Any, Any]]:
    """States that are observed in both mazes, drawn without replacement, in the form of :func:`gather_states`: of a supervised fit only
    `state` counts.

    Args:
        maze: the maze.
        seed: seed of the order; a smaller count is the beginning of a larger one.
        count: number of states, at most as many as the maze has.
    """
    state = np.random.default_rng([seed, Stream.PAIRS]).permutation(maze.n_states)[:count].astype(np.int64)
    return {"state": state, "next_state": state, "action": np.zeros_like(state), "terminated": np.zeros(len(state), dtype=np.float32)}


OLD_NAMES = {"state": "current", "next_state": "following", "terminated": "terminal"}
"""What parts were called in files of crar 0.1.0 before its release."""


def save_walk(path: StrPath, walk: Walk) -> None:
    """Write a walk as a compressed `.npz`, atomically: about 4 bytes a transition.

    Raises:
        UserError: when the file cannot be written.
    """
    arrays: dict[str, Any] = vars(walk)
    write_atomically(path, lambda stream: np.savez_compressed(stream, **arrays))


def observed(walk: Walk, *, inverse: bool) -> Walk:
    """The same walk seen in the maze or in the inverse maze, whichever it was seen in before."""
    if bool(walk.tiles[0, 0] >= NEGATIVE) == inverse:  # the first frame is never blank
        return walk
    return replace(walk, tiles=np.where(walk.tiles < BLANK, walk.tiles ^ NEGATIVE, walk.tiles))


def load_walk(path: StrPath, digest: str = "") -> Walk:
    """Read what :func:`save_walk` wrote.

    Args:
        path: the file.
        digest: of the file as it must be, from :func:`crar_model.core.files.file_digest`; empty takes any.

    Raises:
        UserError: when the file is missing, is no walk, or is another than the digest says.
    """
    if digest and file_digest(path) != digest:
        raise UserError(f"{path}: not the file that the run began with; put that back, or start a new run")
    try:
        with np.load(path, allow_pickle=False) as content:
            names = {item.name: item.name if item.name in content else OLD_NAMES.get(item.name, item.name) for item in fields(Walk)}
            walk = Walk(**{name: content[stored] for name, stored in names.items()})
    except OSError as error:
        raise UserError(f"{path}: cannot read the walk ({error.strerror or error})") from error
    except Exception as error:  # damaged bytes can end in any error of the readers'
        raise UserError(f"{path}: not a walk; give a file that `crar gather` wrote") from error
    parts = [walk.state, walk.next_state, walk.action, walk.reward, walk.terminated]
    sound = (
        walk.tiles.ndim == 2 and walk.tiles.shape[1] == SIZE * SIZE and walk.tiles.dtype == np.uint8 and walk.tiles.max(initial=0) <= BLANK
    )
    sound = sound and len(walk.action) > 0 and all(part.shape == walk.action.shape for part in parts) and walk.action.max() < 4
    if not sound or any(part.min() < 0 or part.max() >= len(walk.tiles) for part in parts[:2]):
        raise UserError(f"{path}: not a walk; its parts do not fit together, so gather it anew")
    return walk
