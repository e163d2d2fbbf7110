"""Parts of `check_task` that look at transitions: evaluation sets, samples, losses on them, and the closed-form copy."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from crar_model.core.errors import UserError
from crar_model.core.params import Params
from crar_model.core.settings import TrainSettings, from_plain, merged
from crar_model.tasks.task import Task

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from crar_model.agent.batch import Batch

SAMPLE = 2_048
"""Transitions that a task is asked for where its evaluation set is not all there is."""
ROUNDING = {"float32": 1e-4, "float64": 1e-9}
"""By how much of the largest number the closed-form copy may be off."""


def need(holds: bool, task: Task, wrong: str, do: str) -> None:
    """Raise :class:`UserError` on a task, with what to do, where something does not hold."""
    if not holds:
        raise UserError(f"{task.name}: {wrong}; {do}")


def settings_of(task: Task, **short: Any) -> TrainSettings:
    """Settings of base training, with `short` in their places; those of transfers are checked, too."""
    where = f"{task.name}: its defaults"
    own = from_plain({**task.defaults, "maze": task.name}, where=where)
    from_plain(merged(task.defaults, task.transfer_defaults), where=f"{task.name}: its transfer_defaults").validate()
    own.validate()
    return dataclasses.replace(own, **short)


def params_of(task: Task) -> Params:
    """New networks of a task, always the same."""
    import numpy as np

    return task.agent().init(np.random.default_rng(0))


def sets(task: Task) -> None:
    """The evaluation set, the table behind verdicts, and where these are not all there is the samples."""
    import torch

    dtype = torch.float64 if task.sampling.dtype == "float64" else torch.float32
    normal = _both_sides(task, "batch", {"dtype": dtype})
    if task.maze is not None and task.sampling.complete:
        found = len(torch.unique(torch.stack((normal.state, normal.action)), dim=1).T)
        whole = int(task.maze.known.sum())
        need(found == whole, task, f"its batch has {found} of {whole} transitions", "list all, or say complete=False in sampling")
    _both_sides(task, "table", {"dtype": dtype})
    if not task.sampling.complete and not task.sampling.drawn:
        one, other = (_both_sides(task, "sample", {"dtype": dtype, "size": SAMPLE, "number": number}) for number in (0, 1))
        need(len(one.state) == SAMPLE, task, f"sample(size={SAMPLE}) has {len(one.state)} transitions", "give as many as are asked for")
        need(
            bool(one.terminated.any()) or task.known_by_data,
            task,
            "its sample has no terminal transition",
            "raise UserError where none is drawn",
        )
        need(
            not same(vars(one), vars(other)),
            task,
            "sample gives the same transitions for two numbers",
            "draw from a seed that has the number in it",
        )


def _both_sides(task: Task, method: str, how: Mapping[str, Any]) -> Batch:
    """The normal side's set, after all that can be said of both."""
    import torch

    sides = []
    for inverse in (False, True):
        batch, again = (getattr(task, method)(inverse=inverse, **how) for _ in range(2))
        _rows(task, batch, f"{method}(inverse={inverse})", how["dtype"])
        fields = [vars(one) for one in (batch, again)]
        need(same(*fields), task, f"{method}(inverse={inverse}) is another set every time", "draw it from a fixed seed")
        sides.append(batch)
    shared = [{name: value for name, value in vars(one).items() if name != "observations"} for one in sides]
    need(same(*shared), task, f"{method} has other transitions in the inverse maze", "give the same states in the same order on both sides")
    alike = torch.equal(*(one.observations for one in sides))
    need(not alike, task, f"{method} shows the same on both sides", "let the inverse maze show observations through the task's map")
    normal: Batch = sides[0]
    return normal


def _rows(task: Task, batch: Batch, what: str, dtype: torch.dtype) -> None:
    """Shapes, dtypes and ranges of an evaluation set."""
    import torch

    seen, size = batch.observations, len(batch.state)
    need(seen.dim() == 4, task, f"{what}: observations are {tuple(seen.shape)}", "give (rows, 1, height, width)")
    need(seen.dtype in (dtype, torch.uint8), task, f"{what}: observations are {seen.dtype}", f"give {dtype}, or tile maps as uint8")
    need(bool(seen.isfinite().all()), task, f"{what}: observations are not finite", "give finite numbers")
    for name, shape, end in (
        ("state", (size,), len(seen)), ("next_state", (size,), len(seen)), ("action", (size,), task.agent().n_actions),
        ("states", (-1,), len(seen)), ("moves", (2, -1), len(seen)), ("pairs", (2, -1), len(seen)),
    ):  # fmt: skip
        value: Tensor | None = getattr(batch, name)
        if value is None:
            need(name == "pairs", task, f"{what}: {name} is missing", "evaluation sets have states and moves")
            continue
        fits = value.dim() == len(shape) and all(want in (-1, got) for want, got in zip(shape, value.shape, strict=True))
        need(fits and value.numel() > 0, task, f"{what}: {name} is {tuple(value.shape)}", f"give {str(shape).replace('-1', 'N')}")
        need(inside(value, end), task, f"{what}: {name} is out of range or no int64", f"give int64 from 0 to {end - 1}")
    for name in ("reward", "terminated"):
        value = getattr(batch, name)
        fits = value.shape == (size,) and value.dtype == dtype and bool(value.isfinite().all())
        need(fits, task, f"{what}: {name} is {tuple(value.shape)} {value.dtype}", f"give ({size},) finite {dtype}")
    need(
        bool(((batch.terminated == 0) | (batch.terminated == 1)).all()),
        task,
        f"{what}: terminated is neither 0 nor 1",
        "give 1 where it ended",
    )


def losses(task: Task) -> None:
    """Every loss term of new networks."""
    import torch

    from crar_model.agent.loss import Loss

    agent, dtype = task.agent(), torch.float64 if task.sampling.dtype == "float64" else torch.float32
    members = {name: value.to(dtype).unsqueeze(0) for name, value in params_of(task).items()}
    batch = task.batch(inverse=False, dtype=dtype)
    with torch.no_grad():
        states = agent.encode(members, batch.observations)
        wanted = (1, len(batch.observations), agent.abstract_size)
        need(states.shape == wanted, task, f"its encoder gives {tuple(states.shape)} for one member", f"give {wanted}")
        terms = Loss(agent, settings_of(task).loss)(members, batch)
    for name, value in terms.items():
        need(value.shape == (1,), task, f"its loss term {name} is {tuple(value.shape)} for one member", "keep the axis of members")
        need(bool(value.isfinite().all()), task, f"its loss term {name} of new networks is not finite", "scale observations and rewards")


def closed_form(task: Task) -> None:
    """What `carried` makes of new networks, where their map has a closed form."""
    import torch

    agent, dtype = task.agent(), torch.float64 if task.sampling.dtype == "float64" else torch.float32
    params = {name: value.to(dtype) for name, value in params_of(task).items()}
    try:
        copy = task.carried(params, inverse=True)
    except UserError:  # a map that no first layer undoes
        return
    with torch.no_grad():
        here, there = (
            agent.encode({name: value.unsqueeze(0) for name, value in own.items()}, task.batch(inverse=inverse, dtype=dtype).observations)
            for own, inverse in ((params, False), (copy, True))
        )
    off = float((here - there).abs().max()) / max(1.0, float(here.abs().max()))
    near = off <= ROUNDING[task.sampling.dtype]
    need(
        near,
        task,
        f"carried() is off by {off:.2g} in the inverse maze",
        "let the inverse show the task's map of every observation, in the same order",
    )


def inside(value: Tensor, end: int) -> bool:
    """Whether numbers are int64 from 0 to `end` - 1."""
    import torch

    return value.dtype == torch.int64 and int(value.min()) >= 0 and int(value.max()) < end


def same(one: Any, other: Any) -> bool:
    """Whether plain data and tensors are the same, number by number."""
    import torch

    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.shape == other.shape and torch.equal(one, other)
    return bool(one == other)
