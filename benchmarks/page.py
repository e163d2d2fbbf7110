"""Writes the figures of docs/speed.md from the files in benchmarks/results: `python -m benchmarks.page`.

The page is prose, which has no figures, with blocks between `<!-- figures: NAME -->` and `<!-- end -->`, which are made here; a test holds the page
against the files.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import random_stages, random_updates
from benchmarks.against import ROOT
from benchmarks.peer_tools import OURS
from benchmarks.peers import grouped, places, table
from benchmarks.simple_training import with_spread
from crar_model.core.files import write_text
from crar_model.mazes.simple import simple_maze
from crar_model.tasks import TASKS

PAGE = ROOT / "docs" / "speed.md"
BLOCK = re.compile(r"(<!-- figures: ([a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)
Plain = Mapping[str, Any]


def _read(name: str, results: Path) -> Plain:
    content: Plain = json.loads((results / f"{name}.json").read_text(encoding="utf-8"))
    return content


def _rate(per_second: float) -> str:
    return f"{per_second:,.0f}" if per_second >= 100 else f"{per_second:.1f}"


def machine(results: Path) -> str:
    """What it was measured on."""
    simple = _read("training", results)
    return f"{simple['machine'].split(', ')[1]}, PyTorch {simple['torch'].split('+')[0]}, CPU build; medians of {simple['repetitions']} repetitions, smallest and largest in brackets."


def simple(results: Path) -> str:
    """The trainer on the simple maze."""
    found = _read("training", results)
    lines = [
        f"| rule, members | code of {found['before']}, updates/s | now, updates/s | times before | times the plain loop | of the multiply rate |",
        "|---|---|---|---|---|---|",
    ]
    for rule in ("joint", "sequential"):
        lines.append(f"| {rule}, plain loop, one model | | {with_spread(found[f'plain {rule}'])} | | 1 | |")
        for row in found["rows"].values():
            if row["rule"] == rule and row["batch"] == 32:
                variant = "" if row["variant"] == "base" else f", `{row['variant']}`"
                share = with_spread(row["of_matmul"], ".0f", 100)
                lines.append(
                    f"| {rule}, {row['members']}{variant} | {with_spread(row['before_per_s'])} | {with_spread(row['updates_per_s'])} "
                    f"| {with_spread(row['times_before'], '.1f')} | {with_spread(row['times_plain'], '.0f')} | {share} % |"
                )
    return "\n".join(lines)


def needed(results: Path) -> str:
    """What an update needs."""
    rows = _read("training", results)["rows"]
    return f"A base's update needs {rows['joint 1']['mflop']:.1f} MFLOP under the joint rule and {rows['sequential 1']['mflop']:.0f} under the sequential one."


def compiling(results: Path) -> str:
    """How long kernels take to compile."""
    found = _read("compile", results)
    words = []
    for name, kind in found.items():
        if isinstance(kind, dict):
            maze, engine = name.split()
            how = "" if engine == "compiled" else f" with `--engine {engine}`"
            words.append(f"{TASKS[maze].title}{how} {kind['compile_s']:.0f} s")
    return f"Processor time of compiling: {', '.join(words)}."


def others(results: Path) -> str:
    """Random mazes and landscapes."""
    mazes, plane, cnn = (_read(name, results) for name in ("random_training", "landscape", "landscape_cnn"))
    lines = ["| what | rate | times the yardstick | of the multiply rate |", "|---|---|---|---|"]
    for rule in ("joint", "sequential"):
        lines.append(f"| random mazes, {rule}, plain loop | {_rate(mazes[f'plain {rule}'])} updates/s | 1.0 | |")
        for members in (1, 2, 6):
            row = mazes[f"{rule} {members}"]
            share = f"{100 * row['of_matmul']:.0f} % |" if "of_matmul" in row else "|"
            lines.append(
                f"| random mazes, {rule}, {members} | {_rate(row['updates_per_s'])} updates/s | {row['times_plain']:.1f} | {share}"
            )
    rates = plane["rates"]
    one, side = rates["loss-landscapes (a)"], plane["growth"][0]["side"]
    share = 100 * rates["plane"] * plane["point_gflop"] / plane["matmul_gflops"]
    states = simple_maze().n_states
    loop = cnn["rates"]["plain loop"]
    for what, rate, yardstick, rest in (
        (f"surface of {side} x {side} points, encoder x dynamics", rates["product"], one, "|"),
        ("the same, every point by itself", rates["plane"], one, f"{share:.0f} % |"),
        ("`loss-landscapes` as its users call it", one, one, "|"),
        (f"`loss-landscapes` on the {states} distinct states", rates["loss-landscapes (b)"], one, "|"),
        (f"plane of a small CNN on {cnn['images']:,} images of 8x8, plain loop", loop, loop, "|"),
        ("the same, ours", cnn["rates"]["ours"], loop, "|"),
        ("the same, `loss-landscapes`", cnn["rates"]["loss-landscapes"], loop, "|"),
    ):
        lines.append(f"| {what} | {rate:,.0f} points/s | {rate / yardstick:.1f} | {rest}")
    return "\n".join(lines)


def growth(results: Path) -> str:
    """The largest surface."""
    last = _read("landscape", results)["growth"][-1]
    return f"The largest surface measured, {last['side']} x {last['side']} points, takes {1e6 * last['per_point']:.0f} us a point, and the process peaks at {last['peak_mib']:.0f} MiB."


def pieces(results: Path) -> str:
    """Work saved by encoding distinct pieces once."""
    gflop = _read("random_training", results)["gflop"]
    return f"{gflop['distinct pieces']:.2f} GFLOP an update in place of {gflop['whole images']:.2f}."


def against(results: Path) -> str:
    """The random mazes against the code before."""
    mazes = _read("random_training", results)
    name, found = next((key.split()[1], own) for key, own in mazes.items() if key.startswith("against "))
    lines = [f"| random mazes | code of {name} | now | times before |", "|---|---|---|---|"]
    for work, own in found.items():
        if isinstance(own, dict):
            before, now = own[name], own["."]
            low, high = now["ratio_spread"]
            lines.append(
                f"| {work} | {_rate(before['median'])}/s | {_rate(now['median'])}/s | {now['ratio']:.2f} ({low:.2f} to {high:.2f}) |"
            )
    joint, freeze = found["joint, 6 agents"][name]["median"], found["freeze, 6 agents"]["."]["median"]
    return (
        "\n".join(lines)
        + f"\n\nOver different repetitions, `freeze` runs now at {freeze / joint:.1f} times the median rate of joint training before."
    )


def updates(results: Path) -> str:
    """Whole updates of the random mazes in compiled code, against the code before."""
    return random_updates.table(_read("random_updates", results))


def step(results: Path) -> str:
    """Where one agent's update spends its time."""
    found = _read("random_stages", results)
    return f"{random_stages.table(found)}\n\n{random_stages.verdict(found)}"


def command(results: Path) -> str:
    """`crar landscape` against the code before, and its stages."""
    found = _read("landscape_command", results)
    descent = found["descent"]
    before, now = (statistics.median(found[key]) for key in ("before_s", "now_s"))
    low, high = found["ratio_spread"]
    stages = ", ".join(f"{row['stage']} {row['seconds']:.1f} s" for row in found["stages"] if row["seconds"] >= 0.5)
    return (
        f"`crar landscape` on the sample models at {found['side']} x {found['side']} takes {now:.0f} s of processor time, {before:.0f} s with the code of "
        f"{found['against']}: {found['ratio']:.2f} times as fast ({low:.2f} to {high:.2f}; {found['repetitions']} repetitions), though it measures more now. Its stages by the clock: {stages}. "
        f"The longest single descent, of the whole released model with its {descent['weights']:,} weights, takes {descent['seconds']:.1f} s for "
        f"{descent['iterations']} L-BFGS iterations, {descent['optimiser_s']:.1f} s of that within SciPy's own update of the step, which reads thirty past steps of all weights."
    )


def peers(results: Path) -> str:
    """Ordinary networks beside the tools of others."""
    found = _read("peers", results)
    firsts = [places(rows) for rows in grouped(found["rows"])]
    behind = [f"{task} of {model} ({tool})" for task, model, tool in firsts if tool != OURS]
    words = f"; first elsewhere: {', '.join(behind)}" if behind else ""
    versions = ", ".join(pins[0].replace("==", " ") for pins in found["pinned"].values())
    return (
        f"{table(found['rows'])}\n\nOf the tools with the right numbers ours is first in {len(firsts) - len(behind)} of {len(firsts)} rows{words}. "
        f"The best of {found['turns']} turns, of ResNet-18 of one. Versions: {versions}; PyTorch {found['torch'].split('+')[0]}."
    )


FIGURES: dict[str, Callable[[Path], str]] = {
    "machine": machine, "simple": simple, "needed": needed, "compiling": compiling, "others": others, "growth": growth, "pieces": pieces, "against": against,
    "step": step, "updates": updates, "command": command, "peers": peers,
}  # fmt: skip


def blocks(results: Path, page: str) -> list[str]:
    """The blocks of a page as the files have them, in the page's order.

    Raises:
        KeyError: for a block that is not known.
    """
    return [FIGURES[name](results) for _, name, _ in BLOCK.findall(page)]


def filled(results: Path, page: str) -> str:
    """A page with its blocks made anew."""
    return BLOCK.sub(lambda found: f"{found[1]}{FIGURES[found[2]](results)}\n{found[3]}", page)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="folder of the results")
    write_text(PAGE, filled(parser.parse_args().results, PAGE.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
