"""What a study still needs, and how its cells go together into tasks: members of one program, as many as keep all workers at work."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crar_model.core.settings import PlaySettings
from crar_model.studies.cells import Cell
from crar_model.studies.plan import Study, parameters
from crar_model.studies.store import Store

LARGEST = 8
"""Members of a pack at most: beyond that a core gains little, and a pack that is interrupted holds up more."""
DONE, OPEN, FAILED, BLOCKED = "done", "open", "failed", "blocked"
BYTES = 4
COPIES = 6
"""Networks that a member in training keeps on disk: parameters, target, running averages, best."""


def status(store: Store, study: Study, attempts: int) -> dict[str, tuple[str, str]]:
    """(`DONE`, `OPEN`, `FAILED` or `BLOCKED`, why) of every cell; one that failed `attempts` times is left, with what starts from it."""
    found: dict[str, tuple[str, str]] = {}
    for name, cell in study.cells.items():
        failed, why = store.attempts(name)
        if store.record(name) is not None and (failed < attempts or store.judged(name, study.how) is not None):
            found[name] = DONE, ""
        elif failed >= attempts:
            found[name] = FAILED, why
        elif cell.base and found[cell.base][0] in (FAILED, BLOCKED):
            found[name] = BLOCKED, f"its base {cell.base} failed"
        else:
            found[name] = OPEN, ""
    return found


def packs_of(store: Store, cells: Iterable[Cell], size: int, workers: int) -> dict[str, list[str]]:
    """Pack the cells that are open; packs that an earlier call began are kept, whatever the size now.

    Args:
        store: the study's folder.
        cells: that are to be trained, bases first.
        size: members of a pack; 0 chooses.
        workers: that share the work.

    Returns:
        name of the pack -> its cells, all of them, also those that are not asked for now; a pack of bases comes before what starts from them.
    """
    wanted = {cell.name: cell for cell in cells}
    left, found = dict(wanted), dict[str, list[str]]()
    for pack in store.packs():
        members = store.pack_cells(pack)
        alone = len(members) == 1 or not any(store.attempts(name)[0] for name in members)
        # one with progress is worth more than the members of it that this file does not ask for
        asked = [name for name in members if name in left]
        if alone and asked and (len(asked) == len(members) or _worth_going_on(store, pack, members, wanted, left)):
            found[pack] = members
            for name in asked:
                del left[name]
        elif all(store.record(name) for name in members):
            store.end_pack(pack)
    kinds: dict[str, list[str]] = {}
    for cell in left.values():
        if store.attempts(cell.name)[0]:
            found[store.pack([cell.name])] = [cell.name]  # one that fails must not take others along
        else:
            kinds.setdefault(cell.alike, []).append(cell.name)
    for names in kinds.values():
        count = size or min(LARGEST, max(1, math.ceil(len(names) / max(1, workers))))
        for first in range(0, len(names), count):
            members = names[first : first + count]
            found[store.pack(members)] = members
    order = {name: place for place, name in enumerate(wanted)}
    return dict(sorted(found.items(), key=lambda item: min(order[name] for name in item[1] if name in order)))


def _worth_going_on(store: Store, pack: str, members: Sequence[str], wanted: Container[str], left: Container[str]) -> bool:
    """Whether a pack of which some members are not asked for is to go on: it has progress, none of it is done or at work elsewhere, and its bases are
    there or asked for."""
    bases = {store.cell(name).base for name in members} - {""}
    return (
        updates_taken(store, [pack]) > 0
        and not any(store.record(name) is not None or (name in wanted and name not in left) for name in members)
        and all(base in wanted or store.record(base) is not None for base in bases)
    )


@dataclass(frozen=True)
class Estimate:
    """What some cells will take.

    Attributes:
        cells, updates: how many; updates summed over cells, searches not counted.
        core_hours: of one core.
        gigabytes: on disk at the end, plus packs at work.
    """

    cells: int
    updates: int
    core_hours: float
    gigabytes: float


def estimate(cells: Iterable[Cell], pace: Mapping[str, float] | None = None, at_work: int = LARGEST) -> Estimate:
    """Estimate cost by the pace of the maze (`Task.pace`), or by what has been measured.

    Args:
        cells: to be made.
        pace: :attr:`Cell.alike` -> updates of a member in a second, from :func:`measured`.
        at_work: members that train at the same time, for the disk.
    """
    cells, pace = list(cells), pace or {}
    seconds = size = largest = 0.0
    for cell in cells:
        seconds += cell.settings.updates / pace.get(cell.alike, cell.task.pace[cell.settings.update_rule])
        own = BYTES * parameters(cell.task)
        size += own * (2 if cell.task.scored else 1)
        largest = max(largest, own)
    whole = size + COPIES * largest * min(at_work, len(cells))
    return Estimate(len(cells), sum(cell.settings.updates for cell in cells), seconds / 3600, whole / 1e9)


def measured(store: Store, study: Study) -> dict[str, float]:
    """Updates of a member in a second, by :attr:`Cell.alike`, of what is done; the time of a search before them is among theirs."""
    totals: dict[str, list[float]] = {}
    for name, cell in study.cells.items():
        record = store.record(name)
        if record and record.updates and record.seconds > 0:
            pair = totals.setdefault(cell.alike, [0.0, 0.0])
            pair[0] += record.updates
            pair[1] += record.seconds
    return {alike: updates / seconds for alike, (updates, seconds) in totals.items()}


def to_judge(store: Store, study: Study, names: Iterable[str], how: PlaySettings) -> list[str]:
    """Cells that are done, but not judged in this way."""
    return [name for name in names if store.record(name) is not None and store.judged(name, how) is None]


def updates_taken(store: Store, packs: Iterable[str]) -> int:
    """Updates that packs at work have taken, summed over members, as far as they said."""
    total = 0
    for pack in packs:
        path: Path = store.root / "packs" / pack / "at"
        try:
            total += int(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
    return total
