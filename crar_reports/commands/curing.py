"""`crar cure`."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Annotated, Any

import typer

import crar_reports
from crar_model.core.files import json_text
from crar_model.core.settings import CureSettings
from crar_model.cures.methods import AUTO, METHODS
from crar_reports.commands.app import app, command_line
from crar_reports.commands.command import Command
from crar_reports.commands.flags import RUN, Choices, FormatOption, OutOption, ResumeOption, named, with_flags

MODELS = "Models"
WORDS = (AUTO, *METHODS)


@app.command(
    cls=Command,
    epilog="Methods:\n"
    + "\n".join(
        textwrap.fill(about, 79, initial_indent=f"  {name:<12} ", subsequent_indent=" " * 15)
        for name, about in ((AUTO, "one after the other until one succeeds"), *((m.name, m.about) for m in METHODS.values()))
    )
    + "\n\nExamples:\n  crar cure --out cure   # the shipped failure\n"
    "  crar cure --from runs/freeze --method symmetry --method restart \\\n    --out runs/cures   # a table of all members",
)
@with_flags(CureSettings)
def cure(
    given: dict[str, Any],
    out: OutOption,
    failed: Annotated[
        list[Path] | None,
        named(
            "--from",
            metavar="MODEL",
            help="The failed transfer; several, or run folders, make a table.",
            shown="the shipped sample",
            panel=MODELS,
            exists=True,
        ),
    ] = None,
    methods: Annotated[
        list[str] | None,
        Choices(WORDS),
        typer.Option("--method", help="How to look for a way out; listed below.", show_default=AUTO, rich_help_panel=RUN),
    ] = None,
    base: Annotated[
        Path | None,
        named(
            "--base",
            metavar="FILE",
            help="Base whose weights first-layer starts from; it is observed nowhere.",
            shown="the base that --from names",
            panel=MODELS,
            exists=True,
        ),
    ] = None,
    to: Annotated[
        Path | None,
        named(
            "--to",
            metavar="FILE",
            help="Base that judges the outcome, after the choice.",
            shown="none; in a table the base that each names",
            panel=MODELS,
            exists=True,
        ),
    ] = None,
    episodes: Annotated[int, typer.Option(metavar="N", min=1, help="Random mazes: episodes of a score.", rich_help_panel=RUN)] = 100,
    image: FormatOption = "png",
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json instead of a summary.", rich_help_panel=RUN)] = False,
    resume: ResumeOption = False,
) -> None:
    """Look for a way out of a failed transfer.

    Knows the checkpoint, data of its own maze and, where a method says so, the base's weights: never an observation of the base's maze,
    nor how the observations changed. Writes cured.pt only where the losses say that it is cured; exit code 0 either way.
    """
    page = crar_reports.cure(
        failed or (), out=out, method=methods or AUTO, base=base, to=to, episodes=episodes, format=image, resume=resume, command=command_line(),
        **given,
    )  # fmt: skip
    print(json_text(page.data) if as_json else page)
