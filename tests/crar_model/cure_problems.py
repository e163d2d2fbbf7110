"""The shipped failure and a sampled one as problems of cures; and a cure that may not see the maze of its base."""

from __future__ import annotations

from typing import Any

import pytest
from torch import Tensor

from crar_model.agent import symmetry
from crar_model.core import tiles
from crar_model.core.params import Params, select
from crar_model.core.settings import CureSettings
from crar_model.mazes import walks
from crar_model.mazes.simple import SimpleMaze
from crar_model.models import checkpoints

SMALL = CureSettings(resolution=31, effort=0.25, starts=3)


def one(params: Params) -> Params:
    return {name: value[None] for name, value in select(params, ("encoder",)).items()}


def own_side_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the simple maze is seen in the inverse maze alone."""
    shown = SimpleMaze.observations

    def seen(self: SimpleMaze, *, inverse: bool = False, **how: Any) -> Tensor:
        assert inverse, "an observation of the base's maze"
        return shown(self, inverse=inverse, **how)

    monkeypatch.setattr(SimpleMaze, "observations", seen)


def forbidden(*_: object, **__: object) -> Any:
    raise AssertionError("a cure built the observation map, or a candidate from it")


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((symmetry, "negate_first_layer"), (checkpoints, "in_maze"), (tiles, "negated"), (walks, "observed")):
        monkeypatch.setattr(module, name, forbidden)
    for name in ("undo_in_first_layer", "scale_first_layer"):
        monkeypatch.setattr(symmetry, name, forbidden)
    monkeypatch.setattr("crar_model.mazes.maps.ObservationMap.undo", forbidden)
    monkeypatch.setattr("crar_model.tasks.Task.carried", forbidden)
    monkeypatch.setattr("crar_model.tasks.data.negated", forbidden)
    monkeypatch.setattr("crar_model.tasks.data.observed", forbidden)
