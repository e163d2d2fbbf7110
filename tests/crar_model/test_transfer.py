from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from crar_model import samples
from crar_model.core.errors import UserError
from crar_model.core.params import block_of
from crar_model.core.settings import TrainSettings
from crar_model.core.tensor_files import save_plain
from crar_model.mazes.simple import simple_maze
from crar_model.mazes.walks import gather_pairs
from crar_model.models.checkpoints import FORMAT, load_checkpoint, save_checkpoint
from crar_model.models.evaluation import embed, evaluate
from crar_model.tasks import default_settings
from crar_model.training.log import logged
from crar_model.training.members import start_parameters, transfer_plan
from crar_model.training.runner import run_plan
from crar_model.training.trainer import Trainer
from crar_model.training.variants import STRUCTURE_DELAY, VARIANTS
from crar_reports.models.judged import judge

MAZE = simple_maze()
QUICK = TrainSettings(updates=12, log_interval=6, learning_rate=1e-3, update_rule="sequential", workers=1, search_effort=0.01)


def changed_blocks(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {block_of(name) for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_variants_change_what_they_say(variant: str, base_run: Path, tmp_path: Path) -> None:
    base = load_checkpoint(base_run / "member-0.pt")
    plan = transfer_plan(QUICK, [base_run / "member-0.pt"], variant, 1)
    result = run_plan(plan, tmp_path / variant, tensorboard=False)
    model = load_checkpoint(result.members[0])
    assert model.inverse
    assert model.info["variant"] == variant
    changed = changed_blocks(base.parameters, model.parameters)
    if variant in ("unfreeze", "scratch"):
        assert changed == {"encoder", "transition", "reward", "discount", "value"}
    else:
        assert changed == {"encoder"}
    assert model.updates == (0 if variant == "negate-input" else 12)


def test_variant_settings(base_run: Path) -> None:
    base = [base_run / "member-0.pt"]
    assert transfer_plan(QUICK, base, "omit-ball", 1).settings.loss.ball_weight == 0
    assert transfer_plan(QUICK, base, "delay-structure", 1).settings.structure_delay == STRUCTURE_DELAY
    own = dataclasses.replace(QUICK, structure_delay=5)
    assert transfer_plan(own, base, "delay-structure", 1).settings.structure_delay == 5
    assert transfer_plan(QUICK, base, "freeze", 1).settings.structure_delay == 0
    assert transfer_plan(QUICK, base, "paired", 1, paired=7).settings.data_size == 7
    every = transfer_plan(QUICK, base, "paired", 1, paired=500)
    assert every.settings.data_size == every.paired == MAZE.n_states  # there are no more pairs


def test_several_bases_rates_and_seeds_are_one_program(base_run: Path) -> None:
    bases = [base_run / "member-0.pt", base_run / "member-1.pt"]
    plan = transfer_plan(QUICK, bases, "freeze", 3, learning_rates=[1e-4, 1e-3])
    assert len(plan.members) == 12
    assert [m.seed for m in plan.members[:4]] == [0, 1, 2, 0]
    together = Trainer(plan)
    together.advance(5)
    single = transfer_plan(dataclasses.replace(QUICK, seed=2), bases[1:], "freeze", 1, learning_rates=[1e-3])
    alone = Trainer(single)
    alone.advance(5)
    for name, value in alone.params.items():
        assert torch.equal(together.params[name][11], value[0]), name


def test_reset_encoder_draws_anew_or_permutes(base_run: Path) -> None:
    base = load_checkpoint(base_run / "member-0.pt").parameters
    for how in ("glorot", "permute"):
        plan = transfer_plan(QUICK, [base_run / "member-0.pt"], "reset-encoder", 2, reset=how)
        first, second = (start_parameters(plan, member)[0] for member in plan.members)
        name = "encoder.1.weight"
        assert not torch.equal(first[name], second[name])
        assert changed_blocks(base, first) == {"encoder"}
        same_entries = torch.equal(first[name].flatten().sort().values, base[name].flatten().sort().values)
        assert same_entries == (how == "permute")


def test_negate_input_has_the_losses_of_the_base(base_run: Path, tmp_path: Path) -> None:
    plan = transfer_plan(QUICK, [base_run / "member-1.pt"], "negate-input", 1)
    run_plan(plan, tmp_path / "run", tensorboard=False)
    base, copy = judge([base_run / "member-1.pt", tmp_path / "run"], base_run / "member-1.pt")
    for name, value in base.evaluation.terms.items():
        assert abs(value - copy.evaluation.terms[name]) <= 1e-6, name
    assert copy.evaluation.match is not None
    assert (copy.evaluation.match.verdict, copy.evaluation.match.residual_edges) == ("matched", pytest.approx(0, abs=1e-9))


def test_paired_fits_the_base_embedding(base_run: Path) -> None:
    settings = dataclasses.replace(QUICK, updates=300, learning_rate=5e-4)
    plan = transfer_plan(settings, [base_run / "member-0.pt"], "paired", 1, paired=500)
    trainer = Trainer(plan)
    base = load_checkpoint(base_run / "member-0.pt")
    wanted = embed(base.task, base.parameters, inverse=False)

    def distance() -> float:
        return float((embed(base.task, trainer.member_parameters(0), inverse=True) - wanted).norm())

    before = distance()
    trainer.advance(300)
    assert distance() < 0.3 * before


@pytest.mark.parametrize("count", [1, 4, 16, 31])
def test_pairs_are_of_different_states(count: int, base_run: Path) -> None:
    """N pairs are N states, other ones for another seed, a few of them the first of many; batches draw from these alone."""
    data = Trainer(transfer_plan(QUICK, [base_run / "member-0.pt"], "paired", 2, paired=count)).data.listed
    assert data is not None
    one, two = (data.data["state"][k].tolist() for k in range(2))
    assert len(set(one)) == len(one) == count
    assert set(data.batch(0).state[0].tolist()) <= set(one)
    if count < MAZE.n_states:
        assert one != two
    assert one == gather_pairs(MAZE, QUICK.seed, 31)["state"][:count].tolist()


def test_a_run_of_more_pairs_than_states_is_of_an_earlier_version(base_run: Path) -> None:
    plan = transfer_plan(QUICK, [base_run / "member-0.pt"], "paired", 1, paired=31)
    with pytest.raises(UserError, match="500 pairs of 31 states: a run of an earlier version"):
        Trainer(dataclasses.replace(plan, settings=dataclasses.replace(plan.settings, data_size=500)))


def test_freeze_starts_in_the_base_encoder(base_run: Path) -> None:
    trainer = Trainer(transfer_plan(QUICK, [base_run / "member-0.pt"], "freeze", 2))
    trainer.record()
    base = judge([base_run / "member-0.pt"])[0]
    assert base.checkpoint.inverse is False
    assert (
        trainer.log_values[0][0, logged(base.checkpoint.task).index("discount")]
        == trainer.log_values[0][1, logged(base.checkpoint.task).index("discount")]
    )
    assert trainer.settings.inverse is True


def test_bad_transfers(base_run: Path, freeze_run: Path) -> None:
    base = base_run / "member-0.pt"
    with pytest.raises(UserError, match="--variant is 'freezer'; choose one of freeze"):
        transfer_plan(QUICK, [base], "freezer", 1)
    with pytest.raises(UserError, match="--members is 0"):
        transfer_plan(QUICK, [base], "freeze", 0)
    with pytest.raises(UserError, match="--rate is nan"):
        transfer_plan(QUICK, [base], "freeze", 1, learning_rates=[float("nan")])
    with pytest.raises(UserError, match="names no checkpoint"):
        transfer_plan(QUICK, [], "freeze", 1)
    with pytest.raises(UserError, match="run them apart"):
        transfer_plan(QUICK, [base, freeze_run / "member-0.pt"], "freeze", 1)
    with pytest.raises(UserError, match="--paired is 0"):
        transfer_plan(QUICK, [base], "paired", 1, paired=0)
    with pytest.raises(UserError, match="--reset is"):
        transfer_plan(QUICK, [base], "reset-encoder", 1, reset="zero")


def test_a_base_of_another_maze(base_run: Path, tmp_path: Path) -> None:
    content = torch.load(base_run / "member-0.pt", weights_only=True)
    content["maze"] = "labyrinth"
    save_plain(tmp_path / "other.pt", FORMAT, content)
    with pytest.raises(UserError, match=r"other\.pt: unknown maze 'labyrinth'"):
        transfer_plan(QUICK, [tmp_path / "other.pt"], "freeze", 1)


def test_transfer_of_a_transfer_returns_to_the_normal_maze(freeze_run: Path, tmp_path: Path) -> None:
    plan = transfer_plan(QUICK, [freeze_run / "member-0.pt"], "negate-input", 1)
    assert plan.settings.inverse is False
    save_checkpoint(tmp_path / "copy.pt", load_checkpoint(freeze_run / "member-0.pt"))
    assert load_checkpoint(tmp_path / "copy.pt").inverse


def test_a_search_gives_the_start_and_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = dataclasses.replace(QUICK, updates=0, search_effort=0.25)
    plan = transfer_plan(settings, [samples.BASE], "placement", 1)

    def stop_late(done: int, everything: int) -> None:
        if done > 1000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_plan(plan, tmp_path / "run", tensorboard=False, progress=stop_late)
    assert not (tmp_path / "run" / "member-0.pt").exists()
    result = run_plan(plan, tmp_path / "run", resume=True, tensorboard=False)
    whole = run_plan(plan, tmp_path / "whole", tensorboard=False)
    base = load_checkpoint(samples.BASE)
    for path, other in zip(result.members, whole.members, strict=True):
        model = load_checkpoint(path)
        assert model.digest == load_checkpoint(other).digest
        assert model.info["search"]["cured"]
        assert changed_blocks(base.parameters, model.parameters) == {"encoder"}
        found = evaluate(model.task, model.parameters, inverse=True, settings=model.settings.loss, base=(base.parameters, False))
        assert found.match is not None
        assert found.match.verdict == "matched"
    (tmp_path / "run" / "state" / "start-0.pt").unlink()  # what is searched already is not searched again
    monkeypatch.setattr("crar_model.training.search.cure", None)
    with pytest.raises(TypeError):
        run_plan(plan, tmp_path / "run", resume=True, tensorboard=False)


def test_a_search_that_the_maze_does_not_allow_is_refused_first(random_base: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--variant placement: .* moves that are always the same, and the random maze has none"):
        transfer_plan(default_settings("random"), [random_base / "member-0.pt"], "placement", 1)
