"""Where an update of the random mazes spends its time on the plain path: `python -m benchmarks.random_stages`. One agent trained jointly, and a process's half of six `freeze` agents.

Compiled kernels are timed around each of their calls, in a process of its own for every number of threads; what is left is small tensor
operations, packing of weights, the optimiser, autograd and Python, which one core does while the others wait. Medians over the updates.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from benchmarks.against import ROOT, printed
from benchmarks.plain_loop import matmul_rate
from benchmarks.random_training import update_gflop
from crar_model.core.files import write_text

KINDS = {
    "conv_forward": "convolutions, forward", "conv_backward": "convolutions, backward", "tiles_forward": "encoder's first layers, forward",
    "tiles_backward": "encoder's first layers, backward",
}  # fmt: skip
"""Functions of `crar_model.nets` that call kernels -> what they compute."""
REST = "all else: packing, indexing, optimiser, autograd, small operations, Python"
HALF = 3
"""Agents of one of the two processes that six are split among."""
_UPDATES = """
import collections, dataclasses, json, statistics, sys, time, torch
import crar_model.nets as nets
from crar_model.nets import _conv, _tiles
from crar_model.tasks import default_settings
from crar_model.training.members import base_plan
from crar_model.training.trainer import Trainer
from crar_model.training.variants import VARIANTS

torch.set_num_threads(1)
torch.set_flush_denormal(True)
nets.set_threads({threads})
taken = collections.Counter()

def timed(share):
    def call(*arguments, **options):
        caller, begin = sys._getframe(1).f_code.co_name, time.perf_counter()
        result = share(*arguments, **options)
        taken[caller] += time.perf_counter() - begin
        return result
    return call

_conv.share, _tiles.share = timed(_conv.share), timed(_tiles.share)
plan = base_plan(dataclasses.replace(default_settings("random"), data_size=3000, engine="reference"), {agents})
if {freeze}:
    plan = dataclasses.replace(plan, variant=dataclasses.replace(VARIANTS["freeze"], start="fresh"))
trainer = Trainer(plan)
for _ in range(10):
    trainer.one_update()
rows = []
for _ in range({updates}):
    taken.clear()
    begin = time.perf_counter()
    trainer.one_update()
    rows.append(dict(taken) | {{"whole": time.perf_counter() - begin}})
with open({path!r}, "w") as file:
    json.dump({{name: statistics.median(row[name] for row in rows) for name in rows[0]}}, file)
print(1)
"""


def measure(updates: int, folder: Path) -> dict[str, Any]:
    """Milliseconds of each stage by the number of threads, and what the multiplications alone would need."""
    cores = os.cpu_count() or 1
    found: dict[str, Any] = {"cores": cores, "updates": updates, "gflop": update_gflop(images=False), "matmul_gflops": matmul_rate(1.0)}
    cases = [(f"{threads} threads", threads, 1, False) for threads in sorted({1, cores})] + [("freeze", 1, HALF, True)]
    for case, threads, agents, freeze in cases:
        path = folder / f"stages-{threads}-{agents}.json"
        code = _UPDATES.format(threads=threads, updates=updates, path=str(path.resolve()), agents=agents, freeze=freeze)
        printed(code, ROOT, {"OMP_NUM_THREADS": "1"})
        seconds: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
        path.unlink()
        kernels = {what: 1e3 * seconds.get(name, 0.0) for name, what in KINDS.items()}
        whole = 1e3 * seconds["whole"]
        found[case] = kernels | {REST: whole - sum(kernels.values()), "whole": whole}
    return found


def table(found: dict[str, Any]) -> str:
    """As Markdown, with the multiplications' own time at the machine's rate below."""
    counts = sorted({1, found["cores"]})
    cases = {f"{count} threads": f"one agent, {count} thread{'s' if count > 1 else ''}" for count in counts}
    cases |= {"freeze": f"`freeze`, {HALF} agents, 1 thread"}
    rows = [["one update", *cases.values()], ["---"] * (1 + len(cases))]
    rows += [[name, *(f"{found[case][name]:.1f} ms" for case in cases)] for name in (*KINDS.values(), REST, "whole")]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def verdict(found: dict[str, Any]) -> str:
    """What bounds the rate."""
    last = found[f"{found['cores']} threads"]
    needed = 1e3 * found["gflop"] / found["matmul_gflops"]
    kernels = last["whole"] - last[REST]
    frozen = found["freeze"]
    return (
        f"The multiplications that one agent's update needs would take {needed:.1f} ms at the machine's rate. The kernels take {kernels:.1f} ms, and "
        f"{last[REST]:.1f} ms ({100 * last[REST] / last['whole']:.0f} %) are spent outside them, on one core: with kernels at the full multiply rate one agent "
        f"would be {last['whole'] / (needed + last[REST]):.2f} times as fast as it is. "
        f"Of a `freeze` update the convolutions' passes are {100 * (frozen[KINDS['conv_forward']] + frozen[KINDS['conv_backward']]) / frozen['whole']:.0f} %: frozen "
        "networks have no gradients of weights, and still pass those of their inputs on to the encoder."
    )


def main() -> None:
    """Measure and write `random_stages.json`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--updates", type=int, default=200, help="updates timed (default %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="folder of the results")
    options = parser.parse_args()
    found = measure(options.updates, options.out)
    write_text(options.out / "random_stages.json", json.dumps(found, indent=1) + "\n")
    print(table(found), verdict(found), sep="\n\n")


if __name__ == "__main__":
    main()
