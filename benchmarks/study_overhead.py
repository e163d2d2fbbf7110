"""What Dask and cells cost: a study's transfers by `crar study` against the same members by `crar transfer`, in turn.

    python -m benchmarks.study_overhead --study studies/simple.toml --group joint --updates 6000 --repetitions 3

Takes one group of transfers of a file, with its bases, rates and seeds, and updates of its own, so that a repetition takes a minute; both
ways have the same number of processes. The bases are made once, barely trained, before anything is timed: what they know does not change
the cost. The study's time has everything that `crar transfer` does not do - its cluster's start, the judging of every model, table and
page - and is given with and without it. Writes benchmarks/results/study_overhead.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from statistics import median
from typing import Any

from crar_model.core.files import write_text
from crar_model.studies.cells import Cell
from crar_model.studies.plan import Study, read_study
from crar_model.studies.store import open_store

RESULTS = Path(__file__).parent / "results" / "study_overhead.json"
BARELY = 200
"""Updates of the bases."""


def lines(table: dict[str, Any]) -> str:
    """A table of plain values as TOML."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in table.items())


def cut(file: Path, group: str, updates: int) -> str:
    """A study of one group of transfers of a file, with other updates."""
    content = tomllib.loads(file.read_text(encoding="utf-8"))
    transfers = next(one for one in content["transfers"] if one["name"] == group)
    bases = next(one for one in content["bases"] if one["name"] == transfers["bases"])
    return "\n".join(
        (
            lines({"name": "overhead", "pages": ["cost"]}),
            "[[bases]]",
            lines({**bases, "updates": BARELY, "log_interval": BARELY}),
            "[[transfers]]",
            lines({**transfers, "updates": updates}),
        )
    )


def by_transfer(study: Study, store_root: Path, workers: int, out: Path) -> list[str]:
    """The command line that trains the same members without a study."""
    cells = [cell for cell in study.cells.values() if cell.base]
    first: Cell = cells[0]
    store = open_store(store_root)
    bases = list(dict.fromkeys(store.model(cell.base, cell.start) for cell in cells))
    seeds, rates = sorted({cell.seed for cell in cells}), sorted({cell.learning_rate for cell in cells})
    if len({cell.variant for cell in cells}) > 1 or seeds != list(range(len(seeds))):
        raise SystemExit("name a group of one variant with seeds from 0")
    return [
        "transfer", *(word for base in bases for word in ("--from", str(base))), "--variant", first.variant, "--members", str(len(seeds)),
        *(word for rate in rates for word in ("--rate", str(rate))), "--update-rule", first.settings.update_rule,
        "--updates", str(first.settings.updates), "--workers", str(workers), "--out", str(out),
    ]  # fmt: skip


def seconds(words: list[str]) -> float:
    """Wall time of a command."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "cli", *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def trained(root: Path, study: Study, workers: int) -> float:
    """Seconds that the study's packs trained, as if on workers that never wait."""
    store = open_store(root)
    return sum(record.seconds for name, cell in study.cells.items() if cell.base and (record := store.record(name))) / workers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, default=Path("studies/simple.toml"))
    parser.add_argument("--group", default="joint")
    parser.add_argument("--updates", type=int, default=6_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repetitions", type=int, default=3)
    given = parser.parse_args()
    found: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        text = cut(given.study, given.group, given.updates)
        (root / "study.toml").write_text(text)
        study = read_study(root / "study.toml")
        (root / "bases.toml").write_text(text.split("[[transfers]]")[0])
        seconds(["study", str(root / "bases.toml"), "--out", str(root / "bases"), "--workers", str(given.workers)])
        members = sum(1 for cell in study.cells.values() if cell.base)
        for number in range(given.repetitions):
            own, run = root / f"study-{number}", root / f"run-{number}"
            shutil.copytree(root / "bases", own)
            plain = seconds(by_transfer(study, own, given.workers, run))
            whole = seconds(["study", str(root / "study.toml"), "--out", str(own), "--workers", str(given.workers)])
            found.append({"transfer": plain, "study": whole, "packs": trained(own, study, given.workers)})
            print(f"transfer {plain:.1f} s, study {whole:.1f} s, of that training {found[-1]['packs']:.1f} s", flush=True)
    ratios = [one["study"] / one["transfer"] for one in found]
    results = {
        "command": " ".join(["python -m benchmarks.study_overhead", *sys.argv[1:]]), "members": members, "updates": given.updates,
        "workers": given.workers, "repetitions": found,
        "ratio": {"median": median(ratios), "low": min(ratios), "high": max(ratios)},
        "training": median(one["packs"] / one["transfer"] for one in found),
    }  # fmt: skip
    write_text(RESULTS, json.dumps(results, indent=1) + "\n")
    print(json.dumps(results["ratio"]), f"training alone {results['training']:.3f}")


if __name__ == "__main__":
    main()
