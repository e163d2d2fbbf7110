"""The published page of worlds: `python -m benchmarks.worlds empty doorkey --out reports/published/worlds`, of runs/NAME-study and runs/NAME-cures."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from crar_reports.pages.worlds import write_worlds
from crar_reports.press.publish import RESULTS


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="+", help="of the worlds, in order")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where their folders lie")
    parser.add_argument("--out", type=Path, default=Path("reports/published/worlds"))
    asked = parser.parse_args()
    folders = [
        (asked.runs / f"{name}-study", cures if ((cures := asked.runs / f"{name}-cures") / RESULTS).exists() else None)
        for name in asked.names
    ]
    write_worlds(folders, asked.out, command=shlex.join(["python", "-m", "benchmarks.worlds", *asked.names, "--out", str(asked.out)]))


if __name__ == "__main__":
    main()
