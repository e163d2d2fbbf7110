"""`crar cure`: its pages and files, what it refuses, and its table of many transfers."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from filelock import FileLock
from typer.testing import CliRunner

from cli import app
from crar_model import samples
from crar_model.agent.symmetry import MATCHED, SWAPPED, Match
from crar_model.core.errors import UserError
from crar_model.core.files import typed
from crar_model.core.params import DYNAMICS, select
from crar_model.core.settings import CureSettings, TrainSettings
from crar_model.models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from crar_model.models.evaluation import Evaluation
from crar_model.models.merit import as_good, same_dynamics
from crar_model.models.original import exported
from crar_model.tasks.metrics import Score
from crar_model.training.members import transfer_plan
from crar_model.training.runner import run_plan
from crar_reports import progress as console
from crar_reports.pages.cure import one as page
from crar_reports.pages.cure.many import spending
from crar_reports.pages.cure.one import cure_line
from crar_reports.pages.cure.records import Budget, CureResult, Failed, Row
from crar_reports.pages.report import write_study
from crar_reports.statistics import clustered, share
from tests.crar_model.test_cures import forbid, own_side_only
from tests.crar_reports.pages import whole_page

FAST = ["--resolution", "21", "--effort", "0.1"]


def with_dynamics(model: Checkpoint, factor: float) -> Checkpoint:
    """The model with its dynamics scaled."""
    changed = {name: factor * value for name, value in select(model.parameters, DYNAMICS).items()}
    return dataclasses.replace(model, parameters=model.parameters | changed)


def row_of(plain: dict[str, Any]) -> Row:
    """A row of a table of cures, as its file has it."""
    sides = {name: Evaluation.of(plain[name]) for name in ("before", "after")}
    return Row(**plain | sides | {"failed": typed(plain["failed"], Failed, "", ""), "budget": typed(plain["budget"], Budget, "", "")})


def spent(row: Row, **updates: int) -> Row:
    return dataclasses.replace(row, budget=dataclasses.replace(row.budget, **updates))


def crar(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.usefixtures("as_published")
def test_the_shipped_failure_from_the_command_line(tmp_path: Path) -> None:
    out = tmp_path / "cure"
    found = json.loads(crar("cure", *FAST, "--json", "--out", out))
    assert found == json.loads((out / "results.json").read_text())
    assert found["cured"]
    assert found["by"] == "placement"
    assert not found["base_used"]
    assert found["budget"]["updates"] == sum(each["updates"] for each in found["tried"])
    assert found["chosen"]["terms"]["total"] < 1.1 * found["level"]["total"] < found["failed_candidate"]["terms"]["total"]
    assert found["after"]["match"]["verdict"] == "matched"
    assert found["failed_before"]
    report = (out / "report.md").read_text()
    whole_page(out / "report.md")
    assert report.startswith("# Cured by placement")
    assert "the weights of its base" not in report.partition("## Candidates")[0]
    cured, failed = load_checkpoint(out / "cured.pt"), load_checkpoint(samples.FAILED)
    assert cured.info["cure"]["failed"] == failed.digest
    assert all(value.equal(failed.parameters[name]) for name, value in select(cured.parameters, DYNAMICS).items())
    with xr.open_dataset(out / "placement.nc") as data:
        assert data["total"].shape == (21, 21)
        assert float(data["total"].min()) == pytest.approx(found["placement"]["valleys"][0]["total"])
    assert (out / "placement.png").stat().st_size > 1000
    assert not (out / page.STATE).exists()


def test_what_is_not_cured_is_not_handed_out(tmp_path: Path) -> None:
    out = tmp_path / "cure"
    out.mkdir()
    (out / "cured.pt").write_bytes(b"of an earlier call with another method")
    (out / "state").mkdir()
    (out / "state" / "shard-0.pt").write_bytes(b"of another program")
    said = crar("cure", "--method", "noise", "--starts", 1, "--noise", 0.1, "--resolution", 21, "--effort", 0.01, "--out", out, "--resume")
    assert said.startswith("not cured; the best candidate is one of noise")
    assert not (out / "cured.pt").exists()
    assert (out / "state" / "shard-0.pt").exists()  # removes only what is its own
    with FileLock(out / ".lock"), pytest.raises(UserError, match="another crar cure works there"):
        page.write_cure(samples.FAILED, out, method="noise")
    assert (out / "report.md").read_text().startswith("# Not cured")


def test_a_stopped_cure_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []

    def stop_late(done: int, everything: int) -> None:
        told.append(done)
        if (tmp_path / page.STATE / "placement-fit.pt").exists():
            raise KeyboardInterrupt

    options = page.CureOptions(CureSettings(resolution=21, effort=0.1))
    with pytest.raises(KeyboardInterrupt):
        page.write_cure(samples.FAILED, tmp_path, method="placement", options=options, progress=stop_late)
    assert (tmp_path / page.STATE / "level.pt").exists()
    again: list[int] = []
    found = page.write_cure(samples.FAILED, tmp_path, method="placement", options=options, progress=lambda done, _: again.append(done))
    assert found.level is not None
    level = found.level.updates
    parts = len([done for done in again if done <= level])
    assert parts < len([done for done in told if done <= level])  # the level is not done again: each of its parts is told in one
    assert again[parts - 1] == level
    whole = page.write_cure(samples.FAILED, tmp_path / "other", method="placement", options=options)
    assert whole.chosen.plain() == found.chosen.plain()


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


def test_a_transfer_that_did_not_fail_has_nothing_to_cure(tmp_path: Path) -> None:
    crar("transfer", "--from", samples.BASE, "--variant", "negate-input", "--members", 1, "--out", tmp_path / "run")
    words = ["cure", "--from", tmp_path / "run" / "member-0.pt", "--resolution", 21, "--effort", 0.1, "--to", samples.BASE]
    said = crar(*words, "--out", tmp_path / "cure")
    assert said.startswith("nothing to cure: its losses are what its dynamics allow")
    assert "as good" in said
    found = json.loads((tmp_path / "cure" / "results.json").read_text())
    assert (found["already"], found["by"], found["tried"], found["budget"]["updates"]) == (True, None, [], 0)
    assert not found["cured"]  # there is no cured.pt
    assert not (tmp_path / "cure" / "cured.pt").exists()
    text = (tmp_path / "cure" / "report.md").read_text()
    assert text.startswith("# Nothing to cure")
    assert "## Candidates" not in text
    assert "as good as its base (shares" in text
    whole_page(tmp_path / "cure" / "report.md")
    again = page.write_cure(
        tmp_path / "run" / "member-0.pt",
        tmp_path / "again",
        method="auto",
        options=page.CureOptions(CureSettings(resolution=21, effort=0.1)),
    )
    assert cure_line(again).startswith("nothing was tried")


def test_dynamics_that_trained_are_named(tmp_path: Path) -> None:
    """Its figures of merit decide; the page says that the dynamics are others."""
    failed, base = load_checkpoint(samples.FAILED), load_checkpoint(samples.BASE)
    assert same_dynamics(failed, base)
    trained = dataclasses.replace(with_dynamics(failed, 1.0001), info=failed.info | {"variant": "unfreeze"})
    assert not same_dynamics(trained, base)
    save_checkpoint(tmp_path / "trained.pt", trained)
    options = page.CureOptions(CureSettings(resolution=9, effort=0.002))

    def cured(path: Path, folder: str) -> CureResult:
        return page.write_cure(path, tmp_path / folder, method="noise", base_path=samples.BASE, to_path=samples.BASE, options=options)

    found = cured(tmp_path / "trained.pt", "cure")
    assert found.base is not None
    assert not found.base.same_dynamics
    assert "has other dynamics than this model" in (tmp_path / "cure" / "report.md").read_text()
    assert "embedding" not in found.plain()["lacks"]
    frozen = cured(samples.FAILED, "frozen")
    assert frozen.base is not None
    assert frozen.base.same_dynamics
    assert "has other dynamics" not in (tmp_path / "frozen" / "report.md").read_text()


@pytest.mark.parametrize("method", ["placement", "symmetry", "first-layer"])
def test_the_command_sees_nothing_of_the_bases_maze(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is written without --to: report, figure, model. With it the base is looked at, which the test would notice."""
    own_side_only(monkeypatch)
    forbid(monkeypatch)
    options = page.CureOptions(CureSettings(resolution=9, effort=0.002))
    found = page.write_cure(samples.FAILED, tmp_path / "cure", method=method, base_path=samples.BASE, options=options)
    assert [each.method for each in found.found.tried] == [method]
    assert found.restored is None
    with pytest.raises(AssertionError, match="an observation of the base's maze"):
        page.write_cure(samples.FAILED, tmp_path / "other", method=method, base_path=samples.BASE, to_path=samples.BASE, options=options)


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


def test_a_network_of_the_original_code_is_cured_from_its_arrays(tmp_path: Path) -> None:
    """Arrays only, no base: what the shipped failure would be as the original code dumps it."""
    np.savez(tmp_path / "net.npz", **exported(load_checkpoint(samples.FAILED).parameters))
    crar("import", tmp_path / "net.npz", "--maze", "simple-inverse", "--out", tmp_path / "model.pt")
    words = ["cure", "--from", tmp_path / "model.pt", "--resolution", 31, "--effort", 0.25, "--out", tmp_path / "cure"]
    said = crar(*words, "--to", samples.BASE)
    assert said.startswith("cured by placement")
    assert "restored" in said
    found = json.loads((tmp_path / "cure" / "results.json").read_text())
    assert found["base"] is None
    assert found["restored"]


def test_bad_input_names_the_remedy(tmp_path: Path) -> None:
    out, base = ["--out", tmp_path / "out"], load_checkpoint(samples.BASE)
    strange = tmp_path / "strange.pt"
    save_checkpoint(strange, with_dynamics(base, 1.1))
    twins = [tmp_path / name / "run" / "member-0.pt" for name in ("a", "b")]
    for number, path in enumerate(twins):  # alike in name, two networks
        twin = load_checkpoint(samples.FAILED)
        twin.parameters["encoder.0.bias"].add_(1e-3 * number)
        save_checkpoint(path, twin)
    for words, said in (
        (["--from", samples.BASE], "a base model that was never transferred"),
        (["--from", samples.RANDOM_BASE], "never transferred"),
        (["--from", twins[0], "--method", "first-layer"], "give it with --base"),
        (["--from", samples.FAILED, "--base", samples.RANDOM_BASE], "give its own base with --base"),
        (["--from", samples.FAILED, "--to", samples.RANDOM_BASE], "give two of one maze"),
        (["--effort", 0], "--effort is 0.0; give a number above 0"),
        (["--resolution", 3], "--resolution is 3; give a whole number of at least 9"),
        (["--from", samples.FAILED, "--base", strange], "strange.pt: its dynamics are not those of the transfer"),
        (["--from", twins[0], "--method", "noise", "--method", "restart"], "is not there; give it with --to"),
        (["--from", twins[0], "--from", twins[1], "--to", samples.BASE], "give each once"),
    ):
        with pytest.raises(UserError, match=said):
            crar("cure", *words, *out)
    assert not (tmp_path / "out" / "report.md").exists()


def test_success_is_within_two_points_or_an_interval_above_zero() -> None:
    same = Match(MATCHED, [[1, 0], [0, 1]], 0.1, 0.1, 0.0, 1.0)
    swapped = Match(SWAPPED, [[-1, 0], [0, -1]], 0.1, 2.0, 0.0, 1.0)
    base = Evaluation({}, {"share": 0.9})
    for value, match, good in ((0.89, same, True), (0.95, same, True), (0.87, same, False), (0.9, swapped, True)):
        assert as_good(Evaluation({}, {"share": value}, match), base) is good
    scored = Evaluation({}, {"score": Score(0.4, 0.1, 0.7, 100, None, None)})
    for mean, good in ((0.2, False), (-0.2, False), (1.05, True)):  # two that hold 0, one above
        assert as_good(Evaluation({}, {"score": Score(mean, mean - 1, mean + 1, 100, None, None)}), scored) is good


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
