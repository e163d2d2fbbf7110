"""Spectra against dense float64 Hessians, and how many products they take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor, nn

import landscape_tools as lt
from landscape_tools.curvature import DENSE_LIMIT
from landscape_tools.estimates import estimated_by_signs
from landscape_tools.krylov import lanczos

F = nn.functional


class Attentive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inward, self.head = nn.Linear(2, 8), nn.Linear(8, 2)
        self.layer = nn.TransformerEncoderLayer(8, 2, 8, dropout=0.1, activation="gelu", batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.layer(self.inward(x)).mean(1))
        return out


def network(kind: str) -> lt.ModuleLoss:
    torch.manual_seed(1)
    if kind == "attention":
        return lt.module_loss(Attentive().double(), F.cross_entropy, torch.randn(6, 3, 2).double(), torch.tensor([0, 1, 0, 1, 1, 0]))
    if kind == "normalised":
        normalised = nn.Sequential(nn.Linear(8, 24), nn.BatchNorm1d(24), nn.Tanh(), nn.Linear(24, 10), nn.Tanh(), nn.Linear(10, 3)).double()
        normalised(torch.randn(50, 8).double())
        return lt.module_loss(normalised, F.cross_entropy, torch.randn(40, 8).double(), torch.randint(3, (40,)))
    model = nn.Sequential(nn.Linear(8, 30), nn.Tanh(), nn.Linear(30, 10), nn.Tanh(), nn.Linear(10, 3)).double()
    return lt.module_loss(model, F.cross_entropy, torch.randn(40, 8).double(), torch.randint(3, (40,)))


def dense(loss: lt.ModuleLoss) -> np.ndarray[Any, Any]:
    def of(vector: Tensor) -> Tensor:
        return loss({**loss.point, **lt.unflatten(vector, lt.trainable(loss.point))})

    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        found: Tensor = torch.autograd.functional.hessian(of, lt.flatten(lt.trainable(loss.point)))
    return found.numpy()


@pytest.mark.parametrize("kind", ["dense layers", "attention", "normalised"])
def test_a_network_s_spectrum_is_that_of_its_dense_hessian(kind: str) -> None:
    loss = network(kind)
    matrix = dense(loss)
    n, size = len(matrix), float(np.abs(np.linalg.eigvalsh(matrix)).max())
    assert n > DENSE_LIMIT
    values = np.linalg.eigvalsh(matrix)
    found = lt.spectrum(loss, loss.point, count=3, probes=20)
    assert found.dimension == n
    np.testing.assert_allclose(found.lowest, values[:3], atol=1e-5 * size)
    np.testing.assert_allclose(found.highest, values[-3:], atol=1e-5 * size)
    for vectors, ends, residuals in (
        (found.lowest_vectors.numpy(), found.lowest, found.lowest_residuals),
        (found.highest_vectors.numpy(), found.highest, found.highest_residuals),
    ):
        np.testing.assert_allclose(np.linalg.norm(vectors @ matrix - ends[:, None] * vectors, axis=1), residuals, atol=1e-9 * size)
        assert residuals.max() <= 2e-6 * size
    assert found.trace_low <= np.trace(matrix) <= found.trace_high
    assert found.trace_high - found.trace_low < np.abs(values).sum()
    width = 0.05 * size
    at = np.linspace(values[0] - 5 * width, values[-1] + 5 * width, 400)
    density = found.density(at, width).mean(0)
    true = np.exp(-0.5 * ((at[:, None] - values) / width) ** 2).mean(1) / (width * np.sqrt(2 * np.pi))
    assert np.trapezoid(density, at) == pytest.approx(1, abs=1e-3)
    assert np.trapezoid(np.abs(density - true), at) < 0.1
    np.testing.assert_allclose(found.weights.sum(1), 1, rtol=1e-9)
    operator = lt.hessian_operator(loss, loss.point)
    rows = np.random.default_rng(0).standard_normal((n, 2))
    np.testing.assert_allclose(operator @ rows, matrix @ rows, atol=1e-9 * size)
    assert eigsh(operator, k=1, which="LA", return_eigenvectors=False)[0] == pytest.approx(values[-1], rel=1e-8)


def diagonal(values: np.ndarray[Any, Any]) -> tuple[lt.ScalarLoss, dict[str, Tensor]]:
    entries = torch.from_numpy(values)
    return lambda p: 0.5 * (entries * p["w"].square()).sum(), {"w": torch.ones(len(values), dtype=torch.float64)}


def test_one_krylov_space_takes_a_fifth_of_the_products() -> None:
    """On the spectrum of a network at a minimum, against two runs of ARPACK, of which the second shifts the lowest end to the highest."""
    values, calls = np.concatenate((np.geomspace(2e-3, 0.05, 590), np.linspace(0.1, 0.6, 10))), 0

    def counted(vector: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        nonlocal calls
        calls += 1
        return values * vector.reshape(-1)

    n, start = len(values), np.random.default_rng(0).standard_normal(len(values))
    options: dict[str, Any] = {"k": 1, "which": "LA", "v0": start, "tol": 1e-6, "ncv": 20}
    (high,), _ = eigsh(LinearOperator((n, n), matvec=counted, dtype=np.float64), **options)
    (low,), _ = eigsh(LinearOperator((n, n), matvec=lambda v: 2 * high * v - counted(v), dtype=np.float64), **options)
    found = lt.extreme_eigenvalues(lambda v: torch.from_numpy(values) * v, n)
    assert [found.lowest[0], found.highest[-1]] == pytest.approx([values[0], values[-1]], abs=1e-6)
    assert [found.lowest[0], found.highest[-1]] == pytest.approx([2 * high - low, high], abs=1e-6)
    assert max(found.lowest_residuals[0], found.highest_residuals[-1]) <= 1e-6 * high
    assert 5 * found.products <= calls


def test_copies_of_an_eigenvalue_are_found() -> None:
    values = np.concatenate((np.full(3, -2.0), np.zeros(590), np.full(2, 5.0), np.full(5, 7.0)))
    found = lt.spectrum(*diagonal(values), count=7)
    assert found.highest == pytest.approx([5, 5, 7, 7, 7, 7, 7], abs=1e-8)
    assert found.lowest == pytest.approx([-2, -2, -2, 0, 0, 0, 0], abs=1e-8)
    rows = found.highest_vectors
    assert torch.allclose(rows @ rows.T, torch.eye(7, dtype=torch.float64), atol=1e-8)
    alone = lt.spectrum(*diagonal(values), count=2, copies=False)
    assert alone.highest == pytest.approx([5, 7], abs=1e-8)


def test_the_trace_of_a_diagonal_is_exact_and_of_few_large_directions_nearly() -> None:
    generator = np.random.default_rng(0)
    found = lt.spectrum(*diagonal(generator.uniform(-1, 3, 600)), probes=4, steps=1)
    exact = float(np.random.default_rng(0).uniform(-1, 3, 600).sum())
    assert [found.trace_low, found.trace, found.trace_high] == pytest.approx([exact] * 3, rel=1e-12)  # signs see a diagonal as it is
    direction = torch.from_numpy(generator.standard_normal(600))
    spiked = lt.spectrum(lambda p: 50 * (direction @ p["w"]).square() + p["w"][0] ** 2, {"w": torch.zeros(600).double()}, probes=6, steps=1)
    trace = 100 * float(direction.square().sum()) + 2
    assert spiked.trace_low - 1e-6 * trace <= trace <= spiked.trace_high + 1e-6 * trace
    assert spiked.trace_high - spiked.trace_low < 1e-3 * trace  # without its eigenvector taken out, as wide as the trace
    both = lt.spectrum(  # two distinct eigenvalues, so that both ends have the same two vectors
        lambda p: 50 * (direction @ p["w"]).square(), {"w": torch.zeros(600).double()}, probes=6, steps=1, count=2, copies=False
    )  # fmt: skip
    assert both.trace == pytest.approx(trace - 2, rel=1e-3)
    small = lt.spectrum(*diagonal(np.arange(5.0)), count=2)
    assert (small.trace_low, small.trace, small.trace_high) == (10, 10, 10)
    assert small.highest.tolist() == [3, 4]


@pytest.mark.parametrize("rows", [8, 12, 500])
def test_a_space_that_starts_again_keeps_its_ends(rows: int) -> None:
    values = np.concatenate(([-4.0], np.linspace(-1, 2, 498), [9.0]))
    space = lanczos(
        lambda v: values * v, np.ones(500), steps=400, rows=rows, kept=2, enough=lambda _, residuals: bool(max(residuals[[0, -1]]) < 1e-10)
    )
    assert len(space.basis) <= rows
    assert [space.values[0], space.values[-1]] == pytest.approx([-4, 9], abs=1e-9)
    ends = space.vectors(np.array([0, -1]))
    assert np.abs(ends[[0, 1], [0, -1]]) == pytest.approx([1, 1], abs=1e-9)
    np.testing.assert_allclose(space.basis @ space.basis.T, np.eye(len(space.basis)), atol=1e-12)


def test_bad_counts_and_hessians_are_refused() -> None:
    loss, point = diagonal(np.ones(3))
    with pytest.raises(ValueError, match="each must be at least 1"):
        lt.spectrum(loss, point, probes=0)
    for size in (3, 600):
        with pytest.raises(ValueError, match="the Hessian is not finite here"):
            lt.spectrum(lambda p: p["w"].square().sum() * torch.nan, {"w": torch.zeros(size).double()})


@pytest.mark.parametrize("kind", ["dense layers", "attention", "normalised"])
def test_gauss_newton_products_are_those_of_the_dense_matrix(kind: str) -> None:
    loss = network(kind)
    like = lt.trainable(loss.point)

    def outputs(vector: Tensor) -> Tensor:
        return loss.outputs({**loss.point, **lt.unflatten(vector, like)})

    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        at = lt.flatten(like)
        jacobian: Tensor = torch.autograd.functional.jacobian(outputs, at).flatten(0, 1)
        z, targets = outputs(at).detach(), loss._targets()
        weights: Tensor = torch.autograd.functional.hessian(lambda v: F.cross_entropy(v.view(z.shape), targets), z.flatten())
    matrix = (jacobian.T @ weights @ jacobian).numpy()
    values = np.linalg.eigvalsh(matrix)
    operator = lt.hessian_operator(loss, loss.point, "gauss-newton")
    rows = np.random.default_rng(0).standard_normal((len(matrix), 5))
    np.testing.assert_allclose(operator @ rows, matrix @ rows, atol=1e-9 * values[-1])
    np.testing.assert_allclose(operator @ rows[:, 0], matrix @ rows[:, 0], atol=1e-9 * values[-1])
    found = lt.spectrum(loss, loss.point, matrix="gauss-newton", count=2, copies=False, probes=20, steps=10)
    assert found.matrix == "gauss-newton"
    np.testing.assert_allclose(found.highest, values[-2:], atol=1e-6 * values[-1])
    assert found.lowest[0] == pytest.approx(0, abs=1e-6 * values[-1])  # no negative curvature, whatever the Hessian has
    assert found.trace_low <= np.trace(matrix) <= found.trace_high


def test_blocks_have_their_traces_and_their_shares() -> None:
    loss = network("dense layers")
    matrix, found = dense(loss), lt.spectrum(loss, loss.point, count=2, probes=60, steps=1, copies=False)
    assert found.blocks == list(loss.point)
    ends, at, values = np.linalg.eigh(matrix)[1], 0, np.diag(matrix)
    size = np.abs(np.linalg.eigvalsh(matrix)).sum()
    missed = 0
    for k, value in enumerate(loss.point.values()):
        block = slice(at, at + value.numel())
        trace, low, high = found.block_traces[k]
        missed += not low <= values[block].sum() <= high
        assert trace == pytest.approx(values[block].sum(), abs=0.02 * size)
        assert found.highest_shares[:, k] == pytest.approx(np.square(ends[block, -2:]).sum(0), abs=1e-6)
        at = block.stop
    assert missed <= 1  # of six intervals of 95 %
    assert found.block_traces[:, 0].sum() == pytest.approx(found.trace, abs=0.02 * size)
    assert found.lowest_shares.sum(1) == pytest.approx(1)
    small = lt.spectrum(*diagonal(np.arange(5.0)))
    assert small.block_traces.tolist() == [[10, 10, 10]]


def test_intervals_hold_as_often_as_they_say() -> None:
    """On matrices with a few large directions and many small ones, of 300 seeds; both estimators are chosen now and then."""
    generator, held, n = np.random.default_rng(0), 0, 60
    for seed in range(300):
        basis = np.linalg.qr(generator.standard_normal((n, n)))[0]
        values = np.concatenate((generator.exponential(10, 3), generator.normal(0, 1, n - 3)))
        matrix = (basis * values) @ basis.T
        known = basis[:, :2].T
        said = estimated_by_signs(
            lambda rows, matrix=matrix: rows @ matrix, [slice(0, 7)], (known, known @ matrix), n, probes=8, steps=1, seed=seed, memory=2**20
        )  # fmt: skip
        held += int(said.traces[0, 1] <= np.trace(matrix) <= said.traces[0, 2])
        held += int(said.traces[1, 1] <= np.trace(matrix[:7, :7]) <= said.traces[1, 2])
    assert 0.92 <= held / 600 <= 0.98


def test_products_taken_together_are_those_taken_alone() -> None:
    loss = network("attention")
    vector, like = lt.flatten(loss.point), loss.point
    product = lt.hessian_product(lambda v: loss(lt.unflatten(v, like)), vector)
    rows = torch.randn(5, len(vector), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    together = product(rows)
    torch.testing.assert_close(together, torch.stack([product(row) for row in rows]), rtol=0, atol=1e-12)
    unmapped = lt.hessian_product(lambda v: Unmapped.apply(v).square().sum(), vector)  # no vmap goes through its backward pass
    torch.testing.assert_close(unmapped(rows), 2 * rows)


class Unmapped(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, vector: Tensor) -> Tensor:
        return vector.clone()

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        assert float(gradients[0].detach().abs().sum()) >= 0
        return gradients[0]


def test_curvature_of_data_in_batches_is_that_of_all_at_once() -> None:
    loss = network("normalised")
    inputs, targets = loss._inputs(), loss._targets()
    streamed = lt.data_loss(loss._model, [(inputs[:7], targets[:7]), (inputs[7:], targets[7:])], F.cross_entropy)
    rows = np.random.default_rng(0).standard_normal((3, len(lt.flatten(lt.trainable(loss.point)))))
    end = {name: value + 0.1 if value.is_floating_point() else value for name, value in loss.point.items()}  # other statistics, too
    found, whole = (lt.hessian_operator(of, end) @ rows.T for of in (streamed, loss))
    np.testing.assert_allclose(found, whole, atol=1e-12)
    with pytest.raises(ValueError, match="give module_loss one batch"):
        lt.hessian_operator(streamed, end, "gauss-newton")


def test_a_gauss_newton_matrix_needs_outputs() -> None:
    loss, point = diagonal(np.ones(3))
    with pytest.raises(ValueError, match="goes by the outputs"):
        lt.spectrum(loss, point, matrix="gauss-newton")
    word: Any = "fisher"
    with pytest.raises(ValueError, match="choose hessian or gauss-newton"):
        lt.hessian_operator(loss, point, word)
