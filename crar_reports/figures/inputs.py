"""Figures 12 and 14: what the encoder sees, where it puts it, and where the transition model expects to go."""

from __future__ import annotations

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from crar_model.core.params import Params
from crar_model.mazes.simple import SimpleMaze
from crar_model.mazes.table import StateTable
from crar_model.models.evaluation import cast, dtype_of, embed
from crar_model.tasks import Task
from crar_reports.figures.style import CROSS_COLORS, FAINT, SLATE, house_style
from crar_reports.press.nouns import noun

EXAMPLE = (2, 3)
"""The player position (row, column) that the appendix takes as its example."""


def example_state(maze: StateTable) -> int:
    """The state of the appendix's example; the start where a maze has no such cell."""
    cells = maze.positions.tolist() if isinstance(maze, SimpleMaze) else []
    return cells.index(list(EXAMPLE)) if list(EXAMPLE) in cells else maze.start


LEGIBLE = 16
"""Columns up to which numbers can be read; of the pixels of an image they cannot."""


def draw_matrix(axes: Axes, observation: Tensor, title: str) -> None:
    """Draw one observation (rows, columns) with its numbers where they can be read, on a scale from -1 to 1."""
    axes.imshow(observation.numpy(), cmap="RdBu_r", vmin=-1.6, vmax=1.6)
    for row, values in enumerate(observation.tolist() if observation.shape[1] <= LEGIBLE else []):
        for column, value in enumerate(values):
            axes.text(
                column, row, f"{value + 0.0:g}", ha="center", va="center", fontsize=6.5, fontweight="bold" if abs(value) == 0.5 else None
            )
    axes.set(title=title, xticks=[], yticks=[])
    axes.grid(False)


def _background(axes: Axes, x: Tensor) -> None:
    axes.scatter(x[:, 0].numpy(), x[:, 1].numpy(), s=14, color=FAINT, zorder=1, label=f"all {len(x)} states")
    axes.set(xlabel="abstract feature $x_1$", ylabel="abstract feature $x_2$", aspect="equal")


def inputs_figure(task: Task, maze: StateTable, base: Params, *, base_inverse: bool) -> Figure:
    """Figure 12: the same state in both mazes, through the *same* base encoder.

    Args:
        task, maze: a maze whose states can be listed.
        base: the base model; `base_inverse` tells which side of the maze it belongs to.
    """
    state, place = example_state(maze), noun(task)
    with house_style():
        figure = Figure(figsize=(7.2, 6.6), layout="constrained")
        grid = figure.subplots(2, 2)
        shared = []
        for column, inverse in enumerate((base_inverse, not base_inverse)):
            name = "inverse" if inverse else "normal"
            draw_matrix(grid[0, column], maze.pictures(inverse=inverse)[state], f"{name} {place}, {maze.caption(state)}")
            x = embed(task, base, inverse=inverse)[:, :2]
            axes = grid[1, column]
            _background(axes, x)
            u, v = x[state].tolist()
            axes.scatter(u, v, marker="x", s=90, color=CROSS_COLORS["before"], linewidths=2.5, zorder=3, label=f"({u:.2f}, {v:.2f})")
            axes.set_title(f"base encoder on the {name} {place}")
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
            shared.append(x)
        limit = float(torch.cat(shared).abs().max()) * 1.12
        for axes in grid[1]:
            axes.set(xlim=(-limit, limit), ylim=(-limit, limit))
    return figure


def transition_error_figure(task: Task, maze: StateTable, params: Params, *, inverse: bool, action: int = 0) -> Figure:
    """Figure 14: one move; the distance between the last two crosses is its transition error.

    Args:
        task, maze: a maze whose states can be listed.
        params: the model; `inverse` tells which side of the maze it is judged in.
        action: the move.
    """
    state = example_state(maze)
    after = int(maze.successor[state, action])
    pictures = maze.pictures(inverse=inverse)
    x = embed(task, params, inverse=inverse)
    with torch.no_grad():
        expected = task.agent().transition(cast(params, dtype_of(task)), x[state : state + 1], torch.tensor([action]))[0]
    error = float((expected - x[after]).norm())
    edge = float((x[state] - x[after]).norm())
    with house_style():
        figure = Figure(figsize=(9.6, 3.7), layout="constrained")
        left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 1.25))
        draw_matrix(left, pictures[state], f"s: {maze.caption(state)}")
        draw_matrix(middle, pictures[after], f"s' after {maze.action_names[action]}: {maze.caption(after)}")
        _background(right, x)
        for point, color, label in (
            (x[state], CROSS_COLORS["before"], "e(s)"),
            (expected, CROSS_COLORS["expected"], "T(e(s), a), expected"),
            (x[after], CROSS_COLORS["after"], "e(s'), actual"),
        ):
            right.scatter(*point[:2].tolist(), marker="x", s=90, color=color, linewidths=2.5, zorder=3, label=label)
        right.plot(*torch.stack((expected, x[after]))[:, :2].T.tolist(), color=SLATE, linestyle=":", zorder=2)
        relative = f" = {error / edge:.2f} edge lengths" if edge > 0 else ""
        right.set_title(f"error {error:.3f}{relative}")
        right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    return figure
