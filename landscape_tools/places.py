"""Losses at places of a plane, each evaluated once, and what an interpolation misses of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from landscape_tools.chebyshev import Rectangle
from landscape_tools.entrance import check_steady, known, singly
from landscape_tools.evaluating import ScalarLoss, Vectorize
from landscape_tools.points import Point
from landscape_tools.sampling import AUTO_CHUNK, check_fit, evaluator

Array = np.ndarray[Any, Any]
Progress = Callable[[int, int], None]


class Places:
    """The loss at places of a plane.

    Args:
        loss: of one point.
        origin, directions: the plane, under the loss's names.
        corner: a place far from the origin.
        vectorize, most, progress: of :class:`landscape_tools.adaptive.Adaptive`.
    """

    def __init__(
        self,
        loss: ScalarLoss,
        origin: Point,
        directions: Sequence[Point],
        corner: tuple[float, float],
        vectorize: Vectorize,
        most: int,
        progress: Progress | None,
    ) -> None:
        check_fit(origin, directions)
        if known(loss) is None:
            alone = evaluator(loss, origin, directions, singly(vectorize), (), corner)
            check_steady(lambda: alone(torch.zeros(1, 2, dtype=torch.float64)))
        self._evaluate = evaluator(loss, origin, directions, vectorize, (), corner)
        self._found: dict[tuple[float, float], float] = {}
        self.most, self._progress = most, progress

    def __len__(self) -> int:
        return len(self._found)

    def take(self, places: Array) -> None:
        """Evaluate those that are not known yet."""
        new = list(dict.fromkeys(place for place in map(tuple, places.tolist()) if place not in self._found))
        for at in range(0, len(new), AUTO_CHUNK):
            piece = new[at : at + AUTO_CHUNK]
            values = self._evaluate(torch.tensor(piece, dtype=torch.float64))
            if set(values) != {"loss"}:
                raise ValueError(f"the loss returns {', '.join(values)}; an adaptive plane needs one scalar")
            self._found |= dict(zip(piece, values["loss"].tolist(), strict=True))
            if self._progress is not None:
                self._progress(min(len(self), self.most), self.most)

    @property
    def logarithmic(self) -> bool:
        """Whether all losses are positive; infinite ones and NaN do not count."""
        return all(value > 0 for value in self._found.values() if np.isfinite(value))

    def losses(self, places: Array) -> Array:
        """(m, 2) -> (m,)."""
        return np.array([self._found[place] for place in map(tuple, places.tolist())])

    def heights(self, places: Array) -> Array:
        """What is interpolated at the places."""
        losses = self.losses(places)
        return np.log(losses) if self.logarithmic else losses

    def misses(self, parts: Sequence[Rectangle], places: Array) -> Array:
        """(m, 2) -> (m,) misses there, as shares."""
        found = np.full(len(places), np.inf)
        finite = [value for value in self._found.values() if np.isfinite(value)]
        reach = max(max(finite) - min(finite), 1e-300) if finite else 1.0
        for part in parts:
            mine = part.has(places)
            if mine.any():
                with np.errstate(invalid="ignore"):  # what is infinite here misses by NaN, which counts as infinite
                    gaps = part.interpolated(self.heights(part.places()), places[mine]) - self.heights(places[mine])
                gaps = np.abs(np.expm1(gaps.clip(-700, 700)) if self.logarithmic else gaps / reach)
                found[mine] = np.where(np.isnan(gaps), np.inf, gaps)
        return found

    def worst(self, part: Rectangle, held: Array) -> float:
        """The largest miss of a rectangle at what is held out in it."""
        mine = held[part.has(held)]
        return float(self.misses([part], mine).max()) if len(mine) else 0.0
