"""Abstract states of a few observations along a surface or a path, where they are too many numbers for all of them and all places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import xarray as xr
from torch import Tensor

from crar_model.core.params import DYNAMICS, Params, select
from crar_reports.measure.subject import Subject

SHOWN = 4
"""Transitions that are looked at."""


@dataclass(frozen=True)
class Shown:
    """Abstract states (stops, SHOWN, d) before and after a few moves, and what the dynamics expect after them: (..., stops, SHOWN, d)."""

    state: Tensor
    actual: Tensor
    predicted: Tensor


def chosen_rows(pair: Subject) -> Tensor:
    """The first `SHOWN` transitions of the batch that do not end an episode."""
    return (pair.batch.terminated == 0).nonzero().flatten()[:SHOWN]


def encoder_along(pair: Subject, surface: xr.Dataset) -> Callable[[float, Tensor], Tensor]:
    """(place on a surface's first axis, observations) -> their abstract states there: the embedding moves where the surface is of embeddings,
    the encoder's weights where it is of weights."""
    begin = select(pair.failed, ("encoder",))
    goal = pair.nearest if surface.attrs["aligned"] else select(pair.optimum, ("encoder",))

    def encoded(x: float, observations: Tensor) -> Tensor:
        with torch.no_grad():
            if surface.attrs["space"] == "embedding":
                a, b = (pair.agent.encode(params, observations) for params in (begin, goal))
                return a + x * (b - a)
            return pair.agent.encode({name: value + x * (goal[name] - value) for name, value in begin.items()}, observations)

    return encoded


def shown_states(pair: Subject, encode: Sequence[Callable[[Tensor], Tensor]], dynamics: Sequence[Params]) -> Shown:
    """What encoders (stops) make of a few observations, and every one of `dynamics` of that: `predicted` is (dynamics, stops, SHOWN, d)."""
    rows = chosen_rows(pair)
    seen = pair.batch.observations
    before, after, action = seen[pair.batch.state[rows]], seen[pair.batch.next_state[rows]], pair.batch.action[rows]
    state, actual = (torch.stack([one(observations) for one in encode]) for observations in (before, after))
    with torch.no_grad():
        predicted = [torch.stack([pair.agent.transition(params, x, action) for x in state]) for params in dynamics]
    return Shown(state, actual, torch.stack(predicted))


def dynamics_at(pair: Subject, adapted: Params, y: float) -> Params:
    """The dynamics at a place on a surface's second axis."""
    return {name: value + y * (adapted[name].to(value.dtype) - value) for name, value in select(pair.failed, DYNAMICS).items()}
