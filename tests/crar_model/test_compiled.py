"""Compiled code is kept where that is possible, works where it is not, and a training says when it has to compile first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crar_model.core.compiled import Kernels, is_cached
from crar_model.core.settings import TrainSettings
from crar_model.training import warmup
from crar_model.training.members import base_plan
from crar_model.training.runner import run_plan

ROOT = Path(__file__).parents[2]
KERNEL = """
from crar_model.core.compiled import numba

@numba.njit(cache=True)
def twice(x):
    return 2 * numba.int64(x)
"""
READ_ONLY = """
import numba.core.caching as caching
for locator in (caching.InTreeCacheLocator, caching.UserWideCacheLocator):
    locator.from_function = classmethod(lambda cls, function, file: None)
from kernel import twice
print(twice(3.0), sum(twice.stats.cache_hits.values()), twice.stats.cache_path)
"""
"""The two places beside a folder named by the user; a super-user may write everywhere, so taking rights away would show nothing."""


def read_only(folder: Path) -> tuple[int, int, str]:
    """(value, cache hits, folder of the cache) of a kernel in a process that can only write to temporary folders in `folder`."""
    (folder / "kernel.py").write_text(KERNEL)
    env = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    env |= {"TMPDIR": str(folder), "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", READ_ONLY], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    value, hits, where = done.stdout.split()
    return int(value), int(hits), where


def test_a_read_only_install_keeps_compiled_code_in_a_temporary_folder_of_the_user(tmp_path: Path) -> None:
    value, hits, where = read_only(tmp_path)
    assert (value, hits) == (6, 0)
    assert Path(where).parent.parent == tmp_path
    assert Path(where).parent.stat().st_mode & 0o777 == 0o700
    assert read_only(tmp_path)[:2] == (6, 1)


def test_no_code_is_taken_from_a_folder_that_others_may_write(tmp_path: Path) -> None:
    read_only(tmp_path)
    (folder,) = tmp_path.glob("crar-numba*")
    folder.chmod(0o777)
    assert read_only(tmp_path) == (6, 0, "None")


def fake(folder: Path | None) -> Any:
    """What the cache looks at of a compiled function."""
    return SimpleNamespace(stats=SimpleNamespace(cache_path=None if folder is None else str(folder)), py_func=fake, signatures=[])


def entry(folder: Path, line: int = fake.__code__.co_firstlineno) -> Path:
    path = folder / f"test_compiled.fake-{line}.py311.nbi"
    path.touch()
    return path


def test_code_is_missing_without_an_entry_or_with_one_older_than_the_source(tmp_path: Path) -> None:
    function, source = fake(tmp_path), Path(__file__).stat().st_mtime
    assert not is_cached(function)
    entry(tmp_path, line=1)  # as the source was before
    (tmp_path / f"test_compiled.fake_other-{fake.__code__.co_firstlineno}.py311.nbi").touch()
    assert not is_cached(function)
    made = entry(tmp_path)
    os.utime(made, (source - 1, source - 1))
    assert not is_cached(function)
    os.utime(made, (source + 1, source + 1))
    assert is_cached(function)
    assert not is_cached(fake(None))


def test_a_run_says_once_that_it_compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    trained: list[TrainSettings] = []

    class Recorded(warmup.Trainer):
        def advance(self, updates: int) -> None:
            trained.append(self.settings)
            super().advance(updates)
            entry(cache)

    monkeypatch.setattr(warmup, "needed", lambda plan: Kernels((fake(cache),), 7.0))
    monkeypatch.setattr(warmup, "Trainer", Recorded)
    said: list[str] = []
    plan = base_plan(TrainSettings(updates=3, workers=1), 2)
    run_plan(plan, tmp_path / "first", tensorboard=False, notice=said.append)
    assert said == ["compiling the kernels, once on this machine (about 7 s)"]
    assert [settings.updates for settings in trained] == [1]
    run_plan(plan, tmp_path / "second", tensorboard=False, notice=said.append)
    assert len(said) == len(trained) == 1


def test_where_nothing_is_kept_a_run_says_so_and_leaves_the_compiling_to_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warmup, "needed", lambda plan: Kernels((fake(None),), 7.0))
    monkeypatch.setattr(warmup, "Trainer", None)
    said: list[str] = []
    assert warmup.compile_missing(base_plan(TrainSettings(updates=3), 1), said.append)
    assert said == ["compiling the kernels, in every process, for there is no folder to keep them in (about 7 s)"]


CALLED = """
import dataclasses
from crar_model.training import warmup
from crar_model.training.members import base_plan
from tests.kernels import plans
for plan in plans():
    kernels = warmup.needed(plan)
    assert kernels.functions and kernels.seconds and kernels.kept, plan.settings.maze
    warmup.compile_missing(plan)
    if kernels.missing() or not all(function.signatures for function in kernels.functions):
        settings = dataclasses.replace(plan.settings, **warmup.SHORT)
        warmup.Trainer(base_plan(settings, 1)).advance(1)
    never = [function.py_func.__qualname__ for function in kernels.functions if not function.signatures]
    assert not never, (plan.settings.maze, plan.settings.engine, never)
"""


def test_the_throw_away_training_calls_every_kernel_that_it_is_for() -> None:
    done = subprocess.run([sys.executable, "-c", CALLED], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not warmup.needed(base_plan(TrainSettings(updates=0), 1)).functions
