"""`crar train` and `crar transfer`."""

from __future__ import annotations

import shlex
import sys
import textwrap
from pathlib import Path
from typing import Annotated, Any

import typer

import crar_model
from crar_model.core.settings import LossSettings, TrainSettings
from crar_model.core.words import plural
from crar_model.face.run import Run
from crar_model.face.training import RESETS, base_start, transfer_start
from crar_model.training.variants import VARIANTS
from crar_reports.commands.app import app
from crar_reports.commands.command import Command
from crar_reports.commands.flags import RUN, Choices, OutOption, ResumeOption, named, with_flags
from crar_reports.commands.worlds import WORLD, ArgumentOption, EnvOption, FixedOption, PolicyOption, StepsOption, WrapperOption


@app.command(
    cls=Command,
    epilog="Examples:\n  crar train --members 6 --out runs/base\n  crar train --env MiniGrid-Empty-6x6-v0 --out runs/empty",
)
@with_flags(TrainSettings, LossSettings, start=base_start)
def train(
    given: dict[str, Any],
    out: OutOption,
    env: EnvOption = "",
    wrapper: WrapperOption = None,
    env_arg: ArgumentOption = None,
    fixed: FixedOption = False,
    steps: StepsOption = None,
    policy: PolicyOption = "",
    members: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Models to train as one program; member k uses seed + k.", show_default="6", rich_help_panel=RUN
        ),
    ] = None,
    resume: ResumeOption = False,
) -> None:
    """Train agents from random weights, many seeds as one program."""
    from crar_reports import progress as console

    how: dict[str, Any] = {"env": env, "wrapper": wrapper or (), "env_arg": env_arg or (), "fixed": fixed, "steps": steps, "policy": policy}
    tell(crar_model.train(out, members=members, resume=resume, watch=console.progress_bar, notice=console.say, **how, **given))


@app.command(
    cls=Command,
    epilog="Variants:\n"
    + "\n".join(
        textwrap.fill(variant.about, 79, initial_indent=f"  {variant.name:<16} ", subsequent_indent=" " * 19)
        for variant in VARIANTS.values()
    )
    + "\n\nExample:\n  crar transfer --from runs/base/member-0.pt --variant freeze --out runs/freeze",
)
@with_flags(TrainSettings, LossSettings, skip=("inverse",), start=transfer_start, maze="the bases'")
def transfer(
    given: dict[str, Any],
    bases: Annotated[list[Path], named("--from", metavar="FILE", help="Base checkpoint.", shown=False, exists=True)],
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
    rates: Annotated[list[float] | None, named("--rate", metavar="RATE", help="Learning rate.", shown="--learning-rate")] = None,
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
    map_: Annotated[
        str, named("--map", metavar="MODULE:NAME", help="Function of all observations that shows the other side.", shown=False, panel=WORLD)
    ] = "",
    to_env: Annotated[
        str, named("--to-env", metavar="ID", help="Environment that shows the same states otherwise.", shown=False, panel=WORLD)
    ] = "",
    to_wrapper: Annotated[
        list[str] | None, named("--to-wrapper", metavar="MODULE:NAME", help="Wrapper to put around that.", shown=False, panel=WORLD)
    ] = None,
    to_env_arg: Annotated[
        list[str] | None, named("--to-env-arg", metavar="NAME=VALUE", help="Argument of that.", shown=False, panel=WORLD)
    ] = None,
    resume: ResumeOption = False,
) -> None:
    """Transfer bases to the other maze: negated observations.

    The base's dynamics stay as they are in most variants, and every base x variant x learning rate x seed is a member of one program.
    """
    from crar_reports import progress as console

    runs = crar_model.transfer(
        bases, out, variant=variants or [], members=members, rate=rates or (), reset=reset, paired=paired, back=back, resume=resume,
        map=map_, to_env=to_env, to_wrapper=to_wrapper or (), to_env_arg=to_env_arg or (),
        watch=console.progress_bar, notice=console.say, **given,
    )  # fmt: skip
    for run in runs.values():
        tell(run, last=len(runs) == 1)
    if len(runs) > 1:
        first = next(iter(runs.values()))
        commands = [["crar", "evaluate", str(out)], *next_commands(first)[1:]]
        print("\n".join((f"{plural(len(runs), 'run')} in {out}; next:", *(f"  {shlex.join(line)}" for line in commands))))


def tell(run: Run, *, last: bool = True) -> None:
    """Say how a run ended and, with `last`, what to do next; a stopped run exits with 130."""
    from crar_model.training.leaders import kept_words

    out = run.folder
    for member, update in sorted(run.diverged.items()):
        print(f"member {member} diverged: not finite at update {update}, frozen there; the others went on", file=sys.stderr)
    if run.result.kept:
        print(kept_words(run.result.kept))
    if not run.finished:
        print(f"stopped and saved; continue with the same command and --resume, or: crar train --resume --out {shlex.quote(str(out))}")
        raise typer.Exit(130)
    if drawn := run.plan.task.sampling.drawn:
        print(f"too large a layout to list: {drawn}")
    print(f"{plural(len(run.models), 'model')} in {out} (member-0.pt ..., losses.csv, tensorboard/)")
    if last:
        print("\n".join(("next:", *(f"  {shlex.join(line)}" for line in next_commands(run)))))


def next_commands(run: Run) -> list[list[str]]:
    """What one does with a finished run: transfer a base, judge transfers and dissect one."""
    plan, out = run.plan, run.folder
    model, base = str(out / "member-0.pt"), plan.members[0].base
    if not base:
        best = out / "best-0.pt"
        return [["crar", "transfer", "--from", str(best) if best.exists() else model, "--out", f"{out}-transfer"]]
    look = ["crar", "landscape", "--from", model, "--to", base, "--out", f"{out}-landscape"]
    return [["crar", "evaluate", str(out)], *([] if plan.task.sampling.drawn else [look])]
