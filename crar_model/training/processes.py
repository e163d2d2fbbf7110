"""Trains the shards of a run: the only one here, several in processes of their own, which end when they are told to, or are ended."""

from __future__ import annotations

import multiprocessing
import sys
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from crar_model.core.errors import UserError
from crar_model.core.guards import on_signals, out_of_hearing
from crar_model.nets import set_arithmetic, set_threads
from crar_model.training.shard import ShardJob, shard_process, train_shard

GRACE = 20.0
"""Seconds that a worker has, once told to stop, to save what it has."""
Receive = Callable[[int, str, dict[str, Any]], None]
"""Takes (index of the shard, kind, content) of a report."""


def run_here(job: ShardJob, receive: Receive, stopped: Callable[[], bool] | None) -> bool:
    """Train the only shard in this process."""
    stop = threading.Event()
    threads = torch.get_num_threads()
    try:
        with on_signals(stop.set):
            return train_shard(
                job, lambda kind, content: receive(job.index, kind, content), lambda: stop.is_set() or (stopped is not None and stopped())
            )
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(False)
        set_threads(0)
        set_arithmetic("float32")


def worker_context() -> Any:
    """How workers start. On Linux PyTorch, which takes seconds, is loaded once: a server without threads forks them all. Elsewhere each loads it."""
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([train_shard.__module__])
    return context


def run_processes(shards: list[ShardJob], receive: Receive) -> bool:
    """Train every shard in a process of its own. Whatever happens here, no worker outlives the call."""
    context = worker_context()
    stop = context.Event()
    processes: list[BaseProcess] = []
    pipes: dict[Any, int] = {}
    with on_signals(stop.set):
        try:
            for job in shards:
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=shard_process, args=(job, theirs, stop), daemon=True)
                with out_of_hearing():
                    process.start()
                theirs.close()
                processes.append(process)
                pipes[ours] = job.index
            return _listen(processes, pipes, stop, receive)
        finally:
            stop.set()
            _end(processes, pipes)


def _listen(processes: Sequence[BaseProcess], pipes: dict[Any, int], stop: Any, receive: Receive) -> bool:
    """Take the workers' reports until all have ended; True when all have finished."""
    finished, problem = [False] * len(processes), None
    while pipes:
        for ready in wait(list(pipes)):
            pipe: Any = ready
            try:
                index, kind, content = pipe.recv()
            except EOFError:
                index = pipes.pop(pipe)
                processes[index].join()
                if processes[index].exitcode and problem is None:
                    problem = UserError(f"worker {index} died (exit code {processes[index].exitcode}); go on with --resume")
                    stop.set()
                continue
            if kind == "done":
                finished[index] = content["finished"]
            elif kind == "failed":
                if not content["user"]:
                    raise RuntimeError(f"worker {index} failed:\n{content['text']}")
                problem = problem or UserError(content["text"])
                stop.set()
            else:
                receive(index, kind, content)
    if problem is not None:
        raise problem
    return all(finished)


def _end(processes: Sequence[BaseProcess], pipes: dict[Any, int]) -> None:
    """Wait for workers that were told to stop, reading what they still say so that none waits for a reader; then terminate, then kill."""
    deadline = time.monotonic() + GRACE
    while pipes and time.monotonic() < deadline:
        for ready in wait(list(pipes), timeout=0.2):
            pipe: Any = ready
            try:
                pipe.recv()
            except (EOFError, OSError):
                pipes.pop(pipe)
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
    for end in (BaseProcess.terminate, BaseProcess.kill):
        for process in processes:
            if process.is_alive():
                end(process)
                process.join(5.0)
