"""Any failure of mapping falls back to the loop, said once; what is the loss's own fault is raised as it is."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import landscape_tools as lt
from landscape_tools.evaluating import values_and_gradients

Loss = Callable[[dict[str, Tensor]], Any]
START = {"w": torch.linspace(-1, 1, 6, dtype=torch.float64).view(3, 2)}
END = {"w": torch.linspace(2, 1, 6, dtype=torch.float64).view(3, 2)}
X = torch.linspace(-1, 1, 12, dtype=torch.float64).view(4, 3)


def outputs(point: dict[str, Tensor]) -> Tensor:
    return X @ point["w"]


def added(point: dict[str, Tensor]) -> Tensor:
    return torch.zeros(4, 2, dtype=torch.float64).add_(outputs(point)).square().sum()


def written(point: dict[str, Tensor]) -> Tensor:
    kept = torch.zeros(4, 2, dtype=torch.float64)
    torch.mul(outputs(point).detach(), 2, out=kept)
    return (kept * outputs(point)).sum()


def stored(point: dict[str, Tensor]) -> Tensor:
    table = torch.zeros(4, dtype=torch.float64)
    table[1] = outputs(point).square().mean()
    return table.sum()


UNMAPPED: dict[str, Loss] = {
    "tolist": lambda p: torch.tensor(sum(outputs(p).flatten().tolist())),
    "numpy": lambda p: torch.tensor(outputs(p).detach().numpy().sum()),
    "float": lambda p: float(outputs(p).sum()),
    "branch": lambda p: outputs(p).sum() if outputs(p).sum() > 0 else outputs(p).square().sum(),
    "nonzero": lambda p: outputs(p)[outputs(p).nonzero(as_tuple=True)].sum(),
    "mask": lambda p: outputs(p)[outputs(p) > 0].sum(),
    "unique": lambda p: outputs(p).unique().sum(),
    "added in place": added,
    "out=": written,
    "written into a table": stored,
    "seeded noise": lambda p: outputs(p).sum() + torch.randn(2, generator=torch.Generator().manual_seed(0), dtype=torch.float64).sum(),
}
SMOOTH = ("mask", "added in place", "written into a table", "nonzero", "branch")


@pytest.mark.parametrize("name", UNMAPPED)
def test_every_failure_of_mapping_falls_back(name: str) -> None:
    loss = UNMAPPED[name]
    right = lt.sample_line(loss, START, END, points=7, vectorize="loop")["loss"].values
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        seen = lt.sample_line(loss, START, END, points=7)["loss"].values
        again = lt.sample_line(loss, START, END, points=40, chunk=2)["loss"].values  # long enough for a trial
    assert np.array_equal(seen, right)
    assert np.allclose(again, lt.sample_line(loss, START, END, points=40, vectorize="loop")["loss"].values)
    assert [str(warning.message).count("point by point") for warning in said] == [1]  # both halves of both lines, said once
    with pytest.raises(ValueError, match="vectorize='loop' calls it point by point"):
        lt.sample_line(loss, START, END, points=7, vectorize="vmap")


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_fall_back_as_well(name: str) -> None:
    loss = UNMAPPED[name]
    path = lt.elastic_band(loss, START, END, images=4, iterations=2, vectorize="loop")
    curve = lt.bezier_path(loss, START, END, points=4, iterations=2, vectorize="loop")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert torch.equal(lt.elastic_band(loss, START, END, images=4, iterations=2).heights, path.heights)
        assert torch.equal(lt.bezier_path(loss, START, END, points=4, iterations=2).heights, curve.heights)


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM, nn.RNN])
def test_recurrent_networks(kind: type[nn.RNNBase]) -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = kind(3, 4, batch_first=True), nn.Linear(4, 1)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.head(self.body(x)[0][:, -1])
            return out

    torch.manual_seed(0)
    model = Last().double()
    x, y = torch.randn(5, 3, 3, dtype=torch.float64), torch.randn(5, 1, dtype=torch.float64)
    loss = lt.module_loss(model, nn.functional.mse_loss, x, y)
    end = lt.moved(loss.point, lt.random_axes(loss.point), (1.0, 0.0))
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        line = lt.sample_line(loss, loss.point, end, points=3)["loss"].values
        path = lt.elastic_band(loss, loss.point, end, images=3, iterations=1).losses
    by_hand = []
    for share in (0.0, 0.5, 1.0):
        for name, value in model.named_parameters():
            value.data = (1 - share) * loss.point[name] + share * end[name]
        by_hand.append(nn.functional.mse_loss(model(x), y).item())
    assert line == pytest.approx(by_hand, rel=1e-9)
    assert [float(path[0]), float(path[-1])] == pytest.approx([by_hand[0], by_hand[-1]], rel=1e-9)


def test_both_stages_of_a_product_fall_back() -> None:
    axes = ((START, END), ({"z": torch.ones(2)}, {"z": torch.ones(2)}), [0.0, 0.5, 1.0], [0.0, 1.0])
    inner, outer = (
        (lambda p: torch.tensor(outputs(p).tolist())),
        (lambda f, p: {"loss": torch.tensor(float(f.sum()) * float(p["z"].sum()))}),
    )
    right = lt.sample_product(inner, outer, *axes, vectorize="loop")["loss"]
    with pytest.warns(UserWarning, match="point by point"):
        assert np.array_equal(lt.sample_product(inner, outer, *axes)["loss"], right)


def test_words_that_are_no_way_are_refused_by_every_tool() -> None:
    product = ((START, END), ({"z": torch.ones(2)}, {"z": torch.ones(2)}), [0.0, 1.0], [0.0, 1.0])
    for tool in (
        lambda: lt.sample_line(outputs, START, END, vectorize="fast"),
        lambda: lt.sample_product(outputs, lambda f, p: {"loss": f.sum()}, *product, vectorize="fast"),
        lambda: values_and_gradients(outputs, START, "fast"),
        lambda: lt.values_of(outputs, START, "fast"),
    ):
        with pytest.raises(ValueError, match="vectorize is 'fast'; choose auto, vmap, batched or loop"):
            tool()


def other_when_mapped(point: dict[str, Tensor]) -> Tensor:
    """Stands for an operation that PyTorch maps wrongly."""
    factor = 2 if torch._C._functorch.is_batchedtensor(point["w"]) else 1
    return factor * outputs(point).square().sum()


def slope_when_mapped(point: dict[str, Tensor]) -> Tensor:
    """Right values, another gradient."""
    value = outputs(point).square().sum()
    return 2 * value - value.detach() if torch._C._functorch.is_batchedtensor(point["w"]) else value


def test_mapped_values_are_compared_with_the_loss_itself() -> None:
    right = lt.sample_line(other_when_mapped, START, END, points=40, vectorize="loop")["loss"].values
    for points in (7, 200):
        with pytest.raises(ValueError, match=r"it gives .* where the loss itself gives"):
            lt.sample_line(other_when_mapped, START, END, points=points, vectorize="vmap")
    with pytest.warns(UserWarning, match=r"it gives .* where the loss itself gives"):
        assert np.array_equal(lt.sample_line(other_when_mapped, START, END, points=40)["loss"], right)
    rows = torch.stack([lt.flatten(START), lt.flatten(END)])
    looped = values_and_gradients(slope_when_mapped, START, "loop")(rows)
    with pytest.warns(UserWarning, match="point by point"):
        found = values_and_gradients(slope_when_mapped, START, "auto")(rows)
    assert all(torch.equal(a, b) for a, b in zip(found, looped, strict=True))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_rounding_is_no_difference(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2)).to(dtype)
    x = torch.randn(20, 4).to(dtype)
    loss = lt.module_loss(model, nn.functional.mse_loss, x, model(x).detach())  # 0 at the start, so only rounding is there
    end = lt.moved(loss.point, lt.random_axes(loss.point), (1.0, 0.0))
    for first, last in ((loss.point, end), (end, loss.point)):
        lt.sample_line(loss, first, last, points=5, vectorize="vmap")
        lt.elastic_band(loss, first, last, images=4, iterations=1, vectorize="vmap")


def test_errors_of_the_loss_are_its_own() -> None:
    def failing(point: dict[str, Tensor]) -> Tensor:
        if float(point["w"].detach().sum()) > 2:
            raise KeyError("no such row")
        return outputs(point).sum()

    for vectorize in ("auto", "loop"):
        with pytest.raises(KeyError, match="no such row") as caught:
            lt.sample_line(failing, START, END, points=9, vectorize=vectorize)
        assert "called by itself at point" in caught.value.__notes__[0]
    with pytest.raises(KeyError, match="wieght"):  # at every point: vmap is not blamed
        lt.sample_line(lambda p: p["wieght"].sum(), START, END, points=9, vectorize="vmap")
    with pytest.raises(KeyError, match="wieght"):
        lt.elastic_band(lambda p: p["wieght"].sum(), START, END, images=4, iterations=1)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_stops_are_not_swallowed(stop: type[BaseException]) -> None:
    calls = []

    def loss(point: dict[str, Tensor]) -> Tensor:
        calls.append(1)
        raise stop

    with pytest.raises(stop):
        lt.sample_line(loss, START, END, points=9)
    assert len(calls) == 1
    with pytest.raises(stop):
        lt.elastic_band(loss, START, END, images=4, iterations=1)


@pytest.mark.parametrize("value", [None, "low", [1.0, 2.0], torch.ones(2), torch.tensor(1j)])
def test_what_is_no_real_scalar_is_refused_in_one_line(value: Any) -> None:
    for vectorize in ("auto", "vmap", "loop"):
        with pytest.raises(ValueError, match=r"loss came back (as|complex)") as caught:
            lt.sample_line(lambda p: value, START, END, points=3, vectorize=vectorize)
        assert "\n" not in str(caught.value)
