"""Seconds of a core that the kernels of each maze's training take to compile on a fresh machine: `python -m benchmarks.compile_time`.

A process with an empty cache runs the throw-away training that `crar train` runs, then a second process the same with what the first has left;
the difference of their processor times is what compiling takes. Both are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numba
import torch

from benchmarks.against import ROOT
from crar_model.core.files import write_text
from crar_model.tasks import TASKS, default_settings

WORK = """
import dataclasses, time
from crar_model.tasks import default_settings
from crar_model.training import warmup
from crar_model.training.members import base_plan
plan = base_plan(dataclasses.replace(default_settings({maze!r}), engine={engine!r}), 1)
settings = dataclasses.replace(plan.settings, **warmup.SHORT)
start, wall = time.process_time(), time.perf_counter()
missing = warmup.needed(plan).missing()
warmup.Trainer(base_plan(settings, 1)).advance(1)
print(missing, time.process_time() - start, time.perf_counter() - wall)
"""


def taken(maze: str, engine: str, cache: str) -> tuple[bool, float, float]:
    """(whether kernels were missing, processor seconds, seconds) of a throw-away training in a process of its own."""
    env = os.environ | {"NUMBA_CACHE_DIR": cache, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", WORK.format(maze=maze, engine=engine)], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    )
    missing, cpu, wall = done.stdout.split()
    return missing == "True", float(cpu), float(wall)


def main() -> None:
    """Measure every maze, and the plain path where it is another; write JSON and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=1, help="each with an empty cache (default 1)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="folder of the results")
    options = parser.parse_args()
    results: dict[str, object] = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "numba": numba.__version__, "torch": torch.__version__, "repetitions": options.repetitions,
    }  # fmt: skip
    for maze, task in TASKS.items():
        for engine in ("compiled", "reference"):
            agent = task.agent()
            if engine == "reference" and agent.kernels(whole_updates=True) is agent.kernels(whole_updates=False):
                continue
            assert default_settings(maze).device == "cpu"
            fresh, again = [], []
            for _ in range(options.repetitions):
                with tempfile.TemporaryDirectory() as cache:
                    fresh.append(taken(maze, engine, cache))
                    again.append(taken(maze, engine, cache))
            assert all(missing for missing, *_ in fresh), f"{maze}: the empty cache had its kernels"
            assert not any(missing for missing, *_ in again), f"{maze}: kernels are missing after they were compiled"
            first, second = (statistics.median(cpu for _, cpu, _ in runs) for runs in (fresh, again))
            results[f"{maze} {engine}"] = {"compile_s": first - second, "fresh_s": first, "cached_s": second}
            print(f"{maze}, {engine}: {first - second:.1f} s of compiling, {second:.1f} s from the cache", flush=True)
    write_text(options.out / "compile.json", json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
