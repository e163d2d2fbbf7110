"""A loss of data in batches is the loss of all at once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import landscape_tools as lt

F = nn.functional
ROWS, CLASSES = 23, 3


def drawn() -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, real targets and classes, of which some are ignored."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, 4, generator=generator, dtype=torch.float64)
    classes = torch.randint(CLASSES, (ROWS,), generator=generator)
    classes[[0, 1, 2, 9, 20]] = -100
    return x, torch.randn(ROWS, CLASSES, generator=generator, dtype=torch.float64), classes


def net() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, CLASSES)).double()
    model(torch.randn(30, 4).double())
    return model


WEIGHTS = torch.tensor([0.2, 1.0, 5.0], dtype=torch.float64)
CRITERIA: dict[str, tuple[Callable[[Any, Any], Tensor], str]] = {
    "mean squares": (F.mse_loss, "real"),
    "sum of squares": (nn.MSELoss(reduction="sum"), "real"),
    "classes, some ignored": (F.cross_entropy, "classes"),
    "classes with weights": (nn.CrossEntropyLoss(weight=WEIGHTS, label_smoothing=0.1), "classes"),
    "another class ignored": (functools.partial(F.cross_entropy, weight=WEIGHTS, ignore_index=2), "none ignored"),
    "shares of classes": (F.cross_entropy, "shares"),
    "logarithms": (lambda o, y: nn.NLLLoss(weight=WEIGHTS)(o.log_softmax(1), y), "none ignored, unweighted"),
    "rows": (lambda o, y: (o - y).square().sum(1).mean(), "real"),
}


def targets_of(kind: str) -> Tensor:
    _, real, classes = drawn()
    return {"real": real, "classes": classes, "shares": real.softmax(1)}.get(kind, classes.clamp_min(0))


@pytest.mark.parametrize("name", [name for name in CRITERIA if name != "logarithms"])
def test_batches_together_are_all_at_once(name: str) -> None:
    criterion, kind = CRITERIA[name]
    model, x, y = net(), drawn()[0], targets_of(kind)
    whole = lt.module_loss(model, criterion, x, y)
    data = TensorDataset(x, y)
    cut = [(x[start:end], y[start:end]) for start, end in ((0, 3), (3, 17), (17, 18), (18, ROWS))]
    end = lt.moved(whole.point, [lt.random_axes(whole.point)[0]], (0.5,))
    wanted = lt.sample_line(whole, whole.point, end, points=5)["loss"].values
    for batches in (cut, cut[::-1], DataLoader(data, 5, shuffle=True), data):
        loss = lt.data_loss(model, batches, criterion, batch_size=7)
        assert loss.point.keys() == whole.point.keys()
        for vectorize in ("loop", "vmap" if isinstance(batches, list) else "auto"):
            line = lt.sample_line(loss, loss.point, end, points=5, vectorize=vectorize)["loss"].values
            assert line == pytest.approx(wanted, rel=1e-9)


def test_gradients_and_curvature_are_those_of_all_at_once() -> None:
    model, x, y = net(), drawn()[0], drawn()[2]
    criterion = nn.CrossEntropyLoss(weight=WEIGHTS)
    whole = lt.module_loss(model, criterion, x, y, buffers="keep")
    loss = lt.data_loss(model, TensorDataset(x, y), criterion, batch_size=6, buffers="keep")
    moving = lt.trainable(whole.point)
    row = lt.flatten(moving).unsqueeze(0)
    values, gradients = loss.with_gradients(row, moving)
    at = row[0].clone().requires_grad_()
    value = whole(lt.unflatten(at, moving))
    (gradient,) = torch.autograd.grad(value, at)
    assert float(values[0]) == pytest.approx(float(value.detach()), rel=1e-12)
    assert torch.allclose(gradients[0], gradient, rtol=1e-10, atol=1e-14)
    end = lt.moved(whole.point, [lt.random_axes(whole.point)[0]], (0.5,))
    one, two = (lt.elastic_band(f, whole.point, end, images=4, iterations=3) for f in (whole, loss))
    assert torch.allclose(one.heights, two.heights, rtol=1e-8)
    spectra = [lt.spectrum(f, whole.point, count=2) for f in (whole, loss)]
    assert spectra[0].highest == pytest.approx(spectra[1].highest, rel=1e-9)
    found = lt.converge(loss, whole.point, iterations=3)
    assert found.loss < found.start
    with pytest.raises(ValueError, match="no outputs at once"):
        loss.composite()


class Language(nn.Module):
    """Predicts the next token, and gives its own loss, as Hugging Face's models do."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.table, self.head = nn.Embedding(7, 4), nn.Linear(4, 7)

    def forward(self, input_ids: Tensor, labels: Tensor) -> Any:
        logits = self.head(self.table(input_ids).cumsum(1))
        return SimpleNamespace(loss=F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten()), logits=logits)


def test_models_that_give_their_own_loss() -> None:
    tokens = torch.randint(7, (12, 6), generator=torch.Generator().manual_seed(1))
    labels = tokens.clone()
    labels[:7, :3], labels[9, :] = -100, -100
    model = Language()
    batches = [{"input_ids": tokens[a:b], "labels": labels[a:b]} for a, b in ((0, 8), (8, 9), (9, 10), (10, 12))]
    loss = lt.data_loss(model, batches)
    assert float(loss(loss.point)) == pytest.approx(float(model(tokens, labels).loss.detach()), rel=1e-6)
    for returned in (lambda found: {"loss": found.loss}, lambda found: {"logits": found.logits}):

        class Other(Language):
            def forward(self, input_ids: Tensor, labels: Tensor, returned: Any = returned) -> Any:
                return returned(super().forward(input_ids, labels))

        if "loss" in returned(SimpleNamespace(loss=0, logits=0)):
            other = lt.data_loss(Other(), batches)
            assert float(other(loss.point)) == pytest.approx(float(loss(loss.point)), rel=1e-6)
        else:
            with pytest.raises(ValueError, match="the model returns no loss of its own"):
                lt.data_loss(Other(), batches)


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(4, CLASSES).double()

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        out: Tensor = self.head(x.mul_(scale.unsqueeze(1)))  # writes into its inputs
        return out


def test_inputs_in_tuples_and_dicts_and_a_loss_of_model_and_batch() -> None:
    model, (x, y, _), scale = Two(), drawn(), torch.linspace(1, 2, ROWS).double()
    expected = float(F.mse_loss(model(x.clone(), scale), y).detach())
    before = x.clone()
    cuts = [slice(0, 9), slice(9, 11), slice(11, ROWS)]
    forms: dict[str, list[Any]] = {
        "flat": [(x[c], scale[c], y[c]) for c in cuts],
        "nested": [((x[c], scale[c]), y[c]) for c in cuts],
        "by name": [({"x": x[c], "scale": scale[c]}, y[c]) for c in cuts],
    }
    for batches in forms.values():
        loss = lt.data_loss(model, batches, F.mse_loss)
        assert [float(loss(loss.point)) for _ in range(2)] == pytest.approx([expected] * 2)

    def own(module: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        return F.mse_loss(module(batch["x"], batch.pop("scale")), batch["y"])

    batches = [{"x": x[c], "scale": scale[c], "y": y[c]} for c in cuts]
    loss = lt.data_loss(model, batches, loss=own)
    assert float(loss(loss.point)) == pytest.approx(expected)
    assert float(loss({name: 2 * value for name, value in loss.point.items()})) != pytest.approx(expected)
    assert torch.equal(x, before)
    assert all("scale" in batch for batch in batches)


def test_what_cannot_be_counted_is_said() -> None:
    model, x, y = net(), drawn()[0], targets_of("none ignored, unweighted")
    batches = [(x[:10], y[:10]), (x[10:], y[10:])]
    criterion = CRITERIA["logarithms"][0]
    with pytest.raises(ValueError, match="by rows, elements or labels; give count="):
        lt.data_loss(model, batches, criterion)
    counted = lt.data_loss(model, batches, criterion, count=lambda batch: float(WEIGHTS[batch[1]].sum()))
    assert float(counted(counted.point)) == pytest.approx(float(lt.module_loss(model, criterion, x, y)(counted.point)), rel=1e-12)
    for call, words in {
        lambda: lt.data_loss(model, iter(batches), F.cross_entropy): "an iterator, which ends after one pass",
        lambda: lt.data_loss(model, [], F.cross_entropy): "no batch that counts",
        lambda: lt.data_loss(model, [(x, 0 * y - 100)], F.cross_entropy): "no batch that counts|by rows, elements",
        lambda: lt.data_loss(model, [x], F.cross_entropy): "needs batches of inputs and targets",
        lambda: lt.data_loss(model, batches, F.cross_entropy, loss=lambda m, b: m(b[0]).sum()): "not both",
        lambda: lt.data_loss(model, batches, F.cross_entropy, buffers="batch"): "choose interpolate or keep",
        lambda: lt.data_loss(model, batches, lambda o, t: o): "one scalar",
        lambda: lt.data_loss(model, DataLoader(TensorDataset(x, y), 5, shuffle=True, drop_last=True), F.cross_entropy): "it is random",
    }.items():
        with pytest.raises(ValueError, match=words) as error:
            call()
        assert "\n" not in str(error.value)


def crossed(outputs: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(outputs, labels)


@pytest.mark.parametrize("by", [{"criterion": crossed}, {"loss": lambda net, batch: crossed(net(batch[0]), batch[1])}])
def test_ignored_labels_of_a_function_count_nothing(by: dict[str, Any]) -> None:
    """Also where a first batch has none of them, or as many in each third, so that rows would do for it."""
    generator = torch.Generator().manual_seed(0)
    net, x, y = nn.Linear(6, 3).double(), torch.randn(24, 6, generator=generator).double(), torch.arange(24) % 3
    thirds, later = y.clone(), y.clone()
    thirds[:9:4], thirds[10:20] = -100, -100
    later[9:22] = -100
    for labels in (thirds, later):
        batches = [(x[:9], labels[:9]), (x[9:], labels[9:])]
        loss = lt.data_loss(net, batches, **by)
        assert float(loss(loss.point)) == pytest.approx(float(F.cross_entropy(net(x), labels).detach()), rel=1e-12)


def test_a_count_has_to_fit_wherever_a_batch_is_cut() -> None:
    """A mean with weights by class in a function is none by rows, though it may be at one cut."""
    net, x, y = nn.Linear(6, 3).double(), torch.randn(9, 6).double(), torch.tensor([0, 1, 0, 0, 1, 0, 1, 1, 1])
    weight = torch.tensor([1.0, 3.0, 1.0]).double()
    with pytest.raises(ValueError, match="not the mean of its parts"):
        lt.data_loss(net, [(x, y)], loss=lambda m, batch: F.cross_entropy(m(batch[0]), batch[1], weight=weight))
