"""Verdicts by recipe, of few bases, and of what predict found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import app
from crar_model.core.errors import UserError
from crar_model.core.files import typed
from crar_reports.claims.record import HOLDS, UNDECIDED
from crar_reports.pages import verdict_entries as page
from crar_reports.pages.claims import Judged
from crar_reports.pages.verdicts import write_verdicts
from tests.crar_reports.figures_of_rules import MATCHED, sample
from tests.crar_reports.pages import summary_of
from tests.crar_reports.verdict_files import PUBLISHED, complete, lines, measured, results, study_result


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
        pairs = [{**one, "base": f"b/{k % bases}.pt"} for k, one in enumerate(measured(sample(), 12))]
        found = page.claims_entries(Judged(pairs, "random"), "claims")
        said = {one.verdict: one.scope for one in found}
        assert said.pop(UNDECIDED, "") == ""
        assert said, "the sample decides nothing"
        assert set(said.values()) == {scope}


def test_every_recipe_has_a_line_of_its_own(tmp_path: Path) -> None:
    recipes = [
        {"base": f"{rule} 0.0005, 75,000 updates", "transfer": "sequential 8e-05, 60,000 updates"} for rule in ("joint", "sequential")
    ]
    pairs = [one | {"recipe": recipes[number % 2]} for number, one in enumerate(complete(6))]
    pairs[0]["match"] = MATCHED
    found = [one for one in page.claims_entries(Judged(pairs, "simple"), "claims") if one.id == "S2"]
    assert [(one.recipe.partition(" ")[2].partition(" ")[0], one.models, one.figure.partition(";")[0]) for one in found] == [
        ("joint", 3, "holds 2, does not hold 1"), ("sequential", 3, "holds 3"),
    ]  # fmt: skip
    report = write_verdicts([results(tmp_path / "c", {"maze": "simple", "pairs": pairs})], [], tmp_path / "out")
    assert report.read_text().count("| bases sequential 0.0005, 75,000 updates; transfers sequential 8e-05, 60,000 updates |") == 10
    old = write_verdicts([results(tmp_path / "c", {"maze": "simple", "pairs": complete(6)})], [], tmp_path / "old")
    assert "| not said |" in old.read_text()


def test_a_recipe_is_given_where_results_do_not_say_it(tmp_path: Path) -> None:
    """It stands in the table and the page says that it was given; never over one that results have."""
    folder, words = (
        results(tmp_path / "c", {"maze": "simple", "pairs": complete(2)}),
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
        results(folder, {"maze": "simple", "pairs": [one | ({"recipe": own} if k < said else {}) for k, one in enumerate(complete(2))]})
        with pytest.raises(UserError, match="or its results say how their models were trained"):
            write_verdicts([folder], [], tmp_path / "out", recipes=[f"c={words}"])
    random = words.replace("75,000", "best of up to 75,000")  # the network of the best validation, as of the random mazes
    write_verdicts([results(tmp_path / "r", {"maze": "simple", "pairs": complete(2)})], [], tmp_path / "out", recipes=[f"r={random}"])
    for wrong in ("c", f"={words}", "c=joint", f"c={words.replace('joint', 'both')}", f"c={words.replace(' updates;', ';')}"):
        with pytest.raises(UserError, match="no recipe of a folder"):
            write_verdicts([folder], [], tmp_path / "out", recipes=[wrong])
    done = CliRunner().invoke(app, ["verdicts", "--claims", str(folder), "--recipe", "c=joint", "--out", str(tmp_path / "cli")])
    assert "no recipe of a folder" in str(done.exception)


def test_successes_stand_beside_the_failures(tmp_path: Path) -> None:
    pairs = complete(3)
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
