"""`crar compare`: what is counted, and how it is shown."""

from __future__ import annotations

import csv
import gzip
import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import app
from crar_model.core.errors import UserError
from crar_model.core.settings import PlaySettings
from crar_reports.pages import plain_words
from crar_reports.pages.compare import table
from crar_reports.pages.compare.page import summary, write_compare
from crar_reports.pages.compare.rows import rows_of
from crar_reports.pages.compare.table import Line, compared, compared_csv, compared_figures, compared_view
from crar_reports.pages.study.rows import DONE, Row
from crar_reports.pages.study.table import read_table
from crar_reports.statistics import share, share_by_base
from tests.crar_reports.pages import summary_of, whole_page
from tests.crar_reports.study_rows import text_rows, transfer

PUBLISHED = Path(__file__).parents[2] / "reports" / "published"
HOW = PlaySettings(episodes=2)


def counted(rows: list[Row], **group: str) -> list[list[bool]]:
    """A second way to count: outcomes of a group's transfers, by base."""
    by: dict[str, list[bool]] = {}
    for row in rows:
        if row["status"] == DONE and row["success"] and all(row[name] == value for name, value in group.items()):
            by.setdefault(row["base"], []).append(row["success"] == "1")
    return list(by.values())


def test_the_published_studies_are_counted_as_their_tables_say() -> None:
    rows, left = rows_of([PUBLISHED / "recipe", PUBLISHED / "random_study"], HOW)
    assert not left
    lines = compared(rows)
    assert {line.maze for line in lines} == {"simple maze", "random mazes"}
    assert sum(line.of for line in lines) == sum(bool(row["success"]) for row in rows)
    for line in lines:
        if not line.rule or line.quirk or not line.of_bases:
            continue
        group = {"variant": line.variant, "update_rule": line.rule, "base_recipe": line.bases, "updates": str(line.updates)}
        own = [row for row in rows if float(row["learning_rate"]) == line.rate and row.get("terminal_last") != "1"]
        outcomes = counted(own, **group)
        expected = vars(share_by_base(outcomes))
        assert {name: getattr(line, name) for name in expected} == expected
        assert line.units == len(outcomes)
        most = share([2 * sum(each) > len(each) for each in outcomes])
        assert (line.count_mostly, line.low_mostly, line.high_mostly) == (most.count, most.low, most.high)


def test_every_panel_of_two_mazes_says_whose_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    titles: list[str] = []
    monkeypatch.setattr(table, "survival_figure", lambda panels: titles.extend(title for title, *_ in panels))
    compared_figures(rows_of([PUBLISHED / "recipe", PUBLISHED / "random_study"], HOW)[0])
    assert {title.split(":")[0] for title in titles} == {"simple maze", "random mazes"}
    titles.clear()
    compared_figures(rows_of([PUBLISHED / "random_study"], HOW)[0])
    assert "freeze" in titles


def test_what_is_alike_is_left_out_and_the_csv_has_all() -> None:
    rows = text_rows([transfer(k, f"b{k % 2}", good=k < 3) for k in range(8)])
    (line,) = compared(rows)
    text = compared_view([line])
    assert "| map |" not in text
    assert "| 3/8 |" in text
    (read,) = csv.DictReader(compared_csv([line]).splitlines())
    assert (read["count"], read["of"], read["map"]) == ("3", "8", "negative")
    assert float(read["low"]) == line.low


def test_runs_and_studies_stand_on_one_page(freeze_run: Path, tmp_path: Path) -> None:
    study = tmp_path / "study"
    study.mkdir()
    header, *lines = gzip.decompress((PUBLISHED / "simple_study" / "table.csv.gz").read_bytes()).decode().splitlines()
    few = [line for line in lines if re.search(",(base|unfreeze|paired),simple,", line)]
    (study / "table.csv.gz").write_bytes(gzip.compress("\n".join([header, *few, ""]).encode()))
    words = ["compare", str(freeze_run), str(study), str(freeze_run), "--out", str(tmp_path / "page"), "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found == json.loads((tmp_path / "page" / "results.json").read_text())
    text = (tmp_path / "page" / "report.md").read_text()
    summary_of(text)
    whole_page(tmp_path / "page" / "report.md")
    (own,) = [group for group in found["groups"] if group["updates"] == 40]
    # the run was named twice; its base of 60 updates can do next to nothing, and its transfers can do as much
    assert (own["variant"], own["rule"], own["count"], own["of"], own["units"]) == ("freeze", "sequential", 2, 2, 1)
    table = read_table(study / "table.csv.gz")
    done_rows = [row for row in table if row["status"] == DONE and row["variant"] != "base" and row["success"]]
    digests = {(row["last_digest"] or row["cell"], row["base"]) for row in done_rows}
    assert sum(group["of"] for group in found["groups"]) == 2 + len(digests)
    assert compared_csv([Line(**group) for group in found["groups"]]) == (tmp_path / "page" / "compare.csv").read_text()
    assert next(csv.DictReader((tmp_path / "page" / "compare.csv").read_text().splitlines()))["variant"] == found["groups"][0]["variant"]


def test_what_cannot_be_compared_is_refused(base_run: Path, freeze_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a run of bases; give runs of transfers"):
        rows_of([base_run], HOW)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: neither a run \(no run.json\) nor a study"):
        rows_of([tmp_path / "empty"], HOW)
    shutil.copytree(freeze_run, tmp_path / "short")
    (tmp_path / "short" / "member-1.pt").unlink()
    with pytest.raises(UserError, match=r"names 2 members, but 1 member-K\.pt lie there"):
        rows_of([tmp_path / "short"], HOW)
    only = tmp_path / "only"
    only.mkdir()
    header, *rows = gzip.decompress((PUBLISHED / "recipe" / "table.csv.gz").read_bytes()).decode().splitlines()
    (only / "table.csv").write_text("\n".join([header, *(row for row in rows if ",base,simple," in row)]) + "\n")
    with pytest.raises(UserError, match="holds no transfers"):
        write_compare([only], tmp_path / "out")


def test_the_first_words_come_out_each_way() -> None:
    assert "nothing to compare" in plain_words.compare([(1, 4, 0.1, 0.6)])
    assert "Some groups succeed more often" in plain_words.compare([(0, 40, 0.0, 0.1), (40, 40, 0.9, 1.0)])
    assert "No group succeeds more often" in plain_words.compare([(1, 4, 0.1, 0.6), (2, 4, 0.2, 0.8)])


def table_in(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "table.csv").write_text(text)
    return folder


def test_transfers_that_are_not_done_are_counted(tmp_path: Path) -> None:
    header, *rows = gzip.decompress((PUBLISHED / "recipe" / "table.csv.gz").read_bytes()).decode().splitlines()
    transfers = [row for row in rows if ",freeze,simple," in row]
    open_ones = [row.replace(",done,", ",open,", 1) for row in transfers[::2]]
    found, left = rows_of([table_in(tmp_path / "half", "\n".join([header, *open_ones, *transfers[1::2]]) + "\n")], HOW)
    assert (len(found), left) == (len(transfers) // 2, len(open_ones))
    said = dict(summary(found, compared(found), left))
    assert f"{left} transfers of the studies are not done and left out" in said["Asked"]
    assert "left out" not in dict(summary(found, compared(found)))["Asked"]


def test_most_and_fewest_say_what_tells_them_apart() -> None:
    rows, _ = rows_of([PUBLISHED / "recipe_original"], HOW)
    said = dict(summary(rows, compared(rows)))
    assert "bases sequential 0.0005, 75,000 updates" in said["Most"]
    assert "bases joint 0.0005, 75,000 updates" in said["Fewest"]


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "holds no transfers"), ("cell,variant,status,maze,base\n", "holds no transfers"), ("a,b\n1,2\n", "not a table of crar study"),
     ("cell,variant,status,maze,base\nx,freeze\n", "broken line"), ("cell\0,b\n\0,2\n", "table")],
)  # fmt: skip
def test_a_table_that_is_none_is_named(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said) as raised:
        rows_of([table_in(tmp_path / "study", text)], HOW)
    assert str(raised.value).startswith(str(tmp_path / "study" / "table.csv"))
