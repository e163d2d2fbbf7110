"""`crar_model.train`, `transfer` and `gather`: the commands of these names as functions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath, read_text
from crar_model.core.keywords import keywords
from crar_model.core.places import listed
from crar_model.core.ranges import as_flag, as_flags_but
from crar_model.core.settings import LossSettings, TrainSettings, from_plain, merged, to_plain
from crar_model.core.watching import Notice, Watch, untold, unwatched
from crar_model.core.words import plural
from crar_model.face.run import Run
from crar_model.face.worlds import other_side, settings_of_world
from crar_model.mazes.maps import OWN_MAP
from crar_model.tasks import Task, default_settings, task_named
from crar_model.tasks.checks import check_settings
from crar_model.tasks.worlds import NAME
from crar_model.training.variants import VARIANTS, Variant

if TYPE_CHECKING:
    from crar_model.training.members import Plan

OF_A_WALK = ("data_size", "legacy_astar", "blank_terminal", "terminal_last")
RESETS = ("glorot", "permute")
Nested = Mapping[str, Any]


@keywords(TrainSettings, LossSettings)
def train(
    out: StrPath,
    *,
    members: int | None = None,
    env: str = "",
    wrapper: str | Sequence[str] = (),
    env_arg: str | Sequence[str] = (),
    fixed: bool = False,
    steps: int | None = None,
    policy: str = "",
    resume: bool = False,
    watch: Watch = unwatched,
    notice: Notice = untold,
    **settings: Any,
) -> Run:
    """Train agents from random weights, many seeds as one program, as `crar train` does.

    Args:
        out: the run folder; made if missing.
        members: models, 6 where nothing is said; member k uses seed + k.
        env: id of a Gymnasium environment to gather from and to learn; what is gathered lies in `out`-data.
        wrapper, env_arg, fixed, steps, policy: how it is gathered, see `crar_model.face.worlds.gather_world`.
        resume: go on with the run in `out`, exactly where it stopped.
        watch: shows progress, such as `crar_reports.progress.progress_bar`.
        notice: told in one line what one should know.
        settings: every flag of `crar train`, with _ for -: `maze`, `updates`, `learning_rate`, `beta` ...

    Returns:
        the run, finished or stopped by Ctrl-C and saved.

    Raises:
        UserError: for settings out of range, and a folder that holds something else.
    """
    how = {"env": env, "wrapper": wrapper, "env_arg": env_arg, "fixed": fixed, "steps": steps, "policy": policy}
    given = _said(_with_walls(settings))
    settled(base_start(task_named(given.get("maze", NAME if env else TrainSettings().maze))), given)  # before anything is gathered
    given = settings_of_world(out, given, how, resume=resume, watch=watch, notice=notice)
    started = settled(base_start(task_named(given.get("maze", TrainSettings().maze))), given)
    _one_source(given)
    from crar_model.training.members import base_plan
    from crar_model.training.runner import plan_of

    if resume and (Path(out) / "run.json").exists():
        plan = plan_of(out)
        if members is not None and members != len(plan.members):
            raise UserError(f"--members is {members}, but the run in {out} has {len(plan.members)}; leave it out or choose another --out")
        plan = dataclasses.replace(plan, settings=settled(to_plain(plan.settings), given))
    else:
        plan = base_plan(started, 6 if members is None else members)
    if plan.settings.observation_map != TrainSettings().observation_map and not plan.settings.inverse:
        notice("only the inverse maze is seen through --observation-map: nothing changes here, and crar transfer takes the map itself")
    return _run(plan, Path(out), resume, watch, notice)


@overload
def transfer(bases: StrPath | Sequence[StrPath], out: StrPath, *, variant: str = ..., **settings: Any) -> Run: ...
@overload
def transfer(bases: StrPath | Sequence[StrPath], out: StrPath, *, variant: Sequence[str], **settings: Any) -> dict[str, Run]: ...
@keywords(TrainSettings, LossSettings, skip=("inverse",))
def transfer(
    bases: StrPath | Sequence[StrPath],
    out: StrPath,
    *,
    variant: str | Sequence[str] = next(iter(VARIANTS)),
    members: int = 8,
    rate: float | Sequence[float] = (),
    reset: str = RESETS[0],
    paired: int = 500,
    back: bool = False,
    map: str = "",
    to_env: str = "",
    to_wrapper: str | Sequence[str] = (),
    to_env_arg: str | Sequence[str] = (),
    resume: bool = False,
    watch: Watch = unwatched,
    notice: Notice = untold,
    **settings: Any,
) -> Run | dict[str, Run]:
    """Transfer bases to the other maze, negated observations, as `crar transfer` does.

    Args:
        bases: checkpoints, the --from of the command.
        out: the run folder; of several variants a folder of runs, `out`/VARIANT.
        variant: what starts where and what trains, a key of `VARIANTS`; a list gives a run each.
        members: seeds per base, variant and learning rate.
        rate: learning rates, in the place of `learning_rate`.
        reset: new weights of reset-encoder, "glorot" or "permute".
        paired: paired observations of the variant paired.
        back: allow bases that are transfers themselves, and train back to their bases' maze.
        map: of a world: package.module:function of its observations, in the place of `observation_map`.
        to_env, to_wrapper, to_env_arg: of a world: the environment that shows the same states otherwise, and how it is made.
        resume, watch, notice: as in :func:`train`.
        settings: every further flag of `crar transfer`, with _ for -.

    Returns:
        the run; of a list of variants a table of them, which ends early where one was stopped by Ctrl-C.

    Raises:
        UserError: for settings out of range, unusable bases, and a folder that holds something else.
    """
    out, paths = Path(out), listed(bases)
    rates = [rate] if isinstance(rate, int | float) else list(rate)
    start = settled(transfer_start(task_named(settings.get("maze", TrainSettings().maze))), settings)  # bad ones end before PyTorch
    _one_source(settings)
    given = _said(_with_walls(settings))
    for one in rates:
        check_settings(dataclasses.replace(start, learning_rate=one), as_flags_but(learning_rate="--rate"))
    from crar_model.models.checkpoints import load_checkpoint
    from crar_model.training.members import refuse_transfers, transfer_plan

    if not back:
        refuse_transfers(paths, "--back")
    elif not any(load_checkpoint(path).base_name for path in paths):
        raise UserError("--back: no --from is a transfer, so none goes back; leave it out, or give a transfer")
    if not paths:
        raise UserError("--from names no checkpoint; give at least one base")
    base = load_checkpoint(paths[0])
    seen = base.task.observation_map.settings() if base.inverse else {}
    world = (
        {name: getattr(base.settings, name) for name in ("data", "data_digest", "abstract_dim", "reward_scale")}
        if base.task.known_by_data
        else {}
    )
    if map or to_env or to_wrapper or to_env_arg:
        if "observation_map" in given:
            raise UserError("--observation-map, --map and --to-env each say what the other side shows; give one of them")
        seen = other_side(base.task, map, to_env, to_wrapper, to_env_arg, watch)
    elif base.task.known_by_data and base.task.observation_map.name == OWN_MAP:
        seen = base.task.observation_map.settings()
    given = {"maze": base.maze, "walls": base.settings.walls, "observation": base.settings.observation, **(world | seen)} | given
    names = [variant] if isinstance(variant, str) else list(dict.fromkeys(variant or [next(iter(VARIANTS))]))
    recipes = [VARIANTS.get(name) for name in names]  # one that is none is refused with its plan
    started = [settled(transfer_start(task_named(given["maze"]), recipe), given) for recipe in recipes]
    if "data" in seen:  # each run has its own
        started = [
            dataclasses.replace(own, data=str((out if len(names) == 1 else out / name) / own.data))
            for name, own in zip(names, started, strict=True)
        ]
    plans = {
        name: transfer_plan(own, paths, name, members, learning_rates=rates, reset=reset, paired=paired)
        for name, own in zip(names, started, strict=True)
    }
    if base.inverse:
        notice("these bases are of the inverse maze, so the transfers learn the normal one")
    if len(plans) == 1:
        run = _run(plans[names[0]], out, resume, watch, notice)
        return run if isinstance(variant, str) else {names[0]: run}
    return _each(plans, out, resume, watch, notice)


def _each(plans: Mapping[str, Plan], out: Path, resume: bool, watch: Watch, notice: Notice) -> dict[str, Run]:
    """Plans one after the other, each in a folder of its own."""
    from crar_model.training.runner import check_folder

    begun = {name: resume and (out / name / "run.json").exists() for name in plans}
    for folder, going_on in {out: resume and not any(begun.values()), **{out / name: begun[name] for name in plans}}.items():
        if not (folder == out and any(begun.values())):
            check_folder(folder, going_on)  # all refusals come before the first update
    runs: dict[str, Run] = {}
    for name, plan in plans.items():
        runs[name] = _run(plan, out / name, begun[name], watch, notice)
        if not runs[name].finished:
            break
    return runs


def _run(plan: Plan, out: Path, resume: bool, watch: Watch, notice: Notice) -> Run:
    from crar_model.training.runner import run_plan

    what = f"{plan.variant.name}: {plural(len(plan.members), 'member')} x {plural(plan.settings.updates, 'update')}"
    with watch(what, "updates") as tick:
        return Run(plan, run_plan(plan, out, resume=resume, progress=tick, rows=tick.rows, notice=notice))


def base_start(task: Task) -> Nested:
    """Settings of base training in a task, nested."""
    return to_plain(default_settings(task.name))


def transfer_start(task: Task, variant: Variant | None = None) -> Nested:
    """Settings of a transfer in a task, nested; of the usual variants, where none is named."""
    return merged(base_start(task), task.transfer_defaults if variant is None else variant.defaults(task))


def settled(*layers: Nested) -> TrainSettings:
    """Checked settings from nested ones, later ones over earlier ones.

    Raises:
        UserError: for a value out of range.
    """
    settings = from_plain(merged(*layers), where="settings")
    check_settings(settings)
    return settings


def _said(given: dict[str, Any]) -> dict[str, Any]:
    """The settings without those whose 0 says nothing: a run has their number, or finds it when it begins."""
    return {name: value for name, value in given.items() if name not in ("abstract_dim", "reward_scale") or value != 0}


def _with_walls(given: Nested) -> dict[str, Any]:
    """The settings with the drawing that --walls names in the place of its file."""
    if given.get("walls") == "":
        raise UserError("--walls names no file; give one, or leave it out for the study's maze")
    if "walls" not in given:
        return dict(given)
    return {**given, "walls": read_text(given["walls"], what="--walls: ", give="give a text file").strip("\n") + "\n"}


def _one_source(given: Nested) -> None:
    """Refuse flags about gathering beside a file that was gathered."""
    also = [as_flag(name) for name in OF_A_WALK if name in given]
    if given.get("data") and also:
        raise UserError(f"--data names a file that is gathered already; leave out {', '.join(also)}")
