"""Figure 11: the embedding of all 31 states with the four estimated transitions from each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from crar_model.agents import Agent
from crar_model.evaluation import embed
from crar_model.mazes.simple import ACTION_NAMES, DOOR, simple_maze
from crar_model.params import Params
from reports.figures.style import ACTION_COLORS, LEFT_ROOM, RIGHT_ROOM, house_style
from reports.figures.style import DOOR as DOOR_COLOR


def draw_embedding(axes: Axes, agent: Agent, params: Params, *, inverse: bool, title: str) -> None:
    """Draw one embedding: states coloured by room and numbered by (row, column), arrows e(s) -> T(e(s), a)."""
    maze = simple_maze()
    x = embed(agent, params, inverse=inverse)  # (31, 2)
    double = {name: value.double() for name, value in params.items()}
    for action, color in enumerate(ACTION_COLORS):
        with torch.no_grad():
            moved = agent.transition(double, x, torch.full((maze.n_states,), action))
        for a, b in zip(x.tolist(), moved.tolist(), strict=True):
            axes.plot([a[0], b[0]], [a[1], b[1]], color=color, linewidth=1.4, alpha=0.75, zorder=1)
    colors = [
        DOOR_COLOR if (row, column) == DOOR else LEFT_ROOM if column < DOOR[1] else RIGHT_ROOM for row, column in maze.positions.tolist()
    ]
    axes.scatter(x[:, 0].numpy(), x[:, 1].numpy(), c=colors, s=120, zorder=2, edgecolors="white", linewidths=0.8)
    for (row, column), (u, v) in zip(maze.positions.tolist(), x.tolist(), strict=True):
        axes.text(u, v, f"{row}{column}", color="white", fontsize=5.5, ha="center", va="center", zorder=3)
    axes.set(title=title, xlabel="abstract feature $x_1$", ylabel="abstract feature $x_2$", aspect="equal")


def embeddings_figure(panels: Sequence[tuple[str, Agent, Params, bool]]) -> Figure:
    """Embeddings side by side on shared axes.

    Args:
        panels: (title, agent, parameters, inverse) of each model, base first.
    """
    with house_style():
        figure = Figure(figsize=(4.4 * len(panels), 4.9), layout="constrained")
        grid = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
        for axes, (title, agent, params, inverse) in zip(grid, panels, strict=True):
            draw_embedding(axes, agent, params, inverse=inverse, title=title)
        handles = [
            Line2D([], [], color=c, linewidth=2, label=f"estimated move {n}") for c, n in zip(ACTION_COLORS, ACTION_NAMES, strict=True)
        ]
        rooms = ((LEFT_ROOM, "left room"), (DOOR_COLOR, "door"), (RIGHT_ROOM, "right room"))
        handles += [Line2D([], [], color=c, marker="o", linestyle="", label=label) for c, label in rooms]
        figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure
