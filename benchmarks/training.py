"""Agent-updates per second of the batched trainer, against a plain loop and the machine's matrix-multiply rate.

    python -m benchmarks.training [--maze simple|random] [--seconds 4] [--against COMMIT] [--out benchmarks/results]

Baselines, measured in the same run and in turn with the trainer:
(a) a plain one-model PyTorch loop of the same rule: nn.Sequential networks, the batch's 32 + 32 rows encoded as
    they come, torch.optim.RMSprop and clip_grad_norm_; one step on the sum, or one per term;
(b) float32 products of 1024 x 1024 matrices on all cores.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import random_against, random_training
from crar_model.agents import DenseAgent
from crar_model.files import write_text
from crar_model.losses import FOLLOWED
from crar_model.mazes.simple import simple_maze
from crar_model.mazes.walks import gather_states
from crar_model.nets import dense, set_threads
from crar_model.settings import LossSettings, TrainSettings
from crar_model.training import update_rules
from crar_model.training.members import base_plan
from crar_model.training.trainer import Trainer

MEMBERS = (1, 6, 36)
RULES = ("joint", "sequential")


def best_rate(work: Callable[[], None], seconds: float, per_call: float) -> float:
    """Calls' worth of `per_call` per second: the median of repetitions that fill the time, after a warm-up."""
    work()
    rates, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(rates) < 3:
        start = time.perf_counter()
        work()
        rates.append(per_call / (time.perf_counter() - start))
    return statistics.median(rates)


def matmul_rate(seconds: float) -> float:
    """GFLOP/s of float32 1024 x 1024 products with as many threads as cores."""
    torch.set_num_threads(os.cpu_count() or 1)
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    return best_rate(lambda: [a @ b for _ in range(5)] and None, seconds, 5 * 2 * 1024**3 / 1e9)


def update_gflop(rule: str) -> float:
    """GFLOP that one update of one base agent needs with the 31 distinct states encoded once per step.

    2 per multiply-add; a network costs its products forward, for the weights, and (but for the first layer of the
    encoder) for the inputs. Activations, the optimiser, reductions, and the target copy, whose values change once in
    1,000 updates, are not counted.
    """
    agent = DenseAgent()

    def macs(widths: tuple[int, ...]) -> int:
        return sum(a * b for a, b in itertools.pairwise(widths))

    encoder, states, batch = macs(agent.encoder), simple_maze().n_states, 32
    encoder_pass = states * (3 * encoder - agent.encoder[0] * agent.encoder[1])
    heads = 3 * batch * (macs(agent.transition_net) + 2 * macs(agent.reward_net) + macs(agent.value_net))
    passes = 1 if rule == "joint" else len(FOLLOWED)
    return 2 * (passes * encoder_pass + heads) / 1e9


def plain_loop(rule: str, seconds: float) -> float:
    """Updates per second of the plain one-model loop, the better of one thread and all cores."""
    rates = []
    for threads in sorted({1, os.cpu_count() or 1}):
        torch.set_num_threads(threads)
        rates.append(best_rate(_plain_updates(rule, 20), seconds / 2, 20))
    return max(rates)


def _mlp(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        layers += [nn.Linear(a, b), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def _plain_updates(rule: str, updates: int) -> Callable[[], None]:
    agent, settings = DenseAgent(), LossSettings()
    nets = {"encoder": _mlp(*agent.encoder), "transition": _mlp(*agent.transition_net), "reward": _mlp(*agent.reward_net)}
    nets |= {"discount": _mlp(*agent.reward_net), "value": _mlp(*agent.value_net)}
    targets = {"encoder": _mlp(*agent.encoder), "value": _mlp(*agent.value_net)}
    params = [p for net in nets.values() for p in net.parameters()]
    observations = simple_maze().observations().flatten(1)
    walk = {k: torch.from_numpy(v) for k, v in gather_states(simple_maze(), 0, 5000).items()}
    weights = settings.weights()

    def optimiser() -> torch.optim.RMSprop:
        return torch.optim.RMSprop(params, lr=5e-4, alpha=0.9, eps=1e-4)

    optimisers = {term: optimiser() for term in FOLLOWED} if rule == "sequential" else {"sum": optimiser()}

    def term(name: str, x: Tensor, x_next: Tensor | None, s_next: Tensor, action: Tensor) -> Tensor:
        joined = torch.cat((x, torch.nn.functional.one_hot(action, 4).float()), 1)
        if name in ("transition", "consecutive") and x_next is None:
            x_next = nets["encoder"](s_next)
        if name == "transition":
            return ((x + nets["transition"](joined) - x_next) ** 2).mean()
        if name == "reward":
            return (nets["reward"](joined) ** 2).mean()
        if name == "discount":
            return ((nets["discount"](joined) - 0.9) ** 2).mean()
        if name == "ball":
            return (x.square().amax(1) - 1).clamp(0, 100).mean()
        if name == "value":
            with torch.no_grad():
                wanted = 0.9 * targets["value"](targets["encoder"](s_next)).amax(1)
            return (nets["value"](x).gather(1, action[:, None])[:, 0] - wanted).square().mean() / 4
        other = x.roll(1, 0) if name == "random_pairs" else x_next
        return torch.exp(-5 * (x - other).square().sum(1).clamp(1e-6, 10).sqrt()).mean()

    def step(loss: Tensor, optimiser: torch.optim.RMSprop) -> None:
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimiser.step()

    def run() -> None:
        for _ in range(updates):
            picks = torch.randint(0, 5000, (32,))
            s, s_next, action = observations[walk["state"][picks]], observations[walk["next_state"][picks]], walk["action"][picks]
            if rule == "joint":  # both observations encoded once, in one pass
                x, x_next = nets["encoder"](torch.cat((s, s_next))).split(32)
                step(torch.stack([weights[n] * term(n, x, x_next, s_next, action) for n in FOLLOWED]).sum(), optimisers["sum"])
            else:
                for name in FOLLOWED:
                    step(term(name, nets["encoder"](s), None, s_next, action), optimisers[name])

    return run


def _shard(maze: str, rule: str, members: int, seconds: float, start: Any, rates: Any) -> None:
    torch.set_num_threads(1)
    set_threads(max(1, (os.cpu_count() or 1) // start.parties))
    torch.set_flush_denormal(True)
    if maze == "random":
        work = random_training.trainer_updates(rule, members, 10)
    else:
        trainer = Trainer(base_plan(TrainSettings(update_rule=rule, updates=10**9, log_interval=10**9), members))

        def work() -> None:
            trainer.advance(10)

    work()
    work()
    start.wait()
    rates.put(best_rate(work, seconds, 10 * members))


def trainer_rate(rule: str, members: int, seconds: float, maze: str = "simple") -> float:
    """Agent-updates per second with the members split among one single-threaded process per core."""
    workers = min(os.cpu_count() or 1, members)
    context = multiprocessing.get_context("spawn")
    start, rates = context.Barrier(workers), context.Queue()
    counts = [members // workers + (k < members % workers) for k in range(workers)]
    processes = [context.Process(target=_shard, args=(maze, rule, count, seconds, start, rates)) for count in counts]
    for process in processes:
        process.start()
    total = sum(rates.get() for _ in processes)
    for process in processes:
        process.join()
    return float(total)


def time_shares(rule: str, members: int, updates: int = 60) -> dict[str, float]:
    """Share of an update's time in the compiled networks, the optimiser and everything else, in one thread."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    trainer = Trainer(base_plan(TrainSettings(update_rule=rule, updates=10**9, log_interval=10**9), members))
    trainer.advance(20)
    spent = {"networks forward": 0.0, "networks backward": 0.0, "optimiser": 0.0}
    patches = (
        (dense, "dense_forward", "networks forward"),
        (dense, "dense_backward", "networks backward"),
        (update_rules, "rmsprop_step", "optimiser"),
    )
    originals = [getattr(module, name) for module, name, _ in patches]

    def timed(function: Callable[..., Any], key: str) -> Callable[..., Any]:
        def wrapper(*args: Any, **options: Any) -> Any:
            start = time.perf_counter()
            result = function(*args, **options)
            spent[key] += time.perf_counter() - start
            return result

        return wrapper

    for (module, name, key), original in zip(patches, originals, strict=True):
        setattr(module, name, timed(original, key))
    try:
        start = time.perf_counter()
        trainer.advance(updates)
        whole = time.perf_counter() - start
    finally:
        for (module, name, _), original in zip(patches, originals, strict=True):
            setattr(module, name, original)
    shares = {key: value / whole for key, value in spent.items()}
    return shares | {"small operations": 1 - sum(shares.values()), "ms per update": 1000 * whole / updates}


def random_mazes(seconds: float, out: Path, against: str | None) -> None:
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
            rate = trainer_rate(rule, members, seconds, "random")
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
    if against is not None:
        found = random_against.measure(against)
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
    parser.add_argument("--seconds", type=float, default=4.0, help="time per figure (default 4)")
    parser.add_argument("--maze", choices=("simple", "random"), default="simple", help="maze to train on (default simple)")
    parser.add_argument("--against", help="commit to compare with, in turn: its code before, this code after (random mazes)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="folder of the results")
    options = parser.parse_args()
    if options.maze == "random":
        random_mazes(options.seconds, options.out, options.against)
        return
    results: dict[str, Any] = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "torch": torch.__version__,
    }
    lines = ["| rule | members | agent-updates/s | x plain loop | GFLOP/s needed | of matmul rate |", "|---|---|---|---|---|---|"]
    for rule in RULES:
        plain = plain_loop(rule, options.seconds)
        results[f"plain {rule}"] = plain
        lines.append(f"| {rule} | plain loop | {plain:.0f} | 1.0 | | |")
        for members in MEMBERS:
            before = matmul_rate(1.0)
            rate = trainer_rate(rule, members, options.seconds)
            matmul = (before + matmul_rate(1.0)) / 2  # around the measurement: the machine's speed drifts
            needed = rate * update_gflop(rule)
            results[f"{rule} {members}"] = {
                "agent_updates_per_s": rate,
                "times_plain": rate / plain,
                "gflops": needed,
                "of_matmul": needed / matmul,
                "matmul_gflops": matmul,
            }
            lines.append(
                f"| {rule} | {members} | {rate:.0f} | {rate / plain:.1f} | {needed:.1f} | {100 * needed / matmul:.0f} % of {matmul:.0f} |"
            )
            print(lines[-1], flush=True)
    lines += ["", "Where the time goes, 18 members in one thread (what one of two workers does for 36):", ""]
    lines += [
        "| rule | ms per update | networks forward | networks backward | optimiser | small operations of loss and autograd |",
        "|---|---|---|---|---|---|",
    ]
    for rule in RULES:
        shares = results[f"time {rule}"] = time_shares(rule, 18)
        cells = [f"{100 * shares[k]:.0f} %" for k in ("networks forward", "networks backward", "optimiser", "small operations")]
        lines.append(f"| {rule} | {shares['ms per update']:.1f} | " + " | ".join(cells) + " |")
    table = "\n".join(lines)
    print(table)
    options.out.mkdir(parents=True, exist_ok=True)
    write_text(options.out / "training.json", json.dumps(results, indent=1, default=np.asarray) + "\n")
    command = f"python -m benchmarks.training --seconds {options.seconds:g}"
    write_text(
        options.out / "training.md",
        f"# Training, simple maze\n\n`{command}` on {results['machine']}, PyTorch {torch.__version__}.\n\n{table}\n",
    )


if __name__ == "__main__":
    main()
