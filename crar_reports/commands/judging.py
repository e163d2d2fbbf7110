"""`crar evaluate` and `crar play`."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from crar_model import samples
from crar_model.core.errors import UserError
from crar_model.core.files import json_text
from crar_model.core.settings import PlaySettings
from crar_model.core.words import plural
from crar_reports.commands.app import app
from crar_reports.commands.command import Command
from crar_reports.commands.flags import fresh, playing, with_flags


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
    how = playing(given)
    if table is not None:
        fresh(table, force=force, flag="--csv")
    from crar_reports import progress as console
    from crar_reports.models.judged import judge
    from crar_reports.pages.evaluate import about, print_evaluation, write_csv

    with console.progress_bar("evaluate", "models") as tick:
        judged = judge(models, base, use_own_base=base is None, how=how, progress=tick)
    alone = [model for model in judged if base is None and model.checkpoint.base_name and model.checkpoint.base_file is None]
    if alone:
        console.say(
            f"crar: note: {alone[0].path}: its base {alone[0].checkpoint.base_name} is not there, so it is compared with none; give --base"
        )
    if table is not None:
        write_csv(judged, table)
    if as_json:
        protocol = {"protocol": dataclasses.asdict(how)} if any(model.checkpoint.task.scored for model in judged) else {}
        print(json_text({**protocol, "models": [about(model) | model.plain() for model in judged]}))
    else:
        print_evaluation(judged, full=full)


@app.command(cls=Command, epilog="Example:\n  crar play --out episode.gif")
@with_flags(PlaySettings, only=("seed", "depth", "epsilon"), epsilon="0", alone=False)
def play(
    given: dict[str, Any],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The animated picture, *.gif.", show_default=False)],
    checkpoint: Annotated[
        Path, typer.Argument(metavar="MODEL", exists=True, help="A model of a maze with a score.", show_default="the shipped base")
    ] = samples.RANDOM_BASE,
    force: Annotated[bool, typer.Option("--force", help="Write over an --out that is there.")] = False,
) -> None:
    """Film an episode with the agent's planned path, as a GIF."""
    how = playing({"epsilon": 0.0, "episodes": 1} | given)
    if out.suffix != ".gif":
        raise UserError(f"--out is {out}; give a file that ends in .gif")
    fresh(out, force=force)
    from crar_reports.pages.play import save_episode

    episode = save_episode(checkpoint, out, seed=how.seed, depth=how.depth, epsilon=how.epsilon)
    print(f"{episode.path}: reward {episode.reward:.1f}, {episode.keys} of 3 keys in {plural(episode.steps, 'step')}")
    print(
        f"asked: what {checkpoint.parent.name}/{checkpoint.stem} does on the map of seed {how.seed}, planning {plural(how.depth, 'step')} ahead"
    )
    many = shlex.join(["crar", "evaluate", str(checkpoint), "--episodes", "200", "--planning-depth", str(how.depth)])
    print(f"how sure: one episode, {100 * how.epsilon:.0f} % random actions; a mean over many maps: {many}")
