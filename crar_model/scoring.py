"""Plays the random mazes and scores agents: total reward per episode started.

Two protocols: the paper's own, 200 steps of one environment, whatever the number of episodes (section 6 of the
original's facts), which is noisy; and whole episodes of many fresh mazes, from which an interval follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from crar_model.agents import Agent
from crar_model.mazes.random_mazes import EPISODE_STEPS, Maps, RandomMazeBatch, draw_maps
from crar_model.params import Params
from crar_model.planning import plan_values

PAPER_STEPS = 200
EPSILON = 0.1
PLANNING_DEPTH = 3
MAPS_PER_RUN = 72
"""More than 200 steps can finish: three keys take at least 3 steps."""


@dataclass(frozen=True)
class PlaySettings:
    """How an agent acts: share of random actions, planning depth, maze."""

    inverse: bool = False
    epsilon: float = EPSILON
    depth: int = PLANNING_DEPTH
    legacy_astar: bool = False


def choose(agent: Agent, params: Params, tiles: Tensor, play: PlaySettings, luck: Tensor) -> Tensor:
    """Epsilon-greedy actions by planning.

    Args:
        agent, params: the model or members.
        tiles: (*members, N, 1, 8, 8) what the agents see.
        play: epsilon and depth.
        luck: (*members, N, 2) uniform numbers in [0, 1): the first decides whether to act at random, the second how.

    Returns:
        (*members, N) int64.
    """
    with torch.no_grad():
        greedy = plan_values(agent, params, agent.encode(params, tiles), play.depth).argmax(-1)
    random = (luck[..., 1] * agent.n_actions).to(torch.int64)
    return torch.where(luck[..., 0] < play.epsilon, random, greedy)


def paper_scores(
    agent: Agent, params: Params, seeds: Sequence[Sequence[int]], play: PlaySettings, *, copies: int = 1, steps: int = PAPER_STEPS
) -> Tensor:
    """The paper's protocol for every member: `copies` independent runs of `steps` steps each.

    Args:
        agent: gives the networks.
        params: (members, ...) parameters.
        seeds: one list of integers a member; what a member sees depends on its own alone.
        play: how to act.
        copies: independent runs a member.
        steps: steps of a run.

    Returns:
        (members, copies) total reward / episodes started, float64 on the CPU.
    """
    device = next(iter(params.values())).device
    own = [draw_maps([*seed, 6], copies * MAPS_PER_RUN, legacy_astar=play.legacy_astar) for seed in seeds]
    maps = Maps(torch.cat([m.walls for m in own]), torch.cat([m.keys for m in own]))
    luck = np.stack([np.random.default_rng([*seed, 7]).random((steps, copies, 2), dtype=np.float32) for seed in seeds], axis=1)
    dice = torch.from_numpy(luck).to(device)  # (steps, members, copies, 2)
    games = RandomMazeBatch(len(seeds) * copies, maps=maps, inverse=play.inverse, device=device)
    total = torch.zeros(len(seeds) * copies, dtype=torch.float64, device=device)
    started = torch.ones_like(total)
    seen = games.observe()
    for step in range(steps):
        action = choose(agent, params, torch.unflatten(seen, 0, (len(seeds), copies)), play, dice[step])
        seen, reward, terminal, late = games.step(action.flatten())
        total += reward
        ended = terminal | late
        if step < steps - 1:  # an episode that could only start after the last step is not started
            started += ended
        seen = games.reset(ended)
    return (total / started).view(len(seeds), copies).cpu()


@dataclass(frozen=True)
class Scores:
    """Total reward of whole episodes, one each of `episodes` mazes.

    Attributes:
        rewards: (episodes,) total rewards.
        lengths: (episodes,) steps taken.
        keys: (episodes,) keys found.
    """

    rewards: Tensor
    lengths: Tensor
    keys: Tensor

    @property
    def solved(self) -> float:
        """Share of episodes in which all three keys were found."""
        return float((self.keys == 3).double().mean())


def episode_scores(agent: Agent, params: Params, play: PlaySettings, *, episodes: int, seed: int) -> Scores:
    """Play one episode in each of `episodes` fresh mazes with one model.

    The same seed gives the same mazes and the same luck, so that two models can be compared maze by maze.
    """
    device = next(iter(params.values())).device
    maps = draw_maps([seed, 6], episodes, legacy_astar=play.legacy_astar)
    games = RandomMazeBatch(episodes, maps=maps, inverse=play.inverse, device=device)
    rng = np.random.default_rng([seed, 7])
    totals = torch.zeros(episodes, dtype=torch.float64, device=device)
    lengths = torch.zeros(episodes, dtype=torch.int64, device=device)
    running = torch.ones(episodes, dtype=torch.bool, device=device)
    seen = games.observe()
    for _ in range(EPISODE_STEPS):
        luck = torch.from_numpy(rng.random((episodes, 2), dtype=np.float32)).to(device)
        active = running.nonzero().squeeze(1)
        if not len(active):
            break
        action = torch.zeros(episodes, dtype=torch.int64, device=device)
        action[active] = choose(agent, params, seen[active], play, luck[active])
        seen, reward, terminal, _ = games.step(action)
        totals[active] += reward[active].double()
        lengths[active] += 1
        running &= ~terminal
    left = games.keys.sum(1)
    return Scores(totals.cpu(), lengths.cpu(), (3 - left).cpu())
