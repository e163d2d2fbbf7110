"""Planes, Hessian products, ends of the spectrum, traces and connections on four ordinary networks, beside a plain loop and pinned peers.

    python -m benchmarks.peers [--models mlp cnn resnet transformer] [--tasks plane products ends trace connection] [--turns 3] [--peers]
        [--minutes 15] [--out FILE]

Every figure is processor time of one thread in float32, the best of the turns; in a turn all tools do the same work one after the other, in every
second turn backwards, each in a process of its own that waits meanwhile. Memory is the peak of that process, its libraries included. The plain loop keeps
the base of a row and adds the other direction into the module's own weights, as one writes it by hand. ResNet-18 takes a second a point: its planes are
those of 2 x 2 and 4 x 4 points, and its 25 x 25 is where the line through both leads.

With `--peers` each peer is installed, pinned, into an environment of its own under the user's cache, which needs a package registry once; PyTorch and
NumPy are those of this environment, so that all tools have the same. Without it the table has ours and the plain loop alone. Once `--minutes` of
processor time are spent no other row is begun. A row that the file has is not measured again, so that a stopped run goes on; `--again` measures it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import subprocess
import sys
import sysconfig
import time
import venv
from pathlib import Path
from typing import Any

import torch

from benchmarks.peer_models import MODELS
from benchmarks.peer_tools import OURS, PINNED, PLAIN, TASKS

ROOT = Path(__file__).resolve().parents[1]
PLACE = Path(os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))) / "crar-peers"
SIDE, SMALL = 25, {"resnet": (2, 4)}
"""Points along a side of a plane; for models that take too long, two smaller ones."""
ROWS = {"resnet": ("plane", "products"), "mlp": tuple(TASKS)}
"""Model -> its tasks, where these are not all but connections."""
LONGEST = 900.0
"""Seconds by the clock after which a tool counts as not finishing."""


def environment(peer: str) -> Path:
    """The Python of a peer's own environment, made and filled the first time; what is not installed there is taken from this one."""
    folder = PLACE / peer
    python, filled = folder / "bin" / "python", folder / "filled"
    wanted = "\n".join(PINNED[peer])
    if not filled.exists() or filled.read_text() != wanted:
        venv.create(folder, with_pip=False, clear=True)
        (own,) = (folder / "lib").glob("python*/site-packages")
        (own / "shared.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
        command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--ignore-installed", *PINNED[peer]]
        subprocess.run(command, check=True)
        filled.write_text(wanted)
    return python


class Worker:
    """A tool in a process of its own, which works when it is told to."""

    def __init__(self, task: str, tool: str, model: str) -> None:
        self.spent, self.error = 0.0, ""
        try:
            python = str(environment(tool)) if tool in PINNED else sys.executable
        except subprocess.CalledProcessError as error:
            self.error = f"it was not installed ({error})"
            return
        command = [python, "-W", "ignore", "-m", "benchmarks.peers", "--run", tool, "--tasks", task, "--models", model]
        surrounding = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, env=surrounding, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def measured(self, side: int) -> dict[str, Any]:
        """One run: `seconds` of processor time, `peak_mib` of memory, `values`; or `error`, a line."""
        if not self.error:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            try:
                self._process.stdin.write(f"{side}\n")
                self._process.stdin.flush()
            except BrokenPipeError:
                pass
            line = self._process.stdout.readline() if select.select([self._process.stdout], [], [], LONGEST)[0] else None
            if line:
                found: dict[str, Any] = json.loads(line)
                self.spent = found["spent"]
                return found
            self.error = "it did not finish" if line is None else self._said()
        return {"error": self.error}

    def _said(self) -> str:
        """The last line of what a process said that ended."""
        return next(iter(self._process.communicate()[1].strip().splitlines()[::-1]), "it failed")

    def close(self) -> None:
        """End the process."""
        if hasattr(self, "_process"):
            self._process.kill()
            self._process.communicate()


def run(task: str, tool: str, model: str) -> None:
    """Measure in this process whenever a side comes in, and print it as one line of JSON."""
    torch.set_num_threads(1)
    make, works = TASKS[task][tool], {}
    if task == "plane" and model not in SMALL:
        make(model, 3)()  # what is made once: kernels, caches
    for line in sys.stdin:
        side = int(line)
        works[side] = works.get(side) or make(model, side)
        began = time.process_time()
        values = works[side]()
        seconds = time.process_time() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        kept = values if isinstance(values, list) else []
        print(json.dumps({"seconds": seconds, "peak_mib": peak, "values": kept, "spent": time.process_time()}), flush=True)


def compared(task: str, model: str, tools: list[str], turns: int) -> tuple[list[dict[str, Any]], float]:
    """Rows of the table, the best of the turns of each tool, and how fast it is beside the first one; the processor time spent."""
    workers = {tool: Worker(task, tool, model) for tool in tools}
    sides = SMALL[model] if task == "plane" and model in SMALL else (SIDE,)
    best: dict[str, list[dict[str, Any]]] = {tool: [{"error": "not measured"}] * len(sides) for tool in tools}
    try:
        for turn in range(turns):
            for tool in tools[:: -1 if turn % 2 else 1]:
                for k, side in enumerate(sides):
                    found = workers[tool].measured(side)
                    if turn == 0 or found.get("seconds", float("inf")) < best[tool][k].get("seconds", float("inf")):
                        best[tool][k] = found
    finally:
        for worker in workers.values():
            worker.close()
    rows = [{"task": task, "model": model, "tool": tool, **_joined(best[tool], sides, task)} for tool in tools]
    for row in rows:
        if "error" not in row:
            row["speed"] = rows[0].get("seconds", float("nan")) / row["seconds"]
    if task == "plane":
        by_hand, mine = (torch.tensor(best[tool][-1].get("values", [])) for tool in (PLAIN, OURS))
        rows[1]["values"] = "as the plain loop" if by_hand.shape == mine.shape and torch.allclose(by_hand, mine, rtol=1e-3) else "OTHERS"
    elif task in ("products", "ends"):
        _marked(rows, {tool: best[tool][-1].get("values", []) for tool in tools})
    return rows, sum(worker.spent for worker in workers.values())


def _marked(rows: list[dict[str, Any]], values: dict[str, list[float]]) -> None:
    """Say of a row that its numbers are not ours, which come with residuals; the last one of the ends counts products, and an end that a tool does not
    look for is NaN."""
    known = values[OURS]
    for row in rows:
        own = values[row["tool"]]
        off = [abs(a - b) > 0.01 * max(map(abs, known[:2])) for a, b in zip(own, known, strict=False)]
        row["wrong"] = any(off[:2] if row["task"] == "ends" else off)


def _joined(found: list[dict[str, Any]], sides: tuple[int, ...], task: str) -> dict[str, Any]:
    """A row, of one side or as the line through two of them has it."""
    last = found[-1]
    if any("error" in part for part in found):
        return {"error": next(part["error"] for part in found if "error" in part)}
    seconds = last["seconds"]
    if len(sides) > 1:
        small, large = (side**2 for side in sides)
        seconds += (last["seconds"] - found[0]["seconds"]) / (large - small) * (SIDE**2 - large)
    values = "" if task == "plane" else ", ".join(f"{value:.4g}" for value in last["values"])
    return {"seconds": seconds, "peak_mib": last["peak_mib"], "values": values}


def grouped(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The rows of each work on each model."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["task"], row["model"]), []).append(row)
    return list(found.values())


def places(rows: list[dict[str, Any]]) -> tuple[str, str, str]:
    """Work, model, and the fastest tool that did all of it with the right numbers; the plain loop is a yardstick of planes, and no tool."""
    able = [row for row in rows if "seconds" in row and not row.get("wrong") and "nan" not in row["values"]]
    tools = [row for row in able if row["tool"] != PLAIN or row["task"] == "connection"]
    return rows[0]["task"], rows[0]["model"], min(tools, key=lambda row: float(row["seconds"]))["tool"]


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = ["| work | model | tool | processor s | speed, the first tool's 1 | peak MiB | found |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        numbers = (
            f"{row['seconds']:.3g} | {row['speed']:.2f} | {row['peak_mib']:.0f} | {'WRONG: ' if row.get('wrong') else ''}{row['values']}"
            if "seconds" in row
            else "failed | | |"
        )
        lines.append(f"| {row['task']} | {row['model']} | {row['tool']} | {numbers} |")
    return "\n".join(lines)


def main() -> None:
    """Run the command that the module describes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--out", type=Path, help="file of JSON; what it has of other work and models stays")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.run:
        run(chosen.tasks[0], chosen.run, chosen.models[0])
        return
    kept = json.loads(chosen.out.read_text()) if chosen.out is not None and chosen.out.exists() else {"rows": []}
    spent = 0.0
    for model in chosen.models:
        allowed = ROWS.get(model, tuple(task for task in TASKS if task != "connection"))
        for task in [task for task in chosen.tasks if task in allowed]:
            own = [row for row in kept["rows"] if (row["task"], row["model"]) == (task, model)]
            if own and not chosen.again:
                continue
            if spent > 60 * chosen.minutes:
                print(f"{task} of {model}: not begun, {spent / 60:.0f} minutes are spent", flush=True)
                continue
            tools = [tool for tool in TASKS[task] if chosen.peers or tool not in PINNED]
            rows, seconds = compared(task, model, tools, 1 if model in SMALL else chosen.turns)
            spent += seconds
            print(table(rows), flush=True)
            others = [row for row in kept["rows"] if (row["task"], row["model"]) != (task, model)]
            kept = {"torch": torch.__version__, "turns": chosen.turns, "pinned": PINNED, "rows": [*others, *rows]}
            if chosen.out is not None:
                chosen.out.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
