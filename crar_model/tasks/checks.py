"""Whether settings of a training are in range and fit into the machine's memory."""

from __future__ import annotations

from crar_model.core.ranges import Spelling, as_flag
from crar_model.core.settings import TrainSettings
from crar_model.core.sizes import DRAW, DRAWN, LEAF, MAP, MODEL, PROCESS, ROW, STEP, STEP_OF_TILES, afford, leaves
from crar_model.tasks import TASKS


def check_settings(settings: TrainSettings, spell: Spelling = as_flag, *, members: int = 1) -> None:
    """Raise :class:`UserError` that names the first setting out of range, or the one that takes more memory than there is.

    Args:
        settings: of a training.
        spell: how the user wrote a setting.
        members: models that train together.
    """
    settings.validate(spell)
    check_memory(settings, members, spell)


def check_memory(settings: TrainSettings, members: int, spell: Spelling = as_flag) -> None:
    """The second half of :func:`check_settings`."""
    task = TASKS.get(settings.maze)
    listed, scored = task is None or task.sampling.complete, task is not None and task.scored
    names = ("updates", "log_interval", "batch_size", "data_size", "planning_depth", "score_steps", "score_copies", "workers")

    def estimate(**size: float) -> float:
        score = size["score_copies"] * (MAP + 8 * size["score_steps"] + LEAF * leaves(size["planning_depth"])) if scored else 0
        data = (STEP if listed else STEP_OF_TILES) * size["data_size"] + DRAW * DRAWN * size["batch_size"]
        own = MODEL + data + ROW * size["updates"] / size["log_interval"] + score
        return size["members"] * own + PROCESS * min(size["workers"], size["members"])

    given = {"members": members} | {name: getattr(settings, name) for name in names}
    usual = {name: getattr(TrainSettings, name) for name in names} | (dict(task.defaults) if task is not None else {})
    afford(estimate, given, usual | {"log_interval": settings.log_interval, "members": 1}, spell)
