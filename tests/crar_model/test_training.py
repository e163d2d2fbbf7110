from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from crar_model.core.errors import UserError
from crar_model.core.settings import TrainSettings, from_plain, to_plain
from crar_model.mazes.simple import simple_maze
from crar_model.mazes.walks import gather_states
from crar_model.models.checkpoints import load_checkpoint
from crar_model.tasks import SimpleMazeTask
from crar_model.training import record
from crar_model.training.log import ABOUT, logged, read_losses
from crar_model.training.members import Member, Plan, base_plan
from crar_model.training.runner import plan_of, run_plan
from crar_model.training.trainer import Trainer
from crar_model.training.variants import VARIANTS, variant_named
from tests.movement import KERNELS, apart, in_full_float32

QUICK = TrainSettings(updates=60, log_interval=20, checkpoint_interval=20, workers=1)
LOGGED = logged(SimpleMazeTask())
RULES = ("joint", "sequential")


def same(a: Path, b: Path) -> bool:
    one, other = load_checkpoint(a).parameters, load_checkpoint(b).parameters
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("place", [0, 3, 5])
def test_a_member_alone_equals_the_same_member_among_six(rule: str, place: int) -> None:
    settings = dataclasses.replace(QUICK, update_rule=rule, updates=40)
    six, alone = Trainer(base_plan(settings, 6)), Trainer(base_plan(dataclasses.replace(settings, seed=place), 1))
    six.advance(40)
    alone.advance(40)
    for name, value in alone.params.items():
        assert torch.equal(six.params[name][place], value[0]), name


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("variant", ["base", "freeze", "paired"])
def test_one_update_runs_on_the_meta_device(rule: str, variant: str, base_run: Path) -> None:
    """The meta device fails on mixed devices and on anything that asks for a value."""
    members = tuple(Member(k, 1e-4, str(base_run / "member-0.pt")) for k in range(3))
    few = {"data_size": 31} if variant == "paired" else {}  # there are no more pairs than states
    settings = dataclasses.replace(QUICK, update_rule=rule, **few)
    trainer = Trainer(Plan(settings, members, variant_named(variant)), device="meta")
    trainer.one_update()
    assert trainer.update == 1
    assert trainer.params["encoder.0.weight"].device.type == "meta"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("rule", RULES)
def test_updates_on_a_gpu_follow_the_cpu(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    in_full_float32(monkeypatch)
    settings = dataclasses.replace(QUICK, update_rule=rule)
    start = Trainer(base_plan(settings, 3)).params
    ends = [Trainer(base_plan(settings, 3), device=device) for device in ("cpu", "cuda")]
    for trainer in ends:
        trainer.advance(5)
    assert apart(start, ends[0].params, ends[1].params) < KERNELS


@pytest.mark.parametrize("rule", RULES)
def test_what_tells_kernels_from_other_updates(rule: str) -> None:
    """The measure that holds a GPU against the CPU lets rounding through and little else."""
    settings = dataclasses.replace(QUICK, update_rule=rule)
    start = Trainer(base_plan(settings, 3)).params

    def after(updates: int, rate: float = 1.0, rounding: float = 0.0) -> dict[str, torch.Tensor]:
        trainer = Trainer(base_plan(dataclasses.replace(settings, learning_rate=rate * settings.learning_rate), 3))
        shift = {name: rounding * torch.sin(1e4 * value.detach()) * value.detach() for name, value in trainer.params.items()}
        with torch.no_grad():
            for name, value in trainer.params.items():
                value += shift[name]
        trainer.advance(updates)
        return {name: value.detach() - shift[name] for name, value in trainer.params.items()}

    whole = after(5)
    assert apart(start, whole, after(5, rounding=1e-6)) < KERNELS / 5
    assert apart(start, whole, after(5, rate=1.01)) > 2 * KERNELS
    assert apart(start, whole, after(4)) > 10 * KERNELS


def test_training_lowers_every_term_that_it_follows() -> None:
    trainer = Trainer(base_plan(dataclasses.replace(QUICK, updates=400, log_interval=400), 2))
    trainer.advance(400)
    first, last = trainer.log_values[0], trainer.log_values[-1]
    for name in ("reward", "discount", "random_pairs", "consecutive", "total"):
        assert (last[:, LOGGED.index(name)] < 0.8 * first[:, LOGGED.index(name)]).all(), name


def test_log_is_one_labelled_table(base_run: Path) -> None:
    with (base_run / "losses.csv").open() as stream:
        rows = list(csv.reader(stream))
    assert tuple(rows[0]) == (*ABOUT, *LOGGED)
    columns = read_losses(base_run)
    assert sorted(set(columns["update"])) == [0, 20, 40, 60]
    assert sorted(set(columns["member"])) == [0, 1]
    assert np.isfinite(columns["total"]).all()


def test_learning_rate_schedule_and_target_refresh() -> None:
    settings = dataclasses.replace(QUICK, decay_interval=10, learning_rate_decay=0.0, target_interval=5)
    trainer = Trainer(base_plan(settings, 1))
    before = trainer.target["value.0.weight"].clone()
    trainer.advance(10)
    assert not torch.equal(trainer.target["value.0.weight"], before)
    frozen = trainer.member_parameters(0)
    trainer.advance(10)  # the rate is 0 from update 10 on
    assert all(torch.equal(value, trainer.params[name][0]) for name, value in frozen.items())


def test_delay_of_the_structure_terms(base_run: Path) -> None:
    """Until the delay is over the run equals one without the three terms; afterwards it does not."""
    member = (Member(0, 1e-3, str(base_run / "member-0.pt")),)
    free = dataclasses.replace(QUICK.loss, ball_weight=0.0, random_pairs_weight=0.0, beta=0.0)
    delayed = Trainer(Plan(dataclasses.replace(QUICK, structure_delay=10), member, VARIANTS["delay-structure"]))
    without = Trainer(Plan(dataclasses.replace(QUICK, loss=free), member, VARIANTS["freeze"]))
    for trainer in (delayed, without):
        trainer.advance(10)
    assert torch.equal(delayed.params["encoder.0.weight"], without.params["encoder.0.weight"])
    for trainer in (delayed, without):
        trainer.advance(1)
    assert not torch.equal(delayed.params["encoder.0.weight"], without.params["encoder.0.weight"])


def test_workers_that_nobody_asked_for_are_as_many_as_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process takes seconds to start: short runs stay in this one, long ones use every core."""
    monkeypatch.setattr(record, "cores", lambda: 2)
    settings = dataclasses.replace(QUICK, workers=0, update_rule="joint")
    alone = int(record.PAYS * SimpleMazeTask.pace["joint"])
    for updates, members, shards in ((alone, 3, [2, 1]), (alone // 3, 3, [3]), (4 * alone, 1, [1]), (0, 3, [3])):
        assert record.describe(base_plan(dataclasses.replace(settings, updates=updates), members)).shards == shards
    assert record.describe(base_plan(dataclasses.replace(settings, workers=2), 3)).shards == [2, 1]


def test_two_workers_equal_one(tmp_path: Path, base_run: Path) -> None:
    plan = plan_of(base_run)
    run_plan(dataclasses.replace(plan, settings=dataclasses.replace(plan.settings, workers=2)), tmp_path / "two", tensorboard=False)
    assert same(tmp_path / "two" / "member-1.pt", base_run / "member-1.pt")


def test_settings_round_trip_and_name_what_is_wrong() -> None:
    assert from_plain(to_plain(QUICK), where="x") == QUICK
    with pytest.raises(UserError, match="unknown setting 'learnrate'"):
        from_plain({"learnrate": 1.0}, where="x.toml")
    with pytest.raises(UserError, match="must be a whole number"):
        from_plain({"updates": "many"}, where="x.toml")
    for bad in ({"updates": -1}, {"learning_rate": float("nan")}, {"update_rule": "both"}, {"batch_size": 0}):
        with pytest.raises(UserError, match="--"):
            from_plain(bad, where="x").validate()


def test_quirk_terminal_last() -> None:
    trainer = Trainer(base_plan(dataclasses.replace(QUICK, terminal_last=True, data_size=40), 1))
    assert trainer.data.observations.shape[0] == 32
    assert not bool(trainer.data.observations[31].any())
    assert float(trainer.data.data["terminated"][0, -1]) == 1.0
    assert int(trainer.data.data["next_state"][0, -1]) == 31
    trainer.advance(20)
    assert bool(trainer.alive.all())


@pytest.mark.parametrize("terminal_last", [False, True])
def test_the_quirk_never_draws_the_newest_transition(terminal_last: bool) -> None:
    """As deer's replay memory: `randint(lower, n - 1)`. The last of the flagged tuples stays in the data and out of every batch."""
    settings = dataclasses.replace(QUICK, terminal_last=terminal_last, data_size=9)
    data = Trainer(base_plan(settings, 1)).data
    drawn = data.draws.block(0)
    assert int(drawn.max()) == (7 if terminal_last else 8)
    assert int(drawn.min()) == 0
    with pytest.raises(UserError, match="--data-size 1: at least 2 with --terminal-last"):
        dataclasses.replace(settings, terminal_last=True, data_size=1).validate()


def test_quirk_terminal_last_is_ten_epochs_of_five_hundred_steps() -> None:
    """As the released launcher gathers in the simple maze: `agent.run(10, 500)`."""
    maze = simple_maze()
    quirk, plain = (gather_states(maze, 3, 5_000, terminal_last=on) for on in (True, False))
    ends = np.flatnonzero(quirk["terminated"])
    assert ends.tolist() == list(range(499, 5_000, 500))
    assert (quirk["next_state"][ends] == maze.n_states).all()
    assert (quirk["state"][[0, *(ends[:-1] + 1)]] == maze.start).all()
    others = np.setdiff1d(np.arange(4_999), ends)
    assert (quirk["next_state"][others] == quirk["state"][others + 1]).all()
    assert (maze.successor.numpy()[quirk["state"][others], quirk["action"][others]] == quirk["next_state"][others]).all()
    assert (quirk["action"] == plain["action"]).all()
    assert (quirk["state"][:500] == plain["state"][:500]).all()
    assert not plain["terminated"].any()
    assert np.flatnonzero(gather_states(maze, 3, 700, terminal_last=True)["terminated"]).tolist() == [499, 699]
