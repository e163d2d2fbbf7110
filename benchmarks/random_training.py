"""Updates per second on the random mazes: `python -m benchmarks.training --maze random`.

Baselines, measured in the same run and in turn with the trainer:
(a) a plain one-model PyTorch loop of the same rule: nn.Conv2d networks on 48x48 images that lie ready in memory, s and s'
    encoded as they come, the target copy on s', double Q, torch.optim.RMSprop and clip_grad_norm_;
(b) float32 products of 1024 x 1024 matrices on all cores.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crar_model.agent.loss import FOLLOWED
from crar_model.agent.networks import ConvAgent
from crar_model.core.tiles import draw_pixels
from crar_model.mazes.walks import gather_walk
from crar_model.nets import Conv, Layers, index_tiles
from crar_model.tasks import default_settings
from crar_model.training.members import base_plan
from crar_model.training.trainer import Trainer

BATCH = 32
DATA = 20_000


def _macs(layers: Layers, channels: int, side: int) -> tuple[int, int]:
    """Multiply-adds of a network on one input, and of its first layer alone."""
    total, first, flat = 0, 0, 0
    for layer in layers:
        if isinstance(layer, Conv):
            own = side * side * layer.size**2 * channels * layer.out
            channels, side = layer.out, side // layer.pool
        else:
            own = (flat or channels * side * side) * layer.out
            flat = layer.out
        total, first = total + own, first or own
    return total, first


def _encoder_pieces(seed: int = 0) -> float:
    """Multiply-adds of the encoder on the distinct pieces of a batch of 64 observations, a mean over ten batches."""
    walk, rng, found = gather_walk(seed, DATA), np.random.default_rng(seed), []
    for _ in range(10):
        picks = rng.integers(0, DATA, BATCH)
        tiles = torch.from_numpy(np.concatenate((walk.tiles[walk.state[picks]], walk.tiles[walk.next_state[picks]]))).view(-1, 1, 8, 8)
        index = index_tiles(tiles)
        found.append(len(index.patches) * (9 * 4 * 8 + 4 * 32 * 16) + len(index.values) * 144 * 32 + len(index.windows) * 32 * 3)
    return float(np.mean(found))


def update_gflop(*, images: bool) -> float:
    """GFLOP of one joint update of one agent; the encoder on whole images, or on the distinct pieces.

    2 per multiply-add; forward, gradients of weights and of inputs (not of the encoder's first layer); the target copy's
    encoder and Q and the online Q on s' forward only. Activations and the optimiser are not counted.
    """
    agent = ConvAgent()
    if images:
        whole, first = _macs(agent.encoder, 1, 48)
        encoder = 2 * BATCH * (3 * whole - first) + BATCH * whole
    else:
        encoder = int(3.5 * _encoder_pieces())  # s' alone has about half of the pieces
    transition, head, value = (_macs(net, c, 8)[0] for net, c in ((agent.transition_net, 7), (agent.reward_net, 7), (agent.value_net, 3)))
    return 2 * (encoder + BATCH * (3 * (transition + 2 * head + value) + 2 * value)) / 1e9


def _modules(layers: Layers, channels: int) -> nn.Sequential:
    modules: list[nn.Module] = []
    flat = 0
    for k, layer in enumerate(layers):
        if isinstance(layer, Conv):
            if layer.size == 2:
                modules.append(nn.ZeroPad2d((0, 1, 0, 1)))
            modules.append(nn.Conv2d(channels, layer.out, layer.size, padding=1 if layer.size == 3 else 0))
            channels = layer.out
        else:
            modules += [nn.Flatten(), nn.Linear(flat or channels * 16, layer.out)]  # 4 x 4 is left after the pooling
            flat = layer.out
        if k < len(layers) - 1:
            modules.append(nn.Tanh())
        if isinstance(layer, Conv) and layer.pool > 1:
            modules.append(nn.MaxPool2d(layer.pool))
    return nn.Sequential(*modules)


def plain_updates(rule: str, updates: int) -> Callable[[], None]:
    """The plain loop: `updates` updates a call."""
    agent, settings = ConvAgent(), default_settings("random").loss
    nets = {"encoder": _modules(agent.encoder, 1), "transition": _modules(agent.transition_net, 7)}
    nets |= {"reward": _modules(agent.reward_net, 7), "discount": _modules(agent.reward_net, 7), "value": _modules(agent.value_net, 3)}
    targets = {"encoder": _modules(agent.encoder, 1), "value": _modules(agent.value_net, 3)}
    params = [p for net in nets.values() for p in net.parameters()]
    walk = gather_walk(0, 2_000)
    images = draw_pixels(torch.from_numpy(walk.tiles).view(-1, 1, 8, 8))
    data = {name: torch.from_numpy(getattr(walk, name)).long() for name in ("state", "next_state", "action")}
    rewards = torch.from_numpy(walk.reward)
    live = 1 - torch.from_numpy(walk.terminated).float()
    optimisers = {
        term: torch.optim.RMSprop(params, lr=5e-4, alpha=0.9, eps=1e-4) for term in (FOLLOWED if rule == "sequential" else ("sum",))
    }

    def near(a: Tensor, b: Tensor) -> Tensor:
        return torch.exp(-5 * (a - b).flatten(1).square().sum(1).clamp(1e-6, 10).sqrt()).mean()

    def term(name: str, s: Tensor, s_next: Tensor, x: Tensor, x_next: Tensor | None, rows: Tensor) -> Tensor:
        action, alive = data["action"][rows], live[rows]
        if x_next is None and name in ("transition", "consecutive", "value"):
            x_next = nets["encoder"](s_next)
        if name in ("transition", "reward", "discount"):
            joined = torch.cat((F.one_hot(action, 4).float()[:, :, None, None].expand(-1, 4, 8, 8), x), 1)
        if name == "transition":
            return (alive * (x + nets["transition"](joined) - x_next).square().flatten(1).mean(1)).mean()
        if name == "reward":
            return (nets["reward"](joined)[:, 0] - rewards[rows]).square().mean()
        if name == "discount":
            return (nets["discount"](joined)[:, 0] - 0.9 * alive).square().mean()
        if name == "ball":
            return (x.square().amax(1) - 1).clamp(0, 100).mean()
        if name == "value":
            with torch.no_grad():
                best = nets["value"](x_next).argmax(1, keepdim=True)
                wanted = rewards[rows] + 0.9 * alive * targets["value"](targets["encoder"](s_next)).gather(1, best)[:, 0]
            return (nets["value"](x).gather(1, action[:, None])[:, 0] - wanted).square().mean() / 4
        return near(x, x.roll(1, 0) if name == "random_pairs" or x_next is None else x_next)

    def step(loss: Tensor, optimiser: torch.optim.RMSprop) -> None:
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(params, 1.0)
        optimiser.step()

    def work() -> None:
        for _ in range(updates):
            rows = torch.randint(0, len(walk), (BATCH,))
            s, s_next = images[data["state"][rows]], images[data["next_state"][rows]]
            if rule == "joint":
                x, x_next = nets["encoder"](s), nets["encoder"](s_next)
                step(torch.stack([term(name, s, s_next, x, x_next, rows) for name in FOLLOWED]).sum(), optimisers["sum"])
                continue
            for name in FOLLOWED:
                step(term(name, s, s_next, nets["encoder"](s), None, rows), optimisers[name])

    assert settings.double_q
    return work


def trainer_updates(rule: str, members: int, updates: int) -> Callable[[], None]:
    """The trainer: `updates` updates of `members` agents a call."""
    settings = replace(default_settings("random"), update_rule=rule, data_size=DATA)
    trainer = Trainer(base_plan(settings, members))

    def work() -> None:
        end = trainer.update + updates
        while trainer.update < end:
            trainer.take_updates(end - trainer.update)

    return work


def cores() -> int:
    """Cores of the machine."""
    return os.cpu_count() or 1
