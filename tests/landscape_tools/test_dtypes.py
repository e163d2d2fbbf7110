"""Half precision, complex and 0-dimensional parameters: right, or one line before the work begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import landscape_tools as lt

HALVES = [torch.float16, torch.bfloat16]
AXIS = [-0.7, 0.0, 0.3]


def small(dtype: torch.dtype) -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).to(dtype)
    return model, torch.randn(9, 4).to(dtype), torch.randint(3, (9,))


def by_hand(model: nn.Module, x: Tensor, y: Tensor, point: dict[str, Tensor]) -> float:
    with torch.no_grad():
        for name, value in model.named_parameters():
            assert value.dtype == point[name].dtype
            value.copy_(point[name])
        return nn.functional.cross_entropy(model(x), y).item()


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("vectorize", ["vmap", "loop"])
def test_pictures_of_half_precision_are_of_the_nearest_points(dtype: torch.dtype, vectorize: Any) -> None:
    """Each point is computed in float32 and rounded once; its loss is the network's own."""
    model, x, y = small(dtype)
    loss = lt.module_loss(model, nn.functional.cross_entropy, x, y)
    origin = loss.point
    axes = lt.random_axes(origin, biases="norm")
    assert all(value.dtype == torch.float32 for axis in axes for value in axis.values())
    end = lt.moved(origin, axes, (1.0, 1.0))
    assert all(value.dtype == dtype for value in end.values())
    own = 2e-3 if dtype == torch.float16 else 1.6e-2  # digits of the loss itself: other sums in a mapped pass

    plane = lt.sample_plane(loss, origin, *axes, AXIS, AXIS, vectorize=vectorize)["loss"]
    for i, b in enumerate(AXIS):
        for j, a in enumerate(AXIS):
            point = {n: (v.float() + a * axes[0][n] + b * axes[1][n]).to(dtype) for n, v in origin.items()}
            assert float(plane[i, j]) == pytest.approx(by_hand(model, x, y, point), rel=own)
    line = lt.sample_line(loss, origin, end, points=5, vectorize=vectorize)["loss"].values
    ends = [by_hand(model, x, y, origin), by_hand(model, x, y, end)]
    assert [line[0], line[-1]] == pytest.approx(ends, rel=own)
    middle = {n: (0.5 * v.float() + 0.5 * end[n].float()).to(dtype) for n, v in origin.items()}
    assert line[2] == pytest.approx(by_hand(model, x, y, middle), rel=own)
    shots = [origin, end, lt.moved(origin, axes, (1.0, -0.5))]
    trajectory = lt.sample_trajectory(loss, shots, resolution=2, vectorize=vectorize)
    assert trajectory["loss_true"].values == pytest.approx([by_hand(model, x, y, shot) for shot in shots], rel=own)
    assert trajectory["loss_projected"].values == pytest.approx(trajectory["loss_true"].values, rel=2 * own)  # all lie in the plane
    for path in (
        lt.elastic_band(loss, origin, end, images=3, iterations=1, vectorize=vectorize),
        lt.bezier_path(loss, origin, end, points=3, iterations=1, vectorize=vectorize),
    ):
        assert [float(path.losses[0]), float(path.losses[-1])] == pytest.approx(ends, rel=own)
        assert all(value.dtype == dtype for value in path.points.values())


def test_norms_of_half_precision_do_not_overflow() -> None:
    point = {"w": torch.full((2, 3), 300.0, dtype=torch.float16)}  # 300 ** 2 is infinite in float16
    assert lt.norm(point) == pytest.approx(300 * 6**0.5)
    assert all(lt.norm(axis) == pytest.approx(300 * 6**0.5, rel=1e-5) for axis in lt.random_axes(point))
    step = lt.difference({"w": torch.tensor([1.0], dtype=torch.bfloat16)}, {"w": torch.tensor([2**-12], dtype=torch.bfloat16)})
    assert float(step["w"]) == 1 - 2**-12


TOOLS: dict[str, Callable[[lt.ModuleLoss], object]] = {
    "converge": lambda loss: lt.converge(loss, loss.point),
    "certify": lambda loss: lt.certify(loss, loss.point),
    "smallest_subgradient": lambda loss: lt.smallest_subgradient(loss, loss.point),
    "hessian_product": lambda loss: lt.hessian_product(lambda v: loss(lt.unflatten(v, loss.point)), lt.flatten(loss.point)),
    "lift": lambda loss: lt.lift(lambda p: loss.outputs(p).flatten()[:2], loss.point, torch.zeros(1, 2)),
}


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("tool", TOOLS)
def test_second_derivatives_refuse_half_precision(dtype: torch.dtype, tool: str) -> None:
    model, x, y = small(dtype)
    with pytest.raises(ValueError, match=rf"{tool} needs float32 or float64, and the point is {str(dtype)[6:]}; give") as caught:
        TOOLS[tool](lt.module_loss(model, nn.functional.cross_entropy, x, y))
    assert "\n" not in str(caught.value)
    if tool in ("converge", "certify"):
        with pytest.raises(ValueError, match=f"{tool} needs float32"):
            getattr(lt, tool)(lt.module_loss(model, nn.functional.cross_entropy, x, y).composite(), dict(model.named_parameters()))


# Complex parameters are pairs of real ones.

CIRCLE = {"w": torch.tensor([3 + 4j, 1 - 2j], dtype=torch.complex128), "b": torch.tensor(1.5, dtype=torch.float64)}
AWAY = {"w": torch.tensor([0 - 1j, 2 + 1j], dtype=torch.complex128), "b": torch.tensor(-1.0, dtype=torch.float64)}


def wave(point: dict[str, Tensor]) -> Tensor:
    return torch.view_as_real(point["w"] - (1 + 2j)).square().sum() + (point["w"].imag[0] * point["b"]).square() + point["b"].square()


def as_pairs(point: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.view_as_real(value) if value.is_complex() else value for name, value in point.items()}


def paired(point: dict[str, Tensor]) -> Tensor:
    return wave({"w": torch.complex(point["w"][..., 0], point["w"][..., 1]), "b": point["b"]})


def test_complex_points_are_real_ones_of_twice_the_entries() -> None:
    assert lt.norm({"w": torch.tensor([3 + 4j])}) == 5
    assert lt.dot(CIRCLE, AWAY) == pytest.approx(lt.dot(as_pairs(CIRCLE), as_pairs(AWAY)))
    assert torch.equal(lt.flatten(CIRCLE), lt.flatten(as_pairs(CIRCLE)))
    again = lt.unflatten(lt.flatten(CIRCLE), CIRCLE)
    assert all(torch.equal(again[name], value) and again[name].dtype == value.dtype for name, value in CIRCLE.items())
    rows = {name: torch.stack([CIRCLE[name], AWAY[name]]) for name in CIRCLE}
    assert torch.equal(lt.rows_of(rows), torch.stack([lt.flatten(CIRCLE), lt.flatten(AWAY)]))
    odd = {"b": torch.tensor([1.0]), "w": torch.tensor([1 + 2j, 3 - 1j], dtype=torch.complex64).conj()}  # an odd offset, conjugated
    assert torch.equal(lt.unflatten(lt.flatten(odd), odd)["w"], odd["w"])
    drawn = lt.gaussian_direction({"w": torch.zeros(4000, dtype=torch.complex64)}, torch.Generator().manual_seed(0))["w"]
    assert float(drawn.real.std()) == pytest.approx(1, abs=0.05)
    assert float(drawn.imag.std()) == pytest.approx(1, abs=0.05)
    matrix = {"w": torch.randn(3, 4, dtype=torch.complex128, generator=torch.Generator().manual_seed(1))}
    (axis, _) = lt.random_axes(matrix)
    assert torch.allclose(axis["w"].abs().square().sum(1), matrix["w"].abs().square().sum(1))


@pytest.mark.parametrize("vectorize", ["auto", "vmap", "loop"])
def test_tools_on_complex_points_find_what_they_find_on_pairs(vectorize: Any) -> None:
    how: Any = {"vectorize": vectorize}
    pairs, far = as_pairs(CIRCLE), as_pairs(AWAY)
    line, right = lt.sample_line(wave, CIRCLE, AWAY, points=5, **how)["loss"], lt.sample_line(paired, pairs, far, points=5, **how)["loss"]
    assert np.allclose(line, right, rtol=1e-12)
    assert float(line[0]) == pytest.approx(float(wave(CIRCLE)))
    third = {name: value * (0.5 if name == "b" else 1j) for name, value in CIRCLE.items()}
    first, second, where = lt.three_point_axes(CIRCLE, AWAY, third)
    assert where == pytest.approx(lt.three_point_axes(pairs, far, as_pairs(third))[2])
    corner = lt.sample_plane(wave, CIRCLE, first, second, [0.0, 1.0, where[0]], [0.0, where[1]], **how)["loss"]
    assert [float(corner[0, 0]), float(corner[0, 1]), float(corner[1, 2])] == pytest.approx([float(wave(p)) for p in (CIRCLE, AWAY, third)])
    shots = lt.sample_trajectory(wave, [CIRCLE, AWAY, third], resolution=2, **how)
    assert shots["loss_projected"].values == pytest.approx(shots["loss_true"].values)
    for tool, steps in ((lt.elastic_band, {"images": 4, "iterations": 5}), (lt.bezier_path, {"points": 4, "iterations": 5})):
        path: Any = tool(wave, CIRCLE, AWAY, **steps, **how)
        same: Any = tool(paired, pairs, far, **steps, **how)
        assert torch.allclose(path.losses, same.losses, rtol=1e-10)
        assert path.points["w"].dtype == torch.complex128


def test_descents_and_certificates_of_complex_points() -> None:
    found, right = lt.converge(wave, CIRCLE), lt.converge(paired, as_pairs(CIRCLE))
    assert found.loss == pytest.approx(right.loss, abs=1e-10)
    assert found.point["w"].dtype == torch.complex128
    assert lt.certify(wave, found.point).verdict == lt.certify(paired, right.point).verdict == "minimum"
    product = lt.hessian_product(lambda v: wave(lt.unflatten(v, CIRCLE)), lt.flatten(CIRCLE))
    again = lt.hessian_product(lambda v: paired(lt.unflatten(v, as_pairs(CIRCLE))), lt.flatten(CIRCLE))
    assert torch.allclose(product(torch.ones(5, dtype=torch.float64)), again(torch.ones(5, dtype=torch.float64)))
    lifted = lt.lift(lambda p: torch.view_as_real(p["w"])[0], CIRCLE, torch.tensor([[2.0, 4.0]], dtype=torch.float64))
    assert lifted.reached == 1
    assert complex(lifted.points["w"][-1, 0]) == pytest.approx(2 + 4j)


def test_complex_outputs_of_a_module() -> None:
    torch.manual_seed(0)
    model, x = nn.Linear(3, 2, dtype=torch.complex128), torch.randn(4, 3, dtype=torch.complex128)
    loss = lt.module_loss(model, lambda o, t: (o - t).abs().square().mean(), x, torch.ones(4, 2, dtype=torch.complex128))
    composite = loss.composite()
    assert float(composite.loss(loss.point)) == pytest.approx(float(loss(loss.point)))
    assert lt.converge(composite, loss.point).loss < 1e-2 * float(loss(loss.point)) + 1
    assert all(torch.equal(value, loss.point[name]) for name, value in lt.align(loss.point, loss.point, []).items())


# A parameter without an axis, such as a scale.


class Scaled(nn.Module):
    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.body, self.logit_scale = nn.Linear(3, 2), nn.Parameter(torch.full(shape, 0.3))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x) * self.logit_scale.exp()
        return out


def test_a_parameter_without_an_axis_is_like_one_of_one_entry() -> None:
    losses = []
    for shape in ((), (1,)):
        torch.manual_seed(0)
        losses.append(lt.module_loss(Scaled(shape).double(), nn.functional.mse_loss, torch.ones(5, 3).double(), torch.zeros(5, 2).double()))
    found: list[list[Any]] = []
    for loss in losses:
        ends = loss.point, {name: value + 0.1 for name, value in loss.point.items()}
        bent = {name: value + 0.1 * (name == "logit_scale") for name, value in loss.point.items()}
        rows = lt.rows_of({name: torch.stack([value, ends[1][name]]) for name, value in loss.point.items()})
        assert rows.shape == (2, 9)
        flat = lt.flatten(loss.point)
        product = lt.hessian_product(lambda v, loss=loss: loss(lt.unflatten(v, loss.point)), flat)
        found.append([
            lt.sample_line(loss, *ends, points=3)["loss"].values,
            lt.sample_plane(loss, loss.point, *lt.random_axes(loss.point, biases="norm"), [-1.0, 1.0], [0.0, 1.0])["loss"].values,
            lt.sample_trajectory(loss, [*ends, bent], resolution=2)["loss"].values,
            lt.elastic_band(loss, *ends, images=3, iterations=2).heights,
            lt.bezier_path(loss, *ends, points=3, iterations=2).heights,
            lt.converge(loss, loss.point, iterations=3).loss,
            lt.converge(loss.composite(), loss.point, iterations=3).loss,
            lt.certify(loss, loss.point, stationary=1e3).verdict,
            lt.smallest_subgradient(loss, loss.point).norm,
            product(torch.ones_like(flat)),
            lt.lift(lambda p, loss=loss: loss.outputs(p).flatten()[:1], loss.point, loss.outputs(loss.point).flatten()[:1].detach() + 0.1).length,
        ])  # fmt: skip
    for one, two in zip(*found, strict=True):
        if isinstance(one, str):
            assert one == two
        else:
            assert np.allclose(one, two, rtol=1e-9, atol=1e-12)
