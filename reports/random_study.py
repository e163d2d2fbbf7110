"""`crar report` for the random mazes: learning curves, scores with intervals, embeddings, ours beside the released results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crar_model.checkpoints import Checkpoint, load_checkpoint
from crar_model.errors import UserError
from crar_model.files import write_text
from crar_model.random_evaluation import Score, ScoreSettings, score
from reports import console
from reports.figures.losses import losses_figure
from reports.figures.scores import running_mean, scores_figure
from reports.figures.style import save_png
from reports.markdown import render
from reports.models import JudgedRandom, judge_random
from reports.runs import Run
from reports.threads import cores, torch_threads

RELEASED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("freeze, lr 5e-4", ("0.10 ± 1.35, 5/6", "0.82 ± 0.54, 5/6", "-2.32 ± 2.35, 1/6", "-4.63 ± 0.13, 0/6", "-4.73 ± 0.04, 0/6")),
    ("reset-encoder", ("", "0.93 ± 0.37, 6/6", "", "", "-4.74 ± 0.12, 0/6")),
    ("unfreeze", ("", "0.98 ± 0.13, 6/6", "", "", "0.89 ± 0.11, 6/6")),
    ("omit-ball", ("", "0.93 ± 0.13, 6/6", "", "", "-3.44 ± 1.56, 0/6")),
    ("delay-structure", ("", "-0.61 ± 1.46, 3/6", "", "", "-2.22 ± 2.59, 2/6")),
)
"""Released runs of 100 epochs: mean and sd over 6 seeds of the mean score of the last 10 epochs; runs whose mean is above 0."""
LAST = 10
"""Epochs that a run's final score is the mean of, as in the released table."""
TERMS = ("transition", "reward", "discount", "ball", "random_pairs", "consecutive", "value")


@dataclass(frozen=True)
class ScoredRun:
    """A run of the random mazes and its evaluated models.

    Attributes:
        run: the run folder. last, best: its members' last and best-validation models.
    """

    run: Run
    last: list[JudgedRandom]
    best: list[JudgedRandom]

    @cached_property
    def labels(self) -> list[str]:
        """A label for every member: its base, if there are several, and its seed."""
        several = len(self.run.bases) > 1
        return [f"{_short(member.base)}, seed {member.seed}" if several else f"seed {member.seed}" for member in self.run.plan.members]

    @property
    def updates(self) -> int:
        """Updates that the member furthest on has taken."""
        return max(model.checkpoint.updates for model in self.last)

    def rows(self) -> list[tuple[object, ...]]:
        """One row per member: variant, base, seed, updates, final score, first update above 0, scores, embedding."""
        rows: list[tuple[object, ...]] = []
        table = self.run.losses
        for k, member in enumerate(self.run.plan.members):
            own = table["member"] == k
            scores, updates = table["score"][own], table["update"][own]
            above = np.flatnonzero(running_mean(scores)[1:] > 0)
            last, best = self.last[k].evaluation, self.best[k].evaluation
            rows.append(
                (
                    self.run.plan.variant,
                    _short(member.base) if member.base else "",
                    member.seed,
                    self.last[k].checkpoint.updates,
                    float(scores[-LAST:].mean()),
                    f"{int(updates[1:][above[0]]):,}" if len(above) else "-",
                    span(last.score),
                    f"{span(best.score)} at {self.best[k].checkpoint.updates:,}",
                    "" if last.match is None else last.match.verdict,
                    float("nan") if last.match is None else last.match.residual_edges,
                    last.distance,
                )
            )
        return rows


def span(found: Score) -> str:
    """A score with its interval."""
    return f"{found.mean:.2f} ({found.low:.2f} to {found.high:.2f})"


def _short(path: str) -> str:
    return f"{Path(path).parent.name}/{Path(path).stem}" if path else "none"


def _title(scored: ScoredRun) -> str:
    name, variant = scored.run.folder.name, scored.run.plan.variant
    return name if name == variant else f"{name} ({variant})"


def _best_paths(run: Run) -> list[Path]:
    return [run.folder / f"best-{k}.pt" for k in range(len(run.plan.members))]


def negation(base: Checkpoint, model: Checkpoint, how: ScoreSettings) -> dict[str, Any]:
    """`negate-input` against its base: on the same mazes with the same luck, and on independent ones.

    Returns:
        base, model: scores; same: the largest difference of an episode on the same mazes; difference, low, high: of the mean
        scores on independent mazes, by Welch's t interval.
    """
    from scipy.stats import t

    other = ScoreSettings(how.protocol, how.episodes, how.seed + 1, how.depth, how.epsilon)
    with torch_threads(1), ThreadPoolExecutor(max_workers=cores()) as pool:
        played = ((base, how), (model, how), (model, other))
        first, same, apart = pool.map(lambda one: score(one[0].agent, one[0].parameters, inverse=one[0].inverse, how=one[1]), played)
    a, b = (torch.tensor(s.values, dtype=torch.float64) for s in (apart, first))
    parts = [float(x.var(correction=1)) / len(x) for x in (a, b)]
    error = sum(parts) ** 0.5
    freedom = sum(parts) ** 2 / sum(p**2 / (len(x) - 1) for p, x in zip(parts, (a, b), strict=True)) if error > 0 else 1.0
    difference = float(a.mean() - b.mean())
    half = float(t.ppf(0.975, freedom)) * error
    worst = max(abs(x - y) for x, y in zip(same.values, first.values, strict=True))
    return {
        "base": span(first), "model": span(same), "apart": span(apart), "same": worst, "difference": difference,
        "low": difference - half, "high": difference + half, "episodes": how.episodes,
    }  # fmt: skip


def write_random_study(
    base_runs: Sequence[Path], transfers: Sequence[Path], folder: Path, *, how: ScoreSettings | None = None, command: str = ""
) -> Path:
    """Write `report.md`, figures, `scores.csv` and `results.json` to `folder`; returns the report's path.

    Args:
        base_runs, transfers: run folders of the random mazes.
        folder: made if missing.
        how: of the scores.
        command: shown in the report as what made it.

    Raises:
        UserError: for folders that hold no run of the random mazes, or no transfers.
    """
    how = how or ScoreSettings()
    runs = [Run(path) for path in (*base_runs, *transfers)]
    for run in runs:
        if run.plan.settings.maze != "random":
            raise UserError(f"{run.folder}: a run of the {run.plan.settings.maze} maze; report the mazes apart")
    scored = []
    with console.progress_bar("report", "runs") as tick:
        for number, run in enumerate(runs):
            tick(number, len(runs))
            count = len(run.plan.members)
            both = judge_random([run.folder, *_best_paths(run)], how, use_own_base=True)
            scored.append(ScoredRun(run, both[:count], both[count:]))
        tick(len(runs), len(runs))
    bases, moved = scored[: len(base_runs)], scored[len(base_runs) :]
    panels = [(_title(s), s.run.losses, s.labels) for s in scored]
    reference = bases[0].best[0].evaluation.score.mean
    save_png(scores_figure(panels, reference, f"{bases[0].run.folder.name}, whole episodes"), folder / "scores.png")
    long = [s for s in scored if s.run.plan.settings.updates > 0]
    batch = "512 held-out transitions"
    save_png(losses_figure([(_title(s), s.run.losses) for s in long], batch), folder / "losses.png")
    negations = []
    for s in moved:
        if s.run.plan.variant == "negate-input":
            for model in s.last:
                origin = Path(model.checkpoint.info["base"])
                if origin.exists():
                    negations.append((_short(str(origin)), negation(load_checkpoint(origin), model.checkpoint, how)))
    models = [(kind, s, m) for s in scored for kind, group in (("last", s.last), ("best", s.best)) for m in group]
    write_text(folder / "scores.csv", _scores_csv(scored))
    results = {
        "command": command,
        "how": vars(how),
        "models": [{"run": s.run.folder.name, "variant": s.run.plan.variant, "kind": kind, **m.plain()} for kind, s, m in models],
        "negations": [{"base": name, **found} for name, found in negations],
    }
    write_text(folder / "results.json", json.dumps(results, indent=1) + "\n")
    return render(
        "random_study.md", folder / "report.md", command=command, how=how, bases=bases, moved=moved, scored=scored,
        rows=[row for s in scored for row in s.rows()], negations=negations,
        term_rows=[
            (f"{s.run.folder.name}/{m.path.stem}", s.run.plan.variant, *(m.evaluation.terms[t] for t in TERMS), span(m.evaluation.score))
            for kind, s, m in models
            if kind == "last"
        ],
        terms=TERMS, last=LAST, released_rows=[(name, *cells) for name, cells in RELEASED],
    )  # fmt: skip


def _scores_csv(scored: Sequence[ScoredRun]) -> str:
    lines = ["run,variant,member,seed,base,update,score"]
    for s in scored:
        table = s.run.losses
        for member, update, value in zip(table["member"], table["update"], table["score"], strict=True):
            about = s.run.plan.members[int(member)]
            lines.append(
                f"{s.run.folder.name},{s.run.plan.variant},{int(member)},{about.seed},{_short(about.base)},{int(update)},{value:.5g}"
            )
    return "\n".join(lines) + "\n"
