"""The shipped failure, its base and a sampled transfer, as problems of cures."""

from __future__ import annotations

import dataclasses

import pytest

from crar_model import samples
from crar_model.cures.problem import Problem, pose
from crar_model.models.checkpoints import Checkpoint, load_checkpoint


@pytest.fixture(scope="session")
def failed() -> Checkpoint:
    return load_checkpoint(samples.FAILED)


@pytest.fixture(scope="session")
def base() -> Checkpoint:
    return load_checkpoint(samples.BASE)


@pytest.fixture(scope="session")
def problem(failed: Checkpoint, base: Checkpoint) -> Problem:
    return pose(failed, base, 0)


@pytest.fixture(scope="session")
def sampled() -> Problem:
    """The shipped base of the random mazes, just moved to the inverse maze: a `freeze` transfer before its first update."""
    model = load_checkpoint(samples.RANDOM_BASE)
    return pose(dataclasses.replace(model, inverse=True, info={**model.info, "variant": "freeze", "base": "base.pt"}), model, 0)
