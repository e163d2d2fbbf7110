"""`crar play`: agents at work as an animated picture, with the path that each plans at every step: an episode of the random mazes, or the way to a
cell of a maze whose states can be listed; several agents side by side."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from crar_model.agent.planning import plan_values
from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.fresh import ending
from crar_model.core.settings import PlaySettings
from crar_model.core.streams import Stream
from crar_model.core.tiles import SIZE
from crar_model.core.words import plural
from crar_model.mazes.random_mazes import EPISODE_STEPS, RandomMazeBatch
from crar_model.models.checkpoints import Checkpoint, load_checkpoint
from crar_model.tasks import TASKS
from crar_model.tasks.going import Cell, Walk
from crar_model.tasks.metrics import graph_distances
from crar_model.tasks.playing import choose
from crar_reports.figures.film import framed, maze_picture, save_film, side_by_side
from crar_reports.pages.play_world import frames_of, recipe_of
from crar_reports.press.nouns import noun

GIF = ".gif"
WIDE, NARROW = 40, 28
"""Pixels per cell of one agent, and of one among several."""


@dataclass(frozen=True)
class Film:
    """Agents side by side: the file, its last frame as a picture, and what became of each, a line each."""

    path: Path
    poster: Path
    outcomes: tuple[str, ...]

    def _repr_html_(self) -> str:
        return _shown(self.path)


@dataclass(frozen=True)
class Episode:
    """What happened: total reward, steps, keys found where there are some, the file, how it was played, and whether no seed shows another
    (`alone`: one map, one start, no random actions)."""

    reward: float
    steps: int
    keys: int | None
    path: Path
    how: PlaySettings
    alone: bool = False

    def _repr_html_(self) -> str:
        return _shown(self.path)


def _shown(path: Path) -> str:
    return f'<img src="data:image/gif;base64,{base64.b64encode(path.read_bytes()).decode("ascii")}">'


def planned_cells(model: Checkpoint, game: RandomMazeBatch, depth: int) -> list[int]:
    """Cells of the true maze that the planned actions lead through, the agent's own first.

    The actions come from the model alone: the best one by planning, then the best ones in the states that the transition
    model predicts, each with one step of lookahead less.
    """
    members = {name: value.unsqueeze(0) for name, value in model.parameters.items()}
    cells = [int(game.position[0])]
    with torch.no_grad():
        x = model.agent.encode(members, game.observe().unsqueeze(0))
        for left in range(depth, -1, -1):
            action = plan_values(model.agent, members, x, left).argmax(-1)
            target = cells[-1] + int(game.moves[action[0, 0]])
            cells.append(cells[-1] if bool(game.walls[0, target]) else target)
            x = model.agent.transition(members, x, action)
    return cells


def _frame(model: Checkpoint, game: RandomMazeBatch, cells: Sequence[int], above: str, below: str, cell: int) -> Image.Image:
    walls = game.walls[0].view(SIZE, SIZE).numpy()
    keys = [divmod(int(place), SIZE) for place in game.keys[0].nonzero()]
    return framed(maze_picture(walls, [divmod(place, SIZE) for place in cells], keys=keys, inverse=model.inverse, cell=cell), above, below)


def _episode(model: Checkpoint, how: PlaySettings, above: str = "", cell: int = WIDE) -> tuple[list[Image.Image], float, int, int]:
    """Frames of one episode, its total reward, its steps and the keys found."""
    game, rng = model.task.game(how.seed, inverse=model.inverse), np.random.default_rng([how.seed, Stream.LUCK])
    assert game is not None
    members = {name: value.unsqueeze(0) for name, value in model.parameters.items()}
    total, frames, steps = 0.0, [], 0
    for steps in range(1, EPISODE_STEPS + 1):
        caption = f"step {steps - 1}   reward {total:+.1f}   depth {how.depth}"
        frames.append(_frame(model, game, planned_cells(model, game, how.depth), above, caption, cell))
        luck = torch.from_numpy(rng.random((1, 1, 2), dtype=np.float32))
        action = choose(model.agent, members, game.observe().unsqueeze(0), how, luck)
        _, reward, terminated, _ = game.step(action[0])
        total += float(reward[0])
        if bool(terminated[0]):
            break
    keys = 3 - int(game.keys.sum())
    caption = f"after {steps} steps   reward {total:+.1f}   keys {keys} of 3"
    frames.append(_frame(model, game, [int(game.position[0])], above, caption, cell))
    return frames, total, steps, keys


def save_episode(checkpoint: StrPath, out: StrPath, *, seed: int = 0, depth: int = 3, epsilon: float = 0.0) -> Episode:
    """Play one episode and save it as an animated GIF.

    Args:
        checkpoint: a model of a maze with a score, or of a world; it plays in its own.
        out: the file, *.gif.
        seed: of the map and of the random actions.
        depth, epsilon: planning depth and share of random actions.

    Raises:
        UserError: for a model of another maze, a depth below 0, a share outside 0..1, or another kind of file.
    """
    out, how = ending(out, GIF), PlaySettings(episodes=1, seed=seed, depth=depth, epsilon=epsilon)
    how.validate()
    model = load_checkpoint(checkpoint)
    if model.task.known_by_data:
        shown = list(frames_of(model, seed=seed, depth=depth, epsilon=epsilon))
        save_film([image for image, *_ in shown], out)
        return Episode(shown[-1][1], shown[-1][2], None, out, how, alone=recipe_of(model).fixed and epsilon == 0)
    if not model.task.scored:
        known = ", ".join(name for name, task in TASKS.items() if task.scored)
        raise UserError(f"{checkpoint}: a model of the {model.maze} maze, which has nothing to win; give one of: {known}")
    frames, total, steps, keys = _episode(model, how)
    save_film(frames, out)
    return Episode(total, steps, keys, out, how)


def save_together(
    checkpoints: Sequence[StrPath], out: StrPath, *, how: PlaySettings, goal: Cell | None = None, start: Cell | None = None
) -> Film:
    """Film agents side by side, each in its own maze: on the way to a cell where the states can be listed, else in an episode on the same map.

    Args:
        checkpoints: models of one maze, whichever side of it.
        out: the file, *.gif; the last frame is written beside it as *.png.
        how: of the episodes.
        goal, start: (row, column) of walks; a cell far from the start, and where episodes begin, where they are None.

    Raises:
        UserError: for models of unlike mazes, cells where there is nowhere to go, or cells that are walls.
    """
    out, models = ending(out, GIF), [load_checkpoint(path) for path in checkpoints]
    for path, model in zip(checkpoints[1:], models[1:], strict=True):
        if not model.task.same_maze(models[0].task):
            raise UserError(
                f"{path}: a model of the {model.task.title}, but {checkpoints[0]} is of the {models[0].task.title}; give models of one maze"
            )
    cell = NARROW if len(models) > 1 else WIDE
    names = [name_of(model) for model in models]
    if models[0].task.scored:
        if goal is not None or start is not None:
            raise UserError(f"{checkpoints[0]}: a model of the {models[0].task.title}, whose maps are drawn; leave out --goal and --start")
        played = [_episode(model, how, name, cell) for name, model in zip(names, models, strict=True)]
        films = [frames for frames, *_ in played]
        outcomes = [f"reward {total:+.1f}, {keys} of 3 keys in {plural(steps, 'step')}" for _, total, steps, keys in played]
    else:
        goal = goal or far_cell(models[0])
        walks = [model.go_to(goal, start) for model in models]
        films = [_walk(model, one, name, cell) for model, one, name in zip(models, walks, names, strict=True)]
        outcomes = [outcome_of(one) for one in walks]
    poster = save_film(side_by_side(films), out, poster=True)
    assert poster is not None
    return Film(out, poster, tuple(f"{name}: {said}" for name, said in zip(names, outcomes, strict=True)))


def _walk(model: Checkpoint, walk: Walk, above: str, cell: int) -> list[Image.Image]:
    """Frames of a walk, its end last."""
    walls, frames = model.listed_maze().walls.numpy(), []
    for k, plan in enumerate(walk.plans):
        below = outcome_of(walk) if k == len(walk.plans) - 1 else f"move {k}: plans {plural(len(plan) - 1, 'move')}"
        picture = maze_picture(walls, plan, goal=walk.goal, trail=walk.cells[: k + 1], inverse=model.inverse, cell=cell)
        frames.append(framed(picture, above, below))
    return frames


def outcome_of(walk: Walk) -> str:
    """What became of a walk, in a few words."""
    if walk.reached:
        return f"there in {plural(walk.moves, 'move')} (shortest {walk.shortest})"
    if not walk.moves:
        return "sees no way there, and stays"
    return f"not there after {plural(walk.moves, 'move')} (shortest {walk.shortest})"


def name_of(model: Checkpoint) -> str:
    """A model in a few words: what it is, and whose maze it plays in."""
    cure, variant = model.info.get("cure"), str(model.info.get("variant") or "model")
    what = f"cured by {cure['method']}" if isinstance(cure, dict) else variant if variant == "base" else f"{variant} transfer"
    return f"{what}, {'inverse' if model.inverse else 'normal'} {noun(model.task)}"


def far_cell(model: Checkpoint) -> Cell:
    """A cell that lies far from where episodes begin."""
    maze = model.listed_maze()
    row, column = maze.positions[int(graph_distances(maze.successor)[maze.start].argmax())].tolist()
    return row, column
