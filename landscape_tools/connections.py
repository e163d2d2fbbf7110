"""Curves and polygons between two points from minibatches: as many bends as are needed, at the cost of a training step each.

Every step draws a place on the curve and a batch, and moves what bends the curve along the gradient there (Garipov et al. 2018). The curve is kept in
the dtype of the points. Its barrier is read off the whole loss between images of it, not off batches, and it ends as soon as that is small enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, TypedDict, Unpack

import torch
from torch import Tensor

from landscape_tools.differentiable import differentiated
from landscape_tools.entrance import between_two
from landscape_tools.evaluating import ScalarLoss, Vectorize, values_of
from landscape_tools.options import filled
from landscape_tools.paths import Progress
from landscape_tools.points import Point, check_alike, flatten, unflatten
from landscape_tools.polygons import Path, sample_polygon, summarise

Kind = Literal["bezier", "polygon"]
LOOKS = 10
"""Times that the whole loss is looked at on the way, after equal numbers of steps."""


class Connection(TypedDict, total=False):
    """Settings of a stochastic connection, given to :func:`connect` as keywords.

    Attributes:
        kind: "bezier", one smooth curve, or "polygon", straight pieces.
        bends: points that bend it, at least 1.
        iterations: most steps.
        rate: Adam's learning rate; it falls to a hundredth by the last step, along half a cosine.
        batch: rows of a step for a `module_loss`; a `data_loss` has its own batches, any other loss is whole.
        tolerance: barrier at which it ends.
        images: points of the result, ends included, at least 3.
        samples: points sampled per straight piece between two images.
        seed: of places and batches.
    """

    kind: Kind
    bends: int
    iterations: int
    rate: float
    batch: int
    tolerance: float
    images: int
    samples: int
    seed: int


CONNECTION: Connection = {
    "kind": "bezier", "bends": 1, "iterations": 1000, "rate": 0.01, "batch": 128, "tolerance": 1e-3, "images": 15, "samples": 4, "seed": 0,
}  # fmt: skip


def connect(
    loss: ScalarLoss,
    start: Point,
    end: Point,
    *,
    vectorize: Vectorize = "auto",
    progress: Progress | None = None,
    **settings: Unpack[Connection],
) -> Path:
    """A curve of low loss from `start` to `end`, found by stochastic steps (Garipov et al. 2018).

    Networks trained apart lie in copies of a valley: give `align`'s copy of one of them, and there is less to go round.

    Args:
        loss: as in :func:`landscape_tools.paths.elastic_band`; of a `module_loss` or `data_loss` a step sees one batch.
        start, end: the fixed ends.
        vectorize: how the whole loss takes many points.
        progress: called with (steps taken, steps at most).
        settings: of :class:`Connection`.

    Returns:
        the lowest of the curves that were looked at; `converged` tells whether its barrier is within the tolerance, `force` is NaN.

    Raises:
        ValueError: for settings out of their range, or ends that do not fit.
    """
    chosen = filled(CONNECTION, settings)
    if chosen["kind"] not in ("bezier", "polygon"):
        raise ValueError(f"kind is {chosen['kind']!r}; choose bezier or polygon")
    values: dict[str, Any] = {**chosen}
    for name, least in (("bends", 1), ("iterations", 1), ("batch", 1), ("images", 3), ("samples", 1)):
        if values[name] < least:
            raise ValueError(f"{name} is {values[name]}; it must be at least {least}")
    generator = torch.Generator().manual_seed(chosen["seed"])
    drawing: Callable[..., Callable[[], ScalarLoss]] = getattr(loss, "drawing", lambda *_: lambda: loss)
    drawn = drawing(generator, chosen["batch"])

    def noisy(point: dict[str, Tensor]) -> Tensor:
        return drawn()(point)

    return _connected(loss, start, end, noisy=noisy, vectorize=vectorize, progress=progress, chosen=chosen, generator=generator)


@between_two
def _connected(
    loss: ScalarLoss,
    start: Point,
    end: Point,
    *,
    noisy: ScalarLoss,
    vectorize: Vectorize,
    progress: Progress | None,
    chosen: Connection,
    generator: torch.Generator,
) -> Path:
    check_alike(start, end)
    like, bends, steps = dict(start), chosen["bends"], chosen["iterations"]
    shares_at = _bernstein if chosen["kind"] == "bezier" else _hats
    ends = torch.stack([flatten(point).detach() for point in (start, end)])
    inner = torch.linspace(0, 1, bends + 2)[1:-1].to(ends).unsqueeze(1)
    corners = (1 - inner) * ends[0] + inner * ends[1]
    optimiser = torch.optim.Adam([corners], lr=chosen["rate"])
    heights_of = values_of(loss, like, vectorize)
    walk_at = torch.linspace(0, 1, chosen["images"], dtype=torch.float64)
    every = max(1, math.ceil(steps / LOOKS))
    best: tuple[Tensor, Tensor, Tensor] | None = None
    taken = 0

    def look() -> tuple[Tensor, Tensor, Tensor]:
        shares = shares_at(walk_at, bends + 2).to(ends)
        chain = shares @ torch.cat((ends[:1], corners, ends[1:]))
        chain[0], chain[-1] = ends[0], ends[1]
        return (chain, *sample_polygon(heights_of, chain, chosen["samples"]))

    for taken in range(1, steps + 1):
        for group in optimiser.param_groups:
            group["lr"] = chosen["rate"] * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (taken - 1) / steps)))
        place = torch.rand(1, generator=generator, dtype=torch.float64)
        shares = shares_at(place, bends + 2)[0].to(ends)
        at = (shares[0] * ends[0] + shares[1:-1] @ corners + shares[-1] * ends[1]).requires_grad_()
        with differentiated():
            (slope,) = torch.autograd.grad(noisy(unflatten(at, like)), at)
        if math.isfinite(float(slope.sum())):  # NaN and infinities stay what they are in a sum
            corners.grad = shares[1:-1].unsqueeze(1) * slope
            optimiser.step()
        if progress is not None:
            progress(taken, steps)
        if taken % every == 0 or taken == steps:
            found = look()
            if best is None or _top(found) < _top(best):
                best = found
            if _top(best) - float(best[2][0]) <= chosen["tolerance"]:
                break
    assert best is not None
    chain, walk, heights = best
    met = _top(best) - float(heights[0]) <= chosen["tolerance"]
    return summarise(chain, walk, heights, like, chosen["samples"], float("nan"), taken, met)


def _top(found: tuple[Tensor, Tensor, Tensor]) -> float:
    return float(found[2].nan_to_num(torch.inf).max())


def _bernstein(t: Tensor, count: int) -> Tensor:
    """(m,) -> (m, count): what each point of a Bezier curve counts at t."""
    n = count - 1
    return torch.stack([math.comb(n, k) * t**k * (1 - t) ** (n - k) for k in range(count)], 1)


def _hats(t: Tensor, count: int) -> Tensor:
    """The same of a polygon's corners."""
    gaps = t.unsqueeze(1) * (count - 1) - torch.arange(count, dtype=t.dtype, device=t.device)
    found: Tensor = (1 - gaps.abs()).clamp_min(0)
    return found
