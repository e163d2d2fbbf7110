"""The page of `crar study`: bases, success by variant, terms, learning rates, dependence on the base, times and cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from crar_model.core.files import StrPath
from crar_model.core.words import plural, the
from crar_model.studies.plan import PAGES
from crar_model.tasks import task_named
from crar_model.training.variants import BASE
from crar_reports.claims.record import Decided
from crar_reports.claims.study_facts import facts_of
from crar_reports.pages import plain_words
from crar_reports.pages.compare.table import compared, compared_view
from crar_reports.pages.study.cost import cost_part
from crar_reports.pages.study.dependence import dependence_part
from crar_reports.pages.study.rates import decide_rates, rates_part
from crar_reports.pages.study.recipes import COLUMNS, recipes_part
from crar_reports.pages.study.released import if_long_enough
from crar_reports.pages.study.rows import (
    DONE,
    OPEN,
    USUAL,
    Groups,
    Key,
    Row,
    base_name,
    by,
    by_recipe,
    groups_of,
    label,
    main_group,
    merit,
    number,
    recipes_of,
    score_words,
    searched,
    sound,
    start_of,
    success,
    successes,
    told,
)
from crar_reports.pages.study.table import read_table
from crar_reports.pages.study.terms import terms_part
from crar_reports.pages.study.times import times_part
from crar_reports.pages.study.variants import decide_relearned, variants_part
from crar_reports.pages.study.view import Claimed, Maze, claims_view, maze_view, unfinished_view
from crar_reports.press.publish import Content, publish
from crar_reports.sections import Section, sections_of
from crar_reports.statistics import share_words_by_base


def write_study_page(table: StrPath, name: str, folder: StrPath, *, pages: Sequence[str] = PAGES, command: str = "") -> Path:
    """Write `report.md`, its HTML, figures and `results.json` to a folder; returns the path of the Markdown.

    Args:
        table: the `table.csv` of the study; beside it lie the cells with their models and logs.
        name: of the study.
        folder: where to write.
        pages: parts to make, of `crar_model.studies.plan.PAGES`.
        command: shown as what made it.
    """
    table, files = Path(table), dict[str, Content]()
    rows, mazes, claims = read_table(table), list[Maze](), list[Claimed]()
    for section in sections_of(rows):
        part, decided = _maze(section, table.parent, files, pages)
        mazes.append(part)
        scoped = (replace(one, scope=", ".join(filter(None, (section.scope, one.scope)))) for one in decided)
        claims += [(section.task.name, one) for one in scoped]
    recipes = [
        {
            "maze": maze.title,
            "rows": [dict(zip(COLUMNS, row, strict=True)) for row in maze.recipes.rows],
            "answers": [answer._asdict() for answer in maze.recipes.answers],
        }
        for maze in mazes
        if maze.recipes
    ]
    left = _left(rows)
    counts = Counter(row["status"] for row in rows)
    values = {
        "plainly": plainly(rows, claims), "summary": summary(rows, claims), "name": name, "made_by": f"`{command}`\n\n" if command else "",
        "compared": _compared(rows), "mazes": "\n\n".join(map(maze_view, mazes)), "unfinished": unfinished_view(left),
        "counts": ", ".join(f"{count} {word}" for word, count in counts.items()), "claims": claims_view(claims), "measures": _measures(mazes),
    }  # fmt: skip
    results = {"command": command, "study": name, "claims": [{"maze": maze, **one.plain()} for maze, one in claims]} | (
        {"recipes": recipes} if recipes else {}
    )
    return publish(folder, "study_page.md", values, results, files)


def _compared(rows: Sequence[Row]) -> str:
    """What `crar compare` has on top, of the transfers of the study."""
    lines = compared(rows)
    return f"## All transfers, by how they were made\n\n{compared_view(lines)}\n\n" if lines else ""


def _measures(mazes: Sequence[Maze]) -> list[str]:
    """Words of the glossary for what the mazes' models are measured by."""
    scored = {maze.scored for maze in mazes}
    return ["nearest state accuracy", "navigation success"] * (False in scored) + ["score"] * (True in scored)


def summary(rows: Sequence[Row], claims: Sequence[Claimed]) -> list[tuple[str, str]]:
    """What was asked, found and how sure it is.

    Args:
        rows: of the table.
        claims: that are decided.
    """
    transfers = [row for row in rows if row["variant"] != BASE.name]
    lines = [
        (
            "Asked",
            f"what becomes of {plural(len(transfers), 'transfer')} from {plural(len(rows) - len(transfers), 'base')}, and which claims of S11 to S14 hold of them.",
        )
    ]
    sections = sections_of(rows)
    for maze, title in dict.fromkeys(map(_home, sections)):
        own = [section for section in sections if _home(section) == (maze, title)]
        words = [f"{section.title.removeprefix(title).strip(' ,')}: " * (len(own) > 1) + _successes(section.rows) for section in own]
        lines.append((f"Success in {the(title, world=task_named(maze).known_by_data)}", f"{'; '.join(words)}."))
        found = [
            f"{one.id} {one.verdict}{one.scope and ' ' + one.scope}"
            for own_maze, one in claims
            if own_maze == maze and (not task_named(maze).known_by_data or title in one.scope)
        ]
        lines.append((f"Claims in {the(title, world=task_named(maze).known_by_data)}", f"{', '.join(found) or 'none is decided'}."))
    bases = sorted({one.bases for _, one in claims})
    few = f"; the claims' verdicts are of {' to '.join(map(str, dict.fromkeys((bases[0], bases[-1]))))} bases" if bases else ""
    left = sum(row["status"] != DONE for row in rows)
    open_ = f"; {plural(left, 'model')} {'is' if left == 1 else 'are'} not done" if left else ""
    return [
        *lines,
        ("How sure", f"shares have exact 95 % intervals whose unit is the base, since transfers of one base are alike{few}{open_}."),
    ]


def _home(section: Section) -> tuple[str, str]:
    """Name of a maze and what it is called; of worlds of one's own each is called by itself."""
    task = section.task
    return task.name, task.title if task.known_by_data else task_named(task.name).title


def plainly(rows: Sequence[Row], claims: Sequence[Claimed]) -> str:
    """The page's first words; arguments as of :func:`summary`."""
    done = told(row for row in rows if row["variant"] != BASE.name)
    verdicts: dict[str, list[str]] = {}
    for _, one in claims:
        verdicts.setdefault(one.id, []).append(one.verdict)
    return plain_words.study(sum(map(success, done)), len(done), verdicts, unfinished=any(row["status"] != DONE for row in rows))


def _successes(rows: Sequence[Row]) -> str:
    """How many transfers of a section succeeded, a variant at a time, and how many more there are: none is left out without a word."""
    groups = groups_of(row for row in rows if row["variant"] != BASE.name)
    mains = [key for variant in dict.fromkeys(key.variant for key in groups) if (key := main_group(groups, variant)) is not None]
    words = [f"`{key.variant}` {share_words_by_base(successes(own := told(groups[key])))} {_trained(key, own)}" for key in mains]
    others = [row for key, group in groups.items() if key not in mains for row in told(group)]
    if others:
        words.append(f"and, by other rules, rates or updates, {sum(map(success, others))} of {len(others)} more")
    return ", ".join(words) or "no transfer is done"


def _trained(key: Key, rows: Sequence[Row]) -> str:
    return f"of {int(key.updates):,} updates{searched(rows)}" if int(key.updates) else "without an update"


def _left(rows: Sequence[Row]) -> list[tuple[int, tuple[object, ...]]]:
    """(models, a line of the page on them) of those that are not done: what failed by itself, with its cell; what is open a line a group."""
    names = {row["cell"]: base_name(row) for row in rows if row["variant"] == BASE.name}
    groups = groups_of(row for row in rows if row["status"] != DONE)
    lines: list[tuple[int, tuple[object, ...]]] = []
    for key, group in groups.items():
        for status, own in by(group, "status").items():
            for each in [own] if status == OPEN else [[row] for row in own]:
                bases, seeds = (
                    dict.fromkeys(values) for values in ((names.get(row["base"], "") for row in each), (row["seed"] for row in each))
                )
                about = (
                    label(key, groups),
                    f"{int(key.updates):,}",
                    status,
                    len(each),
                    ", ".join(filter(None, bases)),
                    ", ".join(sorted(seeds, key=int)),
                )
                lines.append((len(each), (*about, "" if status == OPEN else each[0]["cell"], each[0]["why"])))
    return lines


def _maze(section: Section, root: Path, files: dict[str, Content], pages: Sequence[str]) -> tuple[Maze, list[Decided]]:
    task, rows, name = section.task, section.rows, section.file
    bases, transfers = ([row for row in rows if (row["variant"] == BASE.name) is wanted] for wanted in (True, False))
    able = sound(bases, transfers)
    of_able = [row for row in transfers if row["base"] in able]
    groups, asked = groups_of(transfers), groups_of(of_able)
    facts, decided = facts_of(task), list[Decided | None]()
    drawn = list(dict.fromkeys(words for row in rows if (words := row.get("last_drawn"))))
    found = Maze(
        section.title, task.scored, task.known_by_data, "drawn transitions" if drawn else task.sampling.what, drawn, [_base_row(row, transfers) for row in bases],
        [base_name(row) for row in bases if row["status"] == DONE and row["cell"] not in able],
    )  # fmt: skip
    if "terms" in pages:
        terms, claim = terms_part(asked or groups, bases, root, f"{name}-terms.png", files, task)
        found = replace(found, terms=terms)
        decided.append(_of_recipe(claim, asked or groups))
    if "variants" in pages and groups:
        variants = variants_part(groups, bases, f"{name}-variants.png", files, task)
        found = replace(found, variants=variants, recipes=recipes_part(groups, f"{name}-recipes.png", files))
        decided += [_of_recipe(decide_relearned(own), own) for own in recipes_of(asked).values()]
    if "rates" in pages:
        found = replace(found, rates=rates_part(rows, name, files, released=facts.released_scores))
        decided += [decide_rates(own) for own in by_recipe(of_able).values()]
    if "dependence" in pages:
        parts = []
        for number_of, (recipe, own) in enumerate(recipes_of(asked).items()):
            part, claim = dependence_part(own, bases, root, f"{name}-calibration{f'-{number_of}' * (number_of > 0)}.png", files)
            parts.append((recipe, part))
            decided.append(_of_recipe(claim, own))
        found = replace(found, dependence=parts)
    if "times" in pages and task.scored:
        found = replace(found, times=times_part(groups, f"{name}-times.png", files, released=facts.released_scores))
    if "cost" in pages:
        found = replace(found, cost=cost_part(rows, task))
    return found, [if_long_enough(one, task) for one in decided if one is not None]


def _of_recipe(decided: Decided | None, groups: Groups) -> Decided | None:
    """A verdict with the recipe that it is of: how bases were trained, and the `freeze` transfers that the others are held against."""
    main = main_group(groups, USUAL)
    return decided if decided is None or main is None else replace(decided, recipe=main.recipe)


def _base_row(row: Row, transfers: Sequence[Row]) -> tuple[object, ...]:
    """A base; where there is a score, with the network that transfers start from."""
    updates, start = int(row["updates_taken"]) if row["updates_taken"] else 0, start_of(row, transfers)
    own = [base_name(row), row["status"], f"{updates:,}", f"{float(row['learning_rate']):g}", merit(row)]
    if row["scored"] == "1":
        own.append(f"{score_words(row, start)} at {int(number(row, f'{start}_updates')):,}" if row.get(f"{start}_updates") else "-")
    return *own, number(row, f"{start}_total" if row["scored"] == "1" else "last_total")
