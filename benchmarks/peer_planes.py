"""Planes and connections by each tool of `benchmarks.peers`: a function of a model's name and a plane's side that gives the work to be timed."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.peer_models import drawn, made, pair

F = torch.nn.functional
Work = Callable[[], Any]


def plain(name: str, side: int) -> Work:
    """The loop that one writes by hand."""
    model, x, y = made(name)
    first, second = drawn(model)
    own, axis = dict(model.named_parameters()), torch.linspace(-1, 1, side).tolist()

    def work() -> Any:
        out = []
        with torch.no_grad():
            origin = {n: value.clone() for n, value in own.items()}
            for b in axis:
                base = {n: torch.add(value, second[n], alpha=b) for n, value in origin.items()}
                for a in axis:
                    for n, value in own.items():
                        torch.add(base[n], first[n], alpha=a, out=value.data)
                    out.append(float(F.cross_entropy(model(x), y)))
            for n, value in own.items():
                value.copy_(origin[n])
        return out

    return work


def ours(name: str, side: int) -> Work:
    """`sample_plane` as its users call it, the making of the loss included."""
    import landscape_tools as lt

    model, x, y = made(name)
    first, second = drawn(model)
    axis = torch.linspace(-1, 1, side)

    def work() -> Any:
        loss = lt.module_loss(model, F.cross_entropy, x, y)
        return lt.sample_plane(loss, loss.point, first, second, axis, axis)["loss"].values.ravel().tolist()

    return work


def loss_landscapes(name: str, side: int) -> Work:
    """loss-landscapes' planar interpolation, which takes three models and draws no point at 0."""
    import loss_landscapes as peer
    import loss_landscapes.metrics

    model, x, y = made(name)
    start, *others = [made(name)[0] for _ in range(3)]
    for other, direction in zip(others, drawn(model), strict=True):
        for n, value in other.named_parameters():
            value.data.add_(direction[n])
    metric = loss_landscapes.metrics.Loss(F.cross_entropy, x, y)
    return lambda: peer.planar_interpolation(start, *others, metric, side, deepcopy_model=False)


def landscaper(name: str, side: int) -> Work:
    """Landscaper's planes, in directions that it scales itself; its bar and its words are kept from the screen."""
    from landscaper.compute import compute_loss_landscape

    model, x, y = made(name)
    directions = [list(direction.values()) for direction in drawn(model)]

    def work() -> Any:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return compute_loss_landscape(
                model, (x, y), directions, lambda m, d: float(F.cross_entropy(m(d[0]), d[1])), side, 0.1, 2, "cpu"
            )

    return work


def loss_landscape_3d(name: str, side: int) -> Work:
    """loss-landscape-3d's grid."""
    import loss_landscape_3d as peer

    model, x, y = made(name)
    directions, axis = drawn(model), torch.linspace(-1, 1, side).tolist()
    state = {n: value.clone() for n, value in model.state_dict().items()}
    calculator = peer.LossLandscapeCalculator(model, [(x, y)], F.cross_entropy)

    def work() -> Any:
        return calculator.calculate(axis, axis, *directions, state).T.ravel().tolist()

    return work


def plain_connection(name: str, side: int) -> Work:
    """A quadratic Bezier curve by hand, stochastic (Garipov et al. 2018), looked at as often as ours."""
    model, x, y = made(name)
    start, end = pair(name)

    def work() -> Any:
        bend = {n: (0.5 * (start[n] + end[n])).requires_grad_() for n in start}
        optimiser, generator = torch.optim.Adam(bend.values(), lr=0.01), torch.Generator().manual_seed(0)

        def loss_at(t: float, rows: Any) -> torch.Tensor:
            point = {n: (1 - t) ** 2 * start[n] + 2 * t * (1 - t) * bend[n] + t**2 * end[n] for n in start}
            return F.cross_entropy(torch.func.functional_call(model, point, (x[rows],)), y[rows])

        barrier = float("inf")
        for step in range(1000):
            optimiser.zero_grad()
            loss_at(float(torch.rand(1, generator=generator)), torch.randint(len(x), (128,), generator=generator)).backward()
            optimiser.step()
            if (step + 1) % 100 == 0:
                with torch.no_grad():
                    heights = [float(loss_at(k / 56, slice(None))) for k in range(57)]
                barrier = min(barrier, max(heights) - heights[0])
                if barrier <= 1e-3:
                    break
        return [barrier, step + 1]

    return work


def ours_connection(name: str, side: int) -> Work:
    """`connect` as it comes."""
    import landscape_tools as lt

    model, x, y = made(name)
    start, end = pair(name)

    def work() -> Any:
        loss = lt.module_loss(model, F.cross_entropy, x, y)
        found = lt.connect(loss, start, end)
        return [found.barrier, found.iterations]

    return work
