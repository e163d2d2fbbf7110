"""`crar_reports.decide_claims`, `trajectory`, `report` and `demo`: pages on whole runs; and `play`, the film of an episode."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crar_model import samples
from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.fresh import ending, fresh
from crar_model.core.keywords import keywords
from crar_model.core.places import listed
from crar_model.core.settings import PlaySettings
from crar_reports.face.page import Page, as_command, place

if TYPE_CHECKING:
    from crar_reports.pages.play import Episode, Film


@as_command("claims")
def decide_claims(
    transfer: StrPath | Sequence[StrPath] = (),
    *,
    out: StrPath | None = None,
    again: StrPath | None = None,
    recipe: str = "",
    base: StrPath | Sequence[StrPath] = (),
    limit: int = 1,
    quick: bool = False,
    resume: bool = False,
    command: str = "",
) -> Page:
    """Decide the appendix's claims over many transfers, as `crar claims` does; `crar_reports.claims` is where the claims themselves are.

    Args:
        transfer: run folders of transfers, or checkpoints.
        out: folder of the page; a temporary one where it is None.
        again: in their place: a folder of this page, decided again by the rules of now. Nothing is measured.
        recipe: of `again`, how its models were trained where its results do not say: "bases ...; transfers ...", as verdicts name it.
        base: run folders or checkpoints of their bases; where the transfers say, else.
        limit: most transfers per base.
        quick: cut paths and descents short.
        resume: keep the transfers that `out` has dissected already.
        command: shown on the page as what made it.

    Raises:
        UserError: for both or neither of transfers and `again`, unusable models, or a folder that holds something else.
    """
    given, origins = listed(transfer), listed(base)
    if bool(given) == (again is not None):
        raise UserError("give either --transfer, as often as there are runs, or --again")
    measures = (("--base", origins), ("--limit", limit != 1), ("--quick", quick), ("--resume", resume))
    if again is not None and (idle := [flag for flag, value in measures if value]):
        raise UserError(f"--again measures nothing, so {', '.join(idle)} would do nothing; leave {'it' if len(idle) == 1 else 'them'} out")
    if recipe and again is None:
        raise UserError("--recipe is for results that do not say how their models were trained, with --again; leave it out")
    same = again is not None and out is not None and Path(out).resolve() == Path(again).resolve()
    rule: dict[str, Any] = {"force": same} if again is not None else {"force": resume, "other": "--resume", "own": "claims"}
    with place(out, **rule) as (folder, temporary):
        from crar_reports.pages.claims import decide_again, write_claims

        if again is not None:
            decide_again(again, folder, recipe=recipe, command=command)
        else:
            write_claims(given, folder, bases=origins, limit=limit, quick=quick, resume=resume, command=command)
        return Page(folder, temporary=temporary)


@as_command("trajectory", run="")
def trajectory(
    run: StrPath,
    *,
    out: StrPath | None = None,
    member: int = 0,
    resolution: int = 25,
    format: str = "png",
    force: bool = False,
    command: str = "",
) -> Page:
    """Draw the loss on the plane nearest to a training's way, as `crar trajectory` does.

    Args:
        run: run folder trained with `snapshots`.
        out: folder of the page; a temporary one where it is None.
        member: of the run. resolution: points per axis.
        format: of the figure, "png" or "svg".
        force: write into a folder that holds something.
        command: shown on the page as what made it.

    Raises:
        UserError: without at least 3 snapshots, or for a folder that holds something.
    """
    with place(out, force=force) as (folder, temporary):
        from crar_reports.pages.trajectory import write_trajectory

        write_trajectory(run, folder, member=member, resolution=resolution, image=format, command=command)
        return Page(folder, temporary=temporary)


@as_command("report")
@keywords(PlaySettings, only=("episodes", "depth"))
def report(
    base: StrPath | Sequence[StrPath],
    transfer: StrPath | Sequence[StrPath],
    *,
    out: StrPath | None = None,
    force: bool = False,
    command: str = "",
    **settings: Any,
) -> Page:
    """Report a study: outcomes per base and variant, curves, scores, as `crar report` does.

    Args:
        base, transfer: run folders, of bases and of their transfers.
        out: folder of the page; a temporary one where it is None.
        force: write into a folder that holds something.
        command: shown on the page as what made it.
        settings: `episodes` and `planning_depth` of scores.

    Raises:
        UserError: for folders that hold no run, runs of two mazes, or a folder that holds something.
    """
    how = PlaySettings(**settings)
    how.validate()
    with place(out, force=force) as (folder, temporary):
        from crar_reports.pages.report import write_study

        write_study(listed(base), listed(transfer), folder, how=how, command=command)
        return Page(folder, temporary=temporary)


@as_command("demo")
def demo(out: StrPath = "demo", *, seed: int = 0, resume: bool = False, command: str = "") -> Page:
    """Train, transfer, dissect and report at small size, in minutes, as `crar demo` does.

    Args:
        out: folder of runs and pages.
        seed: of the first base.
        resume: go on with a demo that was stopped.
        command: shown on the page as what made it.

    Raises:
        UserError: for a folder that holds something else.
    """
    with place(out, force=resume, other="--resume to continue", own="demo") as (folder, _):
        from crar_reports.pages.demo import run_demo

        return Page(run_demo(folder, seed=seed, resume=resume, command=command).parent)


@keywords(PlaySettings, only=("seed", "depth", "epsilon"))
def play(
    out: StrPath,
    model: StrPath | Sequence[StrPath] = samples.RANDOM_BASE,
    *,
    goal: tuple[int, int] | None = None,
    start: tuple[int, int] | None = None,
    force: bool = False,
    **settings: Any,
) -> Episode | Film:
    """Film agents with the paths that they plan, as a GIF, as `crar play` does.

    Args:
        out: the animated picture, *.gif.
        model: of a maze with a score, whose episode is filmed; or one of a maze whose states can be listed, or several models of one maze side by
            side: then the last frame is written beside it as *.png, and a `Film` is returned.
        goal, start: (row, column) that agents go to and from, where the states can be listed.
        force: write over a file that is there.
        settings: `seed`, `planning_depth` and `epsilon` of episodes.

    Raises:
        UserError: for models of unlike mazes, a goal where there is none to go to, a cell that is a wall, or another kind of file.
    """
    how = PlaySettings(**{"epsilon": 0.0, "episodes": 1, **settings})
    how.validate()
    models = listed(model)
    if not models:
        raise UserError("no model is named; give one or several")
    fresh(ending(out, ".gif"), force=force)
    from crar_model.models.checkpoints import load_checkpoint
    from crar_reports.pages.play import save_episode, save_together

    first = load_checkpoint(models[0]).task
    if first.known_by_data or (len(models) == 1 and goal is None and start is None and first.scored):
        if len(models) > 1 or goal is not None or start is not None:
            raise UserError(f"{models[0]}: a model of a world, which is filmed alone and without --goal and --start")
        return save_episode(models[0], out, seed=how.seed, depth=how.depth, epsilon=how.epsilon)
    fresh(Path(out).with_suffix(".png"), force=force)
    return save_together(models, out, how=how, goal=goal, start=start)
