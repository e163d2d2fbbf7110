"""What each tool does in `benchmarks.peers`: a function of a model's name and a plane's side that gives the work to be timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmarks.peer_models import drawn, made

OURS, PLAIN = "landscape_tools", "plain loop"
RELATIVE, PROBES = 1e-4, 8
"""Tolerance of eigenvalues, and probes of a trace, for every tool that takes them."""
F = nn.functional
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


def ours_ends(name: str, side: int) -> Work:
    """Both ends of the Hessian's spectrum from one Krylov space, with residuals, and the products that it took."""
    import landscape_tools as lt

    model, x, y = made(name)

    def work() -> Any:
        loss = lt.module_loss(model, F.cross_entropy, x, y)
        vector = lt.flatten(lt.trainable(loss.point))
        product = lt.hessian_product(lambda v: loss({**loss.point, **lt.unflatten(v, lt.trainable(loss.point))}), vector)
        found = lt.extreme_eigenvalues(lambda v: product(v.to(vector)), len(vector), tolerance=RELATIVE)
        return [float(found.lowest[0]), float(found.highest[-1]), found.products]

    return work


def ours_trace(name: str, side: int) -> Work:
    """The trace by random signs alone, as the peers take it."""
    import numpy as np

    import landscape_tools as lt

    model, x, y = made(name)

    def work() -> Any:
        loss = lt.module_loss(model, F.cross_entropy, x, y)
        operator = lt.hessian_operator(loss, loss.point)
        signs = np.random.default_rng(0).choice((-1.0, 1.0), (operator.shape[0], PROBES))
        return [float((signs * (operator @ signs)).sum(0).mean())]

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


def _eigenthings(name: str) -> Any:
    import hessian_eigenthings as peer

    model, x, y = made(name)
    return peer.HessianOperator(model, [(x, y)], peer.supervised_loss(F.cross_entropy))


def eigenthings_ends(name: str, side: int) -> Work:
    """hessian-eigenthings' Lanczos, once for each end."""
    import hessian_eigenthings as peer

    operator = _eigenthings(name)

    def work() -> Any:
        both = [peer.lanczos(operator, k=1, which=which, tol=RELATIVE, seed=0) for which in ("SA", "LA")]
        return [*(float(found.eigenvalues[0]) for found in both), sum(found.iterations for found in both)]

    return work


def eigenthings_trace(name: str, side: int) -> Work:
    """hessian-eigenthings' trace by random signs."""
    import hessian_eigenthings as peer

    operator = _eigenthings(name)
    return lambda: [float(peer.hutchinson(operator, num_samples=PROBES, seed=0).estimate)]


def pyhessian_ends(name: str, side: int) -> Work:
    """PyHessian's power iteration, which finds the eigenvalue of largest size only."""
    import pyhessian as peer

    model, x, y = made(name)

    def work() -> Any:
        (found,), _ = peer.hessian(model, nn.CrossEntropyLoss(), data=(x, y), cuda=False).eigenvalues(maxIter=500, tol=RELATIVE, top_n=1)
        return [float("nan"), found, 0]

    return work


def pyhessian_trace(name: str, side: int) -> Work:
    """PyHessian's trace by random signs."""
    import pyhessian as peer

    model, x, y = made(name)

    def work() -> Any:
        found = peer.hessian(model, nn.CrossEntropyLoss(), data=(x, y), cuda=False).trace(maxIter=PROBES, tol=0.0)
        return [float(sum(found) / len(found))]

    return work


TASKS: dict[str, dict[str, Callable[[str, int], Work]]] = {
    "plane": {PLAIN: plain, OURS: ours, "loss-landscapes": loss_landscapes},
    "ends": {OURS: ours_ends, "hessian-eigenthings": eigenthings_ends, "pyhessian": pyhessian_ends},
    "trace": {OURS: ours_trace, "hessian-eigenthings": eigenthings_trace, "pyhessian": pyhessian_trace},
}
"""Task -> tool -> the work; the first tool of a task is what the others are measured by."""
