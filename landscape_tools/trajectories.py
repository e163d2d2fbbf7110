"""The loss on the plane of a training trajectory (Li et al. 2018, section 7), with what the plane leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import torch
import xarray as xr

from landscape_tools.directions import trajectory_plane
from landscape_tools.entrance import entered
from landscape_tools.evaluating import Loss, check_names, name_in_file
from landscape_tools.planes import sample_plane
from landscape_tools.points import Point, trainable
from landscape_tools.sampling import Sampling, sample_entered

PARTS = ("x", "y", "snapshot", "snapshot_x", "snapshot_y", "distance")
"""Names of the result that are not of losses."""


def sample_trajectory(
    loss: Loss, snapshots: Sequence[Point], *, resolution: int = 25, margin: float = 0.25, **options: Unpack[Sampling]
) -> xr.Dataset:
    """Sample the plane that holds most of a trajectory's movement.

    Args:
        loss: pure function of one point to named scalars.
        snapshots: at least 3 points in order of time; `state_of` gives those of a module, with the buffers that each was trained with.
        resolution: points per axis, at least 2.
        margin: how far the plane reaches beyond the trajectory, in its extent along each axis.
        options: of :class:`landscape_tools.sampling.Sampling`; `progress` is told of the plane's points alone.

    Returns:
        one variable per loss over (y, x), and over `snapshot`: `snapshot_x`, `snapshot_y`, `distance` (Euclidean, from
        the plane), `NAME_true` (loss of the snapshot itself) and `NAME_projected` (loss of its foot on the plane). Attributes
        `explained_x` and `explained_y` are the shares of the squared distances from the last snapshot, `variance_x` and `variance_y` those of
        the variance about the mean.

    Raises:
        ValueError: for fewer than 3 snapshots, a trajectory without a plane, or a resolution below 2.
    """
    if resolution < 2:
        raise ValueError(f"a plane of {resolution} points per axis; it needs at least 2")
    snapshots = entered(loss, snapshots)
    plane = trajectory_plane(snapshots)
    low, high = plane.coordinates.amin(0), plane.coordinates.amax(0)
    reach = (high - low) * margin
    x, y = (torch.linspace(float(low[k] - reach[k]), float(high[k] + reach[k]), resolution, dtype=torch.float64) for k in range(2))
    quiet = options.copy()
    quiet["progress"] = quiet["store"] = None  # told of the plane, and kept for it, which is nearly all
    own: dict[str, list[float]] = {}
    for snapshot in snapshots:  # one by one: a snapshot off the plane is no point of it
        nowhere = {name: torch.zeros_like(value) for name, value in trainable(snapshot).items()}
        alone = sample_entered(loss, snapshot, [nowhere], torch.zeros(1, 1, dtype=torch.float64), probe=False, **quiet)
        for name, values in alone.items():
            own.setdefault(name_in_file(name), []).append(float(values[0]))
    check_names(own, [*PARTS, *(f"{name}_{end}" for name in own for end in ("true", "projected"))])
    data = sample_plane(loss, plane.origin, *plane.directions, x, y, **options)
    projected = sample_entered(loss, plane.origin, plane.directions, plane.coordinates, probe=False, **quiet)
    along = {
        "snapshot_x": plane.coordinates[:, 0].cpu().numpy(), "snapshot_y": plane.coordinates[:, 1].cpu().numpy(), "distance": plane.distances.cpu().numpy(),
        **{f"{name}_true": values for name, values in own.items()}, **{f"{name_in_file(name)}_projected": values for name, values in projected.items()},
    }  # fmt: skip
    result = data.assign({name: ("snapshot", values) for name, values in along.items()})
    return result.assign_attrs(
        explained_x=plane.explained[0], explained_y=plane.explained[1], variance_x=plane.variance[0], variance_y=plane.variance[1]
    )
