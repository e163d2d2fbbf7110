"""Ctrl-C, which a terminal sends to all processes of a command, while its workers start."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from crar_model.core.guards import on_signals, out_of_hearing
from crar_model.core.settings import TrainSettings
from crar_model.tasks import task_named
from crar_model.training.members import base_plan
from crar_model.training.processes import run_processes, worker_context
from crar_model.training.shard import ShardJob

ASKED = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"


def test_a_process_that_is_started_out_of_hearing_never_hears_it() -> None:
    heard: list[int] = []
    with on_signals(lambda: heard.append(1)):
        with out_of_hearing():
            signal.raise_signal(signal.SIGINT)
            found = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, check=True).stdout
            assert heard == []
        assert heard == [1]  # ours comes when the block ends
    assert found == "True\n"
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_run_is_stopped_and_saved_while_its_workers_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = base_plan(TrainSettings(updates=10, workers=2), 2)
    jobs = [ShardJob(plan, tmp_path, index, index, 1, task_named("simple")) for index in range(2)]
    kind, started = worker_context().Process, []

    def start(process: object) -> None:
        signal.raise_signal(signal.SIGINT)  # before the worker is one that could be told to stop
        started.append(process)

    monkeypatch.setattr(kind, "start", start)
    monkeypatch.setattr(kind, "join", lambda process, timeout=None: None)
    monkeypatch.setattr(kind, "is_alive", lambda process: False)
    monkeypatch.setattr(kind, "exitcode", property(lambda process: 0))
    assert run_processes(jobs, lambda index, what, content: None) is False
    assert len(started) == 2
