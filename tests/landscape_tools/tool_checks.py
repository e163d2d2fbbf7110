"""Every tool held against a case computed by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import landscape_tools as lt
from tests.landscape_tools.cases import Case, mixed

TOO_FEW = "needs float32 or float64, and the point is bfloat16"
FEW: dict[str, Any] = {"iterations": 3, "samples": 2}


def at(points: Mapping[str, Tensor], k: int) -> dict[str, Tensor]:
    return {name: value[k] for name, value in points.items()}


def line(case: Case) -> None:
    a, b, _ = case.points
    found = lt.sample_line(case.loss, a, b, points=5)
    by_hand = [case.value(mixed(a, [(t, b)]) if t <= 0.5 else mixed(b, [(1 - t, a)])) for t in (0, 0.25, 0.5, 0.75, 1)]
    np.testing.assert_allclose(found["loss"], by_hand, rtol=case.near)
    assert [found["loss"][0], found["loss"][-1]] == pytest.approx([case.value(a), case.value(b)], rel=1e-12)
    assert lt.barrier(found, "loss").climb == pytest.approx(max(by_hand) - by_hand[0], rel=case.near, abs=1e-12)


def plane(case: Case) -> None:
    a, b, c = case.points
    axes = lt.difference(b, a), lt.difference(c, a)
    found = lt.sample_plane(case.loss, a, *axes, [0, 0.5, 1], [0, 0.3])
    by_hand = [[case.value(mixed(a, [(x, b), (y, c)])) for x in (0, 0.5, 1)] for y in (0, 0.3)]
    np.testing.assert_allclose(found["loss"], by_hand, rtol=case.near)


def random_plane(case: Case) -> None:
    a = case.points[0]
    axes = lt.random_axes(a, seed=1, biases="keep")
    assert {str(name) for name in axes[0]} == set(case.trained(a))
    found = lt.sample_plane(case.loss, a, *axes, [-0.5, 0.5], [0, 1])
    by_hand = [[case.value(lt.moved(a, axes, (x, y))) for x in (-0.5, 0.5)] for y in (0, 1)]
    np.testing.assert_allclose(found["loss"], by_hand, rtol=case.near)


def trajectory(case: Case) -> None:
    found = lt.sample_trajectory(case.loss, case.points, resolution=2)
    np.testing.assert_allclose(found["loss_true"], [case.value(point) for point in case.points], rtol=case.near)
    # Three snapshots lie in their plane, so their feet are themselves.
    np.testing.assert_allclose(found["loss_projected"], found["loss_true"], rtol=max(case.near, 1e-6))


def path(case: Case, found: lt.Path) -> None:
    a, b, _ = case.points
    by_hand = [case.value(at(found.points, k)) for k in range(len(found.losses))]
    np.testing.assert_allclose(found.losses, by_hand, rtol=case.near)
    assert [float(found.losses[0]), float(found.losses[-1])] == pytest.approx([case.value(a), case.value(b)], rel=1e-6)
    assert found.barrier >= max(by_hand) - by_hand[0] - case.near * max(by_hand)
    assert all(torch.equal(at(found.points, 0)[name], value) for name, value in a.items())


def band(case: Case) -> None:
    path(case, lt.elastic_band(case.loss, *case.points[:2], images=4, zooms=0, **FEW))


def curve(case: Case) -> None:
    path(case, lt.bezier_path(case.loss, *case.points[:2], points=4, **FEW))


def product(case: Case) -> None:
    a, b, _ = case.points
    names = list(case.trained(a))
    blocks = names[: len(names) // 2], names[len(names) // 2 :]
    (near, far), (other, beyond) = ([{n: point[n] for n in block} for point in (a, b)] for block in blocks)

    def outer(features: Tensor, second: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"loss": case.loss({**a, **lt.unflatten(features, near), **second})}

    along = (near, lt.difference(far, near)), (other, lt.difference(beyond, other))
    found = lt.sample_product(lt.flatten, outer, *along, [0, 0.5], [0, 1])
    by_hand = [[case.value({**a, **mixed(near, [(x, far)]), **mixed(other, [(y, beyond)])}) for x in (0, 0.5)] for y in (0, 1)]
    np.testing.assert_allclose(found["loss"], by_hand, rtol=case.near)


def curvature(case: Case) -> None:
    a = case.points[0]
    part = case.trained(a)

    def loss(vector: Tensor) -> Tensor:
        return case.loss({**a, **lt.unflatten(vector, part)})

    if case.narrow:
        with pytest.raises(ValueError, match=TOO_FEW):
            lt.hessian_product(loss, lt.flatten(part))
        return
    times, by_hand = lt.hessian_product(loss, lt.flatten(part)), case.hessian(a)
    size = float(by_hand.abs().max())
    direction = torch.linspace(-1, 1, len(by_hand), dtype=by_hand.dtype)
    assert torch.allclose(times(direction), by_hand @ direction, rtol=0, atol=1e-6 * size)
    ends = lt.extreme_eigenvalues(times, len(by_hand))
    values = torch.linalg.eigvalsh(by_hand)
    assert [ends.lowest[0], ends.highest[-1]] == pytest.approx([float(values[0]), float(values[-1])], abs=1e-6 * size)


def convergence(case: Case) -> None:
    a = case.points[0]
    for loss in (case.loss, case.loss.composite()):
        if case.narrow:
            with pytest.raises(ValueError, match=TOO_FEW):
                lt.converge(loss, a)
            continue
        found = lt.converge(loss, a, iterations=3)
        assert (found.start, found.loss) == pytest.approx((case.value(a), case.value(found.point)), rel=1e-9)
        assert found.loss < found.start
        assert found.subgradient.norm == pytest.approx(float(case.gradient(found.point).norm()), rel=1e-6, abs=1e-10)
        assert list(found.point) == list(a)
        assert all(torch.equal(found.point[name], value) for name, value in a.items() if name not in case.trained(a))


def certificate(case: Case) -> None:
    a = case.points[0]
    if case.narrow:
        with pytest.raises(ValueError, match=TOO_FEW):
            lt.certify(case.loss, a)
        return
    away = lt.certify(case.loss, a)
    assert away.verdict == lt.NOT_CONVERGED
    assert away.subgradient.norm == pytest.approx(float(case.gradient(a).norm()), rel=1e-9)
    # With a linear part that makes the point stationary the Hessian is the network's own: its signs are the verdict.
    part, slope = case.trained(a), case.gradient(a)

    def pulled(stiff: float) -> lt.Certificate:
        def loss(point: dict[str, Tensor]) -> Tensor:
            step = torch.cat([(point[name] - value).reshape(-1) for name, value in part.items()])
            return case.loss(point) - slope @ step + stiff * step.square().sum()

        return lt.certify(loss, a, escape_iterations=2)

    values = torch.linalg.eigvalsh(case.hessian(a))
    assert float(values[0]) < -1e-3
    saddle, minimum = pulled(0.0), pulled(0.1 - float(values[0]))
    assert (saddle.verdict, minimum.verdict) == (lt.SADDLE, lt.MINIMUM)
    assert saddle.spectrum is not None
    assert saddle.spectrum.lowest[0] == pytest.approx(float(values[0]), abs=1e-5 * float(values[-1]))


def alignment(case: Case) -> None:
    b, a, _ = case.points
    chain = [case.kind.chain]
    if case.kind.unaligned is not None:
        with pytest.raises(ValueError, match=case.kind.unaligned):
            lt.align(a, b, chain, function=case.loss.outputs)
        return
    found = lt.align(a, b, chain, function=case.loss.outputs)
    assert torch.allclose(case.outputs(found), case.outputs(a), rtol=case.near, atol=case.near)
    names = case.trained(a)

    def apart(point: Mapping[str, Tensor]) -> float:
        return sum(float((point[name].double() - b[name].double()).square().sum()) for name in names)

    assert apart(found) <= apart(a) * (1 + 1e-9)


def lifting(case: Case) -> None:
    a = case.points[0]

    def outputs(point: dict[str, Tensor]) -> Tensor:
        return case.loss.outputs(point)[:2].reshape(-1)

    goal = outputs(a) + torch.linspace(-0.02, 0.02, 4).to(case.kind.dtype)
    if case.narrow:
        with pytest.raises(ValueError, match=TOO_FEW):
            lt.lift(outputs, a, goal.unsqueeze(0))
        return
    found = lt.lift(outputs, a, goal.unsqueeze(0))
    assert found.reached == 1
    assert torch.allclose(case.outputs(at(found.points, -1))[:2].reshape(-1), goal, atol=1e-6)


def wrong_names(case: Case) -> None:
    a, b, c = case.points
    name = next(iter(case.trained(a)))
    bad = [{(f"{n}_" if n == name else n): v for n, v in point.items()} for point in case.points]
    flat: dict[str, Callable[[], Any]] = {
        "line": lambda: lt.sample_line(case.loss, bad[0], bad[1], points=3),
        "line to another": lambda: lt.sample_line(case.loss, a, bad[1], points=3),
        "plane": lambda: lt.sample_plane(case.loss, a, lt.difference(bad[1], bad[0]), lt.difference(c, a), [0, 1], [0, 1]),
        "trajectory": lambda: lt.sample_trajectory(case.loss, bad, resolution=2),
        "band": lambda: lt.elastic_band(case.loss, bad[0], bad[1], **FEW),
        "curve": lambda: lt.bezier_path(case.loss, bad[0], bad[1], **FEW),
        "converge": lambda: lt.converge(case.loss, bad[0]),
        "certify": lambda: lt.certify(case.loss, bad[0]),
        "align": lambda: lt.align(bad[0], b, [lt.HiddenLayer(name, None, name)], function=case.loss.outputs),
    }
    for call in flat.values():
        with pytest.raises(ValueError, match=f"{name}") as error:
            call()
        assert "\n" not in str(error.value)


def adaptive(case: Case) -> None:
    a, b, c = case.points
    axes = lt.difference(b, a), lt.difference(c, a)
    found = lt.adaptive_plane(case.loss, a, *axes, (0, 1), (0, 1), tolerance=0.05, most=80, checks=6)
    by_hand = [case.value(mixed(a, [(x, b), (y, c)])) for x, y, _ in found.checks]
    np.testing.assert_allclose(found.checks[:, 2], by_hand, rtol=case.near)
    assert np.abs(found.at(found.checks[:, :2]) / by_hand - 1).max() <= found.error + case.near


def whole_spectrum(case: Case) -> None:
    a = case.points[0]
    if case.narrow:
        with pytest.raises(ValueError, match=TOO_FEW):
            lt.spectrum(case.loss, a)
        return
    found, by_hand = lt.spectrum(case.loss, a, count=2), case.hessian(a)
    values, near = torch.linalg.eigvalsh(by_hand), 1e-6 * float(by_hand.abs().max()) * len(by_hand)
    np.testing.assert_allclose([*found.lowest, *found.highest], [*values[:2], *values[-2:]], atol=near)
    assert found.trace_low - near <= float(values.sum()) <= found.trace_high + near
    parts = by_hand.diag().split([value.numel() for value in case.trained(a).values()])
    np.testing.assert_allclose(found.block_traces[:, 0], [float(part.sum()) for part in parts], atol=near)
    part, columns = case.trained(a), []
    for k in range(len(by_hand)):  # the Jacobian by differences
        step = 1e-5 * torch.eye(len(by_hand), dtype=torch.float64)[k]
        up, down = (case.outputs({**a, **lt.unflatten(lt.flatten(part) + sign * step, part)}) for sign in (1, -1))
        columns.append((up - down).reshape(-1) / 2e-5)
    jacobian = torch.stack(columns, 1)
    bent = torch.linalg.eigvalsh(2 / len(jacobian) * jacobian.T @ jacobian)
    flat = lt.spectrum(case.loss, a, matrix="gauss-newton")
    np.testing.assert_allclose([flat.lowest[0], flat.highest[-1], flat.trace], [bent[0], bent[-1], bent.sum()], atol=near)


def streamed(case: Case) -> None:
    a, b, _ = case.points
    batches = [(case.inputs[:2], case.targets[:2]), (case.inputs[2:], case.targets[2:])]
    if case.kind.buffers == "batch":
        wrong: dict[str, Any] = {"buffers": "batch"}
        with pytest.raises(ValueError, match="a batch's statistics are not those of all data"):
            lt.data_loss(case.models[0], batches, torch.nn.functional.mse_loss, **wrong)
        return
    loss = lt.data_loss(case.models[0], batches, torch.nn.functional.mse_loss)
    np.testing.assert_allclose([float(loss(point)) for point in (a, b)], [case.value(point) for point in (a, b)], rtol=case.near)
    found = lt.sample_line(loss, a, b, points=3)
    np.testing.assert_allclose(found["loss"], [case.value(p) for p in (a, mixed(a, [(0.5, b)]), b)], rtol=case.near)
    if not case.narrow:
        by_hand = case.hessian(a).numpy()
        np.testing.assert_allclose(lt.hessian_operator(loss, a) @ np.eye(len(by_hand)), by_hand, atol=1e-6 * np.abs(by_hand).max())


def connection(case: Case) -> None:
    path(case, lt.connect(case.loss, *case.points[:2], images=4, **FEW))


def charted(case: Case) -> None:
    a, b, _ = case.points

    def through(loss: Any, start: Any, end: Any) -> lt.Path:
        return lt.connect(loss, start, end, images=4, **FEW)

    found = lt.atlas(case.loss, {"a": a, "b": b}, certified=False, through=through)
    line = [case.value(mixed(a, [(t, b)]) if t <= 0.5 else mixed(b, [(1 - t, a)])) for t in np.linspace(0, 1, 31)]
    assert found.losses.tolist() == pytest.approx([case.value(a), case.value(b)], rel=case.near)
    assert max(found.losses) <= found.passes[0, 1] <= max(line) * (1 + case.near)
