"""A study under random SIGKILLs of its workers, scheduler and client, resumed until it is done, against the same study undisturbed.

    python -m benchmarks.study_kills --study studies/quick.toml --kills 50 --out runs/kills

Prints, and writes to OUT/kills.json, what was killed, whether table and checkpoints are the same, and how much was trained twice: the updates
that all stretches took, from the account that the workers keep of each pack, over those of the plan.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from crar_model.core.files import write_text
from crar_model.models.checkpoints import load_checkpoint
from crar_reports.pages.study.table import COST


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as stream:
        return [{name: value for name, value in row.items() if name not in COST} for row in csv.DictReader(stream)]


def digests(folder: Path) -> dict[str, str]:
    return {path.parent.name + path.name: load_checkpoint(path).digest for path in sorted(folder.glob("cells/*/*.pt"))}


def taken(table: Path) -> tuple[int, int]:
    """(updates of the plan, updates that were taken in all) of the models of a finished study; searches are not counted."""
    with table.open(encoding="utf-8", newline="") as stream:
        found = list(csv.DictReader(stream))
    plan, again = (sum(int(row[name] or 0) for row in found) for name in ("updates_taken", "repeated_updates"))
    return plan, plan + again


def reason(plan: int, every: int, kills: int) -> str:
    """Why more was taken than planned, in words."""
    if every == plan:
        return "every update was taken once"
    return (
        f"{every - plan} updates of {plan} were taken again: what stretches had done since their last checkpoint when one of {kills} kills ended them; "
        "what a stretch did after its last word, at most until one look at whether to stop, is not counted"
    )


def quietly(words: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Cluster:
    """A scheduler and workers, each a process of its own, started again where one was killed."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder, self.workers = folder, workers
        self.file = folder / "scheduler.json"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def heal(self) -> None:
        dask = [sys.executable, "-m"]
        scheduler = self.processes.get("scheduler")
        if scheduler is None or scheduler.poll() is not None:
            self.end()  # workers of a scheduler that is gone end too
            self.file.unlink(missing_ok=True)
            words = [
                "distributed.cli.dask_scheduler",
                "--host",
                "127.0.0.1",
                "--port",
                "0",
                "--no-dashboard",
                "--scheduler-file",
                str(self.file),
            ]
            self.processes["scheduler"] = quietly([*dask, *words])
            while not self.file.exists():
                time.sleep(0.1)
        for number in range(self.workers):
            worker = self.processes.get(f"worker {number}")
            if worker is None or worker.poll() is not None:
                words = ["--nthreads", "1", "--no-dashboard", "--no-nanny", "--local-directory", str(self.folder / "scratch")]
                self.processes[f"worker {number}"] = quietly(
                    [*dask, "distributed.cli.dask_worker", "--scheduler-file", str(self.file), *words]
                )

    def end(self) -> None:
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
        self.processes.clear()


def under_fire(study: Path, out: Path, cluster: Cluster, kills: int, every: float, seed: int) -> dict[str, Any]:
    """Run a study to its end while processes are killed at random moments."""
    rng, killed, starts, began = random.Random(seed), {"worker": 0, "scheduler": 0, "client": 0}, 0, time.monotonic()
    client: subprocess.Popen[bytes] | None = None
    while True:
        cluster.heal()
        if client is None or client.poll() is not None:
            if client is not None and client.returncode == 0:
                break
            starts += 1
            words = ["-m", "cli", "study", str(study), "--out", str(out), "--scheduler-file", str(cluster.file)]
            client = quietly([sys.executable, *words])
        wait = rng.uniform(0.3, 1.7) * every
        with contextlib.suppress(subprocess.TimeoutExpired):
            client.wait(wait)
        if client.poll() is not None or sum(killed.values()) >= kills:
            continue
        victim = rng.choices(["worker", "scheduler", "client"], [6, 1, 3])[0]
        process = (
            client
            if victim == "client"
            else cluster.processes["scheduler" if victim == "scheduler" else f"worker {rng.randrange(cluster.workers)}"]
        )
        if psutil.pid_exists(process.pid):
            process.kill()
            process.wait()
            killed[victim] += 1
    return {"killed": killed, "clients": starts, "seconds": time.monotonic() - began}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, default=Path("studies/quick.toml"))
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--every", type=float, default=6.0, help="seconds between two kills, in the mean")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    calm, torn = given.out / "calm", given.out / "torn"
    given.out.mkdir(parents=True, exist_ok=True)
    words = ["-m", "cli", "study", str(given.study), "--out", str(calm), "--workers", str(given.workers)]
    subprocess.run([sys.executable, *words], check=True)
    cluster = Cluster(given.out, given.workers)
    try:
        found = under_fire(given.study, torn, cluster, given.kills, given.every, given.seed)
    finally:
        cluster.end()
    plan, every = taken(torn / "table.csv")
    spent = [sum(float(row["seconds"] or 0) for row in csv.DictReader((folder / "table.csv").open())) for folder in (calm, torn)]
    found |= {
        "study": str(given.study), "seed": given.seed, "same table": rows(calm / "table.csv") == rows(torn / "table.csv"),
        "same checkpoints": digests(calm) == digests(torn), "cells": len(rows(calm / "table.csv")), "seconds recorded, calm and torn": spent,
        "updates planned": plan, "updates taken": every, "taken over planned": every / plan, "why": reason(plan, every, sum(found["killed"].values())),
        "packs left": len(list(torn.glob("packs/*"))), "failures counted": len(list(torn.glob("cells/*/attempts.json"))),
    }  # fmt: skip
    write_text(given.out / "kills.json", json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
