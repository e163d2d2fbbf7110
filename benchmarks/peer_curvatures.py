"""Products, ends of the spectrum and traces by each tool of `benchmarks.peers`, as :mod:`benchmarks.peer_planes` has its work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmarks.peer_models import made

RELATIVE, PROBES = 1e-4, 8
"""Tolerance of eigenvalues, and probes of a trace, for every tool that takes them."""
PRODUCTS = 4
"""Products of one matrix and a vector each; the making of the matrix is timed with them."""
F = nn.functional
Work = Callable[[], Any]


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
        model.zero_grad()
        (found,), _ = peer.hessian(model, nn.CrossEntropyLoss(), data=(x, y), cuda=False).eigenvalues(maxIter=500, tol=RELATIVE, top_n=1)
        return [float("nan"), found, 0]

    return work


def pyhessian_trace(name: str, side: int) -> Work:
    """PyHessian's trace by random signs."""
    import pyhessian as peer

    model, x, y = made(name)

    def work() -> Any:
        model.zero_grad()
        found = peer.hessian(model, nn.CrossEntropyLoss(), data=(x, y), cuda=False).trace(maxIter=PROBES, tol=0.0)
        return [float(sum(found) / len(found))]

    return work


def _vectors(name: str) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    count = sum(value.numel() for value in made(name)[0].parameters())
    return [torch.randn(count, generator=generator) for _ in range(PRODUCTS)]


def ours_products(name: str, side: int) -> Work:
    """Products one after the other, as an iteration asks for them."""
    import landscape_tools as lt

    model, x, y = made(name)
    vectors = [vector.numpy() for vector in _vectors(name)]

    def work() -> Any:
        operator = lt.hessian_operator(lt.module_loss(model, F.cross_entropy, x, y), lt.state_of(model))
        return [float(vector @ (operator @ vector)) for vector in vectors]

    return work


def eigenthings_products(name: str, side: int) -> Work:
    """hessian-eigenthings' products."""
    vectors = _vectors(name)

    def work() -> Any:
        operator = _eigenthings(name)
        return [float(vector @ operator.matvec(vector)) for vector in vectors]

    return work


def pyhessian_products(name: str, side: int) -> Work:
    """PyHessian's products."""
    import pyhessian as peer
    from pyhessian.utils import group_product, hessian_vector_product

    model, x, y = made(name)
    like = list(model.parameters())
    vectors = [
        [part.view_as(own) for part, own in zip(vector.split([own.numel() for own in like]), like, strict=True)]
        for vector in _vectors(name)
    ]

    def work() -> Any:
        model.zero_grad()  # it adds its gradients to those that are there, and takes the sum for the gradient
        found = peer.hessian(model, nn.CrossEntropyLoss(), data=(x, y), cuda=False)
        return [float(group_product(v, hessian_vector_product(found.gradsH, found.params, v))) for v in vectors]

    return work


def _curvlinops(name: str) -> Any:
    import curvlinops as peer

    model, x, y = made(name)
    return peer.HessianLinearOperator(model, nn.CrossEntropyLoss(), list(model.parameters()), [(x, y)], check_deterministic=False)


def curvlinops_products(name: str, side: int) -> Work:
    """curvlinops' products."""
    vectors = _vectors(name)

    def work() -> Any:
        operator = _curvlinops(name)
        return [float(vector @ (operator @ vector)) for vector in vectors]

    return work


def curvlinops_ends(name: str, side: int) -> Work:
    """SciPy's Lanczos on curvlinops' operator."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    operator, taken = _curvlinops(name).to_scipy(), []

    def work() -> Any:
        taken.clear()
        counted = LinearOperator(operator.shape, matvec=lambda v: taken.append(1) or operator @ v, dtype=operator.dtype)
        low, high = eigsh(counted, 2, which="BE", tol=RELATIVE, return_eigenvectors=False)
        return [float(low), float(high), len(taken)]

    return work


def curvlinops_trace(name: str, side: int) -> Work:
    """curvlinops' trace by random signs."""
    import curvlinops as peer

    operator = _curvlinops(name)

    def work() -> Any:
        torch.manual_seed(0)
        return [float(peer.hutchinson_trace(operator, PROBES))]

    return work
