"""Runs what a study lacks on a cluster: tasks, their dependencies, failures, and a stop that saves."""

from __future__ import annotations

import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from crar_model.core.errors import UserError
from crar_model.core.guards import on_signals, only_one
from crar_model.studies.cells import LAST
from crar_model.studies.packing import LARGEST, OPEN, packs_of, status, to_judge, updates_taken
from crar_model.studies.plan import Study
from crar_model.studies.store import Store
from crar_model.studies.worker import FAILED, FULL, GONE, STOPPED, Order, Report, versions, work
from crar_model.tasks import TASKS
from crar_model.training.members import Member, Plan
from crar_model.training.variants import BASE
from crar_model.training.warmup import Notice, compile_missing

if TYPE_CHECKING:
    from distributed import Client, Future

POLL = 0.1
ALONE = 180.0
"""Seconds after which a local cluster has lost its workers for good: its nanny brings a killed one back in a few."""
ATTEMPTS = 3
Progress = Callable[[int, int], None]


@dataclass
class Result:
    """How a call ended: `finished` is False after a stop; `status` has (word, why) of every cell."""

    finished: bool
    status: dict[str, tuple[str, str]] = field(default_factory=dict)


def only_client(store: Store) -> AbstractContextManager[None]:
    """Keep a second client from the same study.

    Raises:
        UserError: when there is one already, or the folder cannot be written.
    """
    return only_one(store.root, "another crar study works there", "lock")


def run_study(
    client: Client, store: Store, study: Study, *, pack: int = 0, attempts: int = ATTEMPTS, progress: Progress | None = None
) -> Result:
    """Make every cell that is not done, and judge every cell that has not been judged in the study's way.

    Cells that fail are tried again, alone, until they have failed `attempts` times; then they are left, and so is what starts from them.

    Args:
        client: of the cluster.
        store: claimed by this client alone.
        study: what is wanted.
        pack: members of a task; 0 chooses.
        attempts: failures after which a cell is left.
        progress: called with (updates taken, updates in all) of this study.

    Raises:
        UserError: for a full disk, a scheduler that is lost, workers that cannot run this crar, or cells to be judged whose networks are not there.
    """
    _refuse_lost(store, study)
    token = secrets.token_hex(8)
    for cell in study.cells.values():
        store.write_cell(cell)
    store.begin_session(token)
    order = Order(
        store, token, study.how, versions(), tuple(TASKS[name] for name in sorted({c.settings.maze for c in study.cells.values()}))
    )
    stop, number = threading.Event(), 0
    with on_signals(stop.set, again=lambda signum: signal.default_int_handler(signum, None)):  # a second Ctrl-C ends the process at once
        while True:
            before = _standing(store, study, attempts)
            wanted = [study.cells[name] for name, (word, _) in before[0].items() if word == OPEN]
            judging = to_judge(store, study, (name for name, (word, _) in before[0].items() if word == "done"), study.how)
            if not wanted and not judging:
                return Result(True, before[0])
            number += 1
            packs = packs_of(store, wanted, pack, _workers(client))
            reports = _round(client, order, packs, judging, study, f"{token}-{number}", stop, progress)
            if any(report.status == FULL for report in reports):
                why = next(report.why for report in reports if report.status == FULL)
                raise UserError(f"{why}; the same command goes on")
            if stop.is_set() or any(report.status == STOPPED for report in reports):
                return Result(False, status(store, study, attempts))
            if _standing(store, study, attempts) == before:
                why = next((report.why for report in reports if report.status == FAILED), "no task got anything done")
                raise UserError(f"{store.root}: {why}")


def _refuse_lost(store: Store, study: Study) -> None:
    """Name the cells that are to be judged, but have no network, before anything is done."""
    done = ((name, store.record(name)) for name in to_judge(store, study, study.cells, study.how))
    paths = [store.model(name, LAST) for name, record in done if record is not None and not record.without_network]
    lost = [path for path in paths if not path.exists()]
    if lost:
        raise UserError(f"{lost[0]}: {GONE} ({len(lost)} of {len(study.cells)} cells)")


def compile_for(study: Study, names: Iterable[str], notice: Notice | None = None) -> None:
    """Compile the kernels that cells need, once, before the workers of a local cluster would each do it.

    Args:
        study: the study.
        names: its cells that are to be made.
        notice: told in one line before it begins.
    """
    for cell in {study.cells[name].alike: study.cells[name] for name in names}.values():
        compile_missing(Plan(cell.settings, (Member(cell.seed, cell.learning_rate),), BASE), notice)


def _standing(store: Store, study: Study, attempts: int) -> tuple[dict[str, tuple[str, str]], int, int]:
    """What a round can change: status, failures, and cells judged."""
    failures = sum(store.attempts(name)[0] for name in study.cells)
    judged = sum(store.judged(name, study.how) is not None for name in study.cells)
    return status(store, study, attempts), failures, judged


def _workers(client: Client) -> int:
    return max(1, len(client.nthreads()))


def _round(
    client: Client,
    order: Order,
    packs: dict[str, list[str]],
    judging: list[str],
    study: Study,
    prefix: str,
    stop: threading.Event,
    progress: Progress | None,
) -> list[Report]:
    """Send every pack to the cluster once and wait for all."""
    makes: dict[str, Future[Any]] = {}
    futures: dict[Future[Any], list[str]] = {}
    for pack, cells in packs.items():
        bases = list(dict.fromkeys(makes[base] for base in (order.store.cell(name).base for name in cells) if base in makes))
        future = client.submit(work, order, pack, cells, *bases, key=f"{prefix}-{pack}", pure=False)
        futures[future] = cells
        makes |= dict.fromkeys(cells, future)
    for first in range(0, len(judging), LARGEST):
        cells = judging[first : first + LARGEST]
        futures[client.submit(work, order, "", cells, key=f"{prefix}-judge-{first}", pure=False)] = cells
    everything = sum(cell.settings.updates for cell in study.cells.values())
    told, done = False, {name for name in study.cells if order.store.record(name) is not None}
    taken, at_work = sum(study.cells[name].settings.updates for name in done), set(packs)
    seen = time.monotonic()
    while True:
        pending = [future for future in futures if future.status == "pending"]
        if stop.is_set() and not told:
            told = True
            order.store.stop_session(order.token)
        if progress is not None:
            # a look at the records of all cells, every second, would take a tenth of a core
            # a pack that has ended says no more how far it is, while its task still judges
            for pack in [name for name in at_work if makes[packs[name][0]].status != "pending" or not order.store.pack_cells(name)]:
                at_work.remove(pack)
                made = {name for name in packs[pack] if name not in done and order.store.record(name) is not None}
                done |= made
                taken += sum(study.cells[name].settings.updates for name in made if name in study.cells)
            progress(min(everything, taken + updates_taken(order.store, at_work)), everything)
        if not pending:
            break
        if client.status not in ("running", "connecting"):
            raise UserError("the scheduler is gone; what its tasks have saved is kept, the same command goes on")
        if client.cluster is None or client.nthreads():
            seen = time.monotonic()
        elif time.monotonic() - seen > ALONE:
            raise UserError("no worker is left; what the tasks have saved is kept, the same command goes on")
        for _ in range(10):
            if all(future.status != "pending" for future in pending):
                break
            time.sleep(POLL)
    return [_report(order.store, future, cells) for future, cells in futures.items()]


def _report(store: Store, future: Future[Any], cells: list[str]) -> Report:
    """What a task came to; one that could not even run counts as a failure of its cells."""
    if future.status == "finished":
        found: Report = future.result()
        return found
    if future.status != "error":
        raise UserError("the scheduler is gone; what its tasks have saved is kept, the same command goes on")
    error: Any = future.exception()
    line = f"{type(error).__name__}: {' '.join(str(error).split())}"
    bases = {store.cell(name).base for name in cells}
    if all(not base or store.record(base) for base in bases):  # else the error is that of a base
        store.failed(cells, line)
    return Report(FAILED, str(store.root), line)
