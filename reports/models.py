"""Models named on a command line: files, run folders, and what they amount to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crar_model.checkpoints import Checkpoint, load_checkpoint
from crar_model.errors import UserError
from crar_model.evaluation import Evaluation, embed, evaluate
from crar_model.random_evaluation import RandomEvaluation, ScoreSettings, evaluate_random
from crar_model.settings import LossSettings, from_plain
from reports.threads import cores, torch_threads

Progress = Callable[[int, int], None]


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


def own_base(model: Checkpoint, given: Checkpoint | None, use_own: bool) -> Checkpoint | None:
    """The base to compare a model with: the one given, else with `use_own` the one it names, where it still exists."""
    named = model.info.get("base")
    if given is None and use_own and named and Path(named).exists():
        return load_checkpoint(Path(named))
    return given


def judge(paths: Sequence[Path], base: Path | None = None, *, use_own_base: bool = False) -> list[Judged]:
    """Evaluate checkpoints and run folders of the simple maze.

    Args:
        paths: files and run folders.
        base: compare every embedding with this model's.
        use_own_base: compare with the base that each checkpoint names, where it still exists.

    Raises:
        UserError: for an unusable checkpoint, one of another maze, or a base of another maze.
    """
    given = load_checkpoint(base) if base is not None else None
    judged = []
    for path in expand(paths):
        model = load_checkpoint(path)
        if model.maze != "simple":
            raise UserError(f"{path}: a model of the {model.maze} maze; give one of the simple maze")
        reference = own_base(model, given, use_own_base)
        _same_maze(reference, base, model, path)
        compared = None if reference is None else embed(reference.agent, reference.parameters, inverse=reference.inverse)
        figures = evaluate(model.agent, model.parameters, inverse=model.inverse, settings=loss_settings(model), base_embedding=compared)
        judged.append(Judged(path, model, figures))
    return judged


def _same_maze(reference: Checkpoint | None, base: Path | None, model: Checkpoint, path: Path) -> None:
    if reference is not None and reference.maze != model.maze:
        raise UserError(f"{base}: a base of the {reference.maze} maze, but {path} is of the {model.maze} maze; give a base of that maze")


@dataclass(frozen=True)
class JudgedRandom:
    """A checkpoint of the random mazes, where it lies, and its figures."""

    path: Path
    checkpoint: Checkpoint
    evaluation: RandomEvaluation

    def plain(self) -> dict[str, Any]:
        """The object that `crar evaluate --json` prints for a model."""
        about = {
            "path": str(self.path),
            "maze": self.checkpoint.maze,
            "inverse": self.checkpoint.inverse,
            "updates": self.checkpoint.updates,
        }
        return about | self.evaluation.plain()


def judge_random(
    paths: Sequence[Path], how: ScoreSettings, base: Path | None = None, *, use_own_base: bool = False, progress: Progress | None = None
) -> list[JudgedRandom]:
    """Evaluate checkpoints and run folders of the random mazes; arguments as of :func:`judge`.

    Raises:
        UserError: as :func:`judge`, and for score settings out of range.
    """
    check_score_settings(how)
    given = load_checkpoint(base) if base is not None else None
    pairs: list[tuple[Path, Checkpoint, Checkpoint | None]] = []
    for path in expand(paths):
        model = load_checkpoint(path)
        if model.maze != "random":
            raise UserError(f"{path}: a model of the {model.maze} maze, which has no score; judge it apart from those of the random mazes")
        reference = own_base(model, given, use_own_base)
        _same_maze(reference, base, model, path)
        pairs.append((path, model, reference))

    def judged(path: Path, model: Checkpoint, reference: Checkpoint | None) -> JudgedRandom:
        compared = None if reference is None else (reference.parameters, reference.inverse)
        settings = loss_settings(model)
        return JudgedRandom(
            path, model, evaluate_random(model.agent, model.parameters, inverse=model.inverse, settings=settings, how=how, base=compared)
        )

    found: list[JudgedRandom] = []
    with torch_threads(1), ThreadPoolExecutor(max_workers=cores()) as pool:  # a model a core: the compiled kernels free the interpreter
        for result in pool.map(lambda pair: judged(*pair), pairs):
            found.append(result)
            if progress is not None:
                progress(len(found), len(pairs))
    return found


def check_score_settings(how: ScoreSettings) -> None:
    """Raise UserError for the first setting out of range."""
    if how.depth < 0:
        raise UserError(f"--planning-depth is {how.depth}; give a whole number of at least 0")
    if not 0 <= how.epsilon <= 1:
        raise UserError(f"--epsilon is {how.epsilon}; give a share from 0 to 1")
    if how.episodes < 1:
        raise UserError(f"--episodes is {how.episodes}; give at least 1")
    if how.seed < 0:
        raise UserError(f"--seed is {how.seed}; give a whole number of at least 0")
    if how.protocol not in ("episodes", "paper"):
        raise UserError(f"--protocol is {how.protocol!r}; choose episodes or paper")
