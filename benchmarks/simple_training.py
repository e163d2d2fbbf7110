"""Agent-updates per second on the simple maze: `python -m benchmarks.training`.

Every repetition measures, one after the other, the plain PyTorch loop, the trainer with the code of an earlier commit and with this one, and
around the last the machine's matrix-multiply rate; every second one in reverse. Only figures of one repetition are divided by each other; medians
and extremes over the repetitions are shown.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.against import HERE, ROOT, trees
from benchmarks.plain_loop import matmul_rate, plain_rate
from crar_model.agent.loss import FOLLOWED
from crar_model.agent.networks import DenseAgent
from crar_model.core.files import write_text
from crar_model.core.params import BLOCKS
from crar_model.mazes.simple import simple_maze
from crar_model.training.variants import BASE, VARIANTS

BEFORE = "6b7a7ec"
"""The code before whole updates were compiled."""
WORKER = ROOT / "benchmarks" / "updates_worker.py"
SAMPLE = Path("reports") / "sample_models" / "base.pt"
"""In the folder of each code, which reads its own."""
RULES = ("joint", "sequential")


@dataclass(frozen=True)
class Row:
    """Some work: members of a variant under a rule, with batches of a size."""

    rule: str
    members: int
    variant: str = "base"
    batch: int = 32

    @property
    def name(self) -> str:
        """Its key in the results."""
        parts = (self.rule, str(self.members), "" if self.variant == "base" else self.variant, f"batch {self.batch}" * (self.batch != 32))
        return " ".join(part for part in parts if part)


MEMBERS = (1, 6, 18, 36, 144)
BATCHES = (32, 128, 512, 1024)
BATCH_MEMBERS = 6
ROWS = tuple(
    dict.fromkeys(
        (
            *(Row("joint", members) for members in MEMBERS),
            *(Row("sequential", members) for members in (1, 6, 36)),
            Row("sequential", 36, "freeze"),
            *(Row("joint", BATCH_MEMBERS, batch=batch) for batch in BATCHES),
        )
    )
)


def update_gflop(row: Row) -> float:
    """GFLOP that one update of one agent needs.

    2 per multiply-add; a network costs its products forward, for the weights where they train, and for the inputs. The 31 distinct states are
    encoded once a step. They are one wall pattern and one cell each, so the encoder's first layer needs one product for all of them and a
    column a state, forward and backward. Activations, the optimiser, reductions, and the target copy, whose values change once in 1,000
    updates, are not counted.
    """
    agent, states = DenseAgent(), simple_maze().n_states
    trained = BASE.trained if row.variant == BASE.name else VARIANTS[row.variant].trained
    macs = {block: sum(a * b for a, b in itertools.pairwise(widths)) for block, widths in agent.dense_widths.items()}
    pixels, units = agent.encoder[:2]
    first = pixels * units + states * units
    encoder = 2 * first + 3 * states * (macs["encoder"] - pixels * units)
    heads = sum((3 if block in trained else 2) * row.batch * macs[block] for block in BLOCKS if block != "encoder")
    passes = 1 if row.rule == "joint" else len(FOLLOWED)
    return 2 * (passes * encoder + heads) / 1e9


def trained_rates(folder: Path, rows: Sequence[Row], seconds: float) -> list[float]:
    """Agent-updates per second of every row with the code of a folder."""
    job = {"rows": [asdict(row) for row in rows], "seconds": seconds, "base": str(folder / SAMPLE)}
    env = os.environ | {"PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-P", str(WORKER), json.dumps(job)], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"the trainer of {folder} failed:\n{done.stderr[-2000:]}")
    return [float(rate) for rate in json.loads(done.stdout)]


def repetition(folders: Mapping[str, Path], rows: Sequence[Row], seconds: float, *, backwards: bool) -> dict[str, list[float]]:
    """One rate a row for each commit, one a rule for "plain", one for "matmul"."""
    work: dict[str, Callable[[], list[float]]] = {"plain": lambda: [plain_rate(rule, 2 * seconds) for rule in RULES]}
    for commit, folder in folders.items():
        work[commit] = lambda folder=folder: trained_rates(folder, rows, seconds)  # type: ignore[misc]
    found = {}
    for name in list(work)[:: -1 if backwards else 1]:
        around = [matmul_rate(seconds)] if name == HERE else []
        found[name] = work[name]()
        if name == HERE:  # before and after: the machine's speed drifts
            found["matmul"] = [statistics.mean((*around, matmul_rate(seconds)))]
    return found


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median and extremes."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def results_of(found: Sequence[Mapping[str, Sequence[float]]], rows: Sequence[Row]) -> dict[str, Any]:
    """Medians and extremes of rates, and of ratios within a repetition."""
    results: dict[str, Any] = {"matmul_gflops": summary([one["matmul"][0] for one in found]), "rows": {}}
    for number, rule in enumerate(RULES):
        results[f"plain {rule}"] = summary([one["plain"][number] for one in found])
    for number, row in enumerate(rows):
        gflop, rule = update_gflop(row), RULES.index(row.rule)
        own = {
            "updates_per_s": [one[HERE][number] for one in found],
            "before_per_s": [one[BEFORE][number] for one in found],
            "times_before": [one[HERE][number] / one[BEFORE][number] for one in found],
            "of_matmul": [one[HERE][number] * gflop / one["matmul"][0] for one in found],
        }
        if row.batch == 32:
            own["times_plain"] = [one[HERE][number] / one["plain"][rule] for one in found]
        results["rows"][row.name] = asdict(row) | {"mflop": 1e3 * gflop} | {name: summary(values) for name, values in own.items()}
    return results


def with_spread(found: Mapping[str, float], form: str = ",.0f", scale: float = 1.0) -> str:
    """Such as 4,468 (4,301 to 4,600)."""
    median, low, high = (format(scale * found[name], form) for name in ("median", "low", "high"))
    return f"{median} ({low} to {high})"


def table(results: Mapping[str, Any]) -> str:
    """Every row as Markdown."""
    lines = [
        "| rule | members | variant | batch | before, /s | now, /s | x before | x plain loop | MFLOP needed | of the multiply rate, % |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for rule in RULES:
        lines.append(f"| {rule} | plain loop | base | 32 | | {with_spread(results[f'plain {rule}'])} | | 1 | | |")
        for row in results["rows"].values():
            if row["rule"] == rule:
                plain = with_spread(row["times_plain"], ".1f") if "times_plain" in row else ""
                lines.append(
                    f"| {rule} | {row['members']} | {row['variant']} | {row['batch']} | {with_spread(row['before_per_s'])} "
                    f"| {with_spread(row['updates_per_s'])} | {with_spread(row['times_before'], '.2f')} | {plain} "
                    f"| {row['mflop']:.2f} | {with_spread(row['of_matmul'], '.0f', 100)} |"
                )
    return "\n".join(lines)


def figure(results: Mapping[str, Any], path: Path) -> None:
    """Cost against members and against the batch, before and now."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = list(results["rows"].values())
    picture, panels = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    curves = (
        ("members", [row for row in rows if (row["rule"], row["variant"], row["batch"]) == ("joint", "base", 32)]),
        ("batch", [row for row in rows if (row["rule"], row["members"]) == ("joint", BATCH_MEMBERS)]),
    )
    for panel, (axis, chosen) in zip(panels, curves, strict=True):
        chosen = sorted(chosen, key=lambda row: row[axis])
        x = [row[axis] for row in chosen]
        for key, label, color in (("before_per_s", f"before ({BEFORE})", "#888888"), ("updates_per_s", "now", "#0072B2")):
            panel.plot(x, [row[key]["median"] for row in chosen], marker="o", color=color, label=label)
            panel.fill_between(x, [row[key]["low"] for row in chosen], [row[key]["high"] for row in chosen], color=color, alpha=0.25, lw=0)
        if axis == "members":
            panel.axhline(results["plain joint"]["median"], color="#D55E00", ls="--", lw=1, label="plain PyTorch loop, one model")
        panel.set(xscale="log", yscale="log", xlabel=axis, ylabel="agent-updates per second")
        rates = [row[key][end] for row in chosen for key in ("before_per_s", "updates_per_s") for end in ("low", "high")]
        panel.set_ylim(10 ** math.floor(math.log10(min(rates))), 10 ** math.ceil(math.log10(max(rates))))
        panel.set_xticks(x, [str(value) for value in x])
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    panels[0].set_title("joint rule, batch 32")
    panels[1].set_title(f"joint rule, {BATCH_MEMBERS} members")
    panels[0].legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, dpi=110)
    plt.close(picture)


def measure(seconds: float, repetitions: int, out: Path, rows: Sequence[Row] = ROWS) -> None:
    """Measure, print the table, write it as JSON and Markdown, draw the curves."""
    found = []
    with trees((BEFORE, HERE)) as folders:
        for folder in folders.values():
            trained_rates(folder, [Row(rule, 1) for rule in RULES], 0.0)  # fills the caches of compiled code
        for turn in range(repetitions):
            found.append(repetition(folders, rows, seconds, backwards=bool(turn % 2)))
            print(f"repetition {turn + 1} of {repetitions}", flush=True)
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    results = {"machine": machine, "torch": torch.__version__, "before": BEFORE, "repetitions": repetitions, **results_of(found, rows)}
    text = table(results)
    print(text)
    write_text(out / "training.json", json.dumps(results, indent=1) + "\n")
    figure(results, out / "training.png")
    command = f"python -m benchmarks.training --seconds {seconds:g} --repetitions {repetitions}"
    write_text(
        out / "training.md",
        f"# Training, simple maze\n\n`{command}` on {machine}, PyTorch {torch.__version__}; "
        f"medians of {repetitions} repetitions in turn, smallest and largest in brackets; before is the code of {BEFORE}. "
        f"The multiply rate was {with_spread(results['matmul_gflops'])} GFLOP/s.\n\n{text}\n\n"
        "![Agent-updates per second against members and batch](training.png)\n",
    )
