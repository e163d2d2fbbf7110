"""One call about two trained models: the line between them, the path around it, both spectra and certificates, a plane, and what to try next."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, TypedDict, Unpack

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from landscape_tools.adaptive import adaptive_plane
from landscape_tools.alignment import HiddenLayer, align
from landscape_tools.blindness import plane_misses
from landscape_tools.certificates import Certificate, certify
from landscape_tools.connections import connect
from landscape_tools.explanations import Explanation
from landscape_tools.lines import sample_line
from landscape_tools.modules import ModuleLoss, module_loss
from landscape_tools.options import filled
from landscape_tools.planes import three_point_axes
from landscape_tools.points import Point, difference, norm, trainable
from landscape_tools.polygons import Path
from landscape_tools.spectra import Curvature, spectrum
from landscape_tools.states import state_of
from landscape_tools.streams import data_loss

Array = np.ndarray[Any, Any]
Criterion = Callable[[Any, Any], Tensor]
Told = Callable[[str], None]
CERTIFIED = 2 * 10**5
"""Most parameters of a model that is certified."""


class Explaining(TypedDict, total=False):
    """Settings of :func:`explain`, given as keywords.

    Attributes:
        criterion: (outputs, targets) -> scalar; None takes cross entropy for whole numbers as targets, mean squares for others, and of data that are
            no pair of tensors the loss that the model returns.
        chain: hidden layers to align; None finds those of an `nn.Sequential` of linear layers and elementwise activations.
        points: of a line.
        iterations: most steps of the path.
        evaluations: most of the plane.
        seed: of all that is drawn.
        told: called with what is done next, in words.
    """

    criterion: Criterion | None
    chain: Sequence[HiddenLayer] | None
    points: int
    iterations: int
    evaluations: int
    seed: int
    told: Told | None


EXPLAINING: Explaining = {
    "criterion": None, "chain": None, "points": 41, "iterations": 600, "evaluations": 250, "seed": 0, "told": None,
}  # fmt: skip


def explain(model_a: nn.Module, model_b: nn.Module, data: Any, **settings: Unpack[Explaining]) -> Explanation:
    """Explain what lies between two trained models of one architecture.

    Args:
        model_a, model_b: neither is touched.
        data: (inputs, targets), a `DataLoader`, a `Dataset`, or a list of batches.
        settings: of :class:`Explaining`.

    Raises:
        ValueError: for models that differ in their tensors, or in more than their tensors, are the same, or data that fit neither.
    """
    how = filled(EXPLAINING, settings)
    told = how["told"] or (lambda _: None)
    told("loss")
    loss = _loss(model_a, data, how["criterion"])
    a, b = state_of(model_a), state_of(model_b)
    told("straight line")
    straight = sample_line(loss, a, b, points=how["points"])
    line = straight["loss"].values
    _check_second(line[-1], _loss(model_b, data, how["criterion"]), b)
    told("alignment")
    near, words = _aligned(model_a, loss, a, b, how["chain"])
    aligned = np.full(len(line), np.nan) if near is None else sample_line(loss, a, near, points=how["points"])["loss"].values
    end = b if near is None else near
    told("curve")
    path = connect(loss, a, end, iterations=how["iterations"], seed=how["seed"], bends=2)
    spectrum_a, certificate_a = _curved("first", loss, a, how["seed"], told)
    spectrum_b, certificate_b = _curved("second", loss, b, how["seed"], told)
    told("plane")
    first, second, _ = three_point_axes(a, end, _off_the_line(a, end, path, how["seed"]))
    plane = adaptive_plane(loss, a, first, second, (-0.25, 1.25), (-0.75, 0.75), most=how["evaluations"], seed=how["seed"])
    told("what the plane misses")
    misses = plane_misses(loss, a, first, second, seeds=4, whole=spectrum_a)
    return Explanation(
        straight["t"].values, line, aligned, _apart(a, b), _apart(a, end), words, path,
        spectrum_a, spectrum_b, certificate_a, certificate_b, plane, misses,
        float(line[0]), float(line[-1]),
    )  # fmt: skip


def _curved(name: str, loss: ModuleLoss, place: Point, seed: int, told: Told) -> tuple[Curvature, Certificate | None]:
    told(f"spectrum of the {name} model")
    found = spectrum(loss, place, count=2, probes=6, steps=20, copies=False, tolerance=1e-4, seed=seed)
    told(f"certificate of the {name} model")
    return found, certify(loss, place) if found.dimension <= CERTIFIED else None


def _check_second(found: float, own: ModuleLoss, place: Point) -> None:
    """Raise ValueError where the second model does not compute what the first does with the second's tensors."""
    with torch.no_grad():
        value = float(own(place))
    if not np.isclose(found, value, rtol=1e-3, atol=1e-7, equal_nan=True):
        raise ValueError(
            f"the second model's loss is {value:.6g}, and {found:.6g} with its tensors in the first: the two differ in more than parameters and "
            "buffers (a tensor or module that is not registered, a setting such as eps); make them alike, or register it"
        )


def _loss(model: nn.Module, data: Any, criterion: Criterion | None) -> ModuleLoss:
    pair = isinstance(data, (tuple, list)) and len(data) == 2 and all(isinstance(part, Tensor) for part in data)
    if criterion is None and not (isinstance(data, (DataLoader, Dataset, list)) and not pair and _own_loss(model, data)):
        sample = data[1] if pair else next(iter(DataLoader(data, 2) if isinstance(data, Dataset) else data))[-1]
        criterion = nn.functional.mse_loss if sample.is_floating_point() else nn.functional.cross_entropy
    if pair:
        assert criterion is not None
        return module_loss(model, criterion, *data)
    return data_loss(model, data, criterion)


def _own_loss(model: nn.Module, data: Any) -> bool:
    """Whether batches are dicts, which a model takes with its own loss."""
    return isinstance(next(iter(DataLoader(data, 2) if isinstance(data, Dataset) else data)), dict)


def _aligned(
    model: nn.Module, loss: ModuleLoss, a: Point, b: Point, chain: Sequence[HiddenLayer] | None
) -> tuple[dict[str, Tensor] | None, str]:
    """The copy of b nearest to a, or None, and what was done in words."""
    chain = chain_of(model) if chain is None else chain
    if not chain:
        return None, "It was not aligned: no chain of hidden layers was found; give chain=."
    try:
        found = align(b, a, chain, function=loss.outputs)
    except ValueError as error:  # data in batches have no outputs at once, and a layer may be held by something else
        return None, f"It was not aligned: {error}."
    return found, f"The units of {len(chain)} hidden {'layer' if len(chain) == 1 else 'layers'} were aligned."


def chain_of(model: nn.Module) -> list[HiddenLayer]:
    """The hidden layers of an `nn.Sequential` of linear layers with elementwise activations or dropout between; none for any other module."""
    if not isinstance(model, nn.Sequential):
        return []
    linear = [(str(name), part) for name, part in model.named_children() if isinstance(part, nn.Linear)]
    between = [part for part in model.children() if not isinstance(part, (nn.Linear, nn.Flatten))]
    if any(
        next(part.parameters(), None) is not None or isinstance(part, (nn.Softmax, nn.LogSoftmax)) for part in between[: len(linear) - 1]
    ):
        return []
    if any(one.out_features != two.in_features for (_, one), (_, two) in itertools.pairwise(linear)):
        return []
    return [
        HiddenLayer(f"{one}.weight", None if part.bias is None else f"{one}.bias", f"{two}.weight")
        for (one, part), (two, _) in itertools.pairwise(linear)
    ]


def _apart(one: Point, other: Point) -> float:
    return norm(difference({n: other[n] for n in trainable(one)}, trainable(one)))


def _off_the_line(start: Point, end: Point, path: Path, seed: int) -> dict[str, Tensor]:
    """The middle of the path, or where that is straight, a random place beside the line."""
    middle = {name: value[len(value) // 2] for name, value in path.points.items()}
    try:
        three_point_axes(start, end, middle)
    except ValueError:
        generator = torch.Generator().manual_seed(seed)
        drawn = {n: torch.randn(v.shape, generator=generator, dtype=torch.float64).to(v) for n, v in trainable(start).items()}
        length = _apart(start, end) / norm(drawn)
        return {**start, **{name: start[name] + length * value for name, value in drawn.items()}}
    return middle
