"""The report of a study: bases, outcomes of transfers, and the appendix's figures for a failed one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from crar_model.errors import UserError
from crar_model.training.runner import read_run
from reports.figures.embedding import embeddings_figure
from reports.figures.inputs import inputs_figure, transition_error_figure
from reports.figures.losses import losses_figure
from reports.figures.style import save_png
from reports.markdown import render
from reports.models import Judged, judge
from reports.runs import Run, outcomes

RELEASED = (("base 0002", 3, 19), ("base 0003", 21, 1))
"""Released simple-maze `freeze` transfers at 8e-5, judged by eye: (base, successes, failures)."""
TERM_COLUMNS = ("transition", "ball", "random_pairs", "consecutive", "reward", "discount", "value", "total")


def write_study(
    base_runs: Sequence[Path], transfers: Sequence[Path], folder: Path, *, command: str = "", landscape: Path | None = None
) -> Path:
    """Write `report.md` and its figures to `folder`; returns the report's path.

    Args:
        base_runs: run folders of the base models.
        transfers: run folders of transfers; the figures show a failed `freeze` member of the first that has one.
        folder: made if missing.
        command: shown in the report as what made it.
        landscape: a landscape report to point to.

    Raises:
        UserError: for folders that hold no run, or no transfers.
    """
    bases, runs = [Run(path) for path in base_runs], [Run(path) for path in transfers]
    for run in (*bases, *runs):
        read_run(run.folder)  # name an unusable folder before any work
    if not runs or not bases:
        raise UserError("--base and --transfer must each name at least one run folder")
    shown = pick_failed(runs)
    if shown is None:
        raise UserError("none of the transfers names a base that can still be read; keep the base's run folder where it was")
    run, model, origin = shown
    agent = model.checkpoint.agent
    match = model.evaluation.match
    assert match is not None
    panels = [(short_name(origin.path), agent, origin.checkpoint.parameters, origin.checkpoint.inverse)]
    title = f"{short_name(model.path)}: {match.verdict}"
    panels.append((title, agent, model.checkpoint.parameters, model.checkpoint.inverse))
    save_png(embeddings_figure(panels), folder / "embeddings.png")
    home = next((b for b in bases if b.folder.resolve() == origin.path.parent.resolve()), bases[0])
    curves = [(f"base models, {home.folder.name}", home.losses), (f"{run.plan.variant} transfers, {run.folder.name}", run.losses)]
    save_png(losses_figure(curves), folder / "losses.png")
    save_png(inputs_figure(agent, origin.checkpoint.parameters, base_inverse=origin.checkpoint.inverse), folder / "inputs.png")
    figure = transition_error_figure(agent, model.checkpoint.parameters, inverse=model.checkpoint.inverse)
    save_png(figure, folder / "transition_error.png")
    return render(
        "study.md",
        folder / "report.md",
        command=command,
        bases=bases,
        runs=runs,
        rows=[row for transfer in runs for row in outcome_rows(transfer)],
        released=RELEASED,
        columns=TERM_COLUMNS,
        model_rows=[_row(m) for r in (*bases, *runs) for m in r.judged],
        shown=model,
        origin=origin,
        match=match,
        landscape=landscape,
    )


def short_name(path: Path) -> str:
    """The run folder and the member, e.g. "freeze/member-3"."""
    return f"{path.parent.name}/{path.stem}"


def outcome_rows(run: Run) -> list[tuple[object, ...]]:
    """One row per base: variant, rule, updates, base, its transition term and accuracy, outcomes, medians."""
    rows: list[tuple[object, ...]] = []
    for name in run.bases:
        models = run.of_base(name)
        counts = outcomes(models)
        base = judge([Path(name)])[0].evaluation if name and Path(name).exists() else None
        residuals = [m.evaluation.match.residual_edges for m in models if m.evaluation.match]
        rows.append(
            (
                run.plan.variant,
                run.plan.settings.update_rule,
                run.plan.settings.updates,
                short_name(Path(name)) if name else "none",
                base.terms["transition"] if base else float("nan"),
                start_transition(run, name),
                f"{100 * base.nearest_state_accuracy:.0f} %" if base else "-",
                *counts.values(),
                median(residuals) if residuals else float("nan"),
                median(m.evaluation.terms["transition"] for m in models),
                f"{100 * median(m.evaluation.navigation_success for m in models):.0f} %",
            )
        )
    return rows


def start_transition(run: Run, base: str) -> float:
    """Median transition term of a base's transfers before their first update, on the complete set."""
    at_start = (run.losses["base"] == base) & (run.losses["update"] == 0)
    return float(median(run.losses["transition"][at_start])) if at_start.any() else float("nan")


def _row(model: Judged) -> tuple[object, ...]:
    figures, match = model.evaluation, model.evaluation.match
    return (
        short_name(model.path),
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

    def rank(pair: tuple[Run, Judged]) -> tuple[bool, int, float]:
        match = pair[1].evaluation.match
        assert match is not None
        return pair[0].plan.variant != "freeze", order[match.verdict], match.residual_edges

    candidates.sort(key=rank)  # the clearest of its kind first
    if not candidates:
        return None
    run, model = candidates[0]
    return run, model, judge([Path(model.checkpoint.info["base"])])[0]
