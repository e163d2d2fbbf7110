"""`crar train`, `crar transfer`, `crar gather`."""

from __future__ import annotations

import dataclasses
import shlex
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crar_model.core.errors import UserError
from crar_model.core.files import read_text
from crar_model.core.ranges import as_flags_but
from crar_model.core.settings import LossSettings, TrainSettings, to_plain
from crar_model.core.sizes import STEP_OF_TILES, check_one
from crar_model.core.words import plural
from crar_model.tasks import sides, task_named
from crar_model.tasks.checks import check_settings
from crar_model.training.variants import VARIANTS
from crar_reports.commands.app import app
from crar_reports.commands.command import Command
from crar_reports.commands.flags import RUN, Choices, OutOption, ResumeOption, base_start, fresh, settled, transfer_start, with_flags

if TYPE_CHECKING:
    from crar_model.training.members import Plan

OF_A_WALK = ("data_size", "legacy_astar", "blank_terminal", "terminal_last")
RESETS = ("glorot", "permute")


@app.command(cls=Command, epilog="Example:\n  crar train --members 6 --out runs/base")
@with_flags(TrainSettings, LossSettings, start=base_start, alone=False)
def train(
    given: dict[str, Any],
    out: OutOption,
    members: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Models to train as one program; member k uses seed + k.", show_default="6", rich_help_panel=RUN
        ),
    ] = None,
    resume: ResumeOption = False,
) -> None:
    """Train agents from random weights, many seeds as one program."""
    _read_walls(given)
    task = task_named(given.get("maze", TrainSettings().maze))
    settings = settled(base_start(task), given)
    _one_source(given)
    from crar_model.training.members import base_plan
    from crar_model.training.runner import plan_of

    if resume and (out / "run.json").exists():
        plan = plan_of(out)
        if members is not None and members != len(plan.members):
            raise UserError(f"--members is {members}, but the run in {out} has {len(plan.members)}; leave it out or choose another --out")
        plan = dataclasses.replace(plan, settings=settled(to_plain(plan.settings), given))
    else:
        plan = base_plan(settings, 6 if members is None else members)
    if plan.settings.observation_map != TrainSettings().observation_map and not plan.settings.inverse:
        from crar_reports import progress as console

        console.say("only the inverse maze is seen through --observation-map: nothing changes here, and crar transfer takes the map itself")
    run(plan, out, resume, plan.variant.name)


@app.command(
    cls=Command,
    epilog="Variants:\n"
    + "\n".join(
        textwrap.fill(variant.about, 79, initial_indent=f"  {variant.name:<16} ", subsequent_indent=" " * 19)
        for variant in VARIANTS.values()
    )
    + "\n\nExample:\n  crar transfer --from runs/base/member-0.pt --variant freeze --out runs/freeze",
)
@with_flags(TrainSettings, LossSettings, skip=("inverse",), start=transfer_start, maze="the bases'", alone=False)
def transfer(
    given: dict[str, Any],
    bases: Annotated[
        list[Path],
        typer.Option("--from", metavar="FILE", exists=True, help="Base checkpoint.", show_default=False, rich_help_panel=RUN),
    ],
    out: OutOption,
    variants: Annotated[
        list[str] | None,
        Choices(tuple(VARIANTS)),
        typer.Option(
            "--variant",
            help="What starts where and what trains; listed below. Several give runs of their own, --out/VARIANT.",
            show_default=next(iter(VARIANTS)),
            rich_help_panel=RUN,
        ),
    ] = None,
    members: Annotated[int, typer.Option(metavar="N", min=1, help="Seeds per base, variant and learning rate.", rich_help_panel=RUN)] = 8,
    rates: Annotated[
        list[float] | None,
        typer.Option("--rate", metavar="RATE", help="Learning rate.", show_default="--learning-rate", rich_help_panel=RUN),
    ] = None,
    reset: Annotated[
        str,
        Choices(RESETS),
        typer.Option(help="New weights of reset-encoder: glorot (paper) or permute (the code's quirk).", rich_help_panel=RUN),
    ] = RESETS[0],
    paired: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Variant paired: observations in pairs; simple maze: of as many states, at most all.",
            rich_help_panel=RUN,
        ),
    ] = 500,
    back: Annotated[
        bool,
        typer.Option("--back", help="Take a --from that is a transfer itself, and train back to its base's maze.", rich_help_panel=RUN),
    ] = False,
    resume: ResumeOption = False,
) -> None:
    """Transfer bases to the other maze: negated observations.

    The base's dynamics stay as they are in most variants, and every base x variant x learning rate x seed is a member of one program.
    """
    settings = settled(transfer_start(task_named(given.get("maze", TrainSettings().maze))), given)  # bad ones end here, before PyTorch
    _one_source(given)
    _read_walls(given)
    for rate in rates or ():
        check_settings(dataclasses.replace(settings, learning_rate=rate), as_flags_but(learning_rate="--rate"))
    from crar_model.models.checkpoints import load_checkpoint
    from crar_model.training.members import refuse_transfers, transfer_plan
    from crar_reports import progress as console

    if not back:
        refuse_transfers(bases, "--back")
    elif not any(load_checkpoint(path).base_name for path in bases):
        raise UserError("--back: no --from is a transfer, so none goes back; leave it out, or give a transfer")
    base = load_checkpoint(bases[0])
    seen = base.task.observation_map.settings() if base.inverse else {}
    given = {"maze": base.maze, "walls": base.settings.walls, "observation": base.settings.observation, **seen} | given
    task, names = task_named(given["maze"]), list(dict.fromkeys(variants or [next(iter(VARIANTS))]))
    started = {name: settled(transfer_start(task, VARIANTS[name]), given) for name in names}
    plans = {
        name: transfer_plan(settings, bases, name, members, learning_rates=rates or (), reset=reset, paired=paired)
        for name, settings in started.items()
    }
    if base.inverse:
        console.say("these bases are of the inverse maze, so the transfers learn the normal one")
    if len(plans) == 1:
        run(plans[names[0]], out, resume, names[0])
        return
    from crar_model.training.runner import check_folder

    begun = {name: resume and (out / name / "run.json").exists() for name in plans}
    for folder, going_on in {out: resume and not any(begun.values()), **{out / name: begun[name] for name in plans}}.items():
        if not (folder == out and any(begun.values())):
            check_folder(folder, going_on)  # all refusals come before the first update
    for name, plan in plans.items():
        run(plan, out / name, begun[name], name, last=False)
    first = next(iter(plans))
    commands = [["crar", "evaluate", str(out)], *next_commands(plans[first], out / first)[1:]]
    print("\n".join((f"{plural(len(plans), 'run')} in {out}; next:", *(f"  {shlex.join(line)}" for line in commands))))


def _read_walls(given: dict[str, Any]) -> None:
    """Put the drawing that --walls names in the place of its file."""
    if given.get("walls") == "":
        raise UserError("--walls names no file; give one, or leave it out for the study's maze")
    if "walls" in given:
        given["walls"] = read_text(given["walls"], what="--walls: ", give="give a text file").strip("\n") + "\n"


def _one_source(given: dict[str, Any]) -> None:
    """Refuse flags about gathering beside a file that was gathered."""
    also = [name for name in OF_A_WALK if name in given]
    if given.get("data") and also:
        raise UserError(
            f"--data names a file that is gathered already; leave out {', '.join('--' + name.replace('_', '-') for name in also)}"
        )


def run(plan: Plan, out: Path, resume: bool, what: str, *, last: bool = True) -> None:
    """Run a plan under a progress bar, and say how it ended and, with `last`, what to do next; a stopped run exits with 130."""
    from crar_model.training.leaders import kept_words
    from crar_model.training.runner import run_plan
    from crar_reports import progress as console

    with console.progress_bar(f"{what}: {plural(len(plan.members), 'member')} x {plural(plan.settings.updates, 'update')}") as tick:
        result = run_plan(plan, out, resume=resume, progress=tick, rows=tick.rows, notice=console.say)
    for member, update in sorted(result.diverged.items()):
        print(f"member {member} diverged: not finite at update {update}, frozen there; the others went on", file=sys.stderr)
    if result.kept:
        print(kept_words(result.kept))
    if not result.finished:
        print(f"stopped and saved; continue with the same command and --resume, or: crar train --resume --out {shlex.quote(str(out))}")
        raise typer.Exit(130)
    if drawn := plan.task.sampling.drawn:
        print(f"too large a layout to list: {drawn}")
    print(f"{plural(len(result.members), 'model')} in {out} (member-0.pt ..., losses.csv, tensorboard/)")
    if last:
        print("\n".join(("next:", *(f"  {shlex.join(line)}" for line in next_commands(plan, out)))))


def next_commands(plan: Plan, out: Path) -> list[list[str]]:
    """What one does with a finished run: transfer a base, judge transfers and dissect one."""
    model, base = str(out / "member-0.pt"), plan.members[0].base
    if not base:
        best = out / "best-0.pt"
        return [["crar", "transfer", "--from", str(best) if best.exists() else model, "--out", f"{out}-transfer"]]
    look = ["crar", "landscape", "--from", model, "--to", base, "--out", f"{out}-landscape"]
    return [["crar", "evaluate", str(out)], *([] if plan.task.sampling.drawn else [look])]


@app.command(cls=Command, epilog="Example:\n  crar gather --size 50000 --out walk.npz")
@with_flags(alone=False)
def gather(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The file, *.npz.", show_default=False)],
    size: Annotated[int, typer.Option(metavar="N", min=1, help="Transitions.")] = 200_000,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of maps and policy; member k of crar train uses --seed + k.")] = 0,
    inverse: Annotated[bool, typer.Option("--inverse", help="Observe the inverse maze.")] = False,
    legacy_astar: Annotated[bool, typer.Option("--legacy-astar", help="Quirk: draw maps as the released code does.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over an --out that is there.")] = False,
) -> None:
    """Save a random policy's walk through drawn maps as tile maps."""
    if out.suffix != ".npz":
        raise UserError(f"--out is {out}; give a file that ends in .npz")
    check_one("size", size, STEP_OF_TILES)
    fresh(out, force=force)
    from crar_model.mazes.walks import gather_walk, save_walk

    walk = gather_walk(seed, size, inverse=inverse, legacy_astar=legacy_astar)
    save_walk(out, walk)
    print(
        f"{out}: {plural(size, 'transition')}, {plural(int(walk.terminated.sum()), 'finished episode')}; {walk.n_bytes / 1e6:.1f} MB in memory, "
        f"{out.stat().st_size / 1e6:.2f} MB on disk"
    )


@app.command(
    "import",
    cls=Command,
    epilog="Example:\n  crar import network.npz --maze simple-inverse --out model.pt\n\ndocs/original.md, section 10, has the file.",
)
@with_flags(alone=False)
def import_network(
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, help="Its arrays p00, p01, ..., *.npz.")],
    maze: Annotated[str, Choices(sides()), typer.Option(help="The maze that it was trained in.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The checkpoint, *.pt.", show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Write over an --out that is there.")] = False,
) -> None:
    """Make a checkpoint of a network of the original code.

    Dense networks only. The checkpoint names no base: crar landscape --from takes it alone, crar evaluate judges it.
    """
    if out.suffix != ".pt":
        raise UserError(f"--out is {out}; give a file that ends in .pt")
    fresh(out, force=force)
    from crar_model.models.checkpoints import save_checkpoint
    from crar_model.models.evaluation import evaluate
    from crar_model.models.original import import_network as read

    model = read(file, maze)
    save_checkpoint(out, model)
    here, there = (
        evaluate(model.task, model.parameters, inverse=inverse, settings=model.settings.loss).terms["total"]
        for inverse in (model.inverse, not model.inverse)
    )
    print(f"{out}: {model!r}; total loss {here:.3g} in its maze, {there:.3g} in the other")
    print(
        "\n".join(("next:", f"  {shlex.join(['crar', 'landscape', '--from', str(out), '--out', str(out.with_suffix('')) + '-landscape'])}"))
    )
