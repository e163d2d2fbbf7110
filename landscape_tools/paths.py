"""Minimum-energy paths between two parameter points by the nudged elastic band.

Improved tangents and a climbing image (Henkelman & Jonsson 2000; Henkelman, Uberuaga & Jonsson 2000), moved by FIRE
(Bitzek et al. 2006) with its time step held below what the curvature met so far allows. A chain of images can step over
a narrow ridge between two of them, so the barrier is read off the straight pieces between the images, sampled densely;
`zooms` relax the stretch around the highest sample again with as many images. A barrier that vanishes here was none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict, Unpack

import torch
import xarray as xr
from torch import Tensor

from landscape_tools.entrance import between_two
from landscape_tools.evaluating import Evaluate, ScalarLoss, Vectorize, filled, values_and_gradients, values_of
from landscape_tools.finite import climb, rank
from landscape_tools.points import Point, check_alike, flatten, rows_of, unflatten
from landscape_tools.results import Result, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Progress = Callable[[int, int], None]
SAMPLED = 2**21
"""Numbers of a polygon's samples that are made at a time."""


@dataclass(frozen=True, repr=False)
class Path(Result):
    """A discrete path between two points.

    Attributes:
        points: name -> (images, ...), the ends included.
        losses: (images,) float64.
        position: (images,) share of the path's length walked, 0 to 1; `length` that length.
        walk, heights: (samples,) positions and losses sampled on the straight pieces between the images, images included.
        barrier: highest sample minus the loss at the start, never below 0: but for what lies between two samples, no lower than the best path's;
            `where` its position. Infinite where a sample is, NaN where one is NaN or the start is infinite.
        peak: the image of highest loss, the first that is NaN where one is.
        force: largest norm over the interior images of what should vanish on a minimum-energy path: the gradient
            across the path, and at the climbing image the whole gradient; of the last zoom. NaN for a curve, and where an image's loss or
            gradient is not finite: such an image is drawn between its neighbours.
        iterations: iterations taken; `converged` whether `force` fell below the tolerance.
    """

    points: dict[str, Tensor]
    losses: Tensor
    position: Tensor
    length: float
    walk: Tensor
    heights: Tensor
    barrier: float
    where: float
    peak: int
    force: float
    iterations: int
    converged: bool

    def plot(self, ax: Axes | None = None) -> Axes:
        """The loss along the path, with its images and its highest place."""
        ax = new_axes(ax)
        (line,) = ax.plot(self.walk.numpy(), self.heights.numpy())
        ax.plot(self.position.numpy(), self.losses.numpy(), "o", color=line.get_color())
        ax.axvline(self.where, color="grey", linewidth=0.5)
        ax.set(xlabel="share of the way", ylabel="loss", title=f"barrier {self.barrier:.4g}")
        return ax

    def to_dataset(self) -> xr.Dataset:
        """`height` over `walk`, and over the images their `loss` and `position`."""
        data = {
            "height": ("walk", self.heights.numpy()),
            "loss": ("image", self.losses.numpy()),
            "position": ("image", self.position.numpy()),
        }
        names = ("barrier", "where", "length", "peak", "force", "iterations")
        attrs = {name: getattr(self, name) for name in names} | {"converged": int(self.converged)}
        return xr.Dataset(data, coords={"walk": self.walk.numpy()}, attrs=attrs)


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
    """

    images: int
    iterations: int
    tolerance: float
    spring: float
    time_step: float
    climb_after: int
    zooms: int
    samples: int


BAND: Band = {
    "images": 15,
    "iterations": 500,
    "tolerance": 1e-3,
    "spring": 1.0,
    "time_step": 0.01,
    "climb_after": 50,
    "zooms": 0,
    "samples": 16,
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
    evaluate = values_and_gradients(loss, like, vectorize)
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
        tried_walk = _walk(tried, band["samples"])
        taken += more
        if rank(float(tried_heights.max())) < rank(float(heights.max())):
            chain, walk, heights, residual, reach = tried, tried_walk, tried_heights, force, 1
        elif reach == 1:
            reach = 4  # the ends of a short stretch may lie on the wrong side of the ridge
        else:
            break
    return summarise(chain, walk, heights, like, band["samples"], residual, taken, residual < band["tolerance"])


def straight(a: Tensor, b: Tensor, images: int) -> Tensor:
    """(images, n) evenly spaced points from `a` to `b`, both exactly."""
    t = torch.linspace(0, 1, images, dtype=torch.float64).unsqueeze(1)
    chain = (1 - t) * a + t * b
    chain[0], chain[-1] = a, b
    return chain


def resampled(chain: Tensor, images: int) -> Tensor:
    """`images` points spread evenly over the length of a polygon; its ends stay."""
    gaps = (chain[1:] - chain[:-1]).norm(dim=1)
    walked = torch.cat((gaps.new_zeros(1), gaps.cumsum(0)))
    wanted = torch.linspace(0, float(walked[-1]), images, dtype=chain.dtype)
    at = torch.searchsorted(walked, wanted[1:-1], right=True).clamp(1, len(gaps)) - 1
    share = ((wanted[1:-1] - walked[at]) / gaps[at].clamp_min(1e-300)).unsqueeze(1)
    return torch.cat((chain[:1], (1 - share) * chain[at] + share * chain[at + 1], chain[-1:]))


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


def sample_polygon(heights_of: Callable[[Tensor], Tensor], chain: Tensor, samples: int) -> tuple[Tensor, Tensor]:
    """Losses on the straight pieces of a polygon.

    Args:
        heights_of: (points, entries) -> (points,) losses.
        chain: (corners, entries).
        samples: points per piece, its first corner included.

    Returns:
        (pieces * samples + 1,) positions in [0, 1], and the losses there.
    """
    chain, t = chain.double(), _shares(samples).unsqueeze(-1)
    heights = []
    pieces = max(1, SAMPLED // max(1, samples * chain.shape[1]))  # so many at a time: a polygon of whole networks is larger than the caches
    for first in range(0, len(chain) - 1, pieces):
        corners = chain[first : first + pieces + 1]
        rows = torch.lerp(corners[:-1].unsqueeze(1), corners[1:].unsqueeze(1), t).flatten(0, 1)
        heights.append(heights_of(rows))
    return _walk(chain, samples), torch.cat((*heights, heights_of(chain[-1:])))


def _shares(samples: int) -> Tensor:
    return (torch.arange(samples, dtype=torch.float64) / samples).view(1, -1)


def _walk(chain: Tensor, samples: int) -> Tensor:
    """Positions in [0, 1] of `samples` points per piece and the last end."""
    t = _shares(samples)
    gaps = (chain[1:] - chain[:-1]).norm(dim=1)
    walked = torch.cat((gaps.new_zeros(1), gaps.cumsum(0)))
    walk = torch.cat((((1 - t) * walked[:-1].unsqueeze(1) + t * walked[1:].unsqueeze(1)).flatten(), walked[-1:]))
    return walk / walked[-1] if float(walked[-1]) else walk


def summarise(
    chain: Tensor, walk: Tensor, heights: Tensor, like: Point, samples: int, force: float, iterations: int, converged: bool
) -> Path:
    """A chain and its samples as a Path."""
    losses, position = heights[::samples], walk[::samples]
    top = int(heights.argmax())
    length = float((chain[1:] - chain[:-1]).norm(dim=1).sum())
    return Path(
        unflatten(chain, like), losses, position, length, walk, heights, climb(heights), float(walk[top]), int(losses.argmax()),
        force, iterations, converged,
    )  # fmt: skip
