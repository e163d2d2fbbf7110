"""How much a batch counts in the mean over all data, so that batches together give what one batch of everything gives."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

Count = Callable[[Any], float]
"""A batch -> its weight, in any unit: elements, rows, labels that are not ignored."""
IGNORED = -100
"""What PyTorch's losses of classes ignore by default."""
CLASSES = (nn.CrossEntropyLoss, nn.NLLLoss, nn.functional.cross_entropy, nn.functional.nll_loss)
SAME = 1e-4
"""Relative difference that float32 may make."""


def summed(criterion: Any) -> bool:
    """Whether a criterion is a sum over its batch, so that the one over all data is the sum of all batches."""
    return bool(_setting(criterion, "reduction", "mean") == "sum")


def counts_of(criterion: Any) -> list[Count]:
    """Counts that may be right for a criterion, the likeliest first; None stands for the loss that a model returns, or a function of model and batch."""
    if criterion is None:
        return [_labels, functools.partial(_labels, shift=1), _rows]
    called = criterion.func if isinstance(criterion, functools.partial) else criterion
    if isinstance(called, CLASSES[:2]) or called in CLASSES[2:]:
        weight, ignored = _setting(criterion, "weight", None), _setting(criterion, "ignore_index", IGNORED)
        return [functools.partial(_classes, weight=weight, ignored=ignored)]
    return [_elements, _labels, _rows]


def fitting(counts: Sequence[Count], batch: Any, mean: Callable[[Any], float], near: float = SAME) -> list[Count]:
    """The counts by which a batch is the mean of its parts, wherever it is cut; all of them where a batch has no parts.

    Args:
        counts: that may be right.
        batch: tensors, in any nesting.
        mean: the loss of a batch.
        near: relative difference of a batch and its parts that rounding may make.
    """
    found, whole = list(counts), mean(batch)
    for parts in _cuts(batch):
        pieces = [mean(part) for part in parts]
        found = [count for count in found if _fits([float(count(part)) for part in parts], pieces, whole, near)]
    return found


def _fits(weights: list[float], pieces: list[float], whole: float, near: float) -> bool:
    total = sum(weights)
    counted = [(w, v) for w, v in zip(weights, pieces, strict=True) if w]  # a part that counts nothing has no mean
    together = sum(w * v for w, v in counted) / total if total else float("nan")
    return abs(together - whole) <= near * max(abs(whole), *(abs(v) for _, v in counted), 1e-12)


def differing(counts: Sequence[Count], one: Any, other: Any) -> bool:
    """Whether two batches count unlike by some of the counts: then it matters which is right."""
    shares = [(float(count(one)), float(count(other))) for count in counts]
    return any(abs(a * shares[0][1] - b * shares[0][0]) > 1e-9 * abs(a * shares[0][1]) for a, b in shares[1:])


def _setting(criterion: Any, name: str, default: Any) -> Any:
    if isinstance(criterion, functools.partial):
        return criterion.keywords.get(name, default)
    return getattr(criterion, name, default)


def _cuts(batch: Any) -> list[list[Any]]:
    """A batch cut in two at a third, half and two thirds of its rows; nowhere where its tensors do not have the same rows."""
    leaves = [leaf for leaf in tree_leaves(batch) if isinstance(leaf, Tensor)]
    rows = {len(leaf) if leaf.dim() else 0 for leaf in leaves}
    if len(rows) != 1 or (count := min(rows)) < 2:
        return []

    def cutting(first: int, last: int | None) -> Any:
        return tree_map(lambda leaf: leaf[first:last] if isinstance(leaf, Tensor) else leaf, batch)

    return [[cutting(0, at), cutting(at, None)] for at in sorted({max(1, count // 3), max(1, count // 2), max(1, 2 * count // 3)})]


def _classes(batch: Any, *, weight: Tensor | None, ignored: int) -> float:
    targets: Tensor = batch[-1]
    if targets.is_floating_point():  # shares of classes (rows, classes, ...): a mean over all but the classes
        return targets.numel() / (targets.shape[1] if targets.dim() > 1 else targets.shape[0])
    kept = targets[targets != ignored]
    return float(len(kept) if weight is None else weight.to(kept.device)[kept].sum())


def _elements(batch: Any) -> float:
    return float(sum(leaf.numel() for leaf in tree_leaves(batch[-1]) if isinstance(leaf, Tensor)))


def _rows(batch: Any) -> float:
    leaf = next(leaf for leaf in tree_leaves(batch) if isinstance(leaf, Tensor))
    return float(len(leaf))


def _labels(batch: Any, *, shift: int = 0) -> float:
    """Labels that are not ignored, without the first of each row where a model predicts the next one."""
    tensors = [leaf for leaf in tree_leaves(batch) if isinstance(leaf, Tensor)]
    labels = batch.get("labels") if isinstance(batch, Mapping) else tensors[-1] if len(tensors) > 1 else None
    if not isinstance(labels, Tensor) or labels.dim() == 0 or labels.is_floating_point() or labels.is_complex():
        return _rows(batch)
    return float(torch.count_nonzero(labels[..., shift:] != IGNORED))
