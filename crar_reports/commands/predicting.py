"""`crar predict`, `crar maps` and `crar compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import crar_reports
from crar_model.core.errors import UserError
from crar_model.core.files import json_text
from crar_model.core.settings import CureSettings, TrainSettings
from crar_model.mazes.maps import FIELDS
from crar_reports.commands.app import app, command_line
from crar_reports.commands.command import Command
from crar_reports.commands.flags import RUN, ForceOption, FormatOption, OutOption, ResumeOption, named, with_flags


@app.command(
    cls=Command,
    epilog="Examples:\n  crar predict   # the shipped base\n  crar predict runs/base --transfer runs/freeze --out runs/predict",
)
@with_flags(CureSettings, TrainSettings, only=("resolution", *FIELDS.values()))
def predict(
    given: dict[str, Any],
    bases: Annotated[
        list[Path] | None,
        typer.Argument(metavar="BASE", exists=True, help="Bases or run folders of bases.", show_default="the shipped base"),
    ] = None,
    transfers: Annotated[
        list[Path] | None,
        named(
            "--transfer", metavar="RUN", help="Transfers of these bases, whose outcomes score the prediction.", shown="none", exists=True
        ),
    ] = None,
    out: Annotated[Path | None, named("--out", metavar="DIR", help="Write report and figures there.", shown="none")] = None,
    episodes: Annotated[int, typer.Option(metavar="N", min=1, help="Random mazes: episodes of a score.", rich_help_panel=RUN)] = 100,
    image: FormatOption = "png",
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json instead of a summary.", rich_help_panel=RUN)] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over an --out that is there.", rich_help_panel=RUN)] = False,
    resume: ResumeOption = False,
) -> None:
    """Look at a base before any transfer.

    Oddness, signed copies under its own dynamics, valleys of the placement landscape. With transfers: does any of it predict them?
    """
    page = crar_reports.predict(
        bases or (),
        out=out,
        transfer=transfers or (),
        episodes=episodes,
        format=image,
        force=force,
        resume=resume,
        command=command_line(),
        **given,
    )
    print(json_text(page.data) if as_json else page)


@app.command(cls=Command, epilog="Example:\n  crar maps --transfer runs/freeze --transfer runs/freeze-mirror --out runs/maps")
@with_flags()
def maps(
    out: OutOption,
    transfers: Annotated[
        list[Path] | None, named("--transfer", metavar="RUN", help="Transfers, of any maps and variants.", shown="none", exists=True)
    ] = None,
    cures: Annotated[
        list[Path] | None, named("--cures", metavar="DIR", help="Tables that crar cure wrote.", shown="none", exists=True)
    ] = None,
    episodes: Annotated[int, typer.Option(metavar="N", min=1, help="Random mazes: episodes of a score.", rich_help_panel=RUN)] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json instead of a line.", rich_help_panel=RUN)] = False,
    force: ForceOption = False,
    resume: ResumeOption = False,
) -> None:
    """Count what succeeds through which observation map."""
    page = crar_reports.maps(
        transfers or (), out=out, cures=cures or (), episodes=episodes, force=force, resume=resume, command=command_line()
    )
    print(json_text(page.data) if as_json else page)


@app.command(cls=Command, epilog="Example:\n  crar compare runs/freeze runs/unfreeze --out runs/compare")
@with_flags()
def compare(
    out: OutOption,
    runs: Annotated[
        list[Path] | None, typer.Argument(metavar="RUN", exists=True, help="Runs of transfers, and studies.", show_default=False)
    ] = None,
    episodes: Annotated[int, typer.Option(metavar="N", min=1, help="Random mazes: episodes of a score.", rich_help_panel=RUN)] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json instead of a line.", rich_help_panel=RUN)] = False,
    force: ForceOption = False,
) -> None:
    """Compare transfers: successes by variant, map, rule and rate."""
    if not runs:
        raise UserError("compare: names no run; give folders that crar transfer or crar study wrote")
    page = crar_reports.compare(runs, out=out, episodes=episodes, force=force, command=command_line())
    print(json_text(page.data) if as_json else page)
