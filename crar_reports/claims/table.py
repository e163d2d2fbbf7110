"""The appendix's claims, one row each: what it says, how it is checked, and what figures stand for it. Each check could come out either
way. A rule for a complete evaluation set and one for a sample of transitions, since a sample decides less."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from crar_model.core.files import Plain, as_read
from crar_model.core.ratio import LEAST, ratio
from crar_model.models.merit import SUCCESS
from crar_reports.claims import listed as rules
from crar_reports.claims import sampled as sampled_rules
from crar_reports.claims.listed import EXCEPTIONS, FAILS, HOLDS, UNDECIDED, above

__all__ = [
    "CLAIMS",
    "EXCEPTIONS",
    "FAILS",
    "HOLDS",
    "SUCCESS",
    "UNDECIDED",
    "Claim",
    "Decision",
    "Measure",
    "Plain",
    "Rule",
    "claims_of",
    "decide",
    "decided",
    "told",
]

T = TypeVar("T")


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
        by: `Dissection.plain()` -> (the measured figures, the verdict).
    """

    check: str
    by: Callable[[Plain], tuple[str, str]]

    def decide(self, d: Plain) -> tuple[str, str]:
        """(the measured figures, the verdict); undecided where a figure that it needs is no number."""
        return told(self.by, d) or ("a figure that it needs could not be measured", UNDECIDED)


def told(read: Callable[[Plain], T], d: Plain) -> T | None:
    """What is read from figures; None where that takes one which is no number: NaN as measured, null as kept."""
    try:
        return read(as_read(d))
    except TypeError as error:
        if "NoneType" not in str(error):
            raise
        return None


@dataclass(frozen=True)
class Measure:
    """A figure of a claim that has a spread over many models: what it is, how to read it from `Dissection.plain()`, and whether it stands for
    the claim where there is room for one; without such a one the first does."""

    what: str
    read: Callable[[Plain], float | None]
    main: bool = False


@dataclass(frozen=True)
class Claim:
    """One claim of the appendix.

    Attributes:
        id, text: as in the appendix, shortened.
        complete: its rule where the evaluation set is all there is; None where it cannot be decided so.
        sample: its rule on a sample of transitions.
        measures: figures whose spread over many models is reported, where the evaluation set is all there is; of_sample: on a sample.
    """

    id: str
    text: str
    complete: Rule | None = None
    sample: Rule | None = None
    measures: tuple[Measure, ...] = ()
    of_sample: tuple[Measure, ...] = ()

    def measured(self, *, complete: bool) -> tuple[Measure, ...]:
        """The figures for a kind of evaluation set."""
        return self.measures if complete else self.of_sample

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


def decided(name: str, d: Plain, *, complete: bool) -> Decision:
    """One claim on one pair.

    Args:
        name: its id.
        d: the figures that its rule reads.
        complete: whether the evaluation set is all there is.
    """
    claim, rule = next((claim, rule) for claim, rule in claims_of(complete=complete) if claim.id == name)
    return Decision(claim.id, claim.text, *rule.decide(d), rule.check)


PER_UNIT = Measure(
    "loss moved per unit of the dynamics, 1 % of the way",
    lambda d: ratio(d["shifts"][2]["values"], d["shifts"][2]["distance"]) if "shifts" in d else None,
)
CLAIMS: tuple[Claim, ...] = (
    Claim(
        "S1", "the inverse observation turns an embedding x into -x",
        complete=Rule("norm of e(-s)+e(s) below a quarter of that of e(-s)-e(s), base encoder", rules.s1),
        measures=(
            Measure("norm of e(-s)+e(s) over that of e(-s)-e(s), base", lambda d: ratio(d["oddness"][0], d["oddness"][1])),
        ),
    ),
    Claim(
        "S2", "a failing transfer ends in the swapped embedding",
        complete=Rule("a signed permutation other than the identity fits within one mean move", rules.s2),
        sample=Rule("a signed permutation of the channels other than the identity fits within one mean move", rules.s2),
        measures=(
            Measure("residual of the best signed permutation, edges", lambda d: d["match"]["residual_edges"]),
        ),
        of_sample=(Measure("residual of the best signed permutation, moves", lambda d: d["match"]["residual_edges"]),),
    ),
    Claim(
        "S3", "the failed losses are nearly the base's",
        complete=Rule(
            "against the converged reference of a base of at least 97 %: transition, random_pairs, consecutive (above its floor) within a factor 2; "
            "exceptions: transition below 10, or at the reference's level as in S8", rules.s3,
        ),
        sample=Rule("every term but `value` within a factor 2, `consecutive` above its floor; exceptions: within 10, or at the level of S8", sampled_rules.s3_sample),
        measures=(
            Measure("transition term over the reference's", lambda d: rules.ratios(d["failed_terms"], d)["transition"]),
            Measure("random_pairs over the reference's", lambda d: rules.ratios(d["failed_terms"], d)["random_pairs"]),
            Measure("accuracy of the base", lambda d: d["accuracy"][-1]),
        ),
        of_sample=tuple(
            Measure(f"{term} over the reference's{', both above its floor' if term == 'consecutive' else ''}", lambda d, term=term: rules.ratios(d["failed_terms"], d)[term])  # type: ignore[misc]
            for term in rules.COMPARED
        ),
    ),
    Claim(
        "S4", "transition error at most two edges, one near a side",
        complete=Rule(
            "over the moves that change the state, in lengths of those very moves in the base: none above 2, mean near a side at most 1; exceptions: "
            "under 10 % above 2, or those at a door alone", rules.s4,
        ),
        measures=(
            Measure("largest transition error, local edges", lambda d: d["errors"]["largest"]),
            Measure("share of the moves above two local edges", lambda d: d["errors"]["above_two"]),
            Measure("mean transition error near a side, local edges", lambda d: d["errors"]["near"]),
            Measure("share of the error on its 4 worst moves", lambda d: d["errors"]["worst_share"]),
            Measure("two mean edges (the appendix: 0.33*2)", lambda d: d["errors"]["two_edges"]),
        ),
    ),
    Claim(
        "S5", "midpoints are 0, and random_pairs and consecutive peak there",
        complete=Rule("peaks within 0.4 to 0.6 of the embedding line, midpoint under 0.5 edges", rules.s5),
        measures=(
            Measure("distance of the midpoints from 0, edges", lambda d: d["midpoint"]),
            Measure("t where random_pairs peaks", lambda d: d["barriers"]["embedding"]["random_pairs"]["where"]),
        ),
    ),
    Claim(
        "S6", "a steep barrier separates failed and global optimum",
        complete=Rule(
            "from the stationary point: refuted by a path of encoders below a tenth of the straight climb and of the drop to the reference; a path of "
            "embeddings whose lift to weights stops short decides nothing; held up only where the lowest of at least 5 unlike searches stays above half the "
            "straight climb", rules.s6,
        ),
        sample=Rule(
            "from where the encoder converges on a sample: refuted by a path in the weights below a tenth of the straight climb and of the drop, on the "
            "independent sample too; without one, by a straight line below a tenth of the drop; a climb decides nothing", sampled_rules.s6_sample,
        ),
        measures=(
            Measure("climb of the total from the stationary point, straight in embedding space", lambda d: d["paths"]["straight"]["embedding"]),
            Measure("climb, straight in weight space", lambda d: d["paths"]["straight"].get("weight")),
            Measure("climb, straight to the nearest copy", lambda d: d["paths"]["straight"].get("aligned")),
            Measure("barrier of the lowest path found, dynamics frozen", lambda d: d["paths"]["frozen"]["barrier"], main=True),
            Measure("searches for it", lambda d: len(d["paths"]["searches"])),
            Measure("drop from the stationary point to the reference", lambda d: d["paths"]["frozen"]["start"] - d["paths"]["frozen"]["end"]),
        ),
        of_sample=(
            Measure("climb, straight in the weights from where the descent ended", lambda d: d["sampled"]["paths"]["straight"]),
            Measure("barrier of the lowest path found, dynamics frozen", lambda d: d["sampled"]["paths"]["frozen"]["barrier"], main=True),
            Measure("the same on the independent sample", lambda d: d["sampled"]["paths"]["independent"]["frozen"]),
        ),
    ),
    Claim(
        "S7", "the failed encoder is in a local minimum while the dynamics are frozen",
        complete=Rule(
            "a certificate on the full batch, critical cone and rank looked at; a point within 10 % of the reference's total above the floor is no failed "
            "minimum; exceptions: its embedding matches the base's", rules.s7,
        ),
        sample=Rule(
            "a minimum on a sample whose curvature and loss an independent sample confirms; a point within 10 % of the reference's total above the floor is "
            "no failed minimum; exceptions: its embedding matches the base's", sampled_rules.s7_sample,
        ),
        measures=(
            Measure(
                "total above the floor at the stationary point over the reference's",
                lambda d: above({"total": d["certificate"]["loss"]}, d) / max(above(d["optimum_terms"], d), LEAST),
            ),
            Measure("norm of the smallest subgradient there", lambda d: d["certificate"]["subgradient_norm"]),
            Measure("lowest curvature there", lambda d: (d["certificate"]["signature"] or {}).get("lowest")),
            Measure("smallest multiplier there", lambda d: d["certificate"]["multiplier_slack"]),
        ),
        of_sample=(
            Measure("total where the descent on the sample ended", lambda d: d["sampled"]["failed"]["loss"]),
            Measure("the same on the independent sample", lambda d: d["sampled"]["failed"]["independent"]["loss"]),
            Measure("norm of the gradient there", lambda d: d["sampled"]["failed"]["gradient"]),
            Measure("lowest curvature found there", lambda d: d["sampled"]["failed"]["spectrum"]["lowest"]),
            Measure("curvature of the independent sample in that direction", lambda d: d["sampled"]["failed"]["independent"]["lowest"]),
        ),
    ),
    Claim(
        "S8", "training the dynamics turns it into a global minimum or opens a way",
        complete=Rule(
            "descent from the failed model, of the dynamics alone or of everything: transition within a factor 2, total above its floor within 10 % of the "
            "reference's; exceptions: one of the two; one that had not converged decides nothing", rules.s8,
        ),
        sample=Rule(
            "training on fresh data from the failed model, of the dynamics alone or of everything: transition within a factor 2, total above its floor "
            "within 10 % of the reference's; without that a short training decides nothing", rules.s8,
        ),
        measures=(
            Measure("total above the floor over the reference's, dynamics alone trained", lambda d: rules.ratios(d["adapted"]["terms"], d)["total"]),
            Measure("the same, everything trained", lambda d: rules.ratios(d["released"]["terms"], d)["total"]),
            Measure("transition over the reference's, everything trained", lambda d: rules.ratios(d["released"]["terms"], d)["transition"]),
            Measure("barrier of the path, dynamics free", lambda d: d["paths"]["free"]["barrier"]),
        ),
        of_sample=(
            Measure("total above the floor over the reference's, everything trained", lambda d: rules.ratios(d["released"]["terms"], d)["total"]),
            Measure("barrier of the path, dynamics free", lambda d: d["sampled"]["paths"]["free"]["barrier"]),
        ),
    ),
    Claim(
        "S9", "a change of the dynamics changes the encoder's landscape",
        complete=Rule(
            "unmoved dynamics and symmetries leave it exactly (exceptions that are always there, so it never plainly holds); other moves change it beyond "
            "rounding and change what descent finds: the level by more than 10 %, or the embedding by more than a tenth of a mean edge", rules.s9
        ),
        sample=Rule(
            "on samples, unmoved dynamics and symmetries leave it exactly (the exceptions), other moves change it beyond rounding and change what descent finds: where one of the descents ends within 10 % of the reference's total above the floor and "
            "another does not, each by more than its further steps are expected to gain and on the independent sample too, or as where all transitions are listed", sampled_rules.s9_sample,
        ),
        measures=(PER_UNIT,),
        of_sample=(PER_UNIT,),
    ),
    Claim(
        "S10", "freezing removes one dimension of the surface encoder x dynamics",
        complete=Rule(
            "off the slice a valley within 25 % of the reference's total above the floor, and a path whose highest point is half as high; exceptions: the "
            "valley without the lower path, or only where the encoder moves too; a slice that has the valley already decides nothing", rules.s10,
        ),
        sample=Rule(
            "off the slice a valley within 25 % of the reference's total above the floor, and a path half as high; a slice that has the valley already decides "
            "nothing", sampled_rules.s10_sample,
        ),
        measures=(
            Measure("total above the floor under adapted dynamics over the reference's", lambda d: rules.ratios(d["adapted"]["terms"], d)["total"]),
            Measure("barrier between the released valley and the base's, all free", lambda d: (d["paths"]["valleys"] or {}).get("barrier")),
        ),
    ),
    Claim(
        "S11", "small losses, yet a score of -5",
        sample=Rule(
            "the interval of the score below -4 with every term but `value` within a factor 2 of the base's; exceptions: below -4 with all within 10, or "
            "near losses with the interval between -4 and 0", sampled_rules.s11_sample,
        ),
        of_sample=(
            Measure("score of the transfer", lambda d: d["failed_score"]["mean"]),
            Measure("score of its base", lambda d: d["copy_score"]["mean"]),
        ),
    ),
)  # fmt: skip
"""Every claim that one pair of models can decide."""
