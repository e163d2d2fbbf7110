"""The commands that write a page: `crar landscape`, `claims`, `theorem`, `trajectory`, `report`, `demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from crar_model import samples
from crar_model.core.errors import UserError
from crar_model.core.params import DYNAMICS
from crar_model.core.settings import LossSettings, PlaySettings
from crar_model.tasks import sides
from crar_reports.commands.app import app, command_line
from crar_reports.commands.command import Command
from crar_reports.commands.flags import (
    RUN,
    Choices,
    ForceOption,
    FormatOption,
    OutOption,
    QuickOption,
    ResumeOption,
    fresh,
    going_on,
    playing,
    with_flags,
    words_of,
)

MODELS = "Models"
SPACES = ("auto", "embedding", "weight")
TERMS = (*(name for name, weight in LossSettings().weights().items() if weight), "total")
"""Terms that have a part in the loss, and their sum."""
FromOption = Annotated[
    Path | None,
    typer.Option(
        "--from", metavar="FILE", exists=True, help="The failed transfer.", show_default="the shipped sample", rich_help_panel=MODELS
    ),
]
ToOption = Annotated[
    Path | None,
    typer.Option(
        "--to", metavar="FILE", exists=True, show_default="the base that --from names", rich_help_panel=MODELS,
        help="The base it should have matched; one of the other maze stands for its closed-form copy.",
    ),
]  # fmt: skip


def pair(failed: Path | None, base: Path | None, failed_maze: str | None = None) -> tuple[Path, Path]:
    """A transfer and its base: the shipped pair where none is named, else the base that the transfer names where --to is left out.

    Raises:
        UserError: where there is no telling what to compare.
    """
    if failed is None and base is None:
        return samples.FAILED, samples.BASE
    if failed is None:
        raise UserError("--to names a base, but --from no transfer; give both, or none for the shipped pair")
    if base is not None:
        return failed, base
    from crar_model.models.checkpoints import load_checkpoint

    model = load_checkpoint(failed, maze=failed_maze, flag="--from-maze")
    named = model.base_name
    if not named and model.info.get("variant") == "base":
        raise UserError(f"{failed}: a base model, trained from random weights; give a transfer with --from")
    found = model.base_file
    if found is None:
        raise UserError(f"{failed}: " + (f"its base {named} is not there" if named else "names no base") + "; give the base with --to")
    return failed, found


def stands_alone(failed: Path | None, base: Path | None, maze: str | None) -> bool:
    """Whether --from, without a --to, names a model that names no base, and one of a maze where it can be looked at without."""
    if failed is None or base is not None:
        return False
    from crar_model.models.checkpoints import load_checkpoint
    from crar_model.training.variants import BASE

    model = load_checkpoint(failed, maze=maze, flag="--from-maze")
    return not model.base_name and model.info.get("variant") != BASE.name and model.task.sampling.complete


@app.command(
    cls=Command, epilog="Example:\n  crar landscape --from runs/freeze/member-0.pt --to runs/base/member-0.pt \\\n    --out runs/landscape"
)
@with_flags()
def landscape(
    out: OutOption,
    failed: FromOption = None,
    base: ToOption = None,
    from_maze: Annotated[
        str | None,
        Choices(sides()),
        typer.Option(help="Maze of a --from that does not say its own.", show_default=False, rich_help_panel=MODELS),
    ] = None,
    to_maze: Annotated[
        str | None,
        Choices(sides()),
        typer.Option(help="The same for --to.", show_default=False, rich_help_panel=MODELS),
    ] = None,
    points: Annotated[int, typer.Option(metavar="N", min=2, help="Points per line, ends included.")] = 101,
    resolution: Annotated[int, typer.Option(metavar="N", min=2, help="Points per axis of the surface encoder x dynamics.")] = 51,
    blocks: Annotated[
        str,
        typer.Option(metavar="LIST", help=f"What the second axis and the free paths move: {', '.join(DYNAMICS)}; with commas."),
    ] = "dynamics",
    terms: Annotated[str, typer.Option(metavar="LIST", help=f"Loss terms to show: {', '.join(TERMS)}; with commas.")] = "all",
    space: Annotated[str, Choices(SPACES), typer.Option(help="Where surface and paths run; auto is the maze's own choice.")] = "auto",
    align: Annotated[bool, typer.Option(help="Match hidden units first, so that ways in weight space go to the nearest copy.")] = True,
    certificate: Annotated[bool, typer.Option(help="Certify whether the failed encoder is a local minimum.")] = True,
    sample: Annotated[
        int, typer.Option(metavar="N", min=1, help="Transitions of the certificate and the paths, where a maze's are sampled.")
    ] = 2_048,
    quick: QuickOption = False,
    full: Annotated[
        bool, typer.Option("--full", help="Where a maze's transitions are sampled, descend twice as long, and measure S9 too.")
    ] = False,
    profile: Annotated[bool, typer.Option("--profile", help="Print where the time went; results.json keeps it.")] = False,
    image: FormatOption = "png",
    force: ForceOption = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on in an --out where `crar landscape` was stopped.", rich_help_panel=RUN)
    ] = False,
) -> None:
    """Dissect a failed transfer and look for ways out of it.

    Lines, a surface encoder x dynamics, a certificate, paths, and the appendix's claims on this pair. Where the states of a maze can be listed, everything is measured on all of
    them; elsewhere on held-out transitions, with scores, the certificate and the paths on a sample and an independent one. A model that names no base, such as an imported one, is dissected
    without: certificate, release, surface, and the claims that need none.
    """
    moved, drawn = words_of("--blocks", blocks, "dynamics", DYNAMICS), words_of("--terms", terms, "all", TERMS)
    going_on(out, "landscape", force=force, resume=resume)
    lone = failed if stands_alone(failed, base, from_maze) else None
    ends = pair(failed, base, from_maze) if lone is None else None
    from crar_reports.measure.options import LandscapeOptions
    from crar_reports.progress import StageClock

    clock = StageClock() if profile else None
    options = LandscapeOptions(
        points=points, resolution=resolution, blocks=moved, terms=drawn, space=space, align=align, quick=quick, full=full, certificate=certificate,
        sample=sample, image=image,
    )  # fmt: skip
    if ends is not None:
        from crar_reports.pages.landscape.page import write_landscape

        report = write_landscape(*ends, out, options=options, failed_maze=from_maze, base_maze=to_maze, command=command_line(), clock=clock)
    elif lone is not None:
        from crar_reports.pages.landscape.without_reference import write_alone

        report = write_alone(lone, out, options=options, maze=from_maze, command=command_line(), clock=clock)
    if clock is not None:
        print(clock.table())
    print(f"report: {report}")


@app.command(cls=Command, epilog="Example:\n  crar claims --transfer runs/freeze --out runs/claims")
@with_flags()
def claims(
    out: OutOption,
    transfers: Annotated[
        list[Path] | None,
        typer.Option(
            "--transfer",
            metavar="RUN",
            exists=True,
            show_default="none",
            help="Run folder of transfers, or one of them.",
            rich_help_panel=RUN,
        ),
    ] = None,
    again: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            exists=True,
            show_default="none",
            help="In place of --transfer: a folder of crar claims, decided again by the rules of now. Nothing is measured.",
            rich_help_panel=RUN,
        ),
    ] = None,
    bases: Annotated[
        list[Path] | None,
        typer.Option(
            "--base",
            metavar="RUN",
            exists=True,
            show_default="where the transfers say",
            help="Run folder of their bases, or one of them.",
            rich_help_panel=RUN,
        ),
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Most transfers per base.", rich_help_panel=RUN)] = 1,
    quick: QuickOption = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep the transfers that --out has dissected already.", rich_help_panel=RUN)
    ] = False,
) -> None:
    """Decide the appendix's claims over many transfers."""
    if bool(transfers) == (again is not None):
        raise UserError("give either --transfer, as often as there are runs, or --again")
    measures = (("--base", bases), ("--limit", limit != 1), ("--quick", quick), ("--resume", resume))
    if again is not None and (idle := [flag for flag, given in measures if given]):
        raise UserError(f"--again measures nothing, so {', '.join(idle)} would do nothing; leave {'it' if len(idle) == 1 else 'them'} out")
    if again is not None:
        fresh(out, force=out.resolve() == again.resolve())
    else:
        fresh(out, force=resume, other="--resume", own="claims")
    from crar_reports.pages.claims import decide_again, write_claims

    if again is not None:
        print(f"report: {decide_again(again, out, command=command_line())}")
        return
    print(
        f"report: {write_claims(transfers or (), out, bases=bases or (), limit=limit, quick=quick, resume=resume, command=command_line())}"
    )


@app.command(cls=Command, epilog="Example:\n  crar theorem --out runs/theorem")
@with_flags()
def theorem(
    out: OutOption,
    failed: FromOption = None,
    base: ToOption = None,
    sample: Annotated[
        int, typer.Option(metavar="N", min=1, help="Transitions that the descents run on, where a maze's are sampled.")
    ] = 2_048,
    full: Annotated[bool, typer.Option("--full", help="Where they are sampled, descend twice as long.")] = False,
    image: FormatOption = "png",
    force: ForceOption = False,
) -> None:
    """Show that new dynamics change the encoder's landscape.

    The linear case is proven with its exceptions; then a trained model is measured, on all transitions of its maze or on samples of them.
    """
    fresh(out, force=force)
    failed, base = pair(failed, base)
    from crar_reports.pages.theorem import write_theorem

    print(f"report: {write_theorem(failed, base, out, image=image, sample=sample, full=full, command=command_line())}")


@app.command(cls=Command, epilog="Example:\n  crar trajectory runs/base --out runs/trajectory   # a run with --snapshots")
@with_flags()
def trajectory(
    run: Annotated[Path, typer.Argument(metavar="RUN", exists=True, help="Run folder trained with --snapshots.")],
    out: OutOption,
    member: Annotated[int, typer.Option(metavar="N", min=0, help="Member of the run.")] = 0,
    resolution: Annotated[int, typer.Option(metavar="N", min=2, help="Points per axis.")] = 25,
    image: FormatOption = "png",
    force: ForceOption = False,
) -> None:
    """Draw the loss on the plane nearest to a training's way."""
    fresh(out, force=force)
    from crar_reports.pages.trajectory import write_trajectory

    print(f"report: {write_trajectory(run, out, member=member, resolution=resolution, image=image, command=command_line())}")


@app.command(cls=Command, epilog="Example:\n  crar report --base runs/base --transfer runs/freeze --out runs/report")
@with_flags(PlaySettings, only=("episodes", "depth"))
def report(
    given: dict[str, Any],
    bases: Annotated[
        list[Path],
        typer.Option("--base", metavar="RUN", exists=True, help="Run folder of bases.", show_default=False, rich_help_panel=RUN),
    ],
    transfers: Annotated[
        list[Path],
        typer.Option("--transfer", metavar="RUN", exists=True, help="Run folder of transfers.", show_default=False, rich_help_panel=RUN),
    ],
    out: OutOption,
    force: ForceOption = False,
) -> None:
    """Report a study: outcomes per base and variant, curves, scores."""
    how = playing(given)
    fresh(out, force=force)
    from crar_reports.pages.report import write_study

    print(f"report: {write_study(bases, transfers, out, how=how, command=command_line())}")


@app.command(cls=Command, epilog="Example:\n  crar demo --out demo")
@with_flags()
def demo(
    out: OutOption = Path("demo"),
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the first base model.", rich_help_panel=RUN)] = 0,
    resume: ResumeOption = False,
) -> None:
    """Train, transfer, dissect and report at small size, in minutes."""
    fresh(out, force=resume, other="--resume to continue", own="demo")
    from crar_reports.pages.demo import run_demo

    print(f"report: {run_demo(out, seed=seed, resume=resume, command=command_line())}")
