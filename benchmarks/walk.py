"""Which modules one update, or one `crar landscape`, passes through, in order: each call that crosses from one file to another, once.

python -m benchmarks.walk update            # one update of two members of the simple maze
python -m benchmarks.walk update --maze random
python -m benchmarks.walk landscape         # of the shipped pair, quick
python -m benchmarks.walk cure              # of the shipped pair, all methods cut short

A room is a folder of a package, and `landscape_tools` as a whole. A return is a call that brings the reader, who follows the calls in
this order, back to a room that he has left.
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
    """(caller's file, file, function) of every crossing but those of an import, in the order of the first time, of all threads."""
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
        imported = back is not None and back.f_code.co_name == "<module>"
        if there != here and not imported:
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


def cure() -> object:
    from crar_model.core.settings import CureSettings
    from crar_model.samples import BASE, FAILED
    from crar_reports.pages.cure.one import CureOptions, write_cure

    options = CureOptions(settings=CureSettings(effort=0.02, resolution=15))
    with tempfile.TemporaryDirectory() as folder:
        return write_cure(FAILED, Path(folder), method="auto", base_path=BASE, options=options, command="walk")


def room_of(file: str) -> str:
    """The folder of a package that a file lies in."""
    parts = file.split("/")
    return parts[0] if len(parts) < 3 else "/".join(parts[:2])


def summary(found: list[tuple[str, str, str]]) -> str:
    """Rooms, calls from one room into another, and returns, in a line."""
    inside = [(there, here) for there, here, _ in found if there != "-"]
    across = [room_of(here) for there, here in inside if room_of(there) != room_of(here)]
    visits = [room for room, before in zip(across, ["", *across], strict=False) if room != before]
    rooms = {room_of(here) for _, here in inside}
    return f"{len(rooms)} rooms, {len(across)} calls from one into another, {len(visits) - len(set(visits))} returns"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("update", "landscape", "cure"))
    parser.add_argument("--maze", default="simple")
    given = parser.parse_args()
    found = traced({"landscape": landscape, "cure": cure}[given.what] if given.what != "update" else update_of(given.maze))
    files: dict[str, list[str]] = {}
    for there, here, name in found:
        files.setdefault(here, []).append(f"{name} (from {there})")
    for here, names in files.items():
        print(f"{here}\n    " + "\n    ".join(names))
    print(summary(found))


if __name__ == "__main__":
    main()
