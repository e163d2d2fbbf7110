"""Gymnasium environments of the random mazes: one maze, and many that step as one."""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from crar_model.core.tiles import CELL_PIXELS, SIZE, draw_grid, draw_pixels
from crar_model.mazes.gym_checks import check_options, chosen, chosen_each, own_seeds, positive, restarted
from crar_model.mazes.maps import ObservationMap, as_map
from crar_model.mazes.random_mazes import ACTION_NAMES, EPISODE_STEPS, Maps, RandomMazeBatch, draw_maps
from crar_model.mazes.render import LIST, LISTS, MODES, check_mode, draw_cells, write_cells

_SIDES = {"pixels": SIZE * CELL_PIXELS, "grid": SIZE}
_SEEDS = 2**31
Array = np.ndarray[Any, Any]


class _Mazes:
    """What both environments share: copies of the maze and how they are seen."""

    def __init__(
        self, num_envs: int, inverse: bool, map: str | ObservationMap, observation: str, legacy_astar: bool, max_steps: int
    ) -> None:  # fmt: skip
        if observation not in _SIDES:
            raise ValueError(f"observation is {observation!r}; choose pixels or grid")
        positive("num_envs", num_envs)
        positive("max_steps", max_steps, least=0)
        other = as_map(map).per_pixel
        if other is None or (observation == "grid" and other != (-1.0, 0.0)):
            raise ValueError(f"map is {map!r}; the random mazes draw tiles: choose negative, or in pixels affine")
        self.draw = partial(draw_pixels, other=other) if observation == "pixels" else draw_grid
        self.inverse, self.legacy_astar = inverse, legacy_astar
        self.space = spaces.Box(
            min(-1.0, other[1] - abs(other[0])),
            max(1.0, other[1] + abs(other[0])),
            shape=(1, _SIDES[observation], _SIDES[observation]),
            dtype=np.float32,
        )
        self.batch = RandomMazeBatch(num_envs, seed=0, inverse=inverse, legacy_astar=legacy_astar, step_limit=max_steps)

    def start(self, where: Array, *streams: np.random.Generator) -> None:
        """Begin the copies where the (num_envs,) mask is True anew: with maps of one stream, or with one stream each."""
        count = int(where.sum()) * self.batch.per_copy // len(streams)
        drawn = [draw_maps(int(rng.integers(_SEEDS)), count, legacy_astar=self.legacy_astar) for rng in streams]
        self.batch.renew(torch.from_numpy(where), Maps(torch.cat([m.walls for m in drawn]), torch.cat([m.keys for m in drawn])))

    def see(self, tiles: torch.Tensor) -> Array:
        seen: Array = self.draw(tiles).numpy()
        return seen

    def info(self) -> dict[str, Array]:
        position = self.batch.position.numpy()
        return {"position": np.stack((position // SIZE, position % SIZE), axis=1), "keys": self.batch.keys.sum(1).numpy()}

    def picture(self, copy: int, mode: str) -> Array | str:
        board = self.batch.walls[copy].view(SIZE, SIZE).numpy(), divmod(int(self.batch.position[copy]), SIZE)
        keys = [divmod(int(cell), SIZE) for cell in self.batch.keys[copy].nonzero()]
        if mode == "ansi":
            return write_cells(*board, keys=keys)
        return draw_cells(*board, keys=keys, inverse=self.inverse)


class RandomMazeEnv(gymnasium.Env[Array, np.int64]):
    """The random mazes of the study: a new 8x8 map every episode, three keys to fetch.

    Actions: Discrete(4): 0 down, 1 right, 2 up, 3 left (not the simple maze's order); a move into a wall leaves the agent
    where it is.
    Observations: Box(-1, 1, (1, 48, 48), float32): 6x6 pixels a cell, wall 1, free -1, sprites for agent and keys; with
    `observation="grid"` (1, 8, 8): free 0, agent 0.25, key 0.5, wall 0.99. With `inverse=True` every value is negated.
    Rewards: 1 for a step that reaches a key, -0.1 for any other. An episode terminates with the last key and is truncated
    after `max_steps` steps. Info: `position` (row, column), `keys` left, `action_names`.

    Args:
        inverse: serve the inverse maze's observations.
        map: what the inverse maze makes of an observation: "negative", or "affine" in pixels.
        observation: "pixels" or "grid".
        legacy_astar: quirk: draw maps as the released code does.
        max_steps: steps of an episode, 0 for no limit, as in the gathering of training data.
        render_mode: "rgb_array", "ansi" (text) or None.
    """

    metadata: dict[str, Any] = {"render_modes": [*MODES], "render_fps": 8}

    def __init__(
        self, *, inverse: bool = False, map: str | ObservationMap = "negative", observation: str = "pixels", legacy_astar: bool = False, max_steps: int = EPISODE_STEPS,
        render_mode: str | None = None,
    ) -> None:  # fmt: skip
        check_mode(render_mode)
        self.render_mode = render_mode
        self._mazes = _Mazes(1, inverse, map, observation, legacy_astar, max_steps)
        self.observation_space = self._mazes.space
        self.action_space = spaces.Discrete(len(ACTION_NAMES))

    def _info(self) -> dict[str, Any]:
        info = self._mazes.info()
        return {"position": tuple(info["position"][0].tolist()), "keys": int(info["keys"][0]), "action_names": ACTION_NAMES}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Draw a new map; the same seed gives the same sequence of maps.

        Raises:
            ValueError: for options, which there are none of.
        """
        check_options(options)
        super().reset(seed=seed)
        self._mazes.start(np.ones(1, dtype=np.bool_), self.np_random)
        return self._mazes.see(self._mazes.batch.observe())[0], self._info()

    def step(self, action: np.int64 | int) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Move the agent.

        Raises:
            ValueError: for anything but an integer from 0 to 3.
        """
        tiles, reward, terminated, late = self._mazes.batch.step(torch.tensor([chosen(action, len(ACTION_NAMES))]))
        return self._mazes.see(tiles)[0], round(float(reward[0]), 6), bool(terminated[0]), bool(late[0]), self._info()

    def render(self) -> Array | str | None:
        """The maze as a uint8 picture (256, 256, 3), in inverse colours in the inverse maze, or as text."""
        return None if self.render_mode is None else self._mazes.picture(0, self.render_mode)


class RandomMazeVectorEnv(VectorEnv[Array, Array, Array]):
    """Many random mazes stepping as one tensor program; `gymnasium.make_vec` makes it.

    Spaces, rewards and arguments as in :class:`RandomMazeEnv`, and those of `gymnasium.make`. A copy whose episode has ended begins
    the next one at its following step, whose action and reward do not count (Gymnasium's NEXT_STEP mode).

    Args:
        num_envs: number of mazes, at least 1.
        max_episode_steps: a second limit, at which an episode is truncated even where its last step terminates it; None or -1 for none.
        render_mode: as there; with "_list" behind it, :meth:`render` gives the pictures since its last call.
    """

    metadata: dict[str, Any] = {"render_modes": [*MODES, *LISTS], "render_fps": 8, "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self, num_envs: int = 1, *, inverse: bool = False, map: str | ObservationMap = "negative", observation: str = "pixels", legacy_astar: bool = False,
        max_steps: int = EPISODE_STEPS, render_mode: str | None = None, max_episode_steps: int | None = None,
    ) -> None:  # fmt: skip
        check_mode(render_mode, (*MODES, *LISTS))
        self._limit = 0 if max_episode_steps in (None, -1) else positive("max_episode_steps", max_episode_steps)
        self._mazes = _Mazes(num_envs, inverse, map, observation, legacy_astar, max_steps)
        self.num_envs, self.render_mode = num_envs, render_mode
        self._ended = torch.zeros(num_envs, dtype=torch.bool)
        self._pictures: list[list[Array | str]] = [[] for _ in range(num_envs)]
        self.single_observation_space, self.single_action_space = self._mazes.space, spaces.Discrete(len(ACTION_NAMES))
        self.observation_space = batch_space(self._mazes.space, num_envs)
        self.action_space = spaces.MultiDiscrete([len(ACTION_NAMES)] * num_envs)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Draw new maps; the same seed gives the same maps.

        Args:
            seed: of all copies, or a list of `num_envs`: a copy then begins with the map of a :class:`RandomMazeEnv` of its seed, and one
                of None goes on drawing.
            options: `reset_mask`, (num_envs,) bool: the copies that begin anew; the others stay where they are.

        Raises:
            ValueError: for another option, a mask that is none, or a list of another length.
        """
        where, seeds = restarted(options, self.num_envs), own_seeds(seed, self.num_envs)
        super().reset(seed=seed if seeds is None else None)
        streams = [self.np_random]
        if seeds is not None:
            streams = [self.np_random if own is None else seeding.np_random(own)[0] for own, new in zip(seeds, where, strict=True) if new]
        self._mazes.start(where, *streams)
        fresh = torch.from_numpy(where)
        self._ended = self._ended & ~fresh
        self._collect(fresh, fresh)
        return self._mazes.see(self._mazes.batch.observe()), self._info()

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Move every agent, or begin its next episode.

        Raises:
            ValueError: for actions that are not one integer from 0 to 3 a copy.
        """
        batch, fresh = self._mazes.batch, self._ended
        tiles, reward, terminated, late = batch.step(torch.from_numpy(chosen_each(actions, self.num_envs, len(ACTION_NAMES))))
        if self._limit:
            late = late | (batch.steps >= self._limit)
        if bool(fresh.any()):
            tiles = batch.reset(fresh)
        reward, terminated, late = reward.masked_fill(fresh, 0.0), terminated & ~fresh, late & ~fresh
        self._ended = terminated | late
        self._collect(torch.ones_like(fresh), fresh)
        return self._mazes.see(tiles), reward.numpy(), terminated.numpy(), late.numpy(), self._info()

    def render(self) -> tuple[Any, ...] | None:
        """A (256, 256, 3) uint8 picture of every maze, or its text; or lists of them."""
        if self.render_mode is None:
            return None
        if self.render_mode not in LISTS:
            return tuple(self._mazes.picture(copy, self.render_mode) for copy in range(self.num_envs))
        taken, self._pictures = tuple(self._pictures), [[] for _ in range(self.num_envs)]
        return taken

    def _collect(self, where: torch.Tensor, begun: torch.Tensor) -> None:
        """Keep a picture of some copies, and forget what came before of those that have begun anew."""
        if self.render_mode not in LISTS:
            return
        for copy in where.nonzero().flatten().tolist():
            before = [] if begun[copy] else self._pictures[copy]
            self._pictures[copy] = [*before, self._mazes.picture(copy, self.render_mode.removesuffix(LIST))]

    def _info(self) -> dict[str, Any]:
        """What is known of all copies, each with the mask that Gymnasium's own wrappers ask for."""
        told = self._mazes.info()
        return told | {f"_{name}": np.ones(self.num_envs, dtype=np.bool_) for name in told}


def vector_env(
    num_envs: int = 1, *, render_mode: str | None = None, disable_env_checker: bool | None = None, **given: Any
) -> VectorEnv[Array, Array, Array]:
    """A :class:`RandomMazeVectorEnv` as `gymnasium.make_vec` asks for it, with all that `gymnasium.make` takes.

    Args:
        num_envs: number of mazes.
        render_mode: as there; "human" is Gymnasium's own window, which needs pygame and opencv-python.
        disable_env_checker: without effect: no checker wraps a vector environment.
        given: the other arguments.
    """
    if render_mode != "human":
        return RandomMazeVectorEnv(num_envs, render_mode=render_mode, **given)
    from gymnasium.wrappers.vector import HumanRendering

    return HumanRendering(RandomMazeVectorEnv(num_envs, render_mode="rgb_array", **given))
