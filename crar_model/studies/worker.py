"""What runs on a worker: trains a pack of cells as one program and judges them. Takes names, returns how it ended; tensors stay on disk."""

from __future__ import annotations

import errno
import platform
import shutil
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from crar_model.core.errors import UnverifiedFileWarning, UserError
from crar_model.core.files import Plain, write_bytes, write_json, write_text
from crar_model.core.settings import PlaySettings
from crar_model.core.tensor_files import load_plain
from crar_model.core.version import __version__
from crar_model.models.checkpoints import load_checkpoint
from crar_model.models.evaluation import evaluate
from crar_model.nets import set_threads
from crar_model.studies.account import STRETCHES, repeated, teller
from crar_model.studies.cells import BEST, LAST, Cell
from crar_model.studies.store import Record, Store
from crar_model.tasks import Task, add_task
from crar_model.training.log import read_losses
from crar_model.training.members import Member, Plan
from crar_model.training.runner import Guest, read_run, run_plan
from crar_model.training.search import searched

LOOK_EVERY = 0.5
"""Seconds between two looks at whether to stop."""
WAIT_FOR_LOCK = 120.0
"""Seconds that a task waits for one of a client that is gone to save and leave the same pack."""
DONE, STOPPED, FAILED, WAITS, FULL = "done", "stopped", "failed", "waits", "disk full"
GONE = (
    "not there to be scored in another way, as where an archive brought figures alone; give the [evaluation] of before, or another --out without "
    "--archive, where it is trained again"
)
"""What a cell is that is done, but without its network."""
PACKAGES = ("torch", "numpy", "numba", "dask", "distributed")
"""Besides crar and Python: what both sides must have in one version, because numbers or messages depend on it."""


@dataclass(frozen=True)
class Order:
    """What a task is told.

    Attributes:
        store: where the study lies, for every worker at the same path.
        token: of the client's session.
        how: how finished models are scored.
        versions: of the client; a worker with others refuses.
        tasks: the mazes by name, since a worker knows those of this package only.
    """

    store: Store
    token: str
    how: PlaySettings
    versions: dict[str, str]
    tasks: tuple[Task, ...] = ()


@dataclass(frozen=True)
class Report:
    """How a task ended: `status` with a line on why, and the folder that it worked for."""

    status: str
    path: str
    why: str = ""


def versions() -> dict[str, str]:
    """Of crar, Python and the packages that results or messages depend on."""
    return {"crar": __version__, "python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def differing(here: dict[str, str], there: dict[str, str]) -> str:
    """A line that names the versions that differ; "" where none do."""
    odd = [f"{name} {there.get(name, 'missing')} (client: {wanted})" for name, wanted in here.items() if there.get(name) != wanted]
    return ", ".join(odd)


def work(order: Order, pack: str, cells: Sequence[str], *waited_for: object) -> Report:
    """Train the cells of a pack that have no record, and judge all of them; every end but a kill is a report.

    Args:
        order: of the client.
        pack: its name; "" where the cells only have to be judged.
        cells: their names.
        waited_for: what the tasks of their bases came to; that they have ended is enough, the disk says how.
    """
    store, path = order.store, str(order.store.root / "packs" / pack if pack else order.store.root)
    odd = differing(order.versions, versions())
    if odd:
        return Report(FAILED, path, f"a worker has {odd}; install the same versions on both sides")
    if store.stopped(order.token):
        return Report(STOPPED, path)
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # a worker has a core
    set_threads(1)
    try:
        for task in order.tasks:
            add_task(task)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnverifiedFileWarning)
            if pack and (early := _train(order, pack, path)) is not None:
                return early
            return _judge(order, cells, path)
    except Exception as error:
        if _full(error):
            return Report(FULL, path, str(error))
        line = _line(error)
        try:
            store.failed(cells, line)
        except UserError as unwritable:
            return Report(FULL, path, str(unwritable))
        return Report(FAILED, path, line)
    finally:
        torch.set_num_threads(before)
        set_threads(0)


def _judge(order: Order, cells: Sequence[str], path: str) -> Report:
    """Judge the cells that have not been; one whose files cannot be read fails by itself."""
    store, wrong = order.store, ""
    for cell in cells:
        if store.judged(cell, order.how) is None:
            if store.stopped(order.token):
                return Report(STOPPED, path)
            try:
                store.write_judged(cell, order.how, judged(store, store.cell(cell), order.how))
            except Exception as error:
                if _full(error):
                    raise
                wrong = _line(error)
                store.failed([cell], wrong)
    return Report(FAILED, path, wrong) if wrong else Report(DONE, path)


def _line(error: Exception) -> str:
    """An error in one line."""
    return str(error) if isinstance(error, UserError) else traceback.format_exception_only(error)[-1].strip()


def _full(error: BaseException | None) -> bool:
    """Whether an error comes from a disk that takes no more."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False


def _train(order: Order, pack: str, path: str) -> Report | None:
    """Train a pack to its end; a report where it did not come there."""
    store = order.store
    names = store.pack_cells(pack)
    cells = [store.cell(name) for name in names]
    if not names or all(store.record(name) for name in names):
        store.end_pack(pack)
        return None
    missing = sorted({cell.base for cell in cells if cell.base and store.record(cell.base) is None})
    if missing:
        return Report(WAITS, path, f"the base {missing[0]} is not there")
    folder = Path(path) / "run"
    plan = pack_plan(store, cells)
    if _cannot_go_on(store, plan, cells, folder):
        shutil.rmtree(folder)
    stopped, began = _stop_flag(store, order.token), time.perf_counter()
    deadline = time.monotonic() + WAIT_FOR_LOCK
    while True:
        resume = (folder / "run.json").exists()
        try:
            tell = None if plan.variant.search else teller(Path(path))
            result = run_plan(plan, folder, resume=resume, tensorboard=False, guest=Guest(stopped), progress=tell)
            break
        except UserError as error:
            if "another process trains there" not in str(error) or time.monotonic() > deadline:
                raise
            if stopped():
                return Report(STOPPED, path)
            time.sleep(LOOK_EVERY)
    seconds = _spent(Path(path) / "seconds", time.perf_counter() - began)
    if not result.finished:
        return Report(STOPPED, path)
    _file_away(store, plan, cells, folder, seconds, repeated(Path(path) / STRETCHES))
    store.end_pack(pack)
    return None


def _cannot_go_on(store: Store, plan: Plan, cells: Sequence[Cell], folder: Path) -> bool:
    """Whether a run that was begun is to be dropped: its cells failed more than once in it, or the study has been moved since."""
    if not (folder / "run.json").exists():
        return folder.exists() and not (folder / "state").exists()
    if any(store.attempts(cell.name)[0] > 1 for cell in cells):
        return True
    return read_run(folder).members != plan.members


def pack_plan(store: Store, cells: Sequence[Cell]) -> Plan:
    """Cells of one kind as a run."""
    first = cells[0]
    members = tuple(Member(cell.seed, cell.learning_rate, str(store.model(cell.base, cell.start)) if cell.base else "") for cell in cells)
    return Plan(first.settings, members, first.recipe, first.reset or "glorot", first.paired)


def _stop_flag(store: Store, token: str) -> Callable[[], bool]:
    """Whether to stop, asked of the disk now and then."""
    at, stop = -LOOK_EVERY, False

    def stopped() -> bool:
        nonlocal at, stop
        now = time.monotonic()
        if not stop and now - at >= LOOK_EVERY:
            at, stop = now, store.stopped(token)
        return stop

    return stopped


def _spent(path: Path, seconds: float) -> float:
    """Add up the seconds of a pack over its stretches; a stretch that was killed is not counted."""
    with suppress(OSError, ValueError):
        seconds += float(path.read_text(encoding="utf-8"))
    write_text(path, f"{seconds}\n")
    return seconds


def _file_away(store: Store, plan: Plan, cells: Sequence[Cell], folder: Path, seconds: float, again: int) -> None:
    """Put every member of a finished run into the folder of its cell; the record comes last. `again` are updates taken more than once."""
    losses = read_losses(folder)
    for k, cell in enumerate(cells):
        own = store.folder(cell.name)
        model = folder / f"member-{k}.pt"
        for source, which in ((model, LAST), (folder / f"best-{k}.pt", BEST)):
            if source.exists():
                write_bytes(store.model(cell.name, which), source.read_bytes())
        rows = losses["member"] == k
        columns = [name for name in losses if name not in ("member", "seed", "base", "learning_rate")]
        lines = [",".join(columns), *(",".join(f"{losses[name][row]:.8g}" for name in columns) for row in np.flatnonzero(rows))]
        write_text(own / "losses.csv", "\n".join(lines) + "\n")
        checkpoint = load_plain(model)
        kept = checkpoint["info"].get("kept")
        record = Record(
            cell=cell.name, updates=int(checkpoint["updates"]), kept_update=int(kept["update"]) if kept else None,
            diverged_at=int(checkpoint["info"]["diverged_at"]), search_updates=searched(checkpoint["info"]), seconds=seconds / len(cells),
            repeated_updates=again // len(cells), crar=__version__,
        )  # fmt: skip
        write_json(own / "record.json", record)
        store.forgive(cell.name)


def judged(store: Store, cell: Cell, how: PlaySettings) -> Plain:
    """The figures of a cell that is done: of its last network, and of the best one where there is one; each against its base.

    A network that diverged has none; one that was kept from before has.

    Raises:
        UserError: where the cell has no record or no network, or a file of it cannot be used.
    """
    record = store.record(cell.name)
    if record is None:
        raise UserError(f"{store.folder(cell.name)}: has no record; run crar study again")
    if record.without_network:
        return {}
    base = load_checkpoint(store.model(cell.base, cell.start)) if cell.base else None
    figures: Plain = {}
    for which in (LAST, BEST):
        path = store.model(cell.name, which)
        if not path.exists():
            if which == LAST:
                raise UserError(f"{path}: {GONE}")
            continue
        model = load_checkpoint(path)
        compared = None if base is None else (base.parameters, base.inverse)
        found = evaluate(model.task, model.parameters, inverse=model.inverse, settings=model.settings.loss, how=how, base=compared)
        figures[which] = found.plain() | {"digest": model.digest, "updates": model.updates, "metrics": list(found.metrics)}
    return figures
