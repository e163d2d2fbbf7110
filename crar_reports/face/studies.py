"""`crar_reports.study`, `estimate_study` and `verdicts`: a whole study, what it would take, and all claims on one page."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.places import listed
from crar_model.core.sizes import PROCESS, check_one
from crar_model.core.words import of_all, plural
from crar_reports.face.page import Page, as_command, place

if TYPE_CHECKING:
    from crar_model.studies.packing import Estimate


@dataclass(frozen=True, repr=False)
class StudyPage(Page):
    """The page of a study.

    Attributes:
        table: a row a model, *.csv.
        cells: how many cells ended in which word.
        left: cell -> (variant, why it was left).
        finished: False after Ctrl-C; the same call goes on.
    """

    table: Path = Path()
    cells: Mapping[str, int] = field(default_factory=dict)
    left: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    finished: bool = True


@dataclass(frozen=True)
class StudyEstimate:
    """What a study takes.

    Attributes:
        groups: (group, variant, maze) -> cells.
        whole, rest: cells, updates, core hours and gigabytes of the study, and of what is not done.
        searching: variants whose searches before the updates are not counted in the hours.
    """

    name: str
    groups: Mapping[tuple[str, str, str], int]
    whole: Estimate
    rest: Estimate
    searching: tuple[str, ...]

    def __str__(self) -> str:
        """What `crar study --dry-run` prints."""
        lines = [f"{group}: {plural(count, 'cell')}, {variant}, {maze}" for (group, variant, maze), count in self.groups.items()]
        lines += [
            f"{name}: {plural(each.cells, 'cell')}, {plural(each.updates, 'update')}, about {each.core_hours:.2f} h of a core, {each.gigabytes:.2f} GB"
            for name, each in ((f"study {self.name}", self.whole), ("still to run", self.rest))
        ]
        if self.searching:
            lines.append(f"hours without the searches before the updates of {', '.join(self.searching)}")
        return "\n".join(lines)


def estimate_study(file: StrPath, out: StrPath, *, archive: StrPath | None = None, attempts: int = 3) -> StudyEstimate:
    """Cells, updates, hours and gigabytes of a study, as `crar study --dry-run` prints them; nothing runs.

    Args:
        file, out, archive, attempts: as in :func:`study`.

    Raises:
        UserError: for a file that is no study, or a folder of another.
    """
    from crar_model.studies.archive import held
    from crar_model.studies.packing import OPEN, estimate, measured, status
    from crar_model.studies.plan import read_study
    from crar_model.studies.store import open_store
    from crar_model.training.variants import BASE, VARIANTS

    plan, store = read_study(Path(file)), open_store(Path(out))
    store.refuse(plan.name)
    known = status(store, plan, attempts)
    kept = held(store, plan, Path(archive)) if archive is not None else []
    left = [cell for name, cell in plan.cells.items() if known[name][0] == OPEN and name not in kept]
    pace = measured(store, plan)
    groups = Counter((cell.group, cell.variant, cell.settings.maze) for cell in plan.cells.values())
    searching = dict.fromkeys(cell.variant for cell in left if VARIANTS.get(cell.variant, BASE).search and cell.alike not in pace)
    return StudyEstimate(plan.name, groups, estimate(plan.cells.values()), estimate(left, pace), tuple(searching))


@as_command("study", file="")
def study(
    file: StrPath,
    out: StrPath,
    *,
    archive: StrPath | None = None,
    pack: int | None = None,
    attempts: int = 3,
    retry: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    scheduler_file: StrPath | None = None,
    command: str = "",
) -> StudyPage:
    """Run a whole study, bases, transfers, one table, one page, as `crar study` does; the same call goes on where it was stopped.

    Args:
        file: the study, *.toml.
        out: its folder.
        archive: bring in what is finished in this file, *.tar.xz, and keep there what is finished.
        pack: members of a task; what keeps all workers at work, where it is None.
        attempts: failures after which a cell is left. retry: try such cells again.
        workers: processes of a local cluster, one a core where it is None.
        scheduler, scheduler_file: the Dask cluster to use instead.
        command: shown on the page as what made it.

    Raises:
        UserError: for a file that is no study, two clusters, or a folder of another study.
    """
    if sum(given is not None for given in (workers, scheduler, scheduler_file)) > 1:
        raise UserError("--workers, --scheduler and --scheduler-file name two clusters; give one of them")
    check_one("workers", workers or 1, PROCESS)
    from crar_model.core.guards import on_signals
    from crar_model.studies.archive import Keeper, bring_in, waiting
    from crar_model.studies.cluster import cluster
    from crar_model.studies.packing import DONE, OPEN, status
    from crar_model.studies.plan import read_study
    from crar_model.studies.run import compile_for, only_client, run_study
    from crar_model.studies.store import open_store
    from crar_reports import progress as console
    from crar_reports.pages.study.page import write_study_page
    from crar_reports.pages.study.table import write_table

    plan, store = read_study(Path(file)), open_store(Path(out))
    store.refuse(plan.name)
    kept_in = None if archive is None else Path(archive)
    address = None if scheduler_file is None else Path(scheduler_file)
    with only_client(store):
        store.claim(plan.name)
        for name in plan.cells if retry else ():
            store.forgive(name)
        first: list[str] = []
        if kept_in is not None:
            console.say(f"{plural(bring_in(store, plan, kept_in), 'finished cell')} of {archive}")
            first = waiting(store, plan, kept_in)
        keeper = Keeper(store, plan, kept_in, console.say) if kept_in is not None else None
        todo = [name for name, cell in plan.cells.items() if store.record(name) is None or store.judged(name, plan.how) is None]
        finished = True
        try:
            if todo:
                if scheduler is None and address is None:
                    asked = threading.Event()  # numba does not bear an exception inside, and a shell's background job has Ctrl-C ignored
                    with on_signals(asked.set):
                        compile_for(plan, (name for name in todo if store.record(name) is None), console.say)
                    if asked.is_set():
                        raise KeyboardInterrupt
                with (
                    console.progress_bar(f"study {plan.name}, {of_all(len(todo), len(plan.cells), 'cells')} to do") as tick,
                    cluster(workers or 0, scheduler or "", address) as client,
                ):

                    def progress(done: int, total: int) -> None:
                        tick(done, total)
                        if keeper is not None:
                            keeper.now_and_then()

                    if first and kept_in is not None:
                        console.say(
                            f"{archive} has no networks of {plural(len(first), 'base')} whose transfers go on: these are trained again first"
                        )
                        bases = dataclasses.replace(plan, cells={name: plan.cells[name] for name in first})
                        finished = run_study(client, store, bases, pack=pack or 0, attempts=attempts, progress=progress).finished
                        console.say(f"{plural(bring_in(store, plan, kept_in), 'finished cell')} more of {archive}")
                    if finished:
                        finished = run_study(client, store, plan, pack=pack or 0, attempts=attempts, progress=progress).finished
            table = write_table(store, plan, attempts)
            write_study_page(table, plan.name, store.root, pages=plan.pages, command=command)
        except BaseException as error:
            with contextlib.suppress(UserError):  # what ended the run is what is told
                write_table(store, plan, attempts)
            if keeper is not None and not isinstance(error, KeyboardInterrupt):
                keeper.try_to_keep()
            raise
        if keeper is not None:  # after the page, which measures networks that an archive does not keep
            keeper.keep()
        found = status(store, plan, attempts)
    left = {name: (plan.cells[name].variant, why) for name, (word, why) in found.items() if word not in (DONE, OPEN)}
    return StudyPage(store.root, table=table, cells=Counter(word for word, _ in found.values()), left=left, finished=finished)


@as_command("verdicts")
def verdicts(
    *,
    claims: StrPath | Sequence[StrPath] = (),
    study: StrPath | Sequence[StrPath] = (),
    predict: StrPath | Sequence[StrPath] = (),
    recipe: Sequence[str] = (),
    out: StrPath | None = None,
    force: bool = False,
    command: str = "",
) -> Page:
    """Put the verdicts on all claims, S1 to S14, on one page, as `crar verdicts` does.

    Args:
        claims: folders of `decide_claims`. study: of `study`. predict: of `predict` with transfers: S14.
        recipe: of folders whose results do not say how their models were trained: "claims=bases joint 0.0005, 75,000 updates; transfers ...".
        out: folder of the page; a temporary one where it is None.
        force: write into a folder that holds something.
        command: shown on the page as what made it.

    Raises:
        UserError: for no folder, one without results, a recipe that is none or not needed, or an `out` that holds something.
    """
    given = [listed(paths) for paths in (claims, study, predict)]
    if not any(given):
        raise UserError("--claims, --study and --predict name nothing; give at least one folder that one of these commands wrote")
    with place(out, force=force) as (folder, temporary):
        from crar_reports.pages.verdicts import write_verdicts

        write_verdicts(given[0], given[1], folder, predictions=given[2], recipes=recipe, command=command)
        return Page(folder, temporary=temporary)
