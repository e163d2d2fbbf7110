"""What a stranger meets: one import, plain losses, modules, threads."""

from __future__ import annotations

import copy
import inspect
import pickle
import pkgutil
import warnings
from importlib import import_module

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
