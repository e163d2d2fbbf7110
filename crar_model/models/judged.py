"""Models as they are named to `crar evaluate`: files, run folders, and what they amount to."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crar_model.core.errors import UserError
from crar_model.core.files import Plain, StrPath, write_text
from crar_model.core.machine import cores
from crar_model.core.places import as_given
from crar_model.core.settings import PlaySettings
from crar_model.core.threads import torch_threads
from crar_model.models.checkpoints import Checkpoint, load_checkpoint
from crar_model.models.evaluation import Evaluation, evaluate

Progress = Callable[[int, int], None]
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


def _members(run: Path) -> list[Path]:
    """The `member-K.pt` of a run folder in order; what else lies there, such as a renamed copy, is no member."""
    found = {int(match[1]): path for path in run.glob("member-*.pt") if (match := re.fullmatch(r"member-(\d+)", path.stem))}
    return [found[number] for number in sorted(found)]


def run_folders(path: StrPath) -> list[Path]:
    """The folder itself, or the runs in it where it is a folder of runs, as `crar transfer` with several variants writes one."""
    path = Path(path)
    inside = sorted(run.parent for run in path.glob("*/run.json"))
    return inside if inside and not (path / "run.json").exists() else [path]


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


@dataclass(frozen=True)
class About:
    """What tells a model from others; None where a checkpoint does not say."""

    path: str
    maze: str
    inverse: bool
    observation_map: str
    variant: str | None
    base: str | None
    seed: int | None
    learning_rate: float | None
    updates: int


def about(model: Judged) -> About:
    """What tells a model from others."""
    one, info = model.checkpoint, model.checkpoint.info
    return About(
        as_given(model.path), one.maze, one.inverse, one.task.observation_map.name, info.get("variant"), one.base_name or None, info.get("seed"),
        info.get("learning_rate"), one.updates,
    )  # fmt: skip


def write_csv(judged: Sequence[Judged], path: StrPath) -> None:
    """Write all figures of models, a row a model; nested figures have names such as `match.verdict`.

    Raises:
        UserError: when the file cannot be written.
    """
    rows = [flat(vars(about(model)) | model.plain()) for model in judged]
    text = io.StringIO()
    table = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n", restval="")
    table.writeheader()
    table.writerows(rows)
    write_text(path, text.getvalue())


def flat(values: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """Nested plain data as one level, names joined by dots."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{start}{name}.") if isinstance(value, Mapping) else {start + name: value}
    return found
