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
from crar_model.core.files import StrPath


@contextmanager
def only_one(lock: StrPath, folder: StrPath, busy: str, flag: str) -> Iterator[None]:
    """Keep other processes out; the system drops the lock when the process ends, however it ends. After an error about what was asked, folders that hold
    nothing but the lock are gone again.

    Args:
        lock: its file; the folder is made if missing.
        folder: named in errors.
        busy: what another process does there, in words.
        flag: to choose another folder.

    Raises:
        UserError: when another process holds the lock, or it cannot be written.
    """
    lock, folder = Path(lock), Path(folder)
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(lock, timeout=0)
        held.acquire()
    except Timeout as error:
        raise UserError(f"{folder}: {busy}; wait for it or choose another {flag}") from error
    except OSError as error:
        raise UserError(f"{folder}: cannot write ({error.strerror or error}); free some space or choose another folder") from error
    try:
        yield
    except UserError:
        with suppress(OSError):  # of a folder that is not empty
            if set(lock.parent.iterdir()) == {lock}:
                lock.unlink()
                for made in (lock.parent, *lock.parent.parents):
                    if made.is_relative_to(folder):
                        made.rmdir()
        raise
    finally:
        held.release()


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
