"""`crar cure`: its pages and files, what it refuses, and its table of many transfers."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from filelock import FileLock

from crar_model import samples
from crar_model.agent.symmetry import MATCHED, SWAPPED, Match
from crar_model.core.errors import UserError
from crar_model.core.params import DYNAMICS, select
from crar_model.core.settings import CureSettings
from crar_model.models.checkpoints import load_checkpoint, save_checkpoint
from crar_model.models.evaluation import Evaluation
from crar_model.models.merit import as_good, same_dynamics
from crar_model.models.original import exported
from crar_model.tasks.metrics import Score
from crar_reports.pages.cure import one as page
from crar_reports.pages.cure.one import cure_line
from crar_reports.pages.cure.records import CureResult
from tests.crar_model.cure_problems import forbid, own_side_only
from tests.crar_reports.cure_rows import FAST, crar, with_dynamics
from tests.crar_reports.pages import whole_page


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
