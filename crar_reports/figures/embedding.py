"""Figure 11: the embedding of all states with the estimated transitions from each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from crar_model.core.params import Params
from crar_model.mazes.simple import SimpleMaze
from crar_model.models.evaluation import cast, dtype_of, embed
from crar_model.tasks import Task
from crar_reports.figures.style import ACTION_COLORS, DOOR_COLOR, PAPER, ROOM_COLORS, SLATE, house_style


def draw_embedding(axes: Axes, task: Task, maze: SimpleMaze, params: Params, *, inverse: bool, title: str) -> None:
    """Draw one embedding, its first two channels: states coloured by room and numbered by (row, column), arrows e(s) -> T(e(s), a)."""
    x = embed(task, params, inverse=inverse)  # (N, d)
    exact, agent = cast(params, dtype_of(task)), task.agent()
    for action in range(maze.n_actions):
        with torch.no_grad():
            moved = agent.transition(exact, x, torch.full((maze.n_states,), action))
        (u, v), (du, dv) = x[:, :2].T.numpy(), (moved - x)[:, :2].T.numpy()
        axes.quiver(
            u, v, du, dv, color=ACTION_COLORS[action % 4], angles="xy", scale_units="xy", scale=1, width=0.0035, headwidth=4.5, headlength=6,
            alpha=0.75, zorder=1,
        )  # fmt: skip
        axes.update_datalim(moved[:, :2].numpy())
    rooms = maze.rooms().tolist()
    colors = [DOOR_COLOR if room < 0 else ROOM_COLORS[room % len(ROOM_COLORS)] for room in rooms]
    axes.scatter(x[:, 0].numpy(), x[:, 1].numpy(), c=colors, s=120, zorder=2, edgecolors=PAPER, linewidths=0.8)
    for (row, column), (u, v, *_) in zip(maze.positions.tolist(), x.tolist(), strict=True):
        axes.text(u, v, f"{row}{column}", color=PAPER, fontsize=5.5, ha="center", va="center", zorder=3)
    axes.set(title=title, xlabel="abstract feature $x_1$", ylabel="abstract feature $x_2$", aspect="equal")


def embeddings_figure(task: Task, panels: Sequence[tuple[str, Params, bool]]) -> Figure:
    """Embeddings side by side on shared axes.

    Args:
        task: a maze whose states can be listed.
        panels: (title, parameters, inverse) of each model, base first.
    """
    maze = task.maze
    assert maze is not None
    with house_style():
        figure = Figure(figsize=(4.4 * len(panels), 5.3), layout="constrained")
        grid = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
        for axes, (title, params, inverse) in zip(grid, panels, strict=True):
            draw_embedding(axes, task, maze, params, inverse=inverse, title=title)
        handles = [
            Line2D([], [], color=color, linewidth=2, label=f"estimated move {name}")
            for color, name in zip(ACTION_COLORS, maze.action_names, strict=False)
        ]
        labels = {
            room: "door" if room < 0 else room_name(room, maze) for room in sorted(set(maze.rooms().tolist()), key=lambda r: (r < 0, r))
        }
        handles += [
            Line2D([], [], color=DOOR_COLOR if room < 0 else ROOM_COLORS[room % len(ROOM_COLORS)], marker="o", linestyle="", label=label)
            for room, label in labels.items()
        ]
        handles.append(Line2D([], [], color=SLATE, marker="$rc$", markersize=9, linestyle="", label="row and column of the cell"))
        figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def room_name(room: int, maze: SimpleMaze) -> str:
    """What a room is called: left and right where there are two, else its number."""
    return ("left room", "right room")[room] if int(maze.rooms().max()) == 1 else f"room {room + 1}"
