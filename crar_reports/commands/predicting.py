"""`crar predict` and `crar maps`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from crar_model import samples
from crar_model.core.files import json_text
from crar_model.core.settings import CureSettings, TrainSettings
from crar_model.mazes.maps import FIELDS, ObservationMap
from crar_model.tasks.checks import check_settings
from crar_reports.commands.app import app, command_line
from crar_reports.commands.command import Command
from crar_reports.commands.flags import RUN, ForceOption, FormatOption, OutOption, ResumeOption, going_on, playing, with_flags


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
        typer.Option(
            "--transfer", metavar="RUN", exists=True, help="Transfers of these bases, whose outcomes score the prediction.",
            show_default="none", rich_help_panel=RUN,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write report and figures there.", show_default="none", rich_help_panel=RUN)
    ] = None,
    episodes: Annotated[int, typer.Option(metavar="N", min=1, help="Random mazes: episodes of a score.", rich_help_panel=RUN)] = 100,
    image: FormatOption = "png",
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json instead of a summary.", rich_help_panel=RUN)] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over an --out that is there.", rich_help_panel=RUN)] = False,
    resume: ResumeOption = False,
) -> None:  # fmt: skip
    """Look at a base before any transfer.

    Oddness, signed copies under its own dynamics, valleys of the placement landscape. With transfers: does any of it predict them?
    """
    mapped = {name: given.pop(name) for name in FIELDS.values() if name in given}
    settings, seen = CureSettings(**given), TrainSettings(**mapped)
    settings.validate()
    check_settings(seen)
    how = playing({"episodes": episodes})
    if out is not None:
        going_on(out, "predict", force=force, resume=resume)
    from crar_reports.pages import predict as page

    found = page.predict(
        bases or [samples.BASE],
        out,
        transfers=transfers or [],
        resolution=settings.resolution,
        how=how,
        observation_map=ObservationMap.of(seen) if mapped else None,
        image=image,
        command=command_line(),
    )
    print(json_text(found) if as_json else summary(found, out, page.verdict(found)))


def summary(found: dict[str, Any], out: Path | None, verdict: str) -> str:
    """What was seen of each base, and what it is worth as a prediction, in a few lines."""
    lines = []
    for base in found["bases"]:
        lowest = min(copy["transition"] for copy in base["copies"][1:])
        lines.append(
            f"{base['path']}: oddness {base['oddness']:.3g}; transition {base['copies'][0]['transition']:.3g} of its own, "
            f"{lowest:.3g} of the best other signed copy, {base['start']['transition']:.3g} where a transfer starts"
        )
        if base["valleys"] is not None:
            start = base["valley_of"]["start"]
            lines.append(
                f"  {len(base['valleys'])} valley{'s' * (len(base['valleys']) > 1)}; a transfer starts in number {start + 1}, "
                f"total {base['valleys'][start]['total']:.3g}, {100 * base['valleys'][start]['share']:.0f} % of the places; "
                f"the base lies in number {base['valley_of']['base'] + 1}"
            )
    return "\n".join((*lines, verdict, *([f"report: {out / 'report.md'}"] if out is not None else [])))


@app.command(cls=Command, epilog="Example:\n  crar maps --transfer runs/freeze --transfer runs/freeze-mirror --out runs/maps")
@with_flags()
def maps(
    out: OutOption,
    transfers: Annotated[
        list[Path] | None,
        typer.Option(
            "--transfer", metavar="RUN", exists=True, help="Transfers, of any maps and variants.", show_default="none", rich_help_panel=RUN
        ),
    ] = None,
    cures: Annotated[
        list[Path] | None,
        typer.Option(
            "--cures", metavar="DIR", exists=True, help="Tables that crar cure wrote.", show_default="none", rich_help_panel=RUN
        ),
    ] = None,
    episodes: Annotated[int, typer.Option(metavar="N", min=1, help="Random mazes: episodes of a score.", rich_help_panel=RUN)] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json instead of a line.", rich_help_panel=RUN)] = False,
    force: ForceOption = False,
    resume: ResumeOption = False,
) -> None:  # fmt: skip
    """Count what succeeds through which observation map."""
    how = playing({"episodes": episodes})
    going_on(out, "maps", force=force, resume=resume)
    from crar_reports.pages.maps import write_maps

    found = write_maps(transfers or [], out, cures=cures or [], how=how, command=command_line())
    print(json_text(found) if as_json else f"report: {out / 'report.md'}")
