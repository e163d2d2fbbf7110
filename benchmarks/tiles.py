"""What the processor's tile unit gains: `python -m benchmarks.tiles`, on a machine that has one.

Every repetition takes the same work in float32 and by tiles, one after the other in one process of one thread, every second one in reverse;
only times of one repetition are divided by each other. Processor time, medians and extremes. The dense agent has no tiles: shown is how much
of its update the products are that tiles could take over, and what converting one weight for them takes.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crar_model.agent.networks import ConvAgent, DenseAgent
from crar_model.agent.planning import plan_values
from crar_model.core.files import write_text
from crar_model.core.settings import ARITHMETICS, TrainSettings
from crar_model.nets import _panel, set_arithmetic, set_threads
from crar_model.nets._conv import Plan, conv_backward, conv_forward, pack
from crar_model.nets.layers import Conv, parameter_shapes
from crar_model.tasks import default_settings
from crar_model.training.members import base_plan
from crar_model.training.trainer import Trainer
from crar_model.training.variants import VARIANTS

LAYERS = ((32, 64, 3), (64, 32, 2), (16, 32, 2), (16, 32, 3))
"""(channels, out, side of the window) of the large convolutions on 8x8 maps."""
DIRECTIONS = ("forward", "to the input", "to the weight")
ROWS = 32
"""Of a batch."""


def trainer(agents: int, freeze: bool) -> Callable[[], object]:
    """One update of so many agents of the random mazes."""
    plan = base_plan(dataclasses.replace(default_settings("random"), data_size=3000), agents)
    if freeze:
        plan = dataclasses.replace(plan, variant=dataclasses.replace(VARIANTS["freeze"], start="fresh"))
    return Trainer(plan).one_update


def planning() -> Callable[[], object]:
    """One choice of an action, three steps ahead."""
    agent = ConvAgent()
    params, x = agent.init(np.random.default_rng(0)), torch.randn(1, 192)
    return lambda: plan_values(agent, params, x, 3)


def layer(channels: int, out: int, size: int, direction: str) -> Callable[[], object]:
    """A pass of one convolution for a batch, with the packing, splitting and frames that it takes."""
    layers = (Conv(out, size),)
    weights = [torch.randn(1, *shape) for shape in parameter_shapes(layers, channels, 8)]
    plan = Plan([layers[0].table_row()], [(channels, 8), (out, 8)], 0)
    x, grad, packed = torch.randn(1, ROWS, channels * 64), torch.randn(1, ROWS, out * 64), pack(weights, plan, back=True)
    _, kept = conv_forward(x, packed, plan, 1, keep=True)
    shapes = [weight.shape for weight in weights]
    if direction == "forward":
        return lambda: conv_forward(x, packed, plan, 1, keep=True)
    if direction == "to the input":
        return lambda: conv_backward(x, kept, packed, plan, grad, None, for_input=True)
    return lambda: conv_backward(x, kept, packed, plan, grad, shapes, for_input=False)


def compared(work: Callable[[], object], seconds: float, repetitions: int) -> dict[str, Any]:
    """Milliseconds of each arithmetic and their ratio, with extremes."""
    for name in ARITHMETICS:
        set_arithmetic(name)
        work()
    begin = time.process_time()
    work()
    times = max(1, int(seconds / (time.process_time() - begin)))
    took: dict[str, list[float]] = {name: [] for name in ARITHMETICS}
    for turn in range(repetitions):
        for name in ARITHMETICS[:: -1 if turn % 2 else 1]:
            set_arithmetic(name)
            begin = time.process_time()
            for _ in range(times):
                work()
            took[name].append(1e3 * (time.process_time() - begin) / times)
    set_arithmetic("float32")
    ratios = [a / b for a, b in zip(took["float32"], took["tiles"], strict=True)]
    return {f"{name}_ms": statistics.median(own) for name, own in took.items()} | {
        "ratio": statistics.median(ratios), "spread": [min(ratios), max(ratios)],
    }  # fmt: skip


def dense(repetitions: int) -> dict[str, float]:
    """Microseconds of one update of the dense agent, of the products of its largest layer, and of converting that layer's weight twice."""
    from crar_model.nets import _amx

    widths = DenseAgent().encoder
    n, m = widths[1], widths[2]
    rng = np.random.default_rng(0)
    weight, bias, x, y, back = (rng.standard_normal(shape).astype(np.float32) for shape in ((m, n), m, (n, ROWS), (m, ROWS), (n, ROWS)))
    rows = np.ascontiguousarray(x.T)
    gradient, worst = np.empty_like(weight), np.zeros(16, dtype=np.uint32)
    lines, pairs = np.empty((2, m, -(-n // 32) * 32), dtype=np.uint16), np.empty((2, -(-m // 32) * 16, n), dtype=np.uint32)
    at = [array.ctypes.data for array in (weight, bias, x, y, back, rows, gradient)]

    def products() -> None:
        _panel.layer_forward(at[0], at[1], at[2], at[3], n, m)
        _panel.layer_backward(at[0], at[3], at[4], n, m)
        _panel.weight_gradient(at[3], at[5], at[6], n, m, 0)

    def conversions() -> None:
        _amx._along(at[0], m, n, lines, worst)
        _amx._pairs(at[0], m, n, 4 * n, pairs, 0, 1, worst)

    members, updates = 18, 50
    training = Trainer(base_plan(TrainSettings(updates=10**9, log_interval=10**9), members))
    training.advance(updates)
    found: dict[str, list[float]] = {"update_us": [], "products_us": [], "conversions_us": []}
    for _ in range(repetitions):
        for name, work, times in (
            ("update_us", lambda: training.advance(updates), 1),
            ("products_us", products, 500),
            ("conversions_us", conversions, 500),
        ):
            work()
            begin = time.process_time()
            for _ in range(times):
                work()
            found[name].append(1e6 * (time.process_time() - begin) / times / (members * updates if times == 1 else 1))
    return {name: statistics.median(own) for name, own in found.items()}


def table(found: dict[str, Any]) -> str:
    """As Markdown."""
    lines = ["| work, one thread | float32 | tiles | times as fast |", "|---|---|---|---|"]
    for name, row in found["work"].items():
        low, high = row["spread"]
        lines.append(f"| {name} | {row['float32_ms']:.3g} ms | {row['tiles_ms']:.3g} ms | {row['ratio']:.2f} ({low:.2f} to {high:.2f}) |")
    return "\n".join(lines)


def verdict(found: dict[str, Any]) -> str:
    """Why the dense agent has no tiles."""
    own = found["dense"]
    bound = own["update_us"] / (own["update_us"] - own["products_us"])
    return (
        f"The simple maze's agent has no tiles. The products of its largest layer take {own['products_us']:.0f} us of an update of {own['update_us']:.0f} us. "
        f"Were they free, it would be {bound:.2f} times as fast. Converting that layer's weight for its two passes takes {own['conversions_us']:.1f} us alone."
    )


def main() -> None:
    """Measure and write `tiles.json`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.2, help="processor time of one figure (default %(default)s)")
    parser.add_argument("--repetitions", type=int, default=5, help="of every pair (default %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="folder of the results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    set_threads(1)
    torch.set_flush_denormal(True)
    found: dict[str, Any] = {"cores": os.cpu_count(), "torch": torch.__version__, "repetitions": options.repetitions, "work": {}}
    work: dict[str, Callable[[], Callable[[], object]]] = {}
    for channels, out, size in LAYERS:
        for direction in DIRECTIONS:
            name = f"{channels} to {out} channels, {size}x{size}, {direction}"
            work[name] = lambda c=channels, o=out, s=size, d=direction: layer(c, o, s, d)
    work |= {
        "random mazes, joint, 1 agent": lambda: trainer(1, False), "random mazes, joint, 3 agents": lambda: trainer(3, False),
        "random mazes, `freeze`, 3 agents": lambda: trainer(3, True), "planning, 3 steps ahead": planning,
    }  # fmt: skip
    for name, make in work.items():
        found["work"][name] = compared(make(), options.seconds, options.repetitions)
        print(name, found["work"][name], flush=True)
    found["dense"] = dense(options.repetitions)
    write_text(options.out / "tiles.json", json.dumps(found, indent=1) + "\n")
    print(table(found), verdict(found), sep="\n\n")


if __name__ == "__main__":
    main()
