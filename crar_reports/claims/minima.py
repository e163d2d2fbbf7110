"""Claims S6 and S7: is the failed encoder in a local minimum while the dynamics are frozen, and what separates it from the reference?"""

from __future__ import annotations

from crar_model.agent.symmetry import RIGHT
from crar_model.core.ratio import LEAST
from crar_reports.claims.evidence import Alone, Listed, Paths, Samples
from crar_reports.claims.losses import CLOSE, LOWER, above, lower
from crar_reports.claims.reading import need
from crar_reports.claims.record import EXCEPTIONS, FAILS, HOLDS, UNDECIDED, Claim, Found, Measure, Rule, part, percent
from crar_reports.measure.paths import REFUTED
from crar_reports.press.nouns import parts_words
from landscape_tools import rank

UNLIKE, KEPT = 5, 0.5
"""Unlike searches for a path whose failure speaks for a barrier, where the lowest stays above this share of the straight climb."""
MARGINAL = 1e-3
"""A multiplier below this is said to hold marginally."""


def s6(e: Listed) -> Found:
    """A barrier. A path found bounds it from above: it refutes, and only the failure of several unlike searches speaks for one."""
    paths, c = e.paths, e.certificate
    found, climb = paths.frozen, paths.straight[paths.space]
    searches = {name: search.barrier for name, search in paths.searches.items()}
    drop = found.start - found.end
    text = "straight " + ", ".join(f"{x:.2g} ({s})" for s, x in paths.straight.items())
    text += f"; lowest of {len(searches)} searches {found.barrier:.2g}; drop to the reference {drop:.2g}"
    if c is None or c.verdict == "not converged":
        return f"{text}; not from a stationary point", UNDECIDED
    if drop <= 0 or c.match.verdict in RIGHT:
        return f"{text}; the descent ended at the reference, so there is nothing to pass", UNDECIDED
    limit = max(REFUTED * min(climb, drop), LEAST)
    if found.barrier < limit:
        missing = no_encoders(paths, limit)
        return (f"{text}; {missing}", UNDECIDED) if missing else (text, FAILS)
    unlike = len(searches) >= UNLIKE and not e.quick
    return text, HOLDS if unlike and found.barrier > KEPT * climb else UNDECIDED


def no_encoders(paths: Paths, limit: float) -> str:
    """Why no encoder is shown to take a path of embeddings that stays below a limit; "" where one is, or where the path is of weights."""
    if paths.space != "embedding":
        return ""
    lifted = paths.lifted
    if lifted is None:
        return "the path was not lifted to weights, so no encoder is shown to take it"
    if not lifted.reached >= 1:
        return f"its lift to weights stops at {lifted.reached:.2g} of the way, so no encoder is shown to take it"
    if not lifted.barrier < limit:
        return f"lifted to weights it climbs {lifted.barrier:.2g}"
    return ""


def s6_sample(e: Samples) -> Found:
    """A barrier, by straight lines and, where there are any, by paths in the weights: bounds from above, which refute and never prove."""
    climbs = {space: line["total"].climb for space, line in e.barriers.items()}
    text = "straight " + ", ".join(f"{c:.2g} ({s})" for s, c in climbs.items())
    # 5,307 weights cannot set the states of all images freely, so a line of embeddings is no way that an encoder can go.
    low = min((climb for space, climb in climbs.items() if space != "embedding"), key=rank)
    drop = e.failed_terms.total - e.optimum_terms.total
    if e.sampled is None:
        return text, FAILS if drop > 0 and low < REFUTED * drop else UNDECIDED  # a climb on a straight line bounds from above only
    paths = e.sampled.paths
    way, other = paths.frozen, paths.independent["frozen"]
    fall = way.start - way.end
    text += (
        f"; from where the descent ended: straight {paths.straight:.2g}, path {way.barrier:.2g} (dynamics free {paths.free.barrier:.2g}), "
        f"on the independent sample {other:.2g}; drop {fall:.2g}"
    )
    if e.sampled.failed.verdict == "not converged":
        return f"{text}; not from a stationary point", UNDECIDED
    if fall <= 0:
        return f"{text}; the descent ended at the reference's level, so there is nothing to pass", UNDECIDED
    limit = max(REFUTED * min(paths.straight, fall), LEAST)
    return text, FAILS if max(way.barrier, other, key=rank) < limit else UNDECIDED


def s7(e: Listed) -> Found:
    """A failed local minimum: a valid certificate of a point that is not the reference's."""
    c = e.certificate
    if c is None:
        return "not asked for", UNDECIDED
    level = stationary_level(e)
    text = f"{c.verdict} at {c.loss:.3g}, above the floor x{level:.3g} of the reference's; embedding there {c.match.verdict}"
    if c.multiplier_slack is not None:
        text += f"; smallest multiplier {c.multiplier_slack:.2g}{' (marginal)' * (c.multiplier_slack < MARGINAL)}"
    if c.verdict not in ("minimum", "saddle"):
        return f"{text}; {c.reason}", UNDECIDED
    return (text, FAILS) if c.verdict == "saddle" else _at_minimum(text, level, c.match.verdict)


def stationary_level(e: Listed) -> float:
    """The total at the stationary point over the reference's, both above the floor."""
    return (need(e.certificate).loss - e.floor.total) / max(above(e.optimum_terms, e), LEAST)


def _at_minimum(text: str, level: float, match: str) -> Found:
    """What a certified minimum says, at a level over the reference's."""
    if level <= CLOSE:
        return f"{text}; at the reference's level, so no failed minimum", FAILS
    return text, EXCEPTIONS if match in RIGHT else HOLDS


def s7_sample(e: Samples) -> Found:
    """A failed local minimum, of a sample and of an independent one."""
    found = e.sampled
    if found is None:
        return "not asked for", UNDECIDED
    own, size, floor = found.failed, found.sizes["sample"], found.floors["sample"]
    level = (own.loss - floor) / max(found.reference.loss - floor, LEAST)
    text = (
        f"on {size['transitions']:,} transitions of {parts_words(size)}, {size['terminal']} terminal: {own.verdict} ({own.reason}); with an independent "
        f"sample: {own.both} ({own.both_reason}); above the floor x{level:.3g} of the reference's, embedding there {own.match.verdict}"
    )
    if own.both in ("minimum", "saddle"):
        return (text, FAILS) if own.both == "saddle" else _at_minimum(text, level, own.match.verdict)
    return text, UNDECIDED


def s7_alone(e: Alone) -> Found:
    """A local minimum that is not the best there is, since other dynamics have a lower one."""
    c, ends = e.certificate, (e.adapted.terms.total, e.released.terms.total)
    text = f"{c.verdict} at {c.loss:.3g}; adapted {ends[0]:.3g}, released {ends[1]:.3g}; floor {e.floor:.3g}"
    if c.verdict == "minimum":
        return text, HOLDS if lower(e, *ends) else UNDECIDED  # nothing found lies below it, so it may be the best there is
    return text, FAILS if c.verdict == "saddle" else UNDECIDED


S6 = Claim(
    "S6", "a steep barrier separates failed and global optimum",
    listed=Rule(
        f"from the stationary point: refuted by a path of encoders below {part(REFUTED)} the straight climb and of the drop to the reference; a path of "
        f"embeddings whose lift to weights stops short decides nothing; held up only where the lowest of at least {UNLIKE} unlike searches stays above {part(KEPT)} the "
        "straight climb", s6,
        (
            Measure("climb of the total from the stationary point, straight in embedding space", lambda e: e.paths.straight["embedding"]),
            Measure("climb, straight in weight space", lambda e: e.paths.straight.get("weight")),
            Measure("climb, straight to the nearest copy", lambda e: e.paths.straight.get("aligned")),
            Measure("barrier of the lowest path found, dynamics frozen", lambda e: e.paths.frozen.barrier, main=True),
            Measure("searches for it", lambda e: len(e.paths.searches)),
            Measure("drop from the stationary point to the reference", lambda e: e.paths.frozen.start - e.paths.frozen.end),
        ),
    ),
    samples=Rule(
        f"from where the encoder converges on a sample: refuted by a path in the weights below {part(REFUTED)} the straight climb and of the drop, on the "
        f"independent sample too; without one, by a straight line below {part(REFUTED)} the drop; a climb decides nothing", s6_sample,
        (
            Measure("climb, straight in the weights from where the descent ended", lambda e: need(e.sampled).paths.straight),
            Measure("barrier of the lowest path found, dynamics frozen", lambda e: need(e.sampled).paths.frozen.barrier, main=True),
            Measure("the same on the independent sample", lambda e: need(e.sampled).paths.independent["frozen"]),
        ),
    ),
)  # fmt: skip
S7 = Claim(
    "S7", "the failed encoder is in a local minimum while the dynamics are frozen",
    listed=Rule(
        f"a certificate on the full batch, critical cone and rank looked at; a point within {percent(CLOSE - 1)} of the reference's total above the floor is no failed "
        "minimum; exceptions: its embedding matches the base's", s7,
        (
            Measure("total above the floor at the stationary point over the reference's", stationary_level),
            Measure("norm of the smallest subgradient there", lambda e: need(e.certificate).subgradient_norm),
            Measure("lowest curvature there", lambda e: need(need(e.certificate).signature).lowest),
            Measure("smallest multiplier there", lambda e: need(e.certificate).multiplier_slack),
        ),
    ),
    samples=Rule(
        f"a minimum on a sample whose curvature and loss an independent sample confirms; a point within {percent(CLOSE - 1)} of the reference's total above the floor is "
        "no failed minimum; exceptions: its embedding matches the base's", s7_sample,
        (
            Measure("total where the descent on the sample ended", lambda e: need(e.sampled).failed.loss),
            Measure("the same on the independent sample", lambda e: need(e.sampled).failed.independent.loss),
            Measure("norm of the gradient there", lambda e: need(e.sampled).failed.gradient),
            Measure("lowest curvature found there", lambda e: need(e.sampled).failed.spectrum.lowest),
            Measure("curvature of the independent sample in that direction", lambda e: need(e.sampled).failed.independent.lowest),
        ),
    ),
    alone=Rule(
        f"certificate on the full batch, and other dynamics with a total at least {percent(1 - LOWER)} lower above the floor; without that, undecided", s7_alone,
    ),
)  # fmt: skip
