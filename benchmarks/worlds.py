"""The published page of worlds: `python -m benchmarks.worlds empty doorkey --out reports/published/worlds`, of runs/NAME-study and runs/NAME-cures."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from crar_model.core.files import read_json
from crar_reports.pages.worlds import one_world, write_page
from crar_reports.pages.worlds_view import Worlds
from crar_reports.press.publish import RESULTS


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="of the worlds, in order")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where their folders lie")
    parser.add_argument("--add", action="store_true", help="keep the other worlds of the page that stands at --out")
    parser.add_argument("--out", type=Path, default=Path("reports/published/worlds"))
    asked = parser.parse_args()
    found = {}
    if asked.add:
        found = {world.name: world for world in read_json(asked.out / RESULTS, Worlds, "leave --add for a first page").worlds}
    for name in asked.names:
        cures = asked.runs / f"{name}-cures"
        world = one_world(asked.runs / f"{name}-study", cures if (cures / RESULTS).exists() else None)
        found[world.name] = world
    words = ["python", "-m", "benchmarks.worlds", *asked.names, *(["--add"] if asked.add else []), "--out", str(asked.out)]
    write_page(
        Worlds(shlex.join(words), sorted(found.values(), key=lambda world: (world.title, world.numbers, world.even_moves))), asked.out
    )


if __name__ == "__main__":
    main()
