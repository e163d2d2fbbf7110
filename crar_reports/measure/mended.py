"""What a cure makes of the failed network of a pair: looked for where that takes seconds, else taken from the file of a `crar cure`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.params import Params, select
from crar_model.core.settings import CureSettings
from crar_model.core.threads import torch_threads
from crar_model.cures.cure import Cure, cure
from crar_model.cures.placement import why_not
from crar_model.models.checkpoints import Checkpoint, load_checkpoint
from crar_model.samples import as_given
from crar_model.training.mending import posed
from crar_reports.measure.subject import Subject

MOST_STATES = 100
"""Of a maze in which a cure is looked for without being asked for one."""


@dataclass(frozen=True)
class Mended:
    """A failed network with the encoder that a cure found.

    Attributes:
        encoder: its parameters, float32.
        method: that found it.
        cured: whether the losses call it cured.
        free: (m, states, d) embeddings that were refined before an encoder was fitted to one; None where they are not known.
    """

    encoder: Params
    method: str
    cured: bool
    free: Tensor | None = None

    @classmethod
    def of(cls, found: Cure) -> Mended:
        """The best that a cure found."""
        free = None if found.level is None else found.level.embeddings
        return cls(found.best.encoder, found.best.method, found.cured, free)

    @property
    def name(self) -> str:
        """What it may be called."""
        return "cured" if self.cured else "best found"


def mended_or_why(pair: Subject, *, quick: bool, base: bool = True) -> tuple[Mended | None, str]:
    """What `crar cure` finds with its defaults where that takes seconds, or why there is nothing to show, in a sentence.

    Args:
        pair: whose failed model is cured.
        quick: do not look.
        base: whether the pair's base may lend its weights; else only one that the failed model names.
    """
    maze, settings = pair.task.maze, CureSettings()
    if quick or maze is None or len(maze.successor) > MOST_STATES or why_not(pair.task) is not None:
        return None, f"No cure is shown: give what crar cure --from {as_given(pair.failed_path)} writes with --cured."
    try:
        _, problem = posed(pair.failed_file, pair.base_path if base else None, settings.seed, str(pair.failed_path))
        with torch_threads(1):
            found = cure(problem, settings=settings)
    except UserError as error:
        return None, f"No cure is shown: {error}."
    return (None, "No cure is shown: by its losses there is nothing to cure.") if found.already else (Mended.of(found), "")


def read_mended(path: StrPath, failed: Checkpoint) -> Mended:
    """A network that `crar cure` wrote.

    Raises:
        UserError: for a file that is none, or one of another network than `failed`.
    """
    model = load_checkpoint(path)
    how, where = model.info.get("cure"), Path(path)
    if not isinstance(how, dict):
        raise UserError(f"{where}: no network that crar cure wrote; give its cured.pt with --cured")
    if how.get("failed") != failed.digest:
        raise UserError(f"{where}: the cure of another network than {failed.file}; make one with crar cure --from {failed.file}")
    return Mended(select(model.parameters, ("encoder",)), str(how.get("method", "?")), True)
