"""`crar verdicts`: every claim S1 to S14 on one page, from the results of `crar claims` and `crar study`, the released data's answers beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from crar_model.core.errors import UserError
from crar_model.core.files import OTHER, StrPath, json_text, read_json, typed
from crar_model.core.words import plural
from crar_model.tasks import TASKS, Task, task_named
from crar_reports.claims.evidence import Listed, Samples, pair_of
from crar_reports.claims.record import AGREE, EXCEPTIONS, HOLDS, UNDECIDED, Decided, by_verdict, percent
from crar_reports.claims.study import OF_OTHERS, depends, scope_of
from crar_reports.claims.study_facts import facts_of
from crar_reports.claims.table import CLAIMS, NAMED, claims_of
from crar_reports.pages import plain_words
from crar_reports.pages.claims import FAILED, Judged, grouped, maze_of, spreads, verdicts
from crar_reports.pages.study.released import released_answer
from crar_reports.press.markdown import table
from crar_reports.press.publish import RESULTS, publish

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


Claimed = tuple[Entry, Decided | None, Decided | None]
"""A claim by one result, what the released data say of it, and what they say cut off where our transfers end."""


def write_verdicts(
    claims: Sequence[StrPath], studies: Sequence[StrPath], folder: StrPath, *, predictions: Sequence[StrPath] = (), command: str = ""
) -> Path:
    """Write `report.md`, `report.html` and `results.json` to a folder; returns the report's path.

    Args:
        claims: folders of `crar claims`. studies: of `crar study`. predictions: of `crar predict` with transfers, whose outcomes by base decide S14.
        folder: made if missing.
        command: shown on the page.

    Raises:
        UserError: for a folder without such results, or results of an unknown maze.
    """
    sources, found = list[tuple[str, str]](), list[Entry]()
    kinds: tuple[tuple[Sequence[StrPath], Any, Any, str], ...] = (
        (claims, Judged, claims_entries, "claims"), (studies, Studied, study_entries, "study"), (predictions, Predicted, predict_entries, "predict"),
    )  # fmt: skip
    for paths, kind, read, what in kinds:
        known: set[str] = set()
        for path in map(Path, paths):
            plain = read_json(path / RESULTS, dict, f"give --{what} a folder that `crar {what}` wrote")
            content = typed(plain, kind, f"{path / RESULTS}: not the results of `crar {what}`", f"give --{what} a folder that it wrote")
            text = json_text(replace(content, command=""))
            if text in known:  # the same folder under another name, or a copy of it, counts once
                continue
            known.add(text)
            try:
                found += read(content, path)
            except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
                raise UserError(f"{path / RESULTS}: {OTHER} ({error}); run `crar {what}` again") from error
            sources.append((path.name, f"`{content.command}`"))
    rows = [
        (entry, answer := released_answer(name, task), _cut(entry, answer))
        for name in NAMED
        for task in TASKS.values()
        if asked(name, task) and (not task.known_by_data or any(one.maze == task.name for one in found))
        for entry in [one for one in found if (one.id, one.maze) == (name, task.name)] or [Entry(name, task.name, NOT_MEASURED)]
    ]
    results = {
        "command": command,
        "claims": [
            asdict(entry)
            | {
                "claim": NAMED[entry.id].text,
                "released": answer and answer.plain(),
                "released_at_our_updates": cut and cut.plain(),
            }
            for entry, answer, cut in rows
        ],
    }
    measured = [(entry.id, TASKS[entry.maze].title, line) for entry, *_ in rows for line in entry.measured]
    values = {
        "made_by": f"`{command}`\n\n" if command else "", "summary": summary(rows), "plainly": plainly(rows), "rows": [_row(*row) for row in rows],
        "sources": table(["", "command"], sources) if sources else "No results were given.", "checks": list(_checks()),
        "released": _part("The released data's own answers", "", ["", "maze", "runs cut off", "verdict", "figure"], _released(rows)),
        "measured": _part(
            "Measured on failed transfers", "Median over the transfers, lowest and highest in brackets.\n\n", ["", "maze", "figure"], measured
        ),
    }  # fmt: skip
    return publish(folder, "verdicts.md", values, results)


def _part(title: str, about: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A section with a table; "" without rows."""
    return f"## {title}\n\n{about}{table(header, rows)}\n\n" if rows else ""


def asked(name: str, task: Task) -> bool:
    """Whether a claim makes sense in a maze: S1 to S10 where there is a rule for its evaluation set, S11 where agents have a score."""
    claim = NAMED[name]
    pairs = any((claim.listed, claim.samples))
    return not pairs or claim.rule(complete=task.sampling.complete) is not None


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


def _cut(entry: Entry, answer: Decided | None) -> Decided | None:
    """The released answer at the updates that ours is of; None where there is none, or where it is that to the ends."""
    if not entry.updates or not facts_of(TASKS[entry.maze]).released_scores:
        return None
    found = released_answer(entry.id, TASKS[entry.maze], entry.updates)
    return found if found != answer else None


def plainly(rows: Iterable[Claimed]) -> str:
    """The page's first words."""
    rows = list(rows)
    measured = [(entry, cut or answer) for entry, answer, cut in rows if entry.verdict != NOT_MEASURED]
    counts = {
        task.name: [entry.verdict in (HOLDS, EXCEPTIONS) for entry, _ in measured if entry.maze == task.name]
        for task in TASKS.values()
        if not task.known_by_data or any(entry.maze == task.name for entry, *_ in rows)
    }
    alike = [entry.verdict == answer.verdict for entry, answer in measured if answer is not None]
    hold = {name: (sum(each), len(each)) for name, each in counts.items()}
    return plain_words.verdicts(hold, (sum(alike), len(alike)), missing=len(measured) < len(rows))


def summary(rows: Iterable[Claimed]) -> list[tuple[str, str]]:
    """What was asked, found and how sure it is."""
    rows = list(rows)
    lines = [("Asked", f"which of the {len(CLAIMS)} claims of the appendix hold, in each maze where they make sense.")]
    mazes = {entry.maze for entry, *_ in rows}
    for task in (one for one in TASKS.values() if one.name in mazes):
        words = by_verdict((f"{entry.id}{_few(entry)}", entry.verdict) for entry, *_ in rows if entry.maze == task.name)
        lines.append((f"Found in the {task.title}", f"{words}."))
    lines.append(("The released data, by the same rules", f"{_where((entry.maze, answer) for entry, answer, _ in rows)}."))
    if cut := _where((entry.maze, found) for entry, _, found in rows):
        lines.append(("The released data cut off where our transfers end", f"{cut}."))
    counts = sorted(entry.models for entry, *_ in rows if entry.models)
    span = " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1]))) if counts else ""
    models = f"{span} models a verdict" if counts else "nothing was measured"
    lines.append(
        (
            "How sure",
            f"{models}; a verdict over many transfers stands where {percent(AGREE)} share it, else it is mixed; rules and tests are below.",
        )
    )
    return lines


def _where(answers: Iterable[tuple[str, Decided | None]]) -> str:
    """Answers in words; the last one of a claim in a maze counts."""
    known = {(answer.id, maze): answer for maze, answer in answers if answer is not None}
    return by_verdict((f"{name}{_few(one)} ({TASKS[maze].title})", one.verdict) for (name, maze), one in known.items())


def _few(one: Entry | Decided) -> str:
    """What a list of claims adds to one that is of some bases only."""
    return f" {one.scope.removesuffix(OF_OTHERS)}" if one.scope else ""


def _row(entry: Entry, answer: Decided | None, cut: Decided | None) -> tuple[str, ...]:
    models = f"{entry.models} of {entry.bases} base{'s' * (entry.bases != 1)}" if entry.source else ""
    own = _answer(answer) if answer is not None else ""
    if cut is not None:
        own += f"; cut off where ours end {_answer(cut)}"
    ends: dict[int, list[str]] = {}
    for variant, updates in entry.updates.items():
        ends.setdefault(updates, []).append(variant)
    if ends:
        models += "; updates: " + ", ".join(f"{updates:,} ({', '.join(names)})" for updates, names in ends.items())
    verdict = entry.verdict if entry.verdict == NOT_MEASURED else _bold(entry)
    recipe = entry.recipe or ("not said" if entry.source else "")
    return entry.id, NAMED[entry.id].text, TASKS[entry.maze].title, recipe, verdict, entry.figure, models, entry.source, own


def _answer(answer: Decided) -> str:
    return f"{_bold(answer)}, {plural(answer.models, 'run')}"


def _released(rows: Iterable[Claimed]) -> list[tuple[str, ...]]:
    """What stands behind the answers of the released data, a line each."""
    lines: dict[tuple[str, ...], None] = {}
    for entry, *answers in rows:
        for answer, until in zip(answers, ("to their ends", "where ours end"), strict=True):
            if answer is not None:
                lines[entry.id, TASKS[entry.maze].title, until, _bold(answer), answer.figure] = None
    return list(lines)


def _bold(one: Entry | Decided) -> str:
    """A verdict, and what it is of where it is not of all bases."""
    return f"**{one.verdict}**{' ' + one.scope if one.scope else ''}"


def _checks() -> Iterator[tuple[str, str, str]]:
    """(claim, what it is decided on, its check), those of studies last."""
    for claim in CLAIMS:
        for where, rule in (("listed transitions", claim.listed), ("a sample", claim.samples)):
            if rule is not None:
                yield claim.id, where, rule.check
    yield from ((claim.id, "a study", claim.study.check) for claim in CLAIMS if claim.study is not None)
