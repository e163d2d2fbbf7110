"""Compiles the kernels that a plan needs, once on a machine, before worker processes would each compile them.

A throw-away training of one member and one update, on a short walk of its own, calls them all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch

from crar_model.core.compiled import Kernels
from crar_model.core.settings import LossSettings
from crar_model.training.members import Member, Plan
from crar_model.training.trainer import Trainer
from crar_model.training.variants import BASE

Notice = Callable[[str], None]
SHORT: dict[str, Any] = {
    "updates": 1, "update_rule": "joint", "structure_delay": 0, "loss": LossSettings(), "data_size": 64, "data": "", "data_digest": "",
    "score_steps": 2, "score_copies": 1,
}  # fmt: skip
"""Settings of the throw-away training: every term, on few data; what it computes is of no interest."""


def needed(plan: Plan) -> Kernels:
    """The compiled functions that a plan's training starts with; none on a GPU and where nothing is trained."""
    settings = plan.settings
    if torch.device(settings.device).type != "cpu" or not settings.updates:
        return Kernels()
    return plan.task.agent().kernels(whole_updates=settings.engine == "compiled")


def compile_missing(plan: Plan, notice: Notice | None = None) -> bool:
    """Compile what a plan needs and the cache has not.

    Args:
        plan: to be trained.
        notice: told in one line before it begins.

    Returns:
        True where something was missing.
    """
    kernels = needed(plan)
    if not kernels.missing():
        return False
    if notice is not None:
        when = "once on this machine" if kernels.kept else "in every process, for there is no folder to keep them in"
        notice(f"compiling the kernels, {when} (about {kernels.seconds:.0f} s)")
    if kernels.kept:
        own = {"data": plan.settings.data, "data_digest": plan.settings.data_digest} if plan.task.known_by_data else {}
        settings = dataclasses.replace(plan.settings, **SHORT | own)
        Trainer(Plan(settings, (Member(settings.seed, settings.learning_rate),), BASE)).advance(1)
    return True
