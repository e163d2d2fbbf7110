"""Tools within `no_grad` and `inference_mode`, and losses, models and points of kinds that they do not take: right, or one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import landscape_tools as lt
from tests.landscape_tools.cases import case_of

F = nn.functional
X = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.randn(6, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
FEW: dict[str, Any] = {"iterations": 3, "samples": 2}


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_derivatives_are_on_whatever_the_caller_turned_off(context: Callable[[], Any]) -> None:
    case = case_of("mlp")
    a, b, _ = case.points
    square = {"p": torch.tensor([0.0, 0.0], dtype=torch.float64)}
    with context():
        assert lt.hessian_product(lambda v: v.square().sum(), torch.ones(2))(torch.ones(2)).tolist() == [2, 2]
        assert lt.certify(lambda p: p["p"].square().sum(), square).verdict == lt.MINIMUM
        assert lt.certify(lambda p: p["p"][0] ** 2 - p["p"][1] ** 2, square, escape_iterations=2).verdict == lt.SADDLE
        bands = [lt.elastic_band(case.loss, a, b, images=3, zooms=0, **FEW).heights for _ in range(2)]
        curve = lt.bezier_path(case.loss, a, b, points=4, **FEW).heights
        found = lt.converge(case.loss, a, iterations=2)
    assert torch.equal(bands[0], lt.elastic_band(case.loss, a, b, images=3, zooms=0, **FEW).heights)
    assert torch.equal(curve, lt.bezier_path(case.loss, a, b, points=4, **FEW).heights)
    assert found.loss == pytest.approx(case.value(found.point), rel=1e-12)


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (lambda w: {"loss": w.sum()}, "as dict"),
        (lambda w: float(w.sum()), "as float"),
        (lambda w: None, "as NoneType"),
        (lambda w: w, "of shape \\(2,\\)"),
        (lambda w: w.sum().reshape(1), "of shape \\(1,\\)"),
        (lambda w: torch.complex(w.sum(), w.sum()), "complex"),
    ],
)
def test_what_is_no_scalar_is_said_before_the_work(value: Callable[[Tensor], Any], seen: str) -> None:
    for tool in (lt.converge, lt.certify, lt.smallest_subgradient):
        with pytest.raises(ValueError, match=f"the loss came back {seen}"):
            tool(lambda p: value(p["p"]), {"p": torch.ones(2, dtype=torch.float64)})


@pytest.mark.parametrize(
    ("criterion", "seen"),
    [
        (lambda o, y: {"loss": F.mse_loss(o, y)}, "as dict"),
        (lambda o, y: (F.mse_loss(o, y), 1), "as tuple"),
        (lambda o, y: F.mse_loss(o, y, reduction="none"), "of shape \\(6, 2\\)"),
    ],
)
def test_a_criterion_of_no_scalar_is_said_when_the_loss_is_made(criterion: Any, seen: str) -> None:
    with pytest.raises(ValueError, match=f"the criterion came back {seen}"):
        lt.module_loss(nn.Linear(3, 2).double(), criterion, X, Y)


class Wide(nn.Module):
    """Single precision at the end, as under mixed precision."""

    def __init__(self) -> None:
        super().__init__()
        self.inward, self.outward = nn.Linear(3, 4).double(), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.outward(torch.tanh(self.inward(x)).float())


def test_networks_of_two_dtypes() -> None:
    loss = lt.module_loss(Wide(), F.mse_loss, X, Y.float())
    for form in (loss, loss.composite()):
        found = lt.converge(form, loss.point, iterations=5)
        assert found.loss < found.start
        assert {name: value.dtype for name, value in found.point.items()} == {name: value.dtype for name, value in loss.point.items()}
        assert lt.certify(form, loss.point).verdict in (lt.NOT_CONVERGED, lt.UNDECIDED)
    goal = loss.outputs(loss.point)[:1] + 0.01
    assert lt.lift(lambda p: loss.outputs(p)[0], loss.point, goal).reached == 1


def test_a_point_of_another_dtype_is_named() -> None:
    loss = lt.module_loss(nn.Linear(3, 2), F.mse_loss, X.float(), Y.float())
    with pytest.raises(ValueError, match=r"weight is torch\.float64 in the point and torch\.float32 in the module"):
        lt.converge(loss, {name: value.double() for name, value in loss.point.items()})


def test_a_model_of_several_outputs_has_no_composite() -> None:
    class Two(nn.Linear):
        def forward(self, x: Tensor) -> Any:
            return {"y": super().forward(x)}

    loss = lt.module_loss(Two(3, 2).double(), lambda o, y: F.mse_loss(o["y"], y), X, Y)
    assert lt.converge(loss, loss.point, iterations=3).loss < float(loss(loss.point))
    with pytest.raises(ValueError, match="the model returns dict, and a composite goes by one tensor"):
        loss.composite()


def test_units_that_are_not_finite_are_not_aligned() -> None:
    case = case_of("mlp")
    lost = {**case.points[0], "0.bias": case.points[0]["0.bias"] * torch.nan}
    for pair in ((lost, case.points[1]), (case.points[1], lost)):
        with pytest.raises(ValueError, match=r"0\.bias is not finite"):
            lt.align(*pair, [case.kind.chain])


def test_what_a_network_hides_is_found_with_the_batch_s_statistics_too() -> None:
    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inward, self.outward = nn.Linear(3, 3).double(), nn.Linear(3, 2).double()
            self.kept = [self.inward.weight]

        def forward(self, x: Tensor) -> Tensor:
            return self.outward(torch.tanh(F.linear(x, self.kept[0], self.inward.bias)))

    first, second = Hidden(), Hidden()
    for buffers in ("interpolate", "batch"):
        loss = lt.module_loss(first, F.mse_loss, X, Y, buffers=buffers)
        with pytest.raises(ValueError, match="more than its parameters and buffers"):
            lt.sample_line(loss, lt.state_of(first), lt.state_of(second), points=3)


class Penalty(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, o: Tensor, y: Tensor) -> Tensor:
        return F.mse_loss(o, y) + sum(p.square().sum() for p in self.model.parameters())


def test_a_criterion_of_the_models_own_parameters_is_refused() -> None:
    # They would be those of the first model at the far end of a line, too.
    model, teacher = nn.Linear(3, 2).double(), nn.Linear(3, 2).double()
    for criterion in (Penalty(model), lambda o, y: F.mse_loss(o, y) + sum(p.square().sum() for p in model.parameters())):
        with pytest.raises(ValueError, match="the criterion uses bias, weight of the model itself"):
            lt.module_loss(model, criterion, X, Y)
    loss = lt.module_loss(model, lambda o, y: F.mse_loss(o, y) + F.mse_loss(o, teacher(X)) + Penalty(teacher)(o, y), X, Y)
    for form in (loss, loss.composite()):
        assert lt.converge(form, loss.point, iterations=3).loss < float(loss(loss.point).detach())
        assert lt.certify(form, loss.point).verdict == lt.NOT_CONVERGED


def test_results_share_nothing_with_points() -> None:
    case = case_of("cnn, batch norm by its statistics")
    a, b, _ = ({name: value.clone() for name, value in point.items()} for point in case.points)
    kept = {name: value.clone() for name, value in a.items()}
    found = lt.converge(case.loss, a, iterations=1).point, lt.align(a, b, [case.kind.chain], function=case.loss.outputs)
    for point in found:
        for value in point.values():
            value.zero_()
    assert all(torch.equal(value, kept[name]) for name, value in a.items())


def test_sizes_that_do_not_fit_are_said() -> None:
    case = case_of("mlp")
    a, b, _ = case.points
    guess = {name: torch.ones(4, 2, dtype=torch.float64) for name in a}
    outputs = case.loss.outputs(a)
    for call, line in {
        lambda: lt.sample_line(case.loss, a, b, points=3, chunk=-1): "chunk is -1",
        lambda: lt.elastic_band(case.loss, a, b, images=3, samples=0): "0 samples per piece",
        lambda: lt.bezier_path(case.loss, a, b, points=3, samples=0): "0 samples per piece",
        lambda: lt.elastic_band(case.loss, a, b, guess=guess, images=3): "0.weight of the guess",
        lambda: lt.lift(case.loss.outputs, a, outputs.reshape(1, -1)): "they must be",
        lambda: lt.lift(lambda p: case.loss.outputs(p)[0], a, torch.ones(1, 3, dtype=torch.float64)): "they must be",
        lambda: lt.lift(lambda p: case.loss.outputs(p)[0], a, outputs[0]): "they must be",
    }.items():
        with pytest.raises(ValueError, match=line) as error:
            call()
        assert "\n" not in str(error.value)


def test_a_store_of_another_loss_of_tiny_values_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = case_of("mlp")
    a, b, _ = case.points
    monkeypatch.setattr("landscape_tools.stores.SAVE_EVERY", -1.0)

    class Stopped(Exception):
        pass

    def stop(finished: int, total: int) -> None:
        if finished >= 4:
            raise Stopped

    options: dict[str, Any] = {"points": 11, "chunk": 2, "vectorize": "loop"}
    with pytest.raises(Stopped):
        lt.sample_line(lambda p: 1e-14 * case.loss(p), a, b, store=tmp_path / "s", progress=stop, **options)

    def other(point: dict[str, Tensor]) -> Tensor:
        return 3e-14 * case.loss(point)

    fresh = lt.sample_line(other, a, b, **options)
    assert lt.sample_line(other, a, b, store=tmp_path / "s", **options).identical(fresh)
