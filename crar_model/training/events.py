"""A run's events for TensorBoard: a run per member, named by what tells the members apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crar_model.checkpoints import load_checkpoint
from crar_model.errors import UserError
from crar_model.evaluation import cast, dtype_of
from crar_model.settings import PlaySettings, to_plain
from crar_model.training.members import Plan


def event_name(plan: Plan, member: int) -> str:
    """The name of a member's TensorBoard run: its number, variant, base, learning rate and seed."""
    about = plan.members[member]
    base = Path(about.base)
    words = [f"member-{member}", plan.variant.name, *([f"from-{base.parent.name}-{base.stem}"] if about.base else [])]
    return "_".join([*words, f"rate-{about.learning_rate:g}", f"seed-{about.seed}"])


class Events:
    """Writes the hyper-parameters, losses, learning rate and figures of merit of every member below `tensorboard/`.

    Args:
        folder: the run folder.
        plan: of the run.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.plan = folder, plan
        self._writers: dict[int, Any] = {}
        self._last: dict[int, int] = {}
        self._judged: dict[int, int] = {}

    def restored(self, member: int, update: int) -> None:
        """Note the last update whose events are there already."""
        self._last[member] = max(update, self._last.get(member, update))

    def losses(self, member: int, update: int, values: dict[str, float]) -> None:
        """Write a row of the log, and the learning rate that holds at its update."""
        settings, writer = self.plan.settings, self._writer(member, update)
        for name, value in values.items():
            writer.add_scalar(name if name == "score" else f"loss/{name}", value, update)
        decay = settings.learning_rate_decay ** (update // settings.decay_interval)
        writer.add_scalar("learning_rate", self.plan.members[member].learning_rate * decay, update)

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
        for name, value in figures.items():
            if isinstance(value, float):
                self._writer(member, model.updates).add_scalar(name, value, model.updates)

    def _writer(self, member: int, update: int) -> Any:
        if member not in self._writers:
            from torch.utils import tensorboard  # a second to import, so only where it is used

            folder = self.folder / "tensorboard" / event_name(self.plan, member)
            writer: Any = tensorboard.SummaryWriter(str(folder), purge_step=self._last.get(member, update - 1) + 1)
            describe: Any = tensorboard.summary.hparams  # not `add_hparams`, which writes them to a run of its own
            for summary in describe(
                self._settings(member), {"loss/total": 0.0, "score" if self.plan.task.scored else "loss/transition": 0.0}
            ):
                writer._get_file_writer().add_summary(summary)
            self._writers[member] = writer
        return self._writers[member]

    def _settings(self, member: int) -> dict[str, bool | int | float | str]:
        """Everything that was set, the loss's with its section's name before it."""
        about, plain = self.plan.members[member], to_plain(self.plan.settings)
        loss = {f"loss.{name}": value for name, value in plain.pop("loss").items()}
        return plain | loss | {"variant": self.plan.variant.name, **about.plain()}

    def flush(self) -> None:
        """Write what is buffered."""
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()
