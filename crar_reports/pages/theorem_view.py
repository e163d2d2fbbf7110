"""The words and tables of the page of `crar theorem`, from what its `results.json` holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from crar_model.core.words import plural
from crar_reports.claims.dynamics import rounding, side, symmetry
from crar_reports.claims.record import Verdict
from crar_reports.measure.linear_theorem import Proof
from crar_reports.measure.sample_minimum import Budget
from crar_reports.measure.shifted_descents import Descent
from crar_reports.measure.shifts import AROUND, ON_THE_WAY, POINTS, Shift
from crar_reports.pages import plain_words
from crar_reports.press.markdown import Lines, number, table
from crar_reports.press.nouns import size_words


@dataclass(frozen=True)
class Fit:
    """How the dynamics were adapted, and in how many steps."""

    how: str
    steps: int


@dataclass(frozen=True)
class Sizes:
    """Of the samples that shifts and descents are of; None where the transitions are all there are."""

    shifts: dict[str, int] | None = None
    descents: dict[str, dict[str, int]] | None = None


class Theorem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What `results.json` of `crar theorem` holds: digests of both models, the linear case, total loss of the failed model, and what was measured."""

    command: str
    failed: str
    base: str
    linear: list[Proof]
    total: float
    shifts: list[Shift]
    descents: list[Descent]
    verdict: Verdict
    adapted: Fit
    samples: Sizes | None = None
    budget: Budget | None = None


def theorem_view(r: Theorem) -> dict[str, object]:
    """What the template places."""
    linear, sizes = r.linear, r.samples or Sizes()
    how = "iterations of descent" if r.adapted.how == "descent" else "updates of training on fresh data"
    rows = [(s.way, s.distance, s.values, s.values / s.distance if s.distance > 0 else 0.0, s.gradients) for s in r.shifts]
    return {
        "plainly": plain_words.theorem(proven=all(p.proven for p in linear), exceptions=any(p.kept for p in linear), verdict=r.verdict),
        "statements": "\n\n".join(map(_statement, linear)), "linear": linear_words(linear), "points": (ON_THE_WAY, AROUND),
        "sampled": f", on a sample of {size_words(sizes.shifts)}: a landscape here is that of a sample" if sizes.shifts else "",
        "fitted": f"{r.adapted.steps:,} {how}", "verdict": r.verdict, "words": "\n".join(shift_words(r.shifts, r.total)),
        "shifts": table(["dynamics", "moved by", "change of the loss (rms)", "per unit moved", "change of the gradient, relative"], rows),
        "descents": _descents(r.descents, sizes.descents, r.budget),
    }  # fmt: skip


def theorem_summary(r: Theorem) -> Lines:
    """The page's opening."""
    proofs, sizes = r.linear, r.samples or Sizes()
    proven, exceptions = sum(p.proven for p in proofs), sum(len(p.kept) for p in proofs)
    moved = [s for s in r.shifts if "of the way" in s.way and s.distance > 0]
    still = [s for s in r.shifts if "of the way" in s.way and s.distance == 0]
    far, same = max(moved, key=lambda s: s.values), [s for s in r.shifts if s not in moved and s not in still]
    where = f"at {POINTS} encoders, in float64"
    levels = ", ".join(f"{number(f.level)} ({f.way})" for f in r.descents)
    if sizes.shifts and sizes.descents:
        where += f", on {size_words(sizes.shifts)}; its descents are of {size_words(sizes.descents['sample'])}"
    return [
        ("Asked", "does a change of the dynamics change the encoder's loss landscape (claim S9)?"),
        (
            "Proven",
            f"{proven} of {len(proofs)} statements of the linear case, with {plural(exceptions, 'exception')} that leave no difference.",
        ),
        (
            "Measured",
            f"moved by {number(far.distance)}, the dynamics of a trained model change its encoder's losses by up to "
            f"{number(far.values)} (rms); not moved, by {number(max((s.values for s in still), default=float('nan')))}. "
            f"A descent ends at {levels} times the reference's excess loss.",
        ),
        ("Exceptions", "; ".join(f"{s.way}: {number(s.values)} at a distance of {number(s.distance)}" for s in same) + "."),
        (
            "How sure",
            f"the linear case is {'proven symbolically' if proven == len(proofs) else 'not proven in full'}; the trained model is one pair, {where}.",
        ),
    ]


def linear_words(proofs: Sequence[Proof]) -> str:
    """What the linear case comes to."""
    open_ones = [p.name for p in proofs if not p.proven]
    if open_ones:
        return f"So the theorem is **not proven** here: SymPy does not reduce {'; '.join(open_ones)}."
    texts = [f"{p.name}: {', '.join(p.kept)}" for p in proofs if p.kept]
    if not texts:
        return "So the theorem **holds**: no exception leaves the difference 0."
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
    """Whether descents on samples end at the reference's excess loss, whatever their further steps gain."""
    words = {True: "at the reference's excess loss", False: "above it", None: "not known to end at it or above it"}
    return "; ".join(f"{f.way}: {words[side(f)]}, {number(f.least)} to {number(f.most)} times" for f in finds)


def _statement(proof: Proof) -> str:
    how = "SymPy reduces it to 0" if proof.proven else "NOT proven"
    rows = [(e.name, e.where, e.difference) for e in proof.exceptions]
    said = f"{proof.claim}. Identity: `{proof.identity}` ({how})."
    return f"### {proof.name.capitalize()}\n\n{said}\n\n{table(['exception', 'where', 'difference there'], rows)}"


def _descents(finds: Sequence[Descent], sizes: dict[str, dict[str, int]] | None, budget: Budget | None) -> str:
    """What descents find in the moved landscapes: of all transitions, or of a sample and an independent one."""
    if sizes is None or budget is None:
        rows: list[tuple[object, ...]] = [(f.way, f.verdict, f.match, f.loss, f.level) for f in finds]
        header = ["dynamics", "stationary point", "its embedding", "total loss", "above the floor, over the reference's"]
        return (
            f"What a descent of the failed embedding finds in these landscapes, the dynamics all of the way moved:\n\n{table(header, rows)}"
        )
    rows = [(f.way, f.verdict, f.reason, f.match, f.steps, f.loss, f.level, f"{number(f.least)} and {number(f.most)}") for f in finds]
    header = [
        "dynamics",
        "point",
        "why",
        "its embedding",
        "steps",
        "total loss",
        "above the floor, over the reference's",
        "expected to end between",
    ]
    return (
        f"What a descent of the failed encoder's weights finds in these landscapes, the dynamics all of the way moved: at most {budget.iterations} steps of L-BFGS, on "
        f"{size_words(sizes['sample'])}. An independent sample of {size_words(sizes['independent'])} is asked at the same points; the verdict is that of both. The reference is the "
        f"base's copy, converged as far.\n\n{table(header, rows)}\n\n"
        f"Excess loss over the reference's, with what further steps are expected to gain (twice what the second half of the steps gained): {find_words(finds)}."
    )
