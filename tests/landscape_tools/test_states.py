"""A network is more than its parameters: buffers and frozen parameters in every tool, each against plain PyTorch by hand."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import landscape_tools as lt
from tests.landscape_tools.stateful_modules import KINDS, batch, between, by_hand, cross_entropy, frozen, mse, trained


@pytest.mark.parametrize("kind", KINDS)
def test_lines_and_paths_take_buffers_from_both_ends(kind: str) -> None:
    a, b = trained(kind, 1), trained(kind, 2)
    loss = lt.module_loss(a, cross_entropy, *batch())
    line = lt.sample_line(loss, loss.point, lt.state_of(b), points=5)
    assert line["loss"].values == pytest.approx([by_hand(a, between(a, b, t)) for t in line["t"].values], rel=1e-4)
    assert line["loss"].values[[0, -1]] == pytest.approx([by_hand(a), by_hand(b)], rel=1e-6)
    for path in (
        lt.elastic_band(loss, loss.point, lt.state_of(b), images=4, iterations=2, vectorize="loop", samples=2),
        lt.bezier_path(loss, loss.point, lt.state_of(b), points=4, iterations=2, vectorize="loop", samples=2),
    ):
        assert path.losses[[0, -1]].tolist() == pytest.approx([by_hand(a), by_hand(b)], rel=1e-5)
        for k in range(4):
            assert by_hand(a, {name: value[k] for name, value in path.points.items()}) == pytest.approx(float(path.losses[k]), rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_planes_and_descents_leave_alone_what_is_not_trained(kind: str) -> None:
    net = trained(kind, 3)
    loss = lt.module_loss(net, cross_entropy, *batch())
    axes = lt.random_axes(loss.point)
    moving = {name for name, value in net.named_parameters() if value.requires_grad}
    assert set(axes[0]) == set(axes[1]) == moving
    plane = lt.sample_plane(loss, loss.point, *axes, [0.0, 1.0], [0.0, 1.0])
    assert float(plane["loss"][0, 0]) == pytest.approx(by_hand(net), rel=1e-5)
    assert float(plane["loss"][1, 1]) == pytest.approx(by_hand(net, lt.moved(loss.point, axes, (1.0, 1.0))), rel=1e-4)
    assert plane.attrs["held"]
    found = lt.converge(loss, loss.point, iterations=2)
    assert list(found.point) == list(loss.point)
    assert found.loss <= by_hand(net) + 1e-6
    assert by_hand(net, found.point) == pytest.approx(found.loss, rel=1e-4)
    for name, value in loss.point.items():
        assert torch.equal(value, found.point[name]) or name in moving
    certificate = lt.certify(loss, found.point, stationary=1e3)
    assert certificate.spectrum is not None
    assert certificate.spectrum.dimension == sum(p.numel() for p in net.parameters() if p.requires_grad)
    assert "held fixed" in certificate.reason
    assert lt.converge(loss.composite(), loss.point, iterations=2).point.keys() == loss.point.keys()


def test_snapshots_keep_the_statistics_they_were_trained_with() -> None:
    nets = [trained("batch norm", 4, steps) for steps in (2, 5, 9)]
    loss = lt.module_loss(nets[0], cross_entropy, *batch())
    data = lt.sample_trajectory(loss, [lt.state_of(net) for net in nets], resolution=3)
    assert data["loss_true"].values == pytest.approx([by_hand(net) for net in nets], rel=1e-5)
    assert data["loss_projected"].values == pytest.approx(data["loss_true"].values, rel=1e-4)  # three points span a plane: buffers follow
    plane = lt.trajectory_plane([lt.state_of(net) for net in nets])
    alone = lt.trajectory_plane([dict(net.named_parameters()) for net in nets])
    assert plane.explained == pytest.approx(alone.explained)  # statistics count in no length


def test_three_points_span_a_plane_that_holds_their_buffers() -> None:
    nets = [trained("batch norm", seed) for seed in (1, 2, 3)]
    a, b, c = (lt.state_of(net) for net in nets)
    first, second, (x, y) = lt.three_point_axes(a, b, c)
    loss = lt.module_loss(nets[0], cross_entropy, *batch())
    plane = lt.sample_plane(loss, a, first, second, [0.0, 1.0, x], [0.0, y])["loss"]
    assert [float(plane[0, 0]), float(plane[0, 1]), float(plane[1, 2])] == pytest.approx([by_hand(net) for net in nets], rel=1e-4)
    assert lt.norm(first) == pytest.approx(lt.norm(lt.difference(dict(nets[1].named_parameters()), dict(nets[0].named_parameters()))))


def test_a_point_without_its_buffers_is_refused_or_says_so() -> None:
    net, other = trained("batch norm", 5), trained("batch norm", 6)
    loss = lt.module_loss(net, cross_entropy, *batch())
    with pytest.warns(UserWarning, match=r"1\.running_mean.*state_of"):
        assert lt.parameters_of(other).keys() == lt.state_of(other).keys()
    assert float(loss(lt.state_of(other))) == pytest.approx(by_hand(other), rel=1e-5)
    bare = lt.parameters_of(other, buffers="keep")
    with pytest.raises(ValueError, match=r"lacks the model's buffers 1\.running_mean, 1\.running_var.*state_of"):
        loss(bare)
    with pytest.raises(ValueError, match="state_of"):
        lt.sample_line(loss, loss.point, loss.point | bare, points=3).pipe(lambda _: lt.sample_line(loss, loss.point, bare, points=3))
    with pytest.raises(ValueError, match=r"lacks.*1\.running_mean"):
        loss(lt.restrict(bare, ["1"]))
    head = lt.restrict(lt.parameters_of(other, buffers="keep"), ["3"])  # a part of a network without buffers of its own
    assert float(loss(head)) == pytest.approx(by_hand(net, head), rel=1e-5)
    kept = lt.module_loss(net, cross_entropy, *batch(), buffers="keep")
    assert "1.running_mean" not in kept.point
    assert float(kept(bare)) == pytest.approx(by_hand(net, bare), rel=1e-5)


@pytest.mark.parametrize("kind", ["batch norm", "convolution", "instance norm"])
def test_statistics_are_estimated_at_every_point(kind: str) -> None:
    a, b = trained(kind, 1), trained(kind, 2)
    data = [batch(seed)[0] for seed in (0, 1)]
    loss = lt.module_loss(a, cross_entropy, *batch(), buffers="estimate", data=data)
    with pytest.raises(ValueError, match=r"its own model's.*estimated"):
        lt.sample_line(loss, lt.state_of(a), lt.state_of(b), points=3)

    def renewed(point: dict[str, Tensor]) -> nn.Module:
        net = copy.deepcopy(a)
        net.load_state_dict(point)
        for module in net.modules():
            if hasattr(module, "reset_running_stats"):
                module.reset_running_stats()
                module.momentum = None
        with torch.no_grad():
            for count, x in enumerate(data):
                for module in net.modules():  # an InstanceNorm averages by itself only with a number
                    if hasattr(module, "reset_running_stats"):
                        module.momentum = 1 / (count + 1)
                net.train()(x)
        return net

    ends = [loss.estimated(lt.state_of(net)) for net in (a, b)]
    for net, end in zip((a, b), ends, strict=True):
        assert float(loss(end)) == pytest.approx(by_hand(renewed(net.state_dict())), rel=1e-4)
        assert by_hand(a, end) == pytest.approx(float(loss(end)), rel=1e-5)
    line = lt.sample_line(loss, *ends, points=5)
    assert line["loss"].values == pytest.approx([by_hand(renewed(between(a, b, t))) for t in line["t"].values], rel=1e-4)
    path = lt.elastic_band(loss, *ends, images=3, iterations=1, samples=2)
    middle = {name: value[1] for name, value in path.points.items()}
    assert [by_hand(a, middle), by_hand(a, ends[1])] == pytest.approx(path.losses[1:].tolist(), rel=1e-4)
    for form in (loss, loss.composite()):
        found = lt.converge(form, ends[0], iterations=2)
        assert by_hand(a, found.point) == pytest.approx(found.loss, rel=1e-4)
        assert found.loss < by_hand(a, ends[0])
        assert lt.certify(form, found.point, stationary=1e3).loss == pytest.approx(found.loss, rel=1e-4)


def test_spectral_norm_is_estimated_where_interpolated_vectors_cancel() -> None:
    """The same weight with both vectors turned round: half way between, interpolated vectors are 0."""
    net = trained("spectral norm", 1, steps=0)
    end = lt.state_of(net)
    turned = end | {n: -v for n, v in end.items() if n.rpartition(".")[2] in ("_u", "_v")} | {"2.bias": end["2.bias"] + 1}
    assert by_hand(net, turned) == pytest.approx(by_hand(net, end | {"2.bias": end["2.bias"] + 1}))
    interpolated = lt.module_loss(net, cross_entropy, *batch())
    assert lt.sample_line(interpolated, end, turned, points=3).attrs["not_finite"] == 1
    loss = lt.module_loss(net, cross_entropy, *batch(), buffers="estimate")
    start, stop = loss.estimated(end), loss.estimated(turned)
    line = lt.sample_line(loss, start, stop, points=3)
    half = by_hand(net, start | {"2.bias": end["2.bias"] + 0.5})
    assert line["loss"].values == pytest.approx([by_hand(net, start), half, by_hand(net, stop)], rel=1e-5)
    largest = torch.linalg.matrix_norm(end["0.parametrizations.weight.original"], 2)
    x, y = batch()
    weight = end["0.parametrizations.weight.original"] / largest
    by_norm = torch.tanh(x @ weight.T + end["0.bias"]) @ end["2.weight"].T + end["2.bias"]
    assert float(line["loss"][0]) == pytest.approx(float(cross_entropy(by_norm, y)), rel=1e-5)
    assert lt.converge(loss, start, iterations=2).loss < float(line["loss"][0])


@pytest.mark.parametrize("kind", ["batch norm", "convolution", "instance norm"])
def test_a_loss_by_the_batch_is_that_of_training(kind: str) -> None:
    net = trained(kind, 7)
    before = copy.deepcopy(net.state_dict())
    loss = lt.module_loss(net, cross_entropy, *batch(), buffers="batch")
    x, y = batch()
    assert float(loss(loss.point)) == pytest.approx(float(cross_entropy(copy.deepcopy(net).train()(x), y).detach()), rel=1e-5)
    with pytest.warns(UserWarning, match="state_of"):
        assert float(loss(lt.parameters_of(net))) == float(loss(loss.point))  # running statistics do not matter
    assert lt.converge(loss, loss.point, iterations=2).loss < float(loss(loss.point))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_frozen_parameters_move_by_a_switch_and_all_where_none_is_trained() -> None:
    net = frozen()
    loss = lt.module_loss(net, cross_entropy, *batch())
    assert loss.held == ("0.weight", "0.bias")
    everything = lt.module_loss(net, cross_entropy, *batch(), frozen="move")
    assert set(lt.random_axes(everything.point)[0]) == set(dict(net.named_parameters()))
    assert everything.held == ()
    assert lt.random_axes(lt.parameters_of(net))[0].keys() == {"2.weight", "2.bias"}
    net.requires_grad_(False)
    with pytest.warns(UserWarning, match="no parameter of this module is trained"):
        assert lt.trainable(lt.state_of(net)).keys() == net.state_dict().keys()
    for wrong in ({"frozen": "keep"}, {"buffers": "freeze"}):
        with pytest.raises(ValueError, match="choose"):
            lt.module_loss(net, cross_entropy, *batch(), **wrong)
    with pytest.raises(ValueError, match="no running statistics"):
        lt.module_loss(frozen(), cross_entropy, *batch(), buffers="estimate")


def test_marks_stay_with_the_names(tmp_path: Path) -> None:
    net = trained("batch norm", 8)
    state = lt.state_of(net)
    assert {type(name) for name in state} == {str, lt.BufferName}
    torch.save(state, tmp_path / "state.pt")
    for point in ({name: value.clone() for name, value in state.items()}, torch.load(tmp_path / "state.pt"), copy.deepcopy(state)):
        assert lt.trainable(point).keys() == dict(net.named_parameters()).keys()
    loss = lt.module_loss(net, cross_entropy, *batch())
    plain = {str(name): value for name, value in state.items()}  # as from a file of another kind
    assert lt.trainable(loss.named(plain)).keys() == dict(net.named_parameters()).keys()
    assert lt.converge(loss, plain, iterations=1).point["1.running_mean"].equal(state["1.running_mean"])


def test_a_loss_of_a_function_holds_what_is_held() -> None:
    """Not only module losses: the names tell."""
    point: dict[str, Tensor] = {
        "w": torch.tensor([3.0, 1.0], dtype=torch.float64),
        lt.BufferName("shift"): torch.tensor(2.0, dtype=torch.float64),
        lt.HeldName("scale"): torch.tensor(4.0, dtype=torch.float64),
        lt.BufferName("count"): torch.tensor(5),
    }

    def loss(p: Any) -> Any:
        return p["scale"] * (p["w"] - p["shift"]).square().sum()

    far = point | {"w": torch.zeros(2, dtype=torch.float64), "shift": torch.tensor(0.0, dtype=torch.float64), "count": torch.tensor(9)}
    assert lt.converge(loss, point).point["w"].tolist() == pytest.approx([2.0, 2.0])
    assert lt.certify(loss, point | {"w": torch.full((2,), 2.0, dtype=torch.float64)}).verdict == "minimum"
    path = lt.elastic_band(loss, point, far, images=5, iterations=0)
    assert path.points["count"].tolist() == [5, 5, 5, 9, 9]
    assert path.points["shift"].tolist() == pytest.approx([2, 1.5, 1, 0.5, 0])
    assert path.losses.tolist() == pytest.approx(lt.sample_line(loss, point, far, points=5)["loss"].values.tolist())
    kinked = lt.composite_of(loss, point, pieces=lambda p: torch.stack((p["w"], -p["w"]), -1))
    assert float(kinked.loss(point)) == pytest.approx(4 * 2 + 4)
    found = lt.converge(kinked, point)
    assert found.point["w"].tolist() == pytest.approx([2 - 1 / 8] * 2)  # 4 (w - 2)^2 + |w|
    assert found.point["shift"] == 2
    assert lt.certify(kinked, found.point).verdict == "minimum"
    lifted = lt.lift(lambda p: p["scale"] * p["w"], point, torch.tensor([[12.0, 4.0], [4.0, 4.0]], dtype=torch.float64))
    assert lifted.reached == 1
    assert lifted.points["w"][-1].tolist() == pytest.approx([1, 1])
    assert lifted.points["count"].tolist() == [5] * len(lifted.points["w"])
    with pytest.raises(ValueError, match="no parameter of this point is trained"):
        lt.converge(loss, {lt.HeldName(name): value for name, value in point.items()})


def test_infinite_buffers_that_are_the_same_stay() -> None:
    """A mask: minus infinity at both ends."""
    point: dict[str, Tensor] = {"w": torch.zeros(2), lt.BufferName("mask"): torch.tensor([0.0, -torch.inf])}

    def loss(p: Any) -> Any:
        return torch.softmax(p["w"] + p["mask"], 0)[0] * p["w"].square().sum()

    far = point | {"w": torch.ones(2)}
    assert lt.sample_line(loss, point, far, points=3)["loss"].values.tolist() == pytest.approx([0, 0.5, 2])
    assert lt.elastic_band(loss, point, far, images=3, iterations=0).losses.tolist() == pytest.approx([0, 0.5, 2])


def test_points_in_another_order_are_the_same_points() -> None:
    """Paths and trajectories go by the names, not by the order."""

    def loss(p: Any) -> Any:
        return p["a"].square().sum() + 2 * p["b"].square().sum()

    start, end = {"a": torch.zeros(2), "b": torch.ones(2)}, {"b": torch.full((2,), 3.0), "a": torch.full((2,), 2.0)}
    assert lt.elastic_band(loss, start, end, images=3, iterations=0).losses.tolist() == pytest.approx([4, 18, 44])
    assert lt.bezier_path(loss, start, end, points=3, iterations=1).losses.tolist() == pytest.approx([4, 18, 44])
    middle = {"b": torch.ones(2), "a": torch.full((2,), 5.0)}
    mixed, sorted_ = ([{n: s[n] for n in order} if order else s for s in (start, middle, end)] for order in (None, ("a", "b")))
    assert np.allclose(lt.trajectory_plane(mixed).explained, lt.trajectory_plane(sorted_).explained)
    with pytest.raises(ValueError, match="differ in their parameters: b"):
        lt.trajectory_plane([start, middle, {"a": torch.zeros(2)}])


class Listed(nn.Module):
    """A common slip: layers in a plain list, which PyTorch does not see."""

    def __init__(self, kept: object) -> None:
        super().__init__()
        self.body = nn.Linear(2, 2)
        self.kept = kept

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return out


def test_weights_that_no_point_can_hold_are_said() -> None:
    layers = [nn.Linear(2, 2), {"head": [nn.Linear(2, 1)]}]
    for kept in (layers, layers[1], (torch.zeros(2, requires_grad=True),)):
        with pytest.warns(UserWarning, match="kept: weights that the module does not register"):
            lt.state_of(Listed(kept))
    inner = nn.Sequential(Listed([nn.Linear(2, 2)]))
    with pytest.warns(UserWarning, match=r"0\.kept: weights"):
        lt.module_loss(inner, mse, torch.zeros(3, 2), torch.zeros(3, 2))
    teacher = nn.Linear(2, 2).requires_grad_(False)
    model = Listed([teacher, torch.zeros(2), {"a": 1}])
    model.kept = (model.body, teacher)
    lt.state_of(model)  # a fixed teacher, and what is registered elsewhere: nothing to say
    lt.state_of(nn.LSTM(2, 2))  # keeps its own parameters in a list
