"""The page of all claims: each line follows the results that it is made from, and altered figures alter it."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli import app
from crar_model.core.errors import UserError
from crar_model.core.files import typed
from crar_model.tasks import TASKS
from crar_reports.claims import released_scores
from crar_reports.claims.record import FAILS, HOLDS, UNDECIDED, Decided
from crar_reports.claims.released_scores import ReleasedRun
from crar_reports.claims.study_facts import FACTS
from crar_reports.claims.table import CLAIMS, NAMED
from crar_reports.pages import verdict_entries as page
from crar_reports.pages.claims import Judged
from crar_reports.pages.study.released import released_answer
from crar_reports.pages.verdict_entries import NOT_MEASURED
from crar_reports.pages.verdicts import asked, write_verdicts
from tests.crar_reports.figures_of_rules import MATCHED, facts
from tests.crar_reports.pages import summary_of, whole_page
from tests.crar_reports.verdict_files import PUBLISHED, claims_of_mazes, lines, pairs_of, results, study_result


def test_every_claim_has_a_line_for_every_maze_where_it_makes_sense(tmp_path: Path) -> None:
    report = write_verdicts([], [], tmp_path / "none")
    found = lines(report)
    everywhere = [task for task in TASKS.values() if not task.known_by_data]
    assert {(name, task.title) for name in NAMED for task in everywhere if asked(name, task)} == {key[:2] for key in found}
    assert len(NAMED) == 14
    assert not asked("S11", TASKS["simple"])
    assert not asked("S1", TASKS["random"])
    assert all(NOT_MEASURED in line for line in found.values())
    assert sum("**" in line for line in found.values()) == 5  # what the released data answer does not wait for ours
    summary_of(report.read_text())
    whole_page(report)


def test_a_world_has_lines_where_it_has_results(tmp_path: Path) -> None:
    """A world is known by its data alone, and no claim was published of it: without results there is nothing to be measured."""
    world = TASKS["world"]
    claims = [{"maze": "world", **Decided(NAMED["S14"], HOLDS, "a figure of S14", 24, 8).plain()}]
    study = results(tmp_path / "study", {"command": "crar study", "study": "s", "claims": claims})
    report = write_verdicts([], [study], tmp_path / "out")
    own = {key: line for key, line in lines(report).items() if key[1] == world.title}
    assert {key[0] for key in own} == {name for name in NAMED if asked(name, world)}
    assert {key[0] for key, line in own.items() if NOT_MEASURED not in line} == {"S14"}
    assert not set(lines(write_verdicts([], [], tmp_path / "none"))) & set(own)


def test_altered_figures_alter_every_line(tmp_path: Path) -> None:
    """Every number of every result is another, a quarter of the models is left out: no line that has figures may stay."""

    def other(value: Any, way: str) -> Any:
        if isinstance(value, dict):
            return {name: other(inner, f"{way}.{name}") for name, inner in value.items()}
        if isinstance(value, list):
            return [other(inner, f"{way}.{number}") for number, inner in enumerate(value)]
        steady = ("accuracy", "navigation", "_score", "level", "floor", "maze")  # it stays a failed transfer
        if not isinstance(value, float) or any(name in way for name in steady):
            return value
        return value * (1.2 + zlib.crc32(way.encode()) % 97 / 97)

    claims, study = claims_of_mazes(tmp_path), study_result(tmp_path / "study")
    before = write_verdicts(claims, [study], tmp_path / "before")
    for folder in claims:
        content = json.loads((folder / "results.json").read_text())
        content["pairs"] = [other(pair, str(number)) for number, pair in enumerate(content["pairs"][1:])]
        if "failed_score" in content["pairs"][0]:
            for pair in content["pairs"]:
                pair["failed_score"] = {"mean": -2.5, "low": -3.0, "high": -2.0}
        results(folder, content)
    study_result(tmp_path / "study", verdict=FAILS, figure="another figure", models=7)
    after = write_verdicts(claims, [study], tmp_path / "after")
    old, new = lines(before), lines(after)
    assert set(old) == set(new)
    measured = {key for key, line in old.items() if NOT_MEASURED not in line}
    assert len(measured) == 10 + 7 + 1 + 6  # complete rules, sample rules with S11, the study's
    for key in old:
        assert (old[key] != new[key]) == (key in measured), key
    said = [summary_of(path.read_text()) for path in (before, after)]
    assert [one == two for one, two in zip(*said, strict=True)] == [True, False, False, False, True, False]


def released_answers() -> dict[tuple[str, str], Any]:
    """(claim, maze) -> what the released data say."""
    found = {(name, task.name): released_answer(name, task) for name in NAMED for task in TASKS.values()}
    return {key: answer for key, answer in found.items() if answer is not None}


def test_the_released_runs_are_cut_off_where_ours_end() -> None:
    task, updates = TASKS["random"], {"freeze": 60_000, "reset-encoder": 60_000, "unfreeze": 20_000, "delay-structure": 60_000}
    found = {name: released_answer(name, task, updates) for name in ("S11", "S12", "S13", "S14")}
    assert {name: one and one.verdict for name, one in found.items()} == {
        "S11": UNDECIDED,
        "S12": FAILS,
        "S13": FAILS,
        "S14": UNDECIDED,
    }
    assert found["S12"] is not None
    assert "`unfreeze`" in found["S12"].figure
    assert "omit-ball" not in found["S12"].figure  # ours was not run
    assert "delay-structure" not in found["S12"].figure  # its delay would be another
    assert released_answer("S12", task, {"freeze": 200_000, "reset-encoder": 200_000}) != found["S12"]
    assert released_answer("S14", TASKS["simple"], updates) is None
    assert released_answer("S6", task) is None


def test_altered_released_scores_alter_every_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    before = released_answers()
    assert {key: answer.verdict for key, answer in before.items()} == {
        ("S11", "random"): UNDECIDED, ("S12", "random"): FAILS, ("S13", "random"): HOLDS, ("S14", "random"): HOLDS, ("S14", "simple"): HOLDS,
    }  # fmt: skip
    assert "14 of 19 failed runs" in before["S11", "random"].figure
    assert "16/18 (65 to 99 %)" in before["S13", "random"].figure
    runs = released_scores._all_runs()

    def shifted(run: ReleasedRun, number: int) -> ReleasedRun:
        return replace(run, scores=run.scores + (6.0 if run.variant == "reset-encoder" or number % 3 == 0 else 0.0))

    changed = tuple(shifted(run, number) for number, run in enumerate(runs))
    monkeypatch.setattr(released_scores, "_all_runs", lambda: changed)
    altered = replace(FACTS["simple"], judged_by_eye=(("base 0002", 11, 11), ("base 0003", 11, 11)))
    monkeypatch.setitem(FACTS, "simple", altered)
    after = released_answers()
    assert all(after[key].figure != before[key].figure for key in before)
    assert after["S12", "random"].verdict == HOLDS
    assert after["S14", "simple"].verdict == UNDECIDED


def test_the_verdict_is_that_of_the_rules(tmp_path: Path) -> None:
    swapped, matched = pairs_of(facts(), 9), pairs_of({**facts(), "match": MATCHED}, 1)
    for pair in (*swapped, *matched):  # figures that only the spreads ask for
        pair["certificate"] |= {"subgradient_norm": 0.0, "signature": None}
        pair["released"]["terms"] = pair["adapted"]["terms"]
    found = lines(write_verdicts([results(tmp_path / "c", {"maze": "simple", "pairs": swapped + matched})], [], tmp_path / "out"))
    line = found["S2", "simple maze", "c"]
    assert "**holds**" in line
    assert "holds 9, does not hold 1; residual of the best signed permutation, edges: median 0.4 (0.4 to 0.4)" in line
    assert "10 of 5 bases" in line
    assert "barrier of the lowest path found" in found["S6", "simple maze", "c"]
    good = pairs_of({**facts(), "accuracy": [0.98] * 3, "navigation": [0.9] * 3, "match": MATCHED}, 3)
    found = lines(write_verdicts([results(tmp_path / "c", {"maze": "simple", "pairs": good})], [], tmp_path / "out"))
    assert all("none of 3 transfers failed" in found[name, "simple maze", "c"] for name in ("S1", "S10"))


def test_two_results_of_a_maze_stand_side_by_side(tmp_path: Path) -> None:
    one, two = study_result(tmp_path / "one"), study_result(tmp_path / "two", verdict=FAILS)
    found = lines(write_verdicts([], [one, two, one], tmp_path / "out"))
    assert "**holds**" in found["S12", "simple maze", "one"]
    assert "**does not hold**" in found["S12", "simple maze", "two"]
    assert len(found) == len(lines(write_verdicts([], [], tmp_path / "none"))) + 6


def test_results_of_before_they_named_the_maze(tmp_path: Path) -> None:
    content = json.loads((PUBLISHED / "claims" / "results.json").read_text())
    content.pop("maze", None)
    content["pairs"] = content["pairs"][:2]
    entries = page.claims_entries(typed(content, Judged, "", ""), tmp_path)
    assert {entry.maze for entry in entries} == {"simple"}
    assert [entry.id for entry in entries] == [claim.id for claim in CLAIMS if claim.listed is not None]


def test_bad_results_are_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "results.json").write_text("{")
    study = study_result(tmp_path / "study")
    other = results(tmp_path / "other", {"maze": "round", "pairs": []})
    for claims, studies, said in (
        ([tmp_path / "empty"], [], "cannot read .*give --claims a folder that `crar claims` wrote"),
        ([tmp_path / "broken"], [], "not JSON"),
        ([study], [], "not the results of `crar claims`"),
        ([], [other], "not the results of `crar study`"),
        ([other], [], r"other/results\.json: its maze is 'round'"),
    ):
        with pytest.raises(UserError, match=said):
            write_verdicts(claims, studies, tmp_path / "out")
    assert not (tmp_path / "out" / "report.md").exists()


def test_the_command(tmp_path: Path) -> None:
    words = ["verdicts", "--study", str(study_result(tmp_path / "study")), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    claims = json.loads((tmp_path / "out" / "results.json").read_text())["claims"]
    assert {(one["id"], one["maze"]): one["released"]["verdict"] for one in claims if one["released"]}["S14", "simple"] == HOLDS
    assert CliRunner().invoke(app, words).exit_code != 0  # not written over without --force
    assert CliRunner().invoke(app, [*words, "--force"]).exit_code == 0


def test_ours_stand_beside_the_released_runs_of_as_many_updates(tmp_path: Path) -> None:
    study_result(tmp_path / "study", updates={"freeze": 60_000, "reset-encoder": 60_000})
    report = write_verdicts([], [tmp_path / "study"], tmp_path / "out")
    line = lines(report)["S14", "random mazes", "study"]
    cut = released_answer("S14", TASKS["random"], {"freeze": 60_000})
    assert cut is not None
    assert f"; cut off where ours end **{cut.verdict}**, {cut.models} runs" in line
    assert f"| S14 | random mazes | where ours end | **{cut.verdict}** | {cut.figure} |" in report.read_text()
    assert "24 of 8 bases; updates: 60,000 (freeze, reset-encoder)" in line
    assert "cut off" not in lines(report)["S14", "simple maze", "study"]  # judged by eye, at their ends
    found = {(one["id"], one["maze"]): one for one in json.loads((tmp_path / "out" / "results.json").read_text())["claims"]}
    assert found["S14", "random"]["released_at_our_updates"] == cut.plain()
    assert any("cut off where our transfers end" in line for line in summary_of(report.read_text()))
    study_result(tmp_path / "long", updates={"freeze": 200_000, "reset-encoder": 200_000})
    assert "cut off" not in lines(write_verdicts([], [tmp_path / "long"], tmp_path / "again"))["S14", "random mazes", "long"]
