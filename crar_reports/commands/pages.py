"""The commands that write a page: `crar landscape`, `claims`, `theorem`, `trajectory`, `report`, `demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import crar_reports
from crar_model.core.params import DYNAMICS
from crar_model.core.settings import PlaySettings
from crar_model.core.sizes import SAMPLE
from crar_model.tasks import sides
from crar_reports.commands.app import app, command_line
from crar_reports.commands.command import Command
from crar_reports.commands.flags import RUN, Choices, ForceOption, FormatOption, OutOption, QuickOption, ResumeOption, named, with_flags

MODELS = "Models"
SPACES = ("auto", "embedding", "weight")
USUAL = f"{SAMPLE}, or what a small world holds out"
FromOption = Annotated[
    Path | None, named("--from", metavar="FILE", help="The failed transfer.", shown="the shipped sample", panel=MODELS, exists=True)
]
ToOption = Annotated[
    Path | None,
    named(
        "--to",
        metavar="FILE",
        help="The base it should have matched; one of the other maze stands for its closed-form copy.",
        shown="the base that --from names",
        panel=MODELS,
        exists=True,
    ),
]


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
    cured: Annotated[
        Path | None,
        named(
            "--cured",
            metavar="FILE",
            help="What crar cure made of --from, to play in explorer.html.",
            shown="found anew where that takes seconds",
            panel=MODELS,
            exists=True,
        ),
    ] = None,
    points: Annotated[int, typer.Option(metavar="N", min=2, help="Points per line, ends included.")] = 101,
    resolution: Annotated[int, typer.Option(metavar="N", min=2, help="Points per axis of the surface encoder x dynamics.")] = 51,
    blocks: Annotated[
        str,
        typer.Option(metavar="LIST", help=f"What the second axis and the free paths move: {', '.join(DYNAMICS)}; with commas."),
    ] = "dynamics",
    terms: Annotated[str, typer.Option(metavar="LIST", help=f"Loss terms to show: {', '.join(crar_reports.TERMS)}; with commas.")] = "all",
    space: Annotated[str, Choices(SPACES), typer.Option(help="Where surface and paths run; auto is the maze's own choice.")] = "auto",
    align: Annotated[bool, typer.Option(help="Match hidden units first, so that ways in weight space go to the nearest copy.")] = True,
    certificate: Annotated[bool, typer.Option(help="Certify whether the failed encoder is a local minimum.")] = True,
    sample: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Transitions of the certificate and the paths, where a maze's are sampled.", show_default=USUAL
        ),
    ] = None,
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
    again: Annotated[
        Path | None,
        named(
            metavar="DIR",
            help="Draw explorer.html of an older folder of this command, from its data; nothing is measured.",
            shown="none",
            exists=True,
        ),
    ] = None,
) -> None:
    """Dissect a failed transfer and look for ways out of it.

    Lines, a surface encoder x dynamics, a certificate, paths, and the appendix's claims on this pair. Where the states of a maze can be listed, everything is measured on all of
    them; elsewhere on held-out transitions, with scores, the certificate and the paths on a sample and an independent one. A model that names no base, such as an imported one, is dissected
    without: certificate, release, surface, and the claims that need none.
    """
    page = crar_reports.landscape(
        failed, base, out=out, from_maze=from_maze, to_maze=to_maze, cured=cured, points=points, resolution=resolution, blocks=blocks, terms=terms,
        space=space, align=align, certificate=certificate, sample=sample, quick=quick, full=full, profile=profile, format=image, force=force, resume=resume,
        again=again, command=command_line(),
    )  # fmt: skip
    print(page)


@app.command(cls=Command, epilog="Example:\n  crar claims --transfer runs/freeze --out runs/claims")
@with_flags()
def claims(
    out: OutOption,
    transfers: Annotated[
        list[Path] | None, named("--transfer", metavar="RUN", help="Run folder of transfers, or one of them.", shown="none", exists=True)
    ] = None,
    again: Annotated[
        Path | None,
        named(
            metavar="DIR",
            help="In place of --transfer: a folder of crar claims, decided again by the rules of now. Nothing is measured.",
            shown="none",
            exists=True,
        ),
    ] = None,
    recipe: Annotated[
        str, named(metavar="WORDS", help="With --again: how the models were trained, where those results do not say.", shown="as they say")
    ] = "",
    bases: Annotated[
        list[Path] | None,
        named("--base", metavar="RUN", help="Run folder of their bases, or one of them.", shown="where the transfers say", exists=True),
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Most transfers per base.", rich_help_panel=RUN)] = 1,
    quick: QuickOption = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep the transfers that --out has dissected already.", rich_help_panel=RUN)
    ] = False,
) -> None:
    """Decide the appendix's claims over many transfers."""
    print(
        crar_reports.decide_claims(
            transfers or (),
            out=out,
            again=again,
            recipe=recipe,
            base=bases or (),
            limit=limit,
            quick=quick,
            resume=resume,
            command=command_line(),
        )
    )


@app.command(cls=Command, epilog="Example:\n  crar theorem --out runs/theorem")
@with_flags()
def theorem(
    out: OutOption,
    failed: FromOption = None,
    base: ToOption = None,
    sample: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Transitions that the descents run on, where a maze's are sampled.", show_default=USUAL),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Where they are sampled, descend twice as long.")] = False,
    image: FormatOption = "png",
    force: ForceOption = False,
) -> None:
    """Show that new dynamics change the encoder's landscape.

    The linear case is proven with its exceptions; then a trained model is measured, on all transitions of its maze or on samples of them.
    """
    print(crar_reports.theorem(failed, base, out=out, sample=sample, full=full, format=image, force=force, command=command_line()))


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
    print(crar_reports.trajectory(run, out=out, member=member, resolution=resolution, format=image, force=force, command=command_line()))


@app.command(cls=Command, epilog="Example:\n  crar report --base runs/base --transfer runs/freeze --out runs/report")
@with_flags(PlaySettings, only=("episodes", "depth"))
def report(
    given: dict[str, Any],
    bases: Annotated[list[Path], named("--base", metavar="RUN", help="Run folder of bases.", shown=False, exists=True)],
    transfers: Annotated[list[Path], named("--transfer", metavar="RUN", help="Run folder of transfers.", shown=False, exists=True)],
    out: OutOption,
    force: ForceOption = False,
) -> None:
    """Report a study: outcomes per base and variant, curves, scores."""
    print(crar_reports.report(bases, transfers, out=out, force=force, command=command_line(), **given))


@app.command(cls=Command, epilog="Example:\n  crar demo --out demo")
@with_flags()
def demo(
    out: OutOption = Path("demo"),
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the first base model.", rich_help_panel=RUN)] = 0,
    resume: ResumeOption = False,
) -> None:
    """Train, transfer, dissect and report at small size, in minutes."""
    print(crar_reports.demo(out, seed=seed, resume=resume, command=command_line()))
    from crar_reports.pages.demo import what_to_see

    if seen := what_to_see(out):
        print(seen)
