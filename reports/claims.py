"""The appendix's claims, one row each: what it says, how it is checked, and what figures stand for it. Each check could come out either
way. A rule for a complete evaluation set and one for a sample of transitions, since a sample decides less."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from crar_model.losses import FOLLOWED

HOLDS, EXCEPTIONS, FAILS, UNDECIDED = "holds", "holds with exceptions", "does not hold", "undecided"
Plain = dict[str, Any]
SUCCESS = 0.0
"""A score above this counts as a successful model (section 8 of docs/original.md)."""
COMPARED = tuple(term for term in FOLLOWED if term != "value")
"""Terms that do not depend on bootstrap values."""


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


@dataclass(frozen=True)
class Rule:
    """How a claim is decided.

    Attributes:
        check: what is compared with what, in words.
        decide: `Dissection.plain()` -> (the measured figures, the verdict).
    """

    check: str
    decide: Callable[[Plain], tuple[str, str]]


@dataclass(frozen=True)
class Measure:
    """A figure of a claim that has a spread over many models: what it is, and how to read it from `Dissection.plain()`."""

    what: str
    read: Callable[[Plain], float | None]


@dataclass(frozen=True)
class Claim:
    """One claim of the appendix.

    Attributes:
        id, text: as in the appendix, shortened.
        complete: its rule where the evaluation set is all there is; None where it cannot be decided so.
        sample: its rule on a sample of transitions.
        measures: figures whose spread over many models is reported.
    """

    id: str
    text: str
    complete: Rule | None = None
    sample: Rule | None = None
    measures: tuple[Measure, ...] = ()

    def rule(self, *, complete: bool) -> Rule | None:
        """The rule for a kind of evaluation set."""
        return self.complete if complete else self.sample


def claims_of(*, complete: bool) -> list[tuple[Claim, Rule]]:
    """The claims that one pair of models can decide on a kind of evaluation set, with their rules."""
    return [(claim, rule) for claim in CLAIMS if (rule := claim.rule(complete=complete)) is not None]


def decide(d: Plain, *, complete: bool) -> list[Decision]:
    """All claims on one pair.

    Args:
        d: from `Dissection.plain()`.
        complete: whether its evaluation set is all there is.
    """
    return [Decision(claim.id, claim.text, *rule.decide(d), rule.check) for claim, rule in claims_of(complete=complete)]


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
    e = {"states": 31, **d["errors"]}  # figures of earlier versions are all of the simple maze
    text = (
        f"largest {e['largest']:.2g}, mean {e['mean']:.2g} edges; {100 * e['above_two']:.0f} % above 2; near a side "
        f"{e['near']:.2g} ({e['near_states']} of {e['states']} states), elsewhere {e['far']:.2g}"
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


def _s2_sample(d: Plain) -> tuple[str, str]:
    m = d["match"]
    text = f"{m['verdict']}; best channels {m['axes']}, residual {m['residual_edges']:.2g} moves (identity {m['identity_edges']:.2g})"
    return text, HOLDS if m["verdict"] == "swapped" else FAILS


def _ratios(d: Plain) -> dict[str, float]:
    return {t: d["failed_terms"][t] / max(d["optimum_terms"][t], 1e-6) for t in COMPARED}


def _s3_sample(d: Plain) -> tuple[str, str]:
    ratio = _ratios(d)
    text = ", ".join(f"{t} x{r:.2g}" for t, r in ratio.items())
    return text, HOLDS if max(ratio.values()) < 2 else EXCEPTIONS if max(ratio.values()) < 10 else FAILS


def _s6_sample(d: Plain) -> tuple[str, str]:
    climbs = {space: line["total"]["climb"] for space, line in d["barriers"].items()}
    text = "straight " + ", ".join(f"{c:.2g} ({s})" for s, c in climbs.items())
    # 5,307 weights cannot set the states of all images freely, so a line of embeddings is no way that an encoder can go.
    low = min(climb for space, climb in climbs.items() if space != "embedding")
    return text, FAILS if low < 0.01 * d["optimum_terms"]["total"] else UNDECIDED  # a climb on a straight line bounds from above only


def _s8_sample(d: Plain) -> tuple[str, str]:
    r, base = d["released"], d["optimum_terms"]["total"]
    text = (
        f"total {d['failed_terms']['total']:.4g} to {r['terms']['total']:.4g} in {r['updates']} updates (base {base:.4g}), "
        f"transition {d['failed_terms']['transition']:.2g} to {r['terms']['transition']:.2g}; embedding {r['match']['verdict']}"
    )
    close = r["terms"]["total"] <= 1.02 * base and r["terms"]["transition"] <= 2 * d["optimum_terms"]["transition"]
    return text, HOLDS if close else UNDECIDED  # a short training decides nothing


def _s10_sample(d: Plain) -> tuple[str, str]:
    base, failed, adapted = d["optimum_terms"]["transition"], d["failed_terms"]["transition"], d["adapted"]["terms"]["transition"]
    text = f"transition {failed:.2g} on the frozen slice, {adapted:.2g} with adapted dynamics (base {base:.2g})"
    return text, HOLDS if adapted < 0.5 * failed else FAILS


def _s11_sample(d: Plain) -> tuple[str, str]:
    failed, base = d["failed_score"], d["optimum_score"]
    ratio = max(_ratios(d).values())
    text = (
        f"score {failed['mean']:.2f} ({failed['low']:.2f} to {failed['high']:.2f}), base {base['mean']:.2f} ({base['low']:.2f} to "
        f"{base['high']:.2f}); largest ratio of a term {ratio:.2g}"
    )
    if failed["mean"] > SUCCESS:
        return text, UNDECIDED  # this transfer did not fail
    return text, HOLDS if ratio < 2 and failed["mean"] < -4 else EXCEPTIONS if ratio < 10 else FAILS


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "S1", "the inverse observation turns an embedding x into -x",
        complete=Rule("norm of e(-s)+e(s) below a quarter of that of e(-s)-e(s), base encoder", _s1),
        measures=(
            Measure("norm of e(-s)+e(s) over that of e(-s)-e(s), base", lambda d: d["oddness"][0] / d["oddness"][1]),
        ),
    ),
    Claim(
        "S2", "a failing transfer ends in the swapped embedding",
        complete=Rule("a signed permutation other than the identity fits within one edge", _s2),
        sample=Rule("a signed permutation of the channels other than the identity fits within one mean move", _s2_sample),
        measures=(
            Measure("residual of the best signed permutation, edges", lambda d: d["match"]["residual_edges"]),
        ),
    ),
    Claim(
        "S3", "the failed losses are nearly the base's",
        complete=Rule("transition, random_pairs, consecutive within a factor 2; exceptions: transition below 10", _s3),
        sample=Rule("every term but `value` within a factor 2; exceptions: within 10", _s3_sample),
        measures=(
            Measure("transition term over the base's", lambda d: d["failed_terms"]["transition"] / d["optimum_terms"]["transition"]),
            Measure("random_pairs over the base's", lambda d: d["failed_terms"]["random_pairs"] / d["optimum_terms"]["random_pairs"]),
        ),
    ),
    Claim(
        "S4", "transition error at most two edges, one near a side",
        complete=Rule("largest error 2, mean near a side 1, in edges; exceptions: under 10 % above 2", _s4),
        measures=(
            Measure("largest transition error, edges", lambda d: d["errors"]["largest"]),
            Measure("mean transition error near a side, edges", lambda d: d["errors"]["near"]),
        ),
    ),
    Claim(
        "S5", "midpoints are 0, and random_pairs and consecutive peak there",
        complete=Rule("peaks within 0.4 to 0.6 of the embedding line, midpoint under 0.5 edges", _s5),
        measures=(
            Measure("distance of the midpoints from 0, edges", lambda d: d["midpoint"]),
            Measure("t where random_pairs peaks", lambda d: d["barriers"]["embedding"]["random_pairs"]["where"]),
        ),
    ),
    Claim(
        "S6", "a steep barrier separates failed and global optimum",
        complete=Rule("barrier of a converged path above a tenth of the straight climb", _s6),
        sample=Rule("no climb on a straight line between the weights refutes it; a climb decides nothing", _s6_sample),
        measures=(
            Measure("climb of the total, straight in embedding space", lambda d: d["barriers"]["embedding"]["total"]["climb"]),
            Measure("climb, straight in weight space", lambda d: d["barriers"]["weight"]["total"]["climb"]),
            Measure("climb, straight to the nearest copy", lambda d: d["barriers"]["aligned"]["total"]["climb"]),
            Measure("barrier of the path, dynamics frozen", lambda d: d["paths"]["frozen"]["barrier"]),
            Measure("largest force left on that path", lambda d: d["paths"]["frozen"]["force"]),
        ),
    ),
    Claim(
        "S7", "the failed encoder is in a local minimum while the dynamics are frozen",
        complete=Rule("certificate on the full batch", _s7),
        measures=(
            Measure("total at the encoder's stationary point", lambda d: d["certificate"]["loss"]),
            Measure("norm of the smallest subgradient there", lambda d: d["certificate"]["subgradient_norm"]),
            Measure("lowest curvature there", lambda d: (d["certificate"]["signature"] or {}).get("lowest")),
        ),
    ),
    Claim(
        "S8", "training the dynamics turns it into a global minimum or opens a way",
        complete=Rule("joint descent from the failed model within 10 % of the base's total", _s8),
        sample=Rule("everything trained: total within 2 %, transition within a factor 2 of the base's", _s8_sample),
        measures=(
            Measure("total of the released model over the base's", lambda d: d["released"]["terms"]["total"] / d["optimum_terms"]["total"]),
            Measure("barrier of the path, dynamics free", lambda d: d["paths"]["free"]["barrier"]),
        ),
    ),
    Claim(
        "S9", "a change of the dynamics changes the encoder's landscape",
        complete=Rule("0 unmoved, above 0 moved; exceptions: symmetries, see `crar theorem`", _s9),
        measures=(
            Measure("loss moved per unit of the dynamics, 1 % of the way", lambda d: d["shifts"][2]["values"] / d["shifts"][2]["distance"]),
        ),
    ),
    Claim(
        "S10", "freezing removes one dimension of the surface encoder x dynamics",
        complete=Rule("a valley within 25 % of the base's total off the frozen slice", _s10),
        sample=Rule("the adapted dynamics halve the failed embedding's transition term", _s10_sample),
        measures=(
            Measure("total of the failed encoder under adapted dynamics over the base's", lambda d: d["adapted"]["terms"]["total"] / d["optimum_terms"]["total"]),
            Measure("barrier between the released valley and the base's, all free", lambda d: (d["paths"]["valleys"] or {}).get("barrier")),
        ),
    ),
    Claim(
        "S11", "small losses, yet a score of -5",
        sample=Rule("score below -4 with every term but `value` within a factor 2; exceptions: within 10", _s11_sample),
    ),
)  # fmt: skip
"""Every claim that one pair of models can decide."""
