"""`crar theorem`: a change of the dynamics changes the encoder's loss landscape (claim S9)."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import sympy as sp

from crar_model.errors import UserError
from crar_model.files import StrPath, write_text
from crar_model.params import DYNAMICS
from reports.figures.shifts import shifts_figure
from reports.figures.style import save_figure
from reports.markdown import render
from reports.measure.linear_theorem import statements
from reports.measure.release import adapt
from reports.measure.shifts import SHARES, descents, landscape_shifts
from reports.measure.subject import load_subject
from reports.rules import s9
from reports.summaries import theorem_summary


def example(values: dict[sp.Symbol, sp.Expr]) -> str:
    """An exception's substitution as text."""
    return ", ".join(f"{symbol} = {sp.sstr(value)}" for symbol, value in values.items())


def write_theorem(failed: StrPath, base: StrPath, folder: StrPath, *, image: str = "png", command: str = "") -> Path:
    """Write `report.md`, `results.json` and a figure; returns the report's path.

    Args:
        failed, base: the pair of models whose encoder landscape is followed.
        folder: made if missing.
        image: "png" or "svg".
        command: shown in the report.
    """
    if image not in ("png", "svg"):
        raise UserError(f"--format is {image!r}; choose png or svg")
    failed, base, folder = Path(failed), Path(base), Path(folder)
    subject = load_subject(failed, base, complete_only=True)
    adapted = adapt(subject, DYNAMICS)
    shifts = landscape_shifts(subject, adapted.params)
    finds = [asdict(f) for f in descents(subject, adapted.params)]
    moved = [asdict(s) for s in shifts]
    total = float(subject.terms(subject.failed)["total"])
    decided = s9({"failed_terms": {"total": total}, "shifts": moved, "descents": finds})
    figure = save_figure(shifts_figure(shifts, SHARES), folder / "shifts", image)
    proofs = [
        {
            "name": s.name, "claim": s.claim, "identity": s.identity, "proven": s.proven,
            "exceptions": [
                {"name": name, "where": example(values), "difference": sp.sstr(sp.simplify(s.difference.subs(values, simultaneous=True)))}
                for name, values in s.exceptions
            ],
        }
        for s in statements()
    ]  # fmt: skip
    results = {"command": command, "failed": subject.failed_file.digest, "base": subject.optimum_file.digest}
    write_text(
        folder / "results.json",
        json.dumps(results | {"linear": proofs, "shifts": moved, "descents": finds, "verdict": decided[1]}, indent=1) + "\n",
    )
    return render(
        "theorem.md", folder / "report.md", command=command, summary=theorem_summary(proofs, moved), proofs=proofs, shifts=shifts,
        figure=figure.name, failed=failed, base=base, finds=finds, decided=decided,
    )  # fmt: skip
