"""`crar evaluate` and `crar play`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

import crar_model
import crar_reports
from crar_model import samples
from crar_model.core.files import json_text
from crar_model.core.settings import PlaySettings
from crar_model.core.words import plural
from crar_reports.commands.app import app
from crar_reports.commands.command import Command
from crar_reports.commands.flags import with_flags


@app.command(cls=Command, epilog="Examples:\n  crar evaluate runs/freeze\n  crar evaluate runs/freeze runs/unfreeze --csv models.csv")
@with_flags(PlaySettings)
def evaluate(
    given: dict[str, Any],
    models: Annotated[
        list[Path],
        typer.Argument(metavar="MODEL", exists=True, help="Checkpoints or run folders; a folder stands for all its members."),
    ],
    base: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", exists=True, help="Compare every embedding with this model's.", show_default="the base that a transfer names"
        ),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Print every loss term too, in a second table.")] = False,
    table: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Also write all figures, a row a model.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a --csv that is there.")] = False,
) -> None:
    """Judge models: losses, matched or swapped, navigation or score."""
    from crar_reports import progress as console

    found = crar_model.evaluate(models, base, csv=table, force=force, watch=console.progress_bar, notice=console.say, **given)
    if as_json:
        print(json_text(found.plain()))
    else:
        from crar_reports.pages.evaluate import print_evaluation

        print_evaluation(found, full=full)


@app.command(cls=Command, epilog="Example:\n  crar play --out episode.gif")
@with_flags(PlaySettings, only=("seed", "depth", "epsilon"), epsilon="0")
def play(
    given: dict[str, Any],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The animated picture, *.gif.", show_default=False)],
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL", exists=True, help="A model of a maze with a score, or of a world.", show_default="the shipped base"
        ),
    ] = samples.RANDOM_BASE,
    force: Annotated[bool, typer.Option("--force", help="Write over an --out that is there.")] = False,
) -> None:
    """Film an episode with the agent's planned path, as a GIF."""
    episode = crar_reports.play(out, checkpoint, force=force, **given)
    how = episode.how
    keys = "" if episode.keys is None else f"{episode.keys} of 3 keys "
    print(f"{episode.path}: reward {episode.reward:.1f}, {keys}in {plural(episode.steps, 'step')}")
    print(
        f"asked: what {checkpoint.parent.name}/{checkpoint.stem} does on the map of seed {how.seed}, planning {plural(how.depth, 'step')} ahead"
    )
    many = shlex.join(["crar", "evaluate", str(checkpoint), "--episodes", "200", "--planning-depth", str(how.depth)])
    print(f"how sure: one episode, {100 * how.epsilon:.0f} % random actions; a mean over many maps: {many}")
