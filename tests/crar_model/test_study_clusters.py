"""Studies on clusters: killed here, finished there, stopped by Ctrl-C, and clusters that do not answer."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from unittest.mock import Mock

import psutil
import pytest
from distributed import Client

from benchmarks.study_kills import taken
from cli import main
from crar_model.core.errors import UserError
from crar_model.studies import cluster, run
from crar_model.studies.plan import Study
from crar_model.studies.run import only_client, run_study
from crar_model.studies.store import Store, open_store
from crar_model.studies.worker import versions
from crar_reports.pages.study.table import write_table
from tests.crar_model.small_studies import FEW, comparable, crar, digests, order, ready, run_all


def test_a_local_cluster_without_a_worker_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "POLL", 0.0)
    monkeypatch.setattr(run, "ALONE", 0.0)
    study, store = ready(FEW, tmp_path)
    asked: list[int] = []

    def threads() -> dict[str, int]:
        asked.append(1)
        return {"a worker": 1} if len(asked) < 3 else {}

    client = SimpleNamespace(submit=lambda *_, **__: Mock(status="pending"), status="running", cluster=object(), nthreads=threads)
    with pytest.raises(UserError, match="no worker is left; what the tasks have saved is kept"):
        run._round(cast(Client, client), order(study, store), {"p": list(study.cells)[:1]}, [], study, "r", threading.Event(), None)
    assert len(asked) > 2


LONGER = FEW.replace("updates = 40\nlog_interval = 20\n", "updates = 6_000\nlog_interval = 1_000\ncheckpoint_interval = 500\n")
LONGER = LONGER.replace('name = "small"', 'name = "small"\npages = ["cost"]')


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Store]:
    """`LONGER`, run here to its end; its file lies in the folder above the store."""
    study, store = ready(LONGER, tmp_path_factory.mktemp("whole"))
    run_all(study, store, 8)
    return study, store


def kill_a_worker(client: int) -> None:
    """SIGKILL a worker process of a client; its nanny starts another."""
    while True:
        for child in psutil.Process(client).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if "spawn_main" in " ".join(child.cmdline()):
                    child.kill()
                    return
        time.sleep(0.02)


@pytest.fixture
def schedulers() -> list[subprocess.Popen[bytes]]:
    """The schedulers that a test has started."""
    return []


@pytest.fixture
def dask_cluster(tmp_path: Path, schedulers: list[subprocess.Popen[bytes]]) -> Iterator[Path]:
    """A scheduler and a worker as processes of their own; the scheduler's file."""
    file = tmp_path / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    started = [subprocess.Popen([*command, "--scheduler-file", str(file)], **quiet)]
    schedulers.append(started[0])
    flags = ["--nthreads", "1", "--no-dashboard", "--no-nanny", "--local-directory", str(tmp_path / "scratch")]
    try:
        while not file.exists():
            assert started[0].poll() is None
            time.sleep(0.1)
        command = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(file), *flags]
        started.append(subprocess.Popen(command, **quiet))
        yield file
    finally:
        for process in started:
            process.kill()
            process.wait()


def after(process: subprocess.Popen[str], happened: Callable[[], bool]) -> None:
    """Wait until something has happened, while a process runs."""
    while not happened():
        assert process.poll() is None
        time.sleep(0.02)


def test_killed_here_and_finished_on_a_cluster_of_two_processes_is_as_undisturbed(
    undisturbed: tuple[Study, Store], dask_cluster: Path, tmp_path: Path
) -> None:
    """A worker dies, then its client; this process finishes as a client of another cluster."""
    torn, (study, store) = tmp_path / "torn", undisturbed
    words = ["study", store.root.parent / "file.toml", "--out", torn]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(crar(*words, "--workers", 1, "--pack", 3), text=True, **quiet)

    def states() -> list[int]:
        return [path.stat().st_mtime_ns for path in torn.glob("packs/*/run/state/shard-0.pt")]

    after(process, lambda: bool(states()))
    kill_a_worker(process.pid)
    time.sleep(0.1)
    before = states()
    after(process, lambda: states() != before)  # by the worker that came in its place
    process.kill()
    process.wait()
    assert not list(torn.glob("cells/*/record.json"))
    other = open_store(torn)
    with only_client(other), cluster.cluster(scheduler_file=dask_cluster) as client:
        assert run_study(client, other, study).finished
    assert comparable(write_table(store, study, 3)) == comparable(write_table(other, study, 3))
    assert digests(study, store) == digests(study, other)
    assert not list(torn.glob("packs/*"))
    planned, everything = taken(torn / "table.csv")
    assert planned <= everything < planned * 2  # two stretches were killed soon after a checkpoint


def test_ctrl_c_saves_and_the_same_command_goes_on(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(LONGER.replace("6_000", "3_000_000"))
    out = tmp_path / "out"
    command = crar("study", tmp_path / "study.toml", "--out", out, "--workers", 1)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True)
    while not list(out.glob("packs/*/run/state/shard-0.pt")):
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "the same command goes on" in said
    assert list(out.glob("packs/*/seconds"))  # the task itself came to its end


def test_ctrl_c_before_the_tasks_run_ends_a_background_job_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A shell starts such a job with Ctrl-C ignored; compiling takes half a minute, in which it was lost."""
    ready(FEW, tmp_path)
    monkeypatch.setattr(run, "compile_for", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    monkeypatch.setattr(sys, "argv", ["crar", "study", str(tmp_path / "file.toml"), "--out", str(tmp_path / "out")])
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(SystemExit) as ended:
            main()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.value.code == 130
    assert "crar: stopped" in capsys.readouterr().err


def test_a_scheduler_that_does_not_answer_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "ANSWERS_WITHIN", 0.5)
    with pytest.raises(UserError, match=r"nothing answers at tcp://127\.0\.0\.1:9"), cluster.cluster(scheduler="tcp://127.0.0.1:9"):
        pass
    with pytest.raises(UserError, match=r"none\.json does not exist"), cluster.cluster(scheduler_file=tmp_path / "none.json"):
        pass


def test_a_cluster_of_another_version_is_refused() -> None:
    other = versions() | {"numpy": "0.1"}

    class Asked:
        """A client of a cluster whose lone worker has other versions than its scheduler."""

        def run_on_scheduler(self, of: Callable[[], dict[str, str]]) -> dict[str, str]:
            return of()

        def run(self, _: object) -> dict[str, dict[str, str]]:
            return {"tcp://w": other}

    asked = cast(Client, Asked())
    with pytest.raises(UserError, match=r"tcp://w at tcp://s has numpy 0\.1 \(client: .*install the same versions"):
        cluster._same_versions(asked, "tcp://s")
    other.update(versions())
    cluster._same_versions(asked, "tcp://s")


def test_a_killed_scheduler_ends_the_command_and_loses_nothing(
    undisturbed: tuple[Study, Store], dask_cluster: Path, schedulers: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    study, store = ready(LONGER, tmp_path)
    words = ["study", tmp_path / "file.toml", "--out", store.root, "--scheduler-file", dask_cluster, "--pack", 3]
    process = subprocess.Popen(crar(*words), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    after(process, lambda: bool(list(store.root.glob("packs/*/run/state/shard-0.pt"))))
    schedulers[0].kill()
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 2, said
    assert "the scheduler is gone; what its tasks have saved is kept, the same command goes on" in " ".join(said.split())
    assert "Traceback" not in said
    store.begin_session("me")  # which the worker that is left heeds, too
    run_all(study, store, 3)
    assert digests(study, store) == digests(*undisturbed)
