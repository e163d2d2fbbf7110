"""`crar cure`: a failed transfer, the candidates that a method finds for it, and what became of it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import torch
import xarray as xr

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.guards import only_one
from crar_model.core.kept import Pieces
from crar_model.core.params import DYNAMICS, Params, select
from crar_model.core.settings import CureSettings, PlaySettings
from crar_model.core.threads import torch_threads
from crar_model.cures.candidates import ABOVE, FURTHER, SAMPLED_MEAN, SAMPLED_OFF, STRAYS, UNFIT
from crar_model.cures.cure import Cure, cure
from crar_model.cures.descent import Progress
from crar_model.cures.level import Ground
from crar_model.cures.placement import Landscape
from crar_model.cures.problem import Problem
from crar_model.models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from crar_model.models.evaluation import Evaluation, embed, evaluate
from crar_model.models.keys import result_key
from crar_model.models.merit import WITHIN, same_dynamics
from crar_model.samples import as_given
from crar_model.training.mending import cured_checkpoint, cured_parameters, posed
from crar_reports.claims.record import recipe_words
from crar_reports.figures.explorer import NAME as EXPLORER
from crar_reports.figures.placement import placement_figure
from crar_reports.pages.cure.explorer import cure_explorer
from crar_reports.pages.cure.records import CureResult, Failed, Judge, Place, Placed, Side
from crar_reports.pages.cure.view import cure_view
from crar_reports.press.markdown import number
from crar_reports.press.publish import Content, publish
from crar_reports.sections import place_of

TABLE_OF_MOVES = (
    "Placement and its search of free embeddings roll the dynamics out along the table of moves of the new maze (which state each action leads to); "
    "the other methods learn from its transitions alone. No method sees an observation of the base's maze."
)
"""Said where states are placed."""
ALONG_EPISODES = (
    "States cannot be listed here, so `placement` rolled the dynamics along observed episodes, from one place of what they begin with, and smoothed the result over "
    "the observations. No method sees an observation of the base's maze."
)
"""Said where episodes are placed."""
STATE = "cure-state"
"""Folder of unfinished work inside that of a cure; of this name, so that no other command's is taken for it."""


EDITION = 7
"""Of what a cure finds; finished and unfinished work of another is made again."""


@dataclass(frozen=True)
class CureOptions:
    """What to do beside the cure itself.

    Attributes:
        settings: what it spends.
        how: how agents are scored, where a maze has a score.
        image: format of the figure.
        anyway: look for candidates even where the model's own losses are what the dynamics allow: it is known to have failed.
        explorer: write `explorer.html`: of one cure, not of each of a table.
        grounds: what dynamics were found to allow, by `ground_key`; looked up and added to, so that transfers of one base share it.
    """

    settings: CureSettings = field(default_factory=CureSettings)
    how: PlaySettings = field(default_factory=lambda: PlaySettings(episodes=100))
    image: str = "png"
    anyway: bool = False
    explorer: bool = True
    grounds: dict[str, Ground] = field(default_factory=dict)


def write_cure(
    failed_path: StrPath,
    folder: StrPath,
    *,
    method: str,
    base_path: StrPath | None = None,
    to_path: StrPath | None = None,
    options: CureOptions | None = None,
    progress: Progress | None = None,
    command: str = "",
) -> CureResult:
    """Cure one model and write `report.md`, `results.json`, where it is cured `cured.pt`, where states can be placed the figure
    `placement.png` with its data, and where something was tried `explorer.html`.

    Args:
        failed_path: the model.
        folder: made if missing; unfinished work in it goes on.
        method: a key of `METHODS` or "auto".
        base_path: the base whose weights may be used; the one that the model names where it is None.
        to_path: a base to judge the outcome by, after the choice.
        options: what else.
        progress: called with (updates taken, updates at most).
        command: shown in the report.

    Raises:
        UserError: for unusable models, or a method that is not allowed here.
    """
    failed_path, folder = Path(failed_path), Path(folder)
    options = options or CureOptions()
    options.settings.validate()
    failed = load_checkpoint(failed_path)
    base, problem = posed(failed, base_path, options.settings.seed, str(failed_path))
    judge = None if to_path is None else load_checkpoint(to_path)
    if judge is not None and not judge.task.same_maze(failed.task):
        raise UserError(
            f"{to_path}: a model of the {judge.task.title}, but {failed_path} is of the {failed.task.title}; give two of one maze"
        )
    with only_one(folder, "another crar cure works there"):
        store = Pieces(
            folder / STATE, result_key("cure work", EDITION, failed=failed, base=base, settings=options.settings)
        )  # whatever decides in the end
        key = ground_key(problem, options.settings)
        with torch_threads(1):
            found = cure(
                problem, method, options.settings, store=store, progress=progress, ground=options.grounds.get(key), anyway=options.anyway
            )
        options.grounds[key] = Ground(found.landscape, found.level, found.level_seconds)
        (folder / "cured.pt").unlink(missing_ok=True)  # of an earlier call, which may have been another method's
        if found.cured and not found.already:
            save_checkpoint(folder / "cured.pt", cured_checkpoint(failed, found))
        about = Failed(
            as_given(failed_path),
            failed.digest,
            failed.maze,
            tuple(place_of(failed)),
            failed.task.observation_map.title,
            trained_words(failed, judge, base),
        )
        own = None if base is None else Side(as_given(base.file or ""), base.digest, same_dynamics(failed, base))
        placed = None if found.landscape is None else _placed(problem, found, found.landscape)
        key, root = cure_key(failed, base, judge, method, options), None if placed is None else problem.forest.roots[0]
        result = CureResult(
            command, key, method, options.settings, options.how, about, own, found, _rule(problem, found), placed,
            *judged(failed, found, judge, options.how, to_path, root),
        )  # fmt: skip  # the base's maze is looked at only if --to is given
        figure, data, files = None, None, dict[str, Content]()
        if found.landscape is not None and placed is not None:
            data, figure = _data(found.landscape), f"placement.{options.image}"
            marks: dict[str, Place | None] = {**placed.places, **({} if result.to is None else {"base": result.to.place})}
            files = {"placement.nc": data.assign_attrs(failed=failed.digest, command=command), figure: placement_figure(data, marks)}
        with torch_threads(1):
            page = cure_explorer(result, problem, failed, data) if options.explorer else None
        files |= {} if page is None else {EXPLORER: page}
        said = ALONG_EPISODES if found.level is None else TABLE_OF_MOVES
        view = cure_view(result, failed.task, figure=figure, placed=said, explorer="" if page is None else EXPLORER)
        publish(folder, "cure.md", {"r": result, **view}, result, files)
        shutil.rmtree(folder / STATE, ignore_errors=True)
    return result


def trained_words(failed: Checkpoint, *bases: Checkpoint | None) -> str:
    """How a transfer and its own base, if it is one of these, were trained, as verdicts name it; "" where that is not known."""
    own = [base.recipe for base in bases if base is not None and base.digest == failed.info.get("base_digest")]
    return recipe_words(own[0] if own else "", failed.recipe)


def judged(
    failed: Checkpoint, found: Cure, judge: Checkpoint | None, how: PlaySettings, to_path: StrPath | None, root: int | None = None
) -> tuple[Evaluation, Evaluation, Judge | None]:
    """What became of the model: evaluations before and after in its own maze, and the base that judges; `root`: the start state, where states can be placed."""
    task, inverse, loss = failed.task, failed.inverse, failed.settings.loss
    reference = None if judge is None else (judge.parameters, judge.inverse)

    def evaluated(params: Params) -> Evaluation:
        return evaluate(task, params, inverse=inverse, settings=loss, how=how, base=reference)

    before, after = evaluated(failed.parameters), evaluated(cured_parameters(failed, found))
    if judge is None:
        return before, after, None
    base = evaluate(task, judge.parameters, inverse=judge.inverse, settings=loss, how=how)
    place = None
    if root is not None:
        x, y = embed(task, judge.parameters, inverse=judge.inverse)[root].tolist()
        place = (x, y)
    return before, after, Judge(as_given(to_path or ""), judge.digest, same_dynamics(failed, judge), base, place)


def _rule(problem: Problem, found: Cure) -> str:
    """By what the chosen candidate was chosen, in words."""
    if found.level is None:
        limit = (
            f"transition errors are at most {SAMPLED_MEAN} moves in the mean and at most {SAMPLED_OFF:.0%} of them above half a move"
            if found.base_astray is None
            else f"at most {WITHIN:.0%} more of them are predicted nearer another state than by its base on its own side, {found.base_astray:.1%}, which the transfer "
            "was told when it began"
        )
        return f"the lowest transition + reward term on transitions that nothing was trained on; cured where {limit}"
    as_base = ""
    if found.base_astray is not None and found.base_astray > (found.level.tail.astray or 0.0) + STRAYS:
        as_base = (
            f", or no more of them than by its base on its own side, {found.base_astray:.1%}, which the transfer was told when it began"
        )
    ends = int((problem.data.judged.terminated != 0).sum())
    aside = f" but the {ends:,} that end an episode" * (ends > 0)
    fit = f"; the dynamics fit no embedding where more than {UNFIT:.0%} of the best free embedding's errors are above half a move"
    return (
        "of the candidates that are good enough, the one with the fewest mispredictions (transitions predicted nearer another state than the one reached) of "
        f"{problem.task.sampling.what}{aside}, and of these the lowest total; good enough is a total of at most {ABOVE} times the best free embedding's, no error above its worst "
        f"plus {FURTHER} moves, and at most {STRAYS:.0%} of the transitions more mispredicted than by it{as_base}{fit}"
    )


def _placed(problem: Problem, found: Cure, landscape: Landscape) -> Placed:
    def place(encoder: Params) -> Place:
        x, y = problem.agent.encode(encoder, problem.data.judged.observations)[problem.forest.roots[0]].tolist()
        return x, y

    places = {"failed": place(problem.failed), "chosen": place(found.best.encoder)}
    return Placed(places, landscape.valleys, {name: landscape.valley_of(torch.tensor(at)) for name, at in places.items()})


def _data(landscape: Landscape) -> xr.Dataset:
    values = {name: (("x", "y"), getattr(landscape, name).numpy()) for name in ("total", "transition")}
    return xr.Dataset(values, coords={"x": landscape.axis.numpy(), "y": landscape.axis.numpy()})


def ground_key(problem: Problem, settings: CureSettings) -> str:
    """Of all that the placement landscape and the level depend on: dynamics, transitions, loss, and what is spent. No observation is among them: states are
    placed freely, so that transfers through several maps share it."""
    seen = problem.data.judged
    rows = {name: getattr(seen, name) for name in ("state", "next_state", "action", "terminated", "reward", "states", "pairs")}
    rows["moving"] = (seen.observations[seen.state] != seen.observations[seen.next_state]).flatten(1).any(1)  # the unit of errors
    dynamics = select(problem.failed, DYNAMICS)
    return result_key(
        "ground",
        EDITION,
        dynamics=dynamics,
        transitions=rows,
        loss=problem.loss.settings,
        resolution=settings.resolution,
        effort=settings.effort,
    )


def cure_key(failed: Checkpoint, base: Checkpoint | None, judge: Checkpoint | None, method: str, options: CureOptions) -> str:
    """Of all that a cure and its judgement depend on."""
    known = failed.info.get("base_astray")  # a transfer of before is told it when it is resumed
    parts = {"failed": failed, "base": base, "to": judge, **({} if known is None else {"base_astray": known})}
    return result_key("cure", EDITION, **parts, method=method, settings=options.settings, how=options.how, anyway=options.anyway)


def cure_line(r: CureResult) -> str:
    """What a cure that was judged by a base came to, in a sentence."""
    before, after = (number(one.terms["total"]) for one in (r.before, r.after))
    spent = f"{r.budget.updates:,} updates of candidates"
    if r.already:
        return f"nothing was tried: {'the model mispredicts no more than its base' if r.as_base else f'the total loss of the model, {before}, is what its dynamics allow'}."
    if not r.cured:
        return f"nothing that was tried: the best candidate, of {r.by}, has total loss {after} against {before}, after {spent}."
    verdict = {True: "its base agrees", False: "its base does not agree", None: "no base was asked"}[r.restored]
    return f"{r.by}, chosen by losses alone: total loss {before} before, {after} after {spent}; {verdict}."
