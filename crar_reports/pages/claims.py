"""`crar claims`: the appendix's claims S1 to S10 decided over many transfers, with the spread over models."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from crar_model.core.errors import UserError
from crar_model.core.files import OTHER, Plain, StrPath, read_json, typed
from crar_model.core.kept import kept
from crar_model.core.sizes import SAMPLE
from crar_model.models.checkpoints import load_checkpoint
from crar_model.models.keys import result_key
from crar_model.models.merit import SUCCESS
from crar_model.samples import as_given
from crar_model.tasks import TASKS, Task, task_named
from crar_reports import progress as console
from crar_reports.claims.evidence import Listed, Pair, Samples, pair_of
from crar_reports.claims.losses import GOOD_BASE, does
from crar_reports.claims.record import AGREE, EXAMPLE, RECIPE, UNSAID, percent, recipe_words
from crar_reports.claims.table import claims_of, decide
from crar_reports.measure.dissection import Stage, dissect
from crar_reports.measure.options import LandscapeOptions
from crar_reports.measure.subject import Subject, load_subject
from crar_reports.models.judged import bases_in, expand
from crar_reports.models.runs import short_name
from crar_reports.pages import plain_words
from crar_reports.pages.claims_groups import FAILED, agreed, by_recipe, claims_summary, failed_of, grouped, spreads, verdicts
from crar_reports.press.markdown import about_world
from crar_reports.press.nouns import pairs_words, size_words
from crar_reports.press.publish import RESULTS, publish

AGAIN = "; decided again by "
GIVEN = " (as the command gives it: the results do not say)"
FIGURES = 4
"""Of what is measured on a pair; kept figures of another edition are measured again."""


@dataclass(frozen=True)
class Known:
    """What a pair holds at least."""

    transfer: str
    base: str
    failed_terms: dict[str, float]
    optimum_terms: dict[str, float]
    floor: dict[str, float]
    match: dict[str, Any]
    quick: bool


@dataclass(frozen=True)
class Judged:
    """What `results.json` of `crar claims` holds; the pairs are read as evidence, of the kind that the maze gives. Older results do not name it."""

    pairs: list[dict[str, Any]]
    maze: str = ""
    command: str = ""
    world: dict[str, Any] | None = None
    recipe_given: str = ""


def write_claims(
    transfers: Sequence[StrPath],
    folder: StrPath,
    *,
    bases: Sequence[StrPath] = (),
    limit: int = 1,
    quick: bool = False,
    resume: bool = False,
    command: str = "",
) -> Path:
    """Dissect transfers and write `report.md`, `results.json` and one file per transfer under `pairs`; returns the report's path.

    Args:
        transfers: run folders or checkpoints; each names its base.
        bases: run folders or checkpoints among which their bases are looked for first.
        folder: made if missing; finished transfers are kept in it, so that an interrupted run goes on with `resume`.
        limit: most transfers per base.
        quick: cut paths and descents short.
        resume: use what `folder` has.
        command: shown in the report.

    Raises:
        UserError: for a transfer whose base is missing, or an existing folder without `resume`.
    """
    folder = Path(folder)
    if (folder / "pairs").exists() and not resume:
        raise UserError(f"{folder}: holds dissected transfers already; add --resume to keep them or choose another --out")
    if limit < 1:
        raise UserError(f"--limit is {limit}; give at least 1")
    options = LandscapeOptions(quick=quick, full=not quick, resolution=25)
    asked = replace(options, sample=SAMPLE)  # as keys have it of before, when the usual number could not be told from the same one given
    pairs: dict[str, tuple[Path, Path]] = {}
    origins: list[str] = []
    recipes: dict[Path, dict[str, str]] = {}
    given = bases_in(bases)
    for path in expand(transfers):
        model = load_checkpoint(path)
        if not model.base_name:
            raise UserError(f"{path}: names no base, so it is no transfer; give runs of crar transfer")
        origin = model.load_base(given)
        if origin is None or origin.file is None:
            raise UserError(f"{path}: its base {model.base_name} is not there; give its run folder with --base")
        key, own = result_key("claims", FIGURES, failed=model, base=origin, options=asked), result_key("base", model=origin)
        if key not in pairs and origins.count(own) < limit:  # a copy of a network, under whatever path, counts once
            pairs[key] = path, origin.file
            recipes[path] = {"base": origin.recipe, "transfer": model.recipe}
            origins.append(own)
    found: list[Plain] = []
    task: Task | None = None
    with console.progress_bar("claims", "transfers") as tick:
        for done, (key, (path, base)) in enumerate(pairs.items()):
            tick(done, len(pairs))
            subject = load_subject(path, base)
            if task is not None and not subject.task.same_maze(task):
                raise UserError(
                    f"{path}: a model of {_seen(subject.task)}, but {found[0]['transfer']} is of {_seen(task)}; judge them apart"
                )
            task = subject.task
            store = folder / "pairs" / f"{subject.failed_file.digest}-{key}.json"

            def stage(name: str, begun: int, everything: int, done: int = done, path: Path = path) -> None:
                tick.at(done, len(pairs), f"{short_name(path)}: {name} ({begun} of {everything})")

            known = kept(store, {"key": key}, partial(_dissected, subject, options, stage), dict)
            about = {"transfer": as_given(path), "base": as_given(base), "recipe": recipes[path], "origin": origins[done]}
            found.append(about | known)
        tick(len(pairs), len(pairs))
    assert task is not None
    return _write(found, task, folder, command)


def decide_again(before: StrPath, folder: StrPath, *, recipe: str = "", command: str = "") -> Path:
    """The page of `crar claims` once more, from the figures that its `results.json` holds, by the rules of now; nothing is measured.

    Args:
        before: a folder that `crar claims` wrote.
        folder: where to write; may be the same.
        recipe: how the models were trained, "bases ...; transfers ...", where the results do not say; the page says that it was given.
        command: shown in the report; that of before stands beside it.

    Raises:
        UserError: for a folder without such results, or a recipe that is none or not needed.
    """
    path = Path(before) / RESULTS
    hint = "give a folder that `crar claims` wrote"
    content = read_json(path, Judged, hint)
    typed(content.pairs, list[Known], f"{path}: {OTHER}", hint)
    pairs = [{name: value for name, value in pair.items() if name != "claims"} for pair in content.pairs]
    if not pairs:
        raise UserError(f"{path}: holds no transfer, so there is nothing to decide again")
    if recipe:
        recipe = _name_recipe(pairs, recipe, content.recipe_given)
    said = content.command.partition(AGAIN)[0]
    whole = f"{said}{AGAIN}{command}" if command else said
    return _write(pairs, maze_of(content, Path(before)), Path(folder), whole, recipe or content.recipe_given)


def _name_recipe(pairs: Sequence[Plain], words: str, before: str) -> str:
    """Put a recipe into pairs that do not name theirs, or whose own was given `before`; returns it as it is written."""
    said = RECIPE.fullmatch(words)
    if said is None:
        raise UserError(f"--recipe {words!r}: no recipe; give it such as {EXAMPLE!r}")
    own = [
        pair for pair in pairs if pair.get("recipe") and recipe_words(*(f"{pair['recipe'][one]}" for one in ("base", "transfer"))) != before
    ]
    if own:
        some = "these results say" if len(own) == len(pairs) else f"{len(own)} of these {len(pairs)} transfers say"
        raise UserError(f"--recipe {words!r}: {some} how their models were trained; leave it out")
    base, transfer = (re.sub(r"\d[\d,]*(?= updates)", lambda found: f"{int(found[0].replace(',', '')):,}", one) for one in said.groups())
    for pair in pairs:
        pair["recipe"] = {"base": base, "transfer": transfer}
    return recipe_words(base, transfer)


def maze_of(content: Judged, folder: StrPath) -> Task:
    """The maze of results of `crar claims`; those of before they named it are of the only maze whose evaluation set is of their kind."""
    if content.maze:
        task = task_named(content.maze, what=f"{Path(folder) / RESULTS}: its maze is")
        return task.with_data(**content.world, near=folder) if content.world else task
    complete = not any("failed_score" in pair for pair in content.pairs)
    alike = [task for task in TASKS.values() if task.sampling.complete == complete and not task.known_by_data]
    if len(alike) != 1:
        raise UserError(f"{Path(folder) / RESULTS}: does not say of which maze it is; run `crar claims --resume` again")
    return alike[0]


def _write(found: Sequence[Plain], task: Task, folder: Path, command: str, given: str = "") -> Path:
    """The files of pairs that were measured, each with `transfer`, `base` and, where they are known, `recipe` and `origin`."""
    complete = task.sampling.complete
    content = [
        d | {"claims": [{"id": c.id, "figure": c.figure, "verdict": c.verdict} for c in decide(d, complete=complete)]} for d in found
    ]
    pairs = [pair_of(d, complete=complete) for d in found]
    recipes = by_recipe(pairs)
    groups = {
        f"{name}{f', {recipe or UNSAID}' * (len(recipes) > 1)}": group
        for recipe, own in recipes.items()
        for name, group in grouped(own).items()
    }
    decided = {name: verdicts(group, complete=complete) for name, group in groups.items()}
    failed = agreed([found for name, found in decided.items() if name.startswith(FAILED)])
    poor = {pair.base for pair in pairs if isinstance(pair, Listed) and pair.accuracy[-1] < GOOD_BASE}
    weak = {pair.base for pair in pairs if isinstance(pair, Samples) and pair.scored and pair.copy_score.low <= SUCCESS}
    what = task.sampling.what if complete else f"{len(task.table(inverse=True, dtype=torch.float32).state):,} held-out transitions"
    values = {
        "command": command, "plainly": plain_words.claims(len(failed_of(groups)), len(found), failed),
        "found": [(Path(e.transfer), Path(e.base), d, does(e)) for e, d in zip(pairs, found, strict=True)], "groups": groups, "recipe": "; and ".join(f"{recipe or UNSAID}{GIVEN * (recipe == given != '')}" for recipe in recipes),
        "quick": any(pair.quick for pair in pairs), "what": what, "pairs": pairs_words(task), "summary": [*about_world(task.facts), *claims_summary(groups, decided, bases=len({e.origin or e.base for e in pairs}))],
        "verdicts": decided, "spreads": {name: spreads(group, complete=complete) for name, group in groups.items()}, "rules": claims_of(complete=complete),
        "complete": complete, "scored": task.scored, "world": task.known_by_data, "poor": sorted(poor), "least": percent(GOOD_BASE), "success": SUCCESS, "weak": sorted(weak),
        "samples": samples_in_words(pairs), "agree": percent(AGREE),
    }  # fmt: skip
    return publish(
        folder,
        "claims.md",
        values,
        {
            "command": command,
            "maze": task.name,
            **({"world": task.origin} if task.origin else {}),
            **({"recipe_given": given} if given else {}),
            "pairs": content,
        },
        short=True,
    )


def _seen(task: Task) -> str:
    return f"{task.title}, {task.agent().abstract_size} abstract numbers"


def _dissected(subject: Subject, options: LandscapeOptions, stage: Stage) -> Plain:
    return dissect(subject, options, stage=stage).plain()


def samples_in_words(pairs: Sequence[Pair]) -> str:
    """What certificates, paths and descents were measured on, where transitions are sampled; "" where they are not. All pairs of a page have the same."""
    sizes = next((e.sampled.sizes for e in pairs if isinstance(e, Samples) and e.sampled is not None), None)
    if sizes is None:
        return ""
    words = f"Certificates, paths and descents (S6, S7, S9) are of {size_words(sizes['sample'])}, and an independent sample of {size_words(sizes['independent'])}"
    few = next((e.shifts_on for e in pairs if e.shifts_on), None)
    return f"{words}; shifts of the landscape (S9) {f'of {size_words(few)}' if few else 'were not measured'}."
