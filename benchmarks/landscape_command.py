"""`crar landscape` on the sample models, this code against another commit's: `python -m benchmarks.landscape_command [--against COMMIT]`.

Whole processes in turn, processor seconds of both cores, Python's start included; and where this code's time goes, stage by stage.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.against import HERE, ROOT, compare, trees
from benchmarks.simple_training import BEFORE
from crar_model.core.files import write_text
from crar_model.core.params import DYNAMICS
from crar_reports.measure.release import release
from crar_reports.measure.subject import load_subject

SIDE = 51
SAMPLES = "crar_model/sample_models"
"""In the folder of each code: an earlier one does not read files of today."""
_COMMAND = """
import resource, subprocess, sys, tempfile
with tempfile.TemporaryDirectory() as out:
    command = [sys.executable, "cli.py", "landscape", "--from", {failed!r}, "--to", {base!r}, "--resolution", "{side}", "--out", out + "/landscape"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(1 / (used.ru_utime + used.ru_stime))
"""


def measure(commit: str, repetitions: int) -> dict[str, Any]:
    """Processor seconds of both codes and their ratio, and this code's stages."""
    code = _COMMAND.format(failed=f"{SAMPLES}/failed.pt", base=f"{SAMPLES}/base.pt", side=SIDE)
    env = {"OMP_NUM_THREADS": "1"}
    with trees((commit, HERE)) as folders:
        rates = compare(code, folders, repetitions, env)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "landscape"
        command = [
            sys.executable, "cli.py", "landscape", "--from", f"{SAMPLES}/failed.pt", "--to", f"{SAMPLES}/base.pt", "--resolution", str(SIDE),
            "--profile", "--out", str(out),
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=os.environ | env)
        results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    now, before = rates[HERE], rates[commit]
    return {
        "against": commit, "side": SIDE, "repetitions": repetitions,
        "before_s": [1 / value for value in before.values], "now_s": [1 / value for value in now.values],
        "ratio": now.ratio, "ratio_spread": now.ratio_spread, "stages": results["profile"],
    }  # fmt: skip


def descent() -> dict[str, float]:
    """Where the descent of the whole released model spends its time: seconds in all, and within the optimiser's own update, without the loss."""
    torch.set_num_threads(1)
    subject = load_subject(ROOT / SAMPLES / "failed.pt", ROOT / SAMPLES / "base.pt")
    profile = cProfile.Profile()
    profile.enable()
    found = release(subject, DYNAMICS)
    profile.disable()
    stats: Any = pstats.Stats(profile)
    own = sum(row[2] for (_, _, name), row in stats.stats.items() if "setulb" in name)
    return {
        "seconds": stats.total_tt,
        "optimiser_s": own,
        "iterations": found.steps,
        "weights": sum(v.numel() for v in subject.failed.values()),
    }


def main() -> None:
    """Measure and write `landscape_command.json`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--against", default=BEFORE, help="commit (default %(default)s)")
    parser.add_argument("--repetitions", type=int, default=5, help="of each code (default %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="folder of the results")
    parser.add_argument(
        "--only-descent", action="store_true", help="measure the released model's descent alone, and keep the rest of the file"
    )
    options = parser.parse_args()
    path = options.out / "landscape_command.json"
    found = json.loads(path.read_text(encoding="utf-8")) if options.only_descent else measure(options.against, options.repetitions)
    found["descent"] = descent()
    write_text(path, json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
