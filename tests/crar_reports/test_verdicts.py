"""The page of all claims: each line follows the results that it is made from, and altered figures alter it."""

from __future__ import annotations

import copy
import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli import app
from crar_model.core.errors import UserError
from crar_model.core.files import Plain, typed
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
from tests.crar_reports.pages import summary_of, whole_page
from tests.crar_reports.test_rules import MATCHED, facts, sample

PUBLISHED = Path(__file__).parents[2] / "reports" / "published"


def results(folder: Path, content: Plain) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(content))
    return folder


def pairs_of(figures: Plain, count: int) -> list[Plain]:
    return [{"transfer": f"t/{k}.pt", "base": f"b/{k // 2}.pt", **copy.deepcopy(figures)} for k in range(count)]


def claims_of_mazes(root: Path, count: int = 4) -> list[Path]:
    """Results of `crar claims` in both mazes."""
    found = [
        {"command": "crar claims", "maze": "random", "pairs": _measured(sample(), count)},
        json.loads((PUBLISHED / "claims" / "results.json").read_text()),
    ]
    found[1]["pairs"] = found[1]["pairs"][:count]
    return [results(root / f"claims-{number}", content) for number, content in enumerate(found)]


def _measured(figures: Plain, count: int) -> list[Plain]:
    """What the spreads ask of a sampled pair beside what its verdicts ask."""
    figures["sampled"]["failed"] |= {"spectrum": {"lowest": 0.1}, "independent": {"loss": 0.2, "lowest": 0.1}}
    return pairs_of(figures, count)


def study_result(folder: Path, **given: Any) -> Path:
    claims = [
        {"maze": maze, **Decided(NAMED[name], HOLDS, f"a figure of {name} in {maze}", 24, 8).plain()} | given
        for maze, names in (("simple", ("S12", "S13", "S14")), ("random", ("S11", "S12", "S14")))
        for name in names
    ]
    return results(folder, {"command": "crar study", "study": "s", "claims": claims})


def lines(report: Path) -> dict[tuple[str, str, str], str]:
    """(claim, maze, from) -> the line of the table of claims."""
    table = report.read_text().split("\n## ")[0]
    cells = [[cell.strip() for cell in line.split("|")] for line in table.split("\n") if line.startswith("| S")]
    return {(cell[1], cell[3], cell[8]): " | ".join(cell) for cell in cells}


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


def test_a_verdict_of_few_bases_says_so_wherever_it_stands(tmp_path: Path) -> None:
    few = study_result(tmp_path / "study", scope="for 8 bases, which says nothing of others")
    report = write_verdicts([], [few], tmp_path / "out")
    assert "**holds** for 8 bases, which says nothing of others" in lines(report)["S12", "simple maze", "study"]
    found = summary_of(report.read_text())
    assert "holds: S12 for 8 bases, S13 for 8 bases, S14 for 8 bases" in found[1]
    assert "does not hold: S12 for 1 base (random mazes)" in " ".join(found)  # what was released of it
    longer = study_result(tmp_path / "long", scope="for 2 bases and 60,000 updates, which says nothing of others")
    assert "holds: S12 for 2 bases and 60,000 updates, S13" in summary_of(write_verdicts([], [longer], tmp_path / "again").read_text())[1]


def test_claims_of_few_bases_say_so() -> None:
    for bases, scope in ((2, "for 2 bases, which says nothing of others"), (6, "")):
        pairs = [{**one, "base": f"b/{k % bases}.pt"} for k, one in enumerate(_measured(sample(), 12))]
        found = page.claims_entries(Judged(pairs, "random"), "claims")
        said = {one.verdict: one.scope for one in found}
        assert said.pop(UNDECIDED, "") == ""
        assert said, "the sample decides nothing"
        assert set(said.values()) == {scope}


def _complete(count: int) -> list[Plain]:
    """Pairs of the simple maze, with what the spreads ask for beside what the verdicts ask."""
    found = pairs_of(facts(), count)
    for pair in found:
        pair["certificate"] |= {"subgradient_norm": 0.0, "signature": None}
    return found


def test_every_recipe_has_a_line_of_its_own(tmp_path: Path) -> None:
    recipes = [
        {"base": f"{rule} 0.0005, 75,000 updates", "transfer": "sequential 8e-05, 60,000 updates"} for rule in ("joint", "sequential")
    ]
    pairs = [one | {"recipe": recipes[number % 2]} for number, one in enumerate(_complete(6))]
    pairs[0]["match"] = MATCHED
    found = [one for one in page.claims_entries(Judged(pairs, "simple"), "claims") if one.id == "S2"]
    assert [(one.recipe.partition(" ")[2].partition(" ")[0], one.models, one.figure.partition(";")[0]) for one in found] == [
        ("joint", 3, "holds 2, does not hold 1"), ("sequential", 3, "holds 3"),
    ]  # fmt: skip
    report = write_verdicts([results(tmp_path / "c", {"maze": "simple", "pairs": pairs})], [], tmp_path / "out")
    assert report.read_text().count("| bases sequential 0.0005, 75,000 updates; transfers sequential 8e-05, 60,000 updates |") == 10
    old = write_verdicts([results(tmp_path / "c", {"maze": "simple", "pairs": _complete(6)})], [], tmp_path / "old")
    assert "| not said |" in old.read_text()


def test_a_recipe_is_given_where_results_do_not_say_it(tmp_path: Path) -> None:
    """It stands in the table and the page says that it was given; never over one that results have."""
    folder, words = (
        results(tmp_path / "c", {"maze": "simple", "pairs": _complete(2)}),
        "bases joint 0.0005, 75,000 updates; transfers sequential 8e-05, 40,000 updates",
    )
    text = write_verdicts([folder], [], tmp_path / "out", recipes=[f"c={words}"]).read_text()
    assert text.count(f"| {words} |") == 10
    assert f"- **Found in the simple maze, {words}**" in text
    assert "- **Recipes**: of c as the command gives them: these results do not say how their models were trained." in text
    assert "| not said |" not in text
    with pytest.raises(UserError, match="none of the folders given has that name"):
        write_verdicts([folder], [], tmp_path / "out", recipes=[f"d={words}"])
    own = {"base": "sequential 0.0005, 75,000 updates", "transfer": "sequential 8e-05, 60,000 updates"}
    for said in (1, 2):  # of two transfers
        results(folder, {"maze": "simple", "pairs": [one | ({"recipe": own} if k < said else {}) for k, one in enumerate(_complete(2))]})
        with pytest.raises(UserError, match="or its results say how their models were trained"):
            write_verdicts([folder], [], tmp_path / "out", recipes=[f"c={words}"])
    random = words.replace("75,000", "best of up to 75,000")  # the network of the best validation, as of the random mazes
    write_verdicts([results(tmp_path / "r", {"maze": "simple", "pairs": _complete(2)})], [], tmp_path / "out", recipes=[f"r={random}"])
    for wrong in ("c", f"={words}", "c=joint", f"c={words.replace('joint', 'both')}", f"c={words.replace(' updates;', ';')}"):
        with pytest.raises(UserError, match="no recipe of a folder"):
            write_verdicts([folder], [], tmp_path / "out", recipes=[wrong])
    done = CliRunner().invoke(app, ["verdicts", "--claims", str(folder), "--recipe", "c=joint", "--out", str(tmp_path / "cli")])
    assert "no recipe of a folder" in str(done.exception)


def test_successes_stand_beside_the_failures(tmp_path: Path) -> None:
    pairs = _complete(3)
    pairs[0] |= {"accuracy": [1.0, 1.0, 1.0], "navigation": [1.0, 1.0, 1.0], "match": MATCHED}
    found = {one.id: one for one in page.claims_entries(Judged(pairs, "simple"), "claims")}
    assert found["S2"].models == 2
    assert found["S2"].figure.startswith("holds 2;")
    assert found["S2"].figure.endswith("; of 1 that succeeded: does not hold 1")


def test_outcomes_of_predict_decide_s14(tmp_path: Path) -> None:
    bases = [{"features": {"valleys": 2.0}, "recipe": f"{rule} 0.0005, 16,000 updates"} for rule in ("joint",) * 8 + ("sequential",) * 8]
    ends = [{"successes": 4 * (k < 3), "transfers": 4, "recipe": "sequential 8e-05, 12,000 updates"} for k in range(16)]
    content = {"command": "crar predict", "maze": "simple", "bases": bases, "outcomes": ends}
    one, two = page.predict_entries(typed(content, page.Predicted, "", ""), tmp_path / "p")
    assert [(each.id, each.verdict, each.models, each.bases) for each in (one, two)] == [("S14", HOLDS, 32, 8), ("S14", UNDECIDED, 32, 8)]
    assert one.recipe == "bases joint 0.0005, 16,000 updates; transfers sequential 8e-05, 12,000 updates"
    published = json.loads((PUBLISHED / "predict" / "results.json").read_text())
    (own,) = page.predict_entries(typed(published, page.Predicted, "", ""), PUBLISHED / "predict")  # of before they named maze and recipe
    assert (own.maze, own.verdict, own.models, own.bases, own.recipe) == ("simple", HOLDS, 192, 48, "")
    words = ["verdicts", "--predict", str(results(tmp_path / "p", content)), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    found = lines(tmp_path / "out" / "report.md")
    assert "8 bases" in found["S14", "simple maze", "p"]
    broken = results(tmp_path / "q", {"bases": [], "outcomes": {}})
    with pytest.raises(UserError, match="not the results of `crar predict`"):
        write_verdicts([], [], tmp_path / "other", predictions=[broken])
