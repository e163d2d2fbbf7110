"""Random mazes, this code against another commit's: `python -m benchmarks.training --maze random --against COMMIT`.

Training as a run does it: the agents split among one process per core, a process alone with all cores. Planning: one state at a time, three
steps ahead. Every figure is a repetition in a process of its own, the commits in turn (`benchmarks.against`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from benchmarks.against import HERE, Rates, compare, table_row, trees

_TRAIN = """
import dataclasses, multiprocessing, os, time, torch
import crar_model.nets as nets
from crar_model.tasks import default_settings
from crar_model.training.members import base_plan
from crar_model.training.trainer import Trainer
from crar_model.training.variants import VARIANTS

AGENTS, FREEZE, UPDATES = {agents}, {freeze}, {updates}
WORKERS = min(os.cpu_count() or 1, AGENTS)

def work(count, start, rates):
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    if hasattr(nets, "set_threads"):
        nets.set_threads(max(1, (os.cpu_count() or 1) // WORKERS))
    plan = base_plan(dataclasses.replace(default_settings("random"), data_size=3000), count)
    if FREEZE:
        plan = dataclasses.replace(plan, variant=dataclasses.replace(VARIANTS["freeze"], start="fresh"))
    trainer = Trainer(plan)
    for _ in range(5):
        trainer.one_update()
    start.wait()
    begin = time.{clock}()
    end = trainer.update + UPDATES
    while trainer.update < end:
        if hasattr(trainer, "take_updates"):
            trainer.take_updates(end - trainer.update)
        else:
            trainer.one_update()
    rates.put(count * UPDATES / (time.{clock}() - begin))

context = multiprocessing.get_context("fork")
start, rates = context.Barrier(WORKERS), context.Queue()
counts = [AGENTS // WORKERS + (k < AGENTS % WORKERS) for k in range(WORKERS)]
processes = [context.Process(target=work, args=(count, start, rates)) for count in counts]
for process in processes:
    process.start()
total = sum(rates.get() for _ in processes)
for process in processes:
    process.join()
print(total)
"""
_PLAN = """
import time, numpy as np, torch
from crar_model.agent.networks import ConvAgent
from crar_model.agent.planning import plan_values

agent = ConvAgent()
params, x = agent.init(np.random.default_rng(0)), torch.randn(1, 192)
for _ in range(3):
    plan_values(agent, params, x, 3)
begin = time.{clock}()
for _ in range({actions}):
    plan_values(agent, params, x, 3)
print({actions} / (time.{clock}() - begin))
"""
WORK = {
    "joint, 1 agent": _TRAIN.replace("{agents}", "1").replace("{freeze}", "False").replace("{updates}", "60"),
    "joint, 6 agents": _TRAIN.replace("{agents}", "6").replace("{freeze}", "False").replace("{updates}", "20"),
    "freeze, 6 agents": _TRAIN.replace("{agents}", "6").replace("{freeze}", "True").replace("{updates}", "25"),
    "planning, 3 steps ahead": _PLAN.replace("{actions}", "60"),
}
"""Snippets for `benchmarks.against`: updates or actions a second."""


def measure(
    commit: str, repetitions: int = 5, clock: str = "perf_counter", folders: dict[str, Path] | None = None
) -> dict[str, dict[str, Rates]]:
    """Work -> commit -> rates.

    Args:
        commit: the other code.
        repetitions: of each.
        clock: of `time`; "process_time" counts the cores' time instead of the wall's, where other work shares the machine, and one thread.
        folders: from `benchmarks.against.trees`, made and taken away by default.
    """
    if folders is None:
        with trees((commit, HERE)) as made:
            return measure(commit, repetitions, clock, made)
    env = {"OMP_NUM_THREADS": "1"} if clock == "process_time" else {}
    return {name: compare(code.replace("{clock}", clock), folders, repetitions, env) for name, code in WORK.items()}


def table(commit: str, found: dict[str, dict[str, Rates]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = [f"| random mazes | {commit} | this code | ratio |", "|---|---|---|---|"]
    return lines + [table_row(name, rates) for name, rates in found.items()]


def plain(found: dict[str, dict[str, Rates]]) -> dict[str, Any]:
    """As JSON takes it."""
    return {
        name: {
            commit: {"median": own.median, "spread": own.spread, "ratio": own.ratio, "ratio_spread": own.ratio_spread}
            for commit, own in rates.items()
        }
        for name, rates in found.items()
    } | {"cores": os.cpu_count()}
