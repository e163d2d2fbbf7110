"""Variants that look for an encoder before the first update: every member's search is a cure of the base, moved to the other maze."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crar_model.core.files import StrPath
from crar_model.core.kept import Pieces
from crar_model.core.settings import CureSettings, to_plain
from crar_model.cures.cure import Cure, cure
from crar_model.cures.problem import Problem, pose
from crar_model.models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from crar_model.models.keys import result_key
from crar_model.training.members import Member, Plan

if TYPE_CHECKING:
    from collections.abc import Callable

    Progress = Callable[[int, int], None]


def with_starts(plan: Plan, folder: StrPath) -> Plan:
    """The plan with the files that its members start from; as it is for a variant that does not search."""
    if not plan.variant.search:
        return plan
    return replace(plan, starts=tuple(Path(folder) / "state" / f"start-{k}.pt" for k in range(len(plan.members))))


def moved(plan: Plan, member: Member) -> tuple[Checkpoint, Problem]:
    """A member's base as it stands in the plan's maze before any training, and the problem that it is."""
    base = load_checkpoint(member.base)
    start = _start(plan, member, base)
    return start, pose(start, base, member.seed, where=member.base)


def _start(plan: Plan, member: Member, base: Checkpoint) -> Checkpoint:
    info = {"variant": plan.variant.name, "base": member.base, "seed": member.seed, "settings": to_plain(plan.settings)}
    return replace(base, inverse=plan.settings.inverse, updates=0, info=info)


def search_starts(plan: Plan, folder: StrPath, progress: Progress | None = None) -> None:
    """Search for the members that have not been searched for yet; a search that was stopped goes on.

    Args:
        plan: from :func:`with_starts`.
        folder: the run folder, which is locked.
        progress: called with (updates taken, updates at most) of the search at work.
    """
    folder = Path(folder)
    for k, (member, path) in enumerate(zip(plan.members, plan.starts, strict=bool(plan.starts))):
        settings = CureSettings(seed=member.seed, effort=plan.settings.search_effort)
        asked = _start(plan, member, load_checkpoint(member.base))
        key = result_key("search", start=asked, method=plan.variant.search, settings=settings)
        if path.exists() and load_checkpoint(path).info.get("key", key) == key:  # those of an earlier version have none
            continue
        start, problem = moved(plan, member)
        store = Pieces(folder / "state" / f"search-{k}", key)
        found = cure(problem, plan.variant.search, settings, store=store, progress=progress, anyway=True)
        parameters = start.parameters | found.best.encoder
        save_checkpoint(path, replace(start, parameters=parameters, info={**start.info, "key": key, "search": told(found)}))


def searched(info: Mapping[str, Any]) -> int:
    """Updates of the search behind a model, all of its candidates' and its level's; 0 for one without.

    Args:
        info: of its checkpoint.
    """
    found = info.get("search") or {}
    return int(found.get("updates", 0)) + int(found.get("level_updates", 0))


def told(found: Cure) -> dict[str, object]:
    """What a search came to, as plain data for a checkpoint."""
    level = 0 if found.level is None else found.level.updates
    seconds = found.level_seconds + sum(each.seconds for each in found.tried)
    return {
        "cured": found.cured, "candidate": found.best.label, "total": found.best.terms["total"], "updates": found.updates,
        "level_updates": level, "seconds": seconds,
    }  # fmt: skip
