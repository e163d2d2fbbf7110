"""A run's events for TensorBoard: a run per member, named by what tells the members apart."""

from __future__ import annotations

import io
import os
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from crar_model.core.errors import UserError
from crar_model.core.files import writing
from crar_model.core.settings import PlaySettings, to_plain
from crar_model.models.checkpoints import load_checkpoint
from crar_model.models.evaluation import cast, dtype_of
from crar_model.training.members import Plan


def event_name(plan: Plan, member: int) -> str:
    """The name of a member's TensorBoard run: its number, variant, base, learning rate and seed."""
    about = plan.members[member]
    base = Path(about.base)
    words = [f"member-{member}", plan.variant.name, *([f"from-{base.parent.name}-{base.stem}"] if about.base else [])]
    return "_".join([*words, f"rate-{about.learning_rate:g}", f"seed-{about.seed}"])


class EventFile:
    """One event file of a run, written by this thread where it is told to; TensorBoard's own writer has a thread, where a full disk is a traceback.

    Args:
        folder: made if missing.
        first: step of the first event; what TensorBoard has of this step or later is dropped.
    """

    def __init__(self, folder: Path, first: int) -> None:
        proto: Any = import_module("tensorboard.compat.proto.event_pb2")
        records: Any = import_module("tensorboard.summary.writer.record_writer")
        seconds, rest = divmod(time.time_ns(), 10**9)
        self.path = folder / f"events.out.tfevents.{seconds:010d}.{rest:09d}.{os.getpid()}"
        self._event: Any = proto.Event
        self._pending = io.BytesIO()
        self._records: Any = records.RecordWriter(self._pending)
        self.add(first, file_version="brain.Event:2")
        self.add(first, session_log=proto.SessionLog(status=proto.SessionLog.START))

    def add(self, step: int, **what: Any) -> None:
        """Keep an event for the next :meth:`flush`."""
        self._records.write(self._event(wall_time=time.time(), step=step, **what).SerializeToString())

    def flush(self) -> None:
        """Write what was kept.

        Raises:
            UserError: when the disk is full or the folder cannot be written.
        """
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as stream:
                stream.write(self._pending.getvalue())
        self._pending.seek(0)
        self._pending.truncate()


class Events:
    """Writes the hyper-parameters, losses, learning rate and figures of merit of every member below `tensorboard/`.

    Args:
        folder: the run folder.
        plan: of the run.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.plan = folder, plan
        self._files: dict[int, EventFile] = {}
        self._last: dict[int, int] = {}
        self._judged: dict[int, int] = {}

    def restored(self, member: int, update: int) -> None:
        """Note the last update whose events are there already."""
        self._last[member] = max(update, self._last.get(member, update))

    def losses(self, member: int, update: int, values: dict[str, float]) -> None:
        """Write a row of the log, and the learning rate that holds at its update."""
        settings = self.plan.settings
        decay = settings.learning_rate_decay ** (update // settings.decay_interval)
        named = {name if name == "score" else f"loss/{name}": value for name, value in values.items()}
        self._add(member, update, named | {"learning_rate": self.plan.members[member].learning_rate * decay})

    def judge(self, member: int) -> None:
        """Write the figures of merit of a member's saved model, where they need no played episodes; those of a maze with a score are in its log."""
        task = self.plan.task
        if task.scored:
            return
        try:
            model = load_checkpoint(self.folder / f"member-{member}.pt")
        except UserError:  # what has diverged is no model to judge
            return
        if self._judged.get(member) == model.updates:
            return
        self._judged[member] = model.updates
        figures = task.metrics(model.agent, cast(model.parameters, dtype_of(task)), inverse=model.inverse, how=PlaySettings())
        self._add(member, model.updates, {name: value for name, value in figures.items() if isinstance(value, float)})

    def _add(self, member: int, update: int, values: dict[str, float]) -> None:
        """Keep scalars of a member, and what was set before its first."""
        from torch.utils.tensorboard import summary  # a second to import, so only where it is used

        describe: Any = summary.hparams
        scalar: Any = summary.scalar
        if member not in self._files:
            folder = self.folder / "tensorboard" / event_name(self.plan, member)
            self._files[member] = EventFile(folder, self._last.get(member, update - 1) + 1)
            for about in describe(
                self._settings(member), {"loss/total": 0.0, "score" if self.plan.task.scored else "loss/transition": 0.0}
            ):
                self._files[member].add(0, summary=about)
        for name, value in values.items():
            self._files[member].add(update, summary=scalar(name, value))

    def _settings(self, member: int) -> dict[str, bool | int | float | str]:
        """Everything that was set, the loss's with its section's name before it."""
        about, plain = self.plan.members[member], to_plain(self.plan.settings)
        loss = {f"loss.{name}": value for name, value in plain.pop("loss").items()}
        return plain | loss | {"variant": self.plan.variant.name, **vars(about)}

    def flush(self) -> None:
        """Write what was told since the last time; errors as :meth:`EventFile.flush`."""
        for file in self._files.values():
            file.flush()
