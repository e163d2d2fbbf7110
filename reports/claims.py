"""The appendix's claims S1 to S10, decided from what a dissection measured. Each check could come out either way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

HOLDS, EXCEPTIONS, FAILS, UNDECIDED = "holds", "holds with exceptions", "does not hold", "undecided"
Plain = dict[str, Any]


@dataclass(frozen=True)
class Decision:
    """One claim on one pair of models.

    Attributes:
        id, claim: as in the appendix, shortened.
        figure: the measured numbers. verdict: one of the four words.
        check: what was compared with what.
    """

    id: str
    claim: str
    figure: str
    verdict: str
    check: str


def decide(d: Plain) -> list[Decision]:
    """All claims on one pair, from `Dissection.plain()`."""
    return [Decision(name, claim, *rule(d), check) for name, claim, check, rule in RULES]


def _s1(d: Plain) -> tuple[str, str]:
    odd, even = d["oddness"]
    return f"norm of e(-s)+e(s) {odd:.2g}, of e(-s)-e(s) {even:.2g} edges", HOLDS if odd < 0.25 * even else FAILS


def _s2(d: Plain) -> tuple[str, str]:
    m = d["match"]
    verdict = HOLDS if m["verdict"] == "swapped" else FAILS
    return f"{m['verdict']}; best axes {m['axes']}, residual {m['residual_edges']:.2g} edges (identity {m['identity_edges']:.2g})", verdict


def _s3(d: Plain) -> tuple[str, str]:
    ratio = {t: d["failed_terms"][t] / max(d["optimum_terms"][t], 1e-12) for t in ("transition", "random_pairs", "consecutive")}
    structure = max(ratio["random_pairs"], ratio["consecutive"])
    text = f"transition x{ratio['transition']:.3g}, random_pairs x{ratio['random_pairs']:.2g}, consecutive x{ratio['consecutive']:.2g}"
    return text, HOLDS if max(ratio.values()) < 2 else EXCEPTIONS if structure < 2 and ratio["transition"] < 10 else FAILS


def _s4(d: Plain) -> tuple[str, str]:
    e = d["errors"]
    text = (
        f"largest {e['largest']:.2g}, mean {e['mean']:.2g} edges; {100 * e['above_two']:.0f} % above 2; near a side "
        f"{e['near']:.2g} ({e['near_states']} of 31 states), elsewhere {e['far']:.2g}"
    )
    return text, HOLDS if e["largest"] <= 2 and e["near"] <= 1 else EXCEPTIONS if e["above_two"] < 0.1 else FAILS


def _s5(d: Plain) -> tuple[str, str]:
    line = d["barriers"]["embedding"]
    peaks = {t: line[t]["where"] for t in ("random_pairs", "consecutive") if t in line}
    text = f"midpoints {d['midpoint']:.2g} edges from 0; peaks at t = " + ", ".join(f"{w:.2f} ({t})" for t, w in peaks.items())
    if len(peaks) < 2:
        return text, UNDECIDED
    middle = all(0.4 <= w <= 0.6 for w in peaks.values())
    return text, HOLDS if middle and d["midpoint"] < 0.5 else EXCEPTIONS if middle or d["midpoint"] < 0.5 else FAILS


def _s6(d: Plain) -> tuple[str, str]:
    climbs = {space: line["total"]["climb"] for space, line in d["barriers"].items()}
    barrier = d["paths"]["frozen"]["barrier"]
    text = "straight " + ", ".join(f"{c:.2g} ({s})" for s, c in climbs.items()) + f"; path {barrier:.2g}"
    if barrier > 0.1 * climbs["embedding"] and barrier > 1e-3:
        return text, HOLDS if d["paths"]["frozen"]["converged"] else UNDECIDED  # an unfinished search bounds nothing from below
    return text, FAILS


def _s7(d: Plain) -> tuple[str, str]:
    c = d["certificate"]
    if c is None:
        return "not asked for", UNDECIDED
    text = (
        f"{c['verdict']} at {c['loss']:.3g} (optimum {d['optimum_terms']['total']:.3g}), basin {d['paths']['frozen']['barrier']:.1g} deep"
    )
    verdict = {"minimum": HOLDS, "saddle": FAILS, "flat": UNDECIDED, "not converged": UNDECIDED}[c["verdict"]]
    return text, verdict


def _s8(d: Plain) -> tuple[str, str]:
    reached, base = d["released"]["terms"]["total"], d["optimum_terms"]["total"]
    text = (
        f"released: {d['failed_terms']['total']:.3g} to {reached:.3g} (base {base:.3g}), embedding {d['released']['match']['verdict']}; "
        f"barrier {d['paths']['frozen']['barrier']:.1g} frozen, {d['paths']['free']['barrier']:.1g} free"
    )
    return text, HOLDS if reached <= 1.1 * base else UNDECIDED if d["quick"] else FAILS  # a short descent decides nothing


def _s9(d: Plain) -> tuple[str, str]:
    still = [s for s in d["shifts"] if s["distance"] == 0]
    moved = [s for s in d["shifts"] if s["distance"] > 0 and "of the way" in s["way"]]
    same = all(s["values"] == 0 and s["gradients"] == 0 for s in still)
    per = [s["values"] / s["distance"] for s in moved]
    text = f"loss moves {min(per):.2g} to {max(per):.2g} per unit of the dynamics; exactly 0 unmoved: {'yes' if same else 'no'}"
    return text, EXCEPTIONS if same and min(per) > 0 else FAILS


def _s10(d: Plain) -> tuple[str, str]:
    base, adapted = d["optimum_terms"]["total"], d["adapted"]["terms"]["total"]
    between, on = d["paths"]["valleys"], d["barriers"]["embedding"]["total"]["climb"]
    text = f"valleys at {base:.3g} (base) and {adapted:.3g} (failed, adapted); straight climb on the slice {on:.2g}"
    if between is not None:
        text += f", path between the released valley and the base's {between['barrier']:.2g}"
    return text, HOLDS if adapted <= 1.25 * base and d["failed_terms"][
        "total"
    ] > 1.25 * base else EXCEPTIONS if adapted <= 1.25 * base else FAILS


RULES: tuple[tuple[str, str, str, Callable[[Plain], tuple[str, str]]], ...] = (
    ("S1", "the inverse observation turns an embedding x into -x", "norm of e(-s)+e(s) below a quarter of that of e(-s)-e(s), base encoder", _s1),
    ("S2", "a failing transfer ends in the swapped embedding", "a signed permutation other than the identity fits within one edge", _s2),
    ("S3", "the failed losses are nearly the base's", "transition, random_pairs, consecutive within a factor 2; exceptions: transition below 10", _s3),
    ("S4", "transition error at most two edges, one near a side", "largest error 2, mean near a side 1, in edges; exceptions: under 10 % above 2", _s4),
    ("S5", "midpoints are 0, and random_pairs and consecutive peak there", "peaks within 0.4 to 0.6 of the embedding line, midpoint under 0.5 edges", _s5),
    ("S6", "a steep barrier separates failed and global optimum", "barrier of a converged path above a tenth of the straight climb", _s6),
    ("S7", "the failed encoder is in a local minimum while the dynamics are frozen", "certificate on the full batch", _s7),
    ("S8", "training the dynamics turns it into a global minimum or opens a way", "joint descent from the failed model within 10 % of the base's total", _s8),
    ("S9", "a change of the dynamics changes the encoder's landscape", "0 unmoved, above 0 moved; exceptions: symmetries, see `crar theorem`", _s9),
    ("S10", "freezing removes one dimension of the surface encoder x dynamics", "a valley within 25 % of the base's total off the frozen slice", _s10),
)  # fmt: skip
"""(id, claim, check, rule) of every claim."""
