"""`crar cure`."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Annotated, Any

import typer

from crar_model import samples
from crar_model.core.files import json_text
from crar_model.core.settings import CureSettings
from crar_model.cures.methods import AUTO, METHODS
from crar_reports.commands.app import app, command_line
from crar_reports.commands.command import Command
from crar_reports.commands.flags import RUN, Choices, FormatOption, OutOption, ResumeOption, fresh, playing, with_flags

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
        typer.Option(
            "--from", metavar="MODEL", exists=True, help="The failed transfer; several, or run folders, make a table.",
            show_default="the shipped sample", rich_help_panel=MODELS,
        ),
    ] = None,
    methods: Annotated[
        list[str] | None,
        Choices(WORDS),
        typer.Option("--method", help="How to look for a way out; listed below.", show_default=AUTO, rich_help_panel=RUN),
    ] = None,
    base: Annotated[
        Path | None,
        typer.Option(
            "--base", metavar="FILE", exists=True, help="Base whose weights first-layer starts from; it is observed nowhere.",
            show_default="the base that --from names", rich_help_panel=MODELS,
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", metavar="FILE", exists=True, help="Base that judges the outcome, after the choice.",
            show_default="none; in a table the base that each names", rich_help_panel=MODELS,
        ),
    ] = None,
    episodes: Annotated[int, typer.Option(metavar="N", min=1, help="Random mazes: episodes of a score.", rich_help_panel=RUN)] = 100,
    image: FormatOption = "png",
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json instead of a summary.", rich_help_panel=RUN)] = False,
    resume: ResumeOption = False,
) -> None:  # fmt: skip
    """Look for a way out of a failed transfer.

    Knows the checkpoint, data of its own maze and, where a method says so, the base's weights: never an observation of the base's maze,
    nor how the observations changed. Writes cured.pt only where the losses say that it is cured; exit code 0 either way.
    """
    settings = CureSettings(**given)
    settings.validate()
    how = playing({"episodes": episodes})
    fresh(out, force=resume, other="--resume to continue", own="cure")
    if not failed:
        failed, to, base = [samples.FAILED], to or samples.BASE, base or samples.BASE
    names = list(dict.fromkeys(methods or [AUTO]))
    from crar_reports import progress as console
    from crar_reports.pages.cure.many import write_cures
    from crar_reports.pages.cure.one import CureOptions, write_cure

    options = CureOptions(settings, how, image)
    if len(failed) == len(names) == 1 and failed[0].is_file():
        with console.progress_bar(f"cure: {names[0]}", "updates") as tick:
            found = write_cure(
                failed[0], out, method=names[0], base_path=base, to_path=to, options=options, progress=tick, command=command_line()
            )
        print(json_text(found) if as_json else summary(found, out))
        return
    table = write_cures(failed, out, methods=names, base_path=base, to_path=to, options=options, command=command_line())
    print(json_text(table) if as_json else f"report: {out / 'report.md'}")


def summary(found: dict[str, Any], out: Path) -> str:
    """What came of one cure, in a few lines."""
    chosen, before, budget = found["chosen"], found["failed_candidate"], found["budget"]
    losses = f"total {chosen['terms']['total']:.3g} against {before['terms']['total']:.3g} before"
    level = "" if found["level"] is None else f"; the dynamics allow {found['level']['total']:.3g}"
    verdict = f"cured by {found['by']}" if found["cured"] else f"not cured; the best candidate is one of {found['by']}"
    if found["already"]:
        verdict, losses = "nothing to cure: its losses are what its dynamics allow", f"total {before['terms']['total']:.3g}"
    lines = [f"{verdict}: {losses}{level}", f"{budget['updates']} updates of candidates, {budget['seconds']:.0f} s"]
    if found["restored"] is not None:
        words = ("as good", "not as good") if found["already"] else ("restored", "not restored")
        lines.append(f"judged by {found['to']['path']}: {words[not found['restored']]}")
    if found["cured"]:
        lines.append(f"model: {out / 'cured.pt'}")
    return "\n".join((*lines, f"report: {out / 'report.md'}"))
