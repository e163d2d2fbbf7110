"""Minimum-energy paths between two parameter points by the nudged elastic band.

Improved tangents and a climbing image (Henkelman & Jonsson 2000; Henkelman, Uberuaga & Jonsson 2000), moved by FIRE
(Bitzek et al. 2006) with its time step held below what the curvature met so far allows. A chain of images can step over
a narrow ridge between two of them, so the barrier is read off the straight pieces between the images, sampled densely;
`zooms` relax the stretch around the highest sample again with as many images. A barrier that vanishes here was none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict, Unpack

import torch
from torch import Tensor

from landscape_tools.entrance import between_two
from landscape_tools.evaluating import Evaluate, ScalarLoss, Vectorize, values_and_gradients, values_of
from landscape_tools.finite import rank
from landscape_tools.options import filled
from landscape_tools.points import Point, check_alike, flatten, rows_of
from landscape_tools.polygons import Path, positions, resampled, sample_polygon, straight, summarise

Progress = Callable[[int, int], None]


class Band(TypedDict, total=False):
    """Settings of an elastic band, given to :func:`elastic_band` as keywords.

    Attributes:
        images: points of the chain, ends included, at least 3.
        iterations: most FIRE iterations of the chain and of each zoom.
        tolerance: of :attr:`Path.force`.
        spring: spring constant that spreads the images along the path.
        time_step: FIRE's first time step; it adapts up to ten times that.
        climb_after: iteration from which the highest image climbs along the path, of every zoom or, without zooms, of the chain.
        zooms: times that the stretch around the highest sample is relaxed again, as long as that lowers the barrier.
        samples: points sampled per straight piece.
        chunk: points of the chain whose gradients are taken at a time; None takes all. The memory of a band goes by it.
    """

    images: int
    iterations: int
    tolerance: float
    spring: float
    time_step: float
    climb_after: int
    zooms: int
    samples: int
    chunk: int | None


BAND: Band = {
    "images": 15,
    "iterations": 500,
    "tolerance": 1e-3,
    "spring": 1.0,
    "time_step": 0.01,
    "climb_after": 50,
    "zooms": 0,
    "samples": 16,
    "chunk": None,
}


@between_two
def elastic_band(
    loss: ScalarLoss,
    start: Point,
    end: Point,
    *,
    exact: ScalarLoss | None = None,
    vectorize: Vectorize = "auto",
    middle: Point | None = None,
    guess: Point | None = None,
    progress: Progress | None = None,
    **settings: Unpack[Band],
) -> Path:
    """Relax a chain of points between `start` and `end` to a minimum-energy path (Henkelman, Uberuaga & Jonsson 2000).

    Args:
        loss: pure function of one point to a scalar; freeze blocks by leaving them out of the points. Where the loss has
            kinks, give a smoothed one.
        start, end: the fixed ends, best minima of the loss.
        exact: the loss that barriers are read off; `loss` by default.
        vectorize: how both take many points: "auto", "vmap", "batched" or "loop" (:mod:`landscape_tools.evaluating`).
        middle: bend the first guess through this point; straight by default.
        guess: the whole first guess, name -> (points, ...), in place of a straight or bent one; spread over `images` points.
        progress: called with (iterations taken, iterations in all).
        settings: of :class:`Band`.

    Raises:
        ValueError: for fewer than 3 images or ends that do not fit.
    """
    band = filled(BAND, settings)
    if band["images"] < 3:
        raise ValueError(f"a path of {band['images']} images; it needs at least 3")
    if band["samples"] < 1:
        raise ValueError(f"a path of {band['samples']} samples per piece; it needs at least 1")
    check_alike(start, end)
    like = dict(start)
    for name, value in {} if guess is None else guess.items():
        if name in like and value.shape[1:] != like[name].shape:
            raise ValueError(f"{name} of the guess is {tuple(value.shape)}; it must be (points, {', '.join(map(str, like[name].shape))})")
    evaluate = values_and_gradients(loss, like, vectorize, band["chunk"])
    heights_of = values_of(exact or loss, like, vectorize)
    a, b = flatten(start).detach().double(), flatten(end).detach().double()
    chain = straight(a, b, band["images"])
    if middle is not None:
        centre = flatten(middle).detach().double()
        half = band["images"] // 2
        chain = torch.cat((straight(a, centre, half + 1)[:-1], straight(centre, b, band["images"] - half)))
    if guess is not None:
        rows = rows_of({name: guess[name].detach() for name in like}).double()
        chain = resampled(torch.cat((a.unsqueeze(0), rows[1:-1], b.unsqueeze(0))), band["images"])

    def tick(stage: int) -> Callable[[int], None]:
        return lambda count: (
            progress(stage * band["iterations"] + count, (band["zooms"] + 1) * band["iterations"]) if progress is not None else None
        )

    # On rough ground an image that climbs before the chain lies in the valley climbs away, so with zooms only they climb.
    first_climb = band["climb_after"] if band["zooms"] == 0 else band["iterations"]
    chain, residual, taken = _relax(evaluate, chain, band, first_climb, tick(0))
    walk, heights = sample_polygon(heights_of, chain, band["samples"])
    reach = 1
    for zoom in range(band["zooms"]):
        top = int(heights.argmax())
        if heights[top] <= max(heights[0], heights[-1]) + 1e-12:
            break  # nothing stands above the ends
        piece = min(top // band["samples"], len(chain) - 2)
        first, last = max(0, piece - reach), min(len(chain) - 1, piece + 1 + reach)
        part = resampled(chain[first : last + 1], band["images"])
        finer, force, more = _relax(evaluate, part, band, band["climb_after"], tick(zoom + 1))
        tried = torch.cat((chain[:first], finer, chain[last + 1 :]))
        _, anew = sample_polygon(heights_of, finer, band["samples"])  # the rest of the chain stands where it stood
        tried_heights = torch.cat((heights[: first * band["samples"]], anew, heights[last * band["samples"] + 1 :]))
        tried_walk = positions(tried, band["samples"])
        taken += more
        if rank(float(tried_heights.max())) < rank(float(heights.max())):
            chain, walk, heights, residual, reach = tried, tried_walk, tried_heights, force, 1
        elif reach == 1:
            reach = 4  # the ends of a short stretch may lie on the wrong side of the ridge
        else:
            break
    return summarise(chain, walk, heights, like, band["samples"], residual, taken, residual < band["tolerance"])


def _tangents(images: Tensor, losses: Tensor) -> Tensor:
    """Unit tangents of the interior images: towards the higher neighbour, mixed where the loss turns."""
    ahead, behind = images[2:] - images[1:-1], images[1:-1] - images[:-2]
    up, down = losses[2:] - losses[1:-1], losses[:-2] - losses[1:-1]
    larger, smaller = torch.maximum(up.abs(), down.abs()), torch.minimum(up.abs(), down.abs())
    rising = losses[2:] > losses[:-2]
    one_way_up, one_way_down = (up > 0) & (down < 0), (up < 0) & (down > 0)
    one_way = one_way_up | one_way_down
    share = torch.where(one_way, one_way_up.to(up), torch.where(rising, larger, smaller))
    rest = torch.where(one_way, one_way_down.to(up), torch.where(rising, smaller, larger))
    tangent: Tensor = share.unsqueeze(1) * ahead + rest.unsqueeze(1) * behind
    length: Tensor = torch.linalg.vector_norm(tangent, dim=1, keepdim=True)
    if not bool(length.isfinite().all()):  # beside a loss that is not finite: straight on
        tangent = torch.where(length.isfinite(), tangent, ahead + behind)
        length = torch.linalg.vector_norm(tangent, dim=1, keepdim=True)
    return tangent.div_(length.clamp_min(1e-300))


MOVE_LIMIT = 0.1
"""Most that an image moves per iteration, in mean gaps between images."""


def _relax(evaluate: Evaluate, chain: Tensor, band: Band, climb_after: int, tick: Callable[[int], None]) -> tuple[Tensor, float, int]:
    """FIRE on the band's forces; returns (chain, residual force, iterations)."""
    velocity = torch.zeros_like(chain[1:-1])
    step, mixing, downhill, residual, taken, curvature = band["time_step"], 0.1, 0, float("inf"), 0, 0.0
    losses, gradients, lost = _forces(evaluate, chain)
    for taken in range(1, band["iterations"] + 1):
        tangent = _tangents(chain, torch.where(losses.isnan(), torch.inf, losses))
        inner = gradients[1:-1]
        along = (inner * tangent).sum(1, keepdim=True)
        force = (along * tangent).sub_(inner)
        across = torch.linalg.vector_norm(force, dim=1).masked_fill(lost, torch.nan)
        gaps = torch.linalg.vector_norm(chain[1:] - chain[:-1], dim=1)
        force.addcmul_((band["spring"] * (gaps[1:] - gaps[:-1])).unsqueeze(1), tangent)
        if bool(lost.any()):
            taut = band["spring"] * (chain[2:] - 2 * chain[1:-1] + chain[:-2])
            force = torch.where(lost.unsqueeze(1), taut, force)
        top = int(losses[1:-1].masked_fill(lost, -torch.inf).argmax())
        if not bool(lost[top]) and taken > climb_after and float(losses[top + 1]) > max(float(losses[0]), float(losses[-1])):
            force[top] = -inner[top] + 2 * along[top] * tangent[top]
            across[top] = inner[top].norm()
        residual = float(across.max())
        if residual < band["tolerance"] and taken > min(climb_after, band["iterations"] // 2):
            break
        # FIRE: steer the velocity along the force, speed up downhill, stop dead when the force points back.
        power = float(torch.dot(force.flatten(), velocity.flatten()))
        if power > 0:
            turn = mixing * float(torch.linalg.vector_norm(velocity)) / max(float(torch.linalg.vector_norm(force)), 1e-300)
            velocity = velocity.mul_(1 - mixing).add_(force, alpha=turn)
            downhill += 1
            if downhill > 5:
                step, mixing = min(step * 1.1, 10 * band["time_step"]), mixing * 0.99
        else:
            velocity, step, mixing, downhill = velocity.zero_(), step * 0.5, 0.1, 0
        velocity.add_(force, alpha=step)
        # A step beyond 1 / sqrt(curvature) oscillates; one beyond the gap between images tangles the chain.
        move = (step if curvature == 0 else min(step, curvature**-0.5)) * velocity
        length = torch.linalg.vector_norm(move, dim=1, keepdim=True)
        cut = (MOVE_LIMIT * float(gaps.mean()) / length.clamp_min(1e-300)).clamp_max(1.0)
        move.mul_(cut)
        before = inner
        chain = torch.cat((chain[:1], chain[1:-1] + move, chain[-1:]))
        losses, gradients, lost = _forces(evaluate, chain)
        met = torch.linalg.vector_norm(gradients[1:-1] - before, dim=1) / (length * cut).squeeze(1).clamp_min(1e-12)
        curvature = max(0.97 * curvature, float(met.max()))
        tick(taken)
    return chain, residual, taken


def _forces(evaluate: Evaluate, chain: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Losses (images,), gradients (images, n), and which interior images have one that is not finite: they have none to follow."""
    losses, gradients = evaluate(chain)
    known = losses.isfinite() & torch.linalg.vector_norm(gradients, dim=1).isfinite()
    if not bool(known.all()):
        gradients = torch.where(known.unsqueeze(1), gradients, 0.0)
    return losses, gradients, ~known[1:-1]
