"""`crar predict`: what a base says of its transfers before there is one, and whether that predicts what becomes of them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import xarray as xr

from crar_model.core.errors import UserError
from crar_model.core.files import Plain, StrPath
from crar_model.core.kept import kept
from crar_model.core.settings import PlaySettings
from crar_model.cures.foresight import foresee, seen_through
from crar_model.mazes.maps import ObservationMap
from crar_model.models.checkpoints import Checkpoint, load_checkpoint
from crar_model.models.keys import result_key
from crar_model.models.merit import definition
from crar_model.samples import as_given
from crar_model.tasks import Task
from crar_reports import progress as console
from crar_reports.figures.calibration import calibration_figure
from crar_reports.figures.placement import placement_figure
from crar_reports.measure import forecast
from crar_reports.measure.forecast import Table, calibration, score_predictors
from crar_reports.models.judged import distinct, expand, succeeds
from crar_reports.pages import plain_words
from crar_reports.press.markdown import number, table
from crar_reports.press.publish import Content, publish
from crar_reports.statistics import share_by_base

STATE = "predict-state"
"""Folder of unfinished work inside that of the page."""
EDITION = 1
"""Of what is seen of a base; what was kept of another is made again."""
SHOWN = 8
"""Signed copies of a base that a page lists."""
MARKS = {"base": "the base", "start": "a transfer's start"}
"""What the marks of a placement landscape are called."""


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
        folder: of `report.md`, `results.json` and figures, and of what an interrupted call has found; None writes nothing.
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
    seen, state = [], None if folder is None else Path(folder) / STATE
    with console.progress_bar("predict", "bases") as tick:
        for number, (path, model) in enumerate(zip(paths, models, strict=True)):
            tick(number, len(paths))
            seen.append(_seen(model, resolution, path, state))
        tick(len(paths), len(paths))
    rows = [
        {"path": as_given(path), "digest": model.digest, "recipe": model.recipe, **found["seen"]}
        for path, model, found in zip(paths, models, seen, strict=True)
    ]
    results: Plain = {
        "command": command, "maze": models[0].task.name, "observation_map": models[0].task.observation_map.title, "bases": rows,
        "scores": None, "unscored": None, "outcomes": None,
    }  # fmt: skip
    if transfers:
        results |= scored(paths, models, [row["features"] for row in rows], transfers, how or PlaySettings(episodes=100), state)
    if state is not None:
        _write(state.parent, results, models[0], seen[0]["grid"], image)
        shutil.rmtree(state, ignore_errors=True)
    return results


def _seen(model: Checkpoint, resolution: int, path: Path, state: Path | None) -> Plain:
    """What is seen of a base, and the grid of its placement landscape, None where it has none; kept in a folder, where there is one."""

    def look() -> Plain:
        found = foresee(model, resolution=resolution, where=str(path))
        grid = None if found.landscape is None else {"axis": found.landscape.axis.tolist(), "total": found.landscape.total.tolist()}
        return {"seen": found.plain(), "grid": grid}

    key = result_key("foresight", EDITION, model=model, seen=model.task.observation_map.title, resolution=resolution)
    return kept(state and state / f"{key}.json", {"key": key}, look, dict)


def scored(
    paths: Sequence[StrPath], models: Sequence[Checkpoint], seen: Sequence[dict[str, float]], transfers: Sequence[StrPath], how: PlaySettings,
    state: StrPath | None = None,
) -> Plain:  # fmt: skip
    """Outcomes of transfers by base, kept in the folder `state`, and predictors of them, from what is seen: figure -> value of a base.

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
    names = tuple(seen[0])
    features = np.array([[one[name] for name in names] for one in seen], dtype=np.float64)
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
            {"predicted": group["predicted"], **asdict(share_by_base(group["tries"]))} for group in calibration(row["predicted"], table)
        ]
    return found | {"scores": scores | {"features": list(names)}}


def verdict(results: Plain) -> str:
    """What the scores say, in a sentence."""
    if results["scores"] is None:
        return f"Nothing was scored: {results['unscored'] or 'no transfers were given'}."
    return forecast.verdict(results["scores"])


def _write(folder: StrPath, results: Plain, model: Checkpoint, grid: Plain | None, image: str) -> None:
    files, first = dict[str, Content](), results["bases"][0]
    figure, chart = f"placement.{image}", f"calibration.{image}"
    if grid is not None:
        axis, total = (np.array(grid[name], dtype=np.float32) for name in ("axis", "total"))
        files[figure] = placement_figure(xr.Dataset({"total": (("x", "y"), total)}, coords={"x": axis, "y": axis}), first["places"])
    if results["scores"] is not None:
        files[chart] = calibration_figure(results["scores"]["rows"])
    drawn = {"figure": figure if figure in files else None, "chart": chart if chart in files else None}
    publish(folder, "predict.md", {"r": results, **predict_view(results, model.task, **drawn)}, results, files)


def predict_view(r: Plain, task: Task, *, figure: str | None, chart: str | None) -> dict[str, str]:
    """What the template places.

    Args:
        r: what `results.json` holds.
        task: of the bases.
        figure: the file of the first base's placement landscape. chart: of the calibration. None where there is none.
    """
    predicts = None if r["scores"] is None else bool(r["scores"]["predicts"])
    landscape = ", and the total loss by the place of the start state" if figure else ""
    rows = [(number, base["path"], *base["features"].values()) for number, base in enumerate(r["bases"], 1)]
    return {
        "plainly": plain_words.predict(given=r["outcomes"] is not None, predicts=predicts),
        "verdict": verdict(r),
        "looked_at": f"Each base of the {task.title} was looked at without training and without a transfer: its embedding in both mazes (the other one's observations "
        f"seen through the map {task.observation_map.title}), the signed copies of its embedding under its own dynamics{landscape}.",
        "bases": table(["", "base", *r["bases"][0]["features"]], rows),
        "first": _first(r["bases"][0], figure),
        "outcomes": _outcomes(r, scored=task.scored) if r["outcomes"] else "",
        "scores": _scores(r["scores"], chart) if r["scores"] else "",
    }


def _first(base: Plain, figure: str | None) -> str:
    """What the first base says, in full."""
    few, copies = base["copies"][:SHOWN], len(base["copies"])
    parts = [f"## {base['path']}", table(["signed copy", "transition"], [(copy["axes"], copy["transition"]) for copy in few])]
    if copies > SHOWN:
        parts.append(f"The first {SHOWN} of {copies}; all are in `results.json`.")
    start = base["start"]
    parts.append(f"A transfer starts at a total loss of {number(start['total'])}, transition {number(start['transition'])}.")
    if figure:
        rows = [
            (
                place + 1, f"({v['place'][0]:.2f}, {v['place'][1]:.2f})", v["total"], f"{100 * v['share']:.0f} %",
                " ".join(MARKS[name] for name, where in base["valley_of"].items() if where == place),
            )
            for place, v in enumerate(base["valleys"])
        ]  # fmt: skip
        parts += [
            f"![Total loss by the place of the start state]({figure})",
            "*Figure: every point is an embedding: the start state is put there, and the dynamics place the others.*",
            table(["valley", "place", "total", "share of the places", "in it"], rows),
        ]
    return "".join(f"{part}\n\n" for part in parts)


def _outcomes(r: Plain, *, scored: bool) -> str:
    rows = [(k + 1, r["bases"][k]["path"], end["successes"], end["transfers"]) for k, end in enumerate(r["outcomes"])]
    return (
        f"## What became of the transfers\n\n{table(['', 'base', 'succeeded', 'of'], rows)}\n\n"
        f"A transfer succeeds where {definition(scored=scored)}.\n\n"
    )


def _scores(scores: Plain, chart: str | None) -> str:
    rows = [(row["name"], *(interval_words(row[name]) for name in ("brier", "area", "bias", "gain"))) for row in scores["rows"]]
    header = ["predictor", "Brier score", "ROC area", "predicted minus succeeded", "Brier score minus the constant's"]
    return (
        f"## Does anything predict them?\n\n{table(header, rows)}\n\n"
        "Every base is predicted by what was fitted to the others. *constant*: their share of successes; *logistic*: logistic regression on all "
        f"{len(scores['features'])} features with a ridge; *threshold*: the one feature and cut with the highest likelihood. Intervals resample bases with the predictions "
        f"as they are; 95 %, the last column {100 * scores['rows'][1]['gain']['confidence']:.1f} %, for {len(scores['rows']) - 1} predictors were tried.\n\n"
        f"![Calibration]({chart})\n\n"
        "*Figure: bases in groups of equal size by their prediction; bars are exact 95 % intervals of the share, by base.*\n\n"
    )


def interval_words(found: Plain | None) -> str:
    """A value with its interval; a dash for none."""
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})" if found else "-"
