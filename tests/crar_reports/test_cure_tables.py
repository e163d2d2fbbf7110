"""Tables of cures: many transfers, budgets, judges and what is left out."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import app
from crar_model import samples
from crar_model.core.errors import UserError
from crar_model.core.params import select
from crar_model.core.settings import CureSettings, TrainSettings
from crar_model.models.checkpoints import load_checkpoint, save_checkpoint
from crar_model.training.members import transfer_plan
from crar_model.training.runner import run_plan
from crar_reports import progress as console
from crar_reports.pages.cure import one as page
from crar_reports.pages.cure.many import spending
from crar_reports.pages.report import write_study
from crar_reports.statistics import clustered, share
from tests.crar_reports.cure_rows import crar, row_of, spent
from tests.crar_reports.pages import whole_page


def test_many_transfers_make_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "LOG_EVERY", 0.0)
    out, freeze_run = tmp_path / "cures", tmp_path / "run"
    settings = TrainSettings(updates=40, log_interval=20, learning_rate=8e-5, update_rule="sequential", workers=1)
    run_plan(transfer_plan(settings, [samples.BASE], "freeze", 2), freeze_run, tensorboard=False)  # of a base that can do much: both failed
    words = ["cure", "--from", freeze_run, "--method", "symmetry", "--method", "restart", "--starts", 2, "--resolution", 9]
    told = CliRunner().invoke(app, [str(word) for word in (*words, "--effort", 0.002, "--json", "--out", out)])
    table = json.loads(told.stdout)
    assert table["transfers"] == table["failed"] == 2
    assert [row["method"] for row in table["table"]] == ["symmetry", "restart"]
    assert all(row["transfers"] == table["failed"] == len(table["rows"]) // 2 for row in table["table"])
    stamp = next(out.glob("symmetry/*/results.json")).stat().st_mtime_ns
    again = json.loads(crar(*words, "--effort", 0.002, "--json", "--out", out, "--resume"))
    assert again["table"] == table["table"]
    assert next(out.glob("symmetry/*/results.json")).stat().st_mtime_ns == stamp  # a finished cure is kept
    text = (out / "report.md").read_text()
    assert "| symmetry |" in text
    assert "\n**Recipe**: bases joint 0.0005, " in text
    assert "; transfers sequential 8e-05, 40 updates.\n" in text
    inside = [line for line in told.stderr.splitlines() if ", symmetry: " in line]
    assert inside[0].startswith("cure: 2 failed transfers: 0 of 4 cures, ")  # one cure may take minutes
    assert re.search(r", symmetry: [1-9]\d* of \d+ updates$", inside[0])
    for row in table["table"]:  # why a method failed, counted
        lacking = [found["lacks"] for found in table["rows"] if found["method"] == row["method"]]
        assert row["restored"]["count"] == sum(not each for each in lacking)
        assert row["lacks"] == {kind: sum(kind in each for each in lacking) for each in lacking for kind in each}
    assert table["table"][0]["lacks"], "of two updates nothing is restored"
    assert f"| symmetry | {table['failed'] - table['table'][0]['restored']['count']} | " in text
    whole_page(out / "report.md")


def test_methods_of_a_table_have_as_much_to_spend_and_seeds_of_their_own(tmp_path: Path) -> None:
    """Whoever searches no places takes at least what the search of places took for that transfer, its level included; new encoders differ
    between the transfers of a base."""
    failed = load_checkpoint(samples.FAILED)
    for name, scale in (("one", 1.0), ("two", 0.9)):
        changed = {key: scale * value for key, value in select(failed.parameters, ("encoder",)).items()}
        save_checkpoint(tmp_path / f"{name}.pt", dataclasses.replace(failed, parameters=failed.parameters | changed))
    words = [
        "cure",
        "--from",
        tmp_path / "one.pt",
        "--from",
        tmp_path / "two.pt",
        "--to",
        samples.BASE,
        "--resolution",
        9,
        "--effort",
        0.01,
    ]
    table = json.loads(crar(*words, "--method", "restart", "--method", "placement", "--json", "--out", tmp_path / "cures"))
    rows = {(Path(row["failed"]["path"]).stem, row["method"]): row for row in table["rows"]}
    for name in ("one", "two"):
        searched = rows[name, "placement"]["budget"]
        assert searched["level_updates"] > 0
        assert searched["updates"] + searched["level_updates"] <= rows[name, "restart"]["budget"]["updates"]
        assert rows[name, "placement"]["seed"] == rows[name, "restart"]["seed"]
    assert rows["one", "restart"]["seed"] != rows["two", "restart"]["seed"]
    assert rows["one", "restart"]["total"] != rows["two", "restart"]["total"]
    assert [row["method"] for row in table["table"]] == ["restart", "placement"]
    assert table["table"][1]["median_level_updates"] > table["table"][0]["median_level_updates"] == 0
    assert table["table"][0]["bases_restored"]["of"] == 1
    assert "none had less to spend" in table["spending"]
    assert table["spending"] in (tmp_path / "cures" / "report.md").read_text()
    made = [row_of(each) for each in table["rows"]]
    less = [spent(row, updates=1) if row.method == "restart" else row for row in made]
    assert "budgets are **not equal**" in spending(less)
    assert spending([row for row in made if row.method == "restart"]) == ""
    alone = [spent(row, level_updates=0, updates=7) for row in made]  # as in the random mazes
    assert spending(alone) == "Updates of all candidates of a transfer: restart 7, placement 7."
    alone[0] = spent(alone[0], updates=9_000)
    assert spending(alone) == "Updates of all candidates of a transfer: restart 7 to 9,000, placement 7; budgets are **not equal**."


def test_a_cure_by_another_judge_or_score_is_made_again(tmp_path: Path) -> None:
    other = tmp_path / "other.pt"
    base = load_checkpoint(samples.BASE)
    encoder = {name: 1.0001 * value for name, value in select(base.parameters, ("encoder",)).items()}
    save_checkpoint(other, dataclasses.replace(base, parameters=base.parameters | encoder))
    words = ["cure", "--from", samples.FAILED, "--method", "noise", "--method", "restart", "--resolution", 9, "--effort", 0.002, "--resume"]
    out = ["--out", tmp_path / "cures"]

    def stamp() -> list[int]:
        return [path.stat().st_mtime_ns for path in sorted((tmp_path / "cures").glob("*/*/results.json"))]

    crar(*words, *out, "--to", samples.BASE)
    first = stamp()
    crar(*words, *out, "--to", samples.BASE)
    assert stamp() == first
    broken = next((tmp_path / "cures").glob("noise/*/results.json"))
    broken.write_text("half a fi")
    with pytest.raises(UserError, match="damaged, not JSON"):
        crar(*words, *out, "--to", samples.BASE)
    broken.unlink()
    crar(*words, *out, "--to", samples.BASE)
    assert json.loads(broken.read_text())["method"] == "noise"  # what was removed is made again
    first = stamp()
    crar(*words, *out, "--to", other)
    second = stamp()
    assert all(a != b for a, b in zip(first, second, strict=True))
    crar(*words, *out, "--to", other, "--episodes", 7)
    assert all(a != b for a, b in zip(second, stamp(), strict=True))


@pytest.mark.parametrize("method", ["placement", "noise"])
def test_a_study_ends_with_what_gets_its_transfer_out(method: str, base_run: Path, freeze_run: Path, tmp_path: Path) -> None:
    """The sentences follow the figures, whichever way they come out."""
    settings = CureSettings(resolution=21, effort=0.1 if method == "placement" else 0.01)
    found = page.write_cure(samples.FAILED, tmp_path / "cure", method=method, to_path=samples.BASE, options=page.CureOptions(settings))
    text = write_study([base_run], [freeze_run], tmp_path, cured=found).read_text()
    assert found.cured is (method == "placement")
    assert ("**What gets it out**: placement, chosen by losses alone" in text) is found.cured
    assert ("**What gets it out**: nothing that was tried" in text) is not found.cured
    assert ("is as good as the dynamics allow, and the base confirms it" in text) is found.restored
    assert f"{100 * found.after.share('nearest_state_accuracy'):.1f} %" in text.partition("## What gets it out")[2]
    assert "(cure/report.md)" in text
    assert "What gets it out" not in write_study([base_run], [freeze_run], tmp_path / "other").read_text()


def test_transfers_of_one_base_share_what_the_dynamics_allow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another encoder under the same dynamics, and another method, bring no second level; other settings do."""
    options = page.CureOptions(CureSettings(resolution=9, effort=0.01))
    page.write_cure(samples.FAILED, tmp_path / "one", method="placement", options=options)
    (ground,) = options.grounds.values()
    failed = load_checkpoint(samples.FAILED)
    other = {name: 0.9 * value if name.startswith("encoder.") else value for name, value in failed.parameters.items()}
    save_checkpoint(tmp_path / "other.pt", dataclasses.replace(failed, parameters=other))
    found = page.write_cure(tmp_path / "other.pt", tmp_path / "two", method="noise", options=options)
    assert list(options.grounds.values()) == [ground]
    assert ground.level is not None
    assert found.level is ground.level
    more = dataclasses.replace(options, settings=dataclasses.replace(options.settings, resolution=11))
    page.write_cure(samples.FAILED, tmp_path / "three", method="noise", options=more)
    assert len(more.grounds) == 2


def test_intervals_of_the_table() -> None:
    found = share([True] * 60)
    assert (found.count, found.high) == (60, 1.0)
    assert found.low == pytest.approx(0.025 ** (1 / 60))  # Clopper-Pearson where all succeed
    assert math.isnan(share([]).share)
    apart = clustered([[True] * 5, [False] * 5] * 6)
    mixed = clustered([[True, False] * 5] * 12)
    assert mixed.low == mixed.high == 0.5
    assert apart.low < 0.35
    assert apart.high > 0.65
    assert math.isnan(clustered([[True]]).low)
    assert math.isnan(clustered([[True], [True, True]]).low)  # nothing but successes: a resample says nothing of failures
