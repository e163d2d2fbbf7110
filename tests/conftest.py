"""Fixed Hypothesis profile, single-threaded PyTorch, and small runs that several tests share."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from crar_model.core.settings import TrainSettings
from crar_model.tasks import default_settings
from crar_model.training.members import base_plan, transfer_plan
from crar_model.training.runner import run_plan
from tests.drawn import draw_as_published, draw_once

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci")
torch.set_num_threads(1)
LONG = {
    "test_cli.py", "test_cure.py", "test_first_hour.py", "test_notebook.py", "test_observation.py", "test_random_reports.py", "test_reports.py",
    "test_sampled_theorem.py", "test_studies.py", "test_third_task.py", "test_training.py", "test_walls.py", "test_world_commands.py",
}  # fmt: skip
"""Files with tests of many seconds."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests first, so that no worker is left with one where the others have nothing more to do."""
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(autouse=True)
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs train in this process unless a test asks for workers: each would load PyTorch anew, and other tests have the other cores."""
    monkeypatch.setattr("crar_model.training.record.cores", lambda: 1)


@pytest.fixture(scope="session", autouse=True)
def drawn_in_brief() -> Iterator[None]:
    """Figures are drawn once, but in tests that ask for `as_published`."""
    with pytest.MonkeyPatch.context() as patch:
        draw_once(patch)
        yield


@pytest.fixture
def as_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures as users get them."""
    draw_as_published(monkeypatch)


@pytest.fixture(scope="session")
def base_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of two bases after 60 updates."""
    folder = tmp_path_factory.mktemp("base") / "run"
    run_plan(base_plan(TrainSettings(updates=60, log_interval=20, checkpoint_interval=30, workers=1), 2), folder)
    return folder


@pytest.fixture(scope="session")
def freeze_run(base_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of two `freeze` transfers of the first base after 40 updates."""
    folder = tmp_path_factory.mktemp("freeze") / "run"
    settings_ = TrainSettings(updates=40, log_interval=20, learning_rate=8e-5, update_rule="sequential", workers=1)
    run_plan(transfer_plan(settings_, [base_run / "member-0.pt"], "freeze", 2), folder)
    return folder


@pytest.fixture(scope="session")
def random_settings() -> TrainSettings:
    """Settings of runs of the random mazes that take seconds."""
    return dataclasses.replace(
        default_settings("random"), updates=6, data_size=2_000, batch_size=8, log_interval=3, checkpoint_interval=3, workers=1,
        search_effort=0.004, score_steps=6, score_copies=2, planning_depth=1,
    )  # fmt: skip


@pytest.fixture(scope="session")
def random_base(random_settings: TrainSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of two bases of the random mazes after six updates."""
    folder = tmp_path_factory.mktemp("random") / "run"
    run_plan(base_plan(random_settings, 2), folder, tensorboard=False)
    return folder


@pytest.fixture(scope="session")
def random_freeze(random_settings: TrainSettings, random_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of one `freeze` transfer of the first of them."""
    folder = tmp_path_factory.mktemp("random-freeze") / "run"
    run_plan(transfer_plan(random_settings, [random_base / "member-0.pt"], "freeze", 1), folder, tensorboard=False)
    return folder
