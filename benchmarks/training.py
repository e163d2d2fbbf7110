"""Agent-updates per second of the batched trainer, against a plain loop and the machine's matrix-multiply rate.

    python -m benchmarks.training [--maze simple|random] [--seconds S] [--repetitions 5] [--against COMMIT] [--out benchmarks/results]

Both mazes also against the code of an earlier commit (`simple_training`, `random_against`). Baselines, measured in the same run and in turn with the
trainer: a plain one-model PyTorch loop of the same rule, and float32 products of 1024 x 1024 matrices on all cores (`plain_loop`).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
from pathlib import Path
from typing import Any

import torch

from benchmarks import random_against, random_training, simple_training
from benchmarks.plain_loop import best_rate, matmul_rate
from crar_model.core.files import write_text
from crar_model.nets import set_threads

RULES = ("joint", "sequential")


def _shard(rule: str, members: int, seconds: float, start: Any, rates: Any) -> None:
    torch.set_num_threads(1)
    set_threads(max(1, (os.cpu_count() or 1) // start.parties))
    torch.set_flush_denormal(True)
    work = random_training.trainer_updates(rule, members, 10)
    work()
    work()
    start.wait()
    rates.put(best_rate(work, seconds, 10 * members))


def trainer_rate(rule: str, members: int, seconds: float) -> float:
    """Agent-updates per second with the members split among one single-threaded process per core."""
    workers = min(os.cpu_count() or 1, members)
    context = multiprocessing.get_context("spawn")
    start, rates = context.Barrier(workers), context.Queue()
    counts = [members // workers + (k < members % workers) for k in range(workers)]
    processes = [context.Process(target=_shard, args=(rule, count, seconds, start, rates)) for count in counts]
    for process in processes:
        process.start()
    total = sum(rates.get() for _ in processes)
    for process in processes:
        process.join()
    return float(total)


def random_mazes(seconds: float, repetitions: int, out: Path, against: str) -> None:
    """The table of the random mazes."""
    results: dict[str, Any] = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "torch": torch.__version__,
    }
    lines = ["| rule | agents | updates/s | x plain loop | GFLOP/s needed | of matmul rate |", "|---|---|---|---|---|---|"]
    for rule in RULES:
        plain = 0.0
        for threads in sorted({1, os.cpu_count() or 1}):
            torch.set_num_threads(threads)
            plain = max(plain, best_rate(random_training.plain_updates(rule, 3), seconds / 2, 3))
        results[f"plain {rule}"] = plain
        lines.append(f"| {rule} | plain loop, 1 | {plain:.1f} | 1.0 | | |")
        for members in (1, 2, 6):
            before = matmul_rate(1.0)
            rate = trainer_rate(rule, members, seconds)
            matmul = (before + matmul_rate(1.0)) / 2
            shown = {"updates_per_s": rate, "times_plain": rate / plain, "matmul_gflops": matmul}
            cells = " | "
            if rule == "joint":
                needed = rate * random_training.update_gflop(images=False)
                shown |= {"gflops": needed, "of_matmul": needed / matmul}
                cells = f" {needed:.0f} | {100 * needed / matmul:.0f} % of {matmul:.0f} "
            results[f"{rule} {members}"] = shown
            lines.append(f"| {rule} | {members} | {rate:.1f} | {rate / plain:.1f} |{cells}|")
            print(lines[-1], flush=True)
    whole, pieces = (random_training.update_gflop(images=images) for images in (True, False))
    results["gflop"] = {"whole images": whole, "distinct pieces": pieces}
    table = "\n".join(lines)
    text = (
        f"{table}\n\nOne joint update of one agent needs {whole:.2f} GFLOP with the encoder on whole images and {pieces:.2f} with it on the distinct "
        "pieces of the batch, which is what the trainer computes and what the rate counts. One agent alone shares its networks between the "
        "cores.\n"
    )
    found = random_against.measure(against, repetitions)
    results[f"against {against}"] = random_against.plain(found)
    text += "\n" + "\n".join(random_against.table(against, found)) + "\n"
    print(text)
    write_text(out / "random_training.json", json.dumps(results, indent=1) + "\n")
    command = f"python -m benchmarks.training --maze random --seconds {seconds:g}"
    write_text(
        out / "random_training.md",
        f"# Training, random mazes\n\n`{command}` on {results['machine']}, PyTorch {torch.__version__}.\n\n{text}",
    )


def main() -> None:
    """Measure, print a table, write it as JSON and Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, help="time per figure (default 0.4 in each repetition, random mazes 2)")
    parser.add_argument("--repetitions", type=int, default=5, help="of what is compared with a commit (default 5)")
    parser.add_argument(
        "--against", default=simple_training.BEFORE, help="commit that the random mazes are compared with (default %(default)s)"
    )
    parser.add_argument("--maze", choices=("simple", "random"), default="simple", help="maze to train on (default simple)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="folder of the results")
    options = parser.parse_args()
    if options.maze == "random":
        random_mazes(options.seconds or 2.0, options.repetitions, options.out, options.against)
    else:
        simple_training.measure(options.seconds or 0.4, options.repetitions, options.out)


if __name__ == "__main__":
    main()
