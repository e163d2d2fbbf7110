"""`crar play`: one episode as an animated picture, in the random mazes with the path that the agent plans at every step."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from crar_model.agent.planning import plan_values
from crar_model.core.errors import UserError
from crar_model.core.files import StrPath, write_bytes
from crar_model.core.settings import PlaySettings
from crar_model.core.streams import Stream
from crar_model.core.tiles import SIZE
from crar_model.mazes.random_mazes import EPISODE_STEPS, RandomMazeBatch
from crar_model.mazes.render import draw_cells
from crar_model.models.checkpoints import Checkpoint, load_checkpoint
from crar_model.tasks import TASKS
from crar_model.tasks.playing import choose
from crar_reports.pages.play_world import frames_of

CELL = 40
PATH_COLOR = (0, 114, 178)
FRAME_MS, LAST_MS = 350, 1500


@dataclass(frozen=True)
class Episode:
    """What happened: total reward, steps, keys found where there are some, the file, and how it was played."""

    reward: float
    steps: int
    keys: int | None
    path: Path
    how: PlaySettings

    def _repr_html_(self) -> str:
        return f'<img src="data:image/gif;base64,{base64.b64encode(self.path.read_bytes()).decode("ascii")}">'


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


def _frame(model: Checkpoint, game: RandomMazeBatch, cells: list[int], caption: str) -> Image.Image:
    walls = game.walls[0].view(SIZE, SIZE).numpy()
    keys = [divmod(int(cell), SIZE) for cell in game.keys[0].nonzero()]
    picture: np.ndarray[Any, Any] = draw_cells(walls, divmod(int(game.position[0]), SIZE), keys=keys, inverse=model.inverse, cell=CELL)
    image = Image.new("RGB", (SIZE * CELL, SIZE * CELL + 24), "white")
    image.paste(Image.fromarray(picture), (0, 0))
    pen = ImageDraw.Draw(image)
    middles = [((cell % SIZE + 0.5) * CELL, (cell // SIZE + 0.5) * CELL) for cell in cells]
    if len(set(middles)) > 1:
        pen.line(middles, fill=PATH_COLOR, width=3)
    for x, y in middles[1:]:
        pen.ellipse((x - 5, y - 5, x + 5, y + 5), outline=PATH_COLOR, width=2)
    pen.text((6, SIZE * CELL + 6), caption, fill="black")
    return image


def _save(out: Path, frames: list[Image.Image]) -> None:
    buffer = io.BytesIO()
    times = [FRAME_MS] * (len(frames) - 1) + [LAST_MS]
    small = [frame.quantize(16) for frame in frames]
    small[0].save(buffer, format="GIF", save_all=True, append_images=small[1:], duration=times, loop=0, optimize=True)
    write_bytes(out, buffer.getvalue())


def save_episode(checkpoint: StrPath, out: StrPath, *, seed: int = 0, depth: int = 3, epsilon: float = 0.0) -> Episode:
    """Play one episode and save it as an animated GIF.

    Args:
        checkpoint: a model of the random mazes or of a world; it plays in its own.
        out: the file, *.gif.
        seed: of the map and of the random actions.
        depth, epsilon: planning depth and share of random actions.

    Raises:
        UserError: for a model of another maze, a depth below 0, a share outside 0..1, or another kind of file.
    """
    out = Path(out)
    how = PlaySettings(episodes=1, seed=seed, depth=depth, epsilon=epsilon)
    how.validate()
    if out.suffix.lower() != ".gif":
        raise UserError(f"--out is {out}; give a file that ends in .gif")
    model = load_checkpoint(checkpoint)
    if model.task.known_by_data:
        shown = list(frames_of(model, seed=seed, depth=depth, epsilon=epsilon))
        _save(out, [image for image, *_ in shown])
        return Episode(shown[-1][1], shown[-1][2], None, out, how)
    game, rng = model.task.game(seed, inverse=model.inverse), np.random.default_rng([seed, Stream.LUCK])
    if game is None:
        known = ", ".join(name for name, task in TASKS.items() if task.scored)
        raise UserError(f"{checkpoint}: a model of the {model.maze} maze, which has nothing to win; give one of: {known}")
    members = {name: value.unsqueeze(0) for name, value in model.parameters.items()}
    total, frames, steps = 0.0, [], 0
    for steps in range(1, EPISODE_STEPS + 1):
        caption = f"step {steps - 1}   reward {total:+.1f}   depth {depth}"
        frames.append(_frame(model, game, planned_cells(model, game, depth), caption))
        luck = torch.from_numpy(rng.random((1, 1, 2), dtype=np.float32))
        action = choose(model.agent, members, game.observe().unsqueeze(0), how, luck)
        _, reward, terminated, _ = game.step(action[0])
        total += float(reward[0])
        if bool(terminated[0]):
            break
    left = int(game.keys.sum())
    frames.append(_frame(model, game, [], f"after {steps} steps   reward {total:+.1f}   keys {3 - left} of 3"))
    _save(out, frames)
    return Episode(total, steps, 3 - left, out, how)
