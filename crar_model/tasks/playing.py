"""Plays the random mazes and scores agents: total reward per episode started, with intervals.

Two protocols: the paper's own, 200 steps of one environment, whatever the number of episodes (section 6 of
docs/original.md), which is noisy; and whole episodes of many fresh mazes, from which an interval follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from crar_model.agent.networks import Agent
from crar_model.agent.planning import plan_values
from crar_model.core.params import Params
from crar_model.core.settings import PlaySettings
from crar_model.core.streams import Stream
from crar_model.mazes.random_mazes import EPISODE_STEPS, Maps, RandomMazeBatch, draw_maps
from crar_model.tasks.metrics import Score

PAPER_STEPS = 200
PAPER_RUNS = 10
"""Runs of 200 steps that the paper's protocol is repeated for."""
MAPS_PER_RUN = 72
"""More than 200 steps can finish: three keys take at least 3 steps."""
CONFIDENCE = 0.95


def choose(agent: Agent, params: Params, tiles: Tensor, how: PlaySettings, luck: Tensor) -> Tensor:
    """Epsilon-greedy actions by planning.

    Args:
        agent, params: the model or members.
        tiles: (*members, N, 1, 8, 8) what the agents see.
        how: epsilon and depth.
        luck: (*members, N, 2) uniform numbers in [0, 1): the first decides whether to act at random, the second how.

    Returns:
        (*members, N) int64.
    """
    with torch.no_grad():
        greedy = plan_values(agent, params, agent.encode(params, tiles), how.depth).argmax(-1)
    random = (luck[..., 1] * agent.n_actions).to(torch.int64)
    return torch.where(luck[..., 0] < how.epsilon, random, greedy)


def paper_scores(
    agent: Agent,
    params: Params,
    seeds: Sequence[Sequence[int]],
    how: PlaySettings,
    *,
    inverse: bool,
    num_envs: int = PAPER_RUNS,
    steps: int = PAPER_STEPS,
) -> Tensor:
    """The paper's protocol for every member: `num_envs` independent runs of `steps` steps each.

    Args:
        agent: gives the networks.
        params: (members, ...) parameters.
        seeds: one list of integers a member; what a member sees depends on its own alone.
        how: how to act.
        inverse: maze to play in.
        num_envs: independent runs a member.
        steps: steps of a run.

    Returns:
        (members, num_envs) total reward / episodes started, float64 on the CPU.
    """
    device = next(iter(params.values())).device
    own = [draw_maps([*seed, Stream.SCORE_MAPS], num_envs * MAPS_PER_RUN, legacy_astar=how.legacy_astar) for seed in seeds]
    maps = Maps(torch.cat([m.walls for m in own]), torch.cat([m.keys for m in own]))
    luck = np.stack([np.random.default_rng([*seed, Stream.LUCK]).random((steps, num_envs, 2), dtype=np.float32) for seed in seeds], axis=1)
    dice = torch.from_numpy(luck).to(device)  # (steps, members, num_envs, 2)
    games = RandomMazeBatch(len(seeds) * num_envs, maps=maps, inverse=inverse, device=device)
    total = torch.zeros(len(seeds) * num_envs, dtype=torch.float64, device=device)
    started = torch.ones_like(total)
    seen = games.observe()
    for step in range(steps):
        action = choose(agent, params, torch.unflatten(seen, 0, (len(seeds), num_envs)), how, dice[step])
        seen, reward, terminated, late = games.step(action.flatten())
        total += reward
        ended = terminated | late
        if step < steps - 1:  # an episode that could only start after the last step is not started
            started += ended
        seen = games.reset(ended)
    return (total / started).view(len(seeds), num_envs).cpu()


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


def episode_scores(agent: Agent, params: Params, how: PlaySettings, *, inverse: bool) -> Scores:
    """Play one episode in each of `how.episodes` fresh mazes with one model.

    The same `how.seed` gives the same mazes and the same luck, so that two models can be compared maze by maze.
    """
    device, episodes = next(iter(params.values())).device, how.episodes
    maps = draw_maps([how.seed, Stream.SCORE_MAPS], episodes, legacy_astar=how.legacy_astar)
    games = RandomMazeBatch(episodes, maps=maps, inverse=inverse, device=device)
    rng = np.random.default_rng([how.seed, Stream.LUCK])
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
        action[active] = choose(agent, params, seen[active], how, luck[active])
        seen, reward, terminated, _ = games.step(action)
        totals[active] += reward[active].double()
        lengths[active] += 1
        running &= ~terminated
    left = games.keys.sum(1)
    return Scores(totals.cpu(), lengths.cpu(), (3 - left).cpu())


def interval(values: Tensor) -> tuple[float, float, float]:
    """Mean and 95 % confidence interval of a sample (n,) by Student's t; infinite for a single value, a point for equal values."""
    from scipy import stats  # not at the top, as in `SimpleMaze.rooms`

    sample = values.double().numpy()
    mean = float(values.double().mean())
    if len(sample) < 2:
        return mean, -float("inf"), float("inf")
    error = float(stats.sem(sample))
    if error == 0:
        return mean, mean, mean
    low, high = stats.t.interval(CONFIDENCE, len(sample) - 1, loc=mean, scale=error)
    return mean, float(low), float(high)


def score(agent: Agent, params: Params, *, inverse: bool, how: PlaySettings) -> Score:
    """Score one model; the same settings give the same mazes and the same luck, whatever the model."""
    members = {name: value.detach().unsqueeze(0) for name, value in params.items()}
    if how.protocol == "paper":
        runs = paper_scores(agent, members, [[how.seed, Stream.PAPER]], how, inverse=inverse)[0]
        return Score(*interval(runs), len(runs), None, None, tuple(runs.tolist()))
    found = episode_scores(agent, members, how, inverse=inverse)
    return Score(*interval(found.rewards), how.episodes, found.solved, float(found.keys.double().mean()), tuple(found.rewards.tolist()))
