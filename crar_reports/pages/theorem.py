"""`crar theorem`: a change of the dynamics changes the encoder's loss landscape (claim S9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import sympy as sp

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath, write_json
from crar_model.core.params import DYNAMICS
from crar_model.core.sizes import check_picture
from crar_model.core.threads import torch_threads
from crar_model.core.words import plural
from crar_model.samples import as_given
from crar_reports import progress as console
from crar_reports.claims.dynamics import rounding, side, symmetry
from crar_reports.claims.table import decided
from crar_reports.figures.shifts import shifts_figure
from crar_reports.figures.style import save_figure
from crar_reports.measure.linear_theorem import statements
from crar_reports.measure.minimum import examine
from crar_reports.measure.release import fitted
from crar_reports.measure.sample_minimum import FULL, Budget
from crar_reports.measure.shifted_descents import Descent, descents
from crar_reports.measure.shifts import AROUND, ON_THE_WAY, POINTS, SHARES, Shift, landscape_shifts
from crar_reports.measure.subject import load_subject
from crar_reports.pages.landscape.page import size_words
from crar_reports.press.markdown import Lines, number, render

Plain = dict[str, Any]


def theorem_summary(proofs: Sequence[Plain], shifts: Sequence[Plain], finds: Sequence[Plain], *, sizes: Plain) -> Lines:
    """The page's opening.

    Args:
        proofs: statements with "proven" and "exceptions".
        shifts: of `landscape_shifts`, as plain data. finds: of `descents`.
        sizes: "shifts" and "descents" (its "sample") where they are of samples; else None in their places.
    """
    proven, exceptions = sum(p["proven"] for p in proofs), sum(e["difference"] == "0" for p in proofs for e in p["exceptions"])
    moved = [s for s in shifts if "of the way" in s["way"] and s["distance"] > 0]
    still = [s for s in shifts if "of the way" in s["way"] and s["distance"] == 0]
    far, same = max(moved, key=lambda s: s["values"]), [s for s in shifts if s not in moved and s not in still]
    where = f"at {POINTS} encoders, in float64"
    levels = ", ".join(f"{number(f['level'])} ({f['way']})" for f in finds)
    if sizes["shifts"]:
        where += f", on {size_words(sizes['shifts'])}; its descents are of {size_words(sizes['descents']['sample'])}"
    return [
        ("Asked", "does a change of the dynamics change the encoder's loss landscape (claim S9)?"),
        (
            "Proven",
            f"{proven} of {len(proofs)} statements of the linear case, with {plural(exceptions, 'exception')} that leave no difference.",
        ),
        (
            "Measured",
            f"moved by {number(far['distance'])}, the dynamics of a trained model change its encoder's losses by up to "
            f"{number(far['values'])} (rms); not moved, by {number(max((s['values'] for s in still), default=float('nan')))}. "
            f"A descent ends at {levels} times the reference's level.",
        ),
        ("Exceptions", "; ".join(f"{s['way']}: {number(s['values'])} at a distance of {number(s['distance'])}" for s in same) + "."),
        (
            "How sure",
            f"the linear case is {'proven symbolically' if proven == len(proofs) else 'not proven in full'}; the trained model is one pair, {where}.",
        ),
    ]


def linear_words(proofs: Sequence[Plain]) -> str:
    """What the linear case comes to."""
    open_ones = [p["name"] for p in proofs if not p["proven"]]
    if open_ones:
        return f"So the theorem is **not proven** here: SymPy does not reduce {'; '.join(open_ones)}."
    kept = {p["name"]: [e["name"] for e in p["exceptions"] if e["difference"] == "0"] for p in proofs}
    if not any(kept.values()):
        return "So the theorem **holds**: no exception leaves the difference 0."
    texts = [f"{name}: {', '.join(names)}" for name, names in kept.items() if names]
    return f"So the theorem **holds with exceptions**, where different dynamics leave no difference. {_first_up('; '.join(texts))}."


def _first_up(text: str) -> str:
    """A sentence's first letter; `str.capitalize` would change the others."""
    return text[:1].upper() + text[1:]


def shift_words(shifts: Sequence[Shift], total: float) -> list[str]:
    """What the moves that should change nothing did, and the mirrored dynamics.

    Args:
        shifts: of `landscape_shifts`.
        total: loss of the failed model, that rounding is held against.
    """
    still = [s for s in shifts if s.distance == 0]
    if all(s.values == 0 and s.gradients == 0 for s in still):
        lines = ["Not moved, the landscape is bit for bit the same."]
    else:
        worst = max(still, key=lambda s: s.values)
        lines = [f"Not moved, the landscape changes by {number(worst.values)}: the measurement is not exact."]
    for s in shifts:
        what = f"{_first_up(s.way)}, the dynamics move by {number(s.distance)} and"
        if not symmetry(s):
            if s.way.startswith("mirrored"):
                kept = "leave the landscape as it is" if rounding(s, total) else f"change the loss by {number(s.values)}"
                lines.append(f"{what} {kept} at the same encoders.")
        elif rounding(s, total):
            lines.append(f"{what} change nothing but rounding ({number(s.values)} of the loss, {number(s.gradients)} of the gradient).")
        else:
            lines.append(
                f"{what} change the loss by {number(s.values)} and the gradient by {number(s.gradients)}: no symmetry of this landscape."
            )
    seen = [s for s in shifts if s.way.startswith("mirrored")]
    if len(seen) == 2 and not rounding(seen[0], total) and rounding(seen[1], total):
        lines.append(
            "So a mirrored embedding with mirrored dynamics loses nothing: that is why a swapped embedding exists, and freezing the dynamics is what makes it wrong."
        )
    return lines


def find_words(finds: Sequence[Descent]) -> str:
    """Whether descents on samples end at the reference's level, whatever their further steps gain."""
    words = {True: "at the reference's level", False: "above it", None: "not known to end at it or above it"}
    return "; ".join(f"{f.way}: {words[side(f)]}, {number(f.least)} to {number(f.most)} times" for f in finds)


def example(values: dict[sp.Symbol, sp.Expr]) -> str:
    """An exception's substitution as text."""
    return ", ".join(f"{symbol} = {sp.sstr(value)}" for symbol, value in values.items())


def proofs() -> list[dict[str, Any]]:
    """The statements of the linear case as plain data."""
    return [
        {
            "name": s.name, "claim": s.claim, "identity": s.identity, "proven": s.proven,
            "exceptions": [
                {"name": name, "where": example(values), "difference": sp.sstr(sp.simplify(s.difference.subs(values, simultaneous=True)))}
                for name, values in s.exceptions
            ],
        }
        for s in statements()
    ]  # fmt: skip


def write_theorem(
    failed: StrPath, base: StrPath, folder: StrPath, *, image: str = "png", sample: int = 2_048, full: bool = False, command: str = ""
) -> Path:
    """Write `report.md`, `results.json` and a figure; returns the report's path.

    Args:
        failed, base: the pair of models whose encoder landscape is followed.
        folder: made if missing.
        image: "png" or "svg".
        sample, full: where a maze's transitions are sampled, how many the descents run on, and whether they may be twice as long.
        command: shown in the report.

    Raises:
        UserError: for unusable models, an unknown format, or a sample that is too small.
    """
    if image not in ("png", "svg"):
        raise UserError(f"--format is {image!r}; choose png or svg")
    if sample < 1:
        raise UserError(f"--sample is {sample}; give at least 1")
    check_picture(sample=sample)
    failed, base, folder = Path(failed), Path(base), Path(folder)
    subject = load_subject(failed, base)
    complete = subject.task.sampling.complete
    names = ("dynamics adapted", "descents", "shifts")
    with torch_threads(1), console.stages("theorem") as tick:
        tick(names[0], 0, len(names))
        if complete:  # as `crar landscape` does: the copy is no stationary point under its own frozen dynamics
            subject = subject.referred_to(examine(subject, base=True).converged.point)
        adapted = fitted(subject, DYNAMICS)
        tick(names[1], 1, len(names))
        found = descents(subject, adapted.params, size=sample, budget=FULL if full else Budget())
        tick(names[2], 2, len(names))
        shifts = landscape_shifts(subject, adapted.params)
        tick("done", len(names), len(names))
    moved, finds = [asdict(s) for s in shifts.rows], [asdict(f) for f in found.rows]
    total = float(subject.terms(subject.failed)["total"])
    sizes = {"shifts": shifts.sample, "descents": found.sizes}
    decision = decided("S9", {"failed_terms": {"total": total}, "shifts": moved, "descents": finds}, complete=complete)
    figure = save_figure(shifts_figure(shifts.rows, SHARES), folder / "shifts", image)
    linear = proofs()
    results = {
        "command": command, "failed": subject.failed_file.digest, "base": subject.optimum_file.digest, "linear": linear, "total": total,
        "shifts": moved, "descents": finds, "verdict": decision.verdict, "adapted": {"how": adapted.how, "steps": adapted.steps},
        **({} if complete else {"samples": sizes, "budget": asdict(found.budget) if found.budget else None}),
    }  # fmt: skip
    write_json(folder / "results.json", results)
    return write_page(results, folder, figure=figure.name, failed=as_given(failed), base=as_given(base), figures=decision.figure)


def write_page(results: dict[str, Any], folder: StrPath, *, figure: str, failed: StrPath, base: StrPath, figures: str) -> Path:
    """Write the page of `results.json`'s contents.

    Args:
        results: of :func:`write_theorem`.
        folder: with the figure in it.
        figure: its file's name.
        failed, base: where the models lie.
        figures: what the verdict rests on, in words.
    """
    folder, failed, base = Path(folder), Path(failed), Path(base)
    sizes = results.get("samples") or {"shifts": None, "descents": None}
    return render(
        "theorem.md", folder / "report.md", command=results["command"], figure=figure, failed=as_given(failed), base=as_given(base), figures=figures,
        summary=theorem_summary(results["linear"], results["shifts"], results["descents"], sizes=sizes), proofs=results["linear"],
        shifts=results["shifts"], finds=results["descents"], verdict=results["verdict"], linear=linear_words(results["linear"]),
        words=shift_words([Shift(**s) for s in results["shifts"]], results["total"]), sizes=sizes, budget=results.get("budget"), adapted=results["adapted"],
        levels=find_words([Descent(**f) for f in results["descents"]]), size_words=size_words, points=(ON_THE_WAY, AROUND),
    )  # fmt: skip
