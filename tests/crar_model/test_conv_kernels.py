"""The compiled convolutions: tiles of sums, planes in front of the maps, frozen weights, members and threads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from crar_model.agent.networks import ConvAgent
from crar_model.core.params import Params
from crar_model.core.settings import ARITHMETICS, TrainSettings
from crar_model.nets import (
    Conv,
    Layers,
    Linear,
    RMSpropSettings,
    convolve,
    get_threads,
    rmsprop_step,
    set_arithmetic,
    set_threads,
    tiles_lacking,
)  # fmt: skip
from crar_model.nets._micro import SLACK, panel
from crar_model.nets.layers import parameter_shapes
from crar_model.training.members import base_plan
from crar_model.training.trainer import Trainer

AGENT = ConvAgent()
SMALL: Layers = (Conv(5, 3), Conv(6, 2, pool=2), Conv(3, 1), Linear(7), Linear(2))
"""Sides of 6 and 3, channels that fill no vector."""
POOLED: Layers = (Conv(4, 3, pool=2), Linear(3))
CASES: dict[str, tuple[Layers, int, int, int]] = {
    "transition": (AGENT.transition_net, 3, 8, 4),
    "reward": (AGENT.reward_net, 3, 8, 4),
    "value": (AGENT.value_net, 3, 8, 0),
    "small": (SMALL, 2, 6, 3),
    "pooled first": (POOLED, 2, 6, 3),
    "maps out": ((Conv(9, 2), Conv(17, 3)), 1, 4, 1),
    "dense": ((Linear(19), Linear(3)), 2, 3, 2),
    "odd tiles": ((Conv(16, 1), Conv(48, 3), Conv(37, 2), Conv(2, 3)), 2, 7, 1),
    "long lines": ((Conv(32, 2), Conv(17, 3, pool=2), Linear(3)), 16, 18, 0),
}


@pytest.fixture(autouse=True)
def threads_as_they_were() -> Iterator[None]:
    yield
    set_threads(0)
    set_arithmetic("float32")


@pytest.fixture(params=ARITHMETICS)
def arithmetic(request: pytest.FixtureRequest) -> str:
    """Each in turn; a machine without tiles skips theirs."""
    name: str = request.param
    if name == "tiles" and (lacking := tiles_lacking()):
        pytest.skip(lacking)
    set_arithmetic(name)
    return name


def models(case: str, members: int, seed: int = 0) -> Params:
    layers, channels, side, planes = CASES[case]
    rng = torch.Generator().manual_seed(seed)
    shapes = parameter_shapes(layers, channels + planes, side)
    return {
        f"net.{k // 2}.{('weight', 'bias')[k % 2]}": torch.randn(members, *shape, generator=rng)
        / max(1.0, float(np.prod(shape[1:]))) ** 0.5
        for k, shape in enumerate(shapes)
    }


def inputs(case: str, members: int, rows: int, tries: int = 1, seed: int = 1) -> tuple[Tensor, Tensor | None]:
    """Maps, and planes of any values, some of them 0."""
    _, channels, side, planes = CASES[case]
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(members, rows, channels, side, side, generator=rng)
    values = torch.randn(members, rows, tries, planes, generator=rng).clamp_min(0)
    return x, values if planes else None


def concatenated(params: Params, case: str, x: Tensor, values: Tensor | None) -> Tensor:
    """The definition: one model after the other in float64, planes as maps in front."""
    layers, _, side, _ = CASES[case]
    found = []
    for k in range(len(x)):
        maps = x[k]
        if values is not None:
            constant = values[k, :, 0, :, None, None].expand(-1, -1, side, side)
            maps = torch.cat((constant, maps), 1)
        found.append(convolve({name: value[k] for name, value in params.items()}, "net", layers, maps))
    return torch.stack(found)


def compiled(params: Params, case: str, x: Tensor, values: Tensor | None) -> Tensor:
    found = convolve(params, "net", CASES[case][0], x, values)
    return found if values is None else found[:, :, 0]


@settings(max_examples=30)
@given(st.data())
def test_panels_are_products_with_any_strides(data: st.DataObject) -> None:
    rows, inner, outer = (data.draw(st.integers(1, top)) for top in (21, 9, 4))
    columns, add = 16 * data.draw(st.integers(1, 4)), data.draw(st.booleans())
    a_i, a_k, a_s = (data.draw(st.integers(1, 30)) for _ in range(3))
    rng = np.random.default_rng(rows * inner + columns)
    a = rng.normal(size=rows * a_i + inner * a_k + outer * a_s).astype(np.float32)
    b = rng.normal(size=(outer, inner, columns)).astype(np.float32)
    c = rng.normal(size=(rows + 1, columns)).astype(np.float32)
    wanted = np.zeros((rows + 1, columns)) + (c if add else 0)
    wanted[rows] = c[rows]  # nothing is written beyond
    for i in range(rows):
        for s in range(outer):
            for k in range(inner):
                wanted[i] += float(a[i * a_i + k * a_k + s * a_s]) * b[s, k].astype(np.float64)
    panel(
        a.ctypes.data, a_i, a_k, a_s, b.ctypes.data, columns, inner * columns, c.ctypes.data, columns, inner, outer, int(add), rows, columns
    )  # fmt: skip
    assert np.allclose(c, wanted, atol=2e-5)
    assert SLACK >= 16


@pytest.mark.parametrize("rows", [1, 5, 8, 33])
@pytest.mark.parametrize("case", list(CASES))
def test_gradients_are_autograds_of_the_plain_path(case: str, rows: int, arithmetic: str) -> None:
    members, loose = 2, 1 if arithmetic == "float32" else 8
    params = {name: value.requires_grad_() for name, value in models(case, members, rows).items()}
    x, values = inputs(case, members, rows)
    x.requires_grad_()
    exact = {name: value.detach().double().requires_grad_() for name, value in params.items()}
    x_exact = x.detach().double().requires_grad_()
    found, wanted = compiled(params, case, x, values), concatenated(exact, case, x_exact, None if values is None else values.double())
    assert torch.allclose(found.double(), wanted, atol=1e-5 * loose)
    direction = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(2))
    grads = torch.autograd.grad((found * direction).sum(), [x, *params.values()])
    rights = torch.autograd.grad((wanted * direction.double()).sum(), [x_exact, *exact.values()])
    for name, a, b in zip(("input", *params), grads, rights, strict=True):
        assert torch.allclose(a.double(), b, rtol=1e-4, atol=1e-5 * loose * float(b.abs().max()) + 1e-7), name


@pytest.mark.parametrize("case", ["transition", "reward", "small"])
def test_frozen_weights_and_frozen_inputs(case: str) -> None:
    """What is asked for alone is to the last bit what it is among all gradients."""
    params, (x, values) = models(case, 2), inputs(case, 2, 19)
    x.requires_grad_()
    trained = {name: value.clone().requires_grad_() for name, value in params.items()}
    both = torch.autograd.grad(compiled(trained, case, x, values).square().sum(), [x, *trained.values()])
    (to_input,) = torch.autograd.grad(compiled(params, case, x, values).square().sum(), [x])
    assert torch.equal(to_input, both[0])
    to_weights = torch.autograd.grad(compiled(trained, case, x.detach(), values).square().sum(), list(trained.values()))
    assert all(torch.equal(a, b) for a, b in zip(to_weights, both[1:], strict=True))


@pytest.mark.parametrize("case", list(CASES))
def test_neither_members_nor_threads_change_a_bit(case: str, arithmetic: str) -> None:
    def everything(params: Params, x: Tensor, values: Tensor | None) -> list[Tensor]:
        leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
        x = x.clone().requires_grad_()
        out = compiled(leaves, case, x, values)
        with torch.no_grad():
            unfollowed = compiled(leaves, case, x, values)
        return [out.detach(), unfollowed, *torch.autograd.grad(out.square().sum(), [x, *leaves.values()])]

    params, (x, values) = models(case, 3), inputs(case, 3, 37)
    set_threads(1)
    alone = everything(params, x, values)
    assert torch.equal(alone[0], alone[1])
    for threads in (2, 3, 5):
        set_threads(threads)
        assert get_threads() == threads
        assert all(torch.equal(a, b) for a, b in zip(everything(params, x, values), alone, strict=True)), threads
        for k in range(3):
            one = everything({n: v[k : k + 1] for n, v in params.items()}, x[k : k + 1], None if values is None else values[k : k + 1])
            assert all(torch.equal(a[0], b[k]) for a, b in zip(one, alone, strict=True)), (threads, k)


@pytest.mark.parametrize("case", ["transition", "reward", "small", "pooled first"])
def test_several_tries_are_each_alone(case: str) -> None:
    params, (x, values) = models(case, 2), inputs(case, 2, 7, tries=3)
    assert values is not None
    together = convolve(params, "net", CASES[case][0], x, values)
    for k in range(3):
        assert torch.equal(together[:, :, k], compiled(params, case, x, values[:, :, k : k + 1]))
    leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
    followed = convolve(leaves, "net", CASES[case][0], x, values)
    assert torch.equal(followed, together)
    exact = {name: value.double().requires_grad_() for name, value in params.items()}
    plain = convolve(exact, "net", CASES[case][0], x.double(), values.double())
    found = torch.autograd.grad(followed.square().sum(), list(leaves.values()))
    wanted = torch.autograd.grad(plain.square().sum(), list(exact.values()))
    for a, b in zip(found, wanted, strict=True):
        assert torch.allclose(a.double(), b, rtol=1e-4, atol=1e-5 * float(b.abs().max()))


def test_planes_that_are_followed_have_their_gradient() -> None:
    params, (x, values) = models("small", 2), inputs("small", 2, 4)
    assert values is not None
    values.requires_grad_()
    (found,) = torch.autograd.grad(compiled(params, "small", x, values).sum(), [values])
    exact = values.detach().double().requires_grad_()
    (wanted,) = torch.autograd.grad(concatenated({n: v.double() for n, v in params.items()}, "small", x.double(), exact).sum(), [exact])
    assert torch.allclose(found.double(), wanted, atol=1e-5)
    with pytest.raises(TypeError, match="planes of net"):
        convolve(params, "net", SMALL, x, values.detach().double())
    with pytest.raises(ValueError, match="planes of net"):
        convolve(params, "net", SMALL, x, values.detach()[:, :3])


def test_frozen_weights_that_change_are_seen() -> None:
    """They are packed once: whatever writes to them in place must be noticed."""
    params, (x, values) = models("small", 2), inputs("small", 2, 3)
    before = compiled(params, "small", x, values)
    assert torch.equal(compiled(params, "small", x, values), before)
    params["net.3.bias"] += 1
    moved = compiled(params, "small", x, values)
    assert not torch.equal(moved, before)
    names = list(params)
    grads, squares = ([torch.ones_like(params[name]) for name in names] for _ in range(2))
    rmsprop_step([params[n] for n in names], grads, squares, torch.full((2,), 0.1), torch.ones(2) > 0, RMSpropSettings())
    assert torch.equal(compiled(params, "small", x, values), compiled({n: v.clone() for n, v in params.items()}, "small", x, values))
    with torch.inference_mode():
        assert torch.equal(compiled({n: v.clone() for n, v in params.items()}, "small", x, values), compiled(params, "small", x, values))


def test_training_with_several_threads_is_the_same_to_the_last_bit(random_settings: TrainSettings) -> None:
    found = []
    for threads in (1, 3):
        set_threads(threads)
        torch.set_flush_denormal(True)  # the other threads follow the caller
        try:
            trainer = Trainer(base_plan(random_settings, 1))
            trainer.advance(3)
        finally:
            torch.set_flush_denormal(False)
        found.append(trainer.params)
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


def test_threads_flush_denormals_as_their_caller_does() -> None:
    from crar_model.nets._threads import share

    seen: list[bool] = []

    def look(first: int, last: int) -> None:
        seen.append(bool(torch.tensor([1e-39]).mul(1.0)[0] == 0))

    set_threads(3)
    for flush in (True, False):
        torch.set_flush_denormal(flush)
        share(3, look)
        assert seen == [flush] * 3
        seen.clear()

    def fails(first: int, last: int) -> None:
        if first:
            raise ValueError("here")

    with pytest.raises(ValueError, match="here"):
        share(3, fails)
    with pytest.raises(ValueError, match="threads"):
        set_threads(-1)
