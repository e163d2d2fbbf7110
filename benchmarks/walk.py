"""Which modules one update, or one `crar landscape`, passes through, in order: each call that crosses from one file to another, once.

python -m benchmarks.walk update            # one update of two members of the simple maze
python -m benchmarks.walk update --maze random
python -m benchmarks.walk landscape         # of the shipped pair, quick
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parent.parent


def traced(work: Callable[[], object]) -> list[tuple[str, str, str]]:
    """(caller's file, file, function) of every crossing, in the order of the first time, of all threads."""
    seen: dict[tuple[str, str, str], None] = {}
    names: dict[str, str | None] = {}

    def own(frame: FrameType | None) -> str | None:
        if frame is None:
            return None
        path = frame.f_code.co_filename
        if path not in names:
            inside = path.startswith(str(ROOT)) and ".venv" not in path and not path.endswith("walk.py")
            names[path] = str(Path(path).relative_to(ROOT)) if inside else None
        return names[path]

    def profile(frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or (here := own(frame)) is None or frame.f_code.co_name.startswith("<"):
            return
        back = frame.f_back
        while back is not None and own(back) is None:  # through PyTorch and the standard library
            back = back.f_back
        there = own(back) or "-"
        if there != here:
            seen.setdefault((there, here, frame.f_code.co_name))

    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    return list(seen)


def update_of(maze: str) -> Callable[[], object]:
    from crar_model.tasks import default_settings
    from crar_model.training.members import base_plan
    from crar_model.training.trainer import Trainer

    trainer = Trainer(base_plan(dataclasses.replace(default_settings(maze), data_size=2_000), 2))
    trainer.one_update()  # the first also refreshes the target copy and compiles
    return trainer.one_update


def landscape() -> object:
    from crar_model.samples import BASE, FAILED
    from crar_reports.measure.options import LandscapeOptions
    from crar_reports.pages.landscape.page import write_landscape

    with tempfile.TemporaryDirectory() as folder:
        return write_landscape(FAILED, BASE, Path(folder), options=LandscapeOptions(quick=True, resolution=5), command="walk")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("update", "landscape"))
    parser.add_argument("--maze", default="simple")
    given = parser.parse_args()
    found = traced(update_of(given.maze) if given.what == "update" else landscape)
    files: dict[str, list[str]] = {}
    for there, here, name in found:
        files.setdefault(here, []).append(f"{name} (from {there})")
    for here, names in files.items():
        print(f"{here}\n    " + "\n    ".join(names))


if __name__ == "__main__":
    main()
