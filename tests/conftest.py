"""Fixed Hypothesis profile, single-threaded PyTorch, and small runs that several tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from crar_model.settings import TrainSettings
from crar_model.training.members import base_plan, transfer_plan
from crar_model.training.runner import run_plan

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci")
torch.set_num_threads(1)


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
