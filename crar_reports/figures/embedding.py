"""Figure 11: the embedding of all states with the estimated transitions from each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from crar_model.core.params import Params
from crar_model.mazes.table import StateTable
from crar_model.models.evaluation import cast, dtype_of, embed
from crar_model.tasks import Task
from crar_reports.figures.style import ACTION_COLORS, DOOR_COLOR, PAPER, ROOM_COLORS, SLATE, house_style


def draw_embedding(axes: Axes, task: Task, maze: StateTable, params: Params, *, inverse: bool, title: str) -> None:
    """Draw one embedding, its first two channels: states coloured by the part of the world and labelled, arrows e(s) -> T(e(s), a)."""
    x = embed(task, params, inverse=inverse)  # (N, d)
    exact, agent = cast(params, dtype_of(task)), task.agent()
    for action in range(maze.n_actions):
        with torch.no_grad():
            moved = agent.transition(exact, x, torch.full((maze.n_states,), action))
        (u, v), (du, dv) = x[:, :2].T.numpy(), (moved - x)[:, :2].T.numpy()
        axes.quiver(
            u, v, du, dv, color=ACTION_COLORS[action % len(ACTION_COLORS)], angles="xy", scale_units="xy", scale=1, width=0.0035, headwidth=4.5, headlength=6,
            alpha=0.75, zorder=1,
        )  # fmt: skip
        axes.update_datalim(moved[:, :2].numpy())
    rooms = maze.regions()[0].tolist()
    colors = [DOOR_COLOR if room < 0 else ROOM_COLORS[room % len(ROOM_COLORS)] for room in rooms]
    axes.scatter(x[:, 0].numpy(), x[:, 1].numpy(), c=colors, s=120, zorder=2, edgecolors=PAPER, linewidths=0.8)
    for state, (u, v, *_) in enumerate(x.tolist()):
        axes.text(u, v, maze.label(state), color=PAPER, fontsize=5.5, ha="center", va="center", zorder=3)
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
            Line2D([], [], color=ACTION_COLORS[action % len(ACTION_COLORS)], linewidth=2, label=f"estimated move {name}")
            for action, name in enumerate(maze.action_names)
        ]
        handles += [
            Line2D([], [], color=DOOR_COLOR if room < 0 else ROOM_COLORS[room % len(ROOM_COLORS)], marker="o", linestyle="", label=label)
            for room, label in sorted(maze.regions()[1].items(), key=lambda part: (part[0] < 0, part[0]))
        ]
        handles.append(Line2D([], [], color=SLATE, marker="$n$", markersize=7, linestyle="", label=maze.label_title))
        figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure
