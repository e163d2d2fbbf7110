"""A world: all that was observed of an environment, its distinct observations once each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath, write_atomically
from crar_model.core.places import places
from crar_model.worlds.episodes import Array, Episodes
from crar_model.worlds.storage import load_minari

FILE = "world.npz"
"""A world's file in a run folder."""
SIDES = "sides"
"""What a world notes whose observations have two axes of one length: that these are height and width."""


@dataclass(frozen=True)
class World:
    """What was observed.

    Attributes:
        frames: (R, ...) distinct observations, in the order in which they were met.
        state, next_state: (T,) int32 rows of the observations before and after every transition.
        action: (T,) int16. reward: (T,) float64.
        terminated: (T,) bool, whether the world itself ended the episode there.
        first: (T,) bool, whether an episode begins there.
        seed: (episodes,) int64 that each began with, -1 where that is not known.
        other: (R, ...) the same observations on the other side, or none of them, (0, ...), where a map makes that.
        n_actions: number of actions.
        about: plain data: title, recipe, policy, names of the actions, notes.
    """

    frames: Array
    state: Array
    next_state: Array
    action: Array
    reward: Array
    terminated: Array
    first: Array
    n_actions: int
    about: Mapping[str, Any] = field(default_factory=dict)
    seed: Array = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    other: Array = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def of(cls, episodes: Episodes) -> World:
        """The world of some episodes."""
        each = episodes.each
        frames = np.concatenate([one.frames for one in each])
        if np.issubdtype(frames.dtype, np.floating):
            frames = frames + 0.0  # a zero has one sign
        rows = np.ascontiguousarray(frames.reshape(len(frames), -1))
        keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
        _, met, inverse = np.unique(keys, return_index=True, return_inverse=True)
        order = np.argsort(met)
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        number = place[inverse.ravel()].astype(np.int32)
        lengths = np.array([len(one.actions) for one in each])
        last = np.cumsum(lengths + 1) - 1
        at = np.delete(np.arange(len(frames)), last)
        first = np.zeros(len(at), dtype=np.bool_)
        first[np.cumsum(lengths) - lengths] = True
        terminated = np.zeros(len(at), dtype=np.bool_)
        terminated[np.cumsum(lengths) - 1] = [one.terminated for one in each]
        sides = len(shape := frames.shape[1:]) == 3 and (shape[0] == shape[1]) != (shape[1] == shape[2])
        about = {**episodes.about, **({SIDES: True} if sides else {})}
        return cls(
            frames[np.sort(met)], number[at], number[at + 1], np.concatenate([one.actions for one in each]).astype(np.int16),
            np.concatenate([one.rewards for one in each]), terminated, first, episodes.n_actions, about,
            np.array([-1 if one.seed is None else one.seed for one in each], dtype=np.int64),
        )  # fmt: skip

    @property
    def steps(self) -> int:
        """T, transitions."""
        return len(self.action)

    @property
    def title(self) -> str:
        """What it is called on pages."""
        return str(self.about.get("title", "world"))

    @cached_property
    def digest(self) -> str:
        """32 hexadecimal digits of a SHA-256 over all that was observed."""
        return self._digest()

    @cached_property
    def core(self) -> str:
        """The same without the other side."""
        return self._digest("other")

    def _digest(self, *left_out: str) -> str:
        hasher = hashlib.sha256(f"{self.n_actions} {self.frames.dtype} {self.frames.shape}".encode())
        for item in fields(self):
            if item.name not in left_out and isinstance(value := getattr(self, item.name), np.ndarray):
                hasher.update(np.ascontiguousarray(value).tobytes())
        return hasher.hexdigest()[:32]


_READ: dict[str, World] = {}
"""Digest -> worlds that this process has read."""


def save_world(path: StrPath, world: World) -> None:
    """Write a world as a compressed `.npz`, atomically.

    Raises:
        UserError: when it cannot be written.
    """
    arrays: dict[str, Any] = {item.name: value for item in fields(world) if isinstance(value := getattr(world, item.name), np.ndarray)}
    about = np.array(json.dumps({"n_actions": world.n_actions, "about": world.about}))
    write_atomically(path, lambda stream: np.savez_compressed(stream, about=about, **arrays))


def remember(world: World) -> World:
    """Have :func:`find_world` find a world in this process before it lies anywhere."""
    return _READ.setdefault(world.digest, world)


def load_world(path: StrPath) -> World:
    """Read a world: what :func:`save_world` wrote, or a Minari dataset, by its folder or its id.

    Raises:
        UserError: for what is neither.
    """
    if Path(path).suffix != ".npz":
        world = World.of(load_minari(path))
    else:
        try:
            with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as content:
                plain = json.loads(str(content["about"]))
                names = [item.name for item in fields(World) if item.name not in ("n_actions", "about")]
                parts: dict[str, Any] = {name: content[name] for name in names}
                world = World(**parts, **plain)
        except OSError as error:
            raise UserError(f"{path}: cannot read the world ({error.strerror or error})") from error
        except Exception as error:  # damaged bytes can end in any error of the readers'
            raise UserError(f"{path}: no world; give one that `crar train --env` wrote, or a Minari dataset") from error
    return remember(world)


def find_world(data: str, digest: str, near: StrPath | None = None) -> World:
    """The world that settings name, wherever it lies now.

    Args:
        data: where it was.
        digest: of :attr:`World.digest`; empty takes what lies there.
        near: the folder of the run or model that names it.

    Raises:
        UserError: where it is nowhere to be found.
    """
    if digest in _READ:
        return _READ[digest]
    for path in dict.fromkeys(_candidates(data, near)):
        world = load_world(path)
        if not digest or world.digest == digest:
            return world
    raise UserError(f"{data}: the world of this run is not there, or another one is; put {FILE} back beside the models")


def _candidates(data: str, near: StrPath | None) -> Iterator[StrPath]:
    if near is not None:
        if (beside := Path(near) / FILE).is_file():
            yield beside
        yield from places(data, near)
    if Path(data).exists() or Path(data).suffix != ".npz":
        yield data
