"""The arithmetic of a run's products (`--arithmetic`): whether it can be had here, and what is said of it."""

from __future__ import annotations

import torch

from crar_model.core.errors import UserError
from crar_model.nets import set_arithmetic, tiles_lacking
from crar_model.training.members import Plan
from crar_model.training.warmup import Notice, needed

SAID = "large products of the convolutions: tiles (AMX), three bfloat16 products each, within 1e-5 of float32's"
"""The line of a run with tiles."""


def check_arithmetic(plan: Plan, notice: Notice | None = None) -> None:
    """Look whether a run can have its arithmetic, and compile what that needs, before worker processes would.

    Args:
        plan: to be trained.
        notice: told in one line where the arithmetic is not the usual one.

    Raises:
        UserError: for tiles where the device, the networks or the processor have no use for them.
    """
    settings = plan.settings
    if settings.arithmetic != "tiles":
        return
    if torch.device(settings.device).type != "cpu":
        raise UserError(f"--arithmetic is 'tiles', which are a processor's, and --device is {settings.device!r}; leave one of them out")
    if settings.updates and not needed(plan).tiles:
        raise UserError(
            "--arithmetic is 'tiles', but the networks of this training are dense, which tiles do not make faster; leave it out"
        )
    if lacking := tiles_lacking():
        raise UserError(
            f"--arithmetic is 'tiles', but {lacking}; use --arithmetic float32, or a machine with tiles for a run begun with them"
        )
    if notice is not None:
        notice(SAID)
    set_arithmetic("tiles")
    set_arithmetic("float32")  # whoever trains chooses for itself
