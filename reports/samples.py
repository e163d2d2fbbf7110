"""Checkpoints shipped so that `crar landscape` and `crar play` run in the first minute: a base and a failed transfer of the simple maze
that `crar demo` really produced, and a base of the random mazes (member 0 of the published runs, 74,000 updates)."""

from pathlib import Path

FOLDER = Path(__file__).parent / "sample_models"
BASE = FOLDER / "base.pt"
FAILED = FOLDER / "failed.pt"
RANDOM_BASE = FOLDER / "random_base.pt"
