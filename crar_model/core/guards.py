"""What long work stands under: a lock, so that a folder has one writer, and signals, which ask it to save and stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from pathlib import Path

from filelock import FileLock, Timeout

from crar_model.core.errors import UserError
from crar_model.core.files import LOCK, StrPath

_held: dict[Path, int] = {}
"""Locks of this process -> the thread that has them: what a command calls may ask for its folder once more."""


@contextmanager
def only_one(folder: StrPath, busy: str, lock: str = LOCK) -> Iterator[None]:
    """Keep other processes out of a folder. The system drops the lock when the process ends, however it ends.

    Args:
        folder: made if missing; gone again if nothing was written to it.
        busy: what another process does there, in words.
        lock: name of the lock in the folder.

    Raises:
        UserError: when another process, or another thread of this one, holds the lock, or it cannot be written.
    """
    file, me = (Path(folder) / lock).absolute(), threading.get_ident()
    if _held.get(file) == me:
        yield
        return
    made = [one for one in file.parents if not one.exists()]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(file, timeout=0)
        held.acquire()
    except Timeout as error:
        raise UserError(f"{folder}: {busy}; wait for it or choose another --out") from error
    except OSError as error:
        raise UserError(f"{folder}: cannot write ({error.strerror or error}); free some space or choose another folder") from error
    _held[file] = me
    try:
        yield
    finally:
        del _held[file]
        with suppress(OSError):  # before it is dropped: who takes it from then on makes a file of its own
            file.unlink()
        held.release()
        with suppress(OSError):  # of a folder that is not empty
            for one in made:
                one.rmdir()


@contextmanager
def on_signals(stop: Callable[[], object], *, again: Callable[[int], object] | None = None) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM call `stop`, after which work saves and ends; also where a shell started us in the background with Ctrl-C ignored.

    Outside the main thread, which alone gets signals, nothing is changed.

    Args:
        stop: called at the first signal, and at others too without `again`.
        again: called at every further one, with its number.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked: list[int] = []

    def handle(number: int, _: object) -> None:
        if asked and again is not None:
            again(number)
        asked.append(number)
        stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def out_of_hearing() -> Iterator[None]:
    """Start processes that never hear Ctrl-C, which a terminal sends to all of them: they inherit that this thread does not, for as long.

    A Ctrl-C meanwhile is heard when the block ends. Threads started inside inherit it, too.
    """
    resource_tracker.ensure_running()  # lets Ctrl-C through when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
