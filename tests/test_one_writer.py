"""Two processes in one folder: the second command is refused at once, in one line; a lock that a killed one has left keeps nobody out."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import app
from crar_model.core.errors import UserError
from crar_model.core.files import LOCK
from crar_model.samples import BASE
from crar_model.training.shard import snapshot_folder

ROOT = Path(__file__).parents[1]
WAITED_FOR = "run/member-0.pt", "run/run.json", "run/results.json"
"""Files that a command reads and never gets: pipes that nobody writes to."""
MODEL = WAITED_FOR[0]
PAGES: dict[str, list[object]] = {
    "landscape": ["--from", MODEL, "--to", BASE],
    "claims": ["--transfer", MODEL],
    "theorem": ["--from", MODEL, "--to", BASE],
    "trajectory": ["run"],
    "report": ["--base", "run", "--transfer", "run"],
    "cure": ["--from", MODEL],
    "escape": ["--from", MODEL],
    "maps": ["--transfer", MODEL],
    "compare": ["run"],
    "predict": [MODEL],
    "verdicts": ["--claims", "run"],
    "demo": [],
}
"""Flags of every command that writes a page."""
STUDY = 'name = "long"\n[[bases]]\nname = "b"\nmaze = "simple"\nseeds = 1\nupdates = 3_000_000\n'


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a run whose files never come."""
    snapshots = snapshot_folder(tmp_path / "run", 0)
    snapshots.mkdir(parents=True)
    for update in range(3):
        (snapshots / f"{update}.pt").touch()
    for name in WAITED_FOR:
        os.mkfifo(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@contextmanager
def at_work(begun: Path, *words: object) -> Iterator[None]:
    """A command of another process from when it has made a file; killed in the end, without a chance to clean up."""
    line = [sys.executable, str(ROOT / "cli.py"), *map(str, words)]
    command = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    try:
        while not begun.exists():
            assert command.poll() is None, command.communicate()[1]
            time.sleep(0.02)
        yield
        assert command.poll() is None, command.communicate()[1]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(command.pid, 9)
        command.communicate()


def told(*words: object) -> str:
    """What a command of this process is refused with."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert isinstance(done.exception, UserError), done.output
    assert done.stdout == ""
    return str(done.exception)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_one_writer(name: str, place: Path) -> None:
    out = place / "out"
    with at_work(out / LOCK, name, *PAGES[name], "--out", out):
        assert told(name, *PAGES[name], "--out", out) == f"{out}: another crar command works there; wait for it or choose another --out"
        assert told("landscape", "--out", out, "--resume").startswith(f"{out}: another crar command works there")
    assert (out / LOCK).exists()
    assert "--terms: names nothing" in told("landscape", "--out", out, "--terms", "")  # it has come past the lock
    assert not (out / LOCK).exists()


def test_training_has_one_writer(place: Path) -> None:
    run, words = place / "trained", ["train", "--members", 1, "--workers", 1, "--updates", 3_000_000]
    with at_work(run / "run.json", *words, "--out", run):
        assert told(*words, "--out", run, "--resume") == f"{run}: another process trains there; wait for it or choose another --out"


def test_a_study_and_its_page_have_one_writer(place: Path) -> None:
    (place / "study.toml").write_text(STUDY)
    words = ["study", place / "study.toml", "--workers", 1, "--out", place / "out"]
    with at_work(place / "out" / "study.json", *words):
        assert told(*words) == f"{place / 'out'}: another crar study works there; wait for it or choose another --out"


def test_the_refusal_is_one_line_and_exit_code_2(place: Path) -> None:
    words = ["cure", "--from", MODEL, "--out", "out"]
    with at_work(place / "out" / LOCK, *words):
        line = [sys.executable, str(ROOT / "cli.py"), *words, "--resume"]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "crar: error: out: another crar command works there; wait for it or choose another --out\n"
