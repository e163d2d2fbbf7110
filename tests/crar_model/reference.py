"""The slow, obviously right reference: one model, one sample at a time, exact tanh, float64."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from crar_model.agent.batch import Batch
from crar_model.agent.loss import TERM_BLOCKS
from crar_model.core.params import Params, block_of
from crar_model.core.settings import LossSettings


def network(params: Params, block: str, x: Tensor) -> Tensor:
    """One dense network on one sample (in,) -> (out,)."""
    layers = sum(name.startswith(block) and name.endswith("weight") for name in params)
    for k in range(layers):
        x = params[f"{block}.{k}.weight"] @ x + params[f"{block}.{k}.bias"]
        if k < layers - 1:
            x = torch.tanh(x)
    return x


def encode(params: Params, batch: Batch, row: int) -> Tensor:
    return network(params, "encoder", batch.observations[row].reshape(-1))


def with_action(x: Tensor, action: int) -> Tensor:
    return torch.cat((x, torch.nn.functional.one_hot(torch.tensor(action), 4).to(x.dtype)))


def pairwise(a: Tensor, b: Tensor) -> Tensor:
    squared = torch.clamp(((a - b) ** 2).sum(), 1e-6, 10.0)
    return torch.exp(-5.0 * torch.sqrt(squared))


def term(name: str, params: Params, batch: Batch, target: Params, beta_free: LossSettings) -> Tensor:
    """One loss term, sample by sample."""
    size = len(batch.state)
    values = []
    for i in range(size):
        s, s_next, action = int(batch.state[i]), int(batch.next_state[i]), int(batch.action[i])
        x, x_next, end = encode(params, batch, s), encode(params, batch, s_next), float(batch.terminated[i])
        if name == "transition":
            expected = x + network(params, "transition", with_action(x, action))
            values.append((1 - end) * ((expected - x_next) ** 2).mean())
        elif name == "reward":
            values.append((network(params, "reward", with_action(x, action))[0] - batch.reward[i]) ** 2)
        elif name == "discount":
            values.append((network(params, "discount", with_action(x, action))[0] - (1 - end) * 0.9) ** 2)
        elif name == "ball":
            values.append(torch.clamp((x**2).max() - 1, 0, 100))
        elif name == "random_pairs":
            values.append(pairwise(x, encode(params, batch, int(batch.state[i - 1]))))
        elif name == "consecutive":
            values.append(pairwise(x, x_next))
        elif name == "value":
            best = network(target, "value", encode(target, batch, s_next)).max().detach()
            wanted = batch.reward[i] + (1 - end) * 0.9 * best
            values.append((network(params, "value", x)[action] - wanted) ** 2 / (4 if beta_free.value_over_actions else 1))
    return sum(values, torch.zeros((), dtype=torch.float64)) / size


def rmsprop(params: Params, grads: dict[str, Tensor], squares: dict[str, Tensor], rate: float) -> None:
    """p -= lr g / (sqrt(v) + eps) after clipping the norm over all gradients to 1."""
    norm = math.sqrt(sum(float((g**2).sum()) for g in grads.values()))
    scale = 1.0 if norm <= 1.0 else 1.0 / norm
    for name, g in grads.items():
        squares[name] = 0.9 * squares.get(name, torch.zeros_like(g)) + 0.1 * (g * scale) ** 2
        params[name] = (params[name] - rate * (g * scale) / (squares[name].sqrt() + 1e-4)).detach()


def gradients(names: list[str], params: Params, batch: Batch, target: Params, settings: LossSettings) -> dict[str, Tensor]:
    """Gradient of the weighted sum of terms with respect to all parameters that they touch."""
    weights = settings.weights()
    single = len(names) == 1
    leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
    loss = sum(
        ((1.0 if single else weights[n]) * term(n, leaves, batch, target, settings) for n in names), torch.zeros((), dtype=torch.float64)
    )
    touched = [p for p in leaves if any(block_of(p) in TERM_BLOCKS[n] for n in names)]
    found = torch.autograd.grad(loss, [leaves[p] for p in touched])
    return dict(zip(touched, found, strict=True))


ORDER = ("transition", "reward", "discount", "ball", "random_pairs", "consecutive", "value")


def joint_update(
    params: Params, batch: Batch, target: Params, state: dict[str, dict[str, Tensor]], rate: float, settings: LossSettings
) -> None:
    grads = gradients(list(ORDER), params, batch, target, settings)
    rmsprop(params, grads, state.setdefault("joint", {}), rate)


def sequential_update(
    params: Params, batch: Batch, target: Params, state: dict[str, dict[str, Tensor]], rate: float, settings: LossSettings
) -> None:
    for name in ORDER:
        grads = gradients([name], params, batch, target, settings)
        slot = "reward and discount" if name in ("reward", "discount") else name
        rmsprop(params, grads, state.setdefault(slot, {}), rate * (0.2 if name == "consecutive" else 1.0))
