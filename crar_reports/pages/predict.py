"""`crar predict`: what a base says of its transfers before there is one, and whether that predicts what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from crar_model.core.errors import UserError
from crar_model.core.files import Plain, StrPath
from crar_model.core.settings import PlaySettings
from crar_model.cures.foresight import Foresight, foresee, seen_through
from crar_model.mazes.maps import ObservationMap
from crar_model.models.checkpoints import Checkpoint, load_checkpoint
from crar_model.models.merit import as_good, asks_embedding
from crar_model.samples import as_given
from crar_reports import progress as console
from crar_reports.figures.calibration import calibration_figure
from crar_reports.figures.placement import placement_figure
from crar_reports.measure import forecast
from crar_reports.measure.forecast import FEWEST, Table, calibration, score_predictors
from crar_reports.models.judged import distinct, expand, judge
from crar_reports.press.publish import Content, publish
from crar_reports.statistics import share_by_base


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
) -> Plain:
    """Look at bases; with transfers, score what was seen as a predictor of their outcomes.

    Args:
        bases: checkpoints and run folders.
        folder: of `report.md`, `results.json` and figures; None writes nothing.
        transfers: run folders or checkpoints of transfers of these bases.
        resolution: places per axis of the placement landscape.
        how: how agents are scored, where a maze has a score.
        observation_map: of the maze that a transfer would go to; each base's own setting, the study's negative, where it is None.
        image: format of the figures.
        command: shown in the report.

    Returns:
        what `results.json` holds.

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
    seen = []
    with console.progress_bar("predict", "bases") as tick:
        for number, (path, model) in enumerate(zip(paths, models, strict=True)):
            tick(number, len(paths))
            seen.append(foresee(model, resolution=resolution, where=str(path)))
        tick(len(paths), len(paths))
    rows = [
        {"path": as_given(path), "digest": model.digest, "recipe": model.recipe, **found.plain()}
        for path, model, found in zip(paths, models, seen, strict=True)
    ]
    results: Plain = {
        "command": command,
        "maze": models[0].task.name,
        "observation_map": models[0].task.observation_map.title,
        "bases": rows,
        "scores": None,
        "unscored": None,
        "outcomes": None,
    }
    if transfers:
        results |= scored(paths, models, seen, transfers, how or PlaySettings(episodes=100))
    if folder is not None:
        _write(folder, results, models[0], seen, image)
    return results


def scored(
    paths: Sequence[StrPath], models: Sequence[Checkpoint], seen: Sequence[Foresight], transfers: Sequence[StrPath], how: PlaySettings
) -> Plain:
    """Outcomes of transfers by base, and predictors of them. A transfer succeeds where it is as good as its base.

    Raises:
        UserError: for a transfer of a base that is not among these.
    """
    own = {model.digest: number for number, model in enumerate(models)}
    counts = np.zeros((2, len(models)), dtype=np.int64)
    recipes: list[set[str]] = [set() for _ in models]
    bases = [one.evaluation for one in judge(paths, how=how)]
    for path in distinct(transfers):
        transfer = load_checkpoint(path)
        base = transfer.load_base(paths)
        number = own.get(base.digest) if base is not None else None
        if number is None:
            raise UserError(f"{path}: its base {transfer.base_name or '(none)'} is not among those asked about; name that base too")
        through = transfer.task.observation_map
        if through != models[number].task.observation_map:
            raise UserError(f"{path}: a transfer seen through {through.title}; give its --observation-map, or leave the transfer out")
        (one,) = judge([path], paths[number], how=how)
        counts[:, number] += (as_good(one.evaluation, bases[number], embedding=asks_embedding(one.checkpoint, models[number])), 1)
        recipes[number].add(transfer.recipe)
    with_transfers = counts[1] > 0
    names = tuple(seen[0].features)
    features = np.array([[one.features[name] for name in names] for one in seen])
    table = Table(names, features[with_transfers], counts[0][with_transfers], counts[1][with_transfers])
    found: Plain = {
        "outcomes": [
            {"successes": int(k), "transfers": int(n), "recipe": " and ".join(sorted(own))}
            for (k, n), own in zip(counts.T, recipes, strict=True)
        ]
    }
    why = table.why_not()
    if why is not None:
        return found | {"unscored": why}
    scores = score_predictors(table)
    for row in scores["rows"]:
        row["calibration"] = [
            {"predicted": group["predicted"], **share_by_base(group["tries"])} for group in calibration(row["predicted"], table)
        ]
    return found | {"scores": scores | {"features": list(names)}}


def verdict(results: Plain) -> str:
    """What the scores say, in a sentence."""
    if results["scores"] is None:
        return f"Nothing was scored: {results['unscored'] or 'no transfers were given'}."
    return forecast.verdict(results["scores"])


def _write(folder: StrPath, results: Plain, model: Checkpoint, seen: Sequence[Foresight], image: str) -> None:
    landscape, files = seen[0].landscape, dict[str, Content]()
    figure, chart = f"placement.{image}", f"calibration.{image}"
    if landscape is not None:
        grid = {"total": (("x", "y"), landscape.total.numpy())}
        data = xr.Dataset(grid, coords={"x": landscape.axis.numpy(), "y": landscape.axis.numpy()})
        files[figure] = placement_figure(data, seen[0].places)
    if results["scores"] is not None:
        files[chart] = calibration_figure(results["scores"]["rows"])
    values = {
        "r": results, "verdict": verdict(results), "figure": figure if figure in files else None, "chart": chart if chart in files else None, "task": model.task,
        "fewest": FEWEST, "names": list(seen[0].features), "rows": [_row(number, one) for number, one in enumerate(results["bases"])],
    }  # fmt: skip
    publish(folder, "predict.md", values, results, files)


def _row(number: int, base: Plain) -> tuple[object, ...]:
    return number + 1, base["path"], *base["features"].values()
