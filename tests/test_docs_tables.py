"""Published tables, facts and the words on the random study say what files and code say."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import re
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.page import filled
from crar_model.core.files import Plain
from crar_model.core.params import BLOCKS, block_of
from crar_model.core.settings import LossSettings, TrainSettings
from crar_model.core.tiles import AGENT, FREE, KEY, draw_pixels
from crar_model.studies.archive import bring_in
from crar_model.studies.plan import read_study
from crar_model.studies.store import open_store
from crar_model.tasks import TASKS
from crar_reports.pages.study.page import write_study_page
from crar_reports.pages.study.table import write_table
from crar_reports.pages.verdicts import write_verdicts
from tests.published_files import ROOT, hold, published, span

FACTS = (ROOT / "docs" / "original.md").read_text(encoding="utf-8")


def test_the_facts_count_the_parameters_of_the_networks() -> None:
    cells = {line.split("|")[1].split(" ")[1]: line for line in FACTS.splitlines() if line.startswith("| ") and line.count("|") == 6}
    for column, task in ((3, TASKS["simple"]), (5, TASKS["random"])):
        params = task.agent().init(np.random.default_rng(0))
        sizes = {block: sum(p.numel() for name, p in params.items() if block_of(name) == block) for block in BLOCKS}
        for name, size in {**sizes, "together": sum(sizes.values())}.items():
            assert cells[name].split("|")[column].strip() == f"{size:,}", (task.name, name)


def test_the_facts_draw_the_sprites() -> None:
    lines = FACTS.split("```text\n")[1].split("```")[0].splitlines()
    assert lines[0].split() == ["agent", "key"]
    drawn = [[float(value) for value in line.split()] for line in lines[1:]]
    agent, key = torch.tensor([row[:6] for row in drawn]), torch.tensor([row[6:] for row in drawn])
    board = torch.full((1, 8, 8), FREE)
    board[0, 0, 0], board[0, 0, 1] = AGENT, KEY
    image = draw_pixels(board)[0]
    assert torch.allclose(image[:6, :6], 2 * agent - 1)
    assert torch.allclose(image[:6, 6:12], 2 * key - 1)


def test_the_facts_name_real_flags() -> None:
    known = {item.name for kind in (TrainSettings, LossSettings) for item in fields(kind)} | {"variant", "reset", "from", "to", "out"}
    named = set(re.findall(r"--([a-z][a-z-]*)", FACTS))
    assert len(named) > 15
    assert {name.replace("-", "_") for name in named} <= known


def test_the_page_of_verdicts_is_what_its_results_say(tmp_path: Path) -> None:
    root = ROOT / "reports" / "published"
    command = shlex.split(published("verdicts")["command"])
    recipes = [words[1] for words in itertools.pairwise(command) if words[0] == "--recipe"]
    given = {
        flag: [root / words[1] for words in itertools.pairwise(command) if words[0] == flag]
        for flag in ("--claims", "--study", "--predict")
    }
    again = write_verdicts(
        given["--claims"],
        given["--study"],
        tmp_path,
        predictions=given["--predict"],
        recipes=recipes,
        command=published("verdicts")["command"],
    )
    assert again.read_text() == (root / "verdicts" / "report.md").read_text()
    measured = [one for one in published("verdicts")["claims"] if one["source"]]
    assert [one["id"] for one in measured if not one["recipe"]] == []  # a rate without the recipe says nothing


def test_the_random_study_is_what_its_archive_says(tmp_path: Path) -> None:
    """A folder that the archive filled gives the published table and page, so that a later session goes on from these very cells."""
    root = ROOT / "reports" / "published" / "random_study"
    study, store = read_study(ROOT / "studies" / "random.toml"), open_store(tmp_path / "study")
    store.claim(study.name)
    assert bring_in(store, study, root / "study.tar.xz") > 0
    table = write_table(store, study, 3)
    assert table.read_bytes() == gzip.decompress((root / "table.csv.gz").read_bytes())
    page = write_study_page(table, study.name, tmp_path / "page", command=published("random_study")["command"])
    assert page.read_text() == (root / "report.md").read_text()


def random_words() -> list[str]:
    """What the page of results says of the random study, from its table and its claims."""
    folder = ROOT / "reports" / "published" / "random_study"
    rows = list(csv.DictReader(io.StringIO(gzip.decompress((folder / "table.csv.gz").read_bytes()).decode())))
    page, claims = (folder / "report.md").read_text(encoding="utf-8"), {c["id"]: c for c in published("random_study")["claims"]}
    bases = {row["cell"]: row for row in rows if row["variant"] == "base"}
    groups: dict[tuple[str, int, float], list[Plain]] = {}
    for row in rows:
        if row["variant"] != "base":
            groups.setdefault((row["variant"], int(row["updates"]), float(row["learning_rate"])), []).append(row)

    def hits(name: str, updates: int = 60_000, rate: float = 5e-4, among: set[str] | None = None) -> str:
        own = [row for row in groups[name, updates, rate] if among is None or row["base"] in among]
        return f"{sum(row['success'] == '1' for row in own)}/{len(own)}"

    def times_base(row: Plain, term: str) -> float:
        return float(row[f"last_{term}"]) / float(bases[row["base"]][f"{row['base_start']}_{term}"])

    def below(name: str, updates: int) -> list[Plain]:
        return [row for row in groups[name, updates, 5e-4] if float(row["last_score_high"]) < 0]

    assert all(float(base["best_score_low"]) > 0 for base in bases.values())
    assert {row["status"] for row in rows} == {"done"}
    (negated,) = (key for key in groups if key[0] == "negate-input")
    (failing,) = re.findall(
        r"by the last networks: (\d+)/16 score below 0 with their whole interval, by base ([\d/, ]+); this depends on the base \((p = [\d.]+)\)",
        page,
    )
    small = re.match(
        r"of 16 transfers (\d+) fail .*; of \1 failed transfers (\d+) score below -4 .* transition ([\d.]+ to [\d.]+) times the base's; "
        r"of (\d+) trained .* transition ([\d.]+ to [\d.]+) times$",
        claims["S11"]["figure"],
    )
    assert small is not None
    assert small[1] == failing[0]
    assert (claims["S11"]["verdict"], claims["S12"]["verdict"], claims["S14"]["verdict"]) == ("does not hold", "undecided", "undecided")
    anew = {row["base"] for row in groups["reset-encoder", 60_000, 5e-4]}
    assert {row["base"] for name in ("omit-ball", "delay-structure") for row in groups[name, 60_000, 5e-4]} == anew
    (delay,) = {int(row["structure_delay"]) for row in groups["delay-structure", 60_000, 5e-4]}
    low = below("reset-encoder", 60_000)
    lowest = [row for row in low if float(row["last_score_high"]) < -4]
    first = groups["first-layer", 20_000, 5e-4]
    (search,) = {int(row["search_updates"]) for row in first}
    assert not below("first-layer", 20_000)
    for name in ("unfreeze", "first-layer"):
        assert f"- `{name}, 0.0005, joint` against `freeze, 0.0005, joint, 60,000 updates`: the times differ beyond chance" in page
    rates = sorted(rate for name, updates, rate in groups if (name, updates) == ("freeze", 40_000))
    (again,) = re.findall(r"40,000 updates`: (\d+ of \d+) models are the first 40,000 updates of transfers", page)
    return [
        f"took {sum(float(row['seconds']) for row in rows) / 3600:.3f} hours of a core",
        f"`negate-input` succeeds in {hits(negated[0], negated[1], negated[2])}",
        f"succeeds in {hits('freeze')} after {60_000:,} updates",
        f"{failing[0]} score below 0 with their whole interval, by base {failing[1]} ({failing[2]})",
        f"of the {small[1]} it is {small[3]} times their base's, of {small[4]} trained transfers through frozen dynamics that score above 0 with theirs {small[5]} times",
        f"{small[2]} of the {small[1]} scores below -4 with its whole interval",
        f"{len(lowest)} of {len(groups['reset-encoder', 60_000, 5e-4])} `reset-encoder` networks do, with transition terms "
        f"{span([times_base(row, 'transition') for row in lowest], '.3g')} times their base's, and reward terms {span([times_base(row, 'reward') for row in lowest], '.3g')} times",
        f"`reset-encoder` succeeds in {hits('reset-encoder')}, `freeze` in {hits('freeze', among=anew)} from the same {len(anew)} bases, "
        f"`omit-ball` in {hits('omit-ball')}, and `delay-structure`, its delay scaled to {delay:,} updates, in {hits('delay-structure')}",
        f"`scratch` in {hits('scratch')}",
        f"`unfreeze` succeeds in {hits('unfreeze', 20_000)} within {20_000:,} updates",
        f"`first-layer`, dynamics frozen, in {hits('first-layer', 20_000)}, its search of {search:,} updates counted apart",
        f"{sum(row['outcome'] == 'matched' for row in first)} of its embeddings match",
        f"after {40_000:,} updates from one base: " + ", ".join(f"{hits('freeze', 40_000, rate)} at {rate:g}" for rate in rates),
        f"{again} at 0.0005 are the beginnings",
    ]


def test_the_words_on_the_random_study_have_its_figures() -> None:
    words = (ROOT / "reports" / "published" / "README.md").read_text().split("## The random mazes")[1].split("`random_claims` and")[0]
    hold(re.sub(r"```.*?```", "", words, flags=re.DOTALL), random_words(), "reports/published/README.md")


def test_the_page_of_results_has_the_table_of_verdicts() -> None:
    root = ROOT / "reports" / "published"
    (block,) = re.findall(r"<!-- verdicts: .*? -->\n(.*?)\n<!-- end of verdicts -->", (root / "README.md").read_text(), re.DOTALL)
    assert f"\n\n{block}\n\n" in (root / "verdicts" / "report.md").read_text()
    assert len(block.splitlines()) == 2 + len(published("verdicts")["claims"])


def test_a_page_of_figures_is_made_anew_from_the_files() -> None:
    page = "<!-- figures: pieces -->\nold 1.5\n<!-- end -->\nand prose\n"
    results = ROOT / "benchmarks" / "results"
    gflop = json.loads((results / "random_training.json").read_text())["gflop"]
    assert f"{gflop['distinct pieces']:.2f} GFLOP" in filled(results, page)
    assert "old 1.5" not in filled(results, page)
    assert filled(results, page).endswith("<!-- end -->\nand prose\n")


def test_symmetric_worlds_names_the_published_study() -> None:
    worlds = published("worlds")["worlds"]
    plain = [world for world in worlds if not world.get("even_moves")]
    autos = {
        (world["title"].partition("-v")[0], world.get("numbers", 3)): each
        for world in plain
        for each in world["mended"]
        if each["method"] == "auto"
    }
    door_even, rooms = sorted((world for world in worlds if world.get("even_moves")), key=lambda world: world["title"])
    (empty, empty_8), (door, door_8), acrobot, (pole, pole_6) = (
        [autos["MiniGrid-Empty-5x5", k] for k in (3, 8)], [autos["MiniGrid-DoorKey-5x5", k] for k in (3, 8)], autos["Acrobot", 8],
        [autos["CartPole", k] for k in (3, 6)],
    )  # fmt: skip
    negative = {
        (world["title"].partition("-v")[0], world.get("numbers", 3)): one
        for world in plain
        for one in world["through"]
        if one["map"] == "negative"
    }
    text = " ".join((ROOT / "docs" / "symmetric_worlds.md").read_text(encoding="utf-8").split())

    def of(each: dict[str, Any], what: str = "restored") -> str:
        return f"{each[what]['count']} of {each[what]['of']}"

    assert len(empty["maps"]) == 3
    assert (
        f"In MiniGrid-Empty it restored {of(empty)} with three abstract numbers, and {of(empty_8)} with eight; in DoorKey {of(door)} and {of(door_8)} of"
        in text
    )
    few, many = (negative["MiniGrid-Empty-5x5", k] for k in (3, 8))
    assert (
        f"Through the negative {of(few, 'good')} `freeze` transfers succeed in MiniGrid-Empty with three numbers, and {of(many, 'good')} with eight"
        in text
    )
    assert many["verdicts"] == {"swapped": 12}
    door_few, door_many = (negative["MiniGrid-DoorKey-5x5", k] for k in (3, 8))
    assert f"In DoorKey it is {door_few['good']['count']} and {of(door_many, 'good')}, with bases and transfers of more updates" in text
    assert door_many["updates"] > door_few["updates"]
    assert (
        f"`auto` restored {of(acrobot)} failures in Acrobot with eight abstract numbers, and {of(pole_6)} in CartPole with six; all {pole_6['right']['count']}"
        in text
    )
    lander = autos["LunarLander", 8]
    assert f"In LunarLander with eight it restored {of(lander)}, though none of these embeddings is the base's" in text
    assert lander["right"]["count"] == 0
    assert (acrobot["wrong"], pole_6["wrong"], lander["wrong"], pole["wrong"]) == (0, 0, 0, 4)
    assert f"it was {of(pole)} in CartPole with three numbers, and four said cured wrongly" in text
    (door_auto,), (rooms_auto,) = (world["mended"] for world in (door_even, rooms))
    came = [sum(one["good"]["count"] for one in world["through"]) for world in (door_even, rooms)]
    assert f"With moves drawn evenly {came[0]} of 36 transfers succeed in DoorKey, and {came[1]} of 36 in FourRooms" in text
    assert f"`auto` restored {of(door_auto)} and {of(rooms_auto)} of those that it was given" in text
    low, high = (f"{100 * share:.0f}" for share in rooms["able"][1:])
    own = " ".join((ROOT / "docs" / "your_own_task.md").read_text(encoding="utf-8").split())
    assert f"Six bases of {rooms['updates']:,} updates with it predict {low} to {high} % of FourRooms' 1,828 moves" in own
    assert rooms["judged_on"] == "all 1,828 moves that were tried"
