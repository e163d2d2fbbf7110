"""The page of a study, from tables made here: what is drawn, chosen and said follows the figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crar_model.agent.loss import TERMS
from crar_model.studies.plan import PAGES
from crar_model.tasks import TASKS
from crar_model.training.log import read_losses
from crar_reports.claims.released_scores import BASES, released_rows
from crar_reports.pages.study import cost, rates
from crar_reports.pages.study.dependence import see
from crar_reports.pages.study.page import write_study_page
from crar_reports.pages.study.rows import key_of, sound, start_of
from crar_reports.pages.study.table import scores_of
from crar_reports.press.markdown import table as markdown
from crar_reports.statistics import share_words_by_base
from tests.crar_reports.pages import summary_of, whole_page
from tests.crar_reports.study_rows import TRAINED, Row, a_study, row, text_rows, transfer, write_rows


@pytest.mark.usefixtures("as_published")
def test_only_the_pages_that_are_asked_for_are_made(tmp_path: Path) -> None:
    table = write_rows(tmp_path / "study" / "table.csv", a_study([3, 0]))
    titles = {
        "terms": "(Figure 16)", "variants": "(Figure 17)", "rates": "(Figure 18)", "dependence": "(S14)", "times": "Updates until a score above 0",
        "cost": "### Cost",
    }  # fmt: skip
    assert set(titles) == set(PAGES)
    for page, title in titles.items():
        said = write_study_page(table, "s", tmp_path / page, pages=[page]).read_text()
        assert [other for other, words in titles.items() if words in said] == [page], title
    report = write_study_page(table, "s", tmp_path / "all", command="crar study")
    assert all(title in report.read_text() for title in titles.values())
    assert "nan" not in report.read_text()
    assert markdown(["variant", *(f"base {name}" for name in BASES)], released_rows()) in report.read_text()
    assert "| base 0002 | 3/22 |" not in report.read_text()
    lines = summary_of(report.read_text())
    assert "`freeze` 3/8 (0 to 99 %) of 60,000 updates, `unfreeze` 4/4 (16 to 100 %) of 20,000 updates." in lines[1]
    assert "S11 undecided, S12 undecided, S14 undecided." in lines[2]
    assert lines[-1].endswith("the claims' verdicts are of 0 to 2 bases.")
    whole_page(report)
    claims = json.loads((tmp_path / "all" / "results.json").read_text())["claims"]
    assert [(one["maze"], one["id"]) for one in claims] == [("random", "S11"), ("random", "S12"), ("random", "S14")]
    assert json.loads((tmp_path / "cost" / "results.json").read_text())["claims"] == []


def test_the_cost_has_a_line_for_all_together() -> None:
    rows = text_rows([row("b", seconds=3_600), transfer(0, "b", good=True, seconds=1_800), transfer(1, "b", good=True, status="open")])
    rows.append(text_rows([transfer(2, "b", good=True, variant="first-layer", updates_taken=20_000, search_updates=5_200, seconds=252)])[0])
    lines = [[str(cell) for cell in line] for line in cost._cost(rows)]
    assert lines == [
        ["base", "joint", "1 of 1", "60,000", "1.000", "17"],
        ["freeze", "joint", "1 of 2", "60,000", "0.500", "33"],
        ["first-layer", "joint", "1 of 1", "25,200", "0.070", "100"],
        ["all", "", "3 of 4", "145,200", "1.570", "26"],
    ]


def test_bases_with_one_transfer_break_no_test(tmp_path: Path) -> None:
    """One outcome of a base says nothing of the base, alone or beside others."""
    single = [transfer(0, f"b{number}", good=number > 0, variant="negate-input", updates_taken=0, updates=0) for number in range(4)]
    rows = [*a_study([0, 0, 0, 4]), *single]
    rows = [one for one in rows if one["cell"] not in ("b3-freeze-1", "b3-freeze-2", "b3-freeze-3")]  # of b3 one is done
    report = write_study_page(write_rows(tmp_path / "table.csv", rows), "s", tmp_path / "page").read_text()
    assert "cannot be told apart: `negate-input` (3/4)." in report
    assert "from 0 to 100 % over 4 bases" in report


def test_claims_are_of_bases_that_can_do_the_task(tmp_path: Path) -> None:
    rows = a_study([0, 0, 4, 4])
    rows[2]["best_score_low"] = -0.1  # what its transfers start from
    rows[2]["last_score_low"] = 0.4
    report = write_study_page(write_rows(tmp_path / "table.csv", rows), "s", tmp_path / "page").read_text()
    assert "The claims are not asked of g/2: what its transfers start from" in report
    found = {one["id"]: one for one in json.loads((tmp_path / "page" / "results.json").read_text())["claims"]}
    assert (found["S14"]["bases"], found["S14"]["models"]) == (3, 12)
    assert found["S14"]["updates"] == {"freeze": TRAINED}
    assert "share of successes goes from 0 to 100 % over 3 bases" in found["S14"]["figure"]
    assert "`freeze, 0.0005, joint`: success depends on the base" in report
    assert "3 bases, 12 transfers" in report
    assert "0.50 (-0.10 to 0.70) at 50,000" in report
    rows[2]["best_score_low"] = 0.1
    report = write_study_page(write_rows(tmp_path / "table.csv", rows), "s", tmp_path / "other").read_text()
    assert "are not asked of" not in report


def test_rates_that_are_not_done_stay_in_the_table(tmp_path: Path) -> None:
    seen = {1e-5: "done", 5e-5: "done", 1e-4: "done", 5e-4: "open", 1e-3: "failed"}
    rows = [row("b0"), *(transfer(k, "b0", good=True, learning_rate=rate, status=word) for rate, word in seen.items() for k in range(3))]
    for number, one in enumerate(rows[1:]):
        one["cell"] = f"t{number}"
    report = write_study_page(write_rows(tmp_path / "table.csv", rows), "s", tmp_path / "page", pages=["rates", "variants"]).read_text()
    assert f"| 0.0001 | 3 of 3 | {share_words_by_base([[True] * 3])} |" in report
    assert "| 0.0005 | 0 of 3 | - |" in report
    assert "0.0001 and both its neighbours, 5e-05 and 0.0005, are not done here" in report
    assert "| freeze, 0.0005, joint | 60,000 | ? |" in report
    assert "| freeze, 0.001, joint | 60,000 | ! |" in report
    assert "until our 60,000 updates" in report
    assert "no transfers at" in report


def test_what_the_page_says_of_a_released_test_stands_under_the_released_scores_alone(tmp_path: Path) -> None:
    rows = [
        row("b0"),
        *(transfer(k, "b0", good=True, learning_rate=rate, cell=f"{rate}-{k}") for rate in (5e-5, 1e-4, 5e-4) for k in range(3)),
    ]
    report = write_study_page(write_rows(tmp_path / "table.csv", rows), "s", tmp_path / "page", pages=["rates"]).read_text()
    ours, *theirs = report.split("### Learning rates")[1:]
    assert "the six that were added for it alone" not in ours
    assert len(theirs) == 2
    assert all("the six that were added for it alone" in each for each in theirs)


@pytest.mark.usefixtures("as_published")
def test_a_study_of_rates_has_the_cells_that_another_table_asked_for_first(tmp_path: Path) -> None:
    """A cell is filed under the first table that names it; bases that have one rate are no study of rates."""
    rows = [row(f"b{k}", seed=k) for k in range(3)]
    rows += [transfer(k, base, good=True, group="freeze", cell=f"{base}-{k}") for base in ("b0", "b1", "b2") for k in range(2)]
    others = (1e-5, 5e-5, 1e-4, 1e-3, 5e-3)
    rows += [transfer(k, "b0", good=False, learning_rate=rate, group="rates", cell=f"{rate}-{k}") for rate in others for k in range(2)]
    (study,) = rates.rate_studies(text_rows(rows))
    assert dict(study.planned) == dict.fromkeys((5e-4, *others), 2)
    assert {base for base, *_ in study.runs} == {"b0"}
    other = [{**one, "cell": f"other {one['cell']}", "loss_ball_weight": 0, "group": "light"} for one in rows if one["base"] == "b0"]
    rows = [{**one, "loss_ball_weight": 0.5} for one in rows]
    assert [sum(study.planned.values()) for study in rates.rate_studies(text_rows([*rows, *other]))] == [
        12,
        12,
    ]  # another loss is another study
    found = rates.decide_rates(text_rows(rows))
    assert found is not None
    assert "no transfers" not in found.figure
    assert found.models == 12
    elsewhere = [transfer(k, "b0", good=True, learning_rate=8e-5, cell=f"8e-5 {k}", loss_ball_weight=0.5) for k in range(2)]
    found = rates.decide_rates(text_rows([*rows, *elsewhere]))
    assert found is not None
    assert found.models == 12  # at the rates that the claim is of


def test_the_cost_of_appendix_e_has_ours_of_the_same_experiments() -> None:
    rows = text_rows([*a_study([2, 2]), transfer(9, "b0", good=False, variant="first-layer", search_updates=5_200)])
    found = cost._appendix_e(rows, TASKS["random"])
    assert [line[3:5] for line in found] == [("8 of 8", f"{8 * TRAINED:,}"), ("-", "-"), ("5 of 5", f"{4 * 20_000 + TRAINED + 5_200:,}")]


def test_the_other_claims_are_of_bases_that_can_do_the_task_too(tmp_path: Path) -> None:
    rows = a_study([0, 0], 3)[:8]
    rows += [transfer(k, base, good=base == "b0", variant="reset-encoder") for base in ("b0", "b1") for k in range(6)]
    seen = {1e-5: 0, 5e-5: 3, 1e-4: 0, 5e-4: 3, 1e-3: 3, 5e-3: 0}
    rows += [
        transfer(k, base, good=k < count, learning_rate=rate, updates=40_000, group="rates", cell=f"{base}-{rate}-{k}")
        for base in ("b0", "b1")
        for rate, count in seen.items()
        for k in range(3)
    ]
    rows[1]["best_score_low"] = -0.1
    write_study_page(write_rows(tmp_path / "table.csv", rows), "s", tmp_path / "page")
    found = {one["id"]: one for one in json.loads((tmp_path / "page" / "results.json").read_text())["claims"]}
    assert "from the 1 base" in found["S12"]["figure"]
    assert "`reset-encoder` gets 6/6" in found["S12"]["figure"]
    assert found["S12"]["updates"] == {"freeze": TRAINED, "unfreeze": 20_000, "reset-encoder": TRAINED}
    assert (found["S13"]["bases"], found["S13"]["models"], found["S13"]["updates"]) == (1, 18, {"freeze": 40_000})
    report = (tmp_path / "page" / "report.md").read_text()
    cut, whole = report.split("until our 40,000 updates")[1], report.split("to their ends")[1]
    assert "| 0.001 | 6 of 6 | 6/6" in whole
    assert "| 0.001 | 6 of 6 | 6/6" not in cut[: cut.index("to their ends")]


def test_the_network_that_transfers_start_from() -> None:
    base = text_rows([row("b", best_score_low=-0.1)])[0]
    start = {"last": text_rows([transfer(0, "b", good=True, base_start="last")]), "best": []}
    assert {word: start_of(base, rows) for word, rows in start.items()} == {"last": "last", "best": "best"}
    assert start_of({**base, "best_total": ""}, []) == "last"
    assert sound([base], start["last"]) == {"b"}
    assert sound([base], []) == set()
    assert sound([{**base, "scored": "0"}], []) == {"b"}


def test_validations_of_a_run_come_to_a_score(tmp_path: Path) -> None:
    def scores(*values: float) -> Row:
        write_rows(
            tmp_path / "losses.csv",
            [dict.fromkeys((*TERMS, "total"), 0.0) | {"update": 2_000 * number, "score": value} for number, value in enumerate(values)],
        )
        return scores_of(read_losses(tmp_path))

    assert scores(-5.0) == {}  # before the first update
    assert scores(-5.0, *[-4.0] * 3, *[1.0] * 5) == {"final_score": 1.0, "success_update": 16_000}
    assert scores(-5.0, *[-4.0] * 20, *[0.5] * 10)["final_score"] == 0.5


def test_what_is_not_done_has_a_line_a_group(tmp_path: Path) -> None:
    rows = [row("b0"), row("b1", seed=1)]
    rows += [transfer(k, base, good=True, status="open") for base in ("b0", "b1") for k in (1, 0)]
    rows.append(transfer(7, "b0", good=True, status="failed", why="disk gone"))
    report = write_study_page(write_rows(tmp_path / "table.csv", rows), "s", tmp_path / "page", pages=[]).read_text()
    assert "| freeze, 0.0005, joint | 60,000 | open | 4 | g/0, g/1 | 0, 1 |  |  |" in report
    assert "| freeze, 0.0005, joint | 60,000 | failed | 1 | g/0 | 7 | b0-freeze-7 | disk gone |" in report
    assert "**5 models are not done**" in report


def test_a_table_without_the_recipe_of_bases_has_it_in_their_rows(tmp_path: Path) -> None:
    """Every claim names it: S13 without a rate, since it is of many."""
    rates = (1e-5, 5e-5, 1e-4, 5e-4, 1e-3, 5e-3)
    rows = [row("b", seed=0, update_rule="sequential", updates=75_000, terminal_last=1)]
    rows += [transfer(k, "b", good=False, learning_rate=rate, terminal_last=0, updates=40_000) for k, rate in enumerate(rates)]
    rows += [transfer(9, "b", good=True, terminal_last=0)] + [transfer(k, "b", good=False, terminal_last=0) for k in (7, 8)]
    page = write_study_page(write_rows(tmp_path / "table.csv", rows), "s", tmp_path / "page")
    base, claims = (
        "bases sequential 0.0005, 75,000 updates, terminal last",
        json.loads((page.parent / "results.json").read_text())["claims"],
    )
    main = f"{base}; transfers joint 0.0005, 60,000 updates"
    assert {one["id"]: one["recipe"] for one in claims} == {
        "S11": main, "S13": f"{base}; transfers joint at each rate, 40,000 updates", "S14": main,
    }  # fmt: skip
    assert all(one["recipe"] in page.read_text() for one in claims)


def test_networks_that_an_archive_left_out_are_said_to_be_gone(tmp_path: Path) -> None:
    rows, transfers = text_rows([row("b"), row("c")]), text_rows([transfer(0, "b", good=True), transfer(0, "c", good=False)])
    key = key_of(transfers[0])._replace(seen="negative")
    seen, why = see(rows, transfers, tmp_path, key)
    assert not seen
    assert why.startswith("the networks of 2 of the 2 bases are not here")
    assert str(tmp_path) not in why
