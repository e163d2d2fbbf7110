"""The factorial of recipes: its table, and answers that can come out each way."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from crar_reports.claims.record import FAILS, HOLDS, UNDECIDED
from crar_reports.pages.study.page import write_study_page
from crar_reports.pages.study.recipes import COLUMNS, base_decides, decides_more, effects, never_from_joint, recipes_part, shares_of
from crar_reports.pages.study.rows import TERMINAL, Groups, groups_of, label, recipes_of
from tests.crar_reports.study_rows import Row, row, text_rows, transfer, write_rows

JOINT, SEQUENTIAL = "joint 0.0005, 75,000 updates", "sequential 0.0005, 75,000 updates"
Hits = Mapping[tuple[str, str], Sequence[int]]
"""(rule of the bases, rule of the transfers) -> successes of four, by base."""


def transfers(hits: Hits, **given: Any) -> list[Row]:
    rows = []
    for (base, rule), counts in hits.items():
        recipe = {"joint": JOINT, "sequential": SEQUENTIAL}[base]
        for number, count in enumerate(counts):
            for k in range(4):
                good = k < count
                about = {
                    "update_rule": rule,
                    "learning_rate": 8e-5,
                    "base_recipe": recipe,
                    "maze": "simple",
                    "outcome": "matched" if good else "neither",
                }
                rows.append(
                    transfer(k, f"{base}-{number}", good=good, at=5_000 * good, cell=f"{base}-{number}-{rule}-{k}", **about, **given)
                )
    return rows


def arms(hits: Hits) -> Groups:
    return groups_of(text_rows(transfers(hits)))


BASES_DECIDE = {
    ("joint", "joint"): [0] * 8,
    ("joint", "sequential"): [0] * 8,
    ("sequential", "joint"): [4, 4, 3, 0] * 2,
    ("sequential", "sequential"): [4, 4, 3, 1] * 2,
}
TRANSFERS_DECIDE = {
    ("joint", "joint"): [0] * 8,
    ("joint", "sequential"): [4, 4, 3, 4] * 2,
    ("sequential", "joint"): [0] * 8,
    ("sequential", "sequential"): [4, 4, 4, 3] * 2,
}
NEITHER = {(base, rule): [0, 4, 0, 4, 1, 3, 2, 2] for base in ("joint", "sequential") for rule in ("joint", "sequential")}


@pytest.mark.parametrize(
    ("hits", "verdict"),
    [(BASES_DECIDE, HOLDS), (TRANSFERS_DECIDE, FAILS), (NEITHER, UNDECIDED), ({key: counts[:3] for key, counts in BASES_DECIDE.items()}, UNDECIDED),
     ({key: counts for key, counts in BASES_DECIDE.items() if key[0] == "joint"}, UNDECIDED)],
)  # fmt: skip
def test_which_rule_decides_more(hits: Hits, verdict: str) -> None:
    _, found, figure = decides_more(arms(hits))
    assert found == verdict, figure


def test_effects_are_differences_of_shares() -> None:
    base, transfer_ = effects(
        shares_of(
            arms(
                {
                    ("joint", "joint"): [0, 2],
                    ("joint", "sequential"): [1, 1],
                    ("sequential", "joint"): [4, 4],
                    ("sequential", "sequential"): [2, 2],
                }
            )
        )
    )
    assert (base, transfer_) == (((1 - 0.25) + (0.5 - 0.25)) / 2, ((0.25 - 0.25) + (0.5 - 1)) / 2)
    assert all(map(math.isnan, effects({})))


def test_terminal_arms_are_no_part_of_the_factorial() -> None:
    plain, quirk = transfers(BASES_DECIDE), transfers({("sequential", "sequential"): [4] * 8}, terminal_last="1")
    for one in quirk:
        one["cell"] += "-t"
    both = groups_of(text_rows([*plain, *quirk]))
    assert {key.quirk for key in both} == {"", TERMINAL}
    assert shares_of(both) == shares_of(groups_of(text_rows(plain)))
    assert any(label(key, both).endswith(f"{TERMINAL}, from bases of {SEQUENTIAL}") for key in both)


def test_a_joint_base_with_one_success_refutes_never() -> None:
    question, verdict, figure = never_from_joint(arms(BASES_DECIDE))
    assert (verdict, "0 of 64 transfers of 8 bases succeed; at most 37 %" in figure) == (HOLDS, True), question
    assert never_from_joint(arms(BASES_DECIDE | {("joint", "joint"): [0] * 7 + [1]}))[1] == FAILS
    assert never_from_joint(arms({("sequential", "joint"): [1] * 8}))[1] == UNDECIDED


@pytest.mark.parametrize(("counts", "verdict"), [([4, 0] * 4, HOLDS), ([2] * 8, FAILS), ([0] * 8, UNDECIDED)])
def test_the_base_decides_among_sequential_ones(counts: list[int], verdict: str) -> None:
    ((_, found, _),) = base_decides(arms({("sequential", "sequential"): counts, ("joint", "sequential"): [4, 0] * 4}))
    assert found == verdict


@pytest.mark.usefixtures("as_published")
def test_the_page_has_a_verdict_a_recipe(tmp_path: Path) -> None:
    bases = [row(f"{rule}-{k}", maze="simple", update_rule=rule, seed=k) for rule in ("joint", "sequential") for k in range(8)]
    table = write_rows(
        tmp_path / "table.csv", [one | {"base_recipe": "", "terminal_last": 0} | one for one in [*bases, *transfers(BASES_DECIDE)]]
    )
    text = write_study_page(table, "recipe", tmp_path / "page", pages=("variants", "dependence")).read_text()
    assert f"| {SEQUENTIAL} | sequential 8e-05 | 60,000 | 32 of 32 | 24 | 24 | 8/8 (63 to 100 %) | 6/8 (35 to 97 %) |" in text
    assert f"(simple; bases {SEQUENTIAL}; transfers joint 8e-05, 60,000 updates)" in text
    assert f"(simple; bases {JOINT}; transfers" in text
    assert "The base's rule decides more than the transfer's: **holds**" in text
    assert (tmp_path / "page" / "simple-recipes.png").stat().st_size > 1_000
    assert set(recipes_of(arms(BASES_DECIDE))) == {JOINT, SEQUENTIAL}
    assert recipes_part(arms({("joint", "joint"): [0] * 8}), "none.png", {}) is None


def test_results_hold_the_table_and_the_answers(tmp_path: Path) -> None:
    bases = [row(f"{rule}-{k}", maze="simple", update_rule=rule, seed=k) for rule in ("joint", "sequential") for k in range(8)]
    rows = [one | {"base_recipe": "", "terminal_last": 0} | one for one in [*bases, *transfers(BASES_DECIDE)]]
    text = write_study_page(write_rows(tmp_path / "table.csv", rows), "s", tmp_path / "page", pages=("variants",)).read_text()
    (found,) = json.loads((tmp_path / "page" / "results.json").read_text())["recipes"]
    assert len(found["rows"]) == len(BASES_DECIDE)
    for one in found["rows"]:
        assert set(one) == set(COLUMNS)
        assert f"| {one['bases']} | {one['transfers']} | {one['updates']} | {one['done']} | {one['succeeded']} | {one['matched']} |" in text
    for one in found["answers"]:
        assert f"- {one['question']}: **{one['verdict']}**" in text


def test_an_arm_that_lacks_most_bases_is_no_mean_of_nothing() -> None:
    """Bases are resampled; those that an arm has may all be absent from a draw."""
    few = {key: counts[:1] if key == ("sequential", "joint") else counts for key, counts in BASES_DECIDE.items()}
    assert decides_more(arms(few))[1] in (HOLDS, UNDECIDED)
