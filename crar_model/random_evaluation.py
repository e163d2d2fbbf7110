"""Judges a model of the random mazes: losses on held-out transitions, score, and how its embedding relates to its base's.

Sources: section 6 of the original's facts for the score, claims S2 and S11; the embedding's distance follows the released
comparison of normal and transferred abstract states (mean L2 distance over fresh mazes).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.agents import Agent
from crar_model.batches import Batch, walk_batch
from crar_model.evaluation import MATCH_LIMIT, Match
from crar_model.losses import loss_terms, total
from crar_model.mazes.tiles import negated
from crar_model.mazes.walks import gather_walk
from crar_model.params import Params
from crar_model.scoring import EPSILON, PLANNING_DEPTH, PlaySettings, Scores, episode_scores, paper_scores
from crar_model.settings import LossSettings
from crar_model.symmetry import signed_permutations

EVALUATION_SIZE = 512
"""Transitions on which losses are compared."""
EVALUATION_SEED = 1_000_003
"""Seed of the walk that they come from; no member of a run has it."""
WALK_SIZE = 25_600
PAPER_RUNS = 10
"""Runs of 200 steps that the paper's protocol is repeated for."""


@lru_cache(maxsize=8)
def held_out_batch(inverse: bool, size: int = EVALUATION_SIZE, seed: int = EVALUATION_SEED) -> Batch:
    """`size` transitions of a random walk that no training sees, in random order, so that neighbours, which
    `random_pairs` compares, are unrelated. The same transitions in both mazes; float32."""
    walk = gather_walk(seed, max(WALK_SIZE, 2 * size), inverse=inverse)
    return walk_batch(walk, np.random.default_rng([seed, 8]).permutation(len(walk))[:size])


@dataclass(frozen=True)
class ScoreSettings:
    """How to score.

    Attributes:
        protocol: "episodes" plays one episode in each of `episodes` mazes; "paper" runs 200 steps, PAPER_RUNS times.
        episodes, seed: mazes and luck.
        depth, epsilon: planning depth and share of random actions.
    """

    protocol: str = "episodes"
    episodes: int = 200
    seed: int = 0
    depth: int = PLANNING_DEPTH
    epsilon: float = EPSILON


@dataclass(frozen=True)
class Score:
    """A score with its 95 % interval.

    Attributes:
        mean: total reward per episode started. low, high: its interval, by Student's t over episodes or runs.
        samples: episodes, or runs of the paper's protocol.
        solved, keys: share of episodes with all keys, keys found per episode; None in the paper's protocol.
        values: the single episodes' or runs' scores.
    """

    mean: float
    low: float
    high: float
    samples: int
    solved: float | None
    keys: float | None
    values: tuple[float, ...] = field(repr=False, default=())


def interval(values: Tensor) -> tuple[float, float, float]:
    """Mean and 95 % confidence interval of a sample (n,) by Student's t; infinite for a single value."""
    from scipy.stats import t  # a quarter second to import, so only where it is used

    mean, n = float(values.double().mean()), len(values)
    if n < 2:
        return mean, -float("inf"), float("inf")
    half = float(t.ppf(0.975, n - 1)) * float(values.double().std(correction=1)) / n**0.5
    return mean, mean - half, mean + half


def score(agent: Agent, params: Params, *, inverse: bool, how: ScoreSettings) -> Score:
    """Score one model; the same settings give the same mazes and the same luck, whatever the model."""
    play = PlaySettings(inverse, how.epsilon, how.depth)
    members = {name: value.detach().unsqueeze(0) for name, value in params.items()}
    if how.protocol == "paper":
        runs = paper_scores(agent, members, [[how.seed, 9]], play, copies=PAPER_RUNS)[0]
        return Score(*interval(runs), len(runs), None, None, tuple(runs.tolist()))
    found: Scores = episode_scores(agent, members, play, episodes=how.episodes, seed=how.seed)
    return Score(*interval(found.rewards), how.episodes, found.solved, float(found.keys.double().mean()), tuple(found.rewards.tolist()))


def match_channels(base: Tensor, transferred: Tensor, edge: Tensor) -> tuple[Match, float]:
    """Best of the 48 signed permutations of the 3 channels between two embeddings, and the mean L2 distance as they are.

    Args:
        base, transferred: (N, 192) abstract states of the same N observations, each model seeing its own maze.
        edge: mean L2 length of a move in the base's embedding, the unit of the residuals.
    """
    maps = [torch.unflatten(x.double(), 1, (3, -1)) for x in (base, transferred)]
    candidates = signed_permutations(3)  # identity first
    moved = torch.einsum("pij,njk->pnik", candidates, maps[0])
    residuals = (maps[1] - moved).square().sum((-1, -2)).mean(-1).sqrt() / edge
    best = int(residuals.argmin())
    verdict = "neither" if float(residuals[best]) > MATCH_LIMIT else ("matched" if best == 0 else "swapped")
    axes = [[int(value) for value in row] for row in candidates[best].tolist()]
    distance = float((transferred - base).double().norm(dim=1).mean())
    return Match(verdict, axes, float(residuals[best]), float(residuals[0])), distance


@dataclass(frozen=True)
class RandomEvaluation:
    """Figures of one model of the random mazes.

    Attributes:
        terms: on `held_out_batch`.
        score: by the protocol asked for.
        match, distance: the embedding against the base's over fresh mazes: signed channel permutation, mean L2 distance.
        edge: mean L2 length of a move in the base's embedding.
    """

    terms: dict[str, float]
    score: Score
    match: Match | None = None
    distance: float = float("nan")
    edge: float = float("nan")

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        s = self.score
        result: dict[str, Any] = {
            "terms": self.terms,
            "score": {"mean": s.mean, "low": s.low, "high": s.high, "samples": s.samples, "solved": s.solved, "keys": s.keys},
        }
        if self.match is not None:
            result |= {"match": self.match.plain(), "embedding_distance": self.distance, "mean_move": self.edge}
        return result


def held_out_terms(agent: Agent, params: Params, *, inverse: bool, settings: LossSettings) -> dict[str, float]:
    """Every loss term and their total on `held_out_batch`."""
    members = {name: value.detach().unsqueeze(0) for name, value in params.items()}
    with torch.no_grad():
        terms = loss_terms(agent, members, held_out_batch(inverse), settings)
        terms["total"] = total(terms, settings)
    return {name: float(value) for name, value in terms.items()}


def compare_embeddings(
    agent: Agent, params: Params, *, inverse: bool, base: Params, base_inverse: bool, size: int = EVALUATION_SIZE
) -> tuple[Match, float, float]:
    """Match, mean L2 distance and mean length of a move between a model's embedding and its base's, over fresh mazes."""
    batch = held_out_batch(False, size)
    moving = (batch.observations[batch.current] != batch.observations[batch.following]).flatten(1).any(1)
    with torch.no_grad():
        seen = [negated(batch.observations) if side else batch.observations for side in (base_inverse, inverse)]
        own, other = agent.encode(base, seen[0]), agent.encode(params, seen[1])
    edge = (own[batch.following] - own[batch.current])[moving].double().norm(dim=1).mean()
    match, distance = match_channels(own[batch.current], other[batch.current], edge)
    return match, distance, float(edge)


def evaluate_random(
    agent: Agent,
    params: Params,
    *,
    inverse: bool,
    settings: LossSettings,
    how: ScoreSettings,
    base: tuple[Params, bool] | None = None,
) -> RandomEvaluation:
    """Judge one model of the random mazes.

    Args:
        agent: gives the networks.
        params: parameters of one model.
        inverse: maze to judge it in.
        settings: coefficients of the terms.
        how: how to score.
        base: parameters of the base and whether it belongs to the inverse maze, to compare embeddings with.
    """
    terms = held_out_terms(agent, params, inverse=inverse, settings=settings)
    scored = score(agent, params, inverse=inverse, how=how)
    if base is None:
        return RandomEvaluation(terms, scored)
    return RandomEvaluation(terms, scored, *compare_embeddings(agent, params, inverse=inverse, base=base[0], base_inverse=base[1]))
