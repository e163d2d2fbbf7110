"""Agent-updates per second of the simple maze's trainer, for the code that PYTHONPATH names: run by `simple_training`, not by hand.

    python -P benchmarks/updates_worker.py '{"rows": [...], "seconds": 0.4, "base": "base.pt"}'

It uses only what the code had before whole updates were compiled, and prints one rate a row, as JSON. Members are split among one
single-threaded process a core, all of which wait for each other before every row.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from typing import Any

MOST = 50
"""Updates of one call, as in a run."""
LEAST = 0.15
"""Seconds that a call should take at least, where MOST allows it."""


def trainer_of(row: dict[str, Any], members: int, base: str) -> Any:
    """A trainer of so many members of a row, which does not log."""
    from crar_model.core.settings import TrainSettings
    from crar_model.training.members import base_plan, transfer_plan
    from crar_model.training.trainer import Trainer

    settings = TrainSettings(update_rule=row["rule"], batch_size=row["batch"], updates=10**9, log_interval=10**9)
    if row["variant"] == "base":
        return Trainer(base_plan(settings, members))
    return Trainer(transfer_plan(settings, [base], row["variant"], members))


def measure(job: dict[str, Any], worker: int, workers: int, barrier: Any, results: Any) -> None:
    """Body of a process: its share of every row's members."""
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    for number, row in enumerate(job["rows"]):
        members = row["members"] // workers + (worker < row["members"] % workers)
        trainer = trainer_of(row, members, job["base"]) if members else None
        updates = 5
        if trainer is not None:
            trainer.advance(updates)
            start = time.perf_counter()
            trainer.advance(updates)
            took = time.perf_counter() - start
            updates = max(updates, min(MOST, int(updates * LEAST / took)))
        barrier.wait()
        done, start = 0, time.perf_counter()
        while trainer is not None and (time.perf_counter() - start < job["seconds"] or not done):
            trainer.advance(updates)
            done += updates * members
        rate = done / (time.perf_counter() - start) if done else 0.0
        results.put((number, rate))
        barrier.wait()


def main() -> None:
    job = json.loads(sys.argv[1])
    workers = os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(workers), context.Queue()
    processes = [context.Process(target=measure, args=(job, worker, workers, barrier, results), daemon=True) for worker in range(workers)]
    for process in processes:
        process.start()
    rates = [0.0] * len(job["rows"])
    for _ in range(workers * len(rates)):
        number, rate = results.get(timeout=300)
        rates[number] += rate
    for process in processes:
        process.join()
    print(json.dumps(rates))


if __name__ == "__main__":
    main()
