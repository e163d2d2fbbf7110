"""Products by the processor's tile unit: their precision, what no bfloat16 can hold, and what a run says of them.

`test_conv_kernels` holds the gradients of whole networks, and that neither threads nor members change a bit, in either arithmetic.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from crar_model.agent.loss import FOLLOWED, Loss
from crar_model.agent.networks import ConvAgent
from crar_model.core.errors import UserError
from crar_model.core.settings import TrainSettings
from crar_model.mazes.walks import gather_walk
from crar_model.models.checkpoints import load_checkpoint
from crar_model.nets import Conv, convolve, get_arithmetic, set_arithmetic, tiles_lacking
from crar_model.tasks import default_settings
from crar_model.tasks.batches import walk_batch
from crar_model.training import arithmetic
from crar_model.training.arithmetic import SAID
from crar_model.training.members import base_plan
from crar_model.training.runner import run_plan

ROOT = Path(__file__).parents[2]
AGENT = ConvAgent()
LACKING = tiles_lacking()
tiles = pytest.mark.skipif(bool(LACKING), reason=LACKING or "none")


@pytest.fixture(autouse=True)
def arithmetic_as_it_was() -> Iterator[None]:
    yield
    set_arithmetic("float32")


def passes(x: Tensor, weight: Tensor, name: str) -> list[Tensor]:
    """A convolution without bias of x (rows, in, side, side): what comes out, and the gradients of half the sum of its squares."""
    set_arithmetic(name)
    x, weight = x.unsqueeze(0).clone().requires_grad_(), weight.unsqueeze(0).clone().requires_grad_()
    params = {"net.0.weight": weight, "net.0.bias": torch.zeros(1, weight.shape[1], dtype=x.dtype)}
    out = convolve(params, "net", (Conv(weight.shape[1], weight.shape[-1]),), x)
    return [out.detach(), *torch.autograd.grad(out.square().sum() / 2, [x, weight])]


def drawn(seed: int, rows: int, channels: int, size: int, out: int, side: int) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(rows, channels, side, side, generator=rng), torch.randn(out, channels, size, size, generator=rng)


@tiles
@settings(max_examples=25)
@given(
    seed=st.integers(0, 10**6), rows=st.integers(1, 9), blocks=st.integers(1, 4), size=st.sampled_from([2, 3, 4]), out=st.integers(1, 70),
    side=st.integers(2, 19), scale=st.sampled_from([1e-9, 1.0, 1e9]),
)  # fmt: skip
def test_any_shape_is_within_its_precision(seed: int, rows: int, blocks: int, size: int, out: int, side: int, scale: float) -> None:
    x, weight = drawn(seed, rows, 16 * blocks, size, out, side)
    x = x * scale
    found = passes(x, weight, "tiles")
    for name, ours, exact in zip(("out", "input", "weight"), found, passes(x.double(), weight.double(), "float32"), strict=True):
        assert torch.allclose(ours.double(), exact, rtol=0, atol=2e-5 * float(exact.abs().max())), name


@tiles
def test_tiles_are_used_and_a_row_is_the_same_whoever_shares_the_call() -> None:
    x, weight = drawn(0, 11, 32, 3, 64, 8)
    ours, plain = passes(x, weight, "tiles"), passes(x, weight, "float32")
    for a, b in zip(ours, plain, strict=True):
        assert not torch.equal(a, b)
    for rows in (1, 3, 8):
        part = passes(x[:rows], weight, "tiles")
        assert torch.equal(part[0], ours[0][:, :rows])
        assert torch.equal(part[1], ours[1][:, :rows])


@tiles
@pytest.mark.parametrize("value", [float("inf"), -float("inf"), float("nan"), 3.4e38, 2.0**60])
@pytest.mark.parametrize("where", ["x", "weight"])
def test_what_tiles_cannot_hold_is_computed_in_float32(value: float, where: str) -> None:
    """Split into halves an infinity would leave infinity minus infinity."""
    x, weight = drawn(1, 3, 16, 3, 20, 5)
    (x if where == "x" else weight)[0, 3, 1, 1] = value
    for ours, plain in zip(passes(x, weight, "tiles"), passes(x, weight, "float32"), strict=True):
        assert torch.equal(ours.isfinite(), plain.isfinite())
    assert torch.equal(passes(x, weight, "tiles")[0].nan_to_num(), passes(x, weight, "float32")[0].nan_to_num())


@tiles
def test_denormals_are_zeros_to_the_tile_unit() -> None:
    x, weight = drawn(2, 2, 16, 2, 16, 4)
    assert float(passes(x, weight * 1e-40, "float32")[0].abs().max()) > 0  # this thread keeps them
    assert not passes(x, weight * 1e-40, "tiles")[0].any()
    below = weight * 2.0**-115  # their low parts are denormal: what is left is bfloat16
    exact = passes(x.double(), below.double(), "float32")[0]
    error = float((passes(x, below, "tiles")[0].double() - exact).abs().max() / exact.abs().max())
    assert 2e-5 < error < 1e-2


@tiles
@pytest.mark.parametrize("term", FOLLOWED)
def test_gradient_of_every_term_is_that_of_autograd(term: str) -> None:
    batch = walk_batch(gather_walk(3, 400), np.arange(0, 400, 36), torch.float64)
    start = {name: value.unsqueeze(0) for name, value in AGENT.init(np.random.default_rng(4)).items()}
    loss, found = Loss(AGENT, dataclasses.replace(default_settings("random").loss, double_q=False)), []
    for dtype, name in ((torch.float64, "float32"), (torch.float32, "tiles")):
        set_arithmetic(name)
        leaves = {key: value.to(dtype).requires_grad_() for key, value in start.items()}
        value = loss(leaves, batch.to("cpu", dtype), (term,))[term].sum()
        grads = torch.autograd.grad(value, list(leaves.values()), allow_unused=True)
        found.append({key: grad.double() for key, grad in zip(leaves, grads, strict=True) if grad is not None})
    exact, ours = found
    assert exact.keys() == ours.keys()
    largest = max(float(grad.abs().max()) for grad in exact.values())
    for key, grad in exact.items():
        assert torch.allclose(ours[key], grad, rtol=2e-3, atol=1e-4 * largest), key


@tiles
def test_a_run_with_tiles_says_so_and_is_gone_on_with_by_tiles_alone(random_settings: TrainSettings, tmp_path: Path) -> None:
    plan = base_plan(dataclasses.replace(random_settings, arithmetic="tiles"), 1)
    said: list[str] = []
    run_plan(plan, tmp_path / "whole", tensorboard=False, notice=said.append)
    assert SAID in said
    assert get_arithmetic() == "float32"
    assert load_checkpoint(tmp_path / "whole" / "member-0.pt").settings.arithmetic == "tiles"
    half = dataclasses.replace(plan, settings=dataclasses.replace(plan.settings, updates=3))
    run_plan(half, tmp_path / "half", tensorboard=False)
    with pytest.raises(UserError, match="differs in arithmetic"):
        run_plan(base_plan(random_settings, 1), tmp_path / "half", resume=True, tensorboard=False)
    run_plan(plan, tmp_path / "half", resume=True, tensorboard=False)
    whole, resumed = (load_checkpoint(tmp_path / name / "member-0.pt").parameters for name in ("whole", "half"))
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_tiles_are_refused_where_they_are_of_no_use(
    random_settings: TrainSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wanted = dataclasses.replace(random_settings, arithmetic="tiles")
    monkeypatch.setattr(arithmetic, "tiles_lacking", lambda: "there are none")
    with pytest.raises(UserError, match="there are none; use --arithmetic float32"):
        run_plan(base_plan(wanted, 1), tmp_path / "a", tensorboard=False)
    with pytest.raises(UserError, match="the networks of this training are dense"):
        run_plan(base_plan(TrainSettings(arithmetic="tiles", updates=3), 1), tmp_path / "b", tensorboard=False)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="no arithmetic 'double'"):
        set_arithmetic("double")
    with pytest.raises(UserError, match="leave one of them out"):
        arithmetic.check_arithmetic(base_plan(dataclasses.replace(wanted, device="meta"), 1))


def test_a_process_without_tiles_reads_nothing_of_them() -> None:
    code = "import sys, crar_model.nets as nets; nets.set_arithmetic('float32'); print('crar_model.nets._amx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
