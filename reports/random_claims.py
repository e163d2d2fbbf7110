"""The appendix's claims that one pair of models of the random mazes can decide: S2, S3, S6, S8, S10, S11."""

from __future__ import annotations

from collections.abc import Callable

from reports.claims import EXCEPTIONS, FAILS, HOLDS, UNDECIDED, Decision, Plain

SUCCESS = 0.0
"""A score above this counts as a successful model (section 8 of the original's facts)."""
STRUCTURE = ("transition", "reward", "discount", "ball", "random_pairs", "consecutive")


def decide_random(d: Plain) -> list[Decision]:
    """All claims on one pair, from `RandomDissection.plain()`."""
    return [Decision(name, claim, *rule(d), check) for name, claim, check, rule in RANDOM_RULES]


def _s2(d: Plain) -> tuple[str, str]:
    m = d["match"]
    text = f"{m['verdict']}; best channels {m['axes']}, residual {m['residual_edges']:.2g} moves (identity {m['identity_edges']:.2g})"
    return text, HOLDS if m["verdict"] == "swapped" else FAILS


def _ratios(d: Plain) -> dict[str, float]:
    return {t: d["failed_terms"][t] / max(d["optimum_terms"][t], 1e-6) for t in STRUCTURE}


def _s3(d: Plain) -> tuple[str, str]:
    ratio = _ratios(d)
    text = ", ".join(f"{t} x{r:.2g}" for t, r in ratio.items())
    return text, HOLDS if max(ratio.values()) < 2 else EXCEPTIONS if max(ratio.values()) < 10 else FAILS


def _s6(d: Plain) -> tuple[str, str]:
    climbs = {space: line["total"]["climb"] for space, line in d["barriers"].items()}
    text = "straight " + ", ".join(f"{c:.2g} ({s})" for s, c in climbs.items())
    # 5,307 weights cannot set the states of all images freely, so a line of embeddings is no way that an encoder can go.
    low = min(climb for space, climb in climbs.items() if space != "embedding")
    return text, FAILS if low < 0.01 * d["optimum_terms"]["total"] else UNDECIDED  # a climb on a straight line bounds from above only


def _s8(d: Plain) -> tuple[str, str]:
    r, base = d["released"], d["optimum_terms"]["total"]
    text = (
        f"total {d['failed_terms']['total']:.4g} to {r['terms']['total']:.4g} in {r['updates']} updates (base {base:.4g}), "
        f"transition {d['failed_terms']['transition']:.2g} to {r['terms']['transition']:.2g}; embedding {r['match']['verdict']}"
    )
    close = r["terms"]["total"] <= 1.02 * base and r["terms"]["transition"] <= 2 * d["optimum_terms"]["transition"]
    return text, HOLDS if close else UNDECIDED  # a short training decides nothing


def _s10(d: Plain) -> tuple[str, str]:
    base, failed, adapted = d["optimum_terms"]["transition"], d["failed_terms"]["transition"], d["adapted"]["terms"]["transition"]
    text = f"transition {failed:.2g} on the frozen slice, {adapted:.2g} with adapted dynamics (base {base:.2g})"
    return text, HOLDS if adapted < 0.5 * failed else FAILS


def _s11(d: Plain) -> tuple[str, str]:
    failed, base = d["failed_score"], d["optimum_score"]
    ratio = max(_ratios(d).values())
    text = (
        f"score {failed['mean']:.2f} ({failed['low']:.2f} to {failed['high']:.2f}), base {base['mean']:.2f} ({base['low']:.2f} to "
        f"{base['high']:.2f}); largest ratio of a term {ratio:.2g}"
    )
    if failed["mean"] > SUCCESS:
        return text, UNDECIDED  # this transfer did not fail
    return text, HOLDS if ratio < 2 and failed["mean"] < -4 else EXCEPTIONS if ratio < 10 else FAILS


RANDOM_RULES: tuple[tuple[str, str, str, Callable[[Plain], tuple[str, str]]], ...] = (
    ("S2", "a failing transfer ends in the swapped embedding", "a signed permutation of the channels other than the identity fits within one mean move", _s2),
    ("S3", "the failed losses are nearly the base's", "every term but `value` within a factor 2; exceptions: within 10", _s3),
    ("S6", "a steep barrier separates failed and global optimum", "no climb on a straight line between the weights refutes it; a climb decides nothing", _s6),
    ("S8", "training the dynamics turns it into a global minimum or opens a way", "everything trained: total within 2 %, transition within a factor 2 of the base's", _s8),
    ("S10", "freezing removes one dimension of the surface encoder x dynamics", "the adapted dynamics halve the failed embedding's transition term", _s10),
    ("S11", "small losses, yet a score of -5", "score below -4 with every term but `value` within a factor 2; exceptions: within 10", _s11),
)  # fmt: skip
"""(id, claim, check, rule)."""
