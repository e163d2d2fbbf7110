"""`crar maps`: counts by map, variant and base."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli import app
from crar_model import samples
from crar_model.agent.symmetry import MATCHED, NEITHER, Match
from crar_model.core.errors import UserError
from crar_model.core.settings import PlaySettings, TrainSettings
from crar_model.models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from crar_model.samples import as_given
from crar_model.training.members import transfer_plan
from crar_model.training.runner import run_plan
from crar_reports.models import judged
from crar_reports.pages import maps
from crar_reports.pages.maps import updates_of, write_maps
from crar_reports.pages.maps_view import FAILS, OPEN, WORKS, Cell, Row, Tally, needs_the_negative, standing, survivals
from crar_reports.statistics import Interval, share


def test_counts_by_map_and_variant(base_run: Path, freeze_run: Path, tmp_path: Path) -> None:
    bases = [base_run / "member-0.pt", base_run / "member-1.pt"]
    settings = TrainSettings(updates=0, data_size=200, workers=1)
    pairs = run_plan(transfer_plan(settings, bases, "paired", 1, paired=16), tmp_path / "paired", tensorboard=False)
    assert pairs
    for name in ("mirror", "mix"):
        run_plan(transfer_plan(replace(settings, observation_map=name), bases, "negate-input", 2), tmp_path / name, tensorboard=False)
    words = [
        "maps",
        "--transfer",
        freeze_run,
        "--transfer",
        tmp_path / "mirror",
        "--transfer",
        tmp_path / "mix",
        "--transfer",
        tmp_path / "paired",
        "--out",
        tmp_path / "out",
    ]
    done = CliRunner().invoke(app, [str(word) for word in (*words, "--json")])
    assert done.exit_code == 0, done.output
    found = {(row["map"], row["way"]): row for row in json.loads(done.stdout)["table"]}
    assert set(found) == {
        ("negative", "freeze"),
        ("mirror", "negate-input"),
        ("mix, condition 10", "negate-input"),
        ("negative", "paired, 16 pairs"),
    }
    assert {found[key]["updates"] for key in found if key[1] != "freeze"} == {0}
    for key in (("mirror", "negate-input"), ("mix, condition 10", "negate-input")):  # the closed form is the base
        assert (found[key]["all"]["count"], found[key]["all"]["of"], found[key]["all_of_base"]["count"]) == (2, 2, 2)  # of four, two copies
        assert found[key]["by_bases"] == {"low": None, "high": None}  # nothing but successes
    assert found["negative", "freeze"]["all"]["of"] == 2
    page = (tmp_path / "out" / "report.md").read_text()
    assert "| mirror | negate-input | 0 | 2 of 2 |" in page
    assert "| negate-input | 2 of 2 | 2 of 2 |  |" in page
    assert "**Does failure need the negative? Not asked" in page  # no freeze through another map
    assert f"1 is `{bases[0]}`, 2 is `{bases[1]}`." in page
    assert "| mirror | negate-input | 1/1 | 1/1 |" in page


def counted(name: str, count: int, of: int = 12, way: str = "freeze", by_bases: tuple[float, float] = (math.nan, math.nan)) -> Cell:
    found = share([True] * count + [False] * (of - count))
    return Cell(name, way, way.startswith("freeze"), 1, found, Interval(*by_bases), {}, found, found)


def of_freeze(name: str, base: str, *, digest: str = "", good: bool = True, **settings: float | str) -> Row:
    return Row("member-0.pt", "d", "simple", base, digest or base, name, "freeze", "freeze", settings, 1, good)


def test_what_works_and_what_fails_takes_the_whole_of_both_intervals() -> None:
    assert [standing(counted("mirror", count)) for count in (0, 2, 3, 6, 9, 10, 12)] == [FAILS, FAILS, OPEN, OPEN, OPEN, WORKS, WORKS]
    assert standing(counted("mirror", 12, by_bases=(0.4, 1.0))) == OPEN
    assert standing(counted("mirror", 0, by_bases=(0.0, 0.6))) == OPEN


def test_many_transfers_of_few_bases_decide_nothing() -> None:
    """Sixty of sixty succeed, of two bases: the exact interval over bases is most of what there is."""
    row = counted("mirror", 60, of=60)
    assert standing(row) == WORKS
    assert standing(replace(row, all_of_base=share([True, True]))) == OPEN
    assert standing(replace(counted("mirror", 0, of=60), any_of_base=share([False, False]))) == OPEN


def test_a_base_under_two_paths_is_one_base() -> None:
    (found,) = maps.counted([of_freeze("mirror", base, digest="d") for base in ("here/base.pt", "there/base.pt")])
    assert found.bases == {"here/base.pt": Tally(2, 2)}
    assert found.all_of_base.of == 1


def test_the_same_settings_are_compared_through_every_map() -> None:
    """Two rates through the negative, one of them through the mirror: what is compared has one rate, and the sentence says which."""
    rows = [
        of_freeze(name, str(base), good=good, rate=rate, rule="joint")
        for base in range(12) for name, rate, good in (("negative", 1e-4, False), ("negative", 1e-2, True), ("mirror", 1e-4, False))
    ]  # fmt: skip
    rows = maps.told_apart(rows)
    table = maps.counted(rows)
    assert {(row.map, row.way) for row in table} == {
        ("negative", "freeze, rate 0.0001"), ("negative", "freeze, rate 0.01"), ("mirror", "freeze, rate 0.0001")
    }  # fmt: skip
    assert needs_the_negative(table).startswith("No: `freeze, rate 0.0001` fails through mirror (0 of 12), too.")
    both = rows + [replace(row, map="mirror", good=True) for row in rows if row.way == "freeze, rate 0.01"]
    said = needs_the_negative(maps.counted(both))
    assert "No: `freeze, rate 0.0001` fails through mirror (0 of 12), too." in said  # every kind of freeze has its sentence
    assert "Undecided: `freeze, rate 0.01`" in said
    other = [replace(row, way="freeze", settings={"rate": 1e-4, "rule": "sequential" if row.map == "mirror" else "joint"}) for row in rows]
    assert needs_the_negative(maps.counted(maps.told_apart(other))).startswith("Not asked")


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (
            (0, 0, 12),
            "No: `freeze` fails through mirror (0 of 12), too; it works through mix (12 of 12). Through the negative 0 of 12 succeed.",
        ),
        (
            (12, 0, 6),
            "No: `freeze` fails through mirror (0 of 12); undecided through mix (6 of 12). Through the negative it works: 12 of 12 succeed.",
        ),
        ((6, 0, 0), "No: `freeze` fails through mirror (0 of 12), mix (0 of 12). Through the negative it is undecided: 6 of 12 succeed."),
        (
            (0, 12, 12),
            "Of the maps asked, yes: `freeze` fails through negative (0 of 12) alone; it works through mirror (12 of 12), mix (12 of 12).",
        ),
        (
            (0, 12, 6),
            "Undecided: `freeze`, through the negative 0 of 12 succeed; it works through mirror (12 of 12); undecided through mix (6 of 12).",
        ),
        ((6, 12, 12), "Undecided: `freeze`, through the negative 6 of 12 succeed; it works through mirror (12 of 12), mix (12 of 12)."),
    ],
)
def test_whether_failure_needs_the_negative(counts: tuple[int, ...], said: str) -> None:
    table = [counted(name, count) for name, count in zip(("negative", "mirror", "mix"), counts, strict=True)]
    assert needs_the_negative(table) == said
    assert needs_the_negative(table[1:]).startswith("Not asked")
    assert needs_the_negative(table[:1]).startswith("Not asked")


def test_what_survives_which_map() -> None:
    table = [counted("mirror", 12, way="placement"), counted("mix", 0, way="placement"), counted("mix", 5, way="symmetry")]
    assert survivals(table) == [
        "`placement` works through mirror (12 of 12); fails through mix (0 of 12).",
        "`symmetry` is undecided through mix (5 of 12).",
    ]


def test_rates_of_one_variant_are_told_apart(base_run: Path, tmp_path: Path) -> None:
    settings = TrainSettings(updates=0, data_size=200, workers=1)
    run_plan(
        transfer_plan(settings, [base_run / "member-0.pt"], "negate-input", 1, learning_rates=(1e-3, 1e-4)),
        tmp_path / "run",
        tensorboard=False,
    )
    assert [row.way for row in write_maps([tmp_path / "run"], tmp_path / "out").table] == [
        "negate-input, rate 0.0001",
        "negate-input, rate 0.001",
    ]


@pytest.mark.parametrize("variant", ["freeze", "unfreeze"])
@pytest.mark.parametrize("share", [1.0, 0.9])
def test_what_a_transfer_can_do_is_asked_and_not_its_embedding(
    variant: str, share: float, base_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has the dynamics: an embedding that is nothing like the base's is no fault, and one that is the base's is no merit."""
    base = base_run / "member-0.pt"
    whole = judged.judge

    def judge(paths: Sequence[Path], *words: Any, **more: Any) -> list[judged.Judged]:
        own = 1.0 if paths == [base] else share
        found = whole(paths, *words, **more)
        match = Match(NEITHER if share == 1.0 else MATCHED, [[1, 0], [0, 1]], 0.1, 0.1, 0.0, 1.0)
        return [
            replace(one, evaluation=replace(one.evaluation, metrics=dict.fromkeys(one.evaluation.metrics, own), match=match))
            for one in found
        ]

    monkeypatch.setattr(judged, "judge", judge)
    judged._of_base.cache_clear()
    run_plan(transfer_plan(TrainSettings(updates=0, data_size=200, workers=1), [base], variant, 1), tmp_path / variant, tensorboard=False)
    rows = write_maps([tmp_path / variant], tmp_path / "out").rows
    judged._of_base.cache_clear()
    assert [row.good for row in rows] == [share == 1.0]


def test_copies_of_a_network_count_once(base_run: Path, tmp_path: Path) -> None:
    """A closed form has no luck: two members of it are one network. What starts from random weights is another beside every base."""
    bases = [base_run / "member-0.pt", base_run / "member-1.pt"]
    settings = TrainSettings(updates=0, data_size=200, workers=1)
    for variant in ("negate-input", "scratch"):
        run_plan(transfer_plan(settings, bases, variant, 2), tmp_path / variant, tensorboard=False)
    closed = write_maps([tmp_path / "negate-input"], tmp_path / "out")
    assert (closed.table[0].all.of, closed.copies) == (2, 2)
    fresh = write_maps([tmp_path / "scratch"], tmp_path / "out")
    assert (fresh.table[0].all.of, fresh.copies) == (4, 0)


def test_two_mazes_are_not_one_table(base_run: Path, tmp_path: Path) -> None:
    run_plan(
        transfer_plan(TrainSettings(updates=0, data_size=200), [base_run / "member-0.pt"], "freeze", 1), tmp_path / "run", tensorboard=False
    )
    other = load_checkpoint(samples.RANDOM_BASE)
    info = other.info | {"variant": "freeze", "base": str(samples.RANDOM_BASE)}
    save_checkpoint(tmp_path / "other.pt", replace(other, inverse=True, info=info))
    with pytest.raises(UserError, match=r"other.pt: of the random maze, but .* is of the simple maze; count them apart"):
        write_maps([tmp_path / "run", tmp_path / "other.pt"], tmp_path / "out", how=PlaySettings(episodes=2))


def test_the_updates_of_a_search_count() -> None:
    searched = Checkpoint("simple", inverse=True, parameters={}, updates=5, info={"search": {"updates": 7, "level_updates": 2}})
    assert updates_of(searched) == 14
    assert updates_of(replace(searched, info={})) == 5


def test_what_cannot_be_counted(base_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="names no base"):
        write_maps([base_run / "member-0.pt"], tmp_path / "out")
    with pytest.raises(UserError, match="nothing to count"):
        write_maps([], tmp_path / "out")
    with pytest.raises(UserError, match="give the --out of `crar cure`"):
        write_maps([], tmp_path / "out", cures=[base_run])


def test_cures_of_a_table_count_with_all_that_they_spent(tmp_path: Path) -> None:
    """From the table that `crar cure` writes: a row a transfer and method, of the map that the failed model saw its maze through."""
    words = ["cure", "--from", samples.FAILED, "--to", samples.BASE, "--method", "placement", "--method", "restart", "--resolution", "9",
             "--effort", "0.01", "--out", tmp_path / "cures"]  # fmt: skip
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    rows = json.loads((tmp_path / "cures" / "results.json").read_text())["rows"]
    table = {row.way: row for row in write_maps([], tmp_path / "out", cures=[tmp_path / "cures"]).table}
    assert set(table) == {"cure: placement", "cure: restart"}
    twice = write_maps([], tmp_path / "out", cures=[tmp_path / "cures", tmp_path / "cures"])
    assert twice.copies == 2
    assert {row.way: row.all for row in twice.table} == {way: row.all for way, row in table.items()}
    assert "2 of the models given are copies of others" in (tmp_path / "out" / "report.md").read_text()
    for row in rows:
        found = table[f"cure: {row['method']}"]
        assert (found.map, found.all.of, found.all.count) == ("negative", 1, int(row["restored"]))
        assert found.updates == row["budget"]["updates"] + row["budget"]["level_updates"]
        assert found.bases == {as_given(samples.BASE): Tally(int(row["restored"]), 1)}
        assert not found.usual


def test_ways_are_in_the_order_of_their_numbers() -> None:
    ways = ["paired, 2 pairs", "freeze", "paired, 16 pairs", "paired, 1 pair", "cure: auto"]
    assert sorted(ways, key=maps._numbered) == ["cure: auto", "freeze", "paired, 1 pair", "paired, 2 pairs", "paired, 16 pairs"]


def test_a_stopped_count_goes_on(freeze_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Path] = []
    whole = judged.judge

    def judge(paths: Sequence[Path], *words: Any, **more: Any) -> list[judged.Judged]:
        calls.extend(paths)
        if calls.count(freeze_run / "member-1.pt") == 1:
            raise KeyboardInterrupt
        return whole(paths, *words, **more)

    monkeypatch.setattr(judged, "judge", judge)
    words = ["maps", "--transfer", str(freeze_run), "--out", str(tmp_path / "out")]
    assert CliRunner().invoke(app, words).exit_code == 130
    (kept,) = (tmp_path / "out" / maps.STATE).iterdir()
    with pytest.raises(UserError, match="add --resume to go on, --force to write over it, or choose another --out"):
        CliRunner().invoke(app, words, catch_exceptions=False)
    calls.clear()
    calls.append(freeze_run / "member-1.pt")
    done = CliRunner().invoke(app, [*words, "--resume"])
    assert done.exit_code == 0, done.output
    assert freeze_run / "member-0.pt" not in calls
    assert "freeze | 40 | " in (tmp_path / "out" / "report.md").read_text()
    assert not kept.parent.exists()
