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
    """Counts that may be right for a criterion, the likeliest first; None stands for the loss that a model returns."""
    if criterion is None:
        return [_labels, functools.partial(_labels, shift=1), _rows]
    called = criterion.func if isinstance(criterion, functools.partial) else criterion
    if isinstance(called, CLASSES[:2]) or called in CLASSES[2:]:
        weight, ignored = _setting(criterion, "weight", None), _setting(criterion, "ignore_index", IGNORED)
        return [functools.partial(_classes, weight=weight, ignored=ignored)]
    return [_elements, _rows]


def fitting(counts: Sequence[Count], batch: Any, mean: Callable[[Any], float], near: float = SAME) -> Count | None:
    """The first count by which a batch is the mean of its parts; None where there is none. Where a batch has no parts, the first.

    Args:
        counts: at least one.
        batch: tensors, in any nesting.
        mean: the loss of a batch.
        near: relative difference of a batch and its parts that rounding may make.
    """
    parts = _parts(batch)
    if parts is None:
        return counts[0]
    whole, pieces = mean(batch), [mean(part) for part in parts]
    for count in counts:
        weights = [float(count(part)) for part in parts]
        total = sum(weights)
        # A part that counts nothing has no mean.
        together = sum(w * v for w, v in zip(weights, pieces, strict=True) if w) / total if total else float("nan")
        if abs(together - whole) <= near * max(abs(whole), *(abs(v) for v, w in zip(pieces, weights, strict=True) if w), 1e-12):
            return count
    return None


def _setting(criterion: Any, name: str, default: Any) -> Any:
    if isinstance(criterion, functools.partial):
        return criterion.keywords.get(name, default)
    return getattr(criterion, name, default)


def _parts(batch: Any) -> list[Any] | None:
    """The first third of the rows of a batch, and the others; None where its tensors do not have the same rows."""
    leaves = [leaf for leaf in tree_leaves(batch) if isinstance(leaf, Tensor)]
    rows = {len(leaf) if leaf.dim() else 0 for leaf in leaves}
    if len(rows) != 1 or min(rows) < 2:
        return None
    cut = max(1, min(rows) // 3)

    def cutting(first: int, last: int | None) -> Any:
        return tree_map(lambda leaf: leaf[first:last] if isinstance(leaf, Tensor) else leaf, batch)

    return [cutting(0, cut), cutting(cut, None)]


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
    labels = batch.get("labels") if isinstance(batch, Mapping) else None
    if not isinstance(labels, Tensor):
        return _rows(batch)
    return float(torch.count_nonzero(labels[..., shift:] != IGNORED))
