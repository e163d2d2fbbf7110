"""Environments as this program reads them: discrete actions, one array of numbers an observation; and what to know of their wrappers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import Autoreset, FilterObservation, FlattenObservation

from crar_model.core.errors import UserError

Env = gymnasium.Env[Any, Any]
HABITS = {
    "MaxAndSkipObservation": "its MaxAndSkipObservation shows a stale or zero frame at the end of an episode, so ends are not seen as they are",
    "NormalizeReward": "its NormalizeReward divides by what each copy has met so far, so one move has many rewards",
    "NormalizeObservation": "its NormalizeObservation divides by what each copy has met so far, so one state has many looks",
}
"""Wrappers of Gymnasium -> what one should know of data that come through them."""


def plain(env: Env, name: str) -> Env:
    """An environment whose observations are one array of numbers, of the shape that it really has.

    Raises:
        UserError: for actions that are not discrete, and observations without numbers.
    """
    if any(isinstance(layer, Autoreset) for layer in layers(env)):
        raise UserError(f"--wrapper: {name} resets itself by Autoreset; leave that out, data are gathered episode by episode")
    if not isinstance(env.action_space, spaces.Discrete):
        raise UserError(
            f"--env {name}: its actions are {env.action_space}; only discrete actions can be learned here, so give another or a wrapper"
        )
    space = env.observation_space
    if isinstance(space, spaces.Dict) and (left := wordy(space)) and len(left) < len(space.spaces):
        env = FilterObservation(env, [key for key in space if key not in left])
        space = env.observation_space
    if not isinstance(space, spaces.Box):
        if not flattenable(space):
            raise UserError(
                f"--env {name}: its observations are {type(space).__name__}, which are no array of numbers; give a --wrapper that makes one"
            )
        env = FlattenObservation(AsDeclared(env, name))
    return AsItIs(env, name)


def layers(env: Env) -> Iterator[Any]:
    """The wrappers of an environment, the outermost first."""
    layer: Any = env
    while isinstance(layer, gymnasium.Wrapper):
        yield layer
        layer = layer.env


def habits(env: Env) -> list[str]:
    """What one should know of data of an environment, by its wrappers and by what its observations leave out."""
    found = [HABITS[name] for layer in layers(env) if (name := type(layer).__name__) in HABITS]
    for layer in layers(env):
        if isinstance(layer, AsItIs) and layer.recast:
            found.append(f"it declares observations of whole numbers and gives {layer.observation_space.dtype}, which is what is used")
        inner = getattr(layer.env, "observation_space", None)
        if isinstance(layer, FilterObservation) and isinstance(inner, spaces.Dict) and wordy(inner):
            found.append(left_out(inner))
    return found


def left_out(space: spaces.Dict) -> str:
    """What is said of parts of an observation that are no numbers."""
    left = wordy(space)
    return f"the observation's {' and '.join(left)} {'is' if len(left) == 1 else 'are'} no number and left out"


def flattenable(space: spaces.Space[Any]) -> bool:
    """Whether the observations of a space can be written as numbers in a row."""
    if isinstance(space, spaces.Text):
        return False
    try:
        if isinstance(space, (spaces.Dict, spaces.Tuple)):
            return all(map(flattenable, space.values() if isinstance(space, spaces.Dict) else space))
        return space.is_np_flattenable
    except NotImplementedError:
        return False


def wordy(space: spaces.Dict) -> list[str]:
    """Parts of an observation that are no numbers, such as a mission in words."""
    return [str(key) for key, value in space.items() if not flattenable(value)]


RETURNS = {"reset": "(observation, info) and takes a seed", "step": "(observation, reward, terminated, truncated, info)"}


@contextmanager
def its(name: str, method: str) -> Iterator[None]:
    """What goes wrong within an environment's own code, in one line.

    Raises:
        UserError: in the place of whatever it raises.
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except gymnasium.error.DependencyNotInstalled as error:
        raise UserError(f"--env {name}: {error}") from error
    except Exception as error:  # of whatever kind: an environment is its author's
        raise UserError(
            f"--env {name}: its {method} fails ({type(error).__name__}: {error}); Gymnasium's {method} gives {RETURNS[method]} and takes every action, so mend "
            "it or give a --wrapper that does"
        ) from error


def held(given: Any, dtype: Any, name: str) -> np.ndarray[Any, Any]:
    """Numbers as an array of their own of a type.

    Raises:
        UserError: for what are no numbers, and numbers that the type cannot hold; digits beyond those of a floating type are cut.
    """
    given = np.asarray(given)
    if given.dtype.kind not in "biuf":
        raise UserError(f"--env {name}: its observations are no numbers but {given.dtype}; give a --wrapper that makes them so")
    found = np.array(given, dtype=dtype)
    if found.dtype != given.dtype and "f" not in {found.dtype.kind} & {given.dtype.kind} and not np.array_equal(found, given):
        raise UserError(
            f"--env {name}: it declares observations of {found.dtype} and gives numbers that those cannot hold; give a --wrapper that declares what it gives"
        )
    return found


class AsDeclared(gymnasium.ObservationWrapper[Any, Any, Any]):
    """An environment of several arrays, before they are written in a row: each is as it is declared.

    Raises:
        UserError: as :func:`held`.
    """

    def __init__(self, env: Env, name: str) -> None:
        super().__init__(env)
        self.name = name

    def observation(self, observation: Any) -> Any:
        """The same."""
        self._look(self.observation_space, observation)
        return observation

    def _look(self, space: Any, seen: Any) -> None:
        if isinstance(space, spaces.Dict):
            for key, part in space.items():
                self._look(part, seen[key])
        elif isinstance(space, spaces.Tuple):
            for part, own in zip(space, seen, strict=True):
                self._look(part, own)
        elif isinstance(space, spaces.Box):
            held(seen, space.dtype, self.name)


class AsItIs(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment that declares the observations that it really gives, and gives an array of their own each time.

    Raises:
        UserError: for observations that change their shape, or are no numbers.
    """

    def __init__(self, env: Env, name: str) -> None:
        super().__init__(env)
        self.name = name
        declared = cast(spaces.Box, env.observation_space)
        with its(name, "reset"):
            if not isinstance(given := env.reset(seed=0), tuple):
                raise TypeError(f"it gives {type(given).__name__}")
            first = np.asarray(given[0])
        self.declared = declared.shape
        self.recast = np.dtype(declared.dtype).kind in "biu" and first.dtype.kind == "f"
        if first.shape != declared.shape or self.recast:
            held(first, first.dtype, name)
            low, high = float(declared.low.min()), float(declared.high.max())
            self.observation_space = spaces.Box(low, high, first.shape, first.dtype.type)

    def _own(self, observation: Any) -> np.ndarray[Any, Any]:
        space = cast(spaces.Box, self.observation_space)
        given = np.asarray(observation)
        if given.shape != space.shape:
            raise UserError(
                f"--env {self.name}: its observations change their shape, {given.shape} after {space.shape}; give a --wrapper that pads them"
            )
        return held(given, space.dtype, self.name)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the environment's."""
        with its(self.name, "reset"):
            observation, info = self.env.reset(seed=seed, options=options)
            return self._own(observation), info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """As the environment's."""
        with its(self.name, "step"):
            observation, given, terminated, truncated, info = self.env.step(action)
            reward = float(np.asarray(given).item())  # some give an array of one
            return self._own(observation), reward, bool(terminated), bool(truncated), info
