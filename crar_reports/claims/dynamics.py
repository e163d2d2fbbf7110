"""Claims S9 and S10: what a change of the dynamics does to the encoder's landscape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crar_model.core.ratio import ratio
from crar_reports.claims.evidence import Alone, Listed, Pair, Samples
from crar_reports.claims.losses import CLOSE, LOWER, above, to_reference
from crar_reports.claims.reading import need
from crar_reports.claims.record import EXCEPTIONS, FAILS, HOLDS, UNDECIDED, Claim, Found, Measure, Rule, Verdict, part, percent
from crar_reports.measure.shifted_descents import Descent
from crar_reports.measure.shifts import Shift

VALLEY = 1.25
"""Ratio to the reference of a total above its floor that lies in a valley."""
LOWER_WAY = 0.5
"""Share of the frozen path's barrier that a way off the slice stays below to be a lower one."""
ROUNDING = 1e-9
"""Relative change of a landscape up to which it is the same."""
SAME_LEVEL, SAME_PLACE = 0.1, 0.1
"""Two descents find the same where levels differ by this share at most, and embeddings by this many mean edges (root mean square)."""


def symmetry(shift: Shift) -> bool:
    """Whether a way of moving the dynamics should leave the landscape as it is."""
    return shift.way.startswith(("hidden units", "mirrored, seen"))


def rounding(shift: Shift, total: float) -> bool:
    """Whether a landscape changed by no more than rounding of a total loss."""
    return shift.values <= ROUNDING * abs(total) and shift.gradients <= ROUNDING


def landscapes(e: Pair, finds: str) -> tuple[str, Verdict | None]:
    """What moved dynamics do to the encoder's landscape: the figures in words, with what descents find, and the verdict where these figures alone decide.

    They do where unmoved dynamics do not leave it exactly, or symmetries, of which there must be one, up to rounding: they are exact, so the measurement is
    wrong. And where nothing moved, or another move changes it by no more than rounding.
    """
    shifts, size = need(e.shifts), abs(e.failed_terms.total)
    still = all(s.values == 0 and s.gradients == 0 for s in shifts if s.distance == 0)
    symmetric = [s for s in shifts if symmetry(s)]
    same = bool(symmetric) and all(rounding(s, size) for s in symmetric)
    moved = [s for s in shifts if s.distance > 0 and "of the way" in s.way]
    per = [ratio(s.values, s.distance) for s in moved]
    symmetries = ("the same" if same else "another landscape") if symmetric else "not measured"
    moves = f"other moves: loss moves {min(per):.2g} to {max(per):.2g} per unit of the dynamics" if per else "the dynamics did not move"
    changed = all(s.values > ROUNDING * size and s.gradients > ROUNDING for s in moved)
    text = f"unmoved: {'exactly the same' if still else 'not the same'}; symmetries: {symmetries}; {moves}{finds}"
    if not (still and same):
        return f"{text}; the measurement is not exact", UNDECIDED
    return text, UNDECIDED if not moved else None if changed else FAILS


def found(finds: Sequence[Descent], article: str) -> str:
    """What descents ended in, in words."""
    apart = [f", {find.apart:.2g} edges from its own" if find.apart else "" for find in finds]
    words = (f"{article}{f.verdict} x{f.level:.3g} ({f.way}, {f.match}{far})" for f, far in zip(finds, apart, strict=True))
    return f"; descent finds {', '.join(words)}"


def same_finds(text: str, finds: Sequence[Descent]) -> Found:
    """Whether converged descents under moved dynamics find what the model's own find."""
    own, *others = finds
    answers = [same_find(own, one) for one in others]
    if False in answers:
        return f"{text}; not the same", EXCEPTIONS
    if None in answers:
        return f"{text}; the same level, and how far apart the embeddings are is not known", UNDECIDED
    return f"{text}; the same", FAILS


def same_find(own: Descent, other: Descent) -> bool | None:
    """Whether two descents end at one level and in one embedding; None where the levels agree and the distance was not measured."""
    if not abs(other.level - own.level) <= SAME_LEVEL * own.level:
        return False
    return None if other.apart is None else other.apart <= SAME_PLACE


def unsettled(finds: Sequence[Descent]) -> bool:
    """Whether a descent did not converge, or its certificate says nothing."""
    return any(find.verdict in ("not converged", "undecided") for find in finds)


def s9(e: Listed) -> Found:
    """Three answers: unmoved dynamics leave the landscape, symmetries leave it, other moves change it and what descent finds in it. Symmetries are
    always there, so the claim never holds without exceptions."""
    finds = e.descents or []
    text, verdict = landscapes(e, found(finds, "a ") if finds else "")
    if verdict:
        return text, verdict
    if not finds or unsettled(finds):
        return f"{text}; what descent finds is not known", UNDECIDED
    return same_finds(text, finds)


def side(find: Descent) -> bool | None:
    """Whether a descent on a sample ends at the reference's level, with all that further steps are expected to gain, and on the independent sample as
    well; None where that is not known or the samples differ."""
    other = find.other_level
    if other is None:
        return None
    if find.most <= CLOSE:
        return True if other <= CLOSE else None
    return False if find.least > CLOSE and other > CLOSE else None


def s9_sample(e: Samples) -> Found:
    """The same on samples, where a descent that is not at a stationary point may still be expected to end at the reference's level, or above it."""
    if e.shifts is None:
        return "not measured here: `crar theorem`, or `--full`", UNDECIDED
    finds = e.descents or []
    levels = [find.other_level for find in finds]
    there = "not asked" if None in levels else "x" + ", x".join(f"{level:.3g}" for level in levels)
    text, verdict = landscapes(e, f"{found(finds, '')}; on the independent sample {there}" if finds else "")
    if verdict:
        return text, verdict
    if not finds:
        return f"{text}; what descent finds was not looked at", UNDECIDED
    ends = [side(find) for find in finds]
    if True in ends and False in ends:
        what = {None: "left and reached", True: "left", False: "reached"}[ends[0]]
        return f"{text}; the reference's level is {what} by other dynamics", EXCEPTIONS
    if unsettled(finds):
        where = {False: "; all end above the reference's level", True: "; all end at the reference's level"}
        return f"{text}{where[ends[0]] if ends[0] is not None and len(set(ends)) == 1 else ''}; what descent finds is not known", UNDECIDED
    if None in ends:
        return f"{text}; whether at the reference's level is not known", UNDECIDED
    return same_finds(text, finds)


def s9_alone(e: Alone) -> Found:
    """Unmoved dynamics leave the landscape, others change it."""
    same = all(s.values == 0 and s.gradients == 0 for s in e.shifts if s.distance == 0)
    per = [ratio(s.values, s.distance) for s in e.shifts if s.distance > 0 and "of the way" in s.way]
    text = f"loss moves {min(per):.2g} to {max(per):.2g} per unit of the dynamics; exactly 0 unmoved: {'yes' if same else 'no'}"
    return text, EXCEPTIONS if same and min(per) > 0 else FAILS


NOTHING_TO_OPEN = "; the frozen slice has the valley already, so there is nothing to open"


def s10(e: Listed) -> Found:
    """A valley beside the frozen slice, and a way to it that the slice lacks."""
    base, adapted, released = (above(terms, e) for terms in (e.optimum_terms, e.adapted.terms, e.released.terms))
    on_slice = above(e.certificate.terms if e.certificate else e.failed_terms, e)
    on, valleys, off = e.paths.frozen.barrier, e.paths.valleys, e.paths.free.barrier
    text = f"above the floor: {base:.3g} (reference), {on_slice:.3g} (failed, on the slice), {adapted:.3g} (adapted), {released:.3g} (released)"
    text += f"; highest point of the best path {on:.2g} above its start on the slice, {off:.2g} off it"
    if valleys is not None:
        text += f", {valleys.barrier:.2g} from valley to valley"
    if on_slice <= VALLEY * base:
        return f"{text}{NOTHING_TO_OPEN}", UNDECIDED
    if adapted <= VALLEY * base:
        return text, HOLDS if off < LOWER_WAY * on else EXCEPTIONS
    if released <= VALLEY * base:
        return text, EXCEPTIONS
    return text, FAILS if e.adapted.converged and e.released.converged else UNDECIDED


def s10_sample(e: Samples) -> Found:
    """A valley beside the frozen slice, and where there are paths a lower way to it."""
    base, failed, adapted, released = (above(terms, e) for terms in (e.optimum_terms, e.failed_terms, e.adapted.terms, e.released.terms))
    text = f"above the floor: {base:.3g} (reference), {adapted:.3g} (failed, adapted), {failed:.3g} (failed, on the slice)"
    lower_way = True
    if e.sampled is not None:
        on, off = e.sampled.paths.frozen.barrier, e.sampled.paths.free.barrier
        lower_way = off < LOWER_WAY * on
        text += f", {released:.3g} (released); highest point of the best path {on:.2g} on the slice, {off:.2g} off it"
    if failed <= VALLEY * base:
        return f"{text}{NOTHING_TO_OPEN}", UNDECIDED
    if adapted > VALLEY * base:
        return text, FAILS if e.adapted.converged else UNDECIDED  # a short training decides nothing
    return text, HOLDS if lower_way else EXCEPTIONS


def s10_alone(e: Alone) -> Found:
    """A lower valley off the slice."""
    here, adapted = e.terms.total, e.adapted.terms.total
    text = f"total {here:.3g} on the frozen slice, {adapted:.3g} with adapted dynamics (floor {e.floor:.3g})"
    return text, HOLDS if max(adapted - e.floor, 0.0) < LOWER * max(here - e.floor, 0.0) else FAILS


WITHIN = f"off the slice a valley within {percent(VALLEY - 1)} of the reference's total above the floor"
PER_UNIT: Measure[Any] = Measure(
    "loss moved per unit of the dynamics, 1 % of the way", lambda e: ratio(need(e.shifts)[2].values, need(e.shifts)[2].distance)
)
S9 = Claim(
    "S9", "a change of the dynamics changes the encoder's landscape",
    listed=Rule(
        "unmoved dynamics and symmetries leave it exactly (exceptions that are always there, so it never plainly holds); other moves change it beyond rounding and "
        f"change what descent finds: the level by more than {percent(SAME_LEVEL)}, or the embedding by more than {part(SAME_PLACE)} a mean edge", s9, (PER_UNIT,),
    ),
    samples=Rule(
        "on samples, unmoved dynamics and symmetries leave it exactly (the exceptions), other moves change it beyond rounding and change what descent finds: where "
        f"one of the descents ends within {percent(CLOSE - 1)} of the reference's total above the floor and another does not, each by more than its further steps are "
        "expected to gain and on the independent sample too, or as where all transitions are listed", s9_sample, (PER_UNIT,),
    ),
    alone=Rule("0 unmoved, above 0 moved; exceptions: symmetries, see `crar theorem`", s9_alone),
)  # fmt: skip
S10 = Claim(
    "S10", "freezing removes one dimension of the surface encoder x dynamics",
    listed=Rule(
        f"{WITHIN}, and a path whose highest point is {part(LOWER_WAY)} as high; exceptions: the valley without the lower path, or only where the encoder moves too; "
        "a slice that has the valley already decides nothing", s10,
        (
            Measure("total above the floor under adapted dynamics over the reference's", lambda e: to_reference(e.adapted.terms, e).total),
            Measure("barrier between the released valley and the base's, all free", lambda e: need(e.paths.valleys).barrier),
        ),
    ),
    samples=Rule(f"{WITHIN}, and a path {part(LOWER_WAY)} as high; a slice that has the valley already decides nothing", s10_sample),
    alone=Rule(f"a valley at least {percent(1 - LOWER)} lower, above the floor, off the frozen slice at its own encoder", s10_alone),
)  # fmt: skip
