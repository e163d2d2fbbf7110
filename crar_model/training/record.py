"""`run.json`: what a run is, and whether a plan is that run's."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath, file_digest, read_json
from crar_model.core.machine import cores
from crar_model.core.places import places
from crar_model.core.settings import NO_MATTER, from_plain, to_plain
from crar_model.core.version import __version__
from crar_model.models.checkpoints import load_checkpoint
from crar_model.tasks import task_of
from crar_model.training.members import Member, Plan
from crar_model.training.variants import variant_named

FORMAT = "crar-run"
MAY_CHANGE = ("updates", "workers", "checkpoint_interval", "snapshots", "device")
"""Settings that a resumed run may have otherwise: they do not touch the trajectory."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What `run.json` holds: settings as plain data, digests of bases by their paths, members of each process, what is known of a world, and what a large layout is judged on."""

    format: str
    version: int = 1
    crar: str = ""
    variant: str
    reset: str
    paired: int
    settings: dict[str, Any]
    members: tuple[Member, ...]
    world: list[str] | msgspec.UnsetType = msgspec.UNSET
    judged_on: str | msgspec.UnsetType = msgspec.UNSET
    bases: dict[str, str]
    shards: list[int]


def describe(plan: Plan) -> Record:
    """What `run.json` says of a plan.

    Raises:
        UserError: for a base that cannot be used.
    """
    members, settings = len(plan.members), plan.settings
    workers = min(settings.workers or _that_pay(plan), members) if settings.device == "cpu" else 1
    return Record(
        format=FORMAT, crar=__version__, variant=plan.variant.name, reset=plan.reset, paired=plan.paired, settings=to_plain(settings),
        members=plan.members, world=list(plan.task.facts) or msgspec.UNSET, judged_on=plan.task.sampling.drawn or msgspec.UNSET,
        bases={base: load_checkpoint(Path(base)).digest for base in sorted({m.base for m in plan.members if m.base})},
        shards=[members // workers + (k < members % workers) for k in range(workers)],
    )  # fmt: skip


PAYS = 15.0
"""Seconds of a core that a process must have to do before it is worth its start, which takes about 7 s with PyTorch and the kernels."""


def _that_pay(plan: Plan) -> int:
    """As many processes as have enough to do, at most one a core; by the pace of the task, since nothing has been timed yet."""
    seconds = plan.settings.updates * len(plan.members) / plan.task.pace[plan.settings.update_rule]
    return max(1, min(cores(), int(seconds / PAYS)))


def moved(plan: Plan, folder: StrPath) -> Plan:
    """The plan with the files that the run was begun with, wherever they lie now; a file that is nowhere to be found keeps its path."""
    before = read_run(folder)

    def found(path: str, digest: str, digest_of: Callable[[Path], str]) -> str:
        for place in (Path(path), *places(path, folder)):
            with suppress(UserError):
                if digest and digest_of(place) == digest:
                    return str(place)
        return path

    own = {base: found(base, before.bases.get(base, ""), lambda at: load_checkpoint(at).digest) for base in {m.base for m in plan.members}}
    members = tuple(replace(member, base=own[member.base]) for member in plan.members)

    def digest_of(at: Path) -> str:
        return plan.task.data_file(str(at), "")[1] if plan.task.known_by_data else file_digest(at)

    data = found(plan.settings.data, plan.settings.data_digest, digest_of)
    return replace(plan, members=members, settings=replace(plan.settings, data=data))


def differences(before: Record, now: Record, where: str) -> list[str]:
    """In what two records are not of one run; the files that they name are told by their digests."""
    changed = [key for key in ("variant", "reset", "paired", "judged_on") if getattr(before, key) != getattr(now, key)]
    sides = ([(each.seed, each.learning_rate, run.bases.get(each.base, "")) for each in run.members] for run in (before, now))
    changed += ["members"] * (next(sides) != next(sides))  # bases by their digests: a path is another from elsewhere
    changed += ["bases"] * (sorted(before.bases.values()) != sorted(now.bases.values()))
    old, new = to_plain(from_plain(before.settings, where=where)), now.settings  # a setting newer than the run has its default
    may = (*MAY_CHANGE, "data") if old["data_digest"] else MAY_CHANGE
    return changed + [
        key for key in new if key not in may and old[key] != new[key] and not {old[key], new[key]} <= set(NO_MATTER.get(key, ()))
    ]


def read_run(folder: StrPath) -> Record:
    """The `run.json` of a run folder.

    Raises:
        UserError: when it is missing, damaged, or not the record of a run.
    """
    path = Path(folder) / "run.json"
    hint = "give a folder that `crar train` or `crar transfer` wrote"
    content = read_json(path, Record, hint)
    if content.format != FORMAT or min(content.shards, default=0) < 1 or sum(content.shards) != len(content.members):
        raise UserError(f"{path}: not the record of a crar run, or damaged: its members and shards do not fit; {hint}")
    try:
        variant_named(content.variant)
        task_of(from_plain(content.settings, where="settings"), near=folder)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return content


def plan_of(folder: StrPath) -> Plan:
    """The plan of the run in a folder, so that it can be resumed without repeating its settings.

    Raises:
        UserError: as :func:`read_run`.
    """
    content = read_run(folder)
    settings = from_plain(content.settings, where=str(Path(folder) / "run.json"))
    return Plan(settings, content.members, variant_named(content.variant), content.reset, content.paired)
