"""What comes to the door of the compiled networks in a wrong form: the right answer or an exception, never foreign memory.

The whole file runs once more with `MALLOC_PERTURB_`, which fills memory that is freed or fresh, so that a stray read shows.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from crar_model.agent.networks import ConvAgent, DenseAgent
from crar_model.core.params import Params, select
from crar_model.nets import Conv, RMSpropSettings, convolve, dense, encode_tiles, rmsprop_step
from crar_model.nets.tiles import PIECES

MEMBERS, ROWS = 3, 5
Change = Callable[[Tensor], Tensor]


def strided(value: Tensor) -> Tensor:
    """The same numbers with gaps between them."""
    wide = torch.stack((value, torch.full_like(value, 7)), dim=-1)
    return wide[..., 0]


def turned(value: Tensor) -> Tensor:
    """The same numbers, stored in the order of the transposed tensor."""
    return value.mT.contiguous().mT if value.dim() > 1 else value


def expanded(value: Tensor) -> Tensor:
    """The first member's numbers as all members', without a copy."""
    return value[0].expand_as(value)


def tiles_of(rows: int) -> Tensor:
    return torch.randint(0, 9, (rows, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))


def stacked(agent: DenseAgent | ConvAgent, block: str) -> Params:
    models = [select(agent.init(np.random.default_rng(k)), (block,)) for k in range(MEMBERS)]
    return {name: torch.stack([model[name] for model in models]) + 0.03 for name in models[0]}


HEAD = (Conv(4, 2), Conv(2, 3, pool=2))


def dense_case() -> tuple[Params, Tensor, Callable[[Params, Tensor], Tensor]]:
    x = torch.randn(MEMBERS, ROWS, 64, generator=torch.Generator().manual_seed(1))
    return stacked(DenseAgent(), "encoder"), x, lambda params, x: dense(params, "encoder", x)


def conv_case() -> tuple[Params, Tensor, Callable[[Params, Tensor], Tensor]]:
    generator = torch.Generator().manual_seed(3)
    shapes = {"head.0.weight": (4, 3, 2, 2), "head.0.bias": (4,), "head.1.weight": (2, 4, 3, 3), "head.1.bias": (2,)}
    params = {name: torch.randn(MEMBERS, *shape, generator=generator) / 3 for name, shape in shapes.items()}
    x = torch.randn(MEMBERS, ROWS, 3, 8, 8, generator=generator)
    return params, x, lambda params, x: convolve(params, "head", HEAD, x)


def tiles_case() -> tuple[Params, Tensor, Callable[[Params, Tensor], Tensor]]:
    return stacked(ConvAgent(), "encoder"), tiles_of(ROWS), lambda params, x: encode_tiles(params, "encoder", PIECES, x)


CASES = {"dense": dense_case, "conv": conv_case, "tiles": tiles_case}


def one_by_one(case: str, params: Params, x: Tensor) -> Tensor:
    """The plain path: one model at a time, in float64, of copies."""
    compute = CASES[case]()[2]
    rows = x if x.dim() == {"dense": 3, "conv": 5, "tiles": 5}[case] else x.expand(MEMBERS, *x.shape)
    models = [{name: value[k].clone().double().contiguous() for name, value in params.items()} for k in range(MEMBERS)]
    return torch.stack([compute(m, rows[k].clone() if case == "tiles" else rows[k].clone().double()) for k, m in enumerate(models)])


@pytest.mark.parametrize("change", [strided, turned, expanded])
@pytest.mark.parametrize("where", ["parameters", "first weight", "input", "gradient"])
@pytest.mark.parametrize("case", list(CASES))
def test_odd_forms_give_the_right_answer(case: str, where: str, change: Change) -> None:
    params, x, compute = CASES[case]()
    if where == "parameters":
        params = {name: change(value) for name, value in params.items()}
    elif where == "first weight":
        first = next(iter(params))
        params = params | {first: change(params[first])}
    elif where == "input":
        x = change(x)
    params = {name: value.requires_grad_() for name, value in params.items()}
    found = compute(params, x)
    wanted = one_by_one(case, params, x)
    assert torch.allclose(found.detach().double(), wanted.detach(), rtol=1e-4, atol=1e-5)
    direction = torch.randn(found.shape, generator=torch.Generator().manual_seed(4))
    if where == "gradient":
        direction = change(direction)
    grads = torch.autograd.grad(
        (found * direction).sum() if where != "gradient" else found, [*params.values()], None if where != "gradient" else direction
    )
    exact = torch.autograd.grad((wanted * direction.double()).sum(), [*params.values()])
    for one, other in zip(grads, exact, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-3 * float(other.abs().max()) + 1e-6)


@pytest.mark.parametrize("case", list(CASES))
def test_one_dynamics_on_many_embeddings(case: str) -> None:
    """`value.expand(m, *value.shape)`: the natural way to try m inputs under one network."""
    params, x, compute = CASES[case]()
    alone = {name: value[1] for name, value in params.items()}
    many = {name: value.expand(MEMBERS, *value.shape) for name, value in alone.items()}
    assert torch.allclose(compute(many, x), compute(alone, x), rtol=1e-4, atol=1e-5)


def narrow(value: Tensor) -> Tensor:
    return value[..., :-1]


def fewer(value: Tensor) -> Tensor:
    return value[:-1]


WRONG: list[tuple[str, str, Change, type[Exception]]] = [
    *((case, "input", narrow, ValueError) for case in ("dense", "tiles")),
    *((case, "input", fewer, ValueError) for case in ("dense", "conv")),
    *((case, "input", lambda v: v.reshape(-1), ValueError) for case in CASES),
    *((case, "input", torch.Tensor.double, TypeError) for case in CASES),
    ("conv", "input", lambda v: v[:, :, :2], ValueError),
    ("tiles", "input", lambda v: torch.where(v == 0, 200, v).to(torch.uint8), ValueError),
    *((case, "parameters", torch.Tensor.double, TypeError) for case in ("dense", "conv")),
    *((case, "first weight", torch.Tensor.double, TypeError) for case in CASES),
    *((case, "first weight", torch.Tensor.half, TypeError) for case in CASES),
    *((case, "first weight", fewer, ValueError) for case in CASES),
    *((case, "first weight", narrow, ValueError) for case in CASES),
    *((case, "first weight", lambda v: v[:, :-1], ValueError) for case in CASES),
    *((case, "first weight", lambda v: v.flatten(), ValueError) for case in CASES),
    *((case, "last bias", lambda v: torch.cat((v, v), -1), ValueError) for case in CASES),
]  # fmt: skip


@pytest.mark.parametrize(("case", "where", "change", "error"), WRONG)
def test_wrong_forms_are_refused(case: str, where: str, change: Change, error: type[Exception]) -> None:
    params, x, compute = CASES[case]()
    names = list(params)
    if where == "input":
        x = change(x)
    else:
        chosen = {"parameters": names, "first weight": names[:1], "last bias": names[-1:]}[where]
        params = params | {name: change(params[name]) for name in chosen}
    with pytest.raises(error, match=r"\w"):
        compute(params, x)


def optimiser_state() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(5)
    state = {name: torch.randn(MEMBERS, 6, 4, generator=generator) for name in ("params", "grads")}
    return state | {
        "squares": torch.rand(MEMBERS, 6, 4, generator=generator),
        "rate": torch.full((MEMBERS,), 1e-2),
        "alive": torch.ones(MEMBERS) > 0,
    }


def step(state: dict[str, Tensor]) -> None:
    rmsprop_step([state["params"]], [state["grads"]], [state["squares"]], state["rate"], state["alive"], RMSpropSettings())


@pytest.mark.parametrize(
    ("name", "change", "error"),
    [
        *((name, torch.Tensor.double, TypeError) for name in ("params", "grads", "squares", "alive")),
        *((name, fewer, ValueError) for name in ("params", "grads", "squares", "rate", "alive")),
        *((name, narrow, ValueError) for name in ("params", "grads", "squares")),
        *((name, strided, ValueError) for name in ("params", "squares", "alive")),
        *((name, expanded, ValueError) for name in ("params", "squares")),
        ("rate", torch.Tensor.half, TypeError),
        ("rate", lambda v: v[0], ValueError),
    ],
)
def test_the_optimiser_refuses(name: str, change: Change, error: type[Exception]) -> None:
    state = optimiser_state()
    before = state["params"].clone()
    with pytest.raises(error, match=r"\w"):
        step(state | {name: change(state[name])})
    assert torch.equal(state["params"], before)


@pytest.mark.parametrize("change", [strided, turned, expanded])
def test_the_optimiser_takes_gradients_of_any_form(change: Change) -> None:
    one, other = optimiser_state(), optimiser_state()
    one["grads"] = change(one["grads"])
    other["grads"] = change(other["grads"]).clone(memory_format=torch.contiguous_format)
    step(one)
    step(other)
    assert torch.equal(one["params"], other["params"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_the_optimiser_is_pytorchs(dtype: torch.dtype, clip: float) -> None:
    """`torch.optim.RMSprop`, one model at a time, with PyTorch's own clipping; ten steps of gradients that grow and shrink."""
    settings, rate = RMSpropSettings(decay=0.9, epsilon=1e-4, clip_norm=clip), torch.tensor([1e-3, 5e-3, 1e-2])
    generator = torch.Generator().manual_seed(6)
    shapes = [(MEMBERS, 4, 3), (MEMBERS, 4)]
    params = [torch.randn(*shape, generator=generator, dtype=dtype) for shape in shapes]
    models = [[torch.nn.Parameter(param[k].clone()) for param in params] for k in range(MEMBERS)]
    theirs = [torch.optim.RMSprop(model, lr=float(rate[k]), alpha=0.9, eps=1e-4) for k, model in enumerate(models)]
    squares, alive = [torch.zeros_like(param) for param in params], torch.ones(MEMBERS) > 0
    for turn in range(10):
        grads = [torch.randn(*shape, generator=generator, dtype=dtype) * 3.0 ** (turn % 4 - 2) for shape in shapes]
        rmsprop_step(params, grads, squares, rate, alive, settings)
        for k, (model, optimiser) in enumerate(zip(models, theirs, strict=True)):
            for parameter, grad in zip(model, grads, strict=True):
                parameter.grad = grad[k].clone()
            if clip:
                torch.nn.utils.clip_grad_norm_(model, clip)
            optimiser.step()
    for index, param in enumerate(params):
        assert torch.allclose(param, torch.stack([model[index].detach() for model in models]), rtol=1e-5, atol=2e-6)


@pytest.mark.skipif("MALLOC_PERTURB_" in os.environ, reason="runs this file")
def test_all_of_it_with_perturbed_memory() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", __file__]
    done = subprocess.run(
        command, env=os.environ | {"MALLOC_PERTURB_": "165"}, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
