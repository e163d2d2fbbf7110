"""Updates of the random mazes, this code against another checkout's: `python -m benchmarks.random_updates FOLDER`.

One process for each code stays alive and takes a slice of a piece of work when it is told to, so that the codes take turns every few seconds
and compiling and loading are not timed. Only slices of one turn are compared. A slice is timed by the clock and by the processor time of all its
threads; where other work shares the machine, only the latter says something. Half of six agents is what one of two worker processes trains.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.against import ROOT
from crar_model.core.files import write_text

_WORKER = """
import dataclasses, json, os, sys, time
import numpy as np, torch
import crar_model.nets as nets
from crar_model.agent.networks import ConvAgent
from crar_model.agent.planning import plan_values
from crar_model.tasks import default_settings
from crar_model.training.members import base_plan
from crar_model.training.trainer import Trainer
from crar_model.training.variants import VARIANTS

torch.set_num_threads(1)
torch.set_flush_denormal(True)
made = {}

def training(rule, agents, variant):
    plan = base_plan(dataclasses.replace(default_settings("random"), data_size=3000, update_rule=rule), agents)
    if variant:
        plan = dataclasses.replace(plan, variant=dataclasses.replace(VARIANTS[variant], start="fresh"))
    trainer = Trainer(plan)
    def work(updates):
        end = trainer.update + updates
        while trainer.update < end:
            trainer.take_updates(end - trainer.update)
    return work

def planning():
    agent = ConvAgent()
    params, x = agent.init(np.random.default_rng(0)), torch.randn(1, 192, generator=torch.Generator().manual_seed(0))
    def work(actions):
        for _ in range(actions):
            plan_values(agent, params, x, 3)
    return work

for line in sys.stdin:
    job = json.loads(line)
    nets.set_threads(job["threads"])
    name = job["name"]
    if name not in made:
        made[name] = planning() if job["agents"] == 0 else training(job["rule"], job["agents"], job["variant"])
        made[name](job["count"])
    wall, cpu = time.perf_counter(), time.process_time()
    made[name](job["count"])
    print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]), flush=True)
"""
HALF = 3
"""Agents of one of the two processes that six are split among."""
CORES = os.cpu_count() or 1
WORK: dict[str, dict[str, Any]] = {
    "joint, 6 agents, a process's half": {"rule": "joint", "agents": HALF, "variant": "", "threads": 1, "count": 16},
    "joint, 1 agent": {"rule": "joint", "agents": 1, "variant": "", "threads": CORES, "count": 16},
    "sequential, 6 agents, a process's half": {"rule": "sequential", "agents": HALF, "variant": "", "threads": 1, "count": 16},
    "sequential, 1 agent": {"rule": "sequential", "agents": 1, "variant": "", "threads": CORES, "count": 16},
    "`freeze`, 6 agents, a process's half": {"rule": "joint", "agents": HALF, "variant": "freeze", "threads": 1, "count": 16},
    "planning, 3 steps ahead": {"rule": "", "agents": 0, "variant": "", "threads": 1, "count": 20},
}
"""Slices of work: `agents` 0 for planning."""


class _Code:
    """A process that runs a checkout's code."""

    def __init__(self, folder: Path) -> None:
        env = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _WORKER], cwd=folder, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def slice(self, name: str) -> tuple[float, float]:
        """Seconds by the clock and of processor time."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(WORK[name] | {"name": name}) + "\n")
        self.process.stdin.flush()
        wall, cpu = json.loads(self.process.stdout.readline())
        return wall, cpu


def measure(other: Path, turns: int, names: list[str]) -> dict[str, Any]:
    """Milliseconds of an agent's update, or of a planned action, by both codes, and the ratios of each turn."""
    codes = [_Code(folder) for folder in (other, ROOT)]
    found: dict[str, Any] = {}
    for name in names:
        each = WORK[name]["count"] * max(1, WORK[name]["agents"])
        rows = []
        for turn in range(turns):
            order = (0, 1) if turn % 2 == 0 else (1, 0)
            taken = {k: codes[k].slice(name) for k in order}
            rows.append([[1e3 * seconds / each for seconds in taken[k]] for k in (0, 1)])
        found[name] = {
            clock: {
                "before": statistics.median(row[0][k] for row in rows),
                "now": statistics.median(row[1][k] for row in rows),
                "ratios": sorted(row[0][k] / row[1][k] for row in rows),
            }
            for k, clock in enumerate(("wall_ms", "cpu_ms"))
        }
        print(name, json.dumps(found[name]), flush=True)
    for code in codes:
        code.process.communicate()
    return found | {"cores": CORES, "turns": turns}


def table(found: dict[str, Any]) -> str:
    """As Markdown."""
    rows = ["| random mazes, an agent's update | processor time before | now | times as fast | by the clock |", "|---|---|---|---|---|"]
    for name in WORK:
        if name in found:
            cpu, wall = found[name]["cpu_ms"], found[name]["wall_ms"]
            ratios, clocked = cpu["ratios"], statistics.median(wall["ratios"])
            spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
            rows.append(f"| {name} | {cpu['before']:.1f} ms | {cpu['now']:.1f} ms | {spread} | {clocked:.2f} |")
    return "\n".join(rows)


def main() -> None:
    """Measure and write `random_updates.json`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="a checkout of the other code")
    parser.add_argument("--turns", type=int, default=5, help="slices of each code and work (default %(default)s)")
    parser.add_argument("--only", action="append", choices=list(WORK), help="a piece of work; several times for several (default: all)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="folder of the results")
    options = parser.parse_args()
    found = measure(options.folder.resolve(), options.turns, options.only or list(WORK))
    write_text(options.out / "random_updates.json", json.dumps(found, indent=1) + "\n")
    print(table(found))


if __name__ == "__main__":
    main()
