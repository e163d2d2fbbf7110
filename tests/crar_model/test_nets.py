from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crar_model.agent.networks import Agent, DenseAgent
from crar_model.nets import _blas
from crar_model.nets._first import observed
from crar_model.nets.dense import _BatchedDense, _NativeDense, dense, fast_tanh
from crar_model.nets.rmsprop import RMSpropSettings, rmsprop_step, step_tensor_ops


def weights_of(block: str, members: int) -> list[torch.Tensor]:
    models = [DenseAgent().init(np.random.default_rng(k)) for k in range(members)]
    return [torch.stack([m[name] for m in models]) + 0.05 for name in models[0] if name.startswith(block)]


@pytest.mark.parametrize(("block", "inputs"), [("encoder", 64), ("transition", 6), ("value", 2)])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("node", [_NativeDense, _BatchedDense])
def test_nodes_equal_the_plain_network(block: str, inputs: int, shared: bool, node: type[torch.autograd.Function]) -> None:
    """Values and all gradients against the double-precision plain path."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(*(() if shared else (3,)), 7, inputs, generator=generator)
    weights = weights_of(block, 3)
    ours = [w.clone().requires_grad_() for w in (x, *weights)]
    exact = [w.double().clone().requires_grad_() for w in (x, *weights)]
    names = [f"{block}.{k // 2}.{'bias' if k % 2 else 'weight'}" for k in range(len(weights))]
    value, wanted = node.apply(*ours), dense(dict(zip(names, exact[1:], strict=True)), block, exact[0])
    assert torch.allclose(value.double(), wanted, atol=5e-6)
    direction = torch.randn(wanted.shape, generator=generator)
    found = torch.autograd.grad((value * direction).sum(), ours)
    true = torch.autograd.grad((wanted * direction).sum(), exact)
    for a, b in zip(found, true, strict=True):
        assert torch.allclose(a.double(), b, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("rows", [31, 32, 70])
def test_an_input_of_one_pattern_and_a_cell_takes_no_product_and_is_the_same(rows: int) -> None:
    rng = np.random.default_rng(rows)
    x = torch.from_numpy(rng.standard_normal(64)).float().repeat(rows, 1)
    x[torch.arange(rows), torch.from_numpy(rng.integers(0, 64, rows))] = 0.5
    x[3] = 0
    assert observed(x) is not None
    assert observed(torch.randn(rows, 64, generator=torch.Generator().manual_seed(0))) is None
    weights = [weight.requires_grad_() for weight in weights_of("encoder", 3)]
    exact = [weight.detach().double().requires_grad_() for weight in weights]
    names = [f"encoder.{k // 2}.{'bias' if k % 2 else 'weight'}" for k in range(len(weights))]
    found, wanted = (dense(dict(zip(names, given, strict=True)), "encoder", seen) for given, seen in ((weights, x), (exact, x.double())))
    assert torch.allclose(found.double(), wanted, atol=5e-6)
    with torch.no_grad():
        assert torch.equal(dense(dict(zip(names, weights, strict=True)), "encoder", x), found)
    direction = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    grads = torch.autograd.grad((found * direction).sum(), weights)
    true = torch.autograd.grad((wanted * direction).sum(), exact)
    for a, b in zip(grads, true, strict=True):
        assert torch.allclose(a.double(), b, rtol=1e-4, atol=5e-5)


@given(seed=st.integers(0, 10**6), rows=st.integers(1, 5), which=st.booleans())
def test_jacobian_of_a_dense_encoder_is_that_of_autograd(seed: int, rows: int, which: bool) -> None:
    rng = np.random.default_rng(seed)
    agent = DenseAgent(3, (3,), (6, 5, 4, 3), (6, 3), (6, 1), (3, 3)) if which else DenseAgent(2, (2,), (4, 2), (4, 2), (4, 1), (2, 2))
    encoder = {name: value.double() + 0.3 for name, value in agent.init(rng).items() if name.startswith("encoder.")}
    turned = dict(reversed(encoder.items()))  # columns come in the order of the names
    seen = torch.from_numpy(rng.standard_normal((rows, 1, 2, agent.encoder[0] // 2)))
    for params in (encoder, turned):
        found, wanted = agent.encoder_jacobian(params, seen), Agent.encoder_jacobian(agent, params, seen)
        assert found.shape == (rows, agent.abstract_size, sum(value.numel() for value in params.values()))
        assert torch.allclose(found, wanted, rtol=1e-12, atol=1e-14)


@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=20))
def test_kernel_tanh_is_tanh_and_odd(values: list[float]) -> None:
    given = np.array([values, [-v for v in values]], dtype=np.float32)
    h = np.array([[_blas.tanh_of(value) for value in row] for row in given], dtype=np.float32)
    assert np.array_equal(h[0], -h[1])
    exact = np.tanh(np.array(values, dtype=np.float64))
    assert np.all(np.abs(h[0] - exact) <= 1e-6 * np.maximum(np.abs(exact), 1e-30) + 1e-30)


@given(st.floats(-20, 20, width=32))
def test_fast_tanh(value: float) -> None:
    x = torch.tensor([value])
    assert abs(float(fast_tanh(x)) - float(torch.tanh(x.double()))) <= 2e-7
    assert torch.equal(fast_tanh(x.double()), torch.tanh(x.double()))


@pytest.mark.parametrize("settings", [RMSpropSettings(), RMSpropSettings(per_tensor=True), RMSpropSettings(clip_norm=0.0)])
def test_cpu_step_equals_tensor_operations(settings: RMSpropSettings) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, 20, 7), (4, 20), (4, 3, 20)]
    params, grads = ([torch.randn(*s, generator=generator) for s in shapes] for _ in range(2))
    squares = [torch.rand(*s, generator=generator) for s in shapes]
    grads[1][2, 0] = float("nan")
    results = []
    for step in (rmsprop_step, step_tensor_ops):
        p, v, alive = [x.clone() for x in params], [x.clone() for x in squares], torch.tensor([True, True, True, False])
        step(p, grads, v, torch.linspace(1e-3, 1e-2, 4), alive, settings)
        results.append((p, v, alive))
    for one, other in zip(results[0][:2], results[1][:2], strict=True):
        for a, b in zip(one, other, strict=True):
            assert torch.allclose(a, b, rtol=1e-5, atol=1e-6)
    for p, v, alive in results:
        assert alive.tolist() == [True, True, False, False]  # member 2's gradient is not finite; 3 was frozen before
        assert all(torch.equal(a[2:], b[2:]) for a, b in zip(p + v, params + squares, strict=True))
        assert not torch.equal(p[0][0], params[0][0])
