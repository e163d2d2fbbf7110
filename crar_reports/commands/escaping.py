"""`crar escape`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from crar_model import samples
from crar_model.core.files import json_text
from crar_model.core.settings import UPDATE_RULES
from crar_reports.commands.app import app, command_line
from crar_reports.commands.command import Command
from crar_reports.commands.flags import RUN, Choices, FormatOption, OutOption, ResumeOption, fresh, with_flags


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
        typer.Option(
            "--from", metavar="FILE", exists=True, help="The failed transfer; several, or run folders, make a table.",
            show_default="the shipped sample", rich_help_panel=RUN,
        ),
    ] = None,
    base: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE", exists=True, help="Its base.", show_default="the base that --from names", rich_help_panel=RUN),
    ] = None,
    rates: Annotated[
        list[float] | None,
        typer.Option("--rate", metavar="RATE", help="Rate of RMSprop; several make a grid.", show_default="8e-5, 1e-3", rich_help_panel=RUN),
    ] = None,
    sgd_rates: Annotated[
        list[float] | None,
        typer.Option("--sgd-rate", metavar="RATE", help="Rate of plain SGD.", show_default="1e-4, 1e-3", rich_help_panel=RUN),
    ] = None,
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
) -> None:  # fmt: skip
    """Ask whether noise carries a failed transfer out of its minimum.

    From its certified minimum, frozen dynamics, plain SGD and RMSprop: who leaves, when, and where to.
    """
    fresh(out, force=resume, other="--resume to continue", own="escape")
    if not failed:
        failed, base = [samples.FAILED], base or samples.BASE
    from crar_reports.pages.escape import many as pages
    from crar_reports.pages.escape import one as page

    usual = page.Grid()
    grid = page.Grid(
        tuple(rates or usual.rates), tuple(sgd_rates or usual.sgd_rates), tuple(batches or usual.batches), seeds, updates, checks,
        tuple(dict.fromkeys(rules or usual.rules)),
    )  # fmt: skip
    alone = len(failed) == 1 and failed[0].is_file()
    how: dict[str, Any] = {"base_path": base, "grid": grid, "image": image, "command": command_line()}
    found = page.write_escape(failed[0], out, **how) if alone else pages.write_escapes(failed, out, **how)
    verdict = page.verdict(found) if alone else pages.verdict(found)
    print(json_text(found) if as_json else f"{verdict}\nreport: {out / 'report.md'}")
