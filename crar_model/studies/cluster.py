"""Where a study runs: a cluster of this machine, or one that is there already."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dask
from distributed import Client, LocalCluster
from distributed.diagnostics.plugin import WorkerPlugin

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.guards import out_of_hearing
from crar_model.core.machine import cores
from crar_model.studies.worker import differing, versions

ANSWERS_WITHIN = 10.0
"""Seconds that a scheduler has to answer."""
DEATHS = 10
"""Workers that may die at one task before it counts as a failure: a user's kills are not a cell's."""


class _LeaveCtrlCToTheClient(WorkerPlugin):
    """The terminal sends Ctrl-C to every process; the client turns it into a request to save and stop."""

    name = "crar-signals"

    def setup(self, worker: Any) -> None:
        """In a worker, which must be in its main thread."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def cluster(workers: int = 0, scheduler: str = "", scheduler_file: StrPath | None = None) -> Iterator[Client]:
    """A client of a cluster; a local one ends with the block.

    Args:
        workers: processes of a local cluster, one thread each; 0 for one a core.
        scheduler: address of one that is there, tcp://host:port.
        scheduler_file: the file that `dask scheduler --scheduler-file` wrote.

    Raises:
        UserError: for a scheduler that does not answer within 10 s, and for versions that differ.
    """
    # distributed gives some of its loggers levels of their own; what they tell of a lost scheduler is a traceback
    own = [name for name in logging.root.manager.loggerDict if name.startswith("distributed.")]
    for name in (*own, "distributed", "tornado.application", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with dask.config.set({"distributed.scheduler.allowed-failures": DEATHS, "distributed.worker.profile.enabled": False}):
        if scheduler or scheduler_file is not None:
            with _existing(scheduler, None if scheduler_file is None else Path(scheduler_file)) as client:
                yield client
            return
        with _local(workers or cores()) as client:
            yield client


@contextmanager
def _local(workers: int) -> Iterator[Client]:
    with ExitStack() as stack:
        try:
            with out_of_hearing():
                own = stack.enter_context(
                    LocalCluster(
                        n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit=0, host="127.0.0.1",
                        silence_logs=logging.CRITICAL,
                    )
                )  # fmt: skip
            client = stack.enter_context(Client(own))
            client.register_plugin(_LeaveCtrlCToTheClient())
        except (OSError, RuntimeError, TimeoutError) as error:
            line = " ".join(str(error).split())
            raise UserError(f"--workers: the {workers} processes did not start ({line}); the same command tries again") from error
        yield client


@contextmanager
def _existing(address: str, file: Path | None) -> Iterator[Client]:
    where = address or str(file)
    if file is not None and not file.is_file():
        raise UserError(f"--scheduler-file: {file} does not exist; start one with: dask scheduler --scheduler-file {file}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # versions are compared below, with a line of their own
            client = Client(address or None, scheduler_file=None if file is None else str(file), timeout=ANSWERS_WITHIN)
    except (OSError, TimeoutError, ValueError) as error:
        raise UserError(
            f"--scheduler: nothing answers at {where} within {ANSWERS_WITHIN:.0f} s; is `dask scheduler` running there?"
        ) from error
    with client:
        _same_versions(client, where)
        yield client


def _same_versions(client: Client, where: str) -> None:
    """Refuse a cluster whose scheduler or workers have other versions than this process."""
    here = versions()
    try:
        found = {"the scheduler": client.run_on_scheduler(versions), **client.run(versions)}
    except Exception as error:
        line = " ".join(str(error).split())
        raise UserError(f"--scheduler: {where} cannot run this crar ({line}); install the same versions on both sides") from error
    for place, there in found.items():
        odd = differing(here, there)
        if odd:
            raise UserError(f"--scheduler: {place} at {where} has {odd}; install the same versions on both sides")
