"""Names of the random streams: the number that follows a seed, so that no two uses of one seed share random numbers."""

from __future__ import annotations

from enum import IntEnum


class Stream(IntEnum):
    """What a generator `default_rng([seed, stream, ...])` draws. The numbers are part of what makes a run repeat: never change one."""

    WEIGHTS = 0
    """Initial and renewed weights."""
    POLICY = 1
    """Actions of the random policy that gathers data."""
    BATCHES = 2
    """Transitions of the batches, followed by the number of the block of updates."""
    MAPS = 3
    """Maps of the random mazes."""
    SCORE_MAPS = 6
    """Maps that agents are scored in."""
    LUCK = 7
    """Random actions while they are scored."""
    HELD_OUT = 8
    """Order of the held-out transitions."""
    PAPER = 9
    """Repetitions of the paper's protocol in an evaluation."""
    NOISE = 10
    """Noise on the weights of a failed encoder."""
    OBSERVATION_MAP = 11
    """Permutation, matrix or background of an observation map."""
    PAIRS = 12
    """Order in which states are observed in pairs."""
    DRAWN_STATES = 13
    """States that stand for all of a large layout's."""
    DRAWN_PAIRS = 14
    """Starts and goals that do."""
    EPISODES = 15
    """Seeds of the episodes that are gathered from an environment."""
