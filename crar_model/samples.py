"""Checkpoints shipped so that `crar landscape` and `crar play` run in the first minute: a base and a failed transfer of the simple maze
that `crar demo` really produced, and a base of the random mazes (member 0 of the published runs, 74,000 updates)."""

from os import PathLike
from pathlib import Path

FOLDER = Path(__file__).parent / "sample_models"
BASE = FOLDER / "base.pt"
FAILED = FOLDER / "failed.pt"
RANDOM_BASE = FOLDER / "random_base.pt"


def as_given(path: str | PathLike[str]) -> str:
    """A path as a page shows it: as it was given; a shipped checkpoint, which nobody has to name, without the folder that this machine has it in."""
    path = Path(path)
    return str(Path("crar_model", FOLDER.name, path.name)) if path.parent == FOLDER else str(path)
