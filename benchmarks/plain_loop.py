"""The yardsticks of the simple maze: a plain one-model PyTorch loop, and float32 products of 1024 x 1024 matrices on all cores.

The loop has nn.Sequential networks, encodes the batch's 32 + 32 rows as they come, and takes torch.optim.RMSprop and clip_grad_norm_; one
step on the sum, or one per term.
"""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from crar_model.agent.loss import FOLLOWED
from crar_model.agent.networks import DenseAgent
from crar_model.core.settings import LossSettings
from crar_model.mazes.simple import simple_maze
from crar_model.mazes.walks import gather_states


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


def plain_rate(rule: str, seconds: float) -> float:
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
