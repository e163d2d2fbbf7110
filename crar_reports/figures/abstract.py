"""Figure 11 where the states cannot be listed: abstract states as pictures, the optimum's beside the failed model's."""

from __future__ import annotations

from matplotlib.figure import Figure
from torch import Tensor

from crar_model.core.tiles import NEGATED, Other, draw_pixels
from crar_reports.figures.style import house_style


def abstract_states_figure(
    observations: Tensor, optimum: Tensor, failed: Tensor, titles: tuple[str, str], other: Other = NEGATED
) -> Figure:
    """One row an observation: the image, the three channels of the optimum, those of the failed model.

    Args:
        observations: (n, 1, 8, 8) tile maps.
        optimum, failed: (n, 3, 8, 8) abstract states.
        titles: of the two models.
        other: how tiles of the other side look.
    """
    count = len(observations)
    images = draw_pixels(observations, other=other)
    limit = float(max(optimum.abs().max(), failed.abs().max()))
    with house_style():
        figure = Figure(figsize=(9.4, 1.12 * count + 0.7), layout="constrained")
        grid = figure.subplots(count, 7, squeeze=False)
        drawn = None
        for row, axes in enumerate(grid):
            axes[0].imshow(images[row, 0].numpy(), cmap="gray", vmin=-1, vmax=1)
            for k in range(3):
                drawn = axes[1 + k].imshow(optimum[row, k].numpy(), cmap="RdBu_r", vmin=-limit, vmax=limit)
                axes[4 + k].imshow(failed[row, k].numpy(), cmap="RdBu_r", vmin=-limit, vmax=limit)
            for axis in axes:
                axis.set(xticks=[], yticks=[])
                axis.grid(visible=False)
        grid[0, 0].set_title("observation")
        for k in range(3):
            grid[0, 1 + k].set_title(f"{titles[0]}\nchannel {k + 1}")
            grid[0, 4 + k].set_title(f"{titles[1]}\nchannel {k + 1}")
        if drawn is not None:
            figure.colorbar(drawn, ax=grid, shrink=0.8, pad=0.01, label="component of the abstract state")
    return figure


def scattered_states_figure(optimum: Tensor, failed: Tensor, titles: tuple[str, str]) -> Figure:
    """The first two numbers of abstract states of the same observations side by side, coloured by the first number of the optimum.

    Args:
        optimum, failed: (n, d) abstract states.
        titles: of the two models.
    """
    color = optimum[:, 0].numpy()
    with house_style():
        figure = Figure(figsize=(8.8, 4.6), layout="constrained")
        drawn = None
        for axes, x, title in zip(figure.subplots(1, 2, sharex=True, sharey=True), (optimum, failed), titles, strict=True):
            drawn = axes.scatter(x[:, 0].numpy(), x[:, min(1, x.shape[1] - 1)].numpy(), c=color, cmap="RdBu_r", s=22)
            axes.set(title=title, xlabel="abstract feature $x_1$", ylabel="abstract feature $x_2$", aspect="equal")
        if drawn is not None:
            figure.colorbar(drawn, ax=figure.axes, shrink=0.8, pad=0.01, label="$x_1$ of the optimum")
    return figure
