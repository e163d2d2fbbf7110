"""Chains of points: straight or bent polygons, evenly spread, sampled, and what a path says of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import xarray as xr
from torch import Tensor

from landscape_tools.finite import climb
from landscape_tools.points import Point, unflatten
from landscape_tools.results import Result, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
        (line,) = ax.plot(self.walk.numpy(), self.heights.numpy(), label="path")
        ax.plot(self.position.numpy(), self.losses.numpy(), "o", color=line.get_color(), label="its images")
        ax.axvline(self.where, color="grey", linewidth=0.5, label="its highest place")
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


def straight(a: Tensor, b: Tensor, images: int) -> Tensor:
    """(images, n) evenly spaced points from `a` to `b`, both exactly."""
    t = torch.linspace(0, 1, images, dtype=torch.float64, device=a.device).unsqueeze(1)
    chain = (1 - t) * a + t * b
    chain[0], chain[-1] = a, b
    return chain


def resampled(chain: Tensor, images: int) -> Tensor:
    """`images` points spread evenly over the length of a polygon; its ends stay."""
    gaps = (chain[1:] - chain[:-1]).norm(dim=1)
    walked = torch.cat((gaps.new_zeros(1), gaps.cumsum(0)))
    wanted = torch.linspace(0, float(walked[-1]), images, dtype=chain.dtype, device=chain.device)
    at = torch.searchsorted(walked, wanted[1:-1], right=True).clamp(1, len(gaps)) - 1
    share = ((wanted[1:-1] - walked[at]) / gaps[at].clamp_min(1e-300)).unsqueeze(1)
    return torch.cat((chain[:1], (1 - share) * chain[at] + share * chain[at + 1], chain[-1:]))


def sample_polygon(heights_of: Callable[[Tensor], Tensor], chain: Tensor, samples: int) -> tuple[Tensor, Tensor]:
    """Losses on the straight pieces of a polygon.

    Args:
        heights_of: (points, entries) -> (points,) losses.
        chain: (corners, entries).
        samples: points per piece, its first corner included.

    Returns:
        (pieces * samples + 1,) positions in [0, 1], and the losses there.
    """
    t = _shares(samples, chain.device).unsqueeze(-1).to(chain)
    heights = []
    pieces = max(1, SAMPLED // max(1, samples * chain.shape[1]))  # so many at a time: a polygon of whole networks is larger than the caches
    for first in range(0, len(chain) - 1, pieces):
        corners = chain[first : first + pieces + 1]
        rows = torch.lerp(corners[:-1].unsqueeze(1), corners[1:].unsqueeze(1), t).flatten(0, 1)
        heights.append(heights_of(rows).double())
    return positions(chain.double(), samples), torch.cat((*heights, heights_of(chain[-1:]).double()))


def _shares(samples: int, device: torch.device) -> Tensor:
    return (torch.arange(samples, dtype=torch.float64, device=device) / samples).view(1, -1)


def positions(chain: Tensor, samples: int) -> Tensor:
    """Positions in [0, 1] of `samples` points per piece and the last end."""
    t = _shares(samples, chain.device)
    gaps = (chain[1:] - chain[:-1]).norm(dim=1)
    walked = torch.cat((gaps.new_zeros(1), gaps.cumsum(0)))
    walk = torch.cat((((1 - t) * walked[:-1].unsqueeze(1) + t * walked[1:].unsqueeze(1)).flatten(), walked[-1:]))
    return walk / walked[-1] if float(walked[-1]) else walk


def summarise(
    chain: Tensor, walk: Tensor, heights: Tensor, like: Point, samples: int, force: float, iterations: int, converged: bool
) -> Path:
    """A chain and its samples as a Path, what is plotted on the CPU."""
    walk, heights = walk.cpu(), heights.cpu()
    losses, position = heights[::samples], walk[::samples]
    top = int(heights.argmax())
    length = float((chain[1:] - chain[:-1]).norm(dim=1).sum())
    return Path(
        unflatten(chain, like), losses, position, length, walk, heights, climb(heights), float(walk[top]), int(losses.argmax()),
        force, iterations, converged,
    )  # fmt: skip
