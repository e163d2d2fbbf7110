"""Models as pages name them: copies once, a folder each, and where their bases lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.kept import kept
from crar_model.core.settings import PlaySettings
from crar_model.models.checkpoints import load_checkpoint
from crar_model.models.evaluation import Evaluation
from crar_model.models.judged import Judged, expand, judge, run_folders
from crar_model.models.keys import result_key
from crar_model.models.merit import as_good

__all__ = ["Judged", "base_of", "bases_in", "distinct", "expand", "judge", "label_of", "one_folder_each", "run_folders", "succeeds"]

EDITION = 2
"""Of when a transfer succeeds; kept answers of another are found again."""


def distinct(paths: Sequence[StrPath]) -> list[Path]:
    """The models behind the paths as :func:`expand` has them, copies of one only once: they would count as several."""
    once: dict[str, Path] = {}
    for path in expand(paths):
        once.setdefault(result_key("model", model=load_checkpoint(path)), path)
    return list(once.values())


def label_of(path: StrPath) -> str:
    """RUN-MEMBER, the name of a model's folder where several models get one each."""
    path = Path(path)
    return f"{path.resolve().parent.name}-{path.stem}"


def one_folder_each(paths: Sequence[StrPath]) -> None:
    """Raise :class:`UserError` for two models whose folders would be one."""
    labels = [label_of(path) for path in paths]
    if twice := [path for path, label in zip(paths, labels, strict=True) if labels.count(label) > 1]:
        raise UserError(f"{twice[-1]}: its run and file have the names of another's here; give each once, or ask of the runs apart")


def base_of(path: StrPath, given: StrPath | None = None) -> Path:
    """Where the base of a transfer lies: the file given, else the one that the transfer names.

    Raises:
        UserError: for a transfer that names none, or one that is not there.
    """
    if given is not None:
        load_checkpoint(given)
        return Path(given)
    model = load_checkpoint(Path(path))
    found = model.base_file
    if found is None:
        raise UserError(f"{path}: {f'its base {model.base_name} is not there' if model.base_name else 'names no base'}; give it with --to")
    return found


def bases_in(paths: Sequence[StrPath]) -> tuple[Path, ...]:
    """Checkpoints that may be bases behind the paths: files, and all `.pt` of run folders and folders of runs.

    Raises:
        UserError: for a folder without any.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        inside = sorted(file for run in run_folders(path) for file in run.glob("*.pt")) if path.is_dir() else [path]
        if not inside:
            raise UserError(f"{path}: holds no checkpoint; give a run folder of bases or a checkpoint with --base")
        found += inside
    return tuple(found)


@dataclass(frozen=True)
class Success:
    """Whether a transfer is as good as its base."""

    good: bool


def succeeds(path: StrPath, base: StrPath, how: PlaySettings, state: StrPath | None = None) -> bool:
    """Whether a transfer is as good as its base (:func:`crar_model.models.merit.as_good`).

    Args:
        path, base: the two.
        how: to play, where the maze has a score.
        state: a folder that keeps the answer, so that a long list of them goes on where it was stopped; None keeps nothing.
    """
    model, reference = load_checkpoint(path), load_checkpoint(base)

    def look() -> Success:
        (one,), own = judge([path], base, how=how), _of_base(Path(base), reference.digest, how)
        return Success(as_good(one.evaluation, own))

    key = result_key("success", EDITION, model=model, base=reference, how=how)
    return kept(state and Path(state) / f"{key}.json", {"key": key}, look, Success).good


@lru_cache(maxsize=1)
def _of_base(path: Path, digest: str, how: PlaySettings) -> Evaluation:
    """Figures of a base, whose transfers stand beside each other in most lists."""
    return judge([path], how=how)[0].evaluation
