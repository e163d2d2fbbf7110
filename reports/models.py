"""Models named on a command line: files, run folders, and what they amount to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crar_model.checkpoints import Checkpoint, load_checkpoint
from crar_model.errors import UserError
from crar_model.evaluation import Evaluation, embed, evaluate
from crar_model.settings import LossSettings, from_plain


@dataclass(frozen=True)
class Judged:
    """A checkpoint, where it lies, and its figures."""

    path: Path
    checkpoint: Checkpoint
    evaluation: Evaluation

    def plain(self) -> dict[str, Any]:
        """The object that `crar evaluate --json` prints for a model."""
        result: dict[str, Any] = {
            "path": str(self.path),
            "maze": self.checkpoint.maze,
            "inverse": self.checkpoint.inverse,
            "terms": self.evaluation.terms,
            "nearest_state_accuracy": self.evaluation.nearest_state_accuracy,
            "navigation_success": self.evaluation.navigation_success,
        }
        if self.evaluation.match is not None:
            result["match"] = self.evaluation.match.plain()
        return result


def expand(paths: Sequence[Path]) -> list[Path]:
    """Checkpoint files behind the paths; a run folder stands for all its members, in order.

    Raises:
        UserError: for a folder without members.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            members = sorted(path.glob("member-*.pt"), key=lambda p: int(p.stem.partition("-")[2]))
            if not members:
                raise UserError(f"{path}: no member-K.pt in this folder; give a run folder or a checkpoint")
            files += members
        else:
            files.append(path)
    return files


def loss_settings(checkpoint: Checkpoint) -> LossSettings:
    """The loss settings that a model was trained with; the study's for a checkpoint that does not say."""
    stored = checkpoint.info.get("settings")
    return from_plain(stored, where="checkpoint settings").loss if stored else LossSettings()


def judge(paths: Sequence[Path], base: Path | None = None, *, use_own_base: bool = False) -> list[Judged]:
    """Evaluate checkpoints and run folders.

    Args:
        paths: files and run folders.
        base: compare every embedding with this model's.
        use_own_base: compare with the base that each checkpoint names, where it still exists.

    Raises:
        UserError: for an unusable checkpoint, or a base of another maze.
    """
    given = load_checkpoint(base) if base is not None else None
    judged = []
    for path in expand(paths):
        model = load_checkpoint(path)
        reference, named = given, model.info.get("base")
        if reference is None and use_own_base and named and Path(named).exists():
            reference = load_checkpoint(Path(named))
        if reference is not None and reference.maze != model.maze:
            raise UserError(
                f"{base}: a base of the {reference.maze} maze, but {path} is of the {model.maze} maze; give a base of that maze"
            )
        compared = None if reference is None else embed(reference.agent, reference.parameters, inverse=reference.inverse)
        figures = evaluate(model.agent, model.parameters, inverse=model.inverse, settings=loss_settings(model), base_embedding=compared)
        judged.append(Judged(path, model, figures))
    return judged
