"""What stands beside each other on a study's page is of one maze, one layout and one map, and its headline leaves no transfer out."""

from __future__ import annotations

import json
from pathlib import Path

from crar_model.mazes.maps import ObservationMap
from crar_reports.pages.study.page import write_study_page
from crar_reports.pages.study.rows import key_of
from crar_reports.sections import layout_of, sections_of
from tests.crar_reports.pages import summary_of
from tests.crar_reports.study_rows import Row, row, text_rows, transfer, write_rows

WALLS = "#####\n#S..#\n#####\n"


def two_maps() -> list[Row]:
    """Two bases; through the negative all `freeze` transfers fail, through the mirror all succeed; a new encoder each; and one at another rate."""
    rows = [row(f"b{k}", maze="simple", seed=k, layout="") for k in range(2)]
    for seen, good in (("negative", False), ("mirror", True)):
        rows += [
            transfer(k, f"b{b}", good=good, maze="simple", layout="", observation_map=seen, cell=f"{seen}-{b}-{k}")
            for b in range(2)
            for k in range(4)
        ]
        rows.append(
            transfer(0, "b0", good=False, maze="simple", layout="", observation_map=seen, variant="reset-encoder", cell=f"{seen}-new")
        )
    rows.append(transfer(9, "b0", good=True, maze="simple", layout="", learning_rate=0.001))
    return rows


def test_a_headline_counts_the_transfers_of_every_map(tmp_path: Path) -> None:
    report = write_study_page(write_rows(tmp_path / "table.csv", two_maps()), "s", tmp_path / "page", pages=["variants"])
    text = report.read_text()
    (line,) = (line for line in summary_of(text) if "Success in the simple maze" in line)
    assert "19 transfers from 2 bases" in text
    assert "seen through negative: `freeze` 0/8" in line
    assert "by other rules, rates or updates, 1 of 1 more" in line
    assert "seen through mirror: `freeze` 8/8" in line
    claims = {one["scope"].split(", for")[0]: one for one in json.loads((tmp_path / "page" / "results.json").read_text())["claims"]}
    assert set(claims) == {"in the simple maze, seen through negative", "in the simple maze, seen through mirror"}
    assert {one["maze"] for one in claims.values()} == {"simple"}
    for name in ("negative", "mirror"):
        assert f"## The simple maze, seen through {name}\n" in text
        assert (tmp_path / "page" / f"simple-in-the-simple-maze-seen-through-{name}-variants.png").exists()


def test_what_is_of_one_map_is_as_it_was(tmp_path: Path) -> None:
    rows = [one for one in two_maps() if one["observation_map"] == "negative"]
    (section,) = sections_of(text_rows(rows))
    assert (section.title, section.scope, section.file, len(section.rows)) == ("simple maze", "", "simple", len(rows))


def test_maps_of_one_name_and_layouts_are_told_apart() -> None:
    rows = [row("b", maze="simple", layout=""), row("w", maze="simple", layout=layout_of(WALLS)), row("alone", maze="simple", layout="")]
    rows += [transfer(k, "b", good=True, maze="simple", observation_map="permute", map_seed=k, cell=f"p{k}") for k in range(2)]
    rows.append(transfer(0, "w", good=True, maze="simple", layout=layout_of(WALLS), cell="other"))
    found = sections_of(text_rows(rows))
    assert [section.title for section in found] == [
        "simple maze, seen through permute", "simple maze, seen through permute, seed 1", "simple maze with other walls",
    ]  # fmt: skip
    assert [[one["cell"] for one in section.rows] for section in found] == [["b", "alone", "p0"], ["b", "p1"], ["w", "other"]]
    assert found[1].task.observation_map == ObservationMap("permute", seed=1)
    assert found[2].task.sampling.what == "all 12 transitions"
    assert len({key_of(one)[3] for one in text_rows(rows[3:5])}) == 2


def test_worlds_of_ones_own_are_told_apart(tmp_path: Path) -> None:
    """Two environments, one of them gathered twice: their transfers never stand together, and each says what it is judged on."""
    rows: list[Row] = []
    for number, (title, what) in enumerate(
        (("CartPole-v1", "512 held-out transitions"), ("Empty-v0", "all 224 moves"), ("Empty-v0", "all 300 moves"))
    ):
        about = {"maze": "world", "world": f"{title}, {number:08x}", "judged_on": what, "scored": 0}
        rows += [
            row(f"b{number}", **about),
            *(transfer(k, f"b{number}", good=bool(number), cell=f"t{number}-{k}", **about) for k in range(2)),
        ]
    found = sections_of(text_rows(rows))
    assert [section.title for section in found] == ["CartPole-v1", "Empty-v0", "Empty-v0, 2"]
    assert [section.task.sampling.what for section in found] == ["512 held-out transitions", "all 224 moves", "all 300 moves"]
    assert [section.file for section in found] == ["world-in-cartpole-v1", "world-in-empty-v0", "world-in-empty-v0-2"]
    text = write_study_page(write_rows(tmp_path / "table.csv", rows), "s", tmp_path / "page", pages=["variants"]).read_text()
    lines = {line.split("**")[1]: line for line in summary_of(text)}
    assert "0/2" in lines["Success in CartPole-v1"]
    assert "`freeze` 2/2" in lines["Success in Empty-v0"]
    own = [row(f"c{k}", maze="world", world=f"A, {k}", judged_on="x", observation_map="own", scored=0) for k in range(2)]
    assert len(sections_of(text_rows(own))) == 2
