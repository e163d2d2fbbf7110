"""`crar study` and `crar verdicts`."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import threading
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from crar_model.core.errors import UserError
from crar_model.core.sizes import PROCESS, check_one
from crar_model.core.words import of_all, plural
from crar_reports.commands.app import app, command_line
from crar_reports.commands.command import Command
from crar_reports.commands.flags import RUN, ForceOption, OutOption, fresh, with_flags

CLUSTER = "Cluster"


@app.command(
    cls=Command,
    epilog="Example:\n  crar study studies/quick.toml --out runs/quick\n\n"
    "The same command goes on where it was stopped, and a changed file runs only\nwhat is new. docs/cluster.md has clusters.",
)
@with_flags(alone=False)
def study(
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, help="The study, *.toml; studies/ has some.", show_default=False)],
    out: OutOption,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print cells, updates, estimated hours and gigabytes, and end.", rich_help_panel=RUN)
    ] = False,
    archive: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Bring in what is finished in FILE, *.tar.xz, and keep there what is finished, every ten minutes and in the end.",
            show_default="none",
            rich_help_panel=RUN,
        ),
    ] = None,
    pack: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Members of a task.", show_default="what keeps all workers at work", rich_help_panel=RUN),
    ] = None,
    attempts: Annotated[
        int, typer.Option(metavar="N", min=1, help="Failures after which a cell is left and reported.", rich_help_panel=RUN)
    ] = 3,
    retry: Annotated[bool, typer.Option("--retry", help="Try cells again that were left.", rich_help_panel=RUN)] = False,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Processes of a local cluster.", show_default="one a core", rich_help_panel=CLUSTER),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Use the Dask cluster at tcp://host:port.", show_default=False, rich_help_panel=CLUSTER),
    ] = None,
    scheduler_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Use the Dask cluster of this file of dask scheduler.", show_default=False, rich_help_panel=CLUSTER
        ),
    ] = None,
) -> None:
    """Run a whole study: bases, transfers, one table, one page.

    The file is expanded into cells, one a model. Cells that are done already are kept; the others run on a Dask cluster.
    """
    if sum(given is not None for given in (workers, scheduler, scheduler_file)) > 1:
        raise UserError("--workers, --scheduler and --scheduler-file name two clusters; give one of them")
    check_one("workers", workers or 1, PROCESS)
    from crar_model.studies.archive import Keeper, bring_in, held, waiting
    from crar_model.studies.packing import DONE, OPEN, estimate, measured, status
    from crar_model.studies.plan import read_study
    from crar_model.studies.run import compile_for, only_client, run_study
    from crar_model.studies.store import open_store
    from crar_model.training.variants import BASE, VARIANTS

    plan, store = read_study(file), open_store(out)
    store.refuse(plan.name)
    if dry_run:
        known = status(store, plan, attempts)
        kept = held(store, plan, archive) if archive is not None else []
        left = [cell for name, cell in plan.cells.items() if known[name][0] == OPEN and name not in kept]
        pace = measured(store, plan)
        whole, rest = estimate(plan.cells.values()), estimate(left, pace)
        for (group, variant, maze), count in Counter((c.group, c.variant, c.settings.maze) for c in plan.cells.values()).items():
            print(f"{group}: {plural(count, 'cell')}, {variant}, {maze}")
        for name, each in ((f"study {plan.name}", whole), ("still to run", rest)):
            print(
                f"{name}: {plural(each.cells, 'cell')}, {plural(each.updates, 'update')}, about {each.core_hours:.2f} h of a core, {each.gigabytes:.2f} GB"
            )
        searching = dict.fromkeys(cell.variant for cell in left if VARIANTS.get(cell.variant, BASE).search and cell.alike not in pace)
        if searching:
            print(f"hours without the searches before the updates of {', '.join(searching)}")
        return
    from crar_model.core.guards import on_signals
    from crar_model.studies.cluster import cluster
    from crar_reports import progress as console
    from crar_reports.pages.study.page import write_study_page
    from crar_reports.pages.study.table import write_table

    with only_client(store):
        store.claim(plan.name)
        for name in plan.cells if retry else ():
            store.forgive(name)
        first: list[str] = []
        if archive is not None:
            console.say(f"{plural(bring_in(store, plan, archive), 'finished cell')} of {archive}")
            first = waiting(store, plan, archive)
        keeper = Keeper(store, plan, archive, console.say) if archive is not None else None
        todo = [name for name, cell in plan.cells.items() if store.record(name) is None or store.judged(name, plan.how) is None]
        finished = True
        try:
            if todo:
                if scheduler is None and scheduler_file is None:
                    asked = threading.Event()  # numba does not bear an exception inside, and a shell's background job has Ctrl-C ignored
                    with on_signals(asked.set):
                        compile_for(plan, (name for name in todo if store.record(name) is None), console.say)
                    if asked.is_set():
                        raise KeyboardInterrupt
                with (
                    console.progress_bar(f"study {plan.name}, {of_all(len(todo), len(plan.cells), 'cells')} to do") as tick,
                    cluster(workers or 0, scheduler or "", scheduler_file) as client,
                ):

                    def progress(done: int, total: int) -> None:
                        tick(done, total)
                        if keeper is not None:
                            keeper.now_and_then()

                    if first and archive is not None:
                        console.say(
                            f"{archive} has no networks of {plural(len(first), 'base')} whose transfers go on: these are trained again first"
                        )
                        bases = dataclasses.replace(plan, cells={name: plan.cells[name] for name in first})
                        finished = run_study(client, store, bases, pack=pack or 0, attempts=attempts, progress=progress).finished
                        console.say(f"{plural(bring_in(store, plan, archive), 'finished cell')} more of {archive}")
                    if finished:
                        finished = run_study(client, store, plan, pack=pack or 0, attempts=attempts, progress=progress).finished
            table = write_table(store, plan, attempts)
            page = write_study_page(table, plan.name, store.root, pages=plan.pages, command=command_line())
        except BaseException as error:
            with contextlib.suppress(UserError):  # what ended the run is what is told
                write_table(store, plan, attempts)
            if keeper is not None and not isinstance(error, KeyboardInterrupt):
                keeper.try_to_keep()
            raise
        if keeper is not None:  # after the page, which measures networks that an archive does not keep
            keeper.keep()
        found = status(store, plan, attempts)
    bad = {name: why for name, (word, why) in found.items() if word not in (DONE, OPEN)}
    for name, why in bad.items():
        print(f"cell {name} ({plan.cells[name].variant}) was left: {why}")
    if not finished:
        print(f"stopped and saved; the same command goes on: {command_line()}")
        raise typer.Exit(130)
    counts = Counter(word for word, _ in found.values())
    said = ", ".join(f"{plural(count, 'cell')} {word}" for word, count in counts.items())
    print(f"{said}; {out / table.name}, {out / page.name}")
    if bad:
        print(f"try them again with --retry: {shlex.quote(str(out))}")
        raise typer.Exit(1)


@app.command(
    cls=Command,
    epilog="Example:\n  crar verdicts --claims runs/claims --study runs/simple-study \\\n    --study runs/random-study --out runs/verdicts",
)
@with_flags()
def verdicts(
    out: OutOption,
    claims: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", exists=True, help="What crar claims wrote.", show_default="none", rich_help_panel=RUN),
    ] = None,
    studies: Annotated[
        list[Path] | None,
        typer.Option("--study", metavar="DIR", exists=True, help="What crar study wrote.", show_default="none", rich_help_panel=RUN),
    ] = None,
    predictions: Annotated[
        list[Path] | None,
        typer.Option(
            "--predict",
            metavar="DIR",
            exists=True,
            help="What crar predict wrote, with transfers: S14.",
            show_default="none",
            rich_help_panel=RUN,
        ),
    ] = None,
    force: ForceOption = False,
) -> None:
    """Put the verdicts on all claims, S1 to S14, on one page.

    From the results.json of claims and studies, with the released data's own answers beside them. A claim without a result
    stands there as not measured.
    """
    if not claims and not studies and not predictions:
        raise UserError("--claims, --study and --predict name nothing; give at least one folder that one of these commands wrote")
    fresh(out, force=force)
    from crar_reports.pages.verdicts import write_verdicts

    print(f"report: {write_verdicts(claims or [], studies or [], out, predictions=predictions or [], command=command_line())}")
