"""Any Gymnasium environment by its id, as this program reads it: discrete actions, one array of numbers an observation."""

from __future__ import annotations

import ast
import importlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any, cast

import gymnasium
from gymnasium import spaces

from crar_model.core.errors import UserError
from crar_model.worlds.plain import Env, plain

PACKAGES = {"MiniGrid": "minigrid", "BabyAI": "minigrid", "ALE": "ale_py", "crar": "crar_model"}
"""Beginning of an id -> the package that registers it."""
INSTALLED_AS = {"ale_py": "ale-py", "Box2D": "gymnasium[box2d]", "pygame": "gymnasium[classic-control]", "mujoco": "gymnasium[mujoco]"}
"""Package -> what one installs to have it, where that is another word."""

WORDS = {"true": "True", "false": "False", "none": "None", "null": "None"}
"""Values of arguments as other languages and configuration files write them; "false" as a word would count as true."""


@dataclass(frozen=True)
class Recipe:
    """How an environment is made.

    Attributes:
        env: its id.
        wrappers: each as package.module:Wrapper, the innermost first.
        arguments: of the environment, as NAME=VALUE.
        fixed: whether every episode begins as the seed of the first begins it.
    """

    env: str
    wrappers: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    fixed: bool = False

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Recipe:
        """What :meth:`plain` gave."""
        return cls(str(plain["env"]), tuple(plain["wrappers"]), tuple(plain["arguments"]), bool(plain["fixed"]))


def named(path: str, flag: str) -> Any:
    """The object that package.module:name names.

    Raises:
        UserError: where there is none.
    """
    module, _, name = path.partition(":")
    if not module or not name:
        raise UserError(f"{flag} is {path!r}; give package.module:name")
    try:
        found: Any = imported(module)
        for part in name.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        raise UserError(f"{flag} {path}: there is no module {error.name}; install its package, or put it on Python's path") from error
    except (AttributeError, ImportError) as error:
        raise UserError(f"{flag} {path}: {error}; give package.module:name") from error
    if not callable(found):
        raise UserError(f"{flag} {path}: that is no class or function; give one")
    return found


def imported(module: str) -> Any:
    """A module of another package, without its warnings about others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(module)


def register_for(env: str) -> None:
    """Import the package that registers an id, where it is known by the id's beginning.

    Raises:
        UserError: where that is not installed.
    """
    module, colon, _ = env.rpartition(":")
    package = module if colon else PACKAGES.get(env.replace("/", "-").split("-")[0])
    if package is None:
        return
    try:
        imported(package)
    except ModuleNotFoundError as error:
        raise UserError(
            f"--env {env}: it needs the package {error.name}; pip install {INSTALLED_AS.get(error.name or '', error.name)}"
        ) from error


def arguments_of(recipe: Recipe) -> dict[str, Any]:
    """The environment's arguments.

    Raises:
        UserError: for one that is not NAME=VALUE.
    """
    found: dict[str, Any] = {}
    for text in recipe.arguments:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise UserError(f"--env-arg is {text!r}; give NAME=VALUE")
        try:
            found[name] = ast.literal_eval(WORDS.get(value.lower(), value))
        except (ValueError, SyntaxError):
            found[name] = value
    return found


def make(recipe: Recipe, **more: Any) -> Env:
    """One environment with its wrappers, its observations one array of numbers.

    Args:
        recipe: how.
        more: further arguments, such as `render_mode`.

    Raises:
        UserError: for an id that is not registered, a package that is missing, actions that are not discrete, and observations without numbers.
    """
    register_for(recipe.env)
    arguments = arguments_of(recipe)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an older version of an id, and of spaces that Gymnasium would write otherwise
            env: Env = gymnasium.make(recipe.env, disable_env_checker=True, **arguments | more)
    except gymnasium.error.DependencyNotInstalled as error:
        raise UserError(f"--env {recipe.env}: {error}") from error
    except ModuleNotFoundError as error:
        raise UserError(
            f"--env {recipe.env}: it needs the package {error.name}; pip install {INSTALLED_AS.get(error.name or '', error.name)}"
        ) from error
    except gymnasium.error.Error as error:
        near = get_close_matches(recipe.env, list(gymnasium.registry), n=1, cutoff=0.4)
        raise UserError(
            f"--env {recipe.env}: not registered with Gymnasium; " + (f"did you mean {near[0]}?" if near else "give an id")
        ) from error
    except (TypeError, ValueError, AssertionError) as error:
        raise UserError(f"--env {recipe.env}: it cannot be made ({error}); see --env-arg") from error
    for path in recipe.wrappers:
        wrapper = named(path, "--wrapper")
        try:
            env = wrapper(env)
        except Exception as error:  # of whatever kind: a wrapper is its author's
            raise UserError(
                f"--wrapper {path}: it does not go around {recipe.env} ({type(error).__name__}: {error}); leave it out"
            ) from error
    return plain(env, recipe.env)


def makers(recipe: Recipe, copies: int) -> list[Callable[[], Env]]:
    """As many functions that make the environment."""
    return [partial(make, recipe) for _ in range(copies)]


def action_names(env: Env) -> tuple[str, ...]:
    """Names of the actions, where the environment has them as an enumeration; their numbers else."""
    count = int(cast(spaces.Discrete, env.action_space).n)
    named_actions: Sequence[Any] | None = getattr(env.unwrapped, "actions", None)
    try:
        names = tuple(str(one.name) for one in named_actions or ())
    except (AttributeError, TypeError):
        names = ()
    return names if len(names) == count else tuple(f"action {number}" for number in range(count))
