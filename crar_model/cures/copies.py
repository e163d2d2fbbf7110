"""Signed permutations of the abstract axes: all of them where they can be tried, else those that a descent over exchanges finds.

There are 2^C C! for C axes: 8, 48, 384, 3,840, ... Each is a product of changes of one axis' sign and exchanges of two axes. So where they are too many, a
descent goes from one to the best of its neighbours, which differ by one such step, until none has a lower loss; it is begun at many at random.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor

from crar_model.agent.symmetry import TRIED, signed_permutations
from crar_model.core.streams import Stream
from crar_model.cures.problem import Problem

MOST = 48
"""Copies that train at most, in a world of few transitions (`Problem.at_once`); there are as many of 3 axes."""
CHUNK = 32
"""Copies whose losses are computed at once."""


def exchanges(size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """(n, size, size) signed permutations that are one step from the identity, which is first: an axis negated, two axes exchanged."""
    unit = torch.eye(size, dtype=dtype)
    found = [unit]
    for axis in range(size):
        found.append(torch.diag(1 - 2 * unit[axis]))
    for one, other in itertools.combinations(range(size), 2):
        order = list(range(size))
        order[one], order[other] = other, one
        found.append(unit[order])
    return torch.stack(found)


def heights(problem: Problem, moves: Tensor) -> Tensor:
    """(m,) what the failed embedding behind signed permutations (m, C, C) of its channels is ranked by."""
    batch = problem.data.judged
    with torch.no_grad():
        encoder = {name: value[None] for name, value in problem.failed.items() if name.startswith("encoder.")}
        own = problem.agent.by_position(problem.encode(encoder, batch)[0])  # (rows, C, P)
        pieces = (torch.einsum("pij,njk->pnik", piece, own).flatten(2) for piece in torch.split(moves, CHUNK))
        return torch.cat([problem.rank(problem.terms(piece, batch)) for piece in pieces])


def tried_permutations(problem: Problem, seed: int) -> Tensor:
    """(m, C, C) signed permutations to train copies behind, the identity first: all where these can train at once, else the lowest by loss."""
    channels, most = problem.agent.channels, problem.at_once(MOST)
    if channels <= TRIED:
        every = signed_permutations(channels, torch.float32)
        if len(every) <= most:
            return every
        found = every[1:]
    else:
        found = _descended(problem, np.random.default_rng([seed, Stream.WEIGHTS]))
    return torch.cat((torch.eye(channels)[None], found[heights(problem, found).argsort(stable=True)[: most - 1]]))


def _descended(problem: Problem, rng: np.random.Generator) -> Tensor:
    """Where descents over exchanges end, each once."""
    channels, steps = problem.agent.channels, exchanges(problem.agent.channels)
    found = {torch.eye(channels).numpy().tobytes()}
    ends: list[Tensor] = []
    for _ in range(MOST):
        here = torch.diag(torch.from_numpy(rng.choice((-1.0, 1.0), channels)).float())[torch.from_numpy(rng.permutation(channels))]
        while True:
            near = steps @ here + 0.0  # (n, C, C), itself first; no -0.0, which would count as another
            best = int(heights(problem, near).argmin())
            if best == 0:
                break
            here = near[best]
        if (name := here.numpy().tobytes()) not in found:
            found.add(name)
            ends.append(here)
    return torch.stack(ends or [torch.eye(channels)])
