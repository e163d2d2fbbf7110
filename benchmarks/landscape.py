"""Points per second on the plane encoder x dynamics of the simple maze, against `loss-landscapes` and the matrix-multiply rate.

    python -m benchmarks.landscape [--seconds 4] [--only agent|cnn] [--out benchmarks/results]

Baselines, measured in the same run and in turn with ours, all in float32:
(a) loss-landscapes' planar_interpolation as its users call it: one scalar, nn.Sequential networks, s and s' of all 124
    transitions encoded as they come;
(b) the same package given this project's loss on the 31 distinct states;
(c) float32 products of 1024 x 1024 matrices on all cores.
Ours gives all terms at every point.

A small convolutional network on 1,000 images is timed apart (`landscape_cnn`), where one point is a large pass of its own.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import os
import platform
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import loss_landscapes
import loss_landscapes.metrics
import torch
from torch import Tensor, nn

from benchmarks.plain_loop import best_rate, matmul_rate
from crar_model.agent.loss import FOLLOWED
from crar_model.agent.networks import DenseAgent
from crar_model.core.files import write_text
from crar_model.core.params import DYNAMICS, Params, select
from crar_model.samples import BASE, FAILED
from crar_reports.measure.second_opinion import PointModel
from crar_reports.measure.subject import load_subject
from landscape_tools import difference, module_loss, random_axes, sample_plane, sample_product, thread_safe

SIDE = 25
IMAGES = 1_000


class UserModel(nn.Module):
    """The agent as a user of loss-landscapes writes it."""

    def __init__(self, agent: DenseAgent, params: Params) -> None:
        super().__init__()
        nets = {"encoder": agent.encoder, "transition": agent.transition_net, "reward": agent.reward_net, "discount": agent.reward_net}
        for block, widths in (nets | {"value": agent.value_net}).items():
            layers: list[nn.Module] = []
            for number, (a, b) in enumerate(itertools.pairwise(widths)):
                linear = nn.Linear(a, b)
                linear.weight.data = params[f"{block}.{number}.weight"].clone()
                linear.bias.data = params[f"{block}.{number}.bias"].clone()
                layers += [linear, nn.Tanh()]
            setattr(self, block, nn.Sequential(*layers[:-1]))


def user_loss(batch: Any) -> Callable[[Any], float]:
    s, s_next = batch.observations[batch.state].flatten(1), batch.observations[batch.next_state].flatten(1)
    onehot = nn.functional.one_hot(batch.action, 4).to(s)

    def loss(wrapper: Any) -> float:
        net = wrapper.modules[0]
        with torch.no_grad():
            x, x_next = net.encoder(s), net.encoder(s_next)
            joined = torch.cat((x, onehot), 1)
            value = (x + net.transition(joined) - x_next).square().mean()
            value = value + (net.reward(joined).squeeze(1) - batch.reward).square().mean()
            value = value + (net.discount(joined).squeeze(1) - 0.9 * (1 - batch.terminated)).square().mean()
            value = value + (x.square().amax(1) - 1).clamp(0, 100).mean()
            value = value + torch.exp(-5 * torch.pdist(net.encoder(batch.observations.flatten(1))).square().clamp(1e-6, 10).sqrt()).mean()
            value = value + 0.2 * torch.exp(-5 * (x - x_next).square().sum(1).clamp(1e-6, 10).sqrt()).mean()
            taken = net.value(x).gather(1, batch.action.unsqueeze(1)).squeeze(1)
            return float(value + (taken - batch.value_target).square().mean() / 4)

    return loss


def point_gflop(agent: DenseAgent) -> float:
    """GFLOP of one point when every point is evaluated by itself: 31 states through encoder and value, 124 rows through the others."""

    def macs(widths: tuple[int, ...]) -> int:
        return sum(a * b for a, b in itertools.pairwise(widths))

    heads = macs(agent.transition_net) + 2 * macs(agent.reward_net) + macs(agent.value_net)
    return 2 * (31 * macs(agent.encoder) + 124 * (heads - macs(agent.value_net)) + 31 * macs(agent.value_net)) / 1e9


def convolutional(seconds: float, out: Path) -> None:
    """The plane of a small convolutional network: a plain loop, ours, and loss-landscapes, one thread each, in turn."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    layers = nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 16, 10)
    net = nn.Sequential(*layers).eval()
    images, labels = torch.randn(IMAGES, 1, 8, 8), torch.randint(10, (IMAGES,))
    loss = module_loss(net, nn.functional.cross_entropy, images, labels)
    first, second = random_axes(loss.point)
    axis = torch.linspace(0, 1, SIDE)
    ends = [copy.deepcopy(net) for _ in range(3)]
    with torch.no_grad():
        for end, direction in zip(ends[1:], (first, second), strict=True):
            for name, value in end.named_parameters():
                value.add_(direction[name])

    def plain_loop() -> list[float]:
        user, found = copy.deepcopy(net), []
        own = dict(user.named_parameters())
        with torch.no_grad():
            for y, x in itertools.product(axis, axis):
                for name, value in own.items():
                    value.copy_(loss.point[name] + x * first[name] + y * second[name])
                found.append(float(nn.functional.cross_entropy(user(images), labels)))
        return found

    def ours() -> Any:
        return sample_plane(loss, loss.point, first, second, axis, axis)

    def theirs() -> Any:
        metric = loss_landscapes.metrics.Loss(nn.functional.cross_entropy, images, labels)
        with torch.no_grad():
            return loss_landscapes.planar_interpolation(*ends, metric, SIDE, True)

    apart = float((torch.tensor(plain_loop()).view(SIDE, SIDE) - torch.from_numpy(ours()["loss"].transpose("y", "x").values)).abs().max())
    ways: dict[str, Callable[[], Any]] = {"plain loop": plain_loop, "ours": ours, "loss-landscapes": theirs}
    rates = {name: best_rate(lambda work=work: work() is None and None, seconds, SIDE * SIDE) for name, work in ways.items()}  # type: ignore[misc]
    machine = {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    results = {"machine": machine, "torch": torch.__version__, "side": SIDE, "images": IMAGES, "rates": rates, "apart": apart}
    write_text(out / "landscape_cnn.json", json.dumps(results, indent=1) + "\n")
    lines = [
        "# Landscape engine: a small convolutional network", "",
        "`python -m benchmarks.landscape --only cnn`", "",
        f"{SIDE} x {SIDE} plane, {IMAGES:,} images of 8x8, two convolutions and a linear layer, float32, one thread each, on a machine with other work. "
        "`vectorize=\"auto\"`, the default, tries a mapped pass and a loop and takes the faster. Landscaper was not installed, so it was not measured.", "",
        "| engine | points/s | over the loop |", "|---|---|---|",
        *(f"| {name} | {rate:,.0f} | {rate / rates['plain loop']:.2f} |" for name, rate in rates.items()), "",
        f"Largest difference between the loop's and our losses: {apart:.1e}.",
    ]  # fmt: skip
    write_text(out / "landscape_cnn.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--only", choices=("agent", "cnn"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    if given.only != "agent":
        convolutional(given.seconds, given.out)
    if given.only != "cnn":
        agent_planes(given.seconds, given.out)


def agent_planes(seconds: float, out: Path) -> None:
    """The plane of the simple maze's agent."""
    subject = load_subject(FAILED, BASE)
    agent = subject.agent
    batch = subject.batch.to("cpu", torch.float32)
    frozen = subject.loss.on(batch)
    failed = {name: value.float() for name, value in subject.failed.items()}
    encoder, dynamics = select(failed, ("encoder",)), select(failed, DYNAMICS)
    goal = {name: value.float() for name, value in subject.nearest.items()}
    other = {name: value + 0.1 * torch.randn(value.shape, generator=torch.Generator().manual_seed(0)) for name, value in dynamics.items()}
    first, second = difference(goal, encoder), difference(other, dynamics)
    one, two = failed | goal, failed | other

    @thread_safe
    def terms(params: Params, embedding: Tensor | None = None) -> dict[str, Tensor]:
        return frozen.terms(params, embedding, FOLLOWED)

    def product(side: int) -> Any:
        axis = torch.linspace(0, 1, side)
        return sample_product(
            lambda p: agent.encode(p, batch.observations), lambda x, p: terms({n: v.unsqueeze(1) for n, v in p.items()}, x),
            (encoder, first), (dynamics, second), axis, axis, vectorize="batched", threads=2,
        )  # fmt: skip

    def plane(side: int) -> Any:
        axis = torch.linspace(0, 1, side)
        return sample_plane(terms, failed, first, second, axis, axis, vectorize="batched", threads=2)

    def with_threads(threads: int, work: Callable[[], Any]) -> float:
        torch.set_num_threads(threads)
        return best_rate(lambda: work() and None, seconds, SIDE * SIDE)

    a_models = [UserModel(agent, p) for p in (failed, one, two)]
    b_models = [PointModel(p) for p in (failed, one, two)]
    a_loss = user_loss(batch)

    def b_loss(wrapper: Any) -> float:
        with torch.no_grad():
            return float(terms(wrapper.modules[0].point())["total"])

    rates = {
        "product": with_threads(1, lambda: product(SIDE).sizes),
        "plane": with_threads(1, lambda: plane(SIDE).sizes),
        "loss-landscapes (a)": max(
            with_threads(n, lambda: len(loss_landscapes.planar_interpolation(*a_models, a_loss, SIDE, True))) for n in (1, 2)
        ),
        "loss-landscapes (b)": max(
            with_threads(n, lambda: len(loss_landscapes.planar_interpolation(*b_models, b_loss, SIDE, True))) for n in (1, 2)
        ),
    }
    matmul = matmul_rate(seconds)
    torch.set_num_threads(1)
    growth = []
    for side in (25, 101, 401):
        start = time.perf_counter()
        product(side)
        took = time.perf_counter() - start
        growth.append(
            {
                "side": side,
                "seconds": took,
                "per_point": took / side**2,
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    gflop = point_gflop(agent)
    results = {"machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()}, "rates": rates, "matmul_gflops": matmul, "point_gflop": gflop, "growth": growth}  # fmt: skip
    write_text(out / "landscape.json", json.dumps(results, indent=1) + "\n")
    lines = [
        "# Landscape engine: points per second", "",
        "`python -m benchmarks.landscape`", "",
        f"25 x 25 plane of the simple maze's encoder x dynamics, float32, {os.cpu_count()} cores. Ours gives all seven terms that training follows and the total, `loss-landscapes` 3.0.6 one scalar.", "",
        "| engine | points/s | over (a) | over (b) | share of the matrix-multiply rate |", "|---|---|---|---|---|",
    ]  # fmt: skip
    names = {
        "product": "ours, encoder x dynamics as a product (`sample_product`)", "plane": "ours, every point by itself (`sample_plane`)",
        "loss-landscapes (a)": "(a) loss-landscapes as its users do: 124 transitions through the encoder",
        "loss-landscapes (b)": "(b) loss-landscapes on the 31 distinct states, with our loss",
    }  # fmt: skip
    for name, rate in rates.items():
        share = "-" if name == "product" else f"{100 * rate * gflop / matmul:.0f} %"
        a, b = rate / rates["loss-landscapes (a)"], rate / rates["loss-landscapes (b)"]
        lines.append(f"| {names[name]} | {rate:,.0f} | {a:.1f} | {b:.1f} | {share} |")
    lines += ["", f"Matrix-multiply rate in the same run: {matmul:.0f} GFLOP/s; a point by itself is {1e3 * gflop:.2f} MFLOP, so {matmul / gflop:,.0f} points/s is its ceiling; the product encodes 25 times, not 625 times, so that ceiling is not its own.", ""]  # fmt: skip
    lines += ["| product plane | seconds | microseconds per point | peak memory of the process, MiB |", "|---|---|---|---|"]
    lines += [f"| {g['side']} x {g['side']} | {g['seconds']:.2f} | {1e6 * g['per_point']:.0f} | {g['peak_mib']:.0f} |" for g in growth]
    write_text(out / "landscape.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
