"""`crar predict`: what a base says of its transfers before there is one, and whether that predicts what becomes of them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.kept import kept
from crar_model.core.settings import PlaySettings
from crar_model.cures.foresight import Seen, foresee, seen_through
from crar_model.mazes.maps import ObservationMap
from crar_model.models.checkpoints import Checkpoint, load_checkpoint
from crar_model.models.keys import result_key
from crar_model.samples import as_given
from crar_reports import progress as console
from crar_reports.figures.calibration import calibration_figure
from crar_reports.figures.placement import placement_figure
from crar_reports.measure.forecast import Table, chances, score_predictors
from crar_reports.models.judged import distinct, expand, succeeds
from crar_reports.pages.predict_view import BaseSeen, Outcome, Prediction, predict_view
from crar_reports.press.publish import Content, publish

STATE = "predict-state"
"""Folder of unfinished work inside that of the page."""
EDITION = 1
"""Of what is seen of a base; what was kept of another is made again."""


def predict(
    bases: Sequence[StrPath],
    folder: StrPath | None = None,
    *,
    transfers: Sequence[StrPath] = (),
    resolution: int = 61,
    how: PlaySettings | None = None,
    observation_map: ObservationMap | None = None,
    image: str = "png",
    command: str = "",
) -> Prediction:
    """Look at bases; with transfers, score what was seen as a predictor of their outcomes.

    Args:
        bases: checkpoints and run folders.
        folder: of `report.md`, `results.json` and figures, and of what an interrupted call has found; None writes nothing.
        transfers: run folders or checkpoints of transfers of these bases.
        resolution: places per axis of the placement landscape.
        how: how agents are scored, where a maze has a score.
        observation_map: of the maze that a transfer would go to; each base's own setting, the study's negative, where it is None.
        image: format of the figures.
        command: shown in the report.

    Raises:
        UserError: for unusable models, bases of two mazes, or transfers of other bases.
    """
    paths = expand(bases)
    models = [load_checkpoint(path) for path in paths]
    digests = [model.digest for model in models]
    if twice := [path for path, digest in zip(paths, digests, strict=True) if digests.count(digest) > 1]:
        raise UserError(f"{twice[-1]}: the same network as {twice[0]}, which would be counted as two bases; give each once")
    if observation_map is not None:
        models = [seen_through(model, observation_map, str(path)) for path, model in zip(paths, models, strict=True)]
    for path, model in zip(paths, models, strict=True):
        if not model.task.same_maze(models[0].task):
            raise UserError(
                f"{path}: a model of the {model.task.title}, but {paths[0]} is of the {models[0].task.title}; ask of them apart"
            )
    seen, state = [], None if folder is None else Path(folder) / STATE
    with console.progress_bar("predict", "bases") as tick:
        for number, (path, model) in enumerate(zip(paths, models, strict=True)):
            tick(number, len(paths))
            seen.append(_seen(model, resolution, path, state))
        tick(len(paths), len(paths))
    rows = [
        BaseSeen(as_given(path), model.digest, recipe=model.recipe, **vars(found.seen))
        for path, model, found in zip(paths, models, seen, strict=True)
    ]
    found = Prediction(command, models[0].task.name, models[0].task.observation_map.title, rows)
    if transfers:
        found = scored(found, paths, models, transfers, how or PlaySettings(episodes=100), state)
    if state is not None:
        _write(state.parent, found, models[0], seen[0].grid, image)
        shutil.rmtree(state, ignore_errors=True)
    return found


@dataclass(frozen=True)
class Grid:
    """Total losses by the place of the start state: coordinates, the same for both axes, and the losses."""

    axis: list[float]
    total: list[list[float]]


@dataclass(frozen=True)
class Looked:
    """What is seen of a base, and the grid of its placement landscape; None where it has none."""

    seen: Seen
    grid: Grid | None


def _seen(model: Checkpoint, resolution: int, path: Path, state: Path | None) -> Looked:
    """What is seen of a base; kept in a folder, where there is one."""

    def look() -> Looked:
        found = foresee(model, resolution=resolution, where=str(path))
        seen = found.landscape
        return Looked(found.seen, None if seen is None else Grid(seen.axis.tolist(), seen.total.tolist()))

    key = result_key("foresight", EDITION, model=model, seen=model.task.observation_map.title, resolution=resolution)
    return kept(state and state / f"{key}.json", {"key": key}, look, Looked)


def scored(
    found: Prediction,
    paths: Sequence[StrPath],
    models: Sequence[Checkpoint],
    transfers: Sequence[StrPath],
    how: PlaySettings,
    state: StrPath | None = None,
) -> Prediction:
    """With the outcomes of transfers by base, kept in the folder `state`, and predictors of them from what is seen.

    Raises:
        UserError: for a transfer of a base that is not among these.
    """
    own = {model.digest: number for number, model in enumerate(models)}
    counts = np.zeros((2, len(models)), dtype=np.int64)
    recipes: list[set[str]] = [set() for _ in models]
    for path in distinct(transfers):
        transfer = load_checkpoint(path)
        base = transfer.load_base(paths)
        number = own.get(base.digest) if base is not None else None
        if number is None:
            raise UserError(f"{path}: its base {transfer.base_name or '(none)'} is not among those asked about; name that base too")
        through = transfer.task.observation_map
        if through != models[number].task.observation_map:
            raise UserError(f"{path}: a transfer seen through {through.title}; give its --observation-map, or leave the transfer out")
        counts[:, number] += (succeeds(path, paths[number], how, state), 1)
        recipes[number].add(transfer.recipe)
    with_transfers = counts[1] > 0
    names = tuple(found.bases[0].features)
    features = np.array([[one.features[name] for name in names] for one in found.bases], dtype=np.float64)
    table = Table(names, features[with_transfers], counts[0][with_transfers], counts[1][with_transfers])
    ends = [Outcome(int(k), int(n), " and ".join(sorted(own))) for (k, n), own in zip(counts.T, recipes, strict=True)]
    why = table.why_not()
    if why is not None:
        return replace(found, outcomes=ends, unscored=why)
    scores = score_predictors(table)
    return replace(found, outcomes=ends, scores=scores, chances=chances(table, features, with_transfers.tolist(), scores))


def _write(folder: StrPath, found: Prediction, model: Checkpoint, grid: Grid | None, image: str) -> None:
    files, figure, chart = dict[str, Content](), f"placement.{image}", f"calibration.{image}"
    if grid is not None:
        axis, total = (np.array(values, dtype=np.float32) for values in (grid.axis, grid.total))
        data = xr.Dataset({"total": (("x", "y"), total)}, coords={"x": axis, "y": axis})
        files[figure] = placement_figure(data, found.bases[0].places)
    if found.scores is not None:
        files[chart] = calibration_figure(found.scores.rows)
    drawn = {"figure": figure if figure in files else None, "chart": chart if chart in files else None}
    publish(folder, "predict.md", {"r": found, **predict_view(found, model.task, **drawn)}, found, files)
