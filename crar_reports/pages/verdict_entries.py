"""What results of `crar claims`, `crar study` and `crar predict` say of claims, an entry each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from crar_model.core.files import StrPath
from crar_model.core.words import plural
from crar_model.tasks import TASKS, Task, task_named
from crar_reports.claims.evidence import Listed, Samples, pair_of
from crar_reports.claims.record import UNDECIDED
from crar_reports.claims.study import depends, scope_of
from crar_reports.claims.table import claims_of
from crar_reports.pages.claims import FAILED, Judged, grouped, maze_of, spreads, verdicts
from crar_reports.press.publish import RESULTS

NOT_MEASURED = "not measured here"


@dataclass(frozen=True)
class Entry:
    """A claim in a maze, by one result.

    Attributes:
        id: of the claim. maze: name of the maze.
        verdict: one of the four words, "mixed", or that it was not measured.
        figure: the measured numbers in words. models, bases: how many stand behind it.
        source: the folder that it is from, "" for none.
        measured: all its figures with their spread: median (lowest to highest).
        updates: of every variant among the transfers of a study, how many they were trained for.
        scope: what the verdict is of, where it says nothing of other bases.
        recipe: how bases and transfers were trained; "" where the result does not say.
    """

    id: str
    maze: str
    verdict: str
    figure: str = ""
    models: int = 0
    bases: int = 0
    source: str = ""
    measured: tuple[str, ...] = ()
    updates: Mapping[str, int] = field(default_factory=dict)
    scope: str = ""
    recipe: str = ""


@dataclass(frozen=True)
class Studied:
    """What the results of `crar study` hold of claims, an entry each."""

    claims: list[Entry]
    study: str
    command: str = ""


@dataclass(frozen=True)
class Base:
    """A base of `crar predict`."""

    features: dict[str, float]
    recipe: str = ""


@dataclass(frozen=True)
class Ends:
    """What became of its transfers."""

    successes: int
    transfers: int
    recipe: str = ""


@dataclass(frozen=True)
class Predicted:
    """What the results of `crar predict` hold of outcomes; older ones do not name the maze."""

    bases: list[Base]
    outcomes: list[Ends]
    maze: str = ""
    command: str = ""


def claims_entries(content: Judged, path: StrPath) -> list[Entry]:
    """What the results of `crar claims` decide: the verdicts over the transfers that failed by what they do.

    Raises:
        UserError: for results of no known maze.
    """
    path, task = Path(path), maze_of(content, path)
    by_recipe: dict[str, list[Listed | Samples]] = {}
    for pair in (pair_of(plain, complete=task.sampling.complete) for plain in content.pairs):
        recipe = f"bases {pair.recipe['base']}; transfers {pair.recipe['transfer']}" if pair.recipe else ""
        by_recipe.setdefault(recipe, []).append(pair)
    return [entry for recipe, pairs in by_recipe.items() for entry in _claims_of(pairs, task, path.name, recipe)]


def _claims_of(pairs: Sequence[Listed | Samples], task: Task, source: str, recipe: str) -> list[Entry]:
    """The verdicts of one recipe."""
    complete, group = task.sampling.complete, grouped(pairs).get(FAILED, [])
    rules = claims_of(complete=complete)
    if not group:
        none = f"none of {plural(len(pairs), 'transfer')} failed"
        return [Entry(claim.id, task.name, UNDECIDED, none, 0, 0, source, recipe=recipe) for claim, _ in rules]
    bases = len({pair.origin or pair.base for pair in group})
    decided, measured = verdicts(group, complete=complete), spreads(group, complete=complete)
    entries = []
    for claim, rule in rules:
        verdict, counts = decided[claim.id]
        own = {row[1]: row for row in measured if row[0] == claim.id}
        order = sorted(rule.measures, key=lambda measure: not measure.main)
        shown = next((own[measure.what] for measure in order if measure.what in own), None)
        spread = "" if shown is None else f"; {shown[1]}: median {shown[2]} ({shown[3]} to {shown[4]})"
        rows = tuple(f"{what}: {row[2]} ({row[3]} to {row[4]})" for what, row in own.items())
        scope = scope_of(bases, verdict)
        entries.append(
            Entry(claim.id, task.name, verdict, f"{counts}{spread}", len(group), bases, source, rows, scope=scope, recipe=recipe)
        )
    return entries


def study_entries(content: Studied, path: StrPath) -> list[Entry]:
    """What the results of `crar study` decide.

    Raises:
        UserError: for results of an unknown maze.
    """
    path = Path(path)
    what = f"{path / RESULTS}: its maze is"
    return [replace(one, maze=task_named(one.maze, what=what).name, source=path.name) for one in content.claims]


def predict_entries(content: Predicted, path: StrPath) -> list[Entry]:
    """S14 by the outcomes of the transfers that `crar predict` was given, each recipe for itself.

    Raises:
        UserError: for results of an unknown maze.
    """
    path = Path(path)
    by_recipe: dict[str, dict[str, list[bool]]] = {}
    for number, (base, ends) in enumerate(zip(content.bases, content.outcomes, strict=True)):
        recipe = f"bases {base.recipe}; transfers {ends.recipe}" if base.recipe and ends.recipe else ""
        if ends.transfers:
            by_recipe.setdefault(recipe, {})[str(number)] = [True] * ends.successes + [False] * (ends.transfers - ends.successes)
    # Older results do not name the maze: valleys of a placement landscape are of the one whose states can be listed.
    maze = content.maze or next(task.name for task in TASKS.values() if task.sampling.complete == ("valleys" in content.bases[0].features))
    task = task_named(maze, what=f"{path / RESULTS}: its maze is")
    found = {recipe: depends(outcomes) for recipe, outcomes in by_recipe.items()}
    return [
        Entry("S14", task.name, one.verdict, one.figure, one.models, one.bases, path.name, recipe=recipe) for recipe, one in found.items()
    ]
