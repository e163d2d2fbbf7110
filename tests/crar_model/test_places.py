"""Runs that are moved, and commands that are called from elsewhere: a transfer's base is found by its digest."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from crar_model.core.errors import UserError
from crar_model.core.places import places
from crar_model.core.settings import TrainSettings
from crar_model.models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from crar_model.training.members import transfer_plan
from crar_model.training.mending import own_base
from crar_model.training.runner import plan_of, run_plan
from crar_reports.models.judged import base_of, bases_in, judge
from crar_reports.models.runs import Run
from crar_reports.pages.claims import write_claims
from crar_reports.pages.report import write_study
from tests.plans import with_updates


@pytest.fixture(scope="module")
def made(base_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """runs/base and runs/freeze as one makes them: with relative paths, from the folder above."""
    home = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        shutil.copytree(base_run, "runs/base")
        settings = TrainSettings(updates=4, log_interval=2, workers=1)
        run_plan(transfer_plan(settings, ["runs/base/member-0.pt"], "freeze", 1), "runs/freeze", tensorboard=False)
    return home


def test_the_places_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/runs/base/m.pt", "a/runs/freeze/m.pt", "m.pt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path / "a")
    assert list(places("runs/base/m.pt", "runs/freeze")) == [Path("runs/base/m.pt"), Path("runs/freeze/m.pt")]
    assert list(places("/gone/base/m.pt", "runs/freeze")) == [Path("runs/base/m.pt"), Path("runs/freeze/m.pt")]
    assert list(places("/gone/base/m.pt", "runs/freeze", whole=True)) == []
    monkeypatch.chdir(tmp_path / "a/runs/freeze")
    assert list(places("runs/base/m.pt", "")) == [Path("../../runs/base/m.pt"), Path("../base/m.pt"), Path("m.pt")]
    monkeypatch.chdir("/")
    assert next(iter(places("base/m.pt", tmp_path / "a/runs/freeze"))) == tmp_path / "a/runs/base/m.pt"


def test_a_base_is_found_from_anywhere_and_after_a_move(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = load_checkpoint(made / "runs/base/member-0.pt").digest
    shutil.copytree(made / "runs", tmp_path / "moved" / "elsewhere")
    for here, run in (
        (made, "runs/freeze"), (made / "runs", "freeze"), (made / "runs/freeze", "."), (Path("/"), made / "runs/freeze"),
        (tmp_path, "moved/elsewhere/freeze"), (tmp_path / "moved", tmp_path / "moved/elsewhere/freeze"),
    ):  # fmt: skip
        monkeypatch.chdir(here)
        model = load_checkpoint(Path(run) / "member-0.pt")
        found = model.base_file
        assert found is not None, here
        assert load_checkpoint(found).digest == digest
        assert found.is_absolute() == Path(run).is_absolute()  # a page names no folder of the machine that nobody gave
        assert base_of(Path(run) / "member-0.pt") == found
        base = own_base(model, None)  # of a cure
        assert base is not None
        assert base.file == found
        (one,) = judge([Path(run) / "member-0.pt"], use_own_base=True)
        assert one.evaluation.match is not None


def test_another_network_at_its_place_is_never_taken(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(made / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    shutil.copy("runs/base/member-1.pt", "runs/base/member-0.pt")
    model = load_checkpoint("runs/freeze/member-0.pt")
    with pytest.raises(UserError, match="another model now"):
        model.load_base()
    base = model.load_base(bases_in([made / "runs/base"]))  # given by its flag
    assert base is not None
    assert base.file == made / "runs/base/member-0.pt"
    (tmp_path / "runs/base/member-0.pt").unlink()
    assert model.load_base() is None
    with pytest.raises(UserError, match=r"its base runs/base/member-0\.pt is not there; give it with --to"):
        base_of("runs/freeze/member-0.pt")
    with pytest.raises(UserError, match="holds no checkpoint"):
        bases_in([tmp_path])


def test_a_base_of_before_digests_is_taken_from_its_whole_path_alone(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    model = load_checkpoint(made / "runs/freeze/member-0.pt")
    old = dataclasses.replace(model, info={"base": "runs/base/member-0.pt"})
    assert old.load_base() is not None
    assert dataclasses.replace(model, info={"base": "other/base/member-0.pt"}).load_base() is None


def test_a_run_goes_on_wherever_it_and_its_base_lie(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone_on(folder: Path, base: str | Path | None) -> Checkpoint:
        shutil.copytree(made / "runs/freeze", folder)
        settings = TrainSettings(updates=8, log_interval=2, workers=1)
        plan = with_updates(plan_of(folder), 8) if base is None else transfer_plan(settings, [base], "freeze", 1)
        run_plan(plan, folder, resume=True, tensorboard=False)
        return load_checkpoint(folder / "member-0.pt")

    monkeypatch.chdir(made)
    whole = gone_on(tmp_path / "whole", "runs/base/member-0.pt").digest
    assert gone_on(tmp_path / "absolute", made / "runs/base/member-0.pt").digest == whole
    shutil.copytree(made / "runs/base", tmp_path / "moved/base")
    monkeypatch.chdir("/")
    assert gone_on(tmp_path / "moved/freeze", None).digest == whole
    names = [each["base"] for each in json.loads((tmp_path / "moved/freeze/run.json").read_text())["members"]]
    assert names == [str(tmp_path / "moved/base/member-0.pt")]
    with pytest.raises(UserError, match="the run there differs in members, bases"):
        gone_on(tmp_path / "other", made / "runs/base/member-1.pt")


def test_a_report_of_runs_from_elsewhere(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made / "runs/freeze", "alone/freeze")
    shutil.copytree(made / "runs/base", "somewhere/begun")
    assert Run(Path("alone/freeze")).base_of(judge(["alone/freeze/member-0.pt"])[0]) is None
    write_study(["somewhere/begun"], ["alone/freeze"], "report")
    page = Path("report/report.md").read_text()
    assert "somewhere/begun/member-0.pt" in page
    assert "| base/member-0 | freeze, joint, 4 updates | " in page
    shutil.copytree("alone/freeze", "other/unlike")
    with pytest.raises(UserError, match="--base: holds the base of none of the transfers"):
        write_study(["other/unlike"], ["alone/freeze"], "none")


def test_claims_names_the_transfer_whose_base_is_nowhere(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made / "runs/freeze", "alone/freeze")
    for bases in ([], ["alone/freeze"]):
        with pytest.raises(UserError, match=r"alone/freeze/member-0\.pt: its base runs/base/member-0\.pt is not there; .*--base"):
            write_claims(["alone/freeze"], "claims", bases=bases)
    assert not Path("claims").exists()


def test_an_unusable_file_at_a_likely_place_is_passed_over(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(made / "runs", tmp_path / "a/runs")
    (tmp_path / "a/runs/freeze/runs/base").mkdir(parents=True)
    (tmp_path / "a/runs/freeze/runs/base/member-0.pt").write_bytes(b"PK damaged")
    monkeypatch.chdir("/")
    model = load_checkpoint(tmp_path / "a/runs/freeze/member-0.pt")
    assert model.base_file == tmp_path / "a/runs/base/member-0.pt"
    save_checkpoint(tmp_path / "copy.pt", model)
    assert load_checkpoint(tmp_path / "copy.pt").digest == model.digest
