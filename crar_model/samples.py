"""Checkpoints shipped so that `crar landscape` and `crar play` run in the first minute: a base and a failed transfer of the simple maze
that `crar demo` really produced, and a base of the random mazes (member 0 of the published runs, 74,000 updates)."""

from crar_model.core.places import SAMPLES as FOLDER
from crar_model.core.places import as_given

__all__ = ["BASE", "FAILED", "FOLDER", "RANDOM_BASE", "as_given"]

BASE = FOLDER / "base.pt"
FAILED = FOLDER / "failed.pt"
RANDOM_BASE = FOLDER / "random_base.pt"
