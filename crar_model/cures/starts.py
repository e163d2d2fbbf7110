"""Where the candidates of each method begin: encoders (m, ...), of which a method trains all tensors or some."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from crar_model.agent.agent import Agent
from crar_model.agent.symmetry import FIRST_LAYER
from crar_model.core.errors import UserError
from crar_model.core.params import Params, select
from crar_model.core.settings import CureSettings
from crar_model.core.streams import Stream
from crar_model.cures.copies import tried_permutations
from crar_model.cures.methods import Method
from crar_model.cures.problem import Problem

FIRST = tuple(FIRST_LAYER.replace("weight", part) for part in ("weight", "bias"))


@dataclass(frozen=True)
class Starts:
    """Candidates before their first update.

    Attributes:
        labels: one a candidate.
        free: (m, ...) what trains.
        still: (...) the other tensors of the encoder, the same for all.
    """

    labels: tuple[str, ...]
    free: Params
    still: Params


def starts_of(problem: Problem, method: Method, settings: CureSettings) -> Starts:
    """The candidates of a method whose candidates are encoders.

    Raises:
        UserError: for a method that wants the base's weights, without a base.
    """
    if method.start == "copies":
        return copies(problem, settings.seed)
    if method.start == "noise":
        return disturbed(problem, settings)
    rngs = [np.random.default_rng([settings.seed + k, Stream.WEIGHTS]) for k in range(settings.starts)]
    drawn = [select(problem.agent.init(rng), ("encoder",)) for rng in rngs]
    labels = tuple(f"draw {k}" for k in range(settings.starts))
    if method.start == "fresh":
        return Starts(labels, _stacked(drawn), {})
    if problem.base is None:
        raise UserError(
            f"--method {method.name} starts from the base's weights, and the checkpoint's base is not there; give it with --base"
        )
    rest = {name: value for name, value in select(problem.base, ("encoder",)).items() if name not in FIRST}
    free = _stacked([{name: encoder[name] for name in FIRST} for encoder in drawn])
    return Starts(labels, free, rest)


def copies(problem: Problem, seed: int = 0) -> Starts:
    """The failed encoder behind signed permutations of the abstract channels, all 8 for two of them, the identity first: candidate p
    encodes P_p e(s), to which `ball` and the pairwise terms are blind. `seed` is of the search where they are too many to try."""
    moves = tried_permutations(problem, seed)  # (m, C, C)
    encoder = select(problem.failed, ("encoder",))
    last = last_layer(problem.agent)
    free = {name: value.expand(len(moves), *value.shape).contiguous() for name, value in encoder.items()}
    for name in last:
        free[name] = torch.einsum("pij,j...->pi...", moves, encoder[name])
    return Starts(tuple(str([[int(x) for x in row] for row in move.tolist()]) for move in moves), free, {})


def last_layer(agent: Agent) -> tuple[str, str]:
    """Names of the weight and the bias that give the abstract channels."""
    last = len(agent.unit_signs("encoder")) - 1
    return f"encoder.{last}.weight", f"encoder.{last}.bias"


def disturbed(problem: Problem, settings: CureSettings) -> Starts:
    """The failed encoder with Gaussian noise on every tensor; the first candidate goes on undisturbed."""
    encoder = select(problem.failed, ("encoder",))
    made = []
    for k in range(settings.starts):
        rng = np.random.default_rng([settings.seed + k, Stream.NOISE])
        scale = settings.noise if k else 0.0
        noise = {name: torch.from_numpy(rng.standard_normal(value.shape, dtype=np.float32)) for name, value in encoder.items()}
        made.append({name: value + scale * value.square().mean().sqrt() * noise[name] for name, value in encoder.items()})
    return Starts(tuple(f"noise {k}" if k else "undisturbed" for k in range(settings.starts)), _stacked(made), {})


def _stacked(encoders: list[Params]) -> Params:
    return {name: torch.stack([encoder[name] for encoder in encoders]).contiguous() for name in encoders[0]}
