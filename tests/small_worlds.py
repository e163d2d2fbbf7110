"""Environments of a few states, as others write them: with the habits that data must not suffer from."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

LENGTH = 5


class Line(gymnasium.Env[Any, Any]):
    """Cells in a row: action 0 steps left, 1 right; the last cell ends the episode with reward 1.

    Args:
        limit: steps after which the episode is cut. shared: give one array, changed in place. twins: the second and the third cell look alike.
        slip: share of moves that go the other way. bad: observations that are not numbers. late: the reward falls with the steps taken.
        kind: "box", "dict", "discrete" or "image" observations.
    """

    def __init__(
        self, *, limit: int = 20, shared: bool = False, twins: bool = False, slip: float = 0.0, bad: bool = False, late: bool = False,
        kind: str = "box", first: int = 0,
    ) -> None:  # fmt: skip
        self.limit, self.shared, self.twins, self.slip, self.bad, self.late, self.kind, self.first = (
            limit, shared, twins, slip, bad, late, kind, first,
        )  # fmt: skip
        self.action_space = spaces.Discrete(2, start=first)
        box = spaces.Box(-np.inf, np.inf, (LENGTH,), np.float32)
        self.observation_space = {
            "box": box,
            "dict": spaces.Dict({"cell": box, "mission": spaces.Text(9)}),
            "discrete": spaces.Discrete(LENGTH),
            "image": spaces.Box(0, 255, (32, 32, 3), np.uint8),
        }[kind]
        self.array = np.zeros(LENGTH, dtype=np.float32)

    def _see(self) -> Any:
        if self.kind == "discrete":
            return self.cell
        if self.kind == "image":
            image = np.zeros((32, 32, 3), dtype=np.uint8)
            image[:, 6 * self.cell : 6 * self.cell + 6] = (self.cell + 1, 2, 3)
            return image
        shown = 1 if self.twins and self.cell == 2 else self.cell
        array = self.array if self.shared else np.zeros(LENGTH, dtype=np.float32)
        array[:] = 0
        array[shown] = np.nan if self.bad else 1
        return {"cell": array, "mission": "go on"} if self.kind == "dict" else array

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.cell = self.steps = 0
        return self._see(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        right = bool(action - self.first) != (self.slip > 0 and self.np_random.random() < self.slip)
        self.cell = min(LENGTH - 1, max(0, self.cell + (1 if right else -1)))
        ended = self.cell == LENGTH - 1
        reward = 1.0 - 0.01 * self.steps * self.late if ended else 0.0
        return self._see(), reward, ended, self.steps >= self.limit, {}


RING = 6


class Ring(gymnasium.Env[Any, Any]):
    """Cells in a ring: action 0 stays, 1 and 2 go round; nothing ends, 30 steps are an episode.

    Args:
        chances: chance of a reward of 1 for staying, a cell each; none pays nothing.
        kind: "plain"; "fractions" declared as whole numbers, "wide" whole numbers beyond those declared, or "far" from 0 and near each other.
        fault: "reset", "step" or "reward" that are not as Gymnasium has them.
    """

    def __init__(self, chances: tuple[float, ...] = (), kind: str = "plain", fault: str = "") -> None:
        self.chances, self.kind, self.fault = chances, kind, fault
        self.action_space = spaces.Discrete(3)
        declared = {"fractions": np.int64, "wide": np.int8}.get(kind, np.float64)
        self.observation_space = spaces.Box(0, 100, (2,), declared)

    def _see(self) -> Any:
        a, b = float(self.cell), float(RING - self.cell)
        if self.kind == "fractions":
            return np.array([a / RING, b / RING])
        if self.kind == "wide":
            return np.array([300 + int(a), int(b)])
        return np.array([a, b]) if self.kind == "plain" else 1e6 + 0.01 * np.array([a, b])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.cell = self.steps = 0
        if self.fault == "reset":
            return self._see()
        return self._see(), {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        self.steps += 1
        if self.fault == "step" and action == 2:
            raise ValueError("there is no way round")
        paid = float(bool(self.chances) and action == 0 and self.np_random.random() < self.chances[self.cell])
        self.cell = (self.cell + (0, 1, -1)[int(action)]) % RING
        return self._see(), np.array([paid]) if self.fault == "reward" else paid, False, self.steps >= 30, {}


def failing(seen: np.ndarray[Any, Any], rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """A policy with a fault."""
    raise KeyError("weights")


class Throttle(gymnasium.Env[Any, Any]):
    """Actions that are not discrete."""

    action_space: spaces.Space[Any] = spaces.Box(-1, 1, (1,), np.float32)
    observation_space: spaces.Space[Any] = spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        return np.zeros(1, dtype=np.float32), {}


gymnasium.register("tests/Line-v0", entry_point="tests.small_worlds:Line")
gymnasium.register("tests/Throttle-v0", entry_point="tests.small_worlds:Throttle")


def always_right(seen: np.ndarray[Any, Any], rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """A policy of one's own."""
    return np.ones(len(seen), dtype=np.int64)


def too_far(seen: np.ndarray[Any, Any], rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """A policy with an action that there is none of."""
    return np.full(len(seen), 2)


class Turned(gymnasium.ObservationWrapper[Any, Any, Any]):
    """The same cells in another order and scale."""

    def observation(self, observation: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return (3 * observation[::-1] - 1).astype(np.float32)


def turned(seen: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same of all observations at once."""
    return 3 * seen[:, ::-1] - 1


def all_alike(seen: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A map that nothing undoes."""
    return np.ones_like(seen)


def small_view(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """MiniGrid's view of 3x3 cells, which its images of tiles declare and do not show."""
    from minigrid.wrappers import ViewSizeWrapper

    return ViewSizeWrapper(env, 3)


def limited(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """A time limit around what is there."""
    return gymnasium.wrappers.TimeLimit(env, 9)


def never_sticky(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """Actions that are never repeated, after a look at a random number."""
    return gymnasium.wrappers.StickyAction(env, 0.0)


gymnasium.register("tests/Ring-v0", entry_point="tests.small_worlds:Ring")
