"""Studies: what a file expands to, what names a cell, and that packing, kills and failures change no number."""

from __future__ import annotations

import contextlib
import csv
import gzip
import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from cli import app
from crar_model.core.errors import UserError
from crar_model.studies import cluster
from crar_model.studies.archive import put_away
from crar_model.studies.cells import FORMAT, NAME_LENGTH, WITHOUT_EFFECT
from crar_model.studies.packing import estimate
from crar_model.studies.plan import PAGES, read_study
from crar_model.studies.store import open_store
from tests.crar_model.small_studies import SMALL, STUDIES, expanded, ready, run_all


def test_a_file_expands_to_bases_and_what_starts_from_them(tmp_path: Path) -> None:
    study = expanded(SMALL, tmp_path)
    cells = list(study.cells.values())
    assert [(cell.variant, cell.seed, cell.group) for cell in cells[:2]] == [("base", 0, "b"), ("base", 1, "b")]
    assert len(cells) == 2 + 2 * 2 * 2 * 2  # bases, variants, rates, seeds
    freeze = cells[2]
    assert (freeze.variant, freeze.base, freeze.learning_rate, freeze.settings.updates) == ("freeze", cells[0].name, 1e-4, 20)
    assert freeze.settings.update_rule == "sequential"  # the maze's own default of a transfer
    assert freeze.settings.inverse
    assert {cell.settings.updates for cell in cells if cell.variant == "negate-input"} == {0}
    one = expanded(SMALL.replace('bases = "b"', 'bases = "b"\nfirst = 1'), tmp_path)
    assert len(one.cells) == 2 + 8
    maps = expanded(SMALL + 'maps = [{ observation_map = "negative" }, { observation_map = "mirror" }]\n', tmp_path)
    assert len(maps.cells) == 2 + 32
    twice = expanded(SMALL + SMALL[SMALL.index("[[transfers]]") :], tmp_path)  # asked for twice, made once
    assert list(twice.cells) == list(study.cells)
    assert estimate(cells).updates == 2 * 40 + 8 * 20


def test_networks_from_random_weights_are_not_the_same_once_a_base(tmp_path: Path) -> None:
    """`scratch` takes nothing from its base: with one seed for all bases its cells would be copies of one network."""
    cells = expanded(
        SMALL.replace('"negate-input"', '"scratch", "reset-encoder"').replace("rates = [1e-4, 1e-3]", ""), tmp_path
    ).cells.values()
    scratch = [cell for cell in cells if cell.variant == "scratch"]
    assert len({cell.base for cell in scratch}) > 1
    assert len({cell.seed for cell in scratch}) == len(scratch)
    text = SMALL.replace('"negate-input"', '"scratch"').replace("rates = [1e-4, 1e-3]", "")
    more = expanded(text.replace("seeds = 2\nupdates = 40", "seeds = 3\nupdates = 40"), tmp_path, "more.toml").cells
    assert {cell.name for cell in scratch} <= set(more)  # another base moves no other's seeds
    by_base: dict[str, set[int]] = {}
    for cell in cells:
        if cell.variant == "reset-encoder":  # takes its dynamics from the base
            by_base.setdefault(cell.base, set()).add(cell.seed)
    assert len(by_base) > 1
    assert len({tuple(sorted(seeds)) for seeds in by_base.values()}) == 1


def test_pairs_of_states_are_not_the_steps_of_a_walk_that_they_were(tmp_path: Path) -> None:
    """A finished cell of an earlier version, whose pairs were steps, has another name."""
    (cell,) = [
        each
        for each in expanded(SMALL.replace('["freeze", "negate-input"]', '["paired"]\npaired = 8'), tmp_path).cells.values()
        if each.variant == "paired"
    ][:1]
    assert cell.paired == cell.settings.data_size == 8
    content = cell.plain()
    content["settings"] = {name: value for name, value in content["settings"].items() if name not in WITHOUT_EFFECT}
    del content["group"]
    before = hashlib.sha256(json.dumps({"format": FORMAT, **content}, sort_keys=True).encode()).hexdigest()[:NAME_LENGTH]
    assert cell.name != before


def test_pages_are_chosen_and_change_no_cell(tmp_path: Path) -> None:
    study = expanded(SMALL, tmp_path)
    assert study.pages == PAGES
    less = expanded(SMALL.replace('"small"', '"small"\npages = ["times", "rates"]'), tmp_path)
    assert less.pages == ("rates", "times")
    assert list(less.cells) == list(study.cells)


def test_only_what_determines_a_cell_changes_its_name(tmp_path: Path) -> None:
    names = list(expanded(SMALL, tmp_path).cells)
    same = (
        SMALL.replace('"small"', '"other"'),
        SMALL.replace('name = "t"', 'name = "u"'),
        SMALL.replace("updates = 40", "updates = 40\ncheckpoint_interval = 7\nsnapshots = true"),
        SMALL + "[evaluation]\nepisodes = 3\n",
    )
    for text in same:
        assert list(expanded(text, tmp_path).cells) == names, text
    transfers_differ = (
        SMALL.replace("updates = 20", "updates = 21"),
        SMALL.replace("updates = 20", "updates = 20\nbatch_size = 16"),
        SMALL.replace("updates = 20", "updates = 20\nloss = { beta = 0.3 }"),
        SMALL.replace("updates = 20", "updates = 20\nengine = 'reference'"),
    )
    for text in transfers_differ:
        cells = expanded(text, tmp_path).cells.values()
        other = {cell.name for cell in cells if cell.variant == "freeze"}
        assert list(expanded(text, tmp_path).cells)[:2] == names[:2]
        assert not other & set(names), text
    everything = SMALL.replace("updates = 40", "updates = 41")  # a transfer of another base is another transfer
    assert not set(expanded(everything, tmp_path).cells) & set(names)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("updates = 20", "updatse = 20", r"\[\[transfers\]\] t: unknown key 'updatse'; the nearest known one is 'updates'"),
        ("updates = 40", "updates = 40\nloss = { bta = 1 }", "loss: unknown key 'bta'; the nearest known one is 'beta'"),
        ('name = "small"', 'nmae = "small"', "unknown key 'nmae'; the nearest known one is 'name'"),
        ('maze = "simple"', 'maze = "round"', "b: .*'round'; choose one of"),
        ('maze = "simple"\n', "", "names no maze"),
        ("updates = 40", "updates = '40'", "updates is '40'"),
        ("updates = 40", "updates = -1", "updates is -1"),
        ("seeds = 2", "seeds = 0", "seeds is 0"),
        ("seeds = 2", "seed = 2", "use seeds"),
        ("updates = 20", "maze = 'simple'", "maze is not for this table"),
        ('variants = ["freeze", "negate-input"]', 'variants = ["freezer"]', "'freezer' is not known; choose from freeze"),
        ('bases = "b"', 'bases = "c"', "'c' is not known; choose from b"),
        ("[1e-4, 1e-3]", "[0]", "rates is 0"),
        ("updates = 20", "start = 'best'", "start is 'best'; choose last"),
        ("updates = 20", "maps = [{ colour = 1 }]", "maps: unknown key 'colour'"),
        ("updates = 20", "paired = 0\nreset = 'zero'", "reset is 'zero'"),
        ('name = "small"', 'name = "small"\npages = ["ratse"]', "pages: unknown page 'ratse'; the nearest known one is 'rates'"),
        ('name = "small"', 'name = "small"\npages = 3', "pages is 3; it must be a text"),
        ("[[bases]]", "[[bases", "not a TOML file"),
    ],
)
def test_a_bad_file_is_named_with_the_remedy(before: str, after: str, said: str, tmp_path: Path) -> None:
    assert before in SMALL
    with pytest.raises(UserError, match=rf"study\.toml.*{said}") as caught:
        expanded(SMALL.replace(before, after, 1), tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_a_variant_that_the_maze_lacks_is_refused(tmp_path: Path) -> None:
    text = SMALL.replace('"simple"', '"random"').replace('["freeze", "negate-input"]', '["placement"]')
    with pytest.raises(UserError, match=r"\[\[transfers\]\] t: variants placement: "):
        expanded(text, tmp_path)


def test_the_published_files_are_studies() -> None:
    found = {
        path.stem: read_study(path) for path in STUDIES.glob("*.toml") if not path.stem.startswith("worlds_")
    }  # those name data to gather
    assert {"quick", "simple", "random", "learning_rates"} <= set(found)
    parts = {
        stem: "recipe" for stem in found if stem.startswith("recipe_")
    }  # a part is called as the whole, which goes on from its archive
    assert all(study.name == parts.get(stem, stem) for stem, study in found.items())
    assert all(set(found[stem].cells) < set(found["recipe"].cells) for stem in ("recipe_first", "recipe_long"))
    assert len({cell.settings.maze for cell in found["quick"].cells.values()}) == 2
    simple = found["simple"].cells.values()
    assert sum(cell.variant == "freeze" and cell.group == "joint" for cell in simple) >= 24 * 8


@pytest.mark.parametrize("name", ["recipe_more", "recipe"])
def test_cells_are_called_as_they_were(name: str) -> None:
    """Else nothing that an archive holds is found again, when a setting is added."""
    published = STUDIES.parent / "reports" / "published" / name / "table.csv.gz"
    made = {row["cell"] for row in csv.DictReader(gzip.decompress(published.read_bytes()).decode().splitlines())}
    assert made <= set(read_study(STUDIES / "recipe_more.toml").cells) | set(read_study(STUDIES / "recipe_first.toml").cells)


def test_a_folder_keeps_to_one_study(tmp_path: Path) -> None:
    _, store = ready(SMALL, tmp_path)
    store.claim("small")
    with pytest.raises(UserError, match="holds the study 'small', not 'other'"):
        store.claim("other")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    with pytest.raises(UserError, match="not the folder of a study"):
        open_store(tmp_path / "full").claim("small")


def test_a_dry_run_tells_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(SMALL)
    said = CliRunner().invoke(app, ["study", str(tmp_path / "study.toml"), "--out", str(tmp_path / "out"), "--dry-run"])
    assert said.exit_code == 0, said.output
    for line in (
        "b: 2 cells, base, simple",
        "t: 8 cells, freeze, simple",
        "study small: 18 cells, 240 updates",
        "still to run: 18 cells, 240 updates",
    ):
        assert line in said.output
    assert not list(tmp_path.glob("out/*"))
    assert "searches" not in said.output


def test_a_dry_run_counts_what_an_archive_holds_and_refuses_as_the_run_would(tmp_path: Path) -> None:
    study, store = ready(SMALL, tmp_path / "made")
    run_all(study, store, 8)
    put_away(store, study, tmp_path / "a.tar.xz")
    searched = SMALL.replace('"negate-input"]', '"negate-input", "placement"]')
    (tmp_path / "study.toml").write_text(searched)
    words = ["study", str(tmp_path / "study.toml"), "--dry-run", "--archive", str(tmp_path / "a.tar.xz"), "--out"]
    said = CliRunner().invoke(app, [*words, str(tmp_path / "out")])
    assert said.exit_code == 0, said.output
    assert "still to run: 8 cells, 160 updates" in said.output
    assert "hours without the searches before the updates of placement" in said.output
    assert not (tmp_path / "out").exists()
    (tmp_path / "study.toml").write_text(searched.replace('name = "small"', 'name = "other"'))
    for flags in (words, [*words[:3], "--out"]):
        said = CliRunner().invoke(app, [*flags, str(store.root)])
        assert (said.exit_code, "holds the study 'small', not 'other'" in str(said.exception)) == (1, True), said.output


def test_a_base_that_fails_leaves_the_others_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the command: exit code 1, the base and what waits for it named, all else done and in the archive, though the page breaks."""
    study, store = ready(SMALL, tmp_path)
    run_all(study, store, 4)
    first = next(iter(study.cells))
    (store.folder(first) / "record.json").unlink()
    store.failed([first], "broken")
    lost = [name for name, cell in study.cells.items() if cell.base == first]
    for name in lost:
        (store.folder(name) / "record.json").unlink()
    monkeypatch.setattr(cluster, "cluster", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr("crar_model.studies.run.run_study", lambda *_, **__: SimpleNamespace(finished=True))
    command = ["study", str(tmp_path / "file.toml"), "--out", str(store.root), "--attempts", "1", "--archive", str(tmp_path / "a.tar.xz")]
    said = CliRunner().invoke(app, command)
    assert said.exit_code == 1, said.output
    assert f"cell {first} (base) was left: broken" in said.output
    assert sum("was left" in line for line in said.output.splitlines()) == 1 + len(lost)
    assert "9 cells done" in said.output
    whole = (tmp_path / "a.tar.xz").read_bytes()
    (tmp_path / "a.tar.xz").unlink()
    monkeypatch.setattr("crar_reports.pages.study.page.write_study_page", lambda *_, **__: 1 / 0)
    assert CliRunner().invoke(app, command).exit_code == 1
    assert (tmp_path / "a.tar.xz").read_bytes() == whole
    (tmp_path / "a.tar.xz").unlink()
    (store.root / "table.csv").unlink()

    def gone(*_: object, **__: object) -> None:
        raise UserError("the scheduler is gone")

    monkeypatch.setattr("crar_model.studies.run.run_study", gone)
    said = CliRunner().invoke(app, command)
    assert "the scheduler is gone" in str(said.exception)
    assert (tmp_path / "a.tar.xz").read_bytes() == whole
    assert (store.root / "table.csv").exists()
    (tmp_path / "a.tar.xz").write_bytes(b"damaged meanwhile")
    monkeypatch.setattr("crar_model.studies.archive.bring_in", lambda *_: 0)
    said = CliRunner().invoke(app, command)
    assert "the scheduler is gone" in str(said.exception)  # not what came of it
    assert "not kept now: " in said.output
