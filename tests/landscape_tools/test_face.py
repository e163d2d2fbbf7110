"""What a stranger meets: one import, plain losses, modules, threads."""

from __future__ import annotations

import copy
import inspect
import pickle
import pkgutil
import warnings
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

import landscape_tools as lt

AXIS = torch.linspace(-1, 1, 12)
INTERNAL = {"as_composite", "many", "mapped", "values_and_gradients", "allowed_threads", "NotMappable", "filled", "straight", "resampled", "summarise", "polish"} | {
    "clean", "run_passes", "fingerprint", "OnCone", "sign_on_cone", "null_space", "independent", "Ties", "ties_of", "slack_of", "pulled",
    "projection",
} | {"Walled", "Place", "Probed", "probe", "sloped", "scales", "directions", "differences", "difference_hessian", "doubt_of", "signature_of", "by_outputs", "by_parameters", "carried", "check_way", "check_scalar"}  # fmt: skip
INTERNAL |= {
    "agree",
    "check_steady",
    "entered",
    "renamed",
    "known",
    "Known",
    "held_words",
    "at_one_point",
    "between_two",
    "sample_entered",
    "step_between",
    "singly",
    "single",
    "singly_called",
    "passes",
    "Family",
    "Walk",
    "keep_firsts",
    "convolves",
    "side_by_side",
    "Met",
    "sloped_lightly",
    "beside",
    "differing",
    "lanczos",
    "page_of",
    "picture",
    "mount",
    "Places",
    "rows_drawn",
    "newton",
    "leaves_of",
    "walked",
    "positions",
    "Pulled",
    "Curved",
    "curved",
    "dense_product",
    "Estimates",
    "estimated_by_signs",
    "Rectangle",
    "nodes",
    "weights_at",
    "evaluator",
    "check_fit",
    "Lent",
    "kept",
    "fitting",
    "counts_of",
    "summed",
    "HasEnds",
    "draw_ends",
    "ends_of",
    "new_axes",
    "page",
    "shown",
    "written",
    "Krylov",
    "End",
    "both_ends",
    "moving",
}
INTERNAL |= {
    "check_has",
    "statistics_of",
    "continuous",
    "some",
    "marked",
    "Names",
    "lacking",
    "layers_of",
    "by_batch",
    "differentiable",
    "exact",
    "estimated",
}
INTERNAL |= {
    "differentiated",
    "math_kernels",
    "settled",
    "say_looped",
    "named",
    "name_in_file",
    "check_names",
    "stepped",
    "as_real",
    "wide",
    "check_digits",
    "copied",
    "check_shaped",
}


def test_the_face_gives_every_public_name() -> None:
    for info in pkgutil.iter_modules(lt.__path__):
        module = import_module(f"landscape_tools.{info.name}")
        for name, value in vars(module).items():
            own = (inspect.isfunction(value) or inspect.isclass(value)) and value.__module__ == module.__name__
            if own and not name.startswith("_") and name not in INTERNAL:
                assert name in lt.__all__, f"{module.__name__}.{name}"
    for name in lt.__all__:
        assert hasattr(lt, name)


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(4 * 36, 3))


@pytest.fixture
def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(16, 1, 8, 8, generator=generator), torch.randint(3, (16,), generator=generator)


def test_a_module_is_a_loss_in_one_line_and_never_touched(network: nn.Module, data: tuple[Tensor, Tensor]) -> None:
    before = copy.deepcopy(network.state_dict())
    loss = lt.module_loss(network, nn.functional.cross_entropy, *data)
    line = lt.sample_line(loss, loss.point, lt.moved(loss.point, lt.random_axes(loss.point), (1.0, 0.0)), points=5)
    with pytest.raises(ValueError, match=r"0\.weight is \(7,\) in the point"):  # a point that does not fit, in the middle of a call
        loss({"0.weight": torch.zeros(7)})
    assert network.training
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in before.items())
    network.eval()
    expected = float(nn.functional.cross_entropy(network(data[0]), data[1]).detach())
    assert float(line["loss"][0]) == pytest.approx(expected, rel=1e-5)
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in loss.point.items())
    for twin in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert float(twin(loss.point)) == float(loss(loss.point))


@pytest.mark.parametrize("chunk", [1, 5, 64])
def test_threads_do_not_change_a_module_loss(network: nn.Module, data: tuple[Tensor, Tensor], chunk: int) -> None:
    loss = lt.module_loss(network, nn.functional.cross_entropy, *data)
    axes = loss.point, *lt.random_axes(loss.point), AXIS, AXIS
    one = lt.sample_plane(loss, *axes, chunk=chunk, vectorize="vmap")
    two = lt.sample_plane(loss, *axes, chunk=chunk, threads=4, vectorize="vmap")
    assert np.array_equal(one["loss"], two["loss"])
    assert network(data[0]).shape == (16, 3)


def test_a_loss_that_shares_a_module_stays_on_one_thread(network: nn.Module, data: tuple[Tensor, Tensor]) -> None:
    """The loss of the old guide: `functional_call` on one module, whose weights two threads would swap at once."""
    network.eval()

    def loss(point: dict[str, Tensor]) -> Tensor:
        return nn.functional.cross_entropy(functional_call(network, point, (data[0],)), data[1])

    point = lt.state_of(network)
    axes = point, *lt.random_axes(point), AXIS, AXIS
    with pytest.warns(UserWarning, match="module_loss"):
        shared = lt.sample_plane(loss, *axes, chunk=1, threads=2, vectorize="vmap")  # which is faster may differ between two calls
    assert np.array_equal(shared["loss"], lt.sample_plane(loss, *axes, chunk=1, vectorize="vmap")["loss"])
    assert torch.isfinite(network(data[0])).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lt.sample_plane(lt.thread_safe(lambda p: p["0.bias"].sum()), *axes, threads=2)


def bowl(point: dict[str, Tensor]) -> Tensor:
    return (point["x"] - 1).square().sum() + (point["y"] * point["y"]).sum()


def start(dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    return {"x": torch.full((2, 2), 3.0, dtype=dtype), "y": torch.ones(3, dtype=dtype)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_plain_losses_go_through_every_tool(dtype: torch.dtype) -> None:
    found = lt.converge(bowl, start(dtype))
    assert {name: (value.shape, value.dtype) for name, value in found.point.items()} == {
        name: (value.shape, dtype) for name, value in start(dtype).items()
    }
    assert found.loss < 1e-8
    assert lt.certify(bowl, found.point).verdict == "minimum"
    assert lt.smallest_subgradient(bowl, start(dtype)).norm == pytest.approx(2 * (4 * 4 + 3) ** 0.5, rel=1e-5)
    path = lt.elastic_band(bowl, found.point, start(dtype), images=5, iterations=5)
    curve = lt.bezier_path(bowl, found.point, start(dtype), points=5, iterations=5)
    assert path.points["x"].dtype == curve.points["x"].dtype == dtype
    assert float(lt.sample_line(bowl, found.point, start(dtype))["loss"][-1]) == pytest.approx(19.0)


def test_points_that_still_ask_for_gradients() -> None:
    asking = {name: value.requires_grad_() for name, value in start().items()}
    path = lt.elastic_band(bowl, asking, {name: value.detach() + 1 for name, value in asking.items()}, images=4, iterations=3)
    assert not path.points["x"].requires_grad
    assert lt.certify(bowl, lt.converge(bowl, asking).point).verdict == "minimum"


def test_a_kink_needs_pieces_only() -> None:
    smooth = lambda p: 0.1 * p["x"].square().sum()  # noqa: E731
    pieces = lambda p: torch.stack((p["x"], -p["x"]), -1)  # noqa: E731
    at = {"x": torch.tensor([0.4, -0.2], dtype=torch.float64)}
    kinked = lt.composite_of(smooth, at, pieces=pieces)
    assert float(kinked.loss(at)) == pytest.approx(0.1 * 0.2 + 0.6)
    found = lt.converge(kinked, at)
    assert found.loss < 1e-6
    assert lt.certify(kinked, {"x": torch.zeros(2, dtype=torch.float64)}).verdict == "minimum"
    with pytest.raises(ValueError, match="pieces"):
        lt.composite_of(smooth, at, weights=torch.ones(2))


def test_the_outputs_of_a_module_make_it_a_composite() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 20), nn.Tanh(), nn.Linear(20, 1)).double()
    inputs = torch.randn(5, 2, dtype=torch.float64)
    loss = lt.module_loss(model, nn.functional.mse_loss, inputs, inputs[:, :1].sin())
    composite = loss.composite()
    assert float(composite.loss(loss.point)) == pytest.approx(float(loss(loss.point)), rel=1e-12)
    signature = lt.certify(composite, lt.converge(composite, loss.point).point).signature
    assert signature is not None
    assert signature.positive == 5
    assert signature.unseen == sum(value.numel() for value in loss.point.values()) - 5


def unmappable(point: dict[str, Tensor]) -> Tensor:
    """A Python branch on a value."""
    return bowl(point) if point["y"].sum().item() > 0 else 2 * bowl(point)


def test_losses_that_cannot_be_mapped_are_called_one_by_one() -> None:
    ends = start(), {name: -value for name, value in start().items()}
    with pytest.raises(ValueError, match="vectorize='loop'"):
        lt.sample_line(unmappable, *ends, points=4, vectorize="vmap")
    with pytest.warns(UserWarning, match="point by point"):
        assert lt.elastic_band(unmappable, *ends, images=4, iterations=2).losses.shape == (4,)
    line = lt.sample_line(unmappable, *ends, points=4, vectorize="loop")
    assert line["loss"].values.tolist() == pytest.approx(
        [float(unmappable({n: (1 - t) * ends[0][n] + t * ends[1][n] for n in ends[0]})) for t in line["t"].values]
    )
    assert lt.elastic_band(unmappable, *ends, images=4, iterations=2, vectorize="loop").losses.shape == (4,)
    options: dict[str, Any] = {
        "first": (start(), start()),
        "second": ({"z": torch.ones(2)}, {"z": torch.ones(2)}),
        "x": AXIS,
        "y": AXIS[:3],
    }
    stages = lambda p: p["x"].sum(), lambda f, p: {"loss": f * p["z"].sum()}
    looped, mapped = (lt.sample_product(*stages, **options, vectorize=how) for how in ("loop", "vmap"))
    assert np.allclose(looped["loss"], mapped["loss"])


def test_losses_that_return_numbers() -> None:
    """A line needs values alone; a path needs their gradients and says so."""
    ends = start(), {name: -value for name, value in start().items()}
    line = lt.sample_line(lambda p: bowl(p).item(), *ends, points=4, vectorize="loop")
    assert line["loss"].values == pytest.approx(lt.sample_line(bowl, *ends, points=4)["loss"].values)
    with pytest.raises(ValueError, match=r"without \.item\(\)"):
        lt.elastic_band(lambda p: bowl(p).item(), *ends, images=4, iterations=2)


def test_wrong_values_are_refused() -> None:
    ends = start(), {name: -value for name, value in start().items()}
    with pytest.raises(ValueError, match="one scalar per point"):
        lt.sample_line(lambda p: p["y"], *ends)
    with pytest.raises(ValueError, match="one scalar per point"):  # forgets the leading axis
        lt.sample_line(bowl, *ends, vectorize="batched")
    with pytest.raises(ValueError, match="choose auto, vmap, batched or loop"):
        lt.sample_line(bowl, *ends, vectorize="fast")
    with pytest.raises(ValueError, match="a path needs one scalar"):
        lt.elastic_band(lambda p: {"a": bowl(p), "b": bowl(p)}, *ends)


def test_the_faster_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss that takes long when mapped, and one that takes long one by one, by a clock that only they move."""
    calls: dict[str, int] = {"mapped": 0, "single": 0}
    clock = [0.0]
    monkeypatch.setattr("landscape_tools.mapping.time", SimpleNamespace(thread_time=lambda: clock[0]))

    def loss(point: dict[str, Tensor]) -> Tensor:
        kind = "mapped" if torch._C._functorch.is_batchedtensor(point["x"]) else "single"
        calls[kind] += 1
        clock[0] += slow[kind]
        return bowl(point)

    ends = start(), {name: -value for name, value in start().items()}
    coordinates, direction = torch.linspace(0, 1, 40).unsqueeze(1), lt.difference(ends[1], ends[0])
    slow: dict[str, float] = {}
    found = {}
    for way, long_pass, mapped, single in (
        ("loop", 1e9, 0.03, 0.001),
        ("loop at once", 0.0, 0.03, 0.001),
        ("vmap", 1e9, 0.001, 0.0015),
        ("long", 1e9, 0.001, 0.005),
    ):
        monkeypatch.setattr("landscape_tools.mapping.LONG_PASS", long_pass)
        slow.update(mapped=mapped, single=single)
        calls.update(mapped=0, single=0)
        found[way] = lt.sample_points(loss, ends[0], [direction], coordinates, chunk=8)["loss"]
        # Two at the start, to see whether the loss is random, one to compare with, one for the clock; no pass of the trial is evaluated twice.
        assert (calls["mapped"], calls["single"] - 4) == {"loop": (2, 24), "loop at once": (1, 32), "vmap": (5, 0), "long": (0, 40)}[way]
    assert np.allclose(found["loop"], found["vmap"])
    calls.update(mapped=0, single=0)
    slow["single"] = 0.0015
    lt.sample_points(loss, ends[0], [direction], coordinates[:15])  # too few for a trial
    assert (calls["mapped"], calls["single"] - 2) == (0, 15)
    lt.sample_points(loss, ends[0], [direction], coordinates, chunk=None)  # its first passes are short ones
    assert (calls["mapped"], calls["single"] - 2) == (2 + 3, 15 + 4)
