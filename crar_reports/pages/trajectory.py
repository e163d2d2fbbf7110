"""`crar trajectory`: the loss on the principal plane of one member's training."""

from __future__ import annotations

from pathlib import Path

import torch
import xarray as xr
from torch import Tensor

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.machine import cores
from crar_model.core.params import BLOCKS, Params, select
from crar_model.core.sizes import check_picture
from crar_model.core.threads import torch_threads
from crar_model.core.words import plural
from crar_model.models.checkpoints import load_checkpoint
from crar_model.models.evaluation import dtype_of
from crar_model.training.shard import load_snapshot, snapshot_folder
from crar_reports import progress as console
from crar_reports.figures.trajectory import trajectory_figure
from crar_reports.pages import plain_words
from crar_reports.press.markdown import Lines, number
from crar_reports.press.nouns import noun, pairs_words
from crar_reports.press.publish import publish
from landscape_tools import sample_trajectory, thread_safe

PASS = 8
"""Points of a pass where they go one by one: progress is told after each."""


def write_trajectory(
    run: StrPath, folder: StrPath, *, member: int = 0, resolution: int = 25, image: str = "png", command: str = ""
) -> Path:
    """Write `report.md`, a figure and `trajectory.nc`; returns the report's path.

    The batch is the task's evaluation set and its bootstrap values are the final model's, so all points see one loss. Blocks that did
    not train (a frozen transfer's dynamics) are no part of the plane.

    Args:
        run: run folder trained with `--snapshots`.
        member: which of its members.
        resolution: points per axis.

    Raises:
        UserError: without at least 3 snapshots, for a resolution below 2 or an unknown format.
    """
    if resolution < 2:
        raise UserError(f"--resolution is {resolution}; give at least 2")
    check_picture(resolution=resolution)
    if image not in ("png", "svg"):
        raise UserError(f"--format is {image!r}; choose png or svg")
    run = Path(run)
    files = sorted(snapshot_folder(run, member).glob("*.pt"))
    if len(files) < 3:
        raise UserError(
            f"{run}: {plural(len(files), 'snapshot')} of member {member}; a plane needs 3: train with --snapshots and a --checkpoint-interval"
        )
    model = load_checkpoint(run / f"member-{member}.pt")
    task = model.task
    dtype = dtype_of(task)
    points: list[Params] = [{name: value.to(dtype) for name, value in load_snapshot(file).items()} for file in files]
    final = points[-1]
    frozen = model.loss.on(task.batch(inverse=model.inverse, dtype=dtype), final)
    still = tuple(b for b in BLOCKS if all(torch.equal(points[0][n], v) for n, v in select(final, (b,)).items()))
    fixed = select(final, still)
    moving = [{name: value for name, value in point.items() if name not in fixed} for point in points]

    @thread_safe
    def loss(params: Params) -> dict[str, Tensor]:
        return frozen.terms(fixed | params)

    alone = task.sampling.batched  # a single point of these fills the cache, and two go through beside each other
    with torch_threads(1), console.progress_bar("trajectory", "points") as tick:
        data = sample_trajectory(
            loss, moving, resolution=resolution, vectorize="loop" if alone else "auto", chunk=PASS if alone else None,
            threads=cores() if alone else 1, progress=tick,
        )  # fmt: skip
    updates = [int(file.stem) for file in files]
    data = data.assign_coords(snapshot=updates).assign_attrs(member=member, digest=model.digest, command=command, frozen=",".join(still))
    drawn, sampled = bool(task.sampling.drawn), not task.sampling.complete
    terminal = f", {int(frozen.batch.terminated.sum())} of them terminal" if sampled and not drawn else ""
    pairs = " and all pairs of the drawn states" if drawn else "" if sampled else pairs_words(task)
    others = "; other states" if drawn else "; no training has seen these transitions, and other samples"
    contours = f"{others} would give other contours" if drawn or sampled else ""
    held = f"Frozen, and no part of it: {', '.join(still)}. " if still else ""
    where = f"in the {noun(task)} that it trained in, with the bootstrap values of the last model"
    whose, figure = f"member {member} of {run.name}", f"trajectory.{image}"
    values = {
        "command": command, "summary": trajectory_summary(data, whose=whose), "run": run, "member": member, "data": data, "figure": figure, "updates": updates,
        "plainly": plain_words.trajectory(data["total_true"].values.tolist(), data.attrs["explained_x"] + data.attrs["explained_y"]),
        "scope": f"{held}Losses are of {task.sampling.what}{terminal}{pairs}, {where}{contours}.",
    }  # fmt: skip
    return publish(folder, "trajectory.md", values, files={"trajectory.nc": data, figure: trajectory_figure(data, updates, whose)})


def trajectory_summary(data: xr.Dataset, *, whose: str) -> Lines:
    """Of `crar trajectory`; `data` of `sample_trajectory` with the updates as coordinate `snapshot`."""
    updates = [int(update) for update in data["snapshot"].values]
    true, seen, off = (data[name].values for name in ("total_true", "total_projected", "distance"))
    low, far = int(true.argmin()), int(off.argmax())
    x, y = 100 * data.attrs["explained_x"], 100 * data.attrs["explained_y"]
    return [
        ("Asked", f"which way {whose} took through the loss, on the plane that holds most of it."),
        (
            "Found",
            f"total loss {number(float(true[0]))} at update {updates[0]:,}, {number(float(true[-1]))} at update {updates[-1]:,}; "
            f"the lowest is {number(float(true[low]))} at update {updates[low]:,}.",
        ),
        ("The plane", f"its axes hold {x:.1f} % and {y:.1f} % of the squared distances from the last snapshot, {x + y:.1f} % together."),
        (
            "What it misses",
            f"the snapshot of update {updates[far]:,} lies {number(float(off[far]))} off the plane: its loss is "
            f"{number(float(true[far]))}, its foot's {number(float(seen[far]))}.",
        ),
        ("How sure", f"{plural(len(updates), 'snapshot')} of one member; contours are exact on the plane and say nothing beside it."),
    ]
