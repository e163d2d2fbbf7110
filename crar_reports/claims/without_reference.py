"""What a model without its base decides of the appendix's claims: rules of their own, since the base's level is not known."""

from __future__ import annotations

from crar_model.core.files import Plain
from crar_model.core.ratio import ratio
from crar_reports.claims.table import CLAIMS, EXCEPTIONS, FAILS, HOLDS, UNDECIDED, Decision, Rule

LOWER = 0.9
"""A descent that ends below this share of a total above its floor has found something lower."""


def decide_alone(d: Plain) -> list[Decision]:
    """The claims that need no base.

    Args:
        d: from `crar_reports.measure.without_reference.Lone.plain`.
    """
    return [Decision(claim.id, claim.text, *ALONE[claim.id].decide(d), ALONE[claim.id].check) for claim in CLAIMS if claim.id in ALONE]


def need_a_base() -> list[tuple[str, str]]:
    """(id, text) of the claims that one pair of models decides and one model does not."""
    return [(claim.id, claim.text) for claim in CLAIMS if claim.complete is not None and claim.id not in ALONE]


def _above(d: Plain, terms: dict[str, float]) -> float:
    """A total above the floor."""
    return max(terms["total"] - float(d["floor"]), 0.0)


def _lower(d: Plain, *found: str) -> bool:
    """Whether the adapted or the released model has a total clearly below that of the encoder's stationary point."""
    return min(_above(d, d[name]["terms"]) for name in found) < LOWER * _above(d, d["stationary_terms"])


def _s1(d: Plain) -> tuple[str, str]:
    odd, even = d["oddness"]
    return f"norm of e(-s)+e(s) {odd:.2g}, of e(-s)-e(s) {even:.2g} edges", HOLDS if odd < 0.25 * even else FAILS


def _s4(d: Plain) -> tuple[str, str]:
    e = d["errors"]
    text = (
        f"largest {e['largest']:.2g}, mean {e['mean']:.2g} of its own edges; {100 * e['above_two']:.0f} % above 2; near a side "
        f"{e['near']:.2g} ({e['near_states']} of {e['states']} states), elsewhere {e['far']:.2g}"
    )
    return text, HOLDS if e["largest"] <= 2 and e["near"] <= 1 else EXCEPTIONS if e["above_two"] < 0.1 else FAILS


def _s7(d: Plain) -> tuple[str, str]:
    c = d["certificate"]
    text = f"{c['verdict']} at {c['loss']:.3g}; adapted {d['adapted']['terms']['total']:.3g}, released {d['released']['terms']['total']:.3g}; floor {d['floor']:.3g}"
    if c["verdict"] == "minimum":
        return text, HOLDS if _lower(d, "adapted", "released") else UNDECIDED  # nothing found lies below it, so it may be the best there is
    return text, FAILS if c["verdict"] == "saddle" else UNDECIDED


def _s8(d: Plain) -> tuple[str, str]:
    text = (
        f"frozen {d['stationary_terms']['total']:.3g}, released {d['released']['terms']['total']:.3g} (floor {d['floor']:.3g}); its embedding is then "
        f"{d['released']['match']['identity_edges']:.2g} edges from where it was"
    )
    return text, HOLDS if _lower(d, "released") else UNDECIDED if d["quick"] else FAILS  # a short descent decides nothing


def _s9(d: Plain) -> tuple[str, str]:
    still = [s for s in d["shifts"] if s["distance"] == 0]
    moved = [s for s in d["shifts"] if s["distance"] > 0 and "of the way" in s["way"]]
    same = all(s["values"] == 0 and s["gradients"] == 0 for s in still)
    per = [ratio(s["values"], s["distance"]) for s in moved]
    text = f"loss moves {min(per):.2g} to {max(per):.2g} per unit of the dynamics; exactly 0 unmoved: {'yes' if same else 'no'}"
    return text, EXCEPTIONS if same and min(per) > 0 else FAILS


def _s10(d: Plain) -> tuple[str, str]:
    here, adapted = d["terms"]["total"], d["adapted"]["terms"]["total"]
    text = f"total {here:.3g} on the frozen slice, {adapted:.3g} with adapted dynamics (floor {d['floor']:.3g})"
    return text, HOLDS if _above(d, d["adapted"]["terms"]) < LOWER * _above(d, d["terms"]) else FAILS


ALONE: dict[str, Rule] = {
    "S1": Rule("norm of e(-s)+e(s) below a quarter of that of e(-s)-e(s), its own encoder", _s1),
    "S4": Rule("largest error 2, mean near a side 1, in its own edges; exceptions: under 10 % above 2", _s4),
    "S7": Rule(
        "certificate on the full batch, and other dynamics with a total at least 10 % lower above the floor; without that, undecided", _s7
    ),
    "S8": Rule(
        "everything released ends at least 10 % below the frozen stationary point, above the floor; whether that is the base's level is not known",
        _s8,
    ),
    "S9": Rule("0 unmoved, above 0 moved; exceptions: symmetries, see `crar theorem`", _s9),
    "S10": Rule("a valley at least 10 % lower, above the floor, off the frozen slice at its own encoder", _s10),
}
"""By the claim's id."""
