"""A variant with a search ends no worse than its search did: the best network by the losses is kept, and it says so."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from crar_model import samples
from crar_model.core.params import select
from crar_model.core.settings import PlaySettings, TrainSettings
from crar_model.core.tensor_files import load_plain, save_plain
from crar_model.face.training import transfer_start
from crar_model.models.checkpoints import Checkpoint, load_checkpoint
from crar_model.models.evaluation import Evaluation, evaluate
from crar_model.studies.cells import LAST, Cell
from crar_model.studies.store import Store
from crar_model.studies.worker import _file_away, judged
from crar_model.tasks import default_settings, task_named
from crar_model.training.leaders import Leaders, kept_words
from crar_model.training.log import read_losses
from crar_model.training.members import Plan, transfer_plan
from crar_model.training.runner import run_plan
from crar_model.training.shard import STATE
from crar_model.training.variants import VARIANTS
from crar_reports.models.runs import Run
from crar_reports.pages.maps import updates_of
from crar_reports.pages.report_tables import kept_words as page_words
from crar_reports.pages.report_tables import start_words
from crar_reports.pages.study.table import success

SEARCHING = [name for name, variant in VARIANTS.items() if variant.search]
SHORT = TrainSettings(updates=9, log_interval=3, checkpoint_interval=3, workers=1, update_rule="sequential", learning_rate=0.01)


def solved(problem: Any, *_: object, **__: object) -> Any:
    """In the place of a search: the closed form, which is as good as the base."""
    encoder = select(problem.task.carried(problem.base, inverse=True), ("encoder",))
    best = SimpleNamespace(encoder=encoder, label="closed form", terms={"total": 0.0})
    return SimpleNamespace(cured=True, best=best, tried=(), updates=7, level=None, level_seconds=0.0)


@pytest.fixture(autouse=True)
def quick_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crar_model.training.search.cure", solved)


def judged_model(path: Path) -> tuple[Checkpoint, Evaluation]:
    model = load_checkpoint(path)
    return model, evaluate(model.task, model.parameters, inverse=True, settings=model.settings.loss)


@pytest.mark.parametrize("name", SEARCHING)
def test_a_search_is_followed_by_the_rule_that_descends_what_it_descended(name: str) -> None:
    for maze in ("simple", "random"):
        variant = VARIANTS[name]
        assert transfer_start(task_named(maze), variant)["update_rule"] == "joint"
    assert transfer_start(task_named("simple"), VARIANTS["freeze"])["update_rule"] == "sequential"


def test_updates_that_ruin_a_search_leave_its_network(tmp_path: Path) -> None:
    plan = transfer_plan(SHORT, [samples.BASE], "placement", 2)
    result = run_plan(plan, tmp_path / "run", tensorboard=False)
    losses = read_losses(tmp_path / "run")
    for k, path in enumerate(result.members):
        model, found = judged_model(path)
        last, worse = judged_model(path.with_name(f"last-{k}.pt"))
        start = load_checkpoint(tmp_path / "run" / "state" / f"start-{k}.pt")
        assert worse.terms["total"] > found.terms["total"]  # what was the end of a member before
        assert worse.share("navigation_success") < found.share("navigation_success")
        assert (model.digest, model.updates, last.updates) == (start.digest, 9, 9)
        assert result.kept[k] == model.info["kept"] == {"update": 0, "of": 9, "by": model.info["kept"]["by"]}
        assert found.terms["total"] == pytest.approx(losses["total"][(losses["member"] == k)].min(), rel=1e-4)
        assert updates_of(model) == 9 + 7
    said = kept_words(result.kept)
    assert "total loss on all 124 transitions" in said
    assert "member 1 of update 0 of 9" in said
    run = Run(tmp_path / "run")
    assert run.updates == 9
    assert "member 0 of update 0 of 9" in page_words([run])
    assert start_words([run], task_named("simple")) == "of `placement` what its search ended with"


def test_updates_that_help_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half_way(problem: Any, *_: object, **__: object) -> Any:
        found = solved(problem)
        found.best.encoder = {name: value * 0.9 for name, value in found.best.encoder.items()}
        return found

    monkeypatch.setattr("crar_model.training.search.cure", half_way)
    settings = dataclasses.replace(SHORT, update_rule="joint", learning_rate=1e-4, updates=40, log_interval=20)
    result = run_plan(transfer_plan(settings, [samples.BASE], "placement", 1), tmp_path / "run", tensorboard=False)
    model = load_checkpoint(result.members[0])
    assert model.info["kept"]["update"] == 40
    assert model.digest == load_checkpoint(tmp_path / "run" / "last-0.pt").digest


def test_a_stopped_run_goes_on_with_what_it_kept(tmp_path: Path) -> None:
    settings = dataclasses.replace(SHORT, update_rule="joint", learning_rate=3e-4, updates=8)
    plan = transfer_plan(settings, [samples.BASE], "symmetry", 2)
    run_plan(with_updates(plan, 4), tmp_path / "run", tensorboard=False)  # its last row is no multiple of the log's
    run_plan(plan, tmp_path / "run", resume=True, tensorboard=False)
    run_plan(plan, tmp_path / "whole", tensorboard=False)
    for name in ("member-0.pt", "member-1.pt", "last-0.pt", "last-1.pt", "state/shard-0.pt"):
        one, other = (load_plain(tmp_path / folder / name) for folder in ("run", "whole"))
        assert one["digest"] == other["digest"]
    assert (tmp_path / "run" / "losses.csv").read_text() == (tmp_path / "whole" / "losses.csv").read_text()


def with_updates(plan: Plan, updates: int) -> Plan:
    return dataclasses.replace(plan, settings=dataclasses.replace(plan.settings, updates=updates))


def test_a_run_of_before_keeps_its_start_from_now_on(tmp_path: Path) -> None:
    plan = transfer_plan(SHORT, [samples.BASE], "placement", 1)
    run_plan(with_updates(plan, 6), tmp_path / "run", tensorboard=False)
    path = tmp_path / "run" / "state" / "shard-0.pt"
    state = load_plain(path)
    save_plain(path, STATE, {name: value for name, value in state.items() if name not in ("kept", "key", "digest")})
    (result,) = run_plan(plan, tmp_path / "run", resume=True, tensorboard=False).members
    assert load_checkpoint(result).digest == load_checkpoint(tmp_path / "run" / "state" / "start-0.pt").digest


def test_where_transitions_are_sampled_predictions_decide(random_settings: TrainSettings, random_base: Path, tmp_path: Path) -> None:
    plan = transfer_plan(dataclasses.replace(random_settings, learning_rate=0.02), [random_base / "member-0.pt"], "first-layer", 1)
    (path,) = run_plan(plan, tmp_path / "run", tensorboard=False).members
    model, losses = load_checkpoint(path), read_losses(tmp_path / "run")
    heights = losses["transition"] + losses["reward"]
    assert model.info["kept"]["update"] == losses["update"][heights.argmin()]
    assert model.info["kept"]["by"] == "the terms transition and reward on 512 held-out transitions"
    assert (tmp_path / "run" / "best-0.pt").exists()


def test_what_leads_is_better_in_the_first_figure_and_worse_in_none() -> None:
    leaders = Leaders({"w": torch.zeros(4, 1)}, 4)
    steps = [[(-2.0, 0.5)] * 4, [(-1.0, 0.5), (-1.0, 0.4), (math.nan, 0.9), (-2.0, 0.9)], [(-math.inf, 1.0)] * 4]
    for update, figures in enumerate(steps):
        leaders.offer({"w": torch.full((4, 1), float(update + 1))}, figures, update)
    assert leaders.updates == [1, 0, 0, 0]
    assert [float(leaders.of(k)["w"]) for k in range(4)] == [2.0, 1.0, 1.0, 1.0]
    never = Leaders({"w": torch.zeros(1, 1)}, 1)
    never.offer({"w": torch.ones(1, 1)}, [(math.nan,)], 3)
    assert (never.updates, float(never.of(0)["w"])) == ([0], 0.0)


def test_a_study_judges_what_was_kept(tmp_path: Path) -> None:
    usual = default_settings("simple")
    base = Cell("base", usual, 0, usual.learning_rate)
    cell = Cell("placement", dataclasses.replace(SHORT, inverse=True), 0, SHORT.learning_rate, base.name, LAST)
    freeze = dataclasses.replace(cell, variant="freeze")
    assert cell.name != dataclasses.replace(cell, settings=dataclasses.replace(cell.settings, updates=10)).name
    assert freeze.name == Cell("freeze", freeze.settings, 0, SHORT.learning_rate, base.name, LAST).name
    store, plan = Store(tmp_path / "study"), transfer_plan(SHORT, [samples.BASE], "placement", 1)
    run_plan(plan, tmp_path / "run", tensorboard=False)
    store.write_cell(cell)
    save_plain(store.model(base.name, LAST), "crar-checkpoint", load_plain(samples.BASE))
    _file_away(store, plan, [cell], tmp_path / "run", 1.0, 0)
    record = store.record(cell.name)
    assert record is not None
    assert (record.updates, record.kept_update) == (9, 0)
    figures = judged(store, cell, PlaySettings())[LAST]
    assert (figures["updates"], figures["match"]["verdict"]) == (9, "matched")
    good = {f"last_{name}": figures[name] for name in figures["metrics"]} | {"outcome": "matched"}
    assert success(cell, {**good, "diverged_at": 5, "kept_update": 0}, figures)  # it went on and diverged; what was kept did not
    assert not success(freeze, {**good, "diverged_at": 5, "kept_update": ""}, figures)
