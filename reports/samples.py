"""Two small checkpoints that `crar demo` really produced, shipped so that `crar landscape` runs in the first minute."""

from pathlib import Path

FOLDER = Path(__file__).parent / "sample_models"
BASE = FOLDER / "base.pt"
FAILED = FOLDER / "failed.pt"
