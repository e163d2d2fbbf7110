"""A failed transfer as a cure takes it, with its base's weights where they are at hand, and the model that a cure makes of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.params import Params, select
from crar_model.cures.cure import Cure
from crar_model.cures.methods import ANNEALED, EPOCHS, METHODS
from crar_model.cures.problem import Problem, pose
from crar_model.models.checkpoints import Checkpoint, load_checkpoint
from crar_model.models.merit import same_dynamics
from crar_model.training.members import Member, Plan
from crar_model.training.trainer import Trainer
from crar_model.training.variants import VARIANTS


def posed(failed: Checkpoint, base: StrPath | None, seed: int, where: str) -> tuple[Checkpoint | None, Problem]:
    """The base whose weights a cure may use, and the problem that it is given.

    Args:
        failed: the model.
        base: as in :func:`own_base`.
        seed: of data, new weights and noise.
        where: the model's file, for errors.
    """
    found = own_base(failed, base)
    problem = pose(failed, found, seed, where=where)
    if found is not None:
        start = Path(found.file or failed.base_name)
        problem = dataclasses.replace(problem, anew=lambda updates: annealed(failed, start, seed, updates))
    return found, problem


def own_base(failed: Checkpoint, path: StrPath | None) -> Checkpoint | None:
    """The base whose weights a cure may use: the file given, else the one that the transfer names, where it is still there.

    Raises:
        UserError: for an unusable file, or a base with other dynamics than a transfer that kept its base's: it is not that transfer's.
    """
    base = failed.load_base() if path is None else load_checkpoint(path)
    if base is None:
        return None
    variant = str(failed.info.get("variant") or "")
    kept = variant in VARIANTS and VARIANTS[variant].trained == ("encoder",)
    if kept and base.task.same_maze(failed.task) and not same_dynamics(failed, base):
        raise UserError(
            f"{base.file}: its dynamics are not those of the transfer, which kept its base's; give the base that it was made from with --base"
        )
    return base


def annealed(failed: Checkpoint, base: StrPath, seed: int, updates: int) -> Params:
    """A control: `freeze` from the base once more, by the failed transfer's own rule and batches, from the rate of `annealed` down; (1, ...) encoders."""
    settings = dataclasses.replace(
        failed.settings, inverse=failed.inverse, updates=updates, learning_rate_decay=ANNEALED, decay_interval=max(1, updates // EPOCHS), device="cpu",
        log_interval=max(1, updates),
    )  # fmt: skip
    trainer = Trainer(Plan(settings, (Member(seed, METHODS["annealed"].rounds[0].rate, str(base)),), VARIANTS["freeze"]))
    trainer.advance(updates)
    return {name: value.detach().clone() for name, value in select(trainer.params, ("encoder",)).items()}


def cured_checkpoint(failed: Checkpoint, found: Cure) -> Checkpoint:
    """The failed model with the chosen encoder, and where that comes from."""
    how = {"method": found.best.method, "candidate": found.best.label, "updates": found.updates, "failed": failed.digest}
    return dataclasses.replace(failed, parameters=cured_parameters(failed, found), info={**failed.info, "cure": how})


def cured_parameters(failed: Checkpoint, found: Cure) -> Params:
    """Parameters of the failed model with the chosen encoder."""
    return {name: found.best.encoder.get(name, value) for name, value in failed.parameters.items()}
