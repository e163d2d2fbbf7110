"""Data lent to calls that may write into it."""

from __future__ import annotations

import copy
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map


def kept(data: Any) -> Any:
    """A copy of the data that nobody else has."""
    return data.detach().clone() if isinstance(data, Tensor) else copy.deepcopy(data)


def rows_drawn(data: Any, generator: torch.Generator, rows: int) -> Callable[[], Any] | None:
    """A function that gives so many rows of the data, drawn anew with putting back; None where they have no more, or tensors of other lengths."""
    counts = {len(leaf) if leaf.dim() else 0 for leaf in tree_leaves(data) if isinstance(leaf, Tensor)}
    if len(counts) != 1 or (count := min(counts)) <= rows:
        return None

    def drawn() -> Any:
        chosen = torch.randint(count, (rows,), generator=generator)
        return tree_map(lambda leaf: leaf[chosen.to(leaf.device)] if isinstance(leaf, Tensor) else leaf, data)

    return drawn


class Lent:
    """A copy of data, of which each thread gets its own, made anew only once a call has written into it.

    Writes are counted by PyTorch; where they may not be, every call gets a copy.
    """

    def __init__(self, data: Any) -> None:
        self.data = kept(data)
        self._counting = all(isinstance(part, Tensor) and not part.is_inference() for part in tree_leaves(self.data))
        self._threads = threading.local()

    def __call__(self) -> Any:
        """The data, in dicts and lists of its own."""
        if not self._counting or torch.is_inference_mode_enabled():  # what is made there counts no writes
            return kept(self.data)
        mine: tuple[Any, list[int]] | None = getattr(self._threads, "mine", None)
        if mine is None or _versions(mine[0]) != mine[1]:
            fresh = kept(self.data)
            mine = self._threads.mine = fresh, _versions(fresh)
        return mine[0] if isinstance(mine[0], Tensor) else tree_map(lambda part: part, mine[0])

    def look(self) -> None:
        """Find out, after a call, whether writes go uncounted, as by way of NumPy."""
        mine: tuple[Any, list[int]] | None = getattr(self._threads, "mine", None)
        if mine is not None and _versions(mine[0]) == mine[1]:
            self._counting = all(torch.equal(a, b) for a, b in zip(tree_leaves(mine[0]), tree_leaves(self.data), strict=True))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_threads"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _threads=threading.local())


class Met:
    """Points that were met lately, by their tensors and what was written into them since; they are not kept alive."""

    def __init__(self) -> None:
        self._points: deque[list[tuple[str, weakref.ref[Tensor], int]]] = deque(maxlen=8)

    def add(self, point: Mapping[str, Tensor]) -> None:
        """Remember a point."""
        if not any(value.is_inference() for value in point.values()):  # these count no writes
            self._points.append([(name, weakref.ref(value), value._version) for name, value in point.items()])

    def has(self, point: Mapping[str, Tensor]) -> bool:
        """Whether just these tensors were met, and are as they were."""
        mine = list(point.items())
        return any(
            len(met) == len(mine)
            and all(
                name == own and ref() is value and value._version == at for (name, ref, at), (own, value) in zip(met, mine, strict=True)
            )
            for met in list(self._points)
        )


def _versions(data: Any) -> list[int]:
    """How often each tensor of the data has been written into."""
    return [part._version for part in ([data] if isinstance(data, Tensor) else tree_leaves(data))]
