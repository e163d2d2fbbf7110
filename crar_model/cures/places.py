"""Where do the roots lie? The search for their places in an abstract space of any dimension, where no grid can be looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from crar_model.agent.batch import Batch
from crar_model.core.errors import UserError
from crar_model.core.params import DYNAMICS, select
from crar_model.core.settings import CureSettings
from crar_model.cures.methods import ROLLED, Rounds, scaled
from crar_model.cures.placement import CHUNK, REACH
from crar_model.cures.problem import Problem
from crar_model.cures.rolling import Forest, unroll

DRAWN = 13
"""2 to this power places of a root are drawn, from one scrambled Sobol sequence: it fills a space of any dimension evenly."""


def places_rounds(settings: CureSettings) -> Rounds:
    """How the lowest places descend."""
    return scaled(ROLLED, settings.effort, ROLLED[0].kept)


def rolled_starts(problem: Problem, settings: CureSettings, count: int, tick: Callable[[int], None] = lambda _: None) -> tuple[Tensor, int]:
    """Embeddings that roll from the best places of the roots: of the places drawn the lowest descend, by the gradient through the whole tree.

    Each tree is searched by itself, on the transitions inside it; the k-th best of one is put beside the k-th best of the others.

    Args:
        problem: of a world whose table of moves is known.
        settings: `effort` of the descents.
        count: embeddings wanted.
        tick: called with the updates taken.

    Returns:
        (count, states, d), and the updates of all places together.

    Raises:
        UserError: when the dynamics give no finite loss anywhere.
    """
    whole, batch = problem.forest, problem.data.judged
    found = torch.zeros(count, len(whole.tree), problem.agent.abstract_size)
    taken = 0
    for number in range(len(whole.roots)):
        forest, states = whole.only(number)
        inside = inside_of(batch, torch.from_numpy(states))
        places, updates = _searched(problem, forest, inside, settings, tick)
        with torch.no_grad():
            found[:, states] = unroll(problem.agent, select(problem.failed, DYNAMICS), forest, places[:count])
        taken += updates
    return found, taken


def inside_of(batch: Batch, states: Tensor) -> Batch:
    """The transitions and pairs that stay within some of the states of a complete evaluation set, whose names there are their places in `states`."""
    assert batch.states is not None
    name = torch.full((batch.observations.shape[-4],), -1)
    name[batch.states[states]] = torch.arange(len(states))
    kept = (name[batch.state] >= 0) & (name[batch.next_state] >= 0)
    pairs = None if batch.pairs is None else name[batch.pairs][:, (name[batch.pairs] >= 0).all(0)]
    return replace(
        batch,
        observations=batch.observations[batch.states[states]],
        state=name[batch.state[kept]],
        next_state=name[batch.next_state[kept]],
        action=batch.action[kept],
        reward=batch.reward[kept],
        terminated=batch.terminated[kept],
        pairs=pairs,
        onehot=None if batch.onehot is None else batch.onehot[kept],
        states=torch.arange(len(states)),
    )


def _searched(problem: Problem, forest: Forest, batch: Batch, settings: CureSettings, tick: Callable[[int], None]) -> tuple[Tensor, int]:
    """Places (m, d) of the root of one tree, lowest first, and the updates that they took."""
    edge = REACH * problem.loss.settings.ball_radius
    drawn = torch.quasirandom.SobolEngine(problem.agent.abstract_size, scramble=True, seed=DRAWN).draw_base2(DRAWN)
    places = edge * (2 * drawn - 1)
    dynamics = select(problem.failed, DYNAMICS)

    def heights(some: Tensor) -> Tensor:
        if len(batch.state) == 0:  # a state by itself: nothing is said of its place
            return some.square().sum(-1)
        return problem.terms(unroll(problem.agent, dynamics, forest, some), batch)["total"]

    def lowest(some: Tensor, kept: int) -> Tensor:
        with torch.no_grad():
            losses = torch.nan_to_num(torch.cat([heights(piece) for piece in torch.split(some, CHUNK)]), nan=torch.inf)
        if not bool(torch.isfinite(losses).any()):
            raise UserError("the dynamics give no finite loss wherever the states are placed; use another checkpoint")
        return some[losses.argsort(stable=True)[:kept]]

    (this,) = places_rounds(settings)
    begun = lowest(places, this.kept)
    moving = begun.clone().requires_grad_()
    optimizer = torch.optim.Adam([moving], lr=this.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, this.updates, eta_min=this.rate / 10)
    for _ in range(this.updates):
        losses = heights(moving)
        (gradient,) = torch.autograd.grad(torch.where(losses.isfinite(), losses, 0.0).sum(), [moving])
        moving.grad = gradient.nan_to_num(0.0, 0.0, 0.0)
        optimizer.step()
        schedule.step()
        tick(len(moving))
    return lowest(torch.cat((moving.detach(), begun)), len(begun)), this.updates * len(begun)
