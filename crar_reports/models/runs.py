"""Run folders as a report needs them: the command that repeats a run, its models, its losses."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from crar_model.agent.symmetry import VERDICTS
from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.settings import PlaySettings, TrainSettings, to_plain
from crar_model.models.checkpoints import load_checkpoint
from crar_model.tasks import Task, default_settings
from crar_model.training.log import read_losses
from crar_model.training.members import Plan
from crar_model.training.runner import plan_of, read_run
from crar_model.training.variants import BASE
from crar_reports.models.judged import Judged, expand, judge


@dataclass(frozen=True)
class Run:
    """A finished or stopped run on disk.

    Attributes:
        folder: where it lies.
        how: of the scores of its models.
        given: files among which bases are looked for first.
    """

    folder: Path
    how: PlaySettings = field(default_factory=PlaySettings)
    given: tuple[Path, ...] = ()

    @cached_property
    def plan(self) -> Plan:
        """Its settings and members."""
        return plan_of(self.folder)

    @property
    def task(self) -> Task:
        """Its maze."""
        return self.plan.task

    @cached_property
    def losses(self) -> dict[str, np.ndarray[Any, Any]]:
        """Columns of its `losses.csv`."""
        return read_losses(self.folder)

    @cached_property
    def judged(self) -> list[Judged]:
        """Its members' last models, evaluated against the bases they name."""
        return judge([self.folder], use_own_base=True, given=self.given, how=self.how)

    @cached_property
    def best(self) -> list[Judged]:
        """Its members' models of the best validation, where the maze has a score."""
        paths = [self.folder / f"best-{k}.pt" for k in range(len(self.plan.members))] if self.task.scored else []
        return judge(paths, use_own_base=True, given=self.given, how=self.how)

    @property
    def updates(self) -> int:
        """Updates that the member furthest on has taken."""
        return max(model.checkpoint.updates for model in self.judged)

    @cached_property
    def labels(self) -> list[str]:
        """A label for every member: its base, if there are several, and its seed."""
        several = len(self.bases) > 1
        return [f"{short_name(Path(m.base))}, seed {m.seed}" if several else f"seed {m.seed}" for m in self.plan.members]

    @property
    def title(self) -> str:
        """The folder's name, with the variant where that says something else."""
        name, variant = self.folder.name, self.plan.variant.name
        return name if name == variant else f"{name} ({variant})"

    @property
    def command(self) -> str:
        """A command line that repeats the run."""
        return repeat_command(self.plan, self.folder)

    def of_base(self, base: str) -> list[Judged]:
        """The members that started from a base."""
        return [model for model, member in zip(self.judged, self.plan.members, strict=True) if member.base == base]

    def base_of(self, model: Judged) -> Path | None:
        """Where the base of a member lies; None for one that names none, or whose base is nowhere to be found."""
        found = model.checkpoint.load_base(self.given)
        return None if found is None else found.file

    @property
    def bases(self) -> list[str]:
        """Base checkpoints in the order of the run."""
        return list(dict.fromkeys(member.base for member in self.plan.members))


def refuse_unusable(run: Run) -> None:
    """Raise :class:`UserError` for a run that a page cannot be made of: a folder that is none, members that are missing, no line of its log."""
    read_run(run.folder)
    if (lie := len(expand([run.folder]))) != len(run.plan.members):
        raise UserError(
            f"{run.folder / 'run.json'}: names {len(run.plan.members)} members, but {lie} member-K.pt lie there; go on with the run by --resume"
        )
    if not len(run.losses["update"]):
        raise UserError(f"{run.folder / 'losses.csv'}: has no row; go on with the run by --resume, or leave it out")


def short_name(path: StrPath) -> str:
    """The run folder and the member, e.g. "freeze/member-3"."""
    path = Path(path)
    return f"{path.parent.name}/{path.stem}"


def repeat_command(plan: Plan, folder: StrPath) -> str:
    """The `crar` command that makes this run, with every setting that is not the command's default."""
    training, variant = plan.variant is BASE, plan.variant
    usual = to_plain(default_settings(plan.settings.maze))
    # `crar transfer` takes the maze from the bases; `crar train` has one maze as its default.
    defaults: dict[str, Any] = usual | ({"maze": TrainSettings().maze} if training else dict(variant.defaults(plan.task)))
    settings = to_plain(plan.settings)
    words = ["crar", "train" if training else "transfer"]
    bases = list(dict.fromkeys(member.base for member in plan.members if member.base))
    rates = list(dict.fromkeys(member.learning_rate for member in plan.members))
    for base in bases:
        words += ["--from", base]
    if not training:
        words += ["--variant", variant.name, *(["--back"] if any(map(_is_transfer, bases)) else [])]
        if variant.start == "fresh-encoder":
            words += ["--reset", plan.reset]
        if variant.supervised:
            words += ["--paired", str(plan.paired)]
        if len(rates) > 1 or rates[0] != defaults["learning_rate"]:
            words += [word for rate in rates for word in ("--rate", f"{rate:g}")]
    words += ["--members", str(len(plan.members) // max(1, len(bases) * len(rates) if not training else 1))]
    implied = {"inverse", "learning_rate", "data_digest", "walls", "observation", *variant.changes} | (
        {"data_size"} if variant.supervised or plan.settings.data else set()
    )
    words += _flags(settings, defaults, {"data_digest", "walls", *({"data_size"} if plan.settings.data else ())} if training else implied)
    words += _flags(settings["loss"], usual["loss"], set(variant.changes.get("loss", ())))
    if training and plan.settings.walls:
        words += ["--walls", str(Path(folder) / "walls.txt")]
    return shlex.join([*words, "--out", str(folder)])


def _is_transfer(path: str) -> bool:
    """Whether a base is a transfer itself; False for one that is no longer there."""
    try:
        return bool(load_checkpoint(path).base_name)
    except UserError:
        return False


def _flags(values: dict[str, Any], defaults: dict[str, Any], skip: set[str]) -> list[str]:
    words: list[str] = []
    for name, value in values.items():
        if name in skip or isinstance(value, dict) or value == defaults[name]:
            continue
        flag = name.replace("_", "-")
        words += [f"--{flag}" if value else f"--no-{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]
    return words


def outcomes(models: Sequence[Judged]) -> dict[str, int]:
    """How many models have each verdict on their embedding, in the order of `VERDICTS`."""
    counts: dict[str, int] = dict.fromkeys(VERDICTS, 0)
    for model in models:
        if model.evaluation.match is not None:
            counts[model.evaluation.match.verdict] += 1
    return counts
