"""Checkpoints: plain tensors and plain data in one `.pt` file that `torch.load(weights_only=True)` reads."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crar_model.agent import planning as acting
from crar_model.agent.agent import Agent
from crar_model.agent.loss import Loss
from crar_model.agent.planning import Observation
from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.params import Params
from crar_model.core.places import places
from crar_model.core.settings import TrainSettings, from_plain
from crar_model.core.tensor_files import VERSION, in_float32, load_plain, save_plain, warn_unverified
from crar_model.mazes.simple import SimpleMaze
from crar_model.tasks import TASKS, Task, default_settings, side_named, task_named, task_of
from crar_model.tasks.going import Cell, Walk, walk_to
from crar_model.tasks.metrics import predicted_successor

FORMAT = "crar-checkpoint"


@dataclass(frozen=True, repr=False)
class Checkpoint:
    """One trained model and where it comes from.

    Attributes:
        maze: name of the maze, a key of `tasks.TASKS`.
        inverse: True when the model belongs to the inverse maze.
        parameters: name -> tensor of one model, float32 on the CPU.
        updates: updates taken; where an earlier network was kept, `info["kept"]` has the update of that.
        info: plain data: variant, seed, learning rate, base, settings, divergence, package version; `kept` as above.
        file: where it was read.
    """

    maze: str
    inverse: bool
    parameters: Params
    updates: int = 0
    info: dict[str, Any] = field(default_factory=dict)
    file: Path | None = field(default=None, compare=False)

    @cached_property
    def settings(self) -> TrainSettings:
        """What it was trained with; the maze's own settings for a checkpoint that does not say."""
        stored = self.info.get("settings")
        return from_plain(stored, where=f"{self.file or 'checkpoint'}: its settings") if stored else default_settings(self.maze)

    @cached_property
    def task(self) -> Task:
        """The maze that the model belongs to, whichever side of it."""
        return task_of(self.settings, self.maze, None if self.file is None else self.file.parent)

    @cached_property
    def agent(self) -> Agent:
        """The networks that the parameters belong to."""
        return self.task.agent()

    @cached_property
    def loss(self) -> Loss:
        """The loss that the model was trained with."""
        return Loss(self.agent, self.settings.loss)

    @property
    def base_name(self) -> str:
        """The path of the base that it was made from, as its run wrote it; "" for a model that names none."""
        return str(self.info.get("base") or "")

    @property
    def base_file(self) -> Path | None:
        """Where the base that it names lies; None where that is nowhere. Errors as of :meth:`load_base`."""
        base = self.load_base()
        return None if base is None else base.file

    def load_base(self, given: Sequence[StrPath] = ()) -> Checkpoint | None:
        """The base that it names, told by its digest; None where it names none, or that is nowhere to be found.

        Args:
            given: files to look at before those that :func:`crar_model.core.places.places` knows.

        Raises:
            UserError: where what lies at the path that it names cannot be used, or is another model than it was made from: trained anew since, or
                another run's at that place.
        """
        if not self.base_name:
            return None
        known, problem = self.info.get("base_digest"), None
        folder = Path() if self.file is None else self.file.parent
        end = Path(self.base_name).parts[-2:]
        likely = sorted(given if known or len(given) == 1 else (), key=lambda path: Path(path).parts[-2:] != end)
        for path in (*likely, *places(self.base_name, folder, whole=not known)):
            try:
                base = load_checkpoint(path)
                if not known or base.digest == known:
                    return base
                why = f"{path}: another model now than the base that a transfer was made from; give the right one by its flag"
            except UserError as error:
                why = str(error)
            if Path(path) == Path(self.base_name):
                problem = why
        if problem is not None:
            raise UserError(problem)
        return None

    @property
    def recipe(self) -> str:
        """How it was trained, in words (`TrainSettings.recipe`); "" for a checkpoint that does not say."""
        said = self.info.get("settings")
        return self.settings.recipe(rate=self.info.get("learning_rate"), updates=self.updates, best="score" in self.info) if said else ""

    def encode(self, observation: Observation) -> Tensor:
        """Abstract states (..., d) of observations (..., 1, height, width) as the maze's environments give them, arrays or tensors; of a
        world as its environment gives them, with any axes before.

        Raises:
            ValueError: for observations that are none of this maze.
        """
        return acting.encode(self.agent, self.parameters, self.task.rows_of(observation, inverse=self.inverse))

    def plan(self, observation: Observation, depth: int = 3) -> Tensor:
        """Values (..., actions) planned `depth` steps ahead in the abstract space; errors as in :meth:`encode`."""
        return acting.plan(self.agent, self.parameters, self.task.rows_of(observation, inverse=self.inverse), depth)

    def act(self, observation: Observation, depth: int = 3) -> Any:
        """The best action by :meth:`plan`: an int for one observation, an integer array for many, as `step` of an environment takes it."""
        best = self.plan(observation, depth).argmax(-1)
        return int(best) if best.dim() == 0 else best.numpy()

    def go_to(self, goal: Cell, start: Cell | None = None) -> Walk:
        """The walk to a cell (row, column) of its maze, from another one or from where episodes begin.

        Raises:
            UserError: for a maze whose states cannot be listed, or a cell that is a wall or outside.
        """
        return walk_to(self.listed_maze(), self.predicted(), goal, start)

    def predicted(self) -> Tensor:
        """(N, A) int64 state nearest to the abstract state that the model expects after each action; errors as of :meth:`listed_maze`."""
        return predicted_successor(self.listed_maze(), self.agent, self.parameters, inverse=self.inverse)

    def listed_maze(self) -> SimpleMaze:
        """Its maze as tables.

        Raises:
            UserError: for a maze whose states cannot be listed.
        """
        maze = self.task.maze
        if not isinstance(maze, SimpleMaze) or not self.task.sampling.complete:
            raise UserError(
                f"{self.file or 'checkpoint'}: a model of the {self.task.title}, whose states are no cells that could be listed; give one of a simple maze"
            )
        return maze

    def __repr__(self) -> str:
        """A line instead of all the numbers."""
        count = sum(value.numel() for value in self.parameters.values())
        side, variant = (" inverse" if self.inverse else ""), self.info.get("variant", "unknown variant")
        return f"Checkpoint({self.maze}{side}, {variant}, {self.updates:,} updates, {count:,} parameters, {self.digest})"

    @property
    def digest(self) -> str:
        """First 12 hexadecimal digits of a SHA-256 over names and values of the parameters."""
        hasher = hashlib.sha256()
        for name in sorted(self.parameters):
            hasher.update(name.encode())
            hasher.update(self.parameters[name].detach().cpu().contiguous().numpy().tobytes())
        return hasher.hexdigest()[:12]


def save_checkpoint(path: StrPath, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically, with a digest of all of it."""
    content = {
        "maze": checkpoint.maze,
        "inverse": checkpoint.inverse,
        "updates": checkpoint.updates,
        "parameters": {name: value.detach().cpu().clone() for name, value in checkpoint.parameters.items()},
        "info": checkpoint.info,
    }
    save_plain(Path(path), FORMAT, content)


def load_checkpoint(path: StrPath, *, maze: str | None = None, flag: str = "") -> Checkpoint:
    """Read and check a checkpoint.

    Args:
        path: the file.
        maze: maze of a checkpoint that does not say: a name of `tasks.TASKS`, or NAME-inverse; one that does keeps its own.
        flag: named in the error as what supplies it.

    Raises:
        UserError: as :func:`load_plain`, and when the content is not a crar checkpoint, is of another version, does not
            say its maze, or its tensors do not fit the maze's networks or are not finite.
    """
    path = Path(path)
    content = load_plain(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{path}: a PyTorch file, but not a crar checkpoint; give one that `crar train` or `crar transfer` wrote")
    if content.get("version") not in range(1, VERSION + 1):
        raise UserError(
            f"{path}: checkpoint version {content.get('version')!r}, this program reads up to version {VERSION}; write it again"
        )
    if maze is not None and ("maze" not in content or "inverse" not in content):
        name, inverse = side_named(maze, flag)
        content = content | {"maze": name, "inverse": inverse}
    missing = [key for key in ("maze", "inverse", "parameters") if key not in content]
    if missing:
        if flag and "parameters" not in missing:
            raise UserError(
                f"{path}: the checkpoint does not say which maze it belongs to; add {flag} NAME or {flag} NAME-inverse, NAME one of {', '.join(TASKS)}"
            )
        raise UserError(f"{path}: the checkpoint lacks {', '.join(missing)}; write it again with this program")
    for key, kind, default in (("maze", str, ""), ("inverse", bool, False), ("updates", int, 0), ("info", dict, {})):
        if type(content.get(key, default)) is not kind:
            raise UserError(f"{path}: `{key}` is {content[key]!r}, which no checkpoint has; write it again with this program")
    task_named(content["maze"], what=f"{path}: unknown maze")
    parameters, info = content["parameters"], content.get("info", {})
    if not isinstance(info.get("settings") or {}, dict):
        raise UserError(f"{path}: `settings` is {info['settings']!r}, which no checkpoint has; write it again with this program")
    model = Checkpoint(content["maze"], content["inverse"], {}, content.get("updates", 0), info, path)
    settings = model.settings
    what = "layout"
    try:
        plain = task_named(model.maze).with_walls(settings.walls).with_observation(settings.observation)
        what = "world"
        plain.with_data(settings.data, settings.data_digest, settings.abstract_dim, settings.reward_scale, path.parent)
        what = "observation map"
        shapes = model.agent.shapes()
    except (UserError, ValueError, TypeError) as error:
        if what == "world":
            raise UserError(f"{path}: {error}") from error
        raise UserError(f"{path}: its {what} is damaged ({error}); write the checkpoint again") from error
    if not isinstance(parameters, dict) or not all(isinstance(n, str) and isinstance(v, torch.Tensor) for n, v in parameters.items()):
        raise UserError(f"{path}: `parameters` is not a table of tensors; write the checkpoint again")
    for name in sorted(set(shapes) | set(parameters)):
        found = tuple(parameters[name].shape) if name in parameters else None
        if found != shapes.get(name):
            raise UserError(f"{path}: parameter {name} is {found}, the {content['maze']} maze's agent wants {shapes.get(name)}")
    single = in_float32(parameters, str(path))
    warn_unverified(path, content)
    model.parameters.update({name: single[name] for name in shapes})
    return model


def in_maze(checkpoint: Checkpoint, *, inverse: bool, task: Task | None = None) -> Params:
    """The checkpoint's parameters as they stand in the given maze: its own, or the closed-form copy, in the study with the
    first layer negated, when the checkpoint belongs to the other one.

    Args:
        checkpoint: the model.
        inverse: the side it is wanted on.
        task: whose observation map lies between the sides; the checkpoint's own where it is None.

    Raises:
        UserError: for a map without a closed form.
    """
    return (
        checkpoint.parameters
        if checkpoint.inverse == inverse
        else (task or checkpoint.task).carried(checkpoint.parameters, inverse=inverse)
    )
