"""Planes, ends of the spectrum and traces on four ordinary networks, beside a plain loop and pinned peers.

    python -m benchmarks.peers [--models mlp cnn resnet transformer] [--tasks plane ends trace] [--side 25] [--turns 3] [--peers] [--out FILE]

Every figure is processor time of one thread in float32, the best of the turns; in a turn all tools do the same work one after the other, in every
second turn backwards. The plain loop keeps the base of a row and adds the other direction into the module's own weights, as one writes it by hand. With
`--peers` each peer is installed, pinned, into an environment of its own under the user's cache, which needs a package registry once; PyTorch and NumPy are
those of this environment, so that all tools have the same. Without it the table has ours and the plain loop alone.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import sysconfig
import time
import venv
from pathlib import Path
from typing import Any

import torch

from benchmarks.peer_models import MODELS
from benchmarks.peer_tools import OURS, PLAIN, TASKS

ROOT = Path(__file__).resolve().parents[1]
PLACE = Path(os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))) / "crar-peers"
PINNED = {
    "loss-landscapes": ("loss-landscapes==3.0.6",),
    "hessian-eigenthings": ("hessian-eigenthings==1.0.0a5", "tqdm==4.67.1"),
    "pyhessian": ("pyhessian==0.1",),
}
"""Peer -> what is installed for it, without what that asks for."""


def environment(peer: str) -> Path:
    """The Python of a peer's own environment, made and filled the first time; what is not installed there is taken from this one."""
    folder = PLACE / peer
    python = folder / "bin" / "python"
    if not (folder / "filled").exists():
        venv.create(folder, with_pip=False, clear=True)
        (own,) = (folder / "lib").glob("python*/site-packages")
        (own / "shared.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
        command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--ignore-installed", *PINNED[peer]]
        subprocess.run(command, check=True)
        (folder / "filled").touch()
    return python


def measured(task: str, tool: str, model: str, side: int) -> dict[str, Any]:
    """One run of a tool in a process of its own: `seconds` of processor time, `peak_mib` of memory, `values`; or `error`, a line."""
    try:
        python = str(environment(tool)) if tool in PINNED else sys.executable
    except subprocess.CalledProcessError as error:
        return {"error": f"it was not installed ({error})"}
    command = [python, "-W", "ignore", "-m", "benchmarks.peers", "--run", tool, "--tasks", task, "--models", model, "--side", str(side)]
    surrounding = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=surrounding, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"error": next(iter(done.stderr.strip().splitlines()[::-1]), "it failed")}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def run(task: str, tool: str, model: str, side: int) -> None:
    """Measure in this process and print it as one line of JSON."""
    torch.set_num_threads(1)
    make = TASKS[task][tool]
    if task == "plane":
        make(model, 3)()  # what is made once: kernels, caches
    work = make(model, side)
    began = time.process_time()
    values = work()
    seconds = time.process_time() - began
    kept = values if isinstance(values, list) else []
    print(json.dumps({"seconds": seconds, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "values": kept}))


def compared(task: str, model: str, tools: list[str], turns: int, side: int) -> list[dict[str, Any]]:
    """Rows of the table: the best of the turns of each tool, and how fast it is beside the first one."""
    best: dict[str, dict[str, Any]] = {}
    for turn in range(turns):
        for tool in tools[:: -1 if turn % 2 else 1]:
            found = measured(task, tool, model, side)
            if tool not in best or found.get("seconds", float("inf")) < best[tool].get("seconds", float("inf")):
                best[tool] = found
    rows = []
    for tool in tools:
        found = best[tool]
        row = {"task": task, "model": model, "tool": tool, **{key: value for key, value in found.items() if key != "values"}}
        if "error" not in found:
            row["speed"] = best[tools[0]].get("seconds", float("nan")) / found["seconds"]
            row["values"] = "" if task == "plane" else ", ".join(f"{value:.4g}" for value in found["values"])
        rows.append(row)
    if task == "plane":
        by_hand, mine = (torch.tensor(best[tool].get("values", [])) for tool in (PLAIN, OURS))
        rows[1]["values"] = "as the plain loop" if by_hand.shape == mine.shape and torch.allclose(by_hand, mine, rtol=1e-3) else "OTHERS"
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = ["| work | model | tool | processor s | speed, the first tool's 1 | peak MiB | found |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        numbers = (
            f"{row['seconds']:.3f} | {row['speed']:.2f} | {row['peak_mib']:.0f} | {row['values']}"
            if "seconds" in row
            else "did not run | | |"
        )
        lines.append(f"| {row['task']} | {row['model']} | {row['tool']} | {numbers} |")
    return "\n".join(lines)


def main() -> None:
    """Run the command that the module describes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--side", type=int, default=25)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--out", type=Path, help="file of JSON; what it has of other work and models stays")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.run:
        run(chosen.tasks[0], chosen.run, chosen.models[0], chosen.side)
        return
    kept = json.loads(chosen.out.read_text()) if chosen.out is not None and chosen.out.exists() else {"rows": []}
    for task in chosen.tasks:
        tools = [tool for tool in TASKS[task] if chosen.peers or tool not in PINNED]
        for model in chosen.models:
            rows = compared(task, model, tools, chosen.turns, chosen.side)
            print(table(rows), flush=True)
            others = [row for row in kept["rows"] if (row["task"], row["model"]) != (task, model)]
            kept = {"torch": torch.__version__, "side": chosen.side, "turns": chosen.turns, "rows": [*others, *rows]}
            if chosen.out is not None:
                chosen.out.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
