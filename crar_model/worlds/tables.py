"""What a world shows, as tensors: its observations scaled, as rows of channels x height x width, on either side of a map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from crar_model.core.streams import Stream
from crar_model.mazes.maps import NEGATIVE_MAP, OWN_MAP, ObservationMap
from crar_model.mazes.table import StateTable
from crar_model.worlds.environments import named
from crar_model.worlds.episodes import Array
from crar_model.worlds.listing import MOST_PAIRS, Listing, in_words
from crar_model.worlds.world import SIDES, World

IMAGE_SIDE = 24
"""Rows and columns from which an observation is an image, for convolutions; smaller ones are grids of numbers."""
MOST_NUMBERS = 8
"""Numbers of an abstract state where nothing is said: two more than an observation has, at most these."""
BANDS = 4
"""Parts of a world in figures: by the number of moves from the start."""


SEED = 1_000_003
"""Of drawn pairs; no member of a run has it."""


def layout(shape: tuple[int, ...], *, first: bool) -> tuple[int, int, int]:
    """(channels, height, width) of an observation: a vector is a row of numbers; of three axes the first or the last is the channels."""
    if len(shape) == 2:
        return 1, shape[0], shape[1]
    if len(shape) == 3:
        return (shape[0], shape[1], shape[2]) if first else (shape[2], shape[0], shape[1])
    return 1, 1, int(np.prod(shape, dtype=np.int64))


def channels_first(world: World) -> bool:
    """Whether the first of three axes is the channels: the two of one length are height and width, and where none or all are of one length the shorter of the
    outer two is the channels. Worlds of before that rule keep theirs, by which the shorter always was."""
    shape = world.frames.shape[1:]
    if len(shape) != 3:
        return False
    a, b, c = shape
    return bool(a < c if (a == b) == (b == c) or not world.about.get(SIDES) else b == c)


def ordered(frames: Array, *, first: bool) -> Array:
    """(R, channels, height, width) of observations (R, ...), by whether the first of three axes is the channels."""
    shape = frames.shape[1:]
    if len(shape) == 3 and not first:
        frames = np.moveaxis(frames, -1, 1)
    return np.ascontiguousarray(frames).reshape(len(frames), *layout(shape, first=first))


def scale_of(frames: Array) -> Array:
    """What observations (R, channels, height, width) are divided by, (channels, height, width) or what broadcasts to it, float64.

    Nothing where all numbers lie within 1; 255 for images of bytes; else the largest absolute value of each number of a vector, and of each channel
    of a grid. There is no shift, so that the negative of an observation is that of its numbers.
    """
    if len(frames) == 0 or np.abs(frames).max() <= 1:
        return np.ones((1, 1, 1))
    if frames.dtype == np.uint8 and min(frames.shape[2:]) >= IMAGE_SIDE:
        return np.full((1, 1, 1), 255.0)
    vector = frames.shape[1:3] == (1, 1)
    largest = np.abs(frames.astype(np.float64)).max(axis=0 if vector else (0, 2, 3), keepdims=not vector)
    largest = largest if vector else largest[0]
    return np.where(largest > 0, largest, 1.0)


def alike(world: World) -> int:
    """Distinct observations that are one to a network, scaled and in float32, with another: more digits than it has tell them apart."""
    frames = world.frames
    if frames.dtype.itemsize <= 2 or frames.dtype == np.float32:  # those have no more digits
        return 0
    own = ordered(frames, first=channels_first(world))
    scale = scale_of(own)
    return len(own) - len({((one / scale).astype(np.float32) + 0.0).tobytes() for one in own})


def facts_of(world: World, listing: Listing) -> tuple[str, ...]:
    """What is to be said of a world, a sentence each."""
    lost = alike(world)
    said = f"{lost:,} distinct observations are one with another in the float32 that networks see: shift or scale them by a --wrapper"
    return (*in_words(world, listing), *([said] if lost else []))


@dataclass(frozen=True, eq=False)
class WorldTable(StateTable):
    """The observations of a world, and its states and moves where they can be listed.

    Attributes:
        world, listing: what was observed, and what that says.
        frames: (R, channels, height, width) as they were observed.
        scale: what they are divided by.
        others, other_scale: the same of the other side, where that is no map's; none else.
        map: what the other side makes of an observation.
        reward_scale: what rewards are divided by.
    """

    world: World
    listing: Listing
    frames: Array
    scale: Array
    others: Array
    other_scale: Array
    successor: Tensor
    start: int
    map: ObservationMap = NEGATIVE_MAP
    reward_scale: float = 1.0

    @classmethod
    def of(cls, world: World, listing: Listing) -> WorldTable:
        """The table of a world."""
        first = channels_first(world)
        frames = ordered(world.frames, first=first)
        others = ordered(world.other, first=first) if len(world.other) else frames[:0]
        return cls(world, listing, frames, scale_of(frames), others, scale_of(others), torch.from_numpy(listing.successor), listing.start)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of an observation."""
        channels, height, width = self.frames.shape[1:]
        return channels, height, width

    @property
    def images(self) -> bool:
        """Whether observations are images, for convolutions."""
        return min(self.shape[1:]) >= IMAGE_SIDE

    @property
    def action_names(self) -> tuple[str, ...]:
        """As the environment has them."""
        return tuple(self.world.about["actions"])

    @property
    def known(self) -> Tensor:
        """What was tried."""
        return torch.from_numpy(self.listing.known)

    @property
    def ended(self) -> Tensor:
        """What ended an episode."""
        return torch.from_numpy(self.listing.ended)

    @property
    def rewards(self) -> Tensor:
        """The mean of what was given, scaled."""
        return torch.from_numpy(self.listing.reward) / self.reward_scale

    def paid(self, picks: Array) -> Array:
        """(n,) float64 rewards of transitions by their numbers, scaled."""
        return self.world.reward[picks] / self.reward_scale

    @property
    def largest_reward(self) -> float:
        """The largest absolute reward."""
        return float(np.abs(self.world.reward).max(initial=0.0))

    @property
    def usual_size(self) -> int:
        """Numbers of an abstract state where nothing is said (`docs/your_own_task.md` has what fewer cost)."""
        return min(MOST_NUMBERS, int(np.prod(self.shape)) + 2)

    @property
    def pairs(self) -> Tensor:
        """All pairs, or `MOST_PAIRS` drawn ones, the same for every model."""
        every = super().pairs
        if every.shape[1] <= MOST_PAIRS:
            return every
        rng = np.random.default_rng([SEED, Stream.DRAWN_PAIRS])
        return every[:, torch.from_numpy(np.sort(rng.permutation(every.shape[1])[:MOST_PAIRS]))]

    def shown(self, frames: Array, *, inverse: bool) -> Tensor:
        """Observations (n, ...) as the environment of one side gives them, as :meth:`rows` has them; the other side of a map is made from the first."""
        own = inverse and self.map.name == OWN_MAP
        if own and (path := self.world.about.get("map")):
            frames = np.asarray(named(str(path), "--map")(frames))
        seen = torch.from_numpy(ordered(frames, first=channels_first(self.world)) / (self.other_scale if own else self.scale)).to(
            torch.float32
        )
        return self.map.apply(seen) if inverse and not own else seen

    def rows(self, which: Array | slice, *, inverse: bool, dtype: torch.dtype = torch.float32) -> Tensor:
        """Some of the observations, by their numbers."""
        if inverse and self.map.name == OWN_MAP:
            return torch.from_numpy(self.others[which] / self.other_scale).to(dtype)
        seen = torch.from_numpy(self.frames[which] / self.scale).to(dtype)
        return self.map.apply(seen) if inverse else seen

    def observations(self, *, inverse: bool = False, pixels: bool = False, dtype: torch.dtype = torch.float32) -> Tensor:
        """(R, channels, height, width) observation of every state."""
        return _kept(self, inverse, dtype)

    def regions(self) -> tuple[Tensor, dict[int, str]]:
        """States by the number of moves from the start, in at most `BANDS` parts."""
        from scipy.sparse import csr_array  # not at the top: training needs no regions
        from scipy.sparse.csgraph import dijkstra

        n, actions = self.successor.shape
        rows = np.repeat(np.arange(n), actions)
        graph = csr_array((np.ones(len(rows)), (rows, self.successor.numpy().ravel())), shape=(n, n))
        away = dijkstra(graph, unweighted=True, indices=self.start)
        reached = np.isfinite(away)
        cuts = np.unique(np.quantile(away[reached], np.linspace(0, 1, BANDS + 1)[1:-1], method="lower"))
        band = np.where(reached, np.searchsorted(cuts, np.where(reached, away, 0)), -1)
        names = {-1: "not reached from the start"} if bool((band < 0).any()) else {}
        for number in np.unique(band[reached]):
            own = away[band == number]
            low, high = int(own.min()), int(own.max())
            names[int(number)] = f"{low} to {high} moves from the start" if low < high else f"{low} moves from the start"
        return torch.from_numpy(band), names

    def label(self, state: int) -> str:
        """Its number."""
        return str(state)

    def caption(self, state: int) -> str:
        """Its number."""
        return f"observation {state}"


@lru_cache(maxsize=8)
def _kept(table: WorldTable, inverse: bool, dtype: torch.dtype) -> Tensor:
    return table.rows(slice(None), inverse=inverse, dtype=dtype)
