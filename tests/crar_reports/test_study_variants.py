"""Figure 17: success by variant and base."""

from __future__ import annotations

import math

from crar_reports.pages.study import variants
from crar_reports.pages.study.rows import groups_of, label, main_group
from tests.crar_reports.study_rows import row, text_rows, transfer


def test_the_table_by_base_is_narrow_and_tells_what_is_open() -> None:
    bases = text_rows([row(name, seed=seed) for seed, name in enumerate(("a", "b", "c"))])
    own = [
        transfer(0, "a", good=True),
        transfer(1, "a", good=False),
        transfer(0, "b", good=True),
        transfer(1, "b", good=True, status="open"),
    ]
    ((key, group),) = groups_of(text_rows([*own, transfer(0, "c", good=True, status="open")])).items()
    assert variants._of_bases("f", key, group, bases) == ["f", "60,000", "1/2", "1/1?", "?"]
    left = [{**one, "status": "failed" if one["status"] == "open" else "done"} for one in group]
    assert variants._of_bases("f", key, left, bases)[2:] == ["1/2", "1/1!", "!"]
    assert variants._of_bases("f", key, group[:2], bases)[2:] == ["1/2", "", ""]
    assert variants._by_base({key: group}, bases) == ("g", ["0", "1", "2"], [[label(key, {key: group}), "60,000", "1/2", "1/1?", "?"]])
    assert variants._by_base({key: group[:1]}, bases[1:])[2] == []  # nothing was transferred from these


def test_copies_of_one_network_are_named() -> None:
    own = [transfer(0, base, good=True, variant="scratch", last_digest="one") for base in ("a", "b")]
    other = [transfer(k, "a", good=True, last_digest=f"own {k}") for k in range(2)]
    assert [line.split(": ")[1] for line in variants._copies(groups_of(text_rows([*own, *other])))] == [
        "2 models are 1 networks, so its intervals and p are far too narrow."
    ]


def test_what_diverged_is_left_out_with_a_word() -> None:
    rows = text_rows([transfer(0, "b", good=True), transfer(1, "b", good=False, final_score="")])
    groups = groups_of(rows)
    ((key, group),) = groups.items()
    assert variants._variant_row(key, group, groups)[-2] == "0.8, mean of 1, 1 diverged left out"
    assert variants._variant_row(key, group[1:], groups)[-2] == "all diverged"


def test_variants_are_held_against_freeze_of_as_many_updates() -> None:
    rows = [transfer(k, f"b{k}", good=good, updates=length) for length, good in ((60_000, False), (20_000, True)) for k in range(8)]
    rows += [transfer(k, f"b{k}", good=True, variant="unfreeze", updates=20_000) for k in range(8)]
    groups = groups_of(text_rows(rows))
    key = next(key for key in groups if key[0] == "unfreeze")
    assert variants._variant_row(key, groups[key], groups)[-1] == 1


def test_groups_that_differ_by_their_updates_are_told_apart() -> None:
    groups = groups_of(
        text_rows(
            [transfer(0, "b0", good=True), transfer(1, "b0", good=True, updates=40_000), transfer(2, "b0", good=True, learning_rate=1e-3)]
        )
    )
    assert [label(key, groups) for key in groups] == [
        "freeze, 0.0005, joint, 60,000 updates", "freeze, 0.0005, joint, 40,000 updates", "freeze, 0.001, joint",
    ]  # fmt: skip
    assert label(next(iter(groups))) == "freeze, 0.0005, joint"


def test_a_variant_is_held_against_freeze_of_the_same_bases() -> None:
    """Of other bases `freeze` may do otherwise, which says nothing of the variant."""
    rows = [transfer(0, f"b{k}", good=k < 8) for k in range(16)]
    rows += [transfer(0, f"b{k}", good=True, variant="reset-encoder") for k in range(8)]
    groups = groups_of(text_rows(rows))
    key = next(key for key in groups if key[0] == "reset-encoder")
    assert variants._variant_row(key, groups[key], groups)[-1] == 1
    assert math.isnan(variants._variant_row(key, groups[key][:1], groups)[-1])


def test_networks_are_told_apart_by_embedding_and_interval() -> None:
    seen = [("matched", 0.1, 0.6), ("matched", -0.2, 0.5), ("swapped", -3, -2), ("neither", -1, 1)]
    rows = [transfer(k, "b", good=True, outcome=kind, last_score_low=low, last_score_high=high) for k, (kind, low, high) in enumerate(seen)]
    rows.append(transfer(9, "b", good=False, outcome="diverged", last_score_low="", last_score_high=""))
    ((key, group),) = groups_of(text_rows(rows)).items()
    assert variants._networks("f", key, group, scored=True) == ["f", "60,000", "2", "1", "1", "1", "2", "1"]
    assert variants._networks("f", key, group, scored=False) == ["f", "60,000", "2", "1", "1"]


def test_what_takes_no_update_has_no_rate() -> None:
    rows = [transfer(0, "b", good=True), transfer(0, "b", good=True, variant="negate-input", updates=0, update_rule="sequential")]
    groups = groups_of(text_rows(rows))
    freeze, closed = groups
    assert label(closed, groups) == "negate-input"
    assert main_group(groups, "negate-input", freeze) == closed  # whatever rule it was asked for under
    other = groups_of(text_rows([*rows, {**rows[1], "update_rule": "joint"}]))
    assert label(closed, other) == "negate-input, 0.0005, sequential"


def test_what_starts_from_no_base_is_held_against_none() -> None:
    rows = [transfer(0, f"b{k}", good=False) for k in range(8)]
    for variant in ("scratch", "unfreeze"):
        rows += [transfer(0, f"b{k}", good=True, variant=variant, outcome="neither") for k in range(8)]
    groups = groups_of(text_rows(rows))
    found = {key[0]: variants._variant_row(key, group, groups) for key, group in groups.items()}
    assert found["scratch"][4] == "-"
    assert math.isnan(float(str(found["scratch"][-1])))
    assert str(found["unfreeze"][4]).startswith("8/8")
    assert float(str(found["unfreeze"][-1])) < 0.05
    looks = {key[0]: variants._networks(key[0], key, group, scored=False) for key, group in groups.items()}
    assert (looks["scratch"][2:], looks["unfreeze"][2:]) == (["-", "-", "-"], ["0", "0", "8"])
    decided = variants.decide_relearned(groups)
    assert decided is not None
    assert ("scratch" in decided.figure, "unfreeze" in decided.figure) == (False, True)


def test_no_p_is_shown_where_none_could_be_small() -> None:
    rows = [
        transfer(0, base, good=good, variant=variant) for base in ("a", "b") for variant, good in (("freeze", False), ("unfreeze", True))
    ]
    groups = groups_of(text_rows(rows))
    key = next(key for key in groups if key[0] == "unfreeze")
    assert math.isnan(float(str(variants._variant_row(key, groups[key], groups)[-1])))


def test_beginnings_of_longer_transfers_are_no_runs_of_their_own() -> None:
    rows = [transfer(k, "a", good=False) for k in range(4)]
    rows += [transfer(k, "a", good=False, updates=40_000, cell=f"short {k}") for k in range(2)]
    rows += [transfer(7, "a", good=False, updates=40_000, cell="of another seed")]
    groups = groups_of(text_rows(rows))
    assert variants._copies(groups) == [
        "`freeze, 0.0005, joint, 40,000 updates`: 2 of 3 models are the first 40,000 updates of transfers of `freeze, 0.0005, joint, 60,000 updates`, no runs of their own."
    ]
    other = groups_of(text_rows([{**one, "log_interval": 500} if one["updates"] == 40_000 else one for one in rows]))
    assert variants._copies(other) == []
    kept = groups_of(text_rows([{**one, "checkpoint_interval": one["updates"]} for one in rows]))
    assert len(variants._copies(kept)) == 1  # which changes no number of a model


def test_a_variant_is_told_with_what_the_study_changed_in_it() -> None:
    rows = text_rows([transfer(0, "a", good=False, variant="delay-structure", structure_delay=delay) for delay in (9_000, 30_000)])
    assert variants._about("delay-structure", rows[:1]).endswith("for the first 30,000 updates; here `structure_delay` is 9,000")
    assert variants._about("delay-structure", rows).endswith("; here `structure_delay` is 9,000 or 30,000")
    assert variants._about("delay-structure", rows[1:]).endswith("for the first 30,000 updates")
    assert variants._about("freeze", rows) == "the paper's approach: train only the encoder through the frozen dynamics"


def test_a_study_of_freeze_alone_says_nothing_of_new_encoders() -> None:
    rows = [transfer(k, "a", good=False) for k in range(3)]
    assert variants.decide_relearned(groups_of(text_rows(rows))) is None
    more = [*rows, transfer(0, "a", good=True, variant="reset-encoder", cell="new")]
    assert variants.decide_relearned(groups_of(text_rows(more))) is not None


def test_no_two_groups_are_drawn_under_one_name() -> None:
    """By rule, rate, length, terminal flag and the recipe of the bases."""
    recipes = ["joint 0.0005, 75,000 updates", "sequential 0.0005, 75,000 updates"]
    rows = [
        transfer(0, "b0", good=True, base_recipe=recipe, update_rule=rule, learning_rate=rate, updates=updates, terminal_last=quirk)
        for recipe in recipes
        for rule in ("joint", "sequential")
        for rate in (8e-5, 4e-4)
        for updates in (20_000, 60_000)
        for quirk in (0, 1)
    ]
    groups = groups_of(text_rows(rows))
    names = [variants.drawn_as(key, groups) for key in groups]
    assert len(set(names)) == len(names) == len(rows)
    assert all(name.count(" updates") == 2 for name in names)
    (own,) = groups_of(text_rows(rows[:1]))
    assert variants.drawn_as(own, {own: groups[own]}) == "freeze, 8e-05; 20,000 updates, 1 base"
