"""`crar landscape`: every loss term on the straight way from a failed encoder to the global optimum."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import xarray as xr
from torch import Tensor

from crar_model.agents import DYNAMICS, select
from crar_model.batches import complete_batch
from crar_model.checkpoints import Checkpoint, load_checkpoint, write_atomically, write_text
from crar_model.errors import UserError
from crar_model.evaluation import embed, evaluate, match_embeddings
from crar_model.losses import TERMS, loss_terms, total, value_targets
from crar_model.networks import Params
from crar_model.symmetry import in_maze
from landscape_tools.alignment import align, dense_chain
from landscape_tools.lines import barrier, sample_line
from reports.figures.embedding import embeddings_figure
from reports.figures.lines import lines_figure
from reports.figures.style import save_png
from reports.markdown import render
from reports.models import loss_settings

SHOWN = (*(term for term in TERMS if term != "interpret"), "total")


@dataclass(frozen=True)
class Pair:
    """A failed model and the global optimum of its maze, in float64, with the frozen dynamics between them.

    Attributes:
        failed, optimum: parameters in the failed model's maze.
        inverse: that maze.
    """

    failed: Params
    optimum: Params
    inverse: bool


def load_pair(failed_path: Path, base_path: Path) -> tuple[Checkpoint, Checkpoint, Pair]:
    """Read both ends; a base of the other maze stands for its closed-form copy in the failed model's maze.

    Raises:
        UserError: for unusable, incompatible or identical models.
    """
    failed, base = load_checkpoint(failed_path), load_checkpoint(base_path)
    if failed.maze != base.maze:
        raise UserError(
            f"{base_path}: a model of the {base.maze} maze, but {failed_path} is of the {failed.maze} maze; give two of one maze"
        )
    optimum = in_maze(base, inverse=failed.inverse)
    double = [{name: value.double() for name, value in params.items()} for params in (failed.parameters, optimum)]
    if all(torch.equal(double[0][name], double[1][name]) for name in select(double[0], ("encoder",))):
        raise UserError(f"{failed_path}: its encoder is the optimum of {base_path} already; give a transfer that ended elsewhere")
    return failed, base, Pair(double[0], double[1], failed.inverse)


def lines(pair: Pair, checkpoint: Checkpoint, points: int) -> dict[str, xr.Dataset]:
    """Losses along the straight line between the encoders, in embedding space, in weight space, and in
    weight space to the nearest copy of the optimum under permutations and signs of hidden units.

    The dynamics are those of the failed model, which a `freeze` transfer shares with its base; the bootstrap
    values of `value` are frozen at the optimum's, so that the whole line sees one loss.
    """
    agent, settings = checkpoint.agent, loss_settings(checkpoint)
    batch = complete_batch(inverse=pair.inverse, dtype=torch.float64)
    batch = replace(batch, value_target=value_targets(agent, pair.optimum, batch, settings))
    dynamics = {name: value for name, value in pair.failed.items() if not name.startswith("encoder.")}

    def with_total(terms: dict[str, Tensor]) -> dict[str, Tensor]:
        return terms | {"total": total(terms, settings)}

    def in_weights(encoder: Params) -> dict[str, Tensor]:
        return with_total(loss_terms(agent, dynamics | encoder, batch, settings))

    def in_embedding(point: Params) -> dict[str, Tensor]:
        return with_total(loss_terms(agent, dynamics, batch, settings, embedding=point["embedding"]))

    failed, optimum = select(pair.failed, ("encoder",)), select(pair.optimum, ("encoder",))
    nearest = align(optimum, failed, dense_chain("encoder", len(agent.encoder) - 1))
    ends = [{"embedding": embed(agent, params, inverse=pair.inverse)} for params in (pair.failed, pair.optimum)]
    return {
        "embedding": sample_line(in_embedding, ends[0], ends[1], points=points),
        "weight": sample_line(in_weights, failed, optimum, points=points),
        "aligned": sample_line(in_weights, failed, nearest, points=points),
    }


def write_landscape(failed_path: Path, base_path: Path, folder: Path, *, points: int = 101, command: str = "") -> Path:
    """Write `report.md`, its figures, `lines.nc` and `results.json` to `folder`; returns the report's path.

    Args:
        failed_path, base_path: the two models.
        folder: made if missing; files of an earlier report are replaced.
        points: points per line, at least 2.
        command: shown in the report as what made it.

    Raises:
        UserError: for unusable models, fewer than 2 points, or a folder that cannot be written.
    """
    if points < 2:
        raise UserError(f"--points is {points}; give at least 2")
    failed, base, pair = load_pair(failed_path, base_path)
    agent, settings = failed.agent, loss_settings(failed)
    sampled = lines(pair, failed, points)
    barriers = {space: {term: barrier(line, term) for term in SHOWN} for space, line in sampled.items()}
    judged = {
        "failed": evaluate(agent, pair.failed, inverse=pair.inverse, settings=settings),
        "optimum": evaluate(agent, pair.optimum, inverse=pair.inverse, settings=settings),
    }
    ends = [embed(agent, params, inverse=pair.inverse) for params in (pair.optimum, pair.failed)]
    match = match_embeddings(ends[0], ends[1])

    titles = {"embedding": "embedding space", "weight": "weight space", "aligned": "weight space, nearest copy"}
    save_png(lines_figure([(titles[space], line) for space, line in sampled.items()], SHOWN), folder / "lines.png")
    panels = [
        ("global optimum", agent, pair.optimum, pair.inverse),
        (f"failed encoder ({match.verdict})", agent, pair.failed, pair.inverse),
    ]
    save_png(embeddings_figure(panels), folder / "embeddings.png")
    data = xr.concat(list(sampled.values()), dim="space", combine_attrs="drop").assign_coords(space=list(sampled))
    data.attrs = {"failed": failed.digest, "base": base.digest, "inverse": int(pair.inverse), "command": command}
    encoding = {name: {"zlib": True} for name in data.data_vars}
    content = data.to_netcdf(engine="h5netcdf", encoding=encoding)
    assert content is not None
    write_atomically(folder / "lines.nc", lambda stream: _write_all(stream, bytes(content)))
    results = {
        "command": command,
        "failed": {"path": str(failed_path), "digest": failed.digest, "terms": judged["failed"].terms},
        "optimum": {"path": str(base_path), "digest": base.digest, "terms": judged["optimum"].terms},
        "match": match.plain(),
        "barriers": {space: {term: asdict(b) for term, b in table.items()} for space, table in barriers.items()},
    }
    write_text(folder / "results.json", json.dumps(results, indent=1) + "\n")
    return render(
        "landscape.md",
        folder / "report.md",
        command=command,
        failed=failed,
        base=base,
        failed_path=failed_path,
        base_path=base_path,
        maze="inverse" if pair.inverse else "normal",
        closed_form=base.inverse != pair.inverse,
        same_dynamics=all(torch.equal(pair.failed[n], v) for n, v in select(pair.optimum, DYNAMICS).items()),
        judged=judged,
        match=match,
        barriers=barriers,
        shown=SHOWN,
        points=points,
    )


def _write_all(stream: object, content: bytes) -> None:
    stream.write(content)  # type: ignore[attr-defined]
