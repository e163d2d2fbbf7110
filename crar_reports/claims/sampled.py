"""How a claim is decided on samples of transitions, where the complete rule of `crar_reports.claims.listed` asks for all there are.

A descent on a sample may still be gaining when its budget ends, and what holds on one sample need not on another: both are asked for here.
"""

from __future__ import annotations

from crar_model.core.files import Plain
from crar_model.core.ratio import LEAST
from crar_reports.claims.listed import (
    CLOSE,
    EXCEPTIONS,
    FAILS,
    FAR,
    HOLDS,
    LOW_SCORE,
    NEAR,
    UNDECIDED,
    VALLEY,
    Verdict,
    above,
    at_level,
    found,
    landscapes,
    ratios,
    same_finds,
)
from crar_reports.measure.paths import REFUTED
from landscape_tools import rank


def side(find: Plain) -> bool | None:
    """Whether a descent on a sample ends at the reference's level, with all that further steps are expected to gain, and on the independent sample as
    well; None where that is not known or the samples differ."""
    other = find.get("other_level")
    if other is None:
        return None
    if find["most"] <= CLOSE:
        return True if other <= CLOSE else None
    return False if find["least"] > CLOSE and other > CLOSE else None


def s3_sample(d: Plain) -> Verdict:
    """The same of every term on a sample."""
    ratio = ratios(d["failed_terms"], d)
    ratio.pop("total")
    text = ", ".join(f"{t} x{r:.2g}" for t, r in ratio.items())
    worst = max(ratio.values(), key=rank)
    return text, HOLDS if worst <= NEAR else EXCEPTIONS if worst < FAR or at_level(d["failed_terms"], d) else FAILS


def s6_sample(d: Plain) -> Verdict:
    """A barrier, by straight lines and, where there are any, by paths in the weights: bounds from above, which refute and never prove."""
    climbs = {space: line["total"]["climb"] for space, line in d["barriers"].items()}
    text = "straight " + ", ".join(f"{c:.2g} ({s})" for s, c in climbs.items())
    # 5,307 weights cannot set the states of all images freely, so a line of embeddings is no way that an encoder can go.
    low = min((climb for space, climb in climbs.items() if space != "embedding"), key=rank)
    drop = d["failed_terms"]["total"] - d["optimum_terms"]["total"]
    found = d.get("sampled")
    if found is None:
        return text, FAILS if drop > 0 and low < REFUTED * drop else UNDECIDED  # a climb on a straight line bounds from above only
    paths = found["paths"]
    way, own, other = paths["frozen"], found["failed"], paths["independent"]
    fall = way["start"] - way["end"]
    text += (
        f"; from where the descent ended: straight {paths['straight']:.2g}, path {way['barrier']:.2g} (dynamics free {paths['free']['barrier']:.2g}), "
        f"on the independent sample {other['frozen']:.2g}; drop {fall:.2g}"
    )
    if own["verdict"] == "not converged":
        return f"{text}; not from a stationary point", UNDECIDED
    if fall <= 0:
        return f"{text}; the descent ended at the reference's level, so there is nothing to pass", UNDECIDED
    least = max(REFUTED * min(paths["straight"], fall), LEAST)
    return text, FAILS if max(way["barrier"], other["frozen"], key=rank) < least else UNDECIDED


def s7_sample(d: Plain) -> Verdict:
    """A failed local minimum, of a sample and of an independent one."""
    found = d.get("sampled")
    if found is None:
        return "not asked for", UNDECIDED
    own, size, floor = found["failed"], found["sizes"]["sample"], found["floors"]["sample"]
    level = (own["loss"] - floor) / max(found["reference"]["loss"] - floor, LEAST)
    text = (
        f"on {size['transitions']:,} transitions of {size['maps']} maps, {size['terminal']} terminal: {own['verdict']} ({own['reason']}); with an independent "
        f"sample: {own['both']} ({own['both_reason']}); above the floor x{level:.3g} of the reference's, embedding there {own['match']['verdict']}"
    )
    if own["both"] == "saddle":
        return text, FAILS
    if own["both"] != "minimum":
        return text, UNDECIDED
    if level <= CLOSE:
        return f"{text}; at the reference's level, so no failed minimum", FAILS
    return text, EXCEPTIONS if own["match"]["verdict"] == "matched" else HOLDS


def s9_sample(d: Plain) -> Verdict:
    """The same on samples, where a descent that is not at a stationary point may still be expected to end at the reference's level, or above it."""
    if "shifts" not in d:
        return "not measured here: `crar theorem`, or `--full`", UNDECIDED
    text, still, same, other = landscapes(d)
    finds = d.get("descents")
    if finds:
        text += found(finds, "")
        others_levels = [f.get("other_level") for f in finds]
        told = "not asked" if None in others_levels else "x" + ", x".join(f"{level:.3g}" for level in others_levels)
        text += f"; on the independent sample {told}"
    if not (still and same):
        return f"{text}; the measurement is not exact", UNDECIDED
    if other is None:
        return text, UNDECIDED
    if not other:
        return text, FAILS
    if not finds:
        return f"{text}; what descent finds was not looked at", UNDECIDED
    own, *others = [side(f) for f in finds]
    if {True, False} <= {own, *others}:
        what = "left and reached" if own is None else "left" if own else "reached"
        return f"{text}; the reference's level is {what} by other dynamics", EXCEPTIONS
    if any(f["verdict"] in ("not converged", "undecided") for f in finds):
        ends = {own, *others}
        where = (
            "; all end above the reference's level" if ends == {False} else "; all end at the reference's level" if ends == {True} else ""
        )
        return f"{text}{where}; what descent finds is not known", UNDECIDED
    if None in (own, *others):
        return f"{text}; whether at the reference's level is not known", UNDECIDED
    return same_finds(text, finds)


def s10_sample(d: Plain) -> Verdict:
    """A valley beside the frozen slice, and where there are paths a lower way to it."""
    base, failed, adapted, released = (
        above(terms, d) for terms in (d["optimum_terms"], d["failed_terms"], d["adapted"]["terms"], d["released"]["terms"])
    )
    text = f"above the floor: {base:.3g} (reference), {adapted:.3g} (failed, adapted), {failed:.3g} (failed, on the slice)"
    lower, found = True, d.get("sampled")
    if found is not None:
        on, off = found["paths"]["frozen"]["barrier"], found["paths"]["free"]["barrier"]
        lower = off < 0.5 * on
        text += f", {released:.3g} (released); highest point of the best path {on:.2g} on the slice, {off:.2g} off it"
    if adapted > VALLEY * base:
        return text, FAILS if d["adapted"]["converged"] else UNDECIDED  # a short training decides nothing
    if failed <= VALLEY * base:
        return f"{text}; the frozen slice has the valley already, so there is nothing to open", UNDECIDED
    return text, HOLDS if lower else EXCEPTIONS


def s11_sample(d: Plain) -> Verdict:
    """Small losses beside the lowest score."""
    failed, base = d["failed_score"], d["copy_score"]
    ratio = ratios(d["failed_terms"], d, "copy_terms")
    ratio.pop("total")
    term = max(ratio, key=lambda name: ratio[name])
    text = (
        f"score {failed['mean']:.2f} ({failed['low']:.2f} to {failed['high']:.2f}), base {base['mean']:.2f} ({base['low']:.2f} to "
        f"{base['high']:.2f}); largest ratio of a term {ratio[term]:.2g} ({term})"
    )
    if not failed["high"] < 0:
        return f"{text}; {'no failure' if failed['low'] > 0 else 'the interval does not say whether it failed'}", UNDECIDED
    if ratio[term] > NEAR:
        return text, EXCEPTIONS if failed["high"] < LOW_SCORE and ratio[term] < FAR else FAILS
    if failed["high"] < LOW_SCORE:
        return text, HOLDS
    return text, EXCEPTIONS if failed["low"] > LOW_SCORE else UNDECIDED
