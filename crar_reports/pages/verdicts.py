"""`crar verdicts`: every claim S1 to S14 on one page, from the results of `crar claims` and `crar study`, the released data's answers beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from crar_model.core.errors import UserError
from crar_model.core.files import OTHER, StrPath, json_text, read_json, typed
from crar_model.tasks import TASKS, Task
from crar_reports.claims.record import Decided
from crar_reports.claims.study_facts import facts_of
from crar_reports.claims.table import NAMED
from crar_reports.pages.claims import Judged
from crar_reports.pages.study.released import released_answer
from crar_reports.pages.verdict_entries import (
    NOT_MEASURED,
    Entry,
    Predicted,
    Studied,
    claims_entries,
    predict_entries,
    recipe_given,
    study_entries,
    with_recipe,
)
from crar_reports.pages.verdicts_view import checks, part, plainly, released_rows, row_of, summary
from crar_reports.press.markdown import table
from crar_reports.press.publish import RESULTS, publish


def write_verdicts(
    claims: Sequence[StrPath],
    studies: Sequence[StrPath],
    folder: StrPath,
    *,
    predictions: Sequence[StrPath] = (),
    recipes: Sequence[str] = (),
    command: str = "",
) -> Path:
    """Write `report.md`, `report.html` and `results.json` to a folder; returns the report's path.

    Args:
        claims: folders of `crar claims`. studies: of `crar study`. predictions: of `crar predict` with transfers, whose outcomes by base decide S14.
        folder: made if missing.
        recipes: of folders whose results do not say how their models were trained, each "FOLDER=bases ...; transfers ..."; the page says that they were given.
        command: shown on the page.

    Raises:
        UserError: for a folder without such results, results of an unknown maze, or a recipe that is none or of a folder that says its own.
    """
    given = dict(map(recipe_given, recipes))
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
                found += with_recipe(read(content, path), path.name, given)
            except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
                raise UserError(f"{path / RESULTS}: {OTHER} ({error}); run `crar {what}` again") from error
            sources.append((path.name, f"`{content.command}`"))
    if given:
        raise UserError(
            f"--recipe {next(iter(given))}: none of the folders given has that name, or its results say how their models were trained"
        )
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
            {name: value for name, value in asdict(entry).items() if name != "world" or value}
            | {
                "claim": NAMED[entry.id].text,
                "released": answer and answer.plain(),
                "released_at_our_updates": cut and cut.plain(),
            }
            for entry, answer, cut in rows
        ],
    }
    measured = [(entry.id, entry.title, line) for entry, *_ in rows for line in entry.measured]
    values = {
        "made_by": f"`{command}`\n\n" if command else "", "summary": summary(rows, [recipe_given(one)[0] for one in recipes]), "plainly": plainly(rows), "rows": [row_of(*row) for row in rows],
        "sources": table(["", "command"], sources) if sources else "No results were given.", "checks": list(checks()),
        "released": part("The released data's own answers", "", ["", "maze", "runs cut off", "verdict", "figure"], released_rows(rows)),
        "measured": part(
            "Measured on failed transfers", "Median over the transfers, lowest and highest in brackets.\n\n", ["", "maze", "figure"], measured
        ),
    }  # fmt: skip
    return publish(folder, "verdicts.md", values, results)


def asked(name: str, task: Task) -> bool:
    """Whether a claim makes sense in a maze: S1 to S10 where there is a rule for its evaluation set, S11 where agents have a score."""
    claim = NAMED[name]
    pairs = any((claim.listed, claim.samples))
    return not pairs or claim.rule(complete=task.sampling.complete) is not None


def _cut(entry: Entry, answer: Decided | None) -> Decided | None:
    """The released answer at the updates that ours is of; None where there is none, or where it is that to the ends."""
    if not entry.updates or not facts_of(TASKS[entry.maze]).released_scores:
        return None
    found = released_answer(entry.id, TASKS[entry.maze], entry.updates)
    return found if found != answer else None
