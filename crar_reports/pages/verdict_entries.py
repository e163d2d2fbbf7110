"""What results of `crar claims`, `crar study` and `crar predict` say of claims, an entry each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.words import plural
from crar_model.tasks import TASKS, Task, task_named
from crar_reports.claims.evidence import Listed, Samples, pair_of
from crar_reports.claims.record import EXAMPLE, RECIPE, UNDECIDED, recipe_words
from crar_reports.claims.study import depends, scope_of
from crar_reports.claims.table import claims_of
from crar_reports.pages.claims import Judged, maze_of
from crar_reports.pages.claims_groups import FAILED, SUCCEEDED, by_recipe, grouped, spreads, verdicts
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
        world: what a world of one's own is called; "" for mazes, and where the result does not say.
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
    world: str = ""

    @property
    def title(self) -> str:
        """The maze or the world in words."""
        return self.world or TASKS[self.maze].title


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
    """What the results of `crar claims` decide: the verdicts over the transfers that failed by what they do, beside them how many of those that succeeded have which.

    Raises:
        UserError: for results of no known maze.
    """
    path, task = Path(path), maze_of(content, path)
    pairs = [pair_of(plain, complete=task.sampling.complete) for plain in content.pairs]
    world = task.title if task.known_by_data else ""
    return [replace(entry, world=world) for recipe, own in by_recipe(pairs).items() for entry in _claims_of(own, task, path.name, recipe)]


def _claims_of(pairs: Sequence[Listed | Samples], task: Task, source: str, recipe: str) -> list[Entry]:
    """The verdicts of one recipe."""
    complete, groups = task.sampling.complete, grouped(pairs)
    group, good = (groups.get(name, []) for name in (FAILED, SUCCEEDED))
    rules = claims_of(complete=complete)
    if not group:
        none = f"none of {plural(len(pairs), 'transfer')} failed"
        return [Entry(claim.id, task.name, UNDECIDED, none, 0, 0, source, recipe=recipe) for claim, _ in rules]
    bases = len({pair.origin or pair.base for pair in group})
    decided, measured = verdicts(group, complete=complete), spreads(group, complete=complete)
    beside = verdicts(good, complete=complete) if good else {}
    entries = []
    for claim, rule in rules:
        verdict, counts = decided[claim.id]
        own = {row[1]: row for row in measured if row[0] == claim.id}
        order = sorted(rule.measures, key=lambda measure: not measure.main)
        shown = next((own[measure.what] for measure in order if measure.what in own), None)
        spread = "" if shown is None else f"; {shown[1]}: median {shown[2]} ({shown[3]} to {shown[4]})"
        if good:
            spread += f"; of {len(good)} that succeeded: {beside[claim.id][1]}"
        rows = tuple(f"{what}: {row[2]} ({row[3]} to {row[4]})" for what, row in own.items())
        scope = scope_of(bases, verdict)
        entries.append(
            Entry(claim.id, task.name, verdict, f"{counts}{spread}", len(group), bases, source, rows, scope=scope, recipe=recipe)
        )
    return entries


def recipe_given(words: str) -> tuple[str, str]:
    """(name of a folder, how its models were trained) of "FOLDER=bases ...; transfers ...", both in the words of `TrainSettings.recipe`.

    Raises:
        UserError: for anything else.
    """
    name, _, recipe = words.partition("=")
    if not name or RECIPE.fullmatch(recipe) is None:
        raise UserError(f"--recipe {words!r}: no recipe of a folder; give it such as {f'claims={EXAMPLE}'!r}")
    return name, recipe


def with_recipe(entries: list[Entry], name: str, given: dict[str, str]) -> list[Entry]:
    """Entries of a folder with the recipe that was given for it, where all of them lack one; it is taken out of what was given."""
    if name not in given or any(entry.recipe for entry in entries):
        return entries
    recipe = given.pop(name)
    return [replace(entry, recipe=recipe) for entry in entries]


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
    outcomes_of: dict[str, dict[str, list[bool]]] = {}
    for number, (base, ends) in enumerate(zip(content.bases, content.outcomes, strict=True)):
        if ends.transfers:
            outcomes_of.setdefault(recipe_words(base.recipe, ends.recipe), {})[str(number)] = [True] * ends.successes + [False] * (
                ends.transfers - ends.successes
            )
    # Older results do not name the maze: valleys of a placement landscape are of the one whose states can be listed.
    maze = content.maze or next(task.name for task in TASKS.values() if task.sampling.complete == ("valleys" in content.bases[0].features))
    task = task_named(maze, what=f"{path / RESULTS}: its maze is")
    found = {recipe: depends(outcomes) for recipe, outcomes in outcomes_of.items()}
    return [
        Entry("S14", task.name, one.verdict, one.figure, one.models, one.bases, path.name, recipe=recipe) for recipe, one in found.items()
    ]
