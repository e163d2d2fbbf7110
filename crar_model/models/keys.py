"""One key of everything that determines a result, so that a result that was kept is never another's.

Two models can share their weights and differ in all else: their map, their walls, their loss, their base.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from crar_model.core.settings import NO_MATTER, TrainSettings
from crar_model.core.tensor_files import content_digest
from crar_model.models.checkpoints import Checkpoint

FORMAT = 1
"""Goes up when the same inputs give other results, so that nothing kept before is taken for a result of now."""
WITHOUT_EFFECT = ("updates", "workers", "checkpoint_interval", "snapshots", "device", "arithmetic", "data")
"""Settings of a training that change nothing of what is made from its network (`data` has its digest beside it)."""
LENGTH = 32


def result_key(kind: str, edition: int = 1, **parts: Any) -> str:
    """A key of a result: `LENGTH` hexadecimal digits of a SHA-256.

    Args:
        kind: what is made, such as "claims".
        edition: of its code; see :data:`FORMAT`.
        parts: all that it is made from, by name: models as :class:`Checkpoint`, options as dataclasses, tensors, plain data.

    Raises:
        TypeError: for a part of another kind.
    """
    return content_digest({"format": FORMAT, "kind": kind, "edition": edition, "parts": _plain(parts)})[:LENGTH]


def identity(model: Checkpoint) -> dict[str, Any]:
    """What a model is, whatever its file: its weights, its maze with layout, sight and map, and how it was trained, its loss among that."""
    about = {name: model.info.get(name) for name in ("variant", "seed", "learning_rate", "base_digest")}
    return {"parameters": model.parameters, "maze": model.maze, "inverse": model.inverse, "settings": model.settings, **about}


def _plain(part: Any) -> Any:
    if isinstance(part, Checkpoint):
        return _plain(identity(part))
    if is_dataclass(part) and not isinstance(part, type):
        left_out = WITHOUT_EFFECT if isinstance(part, TrainSettings) else ()
        values = {item.name: getattr(part, item.name) for item in fields(part) if item.name not in left_out}
        return {name: _plain(value) for name, value in values.items() if name not in NO_MATTER or value not in NO_MATTER[name]}
    if isinstance(part, dict):
        return {str(name): _plain(value) for name, value in part.items()}
    if isinstance(part, (list, tuple)):
        return [_plain(each) for each in part]
    return part
