"""Observation maps: how the other side of a maze shows what the first side shows. Each is y = A x + c on the pixels of an image.

The study's is `negative`. The maze itself, its moves and its rewards, is the same on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from crar_model.core.errors import UserError
from crar_model.core.settings import OBSERVATION_MAPS, TrainSettings
from crar_model.core.streams import Stream

if TYPE_CHECKING:
    from torch import Tensor

Array = np.ndarray[Any, Any]
FIELDS = {
    "name": "observation_map",
    "seed": "map_seed",
    "condition": "map_condition",
    "contrast": "map_contrast",
    "brightness": "map_brightness",
}
"""The fields of a map -> the settings that give them."""
USED = {
    "affine": ("contrast", "brightness"),
    "permute": ("seed",),
    "mix": ("condition", "seed"),
    "texture": ("brightness", "seed"),
}
"""The fields that each map uses, besides its name."""


@dataclass(frozen=True)
class ObservationMap:
    """One map; fields that it does not use are what they are by default, so that maps are equal where they show the same.

    Attributes:
        name: negative (-x), affine (contrast x + brightness), mirror (left-right), permute (a fixed permutation of the pixels), mix (a
            random invertible matrix on the pixels), texture (x plus a fixed background, uniform within +-brightness).
        seed: of permute, mix and texture.
        condition: of the matrix of mix: its largest singular value over its smallest; their geometric mean is 1.
        contrast, brightness: see above.
    """

    name: str = "negative"
    seed: int = 0
    condition: float = 10.0
    contrast: float = 0.5
    brightness: float = 0.25

    def __post_init__(self) -> None:
        for item in fields(self):
            if item.name != "name" and item.name not in USED.get(self.name, ()):
                object.__setattr__(self, item.name, item.default)

    @classmethod
    def of(cls, settings: TrainSettings | Mapping[str, Any]) -> ObservationMap:
        """The map that settings name; what they do not say is the study's."""
        values = settings if isinstance(settings, Mapping) else vars(settings)
        found = {field: values[key] for field, key in FIELDS.items() if key in values}
        return cls() if found.get("name", "negative") == "negative" else cls(**found)

    def settings(self) -> dict[str, Any]:
        """As settings."""
        return {key: getattr(self, field) for field, key in FIELDS.items()}

    @property
    def title(self) -> str:
        """The name, with the settings that it uses; a seed where it is another than 0."""
        shown = [field for field in USED.get(self.name, ()) if field != "seed" or self.seed]
        return ", ".join([self.name, *(f"{field} {_short(getattr(self, field))}" for field in shown)])

    @property
    def per_pixel(self) -> tuple[float, float] | None:
        """(contrast, brightness) of a map that treats every pixel alike, or None."""
        return {"negative": (-1.0, 0.0), "affine": (self.contrast, self.brightness)}.get(self.name)

    def linear(self, height: int, width: int) -> tuple[Array, Array]:
        """A (pixels, pixels) and c (pixels,) for images of a size, float64."""
        return _linear(self, height, width)

    def undo(self, height: int, width: int) -> tuple[Array, Array]:
        """A^-1 and -A^-1 c: x = A^-1 y - A^-1 c."""
        return _undo(self, height, width)

    def order(self, height: int, width: int) -> Array:
        """(pixels,) int64: which pixel is shown in each place by a map other than mix, whose pixels each depend on one alone."""
        places = np.arange(height * width)
        if self.name == "mirror":
            return places.reshape(height, width)[:, ::-1].ravel()
        return np.random.default_rng([self.seed, Stream.OBSERVATION_MAP]).permutation(places) if self.name == "permute" else places

    def apply(self, images: Tensor) -> Tensor:
        """What images (..., height, width) look like on the other side."""
        import torch

        if self.name == "negative":
            return -images  # exact
        if self.name == "mirror":
            return images.flip(-1)
        if self.name != "mix":  # no product: a matrix of a large layout's pixels fits no memory
            factor, added = _shown(self, *images.shape[-2:])
            places = torch.from_numpy(self.order(*images.shape[-2:]))
            shown = images.flatten(-2)[..., places].double() * factor + torch.from_numpy(added)
            return shown.to(images.dtype).view(images.shape)
        matrix, shift = (torch.from_numpy(part) for part in self.linear(*images.shape[-2:]))
        return (images.flatten(-2).double() @ matrix.T + shift).to(images.dtype).view(images.shape)


def _short(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


OWN_MAP = "own"
"""The map of a world whose other side a function or another environment showed; its data hold that."""
MOST_PIXELS = 4_096
"""Pixels of an image whose map is written down as a matrix."""
NEGATIVE_MAP = ObservationMap()
"""The study's."""


def as_map(given: str | ObservationMap) -> ObservationMap:
    """A map by its name, or as it is.

    Raises:
        ValueError: for an unknown name.
    """
    found = ObservationMap(given) if isinstance(given, str) else given
    if found.name not in (*OBSERVATION_MAPS, OWN_MAP):
        raise ValueError(f"map is {found.name!r}; choose one of {', '.join(OBSERVATION_MAPS)}")
    return found


def _shown(this: ObservationMap, height: int, width: int) -> tuple[float, Array]:
    """The factor of every pixel, and what is added, (pixels,) float64, by a map that moves pixels at most."""
    factor, added = this.per_pixel or (1.0, 0.0)
    if this.name != "texture":
        return factor, np.full(height * width, added)
    rng = np.random.default_rng([this.seed, Stream.OBSERVATION_MAP])
    return factor, this.brightness * rng.uniform(-1, 1, height * width)


@lru_cache(maxsize=16)
def _linear(this: ObservationMap, height: int, width: int) -> tuple[Array, Array]:
    pixels = height * width
    if pixels > MOST_PIXELS:
        raise UserError(
            f"--observation-map {this.name}: its matrix for {height}x{width} pixels would take {8e-9 * pixels**2:.0f} GB; "
            "choose negative, or a smaller layout"
        )
    if this.name == "mix":
        rng = np.random.default_rng([this.seed, Stream.OBSERVATION_MAP])
        left, right = (np.linalg.qr(rng.standard_normal((pixels, pixels)))[0] for _ in range(2))
        sizes = np.geomspace(this.condition**0.5, this.condition**-0.5, pixels)
        return left * sizes @ right, np.zeros(pixels)
    factor, shift = _shown(this, height, width)
    return factor * np.eye(pixels)[this.order(height, width)], shift


@lru_cache(maxsize=16)
def _undo(this: ObservationMap, height: int, width: int) -> tuple[Array, Array]:
    matrix, shift = this.linear(height, width)
    inverse = np.linalg.inv(matrix)
    return inverse, -inverse @ shift
