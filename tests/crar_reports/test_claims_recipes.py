"""The page of `crar claims` names how models were trained, and decides every recipe for itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crar_model import samples
from crar_model.core.errors import UserError
from crar_model.core.files import Plain, typed
from crar_reports.claims.record import FAILS, HOLDS, MIXED, UNSAID
from crar_reports.face.runs import decide_claims
from crar_reports.pages.claims import GIVEN, Judged, decide_again
from crar_reports.pages.claims_groups import FAILED, agreed
from crar_reports.pages.verdict_entries import claims_entries

PUBLISHED = Path(__file__).parents[2] / "reports" / "published"
RECIPES = [{"base": f"{rule} 0.0005, 75,000 updates", "transfer": "sequential 8e-05, 60,000 updates"} for rule in ("joint", "sequential")]
WORDS = [f"bases {one['base']}; transfers {one['transfer']}" for one in RECIPES]


def decided(folder: Path, pairs: list[Plain], command: str = "crar claims") -> str:
    """The page of pairs of the published failures, decided again."""
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps({"command": command, "maze": "simple", "pairs": pairs}))
    return decide_again(folder, folder, command="crar claims --again x").read_text()


def failures(count: int) -> list[dict[str, Any]]:
    content = json.loads((PUBLISHED / "claims" / "results.json").read_text())
    return [pair | {"recipe": None} for pair in content["pairs"][:count]]


def test_a_verdict_over_two_recipes_is_two(tmp_path: Path) -> None:
    pairs = [pair | {"recipe": RECIPES[number % 2]} for number, pair in enumerate(failures(4))]
    for pair in pairs[1::2]:
        pair["oddness"] = [1.0, 1.0]  # as of bases of the other rule
    text = decided(tmp_path / "two", pairs)
    assert f"\n**Recipe**: {WORDS[0]}; and {WORDS[1]}." in text
    parts = [text.split(f"## {FAILED.capitalize()}, {words} (2)")[1].split("## ")[0] for words in WORDS]
    assert [f"| **{verdict}** | {verdict} 2 |" in part for verdict, part in zip((HOLDS, FAILS), parts, strict=True)] == [True, True]
    assert f"- **Found of the 2 {FAILED}, {WORDS[1]}**: does not hold: S1" in text
    assert "which of the appendix's claims hold of 4 transfers" in text
    assert "- **Where the failed ones sit**: certificates: minimum 4;" in text


def test_one_recipe_stands_on_top_and_an_unknown_one_is_said(tmp_path: Path) -> None:
    text = decided(tmp_path / "one", [pair | {"recipe": RECIPES[0]} for pair in failures(2)])
    assert f"\n**Recipe**: {WORDS[0]}." in text
    assert f"## {FAILED.capitalize()} (2)" in text
    assert f"\n**Recipe**: {UNSAID}." in decided(tmp_path / "none", failures(2))


def test_what_recipes_do_not_agree_on_is_mixed() -> None:
    assert agreed([]) == {}
    assert agreed([{"S1": (HOLDS, ""), "S2": (HOLDS, "")}, {"S1": (FAILS, ""), "S2": (HOLDS, "")}]) == {"S1": MIXED, "S2": HOLDS}


def test_the_last_decision_stands_beside_the_command_that_measured(tmp_path: Path) -> None:
    text = decided(tmp_path / "again", failures(1), "crar claims --out x; decided again by crar claims --again y")
    assert "`crar claims --out x; decided again by crar claims --again x`" in text


def test_a_recipe_that_results_do_not_say_can_be_given_and_stays(tmp_path: Path) -> None:
    decided(tmp_path / "c", failures(2))
    text = decide_again(tmp_path / "c", tmp_path / "d", recipe=WORDS[0]).read_text()
    assert f"\n**Recipe**: {WORDS[0]}{GIVEN}." in text
    assert f"\n**Recipe**: {WORDS[0]}{GIVEN}." in decide_again(tmp_path / "d", tmp_path / "e").read_text()  # by the rules of a later day
    (entry,) = [
        one
        for one in claims_entries(typed(json.loads((tmp_path / "e" / "results.json").read_text()), Judged, "", ""), "e")
        if one.id == "S1"
    ]
    assert entry.recipe == WORDS[0]
    corrected = decide_again(tmp_path / "d", tmp_path / "h", recipe=WORDS[1].replace("75,000", "75000")).read_text()
    assert f"\n**Recipe**: {WORDS[1]}{GIVEN}." in corrected  # a typing error does not stay
    decided(tmp_path / "own", [pair | {"recipe": RECIPES[0]} for pair in failures(2)])
    decided(tmp_path / "some", [*failures(1), failures(2)[1] | {"recipe": RECIPES[0]}])
    for folder, words, why in (
        (tmp_path / "own", WORDS[1], "these results say how"),
        (tmp_path / "some", WORDS[1], "1 of these 2 transfers say how"),
        (tmp_path / "c", "joint", "no recipe; give it such as"),
    ):
        with pytest.raises(UserError, match=f"--recipe .*{why}"):
            decide_again(folder, tmp_path / "f", recipe=words)
    with pytest.raises(UserError, match="with --again; leave it out"):
        decide_claims(samples.FAILED, recipe=WORDS[0], out=tmp_path / "g")
