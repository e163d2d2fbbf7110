from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from crar_model.agent.planning import plan_values
from crar_model.core.errors import UserError
from crar_model.core.params import block_of
from crar_model.core.settings import PlaySettings, TrainSettings
from crar_model.core.tiles import NEGATIVE
from crar_model.mazes.random_mazes import RandomMazeBatch, draw_maps
from crar_model.mazes.walks import gather_walk, save_walk
from crar_model.models.checkpoints import load_checkpoint
from crar_model.models.evaluation import evaluate
from crar_model.tasks import default_settings, task_named
from crar_model.tasks.data import TileData
from crar_model.tasks.playing import MAPS_PER_RUN, episode_scores, interval, paper_scores, score
from crar_model.training.log import logged, read_losses
from crar_model.training.members import Member, Plan, base_plan, transfer_plan
from crar_model.training.runner import plan_of, run_plan
from crar_model.training.trainer import Trainer
from crar_model.training.variants import VARIANTS, variant_named
from tests.movement import KERNELS, apart, in_full_float32
from tests.plans import with_updates


def test_settings_of_the_random_mazes() -> None:
    settings = default_settings("random")
    assert (settings.updates, settings.data_size, settings.learning_rate, settings.learning_rate_decay) == (400_000, 200_000, 5e-4, 1.0)
    assert (settings.loss.beta, settings.loss.double_q, settings.log_interval, settings.planning_depth) == (1.0, True, 2_000, 3)
    assert default_settings("simple") == TrainSettings()


@pytest.mark.parametrize("rule", ["joint", "sequential"])
def test_a_member_alone_equals_the_same_member_among_two(rule: str, random_settings: TrainSettings) -> None:
    settings = dataclasses.replace(random_settings, update_rule=rule)
    two, alone = Trainer(base_plan(settings, 2)), Trainer(base_plan(dataclasses.replace(settings, seed=1), 1))
    two.advance(4)
    alone.advance(4)
    for name, value in alone.params.items():
        assert torch.equal(two.params[name][1], value[0]), name
    assert np.array_equal(two.log_values[-1][1], alone.log_values[-1][0])


@pytest.mark.parametrize("rule", ["joint", "sequential"])
@pytest.mark.parametrize("variant", ["base", "freeze", "paired"])
def test_one_update_runs_on_the_meta_device(rule: str, variant: str, random_base: Path, random_settings: TrainSettings) -> None:
    """The meta device fails on mixed devices and on anything that asks for a value; members are groups of channels there."""
    members = tuple(Member(k, 1e-4, str(random_base / "member-0.pt")) for k in range(3))
    trainer = Trainer(Plan(dataclasses.replace(random_settings, update_rule=rule), members, variant_named(variant)), device="meta")
    for _ in range(2):
        trainer.one_update()
    assert trainer.params["encoder.0.weight"].shape == (3, 8, 1, 2, 2)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_updates_on_a_gpu_follow_the_cpu(random_settings: TrainSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    in_full_float32(monkeypatch)
    start = Trainer(base_plan(random_settings, 2)).params
    ends = [Trainer(base_plan(random_settings, 2), device=device) for device in ("cpu", "cuda")]
    for trainer in ends:
        trainer.advance(3)
    assert apart(start, ends[0].params, ends[1].params) < KERNELS


def test_an_interrupted_run_ends_as_an_uninterrupted_one(random_base: Path, tmp_path: Path, random_settings: TrainSettings) -> None:
    plan = base_plan(dataclasses.replace(random_settings, updates=3), 2)
    run_plan(plan, tmp_path / "run", tensorboard=False)
    run_plan(with_updates(plan, 6), tmp_path / "run", resume=True, tensorboard=False)
    for name in ("member-0.pt", "member-1.pt", "best-0.pt", "best-1.pt"):
        one, other = load_checkpoint(random_base / name), load_checkpoint(tmp_path / "run" / name)
        assert one.digest == other.digest
        assert one.updates == other.updates
    assert (random_base / "losses.csv").read_text() == (tmp_path / "run" / "losses.csv").read_text()


def test_the_best_validation_is_kept_beside_the_last(random_base: Path) -> None:
    table = read_losses(random_base)
    assert tuple(table)[-1] == "score"
    assert logged(task_named("random")) == (*logged(task_named("simple")), "score")
    for k in range(2):
        own = table["member"] == k
        top = int(np.argmax(table["score"][own]))
        best = load_checkpoint(random_base / f"best-{k}.pt")
        assert best.updates == table["update"][own][top]
        assert best.info["score"] == pytest.approx(table["score"][own][top], rel=1e-6)
        assert load_checkpoint(random_base / f"member-{k}.pt").updates == 6


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "placement"])
def test_variants_change_what_they_say(
    variant: str, random_base: Path, tmp_path: Path, random_settings: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crar_model.cures.problem.JUDGED_SIZE", 32)
    before = load_checkpoint(random_base / "member-0.pt")
    plan = transfer_plan(random_settings, [random_base / "member-0.pt"], variant, 1, paired=20)
    model = load_checkpoint(run_plan(plan, tmp_path / "run", tensorboard=False).members[0])
    assert (model.maze, model.inverse, model.updates) == ("random", True, 0 if variant == "negate-input" else 6)
    changed = {block_of(name) for name in before.parameters if not torch.equal(before.parameters[name], model.parameters[name])}
    assert changed == ({"encoder", "transition", "reward", "discount", "value"} if variant in ("unfreeze", "scratch") else {"encoder"})


def test_negate_input_scores_like_its_base_and_has_its_embedding(random_base: Path, tmp_path: Path, random_settings: TrainSettings) -> None:
    plan = transfer_plan(random_settings, [random_base / "member-1.pt"], "negate-input", 1)
    model = load_checkpoint(run_plan(plan, tmp_path / "run", tensorboard=False).members[0])
    start = load_checkpoint(random_base / "member-1.pt")
    how = PlaySettings(episodes=3, depth=1)
    assert score(model.agent, model.parameters, inverse=True, how=how) == score(start.agent, start.parameters, inverse=False, how=how)
    base = (start.parameters, False)
    match = evaluate(model.task, model.parameters, inverse=True, settings=model.settings.loss, how=how, base=base).match
    assert match is not None
    assert (match.verdict, match.residual_edges, match.distance) == ("matched", 0.0, 0.0)
    assert match.mean_move > 0


def test_run_folder_of_the_random_mazes(random_base: Path, random_settings: TrainSettings) -> None:
    assert plan_of(random_base).settings == random_settings


def slow_paper_score(params: dict[str, torch.Tensor], seed: list[int], play: PlaySettings, copy: int, num_envs: int, steps: int) -> float:
    """The paper's protocol for one copy, step by step."""
    agent = task_named("random").agent()
    maps = draw_maps([*seed, 6], num_envs * MAPS_PER_RUN)
    game = RandomMazeBatch(1, maps=maps.take(torch.arange(copy * MAPS_PER_RUN, (copy + 1) * MAPS_PER_RUN)), inverse=False)
    luck = np.random.default_rng([*seed, 7]).random((steps, num_envs, 2), dtype=np.float32)
    total, started = 0.0, 1
    for step in range(steps):
        x = agent.encode(params, game.observe().unsqueeze(0))
        action = plan_values(agent, params, x, play.depth).argmax(-1)[0]
        if luck[step, copy, 0] < play.epsilon:
            action = torch.tensor([int(luck[step, copy, 1] * 4)])
        _, reward, terminated, late = game.step(action)
        total += float(reward[0])
        if bool(terminated[0] | late[0]):
            game.reset()
            started += step < steps - 1
    return total / started


def test_paper_protocol_is_total_reward_over_episodes_started(random_base: Path) -> None:
    model = load_checkpoint(random_base / "member-0.pt")
    params = {name: value.unsqueeze(0) for name, value in model.parameters.items()}
    play = PlaySettings(epsilon=1.0, depth=0)  # random actions finish some episodes
    found = paper_scores(model.agent, params, [[5]], play, inverse=False, num_envs=2, steps=200)
    assert found.shape == (1, 2)
    for copy in range(2):
        assert float(found[0, copy]) == pytest.approx(slow_paper_score(params, [5], play, copy, 2, 200))
    assert float(found.mean()) == pytest.approx(-4.5, abs=1.0)


def test_episode_scores_count_keys_and_steps(random_base: Path) -> None:
    model = load_checkpoint(random_base / "member-0.pt")
    params = {name: value.unsqueeze(0) for name, value in model.parameters.items()}
    found = episode_scores(model.agent, params, PlaySettings(epsilon=1.0, depth=0, episodes=60, seed=1), inverse=False)
    expected = found.keys * 1.1 - 0.1 * found.lengths  # 1 instead of -0.1 for a step that finds a key
    assert torch.allclose(found.rewards, expected.double(), atol=1e-5)
    assert bool((found.lengths[found.keys < 3] == 50).all())
    assert int(found.keys.sum()) > 0
    assert found.solved == pytest.approx(float((found.keys == 3).double().mean()))


def test_interval_is_students() -> None:
    mean, low, high = interval(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert mean == 2.5
    assert high - mean == pytest.approx(mean - low) == pytest.approx(3.182446 * 1.290994 / 2, rel=1e-5)
    assert interval(torch.tensor([1.0]))[1:] == (-float("inf"), float("inf"))


def test_anchors_of_paired_are_the_bases_states(random_base: Path, random_settings: TrainSettings) -> None:
    plan = transfer_plan(random_settings, [random_base / "member-0.pt"], "paired", 1, paired=20)
    trainer = Trainer(plan)
    batch = trainer.data.batch(0)
    start = load_checkpoint(random_base / "member-0.pt")
    from crar_model.core.tiles import negated

    wanted = start.agent.encode(start.parameters, negated(batch.observations[0, :8]))
    assert batch.anchor is not None
    assert torch.allclose(batch.anchor[0], wanted, atol=1e-5)


def test_a_gathered_file_is_what_members_learn_from(tmp_path: Path, random_settings: TrainSettings, random_base: Path) -> None:
    """Member 0 gathers with seed 0: on a file of that walk it trains to the same bits, and the other member sees the same walk."""
    own = Trainer(base_plan(random_settings, 2))
    file = tmp_path / "walk.npz"
    save_walk(file, gather_walk(0, random_settings.data_size, inverse=True))  # observed in whichever maze is learned
    plan = base_plan(dataclasses.replace(random_settings, data=str(file)), 2)
    assert (plan.settings.data_size, len(plan.settings.data_digest)) == (random_settings.data_size, 64)
    given = Trainer(plan)
    for trainer in (own, given):
        trainer.advance(3)
    assert all(torch.equal(own.params[name][0], value[0]) for name, value in given.params.items())
    assert not torch.equal(own.params["encoder.0.weight"][1], given.params["encoder.0.weight"][1])
    shown = [TileData(task_named("random").agent(), plan.settings, (seed,), torch.device("cpu")).tiles for seed in (0, 1)]
    assert torch.equal(*shown)
    assert torch.equal(shown[0], torch.from_numpy(gather_walk(0, random_settings.data_size).tiles))
    transfer = transfer_plan(dataclasses.replace(random_settings, data=str(file)), [random_base / "member-0.pt"], "freeze", 1)
    assert transfer.settings.inverse
    assert int(TileData(task_named("random").agent(), transfer.settings, (0,), torch.device("cpu")).tiles[0, 0]) >= NEGATIVE

    run_plan(with_updates(plan, 2), tmp_path / "run", tensorboard=False)
    assert load_checkpoint(tmp_path / "run" / "member-1.pt").info["settings"]["data_digest"] == plan.settings.data_digest
    save_walk(file, gather_walk(1, 50))
    with pytest.raises(UserError, match="not the file that the run began with"):
        run_plan(with_updates(plan_of(tmp_path / "run"), 4), tmp_path / "run", resume=True, tensorboard=False)


def test_files_that_cannot_be_learned_from(tmp_path: Path, random_settings: TrainSettings, random_base: Path) -> None:
    walk = gather_walk(0, 60)
    file = tmp_path / "walk.npz"
    for changed in (
        {"next_state": walk.next_state + 10**6},
        {"reward": walk.reward[:-1]},
        {"tiles": walk.tiles[:, :9]},
        {"action": walk.action + 4},
    ):
        save_walk(file, dataclasses.replace(walk, **changed))
        with pytest.raises(UserError, match="not a walk"):
            base_plan(dataclasses.replace(random_settings, data=str(file)), 1)
    save_walk(file, walk)
    with pytest.raises(UserError, match="gathers its own walks"):
        base_plan(TrainSettings(data=str(file)), 1)
    with pytest.raises(UserError, match="of its own"):
        transfer_plan(dataclasses.replace(random_settings, data=str(file)), [random_base / "member-0.pt"], "paired", 1)
    with pytest.raises(UserError, match=r"gone\.npz"):
        base_plan(dataclasses.replace(random_settings, data=str(tmp_path / "gone.npz")), 1)
