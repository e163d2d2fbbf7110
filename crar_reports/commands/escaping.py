"""`crar escape`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import crar_reports
from crar_model.core.files import json_text
from crar_model.core.settings import UPDATE_RULES
from crar_reports.commands.app import app, command_line
from crar_reports.commands.command import Command
from crar_reports.commands.flags import RUN, Choices, FormatOption, OutOption, ResumeOption, named, with_flags


@app.command(
    cls=Command,
    epilog="Examples:\n  crar escape --seeds 100 --updates 20000 --out escape   # shipped failure\n"
    "  crar escape --from runs/freeze --seeds 100 --out runs/escape   # each",
)
@with_flags()
def escape(
    out: OutOption,
    failed: Annotated[
        list[Path] | None,
        named(
            "--from",
            metavar="FILE",
            help="The failed transfer; several, or run folders, make a table.",
            shown="the shipped sample",
            exists=True,
        ),
    ] = None,
    base: Annotated[Path | None, named("--to", metavar="FILE", help="Its base.", shown="the base that --from names", exists=True)] = None,
    rates: Annotated[
        list[float] | None, named("--rate", metavar="RATE", help="Rate of RMSprop; several make a grid.", shown="8e-5, 1e-3")
    ] = None,
    sgd_rates: Annotated[list[float] | None, named("--sgd-rate", metavar="RATE", help="Rate of plain SGD.", shown="1e-4, 1e-3")] = None,
    rules: Annotated[
        list[str] | None,
        Choices(UPDATE_RULES),
        typer.Option("--update-rule", help="Steps of which rule; both make a grid.", show_default="joint", rich_help_panel=RUN),
    ] = None,
    batches: Annotated[
        list[int] | None,
        typer.Option("--batch-size", metavar="N", min=1, help="Transitions per update.", show_default="8, 32", rich_help_panel=RUN),
    ] = None,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="Members of every cell.", rich_help_panel=RUN)] = 100,
    updates: Annotated[int, typer.Option(metavar="N", min=1, help="Updates that they are watched for.", rich_help_panel=RUN)] = 5_000,
    checks: Annotated[int, typer.Option(metavar="N", min=1, help="Noiseless descents on the way.", rich_help_panel=RUN)] = 4,
    image: FormatOption = "png",
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json instead of a summary.", rich_help_panel=RUN)] = False,
    resume: ResumeOption = False,
) -> None:
    """Ask whether noise carries a failed transfer out of a minimum.

    From its certified minimum, frozen dynamics, plain SGD and RMSprop: who leaves, when, and where to.
    """
    page = crar_reports.escape(
        failed or (), base, out=out, rate=rates or (), sgd_rate=sgd_rates or (), update_rule=rules or (), batch_size=batches or (), seeds=seeds,
        updates=updates, checks=checks, format=image, resume=resume, command=command_line(),
    )  # fmt: skip
    print(json_text(page.data) if as_json else page)
