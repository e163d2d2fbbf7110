"""What TensorBoard shows of a run, read from the event files themselves."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from crar_model.core.settings import LossSettings, TrainSettings
from crar_model.models.checkpoints import load_checkpoint
from crar_model.models.evaluation import evaluate
from crar_model.training.log import logged, read_losses
from crar_model.training.members import transfer_plan
from crar_model.training.runner import run_plan


def events_of(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    return found


def scalars(events: EventAccumulator, name: str) -> dict[int, float]:
    return {event.step: event.value for event in events.Scalars(name)}


def hyper_parameters(events: EventAccumulator) -> dict[str, object]:
    data = HParamsPluginData.FromString(events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content)
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in data.session_start_info.hparams.items()}


def test_a_transfer_s_events(base_run: Path, tmp_path: Path) -> None:
    settings = TrainSettings(updates=20, log_interval=10, checkpoint_interval=10, decay_interval=11, workers=1, loss=LossSettings(beta=0.3))
    plan = transfer_plan(settings, [base_run / "member-1.pt"], "freeze", 1, learning_rates=(1e-3, 2e-3))
    run_plan(plan, tmp_path / "run")
    names = {path.name for path in (tmp_path / "run" / "tensorboard").iterdir()}
    assert names == {f"member-{k}_freeze_from-run-member-1_rate-{rate}_seed-0" for k, rate in enumerate(("0.001", "0.002"))}
    events = events_of(tmp_path / "run" / "tensorboard" / "member-1_freeze_from-run-member-1_rate-0.002_seed-0")
    assert scalars(events, "learning_rate") == pytest.approx({0: 2e-3, 10: 2e-3, 20: 2e-3 * 0.9})  # 10 is the last update before it falls
    table = read_losses(tmp_path / "run")
    own = table["member"] == 1
    for name in logged(plan.task):
        assert scalars(events, f"loss/{name}") == pytest.approx(dict(zip(table["update"][own], table[name][own], strict=True)), rel=1e-5)
    last = load_checkpoint(tmp_path / "run" / "member-1.pt")
    judged = evaluate(last.task, last.parameters, inverse=last.inverse, settings=last.settings.loss).metrics
    for name in ("nearest_state_accuracy", "navigation_success"):
        found = scalars(events, name)
        assert list(found) == [10, 20]
        assert found[20] == pytest.approx(judged[name])
    said = hyper_parameters(events)
    assert (said["variant"], said["seed"], said["update_rule"]) == ("freeze", 0, plan.settings.update_rule)
    assert said["learning_rate"] == pytest.approx(2e-3)
    assert said["loss.beta"] == pytest.approx(0.3)
    assert said["base"] == str(base_run / "member-1.pt")
    longer = dataclasses.replace(plan, settings=dataclasses.replace(plan.settings, updates=40))
    run_plan(longer, tmp_path / "run", resume=True)
    events.Reload()
    assert list(scalars(events, "loss/total")) == [0, 10, 20, 30, 40]


def test_the_events_of_a_maze_with_a_score(random_settings: TrainSettings, random_base: Path, tmp_path: Path) -> None:
    run_plan(transfer_plan(random_settings, [random_base / "member-0.pt"], "negate-input", 1), tmp_path / "run")
    (folder,) = (tmp_path / "run" / "tensorboard").iterdir()
    events = events_of(folder)
    assert scalars(events, "score") == pytest.approx({0: read_losses(tmp_path / "run")["score"][0]}, rel=1e-5)
    assert "negate-input_from-run-member-0" in folder.name
