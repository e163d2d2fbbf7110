"""One key of everything that determines a result: models that share their weights are no less two models for that."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crar_model.core.errors import UserError
from crar_model.core.files import as_read
from crar_model.core.kept import look
from crar_model.core.settings import CureSettings, PlaySettings, TrainSettings
from crar_model.cures.problem import pose
from crar_model.models import keys
from crar_model.models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from crar_model.models.keys import result_key
from crar_model.training.members import Plan, transfer_plan
from crar_model.training.runner import run_plan
from crar_reports.pages import claims as many
from crar_reports.pages import maps
from crar_reports.pages.cure.one import CureOptions, cure_key, ground_key
from crar_reports.pages.escape.one import escape_key
from crar_reports.pages.escape.records import Escape, Grid
from crar_reports.pages.predict import predict
from tests.crar_reports.test_escape_rules import a_minimum
from tests.crar_reports.test_maps import of_freeze

PUBLISHED = Path(__file__).parents[1] / "reports" / "published"


def told(model: Checkpoint, **settings: Any) -> Checkpoint:
    """The same weights under other settings; those of the loss by `loss`."""
    stored = model.info["settings"]
    loss = stored["loss"] | settings.pop("loss", {})
    return dataclasses.replace(model, info=model.info | {"settings": stored | settings | {"loss": loss}})


@pytest.fixture
def failed(freeze_run: Path) -> Checkpoint:
    return load_checkpoint(freeze_run / "member-0.pt")


@pytest.fixture
def base(base_run: Path) -> Checkpoint:
    return load_checkpoint(base_run / "member-0.pt")


def test_every_part_of_a_result_is_in_its_key(failed: Checkpoint, base: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = "####\n#S.#\n####\n"
    models = [
        failed, told(failed, observation_map="mirror"), told(failed, observation_map="permute", map_seed=1), told(failed, walls=drawn),
        told(failed, loss={"discount": 0.5}), told(failed, batch_size=16), dataclasses.replace(failed, inverse=False),
        dataclasses.replace(failed, parameters=failed.parameters | {"encoder.0.bias": failed.parameters["encoder.0.bias"] + 1}),
    ]  # fmt: skip
    found = [result_key("claims", failed=model, base=base, options=Grid()) for model in models]
    found += [
        result_key("claims", failed=failed, base=told(base, observation_map="mirror"), options=Grid()),
        result_key("claims", failed=failed, base=None, options=Grid()),
        result_key("claims", failed=failed, base=base, options=Grid(seeds=3)),
        result_key("claims", 2, failed=failed, base=base, options=Grid()),
        result_key("escape", failed=failed, base=base, options=Grid()),
    ]
    monkeypatch.setattr(keys, "FORMAT", keys.FORMAT + 1)
    found.append(result_key("claims", failed=failed, base=base, options=Grid()))
    assert len(set(found)) == len(found) == 14


def test_what_changes_no_result_is_in_no_key(failed: Checkpoint) -> None:
    same = told(failed, workers=7, checkpoint_interval=1, snapshots=True, device="cuda", updates=9)
    without = dataclasses.replace(failed, info=failed.info | {"base": "moved/to/elsewhere.pt", "crar": "0"})
    assert result_key("x", model=same) == result_key("x", model=failed) == result_key("x", model=without)
    stored = {name: value for name, value in failed.info["settings"].items() if name != "observation_map"}  # a setting newer than the file
    assert result_key("x", model=dataclasses.replace(failed, info=failed.info | {"settings": stored})) == result_key("x", model=failed)


def test_cures_and_escapes_go_on_with_their_own_alone(failed: Checkpoint, base: Checkpoint, base_run: Path, tmp_path: Path) -> None:
    paths = []
    for name, model in (("neg", failed), ("mir", told(failed, observation_map="mirror"))):
        save_checkpoint(tmp_path / f"{name}.pt", model)
        paths.append(tmp_path / f"{name}.pt")
    options, grid, own = CureOptions(), Grid(), tmp_path / "own"
    own.mkdir()
    record = as_read(dataclasses.replace(a_minimum(), grid=grid))
    origin = load_checkpoint(base_run / "member-0.pt")
    models = [load_checkpoint(path) for path in paths]

    def kept(key: str, shape: Any) -> bool:
        return look(own / "results.json", key, shape, page=True) is not None

    (own / "results.json").write_text(json.dumps(record | {"key": escape_key(failed, base, grid)}))
    assert not kept(escape_key(models[0], origin, grid), Escape)  # the page is written last, and is not there
    (own / "report.md").touch()
    assert [kept(escape_key(model, origin, grid), Escape) for model in models] == [True, False]
    assert not kept(escape_key(models[0], origin, Grid(seeds=2)), Escape)
    cured = {
        "method": "noise", "failed": {"path": "", "digest": failed.digest}, "settings": {"seed": 0}, "cured": False, "by": None, "restored": None,
        "budget": {"updates": 1, "level_updates": 1, "seconds": 1.0}, "before": {}, "after": {}, "chosen": {"terms": {"total": 1.0}}, "level": None, "to": None,
    }  # fmt: skip
    (own / "results.json").write_text(json.dumps(cured | {"key": cure_key(failed, base, base, "noise", options)}))
    assert [kept(cure_key(model, origin, origin, "noise", options), dict) for model in models] == [True, False]
    for other in (
        dataclasses.replace(options, anyway=True), dataclasses.replace(options, how=PlaySettings(seed=1)),
        dataclasses.replace(options, settings=CureSettings(effort=2.0)),
    ):  # fmt: skip
        assert not kept(cure_key(models[0], origin, origin, "noise", other), dict)
    assert not kept(cure_key(models[0], origin, origin, "restart", options), dict)


def test_what_dynamics_allow_is_of_moves_and_a_loss(failed: Checkpoint, base: Checkpoint) -> None:
    settings = CureSettings()
    found = [
        ground_key(pose(model, base, 0), settings)
        for model in (failed, told(failed, observation_map="mirror"), told(failed, loss={"ball_weight": 0.5}))
    ]
    assert found[1] == found[0]  # no observation is asked for
    assert len({*found, ground_key(pose(failed, base, 0), CureSettings(resolution=31))}) == 3
    assert ground_key(pose(failed, base, 1), CureSettings(seed=1)) == found[0]


def claims(models: Sequence[Path], folder: Path, **given: Any) -> list[dict[str, Any]]:
    many.write_claims(models, folder, **given)
    found: list[dict[str, Any]] = json.loads((folder / "results.json").read_text())["pairs"]
    return found


def test_claims_of_networks_that_share_weights_are_their_own(
    failed: Checkpoint, base_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = json.loads((PUBLISHED / "claims" / "results.json").read_text())["pairs"][0]
    asked: list[str] = []

    def measured(subject: Any, *_: object, **__: object) -> Any:
        name = subject.task.observation_map.name
        asked.append(name)
        distance = {"negative": 1.0, "mirror": 2.0}[name]
        plain = {key: value for key, value in figures.items() if key not in ("transfer", "base", "claims")}
        return SimpleNamespace(plain=lambda: plain | {"match": plain["match"] | {"residual_edges": distance}})

    monkeypatch.setattr(many, "dissect", measured)
    paths = [tmp_path / name / "member-0.pt" for name in ("neg", "mir", "copy")]
    for path, model in zip(paths, (failed, told(failed, observation_map="mirror"), failed), strict=True):
        save_checkpoint(path, model)
    assert [pair["match"]["residual_edges"] for pair in claims(paths[:1], tmp_path / "out")] == [1.0]
    assert [pair["match"]["residual_edges"] for pair in claims(paths[1:2], tmp_path / "out", resume=True)] == [2.0]
    both = claims(paths, tmp_path / "out", limit=3, resume=True)
    assert [(pair["transfer"], pair["match"]["residual_edges"]) for pair in both] == [(str(paths[0]), 1.0), (str(paths[1]), 2.0)]
    assert len({pair["origin"] for pair in both}) == 1
    assert asked == ["negative", "mirror"]


def test_what_is_left_of_another_run_is_not_gone_on_from(base_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[str] = []

    def solved(problem: Any, *_: object, **__: object) -> Any:
        searched.append(problem.task.observation_map.name)
        encoder = {name: value for name, value in problem.failed.items() if name.startswith("encoder.")}
        best = SimpleNamespace(encoder=encoder, label="as it is", terms={"total": 0.0})
        return SimpleNamespace(cured=True, best=best, tried=(), updates=7, level=None, level_seconds=0.0)

    monkeypatch.setattr("crar_model.training.search.cure", solved)

    def plan(seen: str, updates: int = 0) -> Plan:
        settings = TrainSettings(updates=updates, workers=1, observation_map=seen)
        return transfer_plan(settings, [base_run / "member-0.pt"], "symmetry", 1)

    folder = tmp_path / "run"
    run_plan(plan("negative"), folder, tensorboard=False)
    run_plan(plan("negative", updates=2), folder, resume=True, tensorboard=False)
    assert searched == ["negative"]
    for path in folder.iterdir():
        if path.name != "state":
            path.unlink()
    with pytest.raises(UserError, match=r"shard-0\.pt: the state of another run; give another --out, or remove .*state"):
        run_plan(plan("mirror"), folder, tensorboard=False)
    assert not (folder / "run.json").exists()
    (folder / "state" / "shard-0.pt").unlink()
    run_plan(plan("mirror"), folder, tensorboard=False)  # where the other run started is left, and searched for anew
    assert searched == ["negative", "mirror"]


def test_two_layouts_are_not_one_table_of_maps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    row = of_freeze("negative", "b.pt")
    layouts = ("", "####/#S.#/####")
    rows = [dataclasses.replace(row, place=("simple", layout, ""), path=f"{layout}.pt", digest=layout) for layout in layouts]
    monkeypatch.setattr(maps, "_transfers", lambda paths, how, state: rows)
    with pytest.raises(UserError, match=r"of the simple maze \(####/#S\.#/####\), but \.pt is of the simple maze; count them apart"):
        maps.write_maps([], tmp_path / "out")


def test_a_base_under_two_names_is_not_two_bases(base_run: Path, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "again.pt", load_checkpoint(base_run / "member-0.pt"))
    with pytest.raises(UserError, match=r"the same network as .*which would be counted as two bases"):
        predict([base_run / "member-0.pt", tmp_path / "again.pt"])
