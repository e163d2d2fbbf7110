"""`crar study` and `crar verdicts`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

import crar_reports
from crar_model.core.words import plural
from crar_reports.commands.app import app, command_line
from crar_reports.commands.command import Command
from crar_reports.commands.flags import RUN, ForceOption, OutOption, named, with_flags

CLUSTER = "Cluster"


@app.command(
    cls=Command,
    epilog="Example:\n  crar study studies/quick.toml --out runs/quick\n\n"
    "The same command goes on where it was stopped, and a changed file runs only\nwhat is new. docs/cluster.md has clusters.",
)
@with_flags()
def study(
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, help="The study, *.toml; studies/ has some.", show_default=False)],
    out: OutOption,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print cells, updates, estimated hours and gigabytes, and end.", rich_help_panel=RUN)
    ] = False,
    archive: Annotated[
        Path | None,
        named(
            metavar="FILE",
            help="Bring in what is finished in FILE, *.tar.xz, and keep there what is finished, every ten minutes and in the end.",
            shown="none",
        ),
    ] = None,
    pack: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Members of a task.", show_default="what keeps all workers at work", rich_help_panel=RUN),
    ] = None,
    attempts: Annotated[
        int, typer.Option(metavar="N", min=1, help="Failures after which a cell is left and reported.", rich_help_panel=RUN)
    ] = 3,
    retry: Annotated[bool, typer.Option("--retry", help="Try cells again that were left.", rich_help_panel=RUN)] = False,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Processes of a local cluster.", show_default="one a core", rich_help_panel=CLUSTER),
    ] = None,
    scheduler: Annotated[
        str | None, named(metavar="ADDRESS", help="Use the Dask cluster at tcp://host:port.", shown=False, panel=CLUSTER)
    ] = None,
    scheduler_file: Annotated[
        Path | None, named(metavar="FILE", help="Use the Dask cluster of this file of dask scheduler.", shown=False, panel=CLUSTER)
    ] = None,
) -> None:
    """Run a whole study: bases, transfers, one table, one page.

    The file is expanded into cells, one a model. Cells that are done already are kept; the others run on a Dask cluster.
    """
    if dry_run:
        print(crar_reports.estimate_study(file, out, archive=archive, attempts=attempts))
        return
    page = crar_reports.study(
        file, out, archive=archive, pack=pack, attempts=attempts, retry=retry, workers=workers, scheduler=scheduler, scheduler_file=scheduler_file,
        command=command_line(),
    )  # fmt: skip
    for name, (variant, why) in page.left.items():
        print(f"cell {name} ({variant}) was left: {why}")
    if not page.finished:
        print(f"stopped and saved; the same command goes on: {command_line()}")
        raise typer.Exit(130)
    said = ", ".join(f"{plural(count, 'cell')} {word}" for word, count in page.cells.items())
    print(f"{said}; {out / page.table.name}, {out / page.path.name}")
    if page.left:
        print(f"try them again with --retry: {shlex.quote(str(out))}")
        raise typer.Exit(1)


@app.command(
    cls=Command,
    epilog="Example:\n  crar verdicts --claims runs/claims --study runs/simple-study \\\n    --study runs/random-study --out runs/verdicts",
)
@with_flags()
def verdicts(
    out: OutOption,
    claims: Annotated[list[Path] | None, named(metavar="DIR", help="What crar claims wrote.", shown="none", exists=True)] = None,
    studies: Annotated[list[Path] | None, named("--study", metavar="DIR", help="What crar study wrote.", shown="none", exists=True)] = None,
    predictions: Annotated[
        list[Path] | None,
        named("--predict", metavar="DIR", help="What crar predict wrote, with transfers: S14.", shown="none", exists=True),
    ] = None,
    recipes: Annotated[
        list[str] | None,
        named("--recipe", metavar="DIR=WORDS", help="How models of a DIR that does not say were trained.", shown="none"),
    ] = None,
    force: ForceOption = False,
) -> None:
    """Put the verdicts on all claims, S1 to S14, on one page.

    From the results.json of claims and studies, with the released data's own answers beside them. A claim without a result
    stands there as not measured.
    """
    print(
        crar_reports.verdicts(
            claims=claims or (),
            study=studies or (),
            predict=predictions or (),
            recipe=recipes or (),
            out=out,
            force=force,
            command=command_line(),
        )
    )
