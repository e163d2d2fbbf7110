"""Copies of an environment that step together: all in this process, or some in each of several. The number of processes changes no number."""

from __future__ import annotations

import multiprocessing
import time
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, Protocol

import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from crar_model.core.errors import UserError
from crar_model.core.guards import out_of_hearing
from crar_model.core.machine import cores
from crar_model.worlds.environments import Recipe, makers
from crar_model.worlds.episodes import Array
from crar_model.worlds.plain import Env

PAYS = 15.0
"""Seconds of stepping from which further processes pay; each takes a second or two to start."""
TRIED = 32
"""Steps that say how long one takes."""
DIED = "--env: a process that steps copies of the environment died; gather again"
Stepped = tuple[Array, Array, Array, Array]
"""Observations, rewards, and whether episodes were terminated and truncated, of every copy."""


class Copies(Protocol):
    """What gathering asks of the copies."""

    def reset(self, seeds: Sequence[int], where: Array | None = None) -> Array:
        """Observations (copies, ...) after a reset of all copies, or of those `where` (copies,) says so."""

    def step(self, actions: Array) -> Stepped:
        """Take an action (copies,) each."""

    def close(self) -> None:
        """Let go of the environments."""


class Here:
    """Copies in this process."""

    def __init__(self, recipe: Recipe, count: int) -> None:
        self.envs = SyncVectorEnv(makers(recipe, count), autoreset_mode=AutoresetMode.DISABLED)

    def reset(self, seeds: Sequence[int], where: Array | None = None) -> Array:
        """As of :class:`Copies`."""
        return np.asarray(self.envs.reset(seed=[*seeds], options=None if where is None else {"reset_mask": where})[0])

    def step(self, actions: Array) -> Stepped:
        """As of :class:`Copies`."""
        return self.envs.step(actions)[:4]

    def close(self) -> None:
        """As of :class:`Copies`."""
        self.envs.close()


class Apart:
    """Copies in processes of their own, neighbours together."""

    def __init__(self, recipe: Recipe, count: int, processes: int) -> None:
        parts = np.array_split(np.arange(count), processes)
        self.parts = [slice(int(part[0]), int(part[-1]) + 1) for part in parts]
        self.pipes: list[Any] = []
        self.seen: Array = np.zeros(0)
        self.processes: list[Any] = []
        context = multiprocessing.get_context("spawn")
        try:
            for part in parts:
                ours, theirs = context.Pipe()
                process = context.Process(target=_serve, args=(recipe, len(part), theirs), daemon=True)
                with out_of_hearing():
                    process.start()
                theirs.close()
                self.pipes.append(ours)
                self.processes.append(process)
            for pipe in self.pipes:
                _taken(pipe)
        except BaseException:
            self.close()
            raise

    def reset(self, seeds: Sequence[int], where: Array | None = None) -> Array:
        """As of :class:`Copies`."""
        asked = [where is None or bool(where[part].any()) for part in self.parts]
        for pipe, part, this in zip(self.pipes, self.parts, asked, strict=True):
            if this:
                _ask(pipe, "reset", seeds[part], None if where is None else where[part])
        for number, this in enumerate(asked):
            if this:
                found = _taken(self.pipes[number])
                if where is None:
                    self.seen = found if number == 0 else np.concatenate((self.seen, found))
                else:
                    self.seen[self.parts[number]] = found
        return self.seen.copy()

    def step(self, actions: Array) -> Stepped:
        """As of :class:`Copies`."""
        for pipe, part in zip(self.pipes, self.parts, strict=True):
            _ask(pipe, "step", actions[part])
        each = [_taken(pipe) for pipe in self.pipes]
        self.seen, rewards, terminated, truncated = (np.concatenate(values) for values in zip(*each, strict=True))
        return self.seen.copy(), rewards, terminated, truncated

    def close(self) -> None:
        """As of :class:`Copies`."""
        for pipe in self.pipes:
            pipe.close()
        for process in self.processes:
            process.join(5.0)
            if process.is_alive():
                process.terminate()
                process.join(5.0)


def _ask(pipe: Any, name: str, *arguments: Any) -> None:
    """Ask a process for something; errors as of :func:`_taken`."""
    try:
        pipe.send((name, arguments))
    except ConnectionError as error:
        raise UserError(DIED) from error


def _taken(pipe: Any) -> Any:
    """The answer of a process.

    Raises:
        UserError: that it met, or where it has died.
        RuntimeError: any other error that it met.
    """
    try:
        kind, content = pipe.recv()
    except (EOFError, ConnectionError) as error:
        raise UserError(DIED) from error
    if kind == "refused":
        raise UserError(content)
    if kind == "failed":
        raise RuntimeError(content)
    return content


def _serve(recipe: Recipe, count: int, pipe: Connection) -> None:
    """Step copies as asked, until nobody asks any more."""
    try:
        copies = Here(recipe, count)
        pipe.send(("done", None))
        while True:
            name, arguments = pipe.recv()
            pipe.send(("done", getattr(copies, name)(*arguments)))
    except (EOFError, ConnectionError):
        return
    except UserError as error:
        pipe.send(("refused", str(error)))
    except Exception:  # of whatever kind: an environment is its author's
        pipe.send(("failed", traceback.format_exc()))


def seconds_of(env: Env, steps: int) -> float:
    """How long so many steps take in one process, by a few of them."""
    env.reset(seed=0)
    env.action_space.seed(0)
    began = time.perf_counter()
    for _ in range(TRIED):
        if any(env.step(env.action_space.sample())[2:4]):
            env.reset()
    return (time.perf_counter() - began) / TRIED * steps


def copies_of(recipe: Recipe, count: int, seconds: float, processes: int = 0) -> Copies:
    """Copies, in as many processes as pay: this one alone where another cannot make the environment, as one that only this process has registered.

    Args:
        recipe: the environment.
        count: copies.
        seconds: that stepping is expected to take.
        processes: how many; 0 for as many as pay.
    """
    wanted = processes or (min(cores(), count) if seconds > PAYS else 1)
    if wanted > 1:
        try:
            return Apart(recipe, count, wanted)
        except (UserError, RuntimeError):
            pass  # it was made here before, so it is to be had here
    return Here(recipe, count)
