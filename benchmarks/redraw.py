"""Draw the published figures again from what lies beside them: `python -m benchmarks.redraw [FOLDER ...]`, after a change of their look.

What is drawn: of landscapes and cures from netCDF, of escapes, predictions and the theorem from `results.json`, of studies from table and archive, of the shipped pair from the
sample models. Figures whose data are not kept stay as they are, and are named.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import xarray as xr

from crar_model import samples
from crar_model.agent.loss import SHOWN
from crar_model.core.files import typed
from crar_model.models.checkpoints import load_checkpoint
from crar_model.studies.plan import PAGES
from crar_model.tasks import task_named
from crar_reports.figures.calibration import calibration_figure
from crar_reports.figures.escape import escape_figure
from crar_reports.figures.inputs import inputs_figure, transition_error_figure
from crar_reports.figures.lines import lines_figure
from crar_reports.figures.placement import placement_figure
from crar_reports.figures.shifts import shifts_figure
from crar_reports.measure.forecast import Scores
from crar_reports.measure.shifts import SHARES
from crar_reports.pages.escape.records import Escape
from crar_reports.pages.landscape.sections import TITLES
from crar_reports.pages.study import dependence
from crar_reports.pages.study.page import write_study_page
from crar_reports.pages.theorem_view import Theorem
from crar_reports.press.publish import write

PUBLISHED = Path(__file__).parents[1] / "reports" / "published"


def of_results(folder: Path) -> Iterator[tuple[str, Any]]:
    """Figures of a folder with `results.json` or netCDF: (name, figure)."""
    results: dict[str, Any] = (
        json.loads((folder / "results.json").read_text(encoding="utf-8")) if (folder / "results.json").is_file() else {}
    )
    if (folder / "survival.png").is_file():
        yield "survival.png", escape_figure((found := typed(results, Escape, str(folder), "")).cells, found.grid.updates)
    if (folder / "calibration.png").is_file():
        yield "calibration.png", calibration_figure(typed(results["scores"], Scores, str(folder), "").rows)
    if (folder / "shifts.png").is_file():
        yield "shifts.png", shifts_figure(typed(results, Theorem, str(folder), "").shifts, SHARES)
    if (folder / "placement.nc").is_file():
        places = results["placement"]["places"] | {"base": results["base_place"]}
        yield "placement.png", placement_figure(xr.load_dataset(folder / "placement.nc"), places)
    if (folder / "lines.nc").is_file():
        data = xr.load_dataset(folder / "lines.nc")
        what = task_named("random" if folder.name.startswith("random") else "simple").sampling.what
        panels = [(TITLES[space], data.sel(space=space)) for space in data["space"].values.tolist()]
        yield "lines.png", lines_figure(panels, SHOWN, what)


def of_study(folder: Path) -> Iterator[tuple[str, Path]]:
    """Figures of a study with its archive: (name, file). What is seen of its bases was kept, so their networks are not asked for."""
    with tempfile.TemporaryDirectory() as name:
        root, archived = Path(name), (folder / "study.tar.xz").is_file()
        if archived:
            with tarfile.open(folder / "study.tar.xz") as archive:
                archive.extractall(root, filter="data")
        (root / "table.csv").write_bytes(gzip.decompress((folder / "table.csv.gz").read_bytes()))

        def seen(path: Path, start: str) -> dict[str, float]:
            features: dict[str, float] = json.loads(path.with_name(f"foresight-{start}.json").read_text(encoding="utf-8"))["figures"][
                "features"
            ]
            return features

        with mock.patch.object(dependence, "_features", seen):
            write_study_page(root / "table.csv", folder.name, root / "page", pages=PAGES if archived else ("variants", "rates"))
        yield from ((path.name, path) for path in sorted((root / "page").glob("*.png")))


def main() -> None:
    """Draw all of them, or those of the folders that are named."""
    drawn = set[Path]()
    for folder in sorted({path.parent for path in PUBLISHED.glob("**/report.md")}):
        if sys.argv[1:] and folder.relative_to(PUBLISHED).parts[0] not in sys.argv[1:]:
            continue
        for name, figure in of_results(folder):
            write(folder / name, figure)
            drawn.add(folder / name)
        if (folder / "table.csv.gz").is_file():
            for name, file in of_study(folder):
                if (folder / name).is_file():  # else the page shows no such figure
                    shutil.copyfile(file, folder / name)
                    drawn.add(folder / name)
    base, failed = load_checkpoint(samples.BASE), load_checkpoint(samples.FAILED)
    task = failed.task
    assert task.maze is not None
    folder = PUBLISHED / "simple_maze"
    for name, figure in (
        ()
        if sys.argv[1:] and folder.name not in sys.argv[1:]
        else (
            ("inputs.png", inputs_figure(task, task.maze, base.parameters, base_inverse=base.inverse)),
            ("transition_error.png", transition_error_figure(task, task.maze, failed.parameters, inverse=failed.inverse)),
        )
    ):
        write(folder / name, figure)
        drawn.add(folder / name)
    for path in sorted(PUBLISHED.glob("**/*.png")):
        print("drawn again:" if path in drawn else "as it was:", path.relative_to(PUBLISHED))


if __name__ == "__main__":
    main()
