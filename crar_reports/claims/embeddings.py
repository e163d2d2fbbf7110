"""Claims S1, S2 and S5: what embeddings look like."""

from __future__ import annotations

from crar_model.agent.symmetry import Match, axes_words
from crar_model.core.ratio import ratio
from crar_reports.claims.evidence import Alone, Listed, Pair
from crar_reports.claims.record import EXCEPTIONS, FAILS, HOLDS, UNDECIDED, Claim, Found, Measure, Rule, part

ODD = 0.25
"""An embedding is odd where the norm of e(-s)+e(s) is below this share of that of e(-s)-e(s)."""
MIDDLE = 0.4, 0.6
"""Places on a line from 0 to 1 that count as its middle."""
AT_NOTHING = 0.5
"""A midpoint nearer to 0 than this many edges lies there."""


def how_many(match: Match) -> str:
    """The number of symmetries of the world, a lower bound where they were too many to list."""
    return "at least " * match.more + f"{match.symmetries:,}"


def s1(e: Listed | Alone) -> Found:
    """Odd embeddings."""
    odd, even = e.oddness
    return f"norm of e(-s)+e(s) {odd:.2g}, of e(-s)-e(s) {even:.2g} edges", HOLDS if odd < ODD * even else FAILS


def s2(e: Pair) -> Found:
    """Swapped embeddings."""
    m = e.match
    text = f"{m.verdict}; best axes {axes_words(m.axes)}, residual {m.residual_edges:.2g} mean moves (identity {m.identity_edges:.2g})"
    if m.symmetry_edges is not None:
        text += f"; states renamed by any of the world's {how_many(m)} symmetries, of which the best alone leaves {m.symmetry_edges:.2g}"
    return text, HOLDS if m.verdict == "swapped" else FAILS


def s5(e: Listed) -> Found:
    """Midpoints and peaks of the pairwise terms."""
    line = e.barriers["embedding"]
    peaks = {term: line[term].where for term in ("random_pairs", "consecutive") if term in line}
    text = f"midpoints {e.midpoint:.2g} edges from 0; peaks at t = " + ", ".join(f"{where:.2f} ({term})" for term, where in peaks.items())
    if e.match.symmetries > 1:
        text += f"; of the {how_many(e.match)} embeddings that are right in this world the base's own is the other end"
    if len(peaks) < 2:
        return text, UNDECIDED
    middle, nothing = all(MIDDLE[0] <= where <= MIDDLE[1] for where in peaks.values()), e.midpoint < AT_NOTHING
    return text, HOLDS if middle and nothing else EXCEPTIONS if middle or nothing else FAILS


S1 = Claim(
    "S1", "the inverse observation turns an embedding x into -x",
    listed=Rule(f"norm of e(-s)+e(s) below {part(ODD)} that of e(-s)-e(s), base encoder", s1, (
        Measure("norm of e(-s)+e(s) over that of e(-s)-e(s), base", lambda e: ratio(e.oddness[0], e.oddness[1])),
    )),
    alone=Rule(f"norm of e(-s)+e(s) below {part(ODD)} that of e(-s)-e(s), its own encoder", s1),
)  # fmt: skip
S2 = Claim(
    "S2", "a failing transfer ends in the swapped embedding",
    listed=Rule("a signed permutation other than the identity fits within one mean move", s2, (
        Measure("residual of the best signed permutation, edges", lambda e: e.match.residual_edges),
    )),
    samples=Rule("a signed permutation of the channels other than the identity fits within one mean move", s2, (
        Measure("residual of the best signed permutation, moves", lambda e: e.match.residual_edges),
    )),
)  # fmt: skip
S5 = Claim(
    "S5", "midpoints are 0, and random_pairs and consecutive peak there",
    listed=Rule(f"peaks within {MIDDLE[0]:g} to {MIDDLE[1]:g} of the embedding line, midpoint under {AT_NOTHING:g} edges", s5, (
        Measure("distance of the midpoints from 0, edges", lambda e: e.midpoint),
        Measure("t where random_pairs peaks", lambda e: e.barriers["embedding"]["random_pairs"].where),
    )),
)  # fmt: skip
