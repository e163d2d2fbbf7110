"""How each claim is decided from the figures of one pair: `Dissection.plain()` -> (the measured figures in words, the verdict).

What losses are held against is the reference: the base's copy, converged under the frozen dynamics as the failed model is. Totals are compared above
their floor, which the moves that change nothing give to `consecutive`. S3 and S8 measure nearness by the same ratios, so that the same figures cannot
bring out "holds" of the one and "does not hold" of the other.
"""

from __future__ import annotations

import math

from crar_model.agent.loss import FOLLOWED
from crar_model.core.files import Plain
from crar_model.core.ratio import LEAST, ratio
from crar_model.models.merit import FAILED, SUCCESSFUL, outcome
from crar_reports.measure.paths import REFUTED
from landscape_tools import rank

HOLDS, EXCEPTIONS, FAILS, UNDECIDED = "holds", "holds with exceptions", "does not hold", "undecided"
Verdict = tuple[str, str]
COMPARED = tuple(term for term in FOLLOWED if term != "value")
"""Terms that do not depend on bootstrap values."""
NEAR, FAR, CLOSE, VALLEY = 2.0, 10.0, 1.1, 1.25
"""Ratios to the reference: of a term that is near, and that is not far; of a total above its floor at the reference's level; of one in a valley."""
GOOD_BASE = 0.97
"""Least share of transitions that a base must predict, for its losses to be what a failed model is held against."""
MARGINAL = 1e-3
"""A multiplier below this is said to hold marginally."""
LOW_SCORE = -4.0
"""A score whose whole interval lies below this is the lowest there is: no key found."""
ROUNDING = 1e-9
"""Relative change of a landscape up to which it is the same."""
SAME_LEVEL, SAME_PLACE = 0.1, 0.1
"""Two descents find the same where levels differ by this share at most, and embeddings by this many mean edges (root mean square)."""


def above(terms: dict[str, float], d: Plain) -> float:
    """A total above its floor."""
    return float(terms["total"] - d["floor"]["total"])


def ratios(terms: dict[str, float], d: Plain, reference: str = "optimum_terms") -> dict[str, float]:
    """Every term that has no bootstrap value over the reference's, `consecutive` and the total above their floors."""
    base, floor = d[reference], d["floor"]
    found = {t: terms[t] / max(base[t], LEAST) for t in COMPARED}
    found["consecutive"] = (terms["consecutive"] - floor["consecutive"]) / max(base["consecutive"] - floor["consecutive"], LEAST)
    return found | {"total": above(terms, d) / max(above(base, d), LEAST)}


def structure(ratio: dict[str, float]) -> float:
    """The larger ratio of the terms that keep states apart; NaN where one is."""
    return max(ratio["random_pairs"], ratio["consecutive"], key=rank)


def at_level(terms: dict[str, float], d: Plain) -> bool:
    """Whether losses are at the reference's level: transition within a factor 2, total above its floor within 10 %."""
    ratio = ratios(terms, d)
    return ratio["transition"] <= NEAR and ratio["total"] <= CLOSE


def does(d: Plain) -> str:
    """What a transfer is by the one definition of success (`crar_model.models.merit`): "failed", "successful" or, where an interval decides nothing, "open"."""
    if "failed_score" in d:
        return outcome({}, score=(d["failed_score"]["low"], d["failed_score"]["high"]))
    names: tuple[str, ...] = ("accuracy", "navigation")
    shares = {name: (d[name][0], d[name][-1]) for name in names if name in d}
    return outcome(shares, matched=d["match"]["verdict"] == "matched" if d.get("same_dynamics", True) else None)


def looks(d: Plain) -> str:
    """The same by what its embedding looks like alone."""
    return SUCCESSFUL if d["match"]["verdict"] == "matched" else FAILED


def s1(d: Plain) -> Verdict:
    """Odd embeddings."""
    odd, even = d["oddness"]
    return f"norm of e(-s)+e(s) {odd:.2g}, of e(-s)-e(s) {even:.2g} edges", HOLDS if odd < 0.25 * even else FAILS


def s2(d: Plain) -> Verdict:
    """Swapped embeddings."""
    m = d["match"]
    verdict = HOLDS if m["verdict"] == "swapped" else FAILS
    return (
        f"{m['verdict']}; best axes {m['axes']}, residual {m['residual_edges']:.2g} mean moves (identity {m['identity_edges']:.2g})",
        verdict,
    )


def s3(d: Plain) -> Verdict:
    """Losses near the reference's."""
    ratio = ratios(d["failed_terms"], d)
    text = f"transition x{ratio['transition']:.3g}, random_pairs x{ratio['random_pairs']:.2g}, consecutive x{ratio['consecutive']:.2g}"
    base = d["accuracy"][-1]
    if base < GOOD_BASE:
        return f"{text}; its base predicts {100 * base:.0f} % only", UNDECIDED
    if max(ratio["transition"], structure(ratio), key=rank) <= NEAR:
        return text, HOLDS
    return text, EXCEPTIONS if at_level(d["failed_terms"], d) or (structure(ratio) <= NEAR and ratio["transition"] < FAR) else FAILS


def s4(d: Plain) -> Verdict:
    """Errors of single transitions."""
    e = d["errors"]
    text = (
        f"in local edges: largest {e['largest']:.2g}, mean {e['mean']:.2g}; {100 * e['above_two']:.0f} % of {e['moves']} moves above 2, "
        f"{100 * e['above_at_door']:.0f} % of those at a door; near a side {e['near']:.2g}, elsewhere {e['far']:.2g}; "
        f"{100 * e['worst_share']:.0f} % of the error on {e['worst']} moves, {e['worst_at_door']} of them at a door; near a side "
        f"{e['near_states']} of {e['states']} states ({e['board_near']} of {e['board']} cells as drawn); two mean edges {e['two_edges']:.2g} (said: 0.66)"
    )
    bounded = e["above_two"] == 0 and not e["near"] > 1
    return text, HOLDS if bounded else EXCEPTIONS if e["above_two"] < 0.1 or e["above_at_door"] == 1 else FAILS


def s5(d: Plain) -> Verdict:
    """Midpoints and peaks of the pairwise terms."""
    line = d["barriers"]["embedding"]
    peaks = {t: line[t]["where"] for t in ("random_pairs", "consecutive") if t in line}
    text = f"midpoints {d['midpoint']:.2g} edges from 0; peaks at t = " + ", ".join(f"{w:.2f} ({t})" for t, w in peaks.items())
    if len(peaks) < 2:
        return text, UNDECIDED
    middle = all(0.4 <= w <= 0.6 for w in peaks.values())
    return text, HOLDS if middle and d["midpoint"] < 0.5 else EXCEPTIONS if middle or d["midpoint"] < 0.5 else FAILS


def s6(d: Plain) -> Verdict:
    """A barrier. A path found bounds it from above: it refutes, and only the failure of several unlike searches speaks for one."""
    paths, c = d["paths"], d["certificate"]
    found, climb = paths["frozen"], paths["straight"][paths["space"]]
    searches = {name: search["barrier"] for name, search in paths["searches"].items()}
    drop = found["start"] - found["end"]
    text = "straight " + ", ".join(f"{x:.2g} ({s})" for s, x in paths["straight"].items())
    text += f"; lowest of {len(searches)} searches {found['barrier']:.2g}; drop to the reference {drop:.2g}"
    if c is None or c["verdict"] == "not converged":
        return f"{text}; not from a stationary point", UNDECIDED
    if drop <= 0 or c["match"]["verdict"] == "matched":
        return f"{text}; the descent ended at the reference, so there is nothing to pass", UNDECIDED
    limit = max(REFUTED * min(climb, drop), LEAST)
    if found["barrier"] < limit:
        missing = no_encoders(paths, limit)
        return (f"{text}; {missing}", UNDECIDED) if missing else (text, FAILS)
    unlike = len(searches) >= 5 and not d["quick"]
    return text, HOLDS if unlike and found["barrier"] > 0.5 * climb else UNDECIDED


def no_encoders(paths: Plain, limit: float) -> str:
    """Why no encoder is shown to take a path of embeddings that stays below a limit; "" where one is, or where the path is of weights."""
    if paths["space"] != "embedding":
        return ""
    lifted = paths.get("lifted")
    if lifted is None:
        return "the path was not lifted to weights, so no encoder is shown to take it"
    if not lifted["reached"] >= 1:
        return f"its lift to weights stops at {lifted['reached']:.2g} of the way, so no encoder is shown to take it"
    if not lifted["barrier"] < limit:
        return f"lifted to weights it climbs {lifted['barrier']:.2g}"
    return ""


def s7(d: Plain) -> Verdict:
    """A failed local minimum: a valid certificate of a point that is not the reference's."""
    c = d["certificate"]
    if c is None:
        return "not asked for", UNDECIDED
    level = above({"total": c["loss"]}, d) / max(above(d["optimum_terms"], d), LEAST)
    text = f"{c['verdict']} at {c['loss']:.3g}, above the floor x{level:.3g} of the reference's; embedding there {c['match']['verdict']}"
    if c["multiplier_slack"] is not None and not math.isnan(c["multiplier_slack"]):
        marginal = " (marginal)" if c["multiplier_slack"] < MARGINAL else ""
        text += f"; smallest multiplier {c['multiplier_slack']:.2g}{marginal}"
    if c["verdict"] not in ("minimum", "saddle"):
        return f"{text}; {c['reason']}", UNDECIDED
    if c["verdict"] == "saddle":
        return text, FAILS
    if level <= CLOSE:
        return f"{text}; at the reference's level, so no failed minimum", FAILS
    return text, EXCEPTIONS if c["match"]["verdict"] == "matched" else HOLDS


def s8(d: Plain) -> Verdict:
    """A way out once the dynamics are trained."""
    released, adapted = d["released"], d["adapted"]
    text = "; ".join(
        f"{what}: transition x{ratio['transition']:.3g}, total above the floor x{ratio['total']:.3g}"
        for what, ratio in (
            ("failed", ratios(d["failed_terms"], d)),
            ("dynamics alone", ratios(adapted["terms"], d)),
            ("everything", ratios(released["terms"], d)),
        )
    )
    crossed = released["match"]["verdict"] == "matched" and d["match"]["verdict"] != "matched"
    text += "; the embedding crosses over" if crossed else f"; the embedding stays {released['match']['verdict']}"
    if at_level(d["failed_terms"], d):
        return f"{text}; at the reference's level before, so there is nothing to open", UNDECIDED
    if at_level(released["terms"], d) or at_level(adapted["terms"], d):
        return text, HOLDS
    if not released["converged"]:
        return f"{text}; not converged after {_steps(released)}", UNDECIDED
    ratio = ratios(released["terms"], d)
    nearly = max(ratio["transition"], structure(ratio), key=rank) <= NEAR or (
        ratio["total"] <= CLOSE and ratio["transition"] < FAR and structure(ratio) <= NEAR
    )
    return text, EXCEPTIONS if nearly else FAILS


def _steps(released: Plain) -> str:
    return next(
        f"{released[unit]} {unit} of {how}" for unit, how in (("iterations", "descent"), ("updates", "training")) if unit in released
    )


def s9(d: Plain) -> Verdict:
    """Three answers: unmoved dynamics leave the landscape, symmetries leave it, other moves change it and what descent finds in it. Symmetries are
    always there, so the claim never holds without exceptions."""
    text, still, same, other = landscapes(d)
    finds = d.get("descents")
    if finds:
        text += found(finds)
    if not (still and same):
        return f"{text}; the measurement is not exact", UNDECIDED
    if other is None:
        return text, UNDECIDED
    if not other:
        return text, FAILS
    if not finds or any(f["verdict"] in ("not converged", "undecided") for f in finds):
        return f"{text}; what descent finds is not known", UNDECIDED
    return same_finds(text, finds)


def same_finds(text: str, finds: list[Plain]) -> Verdict:
    """Whether converged descents under moved dynamics find what the model's own find."""
    own, *others = finds
    answers = [same_find(own, one) for one in others]
    if False in answers:
        return f"{text}; not the same", EXCEPTIONS
    if None in answers:
        return f"{text}; the same level, and how far apart the embeddings are is not known", UNDECIDED
    return f"{text}; the same", FAILS


def same_find(own: Plain, other: Plain) -> bool | None:
    """Whether two descents end at one level and in one embedding; None where the levels agree and the distance was not measured."""
    if not abs(other["level"] - own["level"]) <= SAME_LEVEL * own["level"]:
        return False
    apart = other.get("apart")
    return None if apart is None else bool(apart <= SAME_PLACE)


def landscapes(d: Plain) -> tuple[str, bool, bool, bool | None]:
    """Of the encoder's landscape under moved dynamics: the figures in words, whether unmoved dynamics leave it exactly, whether symmetries, of which
    there must be one, leave it up to rounding (they are exact: otherwise the measurement is wrong), and whether every other move changes it by more; None
    where nothing moved."""
    size = abs(d["failed_terms"]["total"])
    still = all(s["values"] == 0 and s["gradients"] == 0 for s in d["shifts"] if s["distance"] == 0)
    symmetric = [s for s in d["shifts"] if symmetry(s)]
    same = bool(symmetric) and all(rounding(s, size) for s in symmetric)
    moved = [s for s in d["shifts"] if s["distance"] > 0 and "of the way" in s["way"]]
    other = all(s["values"] > ROUNDING * size and s["gradients"] > ROUNDING for s in moved) if moved else None
    per = [ratio(s["values"], s["distance"]) for s in moved]
    symmetries = ("the same" if same else "another landscape") if symmetric else "not measured"
    moves = f"other moves: loss moves {min(per):.2g} to {max(per):.2g} per unit of the dynamics" if per else "the dynamics did not move"
    return f"unmoved: {'exactly the same' if still else 'not the same'}; symmetries: {symmetries}; {moves}", still, same, other


def symmetry(shift: Plain) -> bool:
    """Whether a way of moving the dynamics should leave the landscape as it is."""
    return str(shift["way"]).startswith(("hidden units", "mirrored, seen"))


def rounding(shift: Plain, total: float) -> bool:
    """Whether a landscape changed by no more than rounding of a total loss."""
    return bool(shift["values"] <= ROUNDING * abs(total) and shift["gradients"] <= ROUNDING)


def found(finds: list[Plain], article: str = "a ") -> str:
    """What descents ended in, in words."""

    def where(f: Plain) -> str:
        apart = f.get("apart")
        return f"{f['way']}, {f['match']}" + (f", {apart:.2g} edges from its own" if apart else "")

    return "; descent finds " + ", ".join(f"{article}{f['verdict']} x{f['level']:.3g} ({where(f)})" for f in finds)


def s10(d: Plain) -> Verdict:
    """A valley beside the frozen slice, and a way to it that the slice lacks."""
    base, adapted, released = (above(terms, d) for terms in (d["optimum_terms"], d["adapted"]["terms"], d["released"]["terms"]))
    on_slice = above(d["certificate"]["terms"] if d["certificate"] else d["failed_terms"], d)
    on, valleys, free = d["paths"]["frozen"], d["paths"]["valleys"], d["paths"]["free"]
    text = f"above the floor: {base:.3g} (reference), {on_slice:.3g} (failed, on the slice), {adapted:.3g} (adapted), {released:.3g} (released)"
    text += f"; highest point of the best path {on['barrier']:.2g} above its start on the slice, {free['barrier']:.2g} off it"
    if valleys is not None:
        text += f", {valleys['barrier']:.2g} from valley to valley"
    if adapted > VALLEY * base:
        if released <= VALLEY * base:
            return text, EXCEPTIONS
        return text, FAILS if d["adapted"]["converged"] and d["released"]["converged"] else UNDECIDED
    if on_slice <= VALLEY * base:
        return f"{text}; the frozen slice has the valley already, so there is nothing to open", UNDECIDED
    return text, HOLDS if free["barrier"] < 0.5 * on["barrier"] else EXCEPTIONS
