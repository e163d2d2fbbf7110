"""Run folders as a report needs them: the command that repeats a run, its models, its losses."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from crar_model.settings import default_settings, to_plain
from crar_model.training.log import read_losses
from crar_model.training.members import Plan
from crar_model.training.runner import plan_of
from reports.defaults import TRANSFER_DEFAULTS
from reports.models import Judged, judge


@dataclass(frozen=True)
class Run:
    """A finished or stopped run on disk."""

    folder: Path

    @cached_property
    def plan(self) -> Plan:
        """Its settings and members."""
        return plan_of(self.folder)

    @cached_property
    def losses(self) -> dict[str, np.ndarray[Any, Any]]:
        """Columns of its `losses.csv`."""
        return read_losses(self.folder)

    @cached_property
    def judged(self) -> list[Judged]:
        """Its members, evaluated against the bases they name."""
        return judge([self.folder], use_own_base=True)

    @property
    def command(self) -> str:
        """A command line that repeats the run."""
        return repeat_command(self.plan, self.folder)

    def of_base(self, base: str) -> list[Judged]:
        """The members that started from a base."""
        return [model for model, member in zip(self.judged, self.plan.members, strict=True) if member.base == base]

    @property
    def bases(self) -> list[str]:
        """Base checkpoints in the order of the run."""
        return list(dict.fromkeys(member.base for member in self.plan.members))


def repeat_command(plan: Plan, folder: Path) -> str:
    """The `crar` command that makes this run, with every setting that is not the command's default."""
    training = plan.variant == "base"
    usual = to_plain(default_settings(plan.settings.maze))
    defaults: dict[str, Any] = usual | ({"maze": "simple"} if training else TRANSFER_DEFAULTS[plan.settings.maze])
    settings = to_plain(plan.settings)
    words = ["crar", "train" if training else "transfer"]
    bases = list(dict.fromkeys(member.base for member in plan.members if member.base))
    rates = list(dict.fromkeys(member.learning_rate for member in plan.members))
    for base in bases:
        words += ["--from", base]
    if not training:
        words += ["--variant", plan.variant]
        if plan.variant == "reset-encoder":
            words += ["--reset", plan.reset]
        if plan.variant == "paired":
            words += ["--paired", str(plan.paired)]
        if len(rates) > 1 or rates[0] != defaults["learning_rate"]:
            words += [word for rate in rates for word in ("--rate", f"{rate:g}")]
    words += ["--members", str(len(plan.members) // max(1, len(bases) * len(rates) if not training else 1))]
    implied = {"inverse", "learning_rate", "data_size"} if plan.variant == "paired" else {"inverse", "learning_rate"}
    words += _flags(settings, defaults, set() if training else implied)
    words += _flags(settings["loss"], usual["loss"], {"ball_weight"} if plan.variant == "omit-ball" else set())
    return shlex.join([*words, "--out", str(folder)])


def _flags(values: dict[str, Any], defaults: dict[str, Any], skip: set[str]) -> list[str]:
    words: list[str] = []
    for name, value in values.items():
        if name in skip or isinstance(value, dict) or value == defaults[name]:
            continue
        flag = name.replace("_", "-")
        words += [f"--{flag}" if value else f"--no-{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]
    return words


def outcomes(models: Sequence[Judged]) -> dict[str, int]:
    """How many models matched, swapped, or did neither."""
    counts = {"matched": 0, "swapped": 0, "neither": 0}
    for model in models:
        if model.evaluation.match is not None:
            counts[model.evaluation.match.verdict] += 1
    return counts
