"""The tables of `crar report`: outcomes by base, every model, and what their columns mean, in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from crar_model.agent.loss import SHOWN
from crar_model.agent.symmetry import VERDICTS
from crar_model.tasks import Task
from crar_model.tasks.metrics import Metric, Score
from crar_reports.measure.scores import span
from crar_reports.models.judged import Judged, judge
from crar_reports.models.runs import Run, outcomes, short_name
from crar_reports.press.markdown import number, table
from crar_reports.press.nouns import noun


def words(name: str) -> str:
    """A name as it is read."""
    return name.replace("_", " ")


def figure_of_merit(value: Metric | None) -> str:
    """A figure of merit as a cell."""
    if value is None:
        return "-"
    return span(value) if isinstance(value, Score) else f"{100 * value:.0f} %"


def outcomes_table(runs: Sequence[Run], metrics: Sequence[str]) -> str:
    """A line a base and a kind of transfers: what became of them first, then losses and figures of merit of the base beside theirs, so that a
    narrow window shows the result.

    Args:
        runs: of transfers.
        metrics: names of the figures of merit.
    """
    header = ["base", "transfers", *VERDICTS, "residual", "transition: base / start / end"]
    return table([*header, *(f"{words(name)}: base / transfers" for name in metrics)], [row for run in runs for row in _outcome_rows(run)])


def _outcome_rows(run: Run) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    settings = run.plan.settings
    for name in run.bases:
        models = run.of_base(name)
        found = run.base_of(models[0])
        base = judge([found], how=run.how)[0].evaluation if found is not None else None
        residuals = [m.evaluation.match.residual_edges for m in models if m.evaluation.match]
        transition = (
            base.terms["transition"] if base else None, start_transition(run, name), median(m.evaluation.terms["transition"] for m in models)
        )  # fmt: skip
        rows.append(
            (
                short_name(Path(name)) if name else "none", f"{run.plan.variant.name}, {settings.update_rule}, {settings.updates:,} updates",
                *outcomes(models).values(), median(residuals) if residuals else float("nan"), " / ".join(map(number, transition)),
                *(f"{figure_of_merit(base.metrics[metric] if base else None)} / {_middle(models, metric)}" for metric in models[0].evaluation.metrics),
            )
        )  # fmt: skip
    return rows


def _middle(models: Sequence[Judged], metric: str) -> str:
    value = median(m.evaluation.share(metric) for m in models)
    return f"{value:.2f}" if isinstance(models[0].evaluation.metrics[metric], Score) else f"{100 * value:.0f} %"


STARTS = {
    "base": "the base's encoder in the other maze", "negated": "the base's encoder with the map undone", "fresh-encoder": "a new encoder",
    "fresh": "new networks",
}  # fmt: skip
"""What a variant starts with, in words."""


def start_words(runs: Sequence[Run], task: Task) -> str:
    """What the variants among runs of a task start with, in words."""
    by: dict[str, list[str]] = {}
    for run in runs:
        variant = run.plan.variant
        what = "what its search ended with" if variant.search else STARTS[variant.start].replace("maze", noun(task))
        if f"`{variant.name}`" not in by.setdefault(what, []):
            by[what].append(f"`{variant.name}`")
    return "; ".join(f"of {', '.join(names)} {what}" for what, names in by.items())


def kept_words(runs: Sequence[Run]) -> str:
    """Of members that are no last networks: which network of which update, and by what; "" where there are none."""
    said = []
    for run in runs:
        found = [(k, model.checkpoint.info["kept"]) for k, model in enumerate(run.judged) if "kept" in model.checkpoint.info]
        if found:
            each = ", ".join(f"member {k} of update {int(kept['update']):,} of {int(kept['of']):,}" for k, kept in found)
            said.append(f" Of {run.title} it is the best network by {found[0][1]['by']}: {each}.")
    return "".join(said)


def start_transition(run: Run, base: str) -> float:
    """Median transition term of a base's transfers before their first update, on the evaluation set."""
    at_start = (run.losses["base"] == base) & (run.losses["update"] == 0)
    return float(median(run.losses["transition"][at_start])) if at_start.any() else float("nan")


def model_row(model: Judged) -> tuple[object, ...]:
    """A model with its embedding, figures of merit and terms: what became of it first, so that a narrow window shows it."""
    figures, match = model.evaluation, model.evaluation.match
    return (
        short_name(model.path),
        model.checkpoint.info.get("variant", "?"),
        match.verdict if match else "",
        match.residual_edges if match else "",
        *(figure_of_merit(value) for value in figures.metrics.values()),
        *(figures.terms[name] for name in SHOWN),
    )
