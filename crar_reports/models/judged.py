"""Models named on a command line: files, run folders, and what they amount to."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from crar_model.core.errors import UserError
from crar_model.core.files import Plain, StrPath
from crar_model.core.kept import kept
from crar_model.core.machine import cores
from crar_model.core.settings import PlaySettings
from crar_model.core.threads import torch_threads
from crar_model.models.checkpoints import Checkpoint, load_checkpoint
from crar_model.models.evaluation import Evaluation, evaluate
from crar_model.models.keys import result_key
from crar_model.models.merit import as_good, asks_embedding
from crar_model.samples import as_given

Progress = Callable[[int, int], None]
EDITION = 1
"""Of when a transfer succeeds; kept answers of another are found again."""
LARGE_AT_ONCE = 2
"""Models of large layouts that are judged beside each other, with up to 1 GB each."""


@dataclass(frozen=True)
class Judged:
    """A checkpoint, where it lies, and its figures."""

    path: Path
    checkpoint: Checkpoint
    evaluation: Evaluation

    def plain(self) -> Plain:
        """The object that `crar evaluate --json` prints for a model."""
        model = self.checkpoint
        return {
            "path": as_given(self.path),
            "maze": model.maze,
            "inverse": model.inverse,
            "updates": model.updates,
            **self.evaluation.plain(),
        }


def expand(paths: Sequence[StrPath]) -> list[Path]:
    """Checkpoint files behind the paths; a run folder stands for all its members, in order, a folder of runs for all of theirs.

    Raises:
        UserError: for a folder without members.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            folders = run_folders(path)
            members = [member for run in folders for member in _members(run)]
            if not members:
                raise UserError(f"{path}: no member-K.pt in this folder; give a run folder or a checkpoint")
            files += members
        else:
            files.append(path)
    once: dict[Path, Path] = {}
    for file in files:
        once.setdefault(file.resolve(), file)  # named twice, it would count as two models
    return list(once.values())


def distinct(paths: Sequence[StrPath]) -> list[Path]:
    """The models behind the paths as :func:`expand` has them, copies of one only once: they would count as several."""
    once: dict[str, Path] = {}
    for path in expand(paths):
        once.setdefault(result_key("model", model=load_checkpoint(path)), path)
    return list(once.values())


def _members(run: Path) -> list[Path]:
    """The `member-K.pt` of a run folder in order; what else lies there, such as a renamed copy, is no member."""
    found = {int(match[1]): path for path in run.glob("member-*.pt") if (match := re.fullmatch(r"member-(\d+)", path.stem))}
    return [found[number] for number in sorted(found)]


def run_folders(path: StrPath) -> list[Path]:
    """The folder itself, or the runs in it where it is a folder of runs, as `crar transfer` with several variants writes one."""
    path = Path(path)
    inside = sorted(run.parent for run in path.glob("*/run.json"))
    return inside if inside and not (path / "run.json").exists() else [path]


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


def judge(
    paths: Sequence[StrPath],
    base: StrPath | None = None,
    *,
    use_own_base: bool = False,
    given: Sequence[StrPath] = (),
    how: PlaySettings | None = None,
    progress: Progress | None = None,
) -> list[Judged]:
    """Evaluate checkpoints and run folders of one maze.

    Args:
        paths: files and run folders.
        base: compare every embedding with this model's.
        use_own_base: compare with the base that each checkpoint names, where it can be found.
        given: files among which it is looked for first.
        how: how to play, where the maze has a score.
        progress: called with (models done, models in all).

    Raises:
        UserError: for an unusable checkpoint, models of two mazes, or settings out of range.
    """
    how = how or PlaySettings()
    how.validate()
    one = load_checkpoint(base) if base is not None else None
    pairs: list[tuple[Path, Checkpoint, Checkpoint | None]] = []
    for path in expand(paths):
        model = load_checkpoint(path)
        if pairs and not model.task.same_maze(pairs[0][1].task):
            raise UserError(
                f"{path}: a model of the {model.task.title}, but {pairs[0][0]} is of the {pairs[0][1].task.title}; judge them apart"
            )
        reference = model.load_base(given) if one is None and use_own_base else one
        if reference is not None and not reference.task.same_maze(model.task):
            raise UserError(
                f"{base or model.base_name}: a base of the {reference.task.title}, but {path} is of the {model.task.title}; give a base of that maze"
            )
        pairs.append((path, model, reference))

    def judged(path: Path, model: Checkpoint, reference: Checkpoint | None) -> Judged:
        compared = None if reference is None else (reference.parameters, reference.inverse)
        return Judged(
            path, model, evaluate(model.task, model.parameters, inverse=model.inverse, settings=model.settings.loss, how=how, base=compared)
        )

    found: list[Judged] = []
    few = min(cores(), LARGE_AT_ONCE) if any(model.task.sampling.drawn for _, model, _ in pairs) else cores()
    with torch_threads(1), ThreadPoolExecutor(max_workers=few) as pool:  # a model a core: the compiled kernels free the interpreter
        for result in pool.map(lambda pair: judged(*pair), pairs):
            found.append(result)
            if progress is not None:
                progress(len(found), len(pairs))
    return found


def succeeds(path: StrPath, base: StrPath, how: PlaySettings, state: StrPath | None = None) -> bool:
    """Whether a transfer is as good as its base (:func:`crar_model.models.merit.as_good`).

    Args:
        path, base: the two.
        how: to play, where the maze has a score.
        state: a folder that keeps the answer, so that a long list of them goes on where it was stopped; None keeps nothing.
    """
    model, reference = load_checkpoint(path), load_checkpoint(base)

    def look() -> Plain:
        (one,), own = judge([path], base, how=how), _of_base(Path(base), reference.digest, how)
        return {"good": as_good(one.evaluation, own, embedding=asks_embedding(model, reference))}

    key = result_key("success", EDITION, model=model, base=reference, how=how)
    return bool(kept(state and Path(state) / f"{key}.json", {"key": key}, look, {"good": bool})["good"])


@lru_cache(maxsize=1)
def _of_base(path: Path, digest: str, how: PlaySettings) -> Evaluation:
    """Figures of a base, whose transfers stand beside each other in most lists."""
    return judge([path], how=how)[0].evaluation
