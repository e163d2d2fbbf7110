"""`crar compare`: transfers of any runs and studies side by side, shares on top, curves below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.settings import PlaySettings
from crar_model.core.words import plural
from crar_model.models.merit import definition
from crar_model.tasks import task_named
from crar_reports.pages import plain_words
from crar_reports.pages.compare.rows import rows_of
from crar_reports.pages.compare.table import FILE, Line, compared, compared_csv, compared_figures, compared_view
from crar_reports.pages.study.rows import Row, told
from crar_reports.press.markdown import Lines
from crar_reports.press.publish import Content, publish

NEAR = "the transition term is first within a factor 2 of the base's"
ABOVE = "the mean of the last 5 validations is first above 0"
TIMES = (
    "![Share that has come up over updates](times.png)\n\n*Figure: Kaplan-Meier curves with their pointwise 95 % band, a panel a variant and map; "
    "marks are ends of training without it, the numbers below are models at risk.*\n\n"
)
"""The curves, where there are any."""


def write_compare(paths: Sequence[StrPath], folder: StrPath, *, how: PlaySettings | None = None, command: str = "") -> dict[str, Any]:
    """Write `report.md`, its HTML with columns to sort by, `compare.csv`, figures and `results.json`; returns what that holds.

    Args:
        paths: as of :func:`crar_reports.pages.compare.rows.rows_of`.
        folder: made if missing.
        how: how agents of runs are scored.
        command: shown in the report.

    Raises:
        UserError: for no transfers of which can be said whether they succeeded.
    """
    rows, left = rows_of(paths, how or PlaySettings(episodes=100))
    lines = compared(rows)
    if not lines:
        raise UserError(
            "nothing to compare: of none of the transfers can be said whether it succeeded; give runs of transfers with a base or a score"
        )
    files: dict[str, Content] = {FILE: compared_csv(lines), **compared_figures(rows)}
    results: dict[str, Any] = {"command": command, "groups": lines}
    values = {
        "plainly": plain_words.compare([(line.count, line.of, line.low, line.high) for line in lines]),
        "command": command, "summary": summary(rows, lines, left), "lines": compared_view(lines), "times": TIMES if "times.png" in files else "", "means": means(rows),
    }  # fmt: skip
    publish(folder, "compare.md", values, results, files)
    return results


APART = {"maze": "{}", "map": "map {}", "quirk": "{}", "updates": "{:,} updates", "bases": "bases {}"}
"""What tells two groups apart beside variant, rule and rate, in words."""


def summary(rows: Sequence[Row], lines: Sequence[Line], left: int = 0) -> Lines:
    """What was asked, found and how sure it is; `left` transfers of studies are not done and left out."""
    best, worst = (choose(lines, key=lambda line: line.share) for choose in (max, min))
    bases = len({row["base"] for row in rows if row["base"]})

    def said(line: Line) -> str:
        trained = f", {line.rule} {line.rate:g}" if line.rule else ""
        among = "".join(
            f", {words.format(getattr(line, name))}"
            for name, words in APART.items()
            if getattr(line, name) and len({getattr(o, name) for o in lines}) > 1
        )
        return f"`{line.variant}`{trained}{among}: {line.count} of {line.of} ({100 * line.low:.0f} to {100 * line.high:.0f} %)"

    return [
        (
            "Asked",
            f"how often transfers succeed: {plural(len(told(rows)), 'transfer')} from {plural(bases, 'base')}, by how they were made in {plural(len(lines), 'group')}."
            + (f" {plural(left, 'transfer')} of the studies are not done and left out." if left else ""),
        ),
        ("Most", f"{said(best)}."),
        ("Fewest", f"{said(worst)}."),
        (
            "How sure",
            "intervals are exact at 95 % and their unit is the base, since transfers of one base are alike; groups of other bases are not compared base by base.",
        ),
    ]


def means(rows: Sequence[Row]) -> str:
    """What success and the curves mean in the mazes of the rows."""
    kinds = sorted({(task.known_by_data, task.scored) for row in rows for task in [task_named(row["maze"])]})
    return " ".join(
        f"{'In a world of your own' if world else 'With a score' if has else 'Without a score'} a transfer succeeded when "
        f"{definition(scored=has, world=world)}; its curve rises where {ABOVE if has else NEAR}."
        for world, has in kinds
    )
