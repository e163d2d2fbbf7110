"""One shard of a run: trains its members, saves them, and reports; in this process or in one of its own."""

from __future__ import annotations

import os
import signal
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from crar_model.core.errors import UnverifiedFileWarning, UserError
from crar_model.core.files import StrPath
from crar_model.core.params import Params
from crar_model.core.settings import to_plain
from crar_model.core.tensor_files import in_float32, load_plain, save_plain, warn_unverified
from crar_model.core.version import __version__
from crar_model.models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from crar_model.models.keys import result_key
from crar_model.nets import set_arithmetic, set_threads
from crar_model.tasks import Task, add_task
from crar_model.training.leaders import kept_by
from crar_model.training.members import Plan
from crar_model.training.trainer import Trainer

STATE, SNAPSHOT = "crar-state", "crar-snapshot"
LOG_PARTS = {"update", "log_updates", "log_values"}
"""What is read of a state before a trainer takes the rest."""
Emit = Callable[[str, dict[str, Any]], None]
CHUNK = 50
"""Updates between two looks at the stop flag."""


@dataclass(frozen=True)
class ShardJob:
    """Which members of a plan a shard trains, and where it saves them; `task` goes along because a worker process knows only the
    tasks of this package until it is told of another. `threads` share its compiled networks; their number changes no bit of a result."""

    plan: Plan
    folder: Path
    index: int
    first: int
    count: int
    task: Task
    threads: int = 1

    @property
    def state_path(self) -> Path:
        """Where the shard's trainer state is saved."""
        return self.folder / "state" / f"shard-{self.index}.pt"

    @property
    def key(self) -> str:
        """Of everything that determines what its members are after as many updates."""
        plan, bases = self.shard_plan, self.bases
        members = [(member.seed, member.learning_rate, bases.get(member.base, "")) for member in plan.members]  # wherever a base lies now
        return result_key("shard", variant=plan.variant.name, reset=plan.reset, paired=plan.paired, settings=plan.settings, members=members)

    @property
    def bases(self) -> dict[str, str]:
        """Digests of the bases of its members, by their paths."""
        return {base: load_checkpoint(base).digest for base in {member.base for member in self.shard_plan.members if member.base}}

    @property
    def shard_plan(self) -> Plan:
        """The plan with this shard's members only."""
        own = slice(self.first, self.first + self.count)
        return replace(self.plan, members=self.plan.members[own], starts=self.plan.starts[own])


def train_shard(job: ShardJob, emit: Emit, stopped: Callable[[], bool]) -> bool:
    """Train from the saved state, if there is one, to the end.

    Args:
        job: the shard.
        emit: called with "rows" (update, values), "progress" (update), "saved" (update), "diverged" (member, update).
        stopped: asked every CHUNK updates; True saves and returns.

    Returns:
        True when all updates are taken, False when stopped.
    """
    if job.plan.settings.device == "cpu":
        torch.set_num_threads(1)  # tensors this small only lose by sharing
        set_threads(job.threads)
        set_arithmetic(job.plan.settings.arithmetic)
        torch.set_flush_denormal(True)  # running averages decay through the denormals, which are slow
    trainer = Trainer(job.shard_plan)
    digests, key, astray = job.bases, job.key, base_astray(job)
    if job.state_path.exists():
        state = load_state(job)
        try:
            trainer.restore(state)
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise UserError(f"{job.state_path}: does not fit this run ({error}); start it anew in another folder") from error
    told_rows, told_diverged = len(trainer.log_updates), {k for k, at in enumerate(trainer.diverged_at) if at >= 0}
    interval = job.plan.settings.checkpoint_interval
    _keep_snapshots(job, trainer)
    while True:
        target = min((trainer.update // interval + 1) * interval, job.plan.settings.updates)
        halted = False
        while trainer.update < target and not (halted := stopped()):
            trainer.advance(min(CHUNK, target - trainer.update))
            emit("progress", {"update": trainer.update})
        trainer.advance(0)  # a run of no updates still logs its start
        for row in range(told_rows, len(trainer.log_updates)):
            emit("rows", {"update": trainer.log_updates[row], "values": trainer.log_values[row]})
        told_rows = len(trainer.log_updates)
        for k, at in enumerate(trainer.diverged_at):
            if at >= 0 and k not in told_diverged:
                told_diverged.add(k)
                emit("diverged", {"member": job.first + k, "update": at})
        _save(job, trainer, digests, key, astray)
        if not halted:
            _keep_snapshots(job, trainer)
        emit("saved", {"update": trainer.update})
        if trainer.finished or halted:
            return trainer.finished


def base_astray(job: ShardJob) -> dict[str, float]:
    """Share of transitions that each base of a world mispredicts on its own side, by its path: what a cure that sees the other side alone is held against."""
    bases = {path: load_checkpoint(path) for path in job.bases}
    shares = {path: base.task.astray(base.parameters, inverse=base.inverse) for path, base in bases.items()}
    return {path: share for path, share in shares.items() if share is not None}


def _save(job: ShardJob, trainer: Trainer, digests: Mapping[str, str], key: str, astray: Mapping[str, float]) -> None:
    state, settings = trainer.state(), job.plan.settings
    for k, member in enumerate(trainer.plan.members):
        info: dict[str, Any] = {
            "variant": job.plan.variant.name,
            "seed": member.seed,
            "learning_rate": member.learning_rate,
            "base": member.base,
            "base_digest": digests.get(member.base, ""),
            "diverged_at": trainer.diverged_at[k],
            "settings": to_plain(settings),
            "crar": __version__,
        }
        if member.base in astray:
            info["base_astray"] = astray[member.base]
        if trainer.plan.starts:
            info["search"] = load_checkpoint(trainer.plan.starts[k]).info["search"]

        def save(name: str, params: Params, updates: int, info: dict[str, Any], k: int = k) -> None:
            whole = trainer.member_parameters(k) | params
            save_checkpoint(job.folder / f"{name}-{job.first + k}.pt", Checkpoint(settings.maze, settings.inverse, whole, updates, info))

        if trainer.kept is None:
            save("member", {}, trainer.update, info)
        else:  # the member is what it found at its best, and the network that goes on stands beside it
            at = trainer.kept.updates[k]
            save("last", {}, trainer.update, info)
            info = info | {"kept": {"update": at, "of": trainer.update, "by": kept_by(trainer.task)}}
            save("member", trainer.kept.of(k), trainer.update, info)
        if trainer.best is not None:  # what the study goes on with: the network of the best validation, not the last one
            save("best", trainer.best.of(k), trainer.best.updates[k], info | {"score": trainer.best.figures[k][0]})
    # The state last: a kill in between repeats updates, which gives the same members again.
    save_plain(job.state_path, STATE, state | {"key": key})


def load_state(job: ShardJob) -> dict[str, Any]:
    """The saved state of a shard.

    Raises:
        UserError: as :func:`load_plain`, and for a file that is no such state.
    """
    state = load_plain(job.state_path)
    if not isinstance(state, dict) or not state.keys() >= LOG_PARTS or state.get("format", STATE) != STATE:
        raise UserError(f"{job.state_path}: not the state of a run; start it anew in another folder")
    if "key" in state and state["key"] != job.key:  # those of an earlier version have none
        raise UserError(f"{job.state_path}: the state of another run; give another --out, or remove {job.state_path.parent}")
    warn_unverified(job.state_path, state)
    return state


def _keep_snapshots(job: ShardJob, trainer: Trainer) -> None:
    """With the setting on, one file per member and moment: a later plane through a trajectory needs them."""
    if not job.plan.settings.snapshots:
        return
    for k in range(len(trainer.plan.members)):
        params = trainer.member_parameters(k)
        path = snapshot_folder(job.folder, job.first + k) / f"{trainer.update:09d}.pt"
        save_plain(path, SNAPSHOT, {"parameters": params})


def load_snapshot(path: StrPath) -> Params:
    """Parameters of one member at one moment.

    Raises:
        UserError: as :func:`load_plain`, and for a file that is no snapshot.
    """
    content = load_plain(path)
    signed = isinstance(content, dict) and content.get("format") == SNAPSHOT
    params = content.get("parameters") if signed else content  # before there were digests, the file was the table alone
    if not isinstance(params, dict) or not all(isinstance(value, torch.Tensor) for value in params.values()):
        raise UserError(f"{path}: not a snapshot of a training; train with --snapshots again")
    warn_unverified(path, content)
    return in_float32(params, str(path))


def snapshot_folder(run: StrPath, member: int) -> Path:
    """Where the snapshots of a member of a run lie, one file per update number."""
    return Path(run) / "snapshots" / f"member-{member}"


def shard_process(job: ShardJob, connection: Any, stop: Any) -> None:
    """Body of a worker process: trains a shard and sends its reports; ends with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent turns Ctrl-C into the stop flag
    warnings.simplefilter("ignore", UnverifiedFileWarning)  # the parent has read the same files and said so
    parent = os.getppid()

    def emit(kind: str, content: dict[str, Any]) -> None:
        connection.send((job.index, kind, content))

    add_task(job.task)
    try:
        finished = train_shard(job, emit, lambda: stop.is_set() or os.getppid() != parent)
        emit("done", {"finished": finished})
    except UserError as error:
        emit("failed", {"text": str(error), "user": True})
    except (BrokenPipeError, KeyboardInterrupt):
        pass
    except Exception:
        emit("failed", {"text": traceback.format_exc(), "user": False})
