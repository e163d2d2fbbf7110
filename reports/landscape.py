"""`crar landscape`: every loss term on the straight way from a failed encoder to the global optimum."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import xarray as xr
from torch import Tensor

from crar_model.agents import DYNAMICS, select
from crar_model.checkpoints import write_atomically, write_text
from crar_model.errors import UserError
from crar_model.evaluation import Match, evaluate, match_embeddings
from crar_model.networks import Params
from landscape_tools.certificates import Certificate, certify
from landscape_tools.composite import Composite
from landscape_tools.convergence import Converged, converge
from landscape_tools.lines import barrier, sample_line
from reports.figures.embedding import embeddings_figure
from reports.figures.lines import lines_figure
from reports.figures.style import save_png
from reports.markdown import render
from reports.subject import SHOWN, Subject, load_subject


def lines(subject: Subject, points: int) -> dict[str, xr.Dataset]:
    """Losses along the straight line between the encoders, in embedding space, in weight space, and in
    weight space to the nearest copy of the optimum under permutations and signs of hidden units.

    The dynamics are those of the failed model, which a `freeze` transfer shares with its base; the bootstrap
    values of `value` are frozen at the optimum's, so that the whole line sees one loss.
    """

    def in_weights(encoder: Params) -> dict[str, Tensor]:
        return subject.terms(subject.dynamics | encoder)

    def in_embedding(point: Params) -> dict[str, Tensor]:
        return subject.terms(subject.dynamics, point["embedding"])

    failed, optimum = select(subject.failed, ("encoder",)), select(subject.optimum, ("encoder",))
    ends = [{"embedding": subject.embedding(params)} for params in (subject.failed, subject.optimum)]
    return {
        "embedding": sample_line(in_embedding, ends[0], ends[1], points=points),
        "weight": sample_line(in_weights, failed, optimum, points=points),
        "aligned": sample_line(in_weights, failed, subject.nearest, points=points),
    }


@dataclass(frozen=True)
class Verdict:
    """Claim S7: what the failed encoder is under the frozen dynamics, and S8's first half: its own best dynamics.

    Attributes:
        converged: descent of the encoder alone from the failed model, on all transitions and pairs.
        certificate: of where it ended.
        still: how the embedding there relates to the optimum's.
        adapted: transition term of the failed embedding after training the transition model alone on it.
    """

    converged: Converged
    certificate: Certificate
    still: Match
    adapted: float

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        c, s, spectrum = self.certificate, self.certificate.signature, self.certificate.spectrum
        return {
            "verdict": c.verdict, "start": self.converged.start, "loss": c.loss, "subgradient_norm": c.subgradient.norm,
            "one_sided_gradient_norm": c.subgradient.one_sided, "kinks": c.subgradient.kinks, "multiplier_slack": c.slack,
            "iterations": self.converged.iterations, "match": self.still.plain(), "adapted_transition": self.adapted,
            "signature": None if s is None else {
                "negative": s.negative, "flat": s.flat, "positive": s.positive, "unseen": s.unseen,
                "lowest": float(s.eigenvalues[0]), "highest": float(s.eigenvalues[-1]), "smallest_singular": s.smallest_singular,
            },
            "spectrum": None if spectrum is None else {
                "lowest": float(spectrum.lowest[0]), "lowest_residual": float(spectrum.lowest_residuals[0]),
                "highest": float(spectrum.highest[-1]), "highest_residual": float(spectrum.highest_residuals[-1]),
            },
            "escape_loss": None if c.escape is None else c.escape.loss,
        }  # fmt: skip


def examine(subject: Subject) -> Verdict:
    """Converge the failed encoder with the dynamics frozen, certify the end, and fit the transition model to the
    failed embedding alone."""
    encoder = select(subject.failed, ("encoder",))
    composite = subject.composite(encoder, subject.dynamics)
    converged = converge(composite, encoder)
    certificate = certify(composite, converged.point)
    still = match_embeddings(subject.embedding(subject.optimum), subject.embedding(converged.point))
    x = subject.embedding(subject.failed)
    transition = select(subject.failed, ("transition",))
    before, after = x[subject.batch.current], x[subject.batch.following].flatten()
    action = subject.batch.action
    fit = Composite(
        lambda z: (z - after).square().mean(), lambda p: subject.agent.transition(p, before, action).flatten()
    )  # the transition term as its 248 predictions, which Newton's method needs as outputs
    point = converge(fit, transition, tolerance=1e-7).point
    adapted = subject.terms(subject.dynamics | point, x, ("transition",))["transition"]
    return Verdict(converged, certificate, still, float(adapted))


def write_landscape(
    failed_path: Path,
    base_path: Path,
    folder: Path,
    *,
    points: int = 101,
    certificate: bool = True,
    failed_maze: str | None = None,
    base_maze: str | None = None,
    command: str = "",
) -> Path:
    """Write `report.md`, its figures, `lines.nc` and `results.json` to `folder`; returns the report's path.

    Args:
        failed_path, base_path: the two models.
        folder: made if missing; files of an earlier report are replaced.
        points: points per line, at least 2.
        certificate: also certify what the failed encoder is, which takes most of the time.
        failed_maze, base_maze: mazes of checkpoints that do not say.
        command: shown in the report as what made it.

    Raises:
        UserError: for unusable models, fewer than 2 points, or a folder that cannot be written.
    """
    if points < 2:
        raise UserError(f"--points is {points}; give at least 2")
    pair = load_subject(failed_path, base_path, failed_maze=failed_maze, base_maze=base_maze)
    failed, base, agent, settings = pair.failed_file, pair.optimum_file, pair.agent, pair.settings
    sampled = lines(pair, points)
    found = examine(pair).plain() if certificate else None
    barriers = {space: {term: barrier(line, term) for term in SHOWN} for space, line in sampled.items()}
    judged = {
        "failed": evaluate(agent, pair.failed, inverse=pair.inverse, settings=settings),
        "optimum": evaluate(agent, pair.optimum, inverse=pair.inverse, settings=settings),
    }
    match = match_embeddings(pair.embedding(pair.optimum), pair.embedding(pair.failed))

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
        "certificate": found,
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
        found=found,
        shown=SHOWN,
        points=points,
    )


def _write_all(stream: object, content: bytes) -> None:
    stream.write(content)  # type: ignore[attr-defined]
