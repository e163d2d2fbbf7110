"""`crar evaluate` and `crar play`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

import crar_model
import crar_reports
from crar_model import samples
from crar_model.core.errors import UserError
from crar_model.core.files import json_text
from crar_model.core.settings import PlaySettings
from crar_model.core.words import plural
from crar_reports.commands.app import app
from crar_reports.commands.command import Command
from crar_reports.commands.flags import named, with_flags


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
        named(
            metavar="FILE",
            help="Compare every embedding with this model's.",
            shown="the base that a transfer names",
            panel=None,
            exists=True,
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


@app.command(
    cls=Command,
    epilog="Examples:\n  crar play --out episode.gif\n  crar play --from runs/base/member-0.pt --from runs/freeze/member-0.pt \\\n    --goal 6,6 --out story.gif",
)
@with_flags(PlaySettings, only=("seed", "depth", "epsilon"), epsilon="0")
def play(
    given: dict[str, Any],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The animated picture, *.gif.", show_default=False)],
    checkpoint: Annotated[
        Path | None, typer.Argument(metavar="MODEL", exists=True, help="A model of a maze or of a world.", show_default="the shipped base")
    ] = None,
    models: Annotated[
        list[Path] | None, named("--from", metavar="FILE", help="Models of one maze, side by side.", shown="none", panel=None, exists=True)
    ] = None,
    goal: Annotated[
        str | None, named(metavar="ROW,COLUMN", help="Simple maze: the cell to go to.", shown="one far away", panel=None)
    ] = None,
    start: Annotated[
        str | None, named(metavar="ROW,COLUMN", help="Simple maze: the cell to go from.", shown="where episodes begin", panel=None)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over an --out that is there.")] = False,
) -> None:
    """Film agents with the paths that they plan, as a GIF.

    An agent of the random mazes plays an episode; agents of the simple maze go to a cell. Several models (--from) are filmed side by side, and the last frame is kept
    as a PNG too.
    """
    named = [*([] if checkpoint is None else [checkpoint]), *(models or [])] or [samples.RANDOM_BASE]
    cells = {name: None if text is None else cell_of(f"--{name}", text) for name, text in (("goal", goal), ("start", start))}
    made = crar_reports.play(out, named, force=force, **cells, **given)
    from crar_reports.pages.play import Episode

    if not isinstance(made, Episode):
        print("\n".join((f"{made.path}, {made.poster}", *made.outcomes)))
        return
    how = made.how
    keys = "" if made.keys is None else f"{made.keys} of 3 keys "
    print(f"{made.path}: reward {made.reward:.1f}, {keys}in {plural(made.steps, 'step')}")
    what = "map" if made.keys is not None else "episode"
    print(
        f"asked: what {named[0].parent.name}/{named[0].stem} does {'on' if what == 'map' else 'in'} the {what} of seed {how.seed}, planning "
        f"{plural(how.depth, 'step')} ahead"
    )
    if what == "episode":  # of a world, whose models have no score
        if made.alone:
            print(
                "how sure: all episodes of this world begin alike, so without random actions this is the only one; others: --epsilon 0.1 --seed 1"
            )
        else:
            print(f"how sure: one episode, {100 * how.epsilon:.0f} % random actions; others: --seed")
        return
    many = shlex.join(["crar", "evaluate", str(named[0]), "--episodes", "200", "--planning-depth", str(how.depth)])
    print(f"how sure: one episode, {100 * how.epsilon:.0f} % random actions; a mean over many maps: {many}")


def cell_of(flag: str, text: str) -> tuple[int, int]:
    """ "6,5" as a row and a column.

    Raises:
        UserError: for anything else.
    """
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdigit() for part in parts):
        raise UserError(f"{flag} is {text!r}; give a row and a column, such as 6,5")
    return int(parts[0]), int(parts[1])
