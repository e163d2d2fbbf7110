"""`crar theorem`: a change of the dynamics changes the encoder's loss landscape (claim S9)."""

from __future__ import annotations

from pathlib import Path

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.params import DYNAMICS
from crar_model.core.sizes import SAMPLE, check_picture
from crar_model.core.threads import torch_threads
from crar_model.samples import as_given
from crar_reports import progress as console
from crar_reports.claims.table import decided
from crar_reports.figures.shifts import shifts_figure
from crar_reports.measure.linear_theorem import proofs
from crar_reports.measure.minimum import examine
from crar_reports.measure.release import fitted
from crar_reports.measure.sample_minimum import FULL, Budget
from crar_reports.measure.shifted_descents import descents
from crar_reports.measure.shifts import SHARES, landscape_shifts
from crar_reports.measure.subject import load_subject
from crar_reports.pages.theorem_view import Fit, Sizes, Theorem, theorem_summary, theorem_view
from crar_reports.press.publish import Files, publish


def write_theorem(
    failed: StrPath, base: StrPath, folder: StrPath, *, image: str = "png", sample: int | None = None, full: bool = False, command: str = ""
) -> Path:
    """Write `report.md`, `results.json` and a figure; returns the report's path.

    Args:
        failed, base: the pair of models whose encoder landscape is followed.
        folder: made if missing.
        image: "png" or "svg".
        sample, full: where a maze's transitions are sampled, how many the descents run on (None: the usual number, or what there is), and whether they may be twice as long.
        command: shown in the report.

    Raises:
        UserError: for unusable models, an unknown format, or a sample that is too small or larger than what is held out.
    """
    if image not in ("png", "svg"):
        raise UserError(f"--format is {image!r}; choose png or svg")
    if sample is not None and sample < 1:
        raise UserError(f"--sample is {sample}; give at least 1")
    check_picture(sample=SAMPLE if sample is None else sample)
    subject = load_subject(Path(failed), Path(base))
    size = subject.task.sample_size(sample)
    complete = subject.task.sampling.complete
    names = ("dynamics adapted", "descents", "shifts")
    with torch_threads(1), console.stages("theorem") as tick:
        tick(names[0], 0, len(names))
        if complete:  # as `crar landscape` does: the copy is no stationary point under its own frozen dynamics
            subject = subject.referred_to(examine(subject, base=True).converged.point)
        adapted = fitted(subject, DYNAMICS)
        tick(names[1], 1, len(names))
        found = descents(subject, adapted.params, size=size, budget=FULL if full else Budget())
        tick(names[2], 2, len(names))
        shifts = landscape_shifts(subject, adapted.params)
        tick("done", len(names), len(names))
    total = float(subject.terms(subject.failed)["total"])
    decision = decided("S9", {"failed_terms": {"total": total}, "shifts": shifts.rows, "descents": found.rows}, complete=complete)
    results = Theorem(
        command=command, failed=subject.failed_file.digest, base=subject.optimum_file.digest, linear=proofs(), total=total,
        shifts=shifts.rows, descents=found.rows, verdict=decision.verdict, adapted=Fit(adapted.how, adapted.steps),
        samples=None if complete else Sizes(shifts.sample, found.sizes), budget=found.budget,
    )  # fmt: skip
    figure = f"shifts.{image}"
    files = {figure: shifts_figure(shifts.rows, SHARES)}
    return write_page(results, folder, files, figure=figure, failed=failed, base=base, figures=decision.figure)


def write_page(
    results: Theorem, folder: StrPath, files: Files | None = None, *, figure: str, failed: StrPath, base: StrPath, figures: str
) -> Path:
    """Write the page of `results.json`'s contents.

    Args:
        results: of :func:`write_theorem`.
        folder: where to write it.
        files: what else to write: the figure, where it is not there yet.
        figure: its file's name.
        failed, base: where the models lie.
        figures: what the verdict rests on, in words.
    """
    values = {
        "command": results.command, "figure": figure, "failed": as_given(failed), "base": as_given(base), "figures": figures,
        "summary": theorem_summary(results), **theorem_view(results),
    }  # fmt: skip
    return publish(folder, "theorem.md", values, results, files)
