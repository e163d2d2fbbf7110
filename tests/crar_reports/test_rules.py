"""Every rule can bring out each of its verdicts, and S3 and S8 do not contradict each other on the same figures."""

from __future__ import annotations

import itertools

import pytest

from crar_model.core.files import Plain
from crar_reports.claims.evidence import pair_of
from crar_reports.claims.losses import does, looks, to_reference
from crar_reports.claims.record import EXCEPTIONS, FAILS, HOLDS, UNDECIDED
from crar_reports.claims.table import claims_of, decide
from crar_reports.pages.claims_groups import grouped, verdicts
from tests.crar_reports.figures_of_rules import BAD, BARRED, MATCHED, NEAR, altered, facts, path, sample, score

COMPLETE: list[tuple[str, Plain, str]] = [
    ("S1", {}, HOLDS),
    ("S1", {"oddness": [1.0, 2.0]}, FAILS),
    ("S2", {}, HOLDS),
    ("S2", {"match": MATCHED | {"verdict": "neither"}}, FAILS),
    ("S3", {"failed_terms": NEAR | {"transition": 0.0019}}, HOLDS),
    ("S3", {"failed_terms": NEAR | {"transition": 0.009, "total": 0.098}}, EXCEPTIONS),
    ("S3", {}, FAILS),
    ("S3", {"failed_terms": NEAR | {"consecutive": 0.39}}, EXCEPTIONS),  # above its floor it is 2.4 times as high; level with the total
    ("S3", {"failed_terms": NEAR | {"consecutive": 0.39, "total": 0.104}}, FAILS),
    ("S3", {"accuracy": [0.3, 0.96, 0.96]}, UNDECIDED),
    ("S4", {}, HOLDS),
    ("S4", {"errors.above_two": 0.05}, EXCEPTIONS),
    ("S4", {"errors.above_two": 0.3, "errors.above_at_door": 1.0}, EXCEPTIONS),
    ("S4", {"errors.near": 1.1}, EXCEPTIONS),
    ("S4", {"errors.near": None, "errors.board": 0}, HOLDS),
    ("S4", {"errors.near": None, "errors.board": 0, "errors.above_two": 0.3}, UNDECIDED),
    ("S4", {"errors.near": None, "errors.board": 0, "errors.above_two": 0.05}, EXCEPTIONS),
    ("S4", {"errors.near": None}, UNDECIDED),
    ("S4", {"errors.above_two": 0.3}, FAILS),
    ("S5", {}, HOLDS),
    ("S5", {"midpoint": 0.9}, EXCEPTIONS),
    ("S5", {"midpoint": 0.9, "barriers.embedding.random_pairs.where": 0.2}, FAILS),
    ("S5", {"barriers": {"embedding": {"total": {"climb": 0.3}}}}, UNDECIDED),
    ("S6", BARRED, HOLDS),
    ("S6", {}, FAILS),
    ("S6", {"paths.frozen": path(0.02)}, UNDECIDED),  # below a tenth of the climb, above a tenth of the drop
    ("S6", {"paths.frozen": path(0.1)}, UNDECIDED),
    ("S6", {"paths.lifted.reached": 0.98}, UNDECIDED),  # a path of embeddings that no encoder is shown to take
    ("S6", {"paths.lifted.barrier": 0.1}, UNDECIDED),  # as one of encoders it climbs
    ("S6", {"paths.lifted.barrier": float("nan")}, UNDECIDED),
    ("S6", {"paths.lifted": None}, UNDECIDED),
    ("S6", {"paths.lifted": None, "paths.space": "weight"}, FAILS),  # a path of weights is one of encoders
    ("S6", BARRED | {"paths.searches": {"a": {"barrier": 0.2}}}, UNDECIDED),  # one search proves nothing
    ("S6", BARRED | {"quick": True}, UNDECIDED),
    ("S6", {"certificate": None}, UNDECIDED),
    ("S6", {"certificate.verdict": "not converged"}, UNDECIDED),
    ("S6", BARRED | {"paths.frozen": path(0.2, 0.09, 0.09)}, UNDECIDED),
    ("S6", BARRED | {"certificate.match": MATCHED}, UNDECIDED),
    ("S7", {}, HOLDS),
    ("S7", {"certificate.match": MATCHED}, EXCEPTIONS),
    ("S7", {"certificate.verdict": "saddle"}, FAILS),
    ("S7", {"certificate.loss": 0.0901}, FAILS),  # a minimum, but the reference's
    ("S7", {"certificate.verdict": "undecided"}, UNDECIDED),
    ("S7", {"certificate.verdict": "flat"}, UNDECIDED),
    ("S7", {"certificate.verdict": "not converged"}, UNDECIDED),
    ("S7", {"certificate": None}, UNDECIDED),
    ("S8", {}, HOLDS),
    ("S8", {"released.terms": BAD, "adapted.terms": NEAR}, HOLDS),  # the dynamics alone
    ("S8", {"released.terms": NEAR | {"transition": 0.004, "total": 0.093}}, EXCEPTIONS),
    ("S8", {"released.terms": NEAR | {"random_pairs": 0.035, "total": 0.105}}, EXCEPTIONS),
    ("S8", {"released.terms": BAD}, FAILS),
    ("S8", {"released.terms": BAD, "released.converged": False}, UNDECIDED),
    ("S8", {"failed_terms": NEAR}, UNDECIDED),
    ("S9", {}, EXCEPTIONS),
    ("S9", {"shifts.3.values": 0.1}, UNDECIDED),  # a symmetry is exact, or the measurement is wrong
    ("S9", {"shifts.1.values": 1e-16}, FAILS),
    ("S9", {"descents.1.level": 3.0}, FAILS),
    ("S9", {"descents.1.level": 3.2, "descents.2.match": "neither"}, FAILS),  # words do not decide, figures do
    ("S9", {"descents.1.level": 3.5}, EXCEPTIONS),  # far above the reference, all of them, and yet not one level
    ("S9", {"descents.1.level": 3.0, "descents.2.apart": 0.2}, EXCEPTIONS),
    ("S9", {"descents.1.level": 3.0, "descents.2.apart": None}, UNDECIDED),  # figures of before it was measured
    ("S9", {"descents.2.apart": None}, EXCEPTIONS),  # the level of another decides
    ("S9", {"descents.1.level": float("nan")}, UNDECIDED),
    ("S9", {"descents": None}, UNDECIDED),
    ("S9", {"descents.2.verdict": "not converged"}, UNDECIDED),
    ("S9", {"shifts.0.values": 1e-3}, UNDECIDED),
    ("S10", {"adapted.terms": NEAR, "paths.frozen": path(0.1)}, HOLDS),
    ("S10", {"adapted.terms": NEAR}, EXCEPTIONS),  # no lower path off the slice than on it
    ("S10", {"adapted.terms": NEAR, "paths.frozen": path(0.1), "certificate.terms": NEAR}, UNDECIDED),  # the slice has the valley already
    ("S10", {"paths.frozen": path(0.1), "certificate.terms": NEAR}, UNDECIDED),  # whatever the dynamics reach alone
    ("S10", {"paths.frozen": path(0.1)}, EXCEPTIONS),  # a valley, but the encoder has to move as well
    ("S10", {"released.terms": BAD}, FAILS),
    ("S10", {"released.terms": BAD, "adapted.converged": False}, UNDECIDED),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "changes", "verdict"), COMPLETE)
def test_verdicts_follow_the_figures(claim: str, changes: Plain, verdict: str) -> None:
    assert {d.id: d.verdict for d in decide(altered(facts(), changes), complete=True)}[claim] == verdict


def test_every_rule_is_brought_to_each_of_its_verdicts() -> None:
    """Rules that know fewer words than four are named here."""
    words = {HOLDS, EXCEPTIONS, FAILS, UNDECIDED}
    fewer = {"S1": {HOLDS, FAILS}, "S2": {HOLDS, FAILS}, "S6": {HOLDS, FAILS, UNDECIDED}}
    fewer["S9"] = {EXCEPTIONS, FAILS, UNDECIDED}  # its symmetries are always there
    for claim, _ in claims_of(complete=True):
        assert {verdict for name, _, verdict in COMPLETE if name == claim.id} == fewer.get(claim.id, words), claim.id


OTHERS = {"descents.1.least": 0.9, "descents.1.level": 1.0, "descents.1.most": 1.05, "descents.1.other_level": 1.0}
"""Under the adapted dynamics the descent ends at the reference's level, whatever follows."""
SAMPLE: list[tuple[str, Plain, str]] = [
    ("S2", {}, HOLDS),
    ("S2", {"match": MATCHED}, FAILS),
    ("S3", {"failed_terms": NEAR}, HOLDS),
    ("S3", {"failed_terms": NEAR | {"discount": 9e-4}}, EXCEPTIONS),
    ("S3", {}, FAILS),
    ("S6", {}, UNDECIDED),  # a path bounds from above
    ("S6", {"sampled.paths.frozen.barrier": 0.001, "sampled.paths.independent.frozen": 0.001}, FAILS),
    ("S6", {"sampled.paths.frozen.barrier": 0.001}, UNDECIDED),  # the independent sample still climbs
    ("S6", {"sampled.paths.frozen.barrier": 0.001, "sampled.paths.independent.frozen": 0.001, "sampled.failed.verdict": "not converged"}, UNDECIDED),
    ("S6", {"sampled.paths.frozen.barrier": 0.0, "sampled.paths.independent.frozen": 0.0, "sampled.paths.frozen.start": 0.08}, UNDECIDED),
    ("S6", {"sampled": None}, UNDECIDED),  # straight lines alone, which climb
    ("S6", {"sampled": None, "barriers": {space: {"total": {"climb": 0.0}} for space in ("embedding", "weight")}}, FAILS),
    ("S6", {"sampled": None, "barriers": {"embedding": {"total": {"climb": 0.0}}, "weight": {"total": {"climb": 0.3}}}}, UNDECIDED),  # no way of weights
    ("S6", {"sampled": None, "barriers": {"weight": {"total": {"climb": 0.0}}}, "failed_terms": NEAR}, UNDECIDED),  # no drop
    ("S7", {}, HOLDS),
    ("S7", {"sampled.failed.both": "saddle"}, FAILS),
    ("S7", {"sampled.failed.both": "undecided"}, UNDECIDED),  # a minimum of the sample alone
    ("S7", {"sampled.failed.both": "not converged"}, UNDECIDED),
    ("S7", {"sampled.failed.both": "flat"}, UNDECIDED),
    ("S7", {"sampled.failed.loss": 0.081}, FAILS),  # at the reference's level
    ("S7", {"sampled.floors.sample": -9.0}, FAILS),  # the sample's own floor counts: next to it they are at one level
    ("S7", {"sampled.failed.match": MATCHED}, EXCEPTIONS),
    ("S7", {"sampled": None}, UNDECIDED),
    ("S8", {}, HOLDS),
    ("S8", {"released.terms": BAD, "released.converged": False}, UNDECIDED),  # a training is never said to have converged
    ("S9", {}, UNDECIDED),  # all end above the reference, by certificates the same, but one level of three is not known
    ("S9", OTHERS, EXCEPTIONS),
    ("S9", OTHERS | {"shifts.3.values": 0.1}, UNDECIDED),  # a symmetry is exact, or the measurement is wrong
    ("S9", OTHERS | {"descents.1.other_level": 2.0}, UNDECIDED),  # the independent sample says otherwise
    ("S9", OTHERS | {"descents.0.other_level": None, "descents.2.other_level": None}, UNDECIDED),  # it was not asked
    ("S9", OTHERS | {"descents.0.least": 1.0, "descents.2.least": 3.0}, EXCEPTIONS),  # two others differ, whatever its own does
    ("S9", OTHERS | {"descents.0.verdict": "not converged"}, EXCEPTIONS),  # however much further it goes, it stays above
    ("S9", OTHERS | {"descents.0.least": 1.0, "descents.2.least": 1.0}, UNDECIDED),  # it may get there too
    ("S9", {"descents.1.least": 3.0, "descents.1.level": 3.0}, FAILS),
    ("S9", {"descents.1.least": 3.0, "descents.1.level": 2.0}, EXCEPTIONS),
    ("S9", {"descents.1.least": 3.0, "descents.1.level": 3.0, "descents.2.apart": 0.5}, EXCEPTIONS),
    ("S9", {"descents.1.least": 3.0, "descents.1.level": 3.0, "descents.2.apart": None}, UNDECIDED),
    ("S9", {"descents.1.least": 3.0, "descents.2.verdict": "not converged"}, UNDECIDED),
    ("S9", {"descents": None}, UNDECIDED),
    ("S9", OTHERS | {"shifts.0.values": 1e-3}, UNDECIDED),
    ("S9", OTHERS | {"shifts.1.values": 1e-16}, FAILS),
    ("S10", {"adapted.terms": NEAR}, HOLDS),
    ("S10", {"adapted.terms": NEAR, "failed_terms": NEAR, "certificate": None}, UNDECIDED),  # the slice has it already
    ("S10", {"failed_terms": NEAR, "certificate": None}, UNDECIDED),
    ("S10", {"adapted.terms": NEAR, "sampled.paths.free.barrier": 0.09}, EXCEPTIONS),  # a valley without a lower way
    ("S10", {}, FAILS),
    ("S10", {"adapted.converged": False}, UNDECIDED),
    ("S11", {"failed_terms": NEAR}, HOLDS),
    ("S11", {"failed_terms": NEAR | {"discount": 9e-4}}, EXCEPTIONS),
    ("S11", {"failed_terms": NEAR, "failed_score": score(-3.9, -1.0)}, EXCEPTIONS),
    ("S11", {}, FAILS),
    ("S11", {"failed_terms": NEAR, "failed_score": score(-4.5, -3.5)}, UNDECIDED),  # the interval straddles -4
    ("S11", {"failed_terms": NEAR, "failed_score": score(-0.5, 0.5)}, UNDECIDED),
    ("S11", {"failed_score": score(0.1, 0.5)}, UNDECIDED),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "changes", "verdict"), SAMPLE)
def test_verdicts_of_a_sample_follow_the_figures(claim: str, changes: Plain, verdict: str) -> None:
    assert {d.id: d.verdict for d in decide(altered(sample(), changes), complete=False)}[claim] == verdict


@pytest.mark.parametrize("complete", [True, False])
def test_nearness_is_one_thing_to_s3_and_s8(complete: bool) -> None:
    """The losses that S3 calls near are not ones that S8 calls missed, nor the other way round, whatever the figures."""
    seen = set()
    grid = itertools.product((0.5, 1.5, 3, 8, 15), (0.9, 1.3, 1.9, 2.5), (0.27, 0.3, 0.36, 0.4))
    for transition, pairs, consecutive in grid:
        terms = NEAR | {"transition": transition * 1e-3, "random_pairs": pairs * 0.02, "consecutive": consecutive}
        terms["total"] = NEAR["total"] + sum(
            w * (terms[t] - NEAR[t]) for t, w in (("transition", 1), ("random_pairs", 1), ("consecutive", 0.2))
        )
        failed = altered(sample(), {"failed_terms": terms})
        released = altered(sample(), {"released.terms": terms})
        before = {d.id: d.verdict for d in decide(failed, complete=complete)}["S3"]
        after = {d.id: d.verdict for d in decide(released, complete=complete)}["S8"]
        assert {before, after} != {HOLDS, FAILS}, terms
        if after == HOLDS:
            pair = pair_of(failed, complete=complete)
            assert to_reference(pair.failed_terms, pair).at_level
            assert before in (HOLDS, EXCEPTIONS)
        seen |= {("S3", before), ("S8", after)}
    assert seen == {(rule, verdict) for rule in ("S3", "S8") for verdict in (HOLDS, EXCEPTIONS, FAILS)}


def test_a_transfer_counts_by_what_it_does_and_by_what_it_looks_like() -> None:
    good = altered(
        facts(), {"accuracy": [0.97, 0.97, 0.98], "navigation": [0.89, 0.9, 0.9]}
    )  # within two points of its base, though swapped
    turned, worse = altered(good, {"match": MATCHED}), altered(facts(), {"match": MATCHED})
    adapted = altered(good, {"same_dynamics": False})  # whoever has the dynamics, what it can do decides
    found = [pair_of(d, complete=True) for d in (facts(), good, turned, worse, adapted)]
    assert [does(pair) for pair in found] == ["failed", "successful", "successful", "failed", "successful"]
    assert [looks(pair) for pair in found[1:4]] == ["failed", "successful", "successful"]
    by_score = [altered(sample(), {"failed_score": score(*ends)}) for ends in ((-4.9, -4.5), (-0.5, 0.5), (0.1, 0.5))]
    assert [does(pair_of(d, complete=False)) for d in by_score] == ["failed", "open", "successful"]
    groups = grouped(found[:3])
    assert {name: len(group) for name, group in groups.items()} == {
        "failed by what they do": 1, "successful by what they do": 2, "failed by what they look like": 2, "successful by what they look like": 1,
    }  # fmt: skip
    assert verdicts(groups["failed by what they look like"])["S7"] == (HOLDS, "holds 2")


def test_claims_over_samples_count_the_verdicts_of_sample_rules() -> None:
    good, bad = (pair_of(altered(sample(), {"sampled.failed.both": both}), complete=False) for both in ("minimum", "saddle"))
    assert verdicts([bad, bad], complete=False)["S7"] == (FAILS, f"{FAILS} 2")
    assert verdicts([good, bad], complete=False)["S7"][0] == "mixed"
    assert set(verdicts([bad], complete=False)) == {"S2", "S3", "S6", "S7", "S8", "S9", "S10", "S11"}


def test_a_theorem_that_was_not_measured_is_undecided() -> None:
    without = {name: value for name, value in sample().items() if name not in ("shifts", "descents")}
    row = next(d for d in decide(without, complete=False) if d.id == "S9")
    assert (row.verdict, row.figure) == (UNDECIDED, "not measured here: `crar theorem`, or `--full`")


@pytest.mark.parametrize("complete", [True, False])
def test_dynamics_that_did_not_move_decide_nothing(complete: bool) -> None:
    figures = facts() if complete else sample()
    for shift in figures["shifts"]:
        if "of the way" in shift["way"]:
            shift |= {"distance": 0.0, "values": 0.0, "gradients": 0.0}
    found = {d.id: d for d in decide(figures, complete=complete)}["S9"]
    assert (found.verdict, "the dynamics did not move" in found.figure) == (UNDECIDED, True)
    figures = facts() if complete else sample()
    figures["shifts"] = [shift for shift in figures["shifts"] if "of the way" in shift["way"]]
    found = {d.id: d for d in decide(figures, complete=complete)}["S9"]
    assert (found.verdict, "symmetries: not measured" in found.figure) == (UNDECIDED, True)
