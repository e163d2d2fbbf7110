"""The report of a study: bases, outcomes of transfers, and the appendix's figures for a failed one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crar_model.errors import UserError
from crar_model.training.runner import read_run
from reports.figures.embedding import embeddings_figure
from reports.figures.inputs import inputs_figure, transition_error_figure
from reports.figures.losses import losses_figure
from reports.figures.style import save_png
from reports.markdown import render
from reports.models import Judged
from reports.runs import Run, outcomes

RELEASED = (("base 0002", 3, 19), ("base 0003", 21, 1))
"""Released simple-maze `freeze` transfers at 8e-5, judged by eye: (base, successes, failures)."""
TERM_COLUMNS = ("transition", "ball", "random_pairs", "consecutive", "reward", "discount", "value", "total")


def write_study(base: Path, transfers: Sequence[Path], folder: Path, *, command: str = "", landscape: Path | None = None) -> Path:
    """Write `report.md` and its figures to `folder`; returns the report's path.

    Args:
        base: run folder of the base models.
        transfers: run folders of transfers; the figures show a failed `freeze` member of the first that has one.
        folder: made if missing.
        command: shown in the report as what made it.
        landscape: a landscape report to point to.

    Raises:
        UserError: for folders that hold no run, or no transfers.
    """
    bases, runs = Run(base), [Run(path) for path in transfers]
    for run in (bases, *runs):
        read_run(run.folder)  # name an unusable folder before any work
    if not runs:
        raise UserError("--transfer names no run folder; give at least one")
    shown = pick_failed(runs)
    if shown is None:
        raise UserError("none of the transfers names a base that can still be read; keep the base's run folder where it was")
    run, model, origin = shown
    agent = model.checkpoint.agent
    match = model.evaluation.match
    assert match is not None
    base_model = (origin.path.parent.name + "/" + origin.path.stem, agent, origin.checkpoint.parameters, origin.checkpoint.inverse)
    title = f"{run.plan.variant} {model.path.stem}: {match.verdict}"
    panels = [base_model, (title, agent, model.checkpoint.parameters, model.checkpoint.inverse)]
    save_png(embeddings_figure(panels), folder / "embeddings.png")
    save_png(losses_figure([("base models", bases.losses), (f"{run.plan.variant} transfers", run.losses)]), folder / "losses.png")
    save_png(inputs_figure(agent, origin.checkpoint.parameters, base_inverse=origin.checkpoint.inverse), folder / "inputs.png")
    figure = transition_error_figure(agent, model.checkpoint.parameters, inverse=model.checkpoint.inverse)
    save_png(figure, folder / "transition_error.png")
    rows = []
    for transfer in runs:
        for name in transfer.bases:
            counts = outcomes(transfer.of_base(name))
            residuals = [m.evaluation.match.residual_edges for m in transfer.of_base(name) if m.evaluation.match]
            spread = f"{min(residuals):.2f} to {max(residuals):.2f}" if residuals else "-"
            rows.append((transfer.plan.variant, Path(name).stem if name else "none", *counts.values(), spread))
    return render(
        "study.md",
        folder / "report.md",
        command=command,
        bases=bases,
        runs=runs,
        rows=rows,
        released=RELEASED,
        columns=TERM_COLUMNS,
        model_rows=[_row(m) for r in (bases, *runs) for m in r.judged],
        shown=model,
        origin=origin,
        match=match,
        landscape=landscape,
    )


def _row(model: Judged) -> tuple[object, ...]:
    figures, match = model.evaluation, model.evaluation.match
    return (
        f"{model.path.parent.name}/{model.path.stem}",
        *(figures.terms[name] for name in TERM_COLUMNS),
        f"{100 * figures.nearest_state_accuracy:.0f} %",
        f"{100 * figures.navigation_success:.0f} %",
        match.verdict if match else "",
        match.residual_edges if match else "",
    )


def pick_failed(runs: Sequence[Run]) -> tuple[Run, Judged, Judged] | None:
    """A failed transfer to look at, with its run and its base: swapped if there is one, else the first at hand."""
    candidates = [(run, model) for run in runs for model in run.judged if model.evaluation.match is not None]
    order = {"swapped": 0, "neither": 1, "matched": 2}
    candidates.sort(
        key=lambda pair: (pair[0].plan.variant != "freeze", order[pair[1].evaluation.match.verdict] if pair[1].evaluation.match else 3)
    )
    if not candidates:
        return None
    run, model = candidates[0]
    from reports.models import judge

    return run, model, judge([Path(model.checkpoint.info["base"])])[0]
