"""The words and tables of `crar verdicts`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from crar_model.core.words import plural, the
from crar_model.tasks import TASKS
from crar_reports.claims.record import AGREE, EXCEPTIONS, HOLDS, Decided, by_verdict, percent
from crar_reports.claims.study import OF_OTHERS
from crar_reports.claims.table import CLAIMS, NAMED
from crar_reports.pages import plain_words
from crar_reports.pages.verdict_entries import NOT_MEASURED, Entry
from crar_reports.press.markdown import table

Claimed = tuple[Entry, Decided | None, Decided | None]
"""A claim by one result, what the released data say of it, and what they say cut off where our transfers end."""


def part(title: str, about: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A section with a table; "" without rows."""
    return f"## {title}\n\n{about}{table(header, rows)}\n\n" if rows else ""


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


def summary(rows: Iterable[Claimed], given: Sequence[str] = ()) -> list[tuple[str, str]]:
    """What was asked, found and how sure it is.

    Args:
        rows: of the table.
        given: folders whose recipe the command says, since their results do not.
    """
    rows = list(rows)
    lines = [("Asked", f"which of the {len(CLAIMS)} claims of the appendix hold, in each maze where they make sense.")]
    mazes = {entry.maze for entry, *_ in rows}
    for task in (one for one in TASKS.values() if one.name in mazes):
        own = [entry for entry, *_ in rows if entry.maze == task.name]
        for title, recipe in dict.fromkeys((entry.title, entry.recipe) for entry in own):
            alike = [entry for entry in own if (entry.title, entry.recipe) == (title, recipe)]
            words = by_verdict((f"{entry.id}{_few(entry)}", entry.verdict) for entry in alike)
            lines.append((f"Found in {the(title, world=title != task.title)}{f', {recipe}' * bool(recipe)}", f"{words}."))
    lines.append(("The released data, by the same rules", f"{_where((entry.maze, answer) for entry, answer, _ in rows)}."))
    if cut := _where((entry.maze, found) for entry, _, found in rows):
        lines.append(("The released data cut off where our transfers end", f"{cut}."))
    if given:
        lines.append(
            ("Recipes", f"of {', '.join(given)} as the command gives them: these results do not say how their models were trained.")
        )
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


def row_of(entry: Entry, answer: Decided | None, cut: Decided | None) -> tuple[str, ...]:
    """A line of the table of claims: what ours is, and the released data's answer beside it."""
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
    return entry.id, NAMED[entry.id].text, entry.title, recipe, verdict, entry.figure, models, entry.source, own


def _answer(answer: Decided) -> str:
    return f"{_bold(answer)}, {plural(answer.models, 'run')}"


def released_rows(rows: Iterable[Claimed]) -> list[tuple[str, ...]]:
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


def checks() -> Iterator[tuple[str, str, str]]:
    """(claim, what it is decided on, its check), those of studies last."""
    for claim in CLAIMS:
        for where, rule in (("listed transitions", claim.listed), ("a sample", claim.samples)):
            if rule is not None:
                yield claim.id, where, rule.check
    yield from ((claim.id, "a study", claim.study.check) for claim in CLAIMS if claim.study is not None)
