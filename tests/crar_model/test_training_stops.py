"""Training that is killed, stopped, extended, or whose workers and members fail."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock
from typer.testing import CliRunner

from cli import app
from crar_model.core.errors import UserError
from crar_model.core.settings import TrainSettings
from crar_model.models.checkpoints import load_checkpoint
from crar_model.training import processes
from crar_model.training.members import Member, Plan, base_plan
from crar_model.training.runner import plan_of, run_plan
from crar_model.training.variants import VARIANTS
from tests.crar_model.test_training import QUICK, same
from tests.plans import with_updates


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_resumes_and_ends_bit_identical(workers: int, tmp_path: Path) -> None:
    """SIGKILL at an arbitrary moment, twice, with and without worker processes."""
    settings = ["--updates", "400", "--members", "3", "--checkpoint-interval", "40", "--log-interval", "40", "--workers", str(workers)]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert CliRunner().invoke(app, ["train", *settings, "--out", str(whole)]).exit_code == 0
    command, resume = [sys.executable, "-m", "cli", "train", *settings, "--out", str(broken)], list[str]()
    for _ in range(2):
        process = subprocess.Popen([*command, *resume], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        seen = {path: path.stat().st_mtime_ns for path in broken.glob("state/*.pt")}
        while process.poll() is None and time.monotonic() < deadline:
            now = {path: path.stat().st_mtime_ns for path in broken.glob("state/*.pt")}
            if len(now) == workers and any(seen.get(path) != at for path, at in now.items()):
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        resume = ["--resume"]
    assert any(load_checkpoint(path).updates < 400 for path in broken.glob("member-*.pt"))
    assert CliRunner().invoke(app, ["train", *settings, "--out", str(broken), "--resume"]).exit_code == 0
    for k in range(3):
        assert load_checkpoint(broken / f"member-{k}.pt").updates == 400
        assert same(whole / f"member-{k}.pt", broken / f"member-{k}.pt")
    assert (whole / "losses.csv").read_text() == (broken / "losses.csv").read_text()


@pytest.mark.parametrize(("members", "number"), [(2, signal.SIGINT), (2, signal.SIGTERM), (1, signal.SIGTERM)])
def test_ctrl_c_and_sigterm_save_and_exit_130(members: int, number: signal.Signals, tmp_path: Path) -> None:
    """Also in a background job, which a shell starts with Ctrl-C ignored."""
    out = tmp_path / "run"
    ignoring = "import signal, cli; signal.signal(signal.SIGINT, signal.SIG_IGN); cli.main()"
    settings = ["--updates", "200000", "--members", str(members), "--checkpoint-interval", "20", "--out", str(out)]
    command = [sys.executable, "-c", ignoring, "train", *settings]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not all((out / f"member-{k}.pt").exists() for k in range(members)) and time.monotonic() < deadline:
        time.sleep(0.05)  # each worker has saved once
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "--resume" in output
    assert "Traceback" not in errors
    assert load_checkpoint(out / f"member-{members - 1}.pt").updates > 0


def test_runs_can_be_extended_but_not_changed(base_run: Path, tmp_path: Path) -> None:
    plan = plan_of(base_run)
    short, long = tmp_path / "short", tmp_path / "long"
    run_plan(with_updates(plan, 20), short, tensorboard=False)
    with pytest.raises(UserError, match="--resume"):
        run_plan(with_updates(plan, 60), short)
    run_plan(with_updates(plan, 60), short, resume=True, tensorboard=False)
    run_plan(with_updates(plan, 60), long, tensorboard=False)
    assert same(short / "member-1.pt", long / "member-1.pt")
    assert same(long / "member-1.pt", base_run / "member-1.pt")
    other = dataclasses.replace(plan, settings=dataclasses.replace(plan.settings, batch_size=16))
    with pytest.raises(UserError, match="batch_size"):
        run_plan(other, short, resume=True)
    with pytest.raises(UserError, match=r"run\.json is missing"):
        run_plan(plan, tmp_path / "new", resume=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match="not a run folder"):
        run_plan(plan, tmp_path / "mine")


def test_a_diverging_member_is_frozen_and_named_while_the_others_go_on(tmp_path: Path, base_run: Path) -> None:
    settings = dataclasses.replace(QUICK, updates=40, clip_norm=0.0)
    base = str(base_run / "member-0.pt")
    plan = Plan(settings, (Member(0, 1e-4, base), Member(0, 1e38, base), Member(0, 1e-4, base)), VARIANTS["unfreeze"])
    result = run_plan(plan, tmp_path / "run", tensorboard=False)
    assert list(result.diverged) == [1]
    assert load_checkpoint(tmp_path / "run" / "member-0.pt").updates == 40
    assert same(tmp_path / "run" / "member-0.pt", tmp_path / "run" / "member-2.pt")
    alone = Plan(settings, (Member(0, 1e-4, base),), VARIANTS["unfreeze"])
    run_plan(alone, tmp_path / "alone", tensorboard=False)
    assert same(tmp_path / "run" / "member-0.pt", tmp_path / "alone" / "member-0.pt")


def test_worker_processes_end_with_their_parent(tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "cli",
        "train",
        "--updates",
        "200000",
        "--members",
        "2",
        "--workers",
        "2",
        "--checkpoint-interval",
        "20",
        "--out",
        str(out),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 60
    while not (out / "losses.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("workers outlived their parent")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_second_process_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    plan = base_plan(dataclasses.replace(QUICK, updates=20), 1)
    run_plan(plan, tmp_path / "run", tensorboard=False)
    with FileLock(tmp_path / "run" / "state" / "lock"):
        before = contents(tmp_path / "run")
        with pytest.raises(UserError, match="another process"):
            run_plan(with_updates(plan, 40), tmp_path / "run", resume=True, tensorboard=False)
        assert contents(tmp_path / "run") == before
    assert run_plan(with_updates(plan, 40), tmp_path / "run", resume=True, tensorboard=False).finished


def test_a_run_whose_state_is_gone_is_not_begun_anew_unasked(tmp_path: Path) -> None:
    plan = base_plan(dataclasses.replace(QUICK, updates=20), 1)
    run_plan(plan, tmp_path / "run", tensorboard=False)
    shutil.rmtree(tmp_path / "run" / "state")
    before = contents(tmp_path / "run")
    with pytest.raises(UserError, match="state/, which a run goes on from, is gone"):
        run_plan(with_updates(plan, 40), tmp_path / "run", resume=True, tensorboard=False)
    assert contents(tmp_path / "run") == before


def test_progress_begins_where_a_run_goes_on(tmp_path: Path) -> None:
    plan = base_plan(dataclasses.replace(QUICK, updates=60, workers=1), 2)
    told: list[tuple[int, int]] = []
    for updates in (60, 100):
        again = with_updates(plan, updates)
        run_plan(again, tmp_path / "run", resume=updates > 60, tensorboard=False, progress=lambda *seen: told.append(seen))
    assert told[0] == (0, 120)
    assert (120, 200) in told
    assert told[-1] == (200, 200)


def test_a_refused_run_leaves_no_folder(tmp_path: Path, base_run: Path) -> None:
    plan = dataclasses.replace(plan_of(base_run), members=(Member(0, 1e-4, str(tmp_path / "gone.pt")),))
    with pytest.raises(UserError, match=r"gone\.pt"):
        run_plan(plan, tmp_path / "run", tensorboard=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("failure", [UserError("no space left"), ValueError("a bug in a callback"), KeyboardInterrupt()])
def test_no_worker_trains_on_after_its_parent_failed(failure: BaseException, tmp_path: Path) -> None:
    plan = base_plan(dataclasses.replace(QUICK, updates=10**6, workers=2, checkpoint_interval=10**6), 2)

    def broken(done: int, everything: int) -> None:
        if done:
            raise failure

    with pytest.raises(type(failure)):
        run_plan(plan, tmp_path / "run", tensorboard=False, progress=broken)
    assert not multiprocessing.active_children()
    with FileLock(tmp_path / "run" / "state" / "lock", timeout=0):
        saved = [load_checkpoint(tmp_path / "run" / f"member-{k}.pt").updates for k in range(2)]
    assert max(saved) > 0  # told to stop, they saved what they had; one of them may not have begun


def test_a_worker_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE", 0.3)
    deaf = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
    deaf.start()
    processes._end([deaf], {})
    assert not deaf.is_alive()


@pytest.mark.parametrize("rate", [1e38, 3e38])
def test_a_rate_beyond_all_numbers_is_a_diverged_member(rate: float, tmp_path: Path, base_run: Path) -> None:
    """Whether its gradient or its parameters would stop being finite first."""
    base = str(base_run / "member-0.pt")
    settings = dataclasses.replace(QUICK, updates=30)
    plan = Plan(settings, (Member(0, 1e-4, base), Member(0, rate, base)), VARIANTS["freeze"])
    result = run_plan(plan, tmp_path / "run", tensorboard=False)
    assert list(result.diverged) == [1]
    assert load_checkpoint(tmp_path / "run" / "member-1.pt").info["diverged_at"] >= 0
    run_plan(dataclasses.replace(plan, members=plan.members[:1]), tmp_path / "alone", tensorboard=False)
    assert same(tmp_path / "run" / "member-0.pt", tmp_path / "alone" / "member-0.pt")


def test_a_finished_run_is_extended_as_if_it_had_not_ended(tmp_path: Path, random_settings: TrainSettings) -> None:
    """Its last row and validation, at an update that is no multiple of the log interval, are those of its end only."""
    for name, settings in (("table", QUICK), ("scored", dataclasses.replace(random_settings, log_interval=3))):
        plan = base_plan(dataclasses.replace(settings, updates=4, log_interval=3, checkpoint_interval=2), 1)
        whole, parts = tmp_path / f"{name}-whole", tmp_path / f"{name}-parts"
        run_plan(with_updates(plan, 8), whole, tensorboard=False)
        run_plan(plan, parts, tensorboard=False)
        assert [row.split(",")[4] for row in (parts / "losses.csv").read_text().splitlines()[1:]] == ["0", "3", "4"]
        run_plan(with_updates(plan, 8), parts, resume=True, tensorboard=False)
        assert (parts / "losses.csv").read_text() == (whole / "losses.csv").read_text()
        assert same(parts / "member-0.pt", whole / "member-0.pt")
        if name == "scored":
            ends = [load_checkpoint(folder / "best-0.pt") for folder in (parts, whole)]
            assert ends[0].updates == ends[1].updates
            assert ends[0].info["score"] == ends[1].info["score"]
            assert same(parts / "best-0.pt", whole / "best-0.pt")
