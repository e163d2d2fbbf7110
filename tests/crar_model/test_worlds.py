"""Any Gymnasium environment: what is gathered, what a Minari dataset is read as, what a world is found to be, and the simple maze by this way."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import gymnasium
import minari
import numpy as np
import pytest
import torch
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage

import crar_model
import crar_reports
from crar_model import samples
from crar_model.agent.pixels import PixelAgent
from crar_model.core.errors import UserError
from crar_model.cures.problem import pose
from crar_model.face.worlds import facts_of
from crar_model.mazes.maps import ObservationMap
from crar_model.models.checkpoints import Checkpoint, load_checkpoint
from crar_model.models.evaluation import evaluate
from crar_model.studies.plan import read_study
from crar_model.tasks import WorldTask, check_sets, task_named
from crar_model.tasks.check import check_task
from crar_model.tasks.world_batches import further, split
from crar_model.worlds.environments import Recipe, make
from crar_model.worlds.gathering import gather_episodes
from crar_model.worlds.listing import list_states
from crar_model.worlds.storage import load_minari, save_minari
from crar_model.worlds.world import World, load_world, save_world
from crar_reports.claims.record import UNDECIDED
from crar_reports.claims.table import decide
from crar_reports.measure.dissection import dissect
from crar_reports.measure.minimum import examine
from crar_reports.measure.options import LandscapeOptions
from crar_reports.measure.subject import Subject
from tests.crar_reports.pages import end_early

LINE = "tests.small_worlds:tests/Line-v0"


def line(**arguments: Any) -> Recipe:
    return Recipe(LINE, arguments=tuple(f"{name}={value!r}" for name, value in arguments.items()))


def world_of(recipe: Recipe, steps: int = 1_500, **more: Any) -> World:
    return World.of(gather_episodes(recipe, steps, 3, **more))


def task_of_world(world: World, tmp_path: Path, dim: int = 0) -> WorldTask:
    save_world(tmp_path / "world.npz", world)
    task = task_named("world").with_data(str(tmp_path / "world.npz"), world.digest, dim)
    assert isinstance(task, WorldTask)
    return task


@pytest.mark.parametrize("shared", [False, True])
def test_a_line_is_its_table(shared: bool) -> None:
    world = world_of(line(shared=shared, limit=12))
    found = list_states(world)
    place = world.frames.argmax(1)  # the cell that each observation shows
    assert sorted(place) == [0, 1, 2, 3, 4]
    assert found.listed
    for row, cell in enumerate(place):
        assert found.known[row].tolist() == [cell < 4] * 2
        if cell < 4:
            assert [place[to] for to in found.successor[row]] == [max(0, cell - 1), cell + 1]
            assert found.ended[row].tolist() == [False, cell == 3]
            assert found.reward[row].tolist() == [0.0, float(cell == 3)]
        else:
            assert found.successor[row].tolist() == [row, row]
    assert place[found.start] == 0
    assert (found.torn, found.varying, found.starts, found.closed) == (0, 0, 1, 1)


def test_no_transition_leads_from_one_episode_to_the_next_and_a_cut_is_no_end() -> None:
    episodes = gather_episodes(line(limit=6), 900, 0)
    for one in episodes.each:
        cells = one.frames.argmax(1)
        assert cells[0] == 0
        assert np.abs(np.diff(cells)).max() <= 1
        assert one.terminated == (cells[-1] == 4)
        assert one.truncated != one.terminated
        assert len(one.actions) <= 6
    cut = [one for one in episodes.each if one.truncated]
    assert cut
    assert any(one.terminated for one in episodes.each)
    assert not World.of(episodes).terminated[np.cumsum([len(one.actions) for one in episodes.each]) - 1].all()


def test_an_end_that_is_also_cut_is_an_end() -> None:
    episodes = gather_episodes(line(limit=4), 900, 0)  # four steps to the right end and cut at once
    assert any(one.terminated and len(one.actions) == 4 for one in episodes.each)
    assert not any(one.terminated and one.truncated for one in episodes.each)


def test_the_same_seed_gives_the_same_data_and_another_gives_others() -> None:
    first, again, other = (World.of(gather_episodes(line(), 400, seed)).digest for seed in (1, 1, 2))
    assert first == again != other


def test_partial_observation_is_said_with_its_count() -> None:
    world = world_of(line(twins=True))
    found = list_states(world)
    assert not found.listed
    assert (found.torn, found.torn_observations) == (
        2,
        1,
    )  # from the twins, left and right lead to two cells each, but left of cell 2 is a twin again
    assert "2 moves from 1 observation do not always lead to the same" in "\n".join(facts_of(world))


def test_random_moves_and_varying_rewards_are_said() -> None:
    slips = list_states(world_of(line(slip=0.2)))
    assert not slips.listed
    assert slips.torn == 8
    late = world_of(line(late=True))
    found = list_states(late)
    assert found.listed
    assert found.varying == 1
    ends = late.reward[late.terminated]
    assert found.reward.max() == pytest.approx(ends.mean())
    assert "the reward of 1 move varies" in "\n".join(facts_of(late))


def test_what_was_not_reached_is_said() -> None:
    world = world_of(line(), policy="tests.small_worlds:always_right")
    found = list_states(world)
    assert found.listed  # half of the moves of the cells that act
    assert int(found.known.sum()) == 4
    assert "4 of 8 moves from states that act were never tried" in "\n".join(facts_of(world))


@pytest.mark.parametrize(("kind", "shape"), [("dict", (5,)), ("discrete", (5,)), ("image", (32, 32, 3)), ("box", (5,))])
def test_every_kind_of_observation_goes_through_minari_unchanged(kind: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    episodes = gather_episodes(line(kind=kind, first=3), 200, 0)
    save_minari(tmp_path / "data", episodes)
    again = load_minari(tmp_path / "data")
    assert again.each[0].frames.shape[1:] == shape
    assert World.of(again).digest == World.of(episodes).digest
    assert [one.seed for one in again.each] == [one.seed for one in episodes.each]
    assert list_states(World.of(again)).listed
    assert len(World.of(again).frames) == 5


def test_a_minari_reader_reads_what_was_gathered(tmp_path: Path) -> None:
    episodes = gather_episodes(line(first=1), 300, 0)
    save_minari(tmp_path / "data", episodes)
    dataset = minari.MinariDataset(tmp_path / "data" / "data")
    assert (dataset.total_episodes, dataset.total_steps) == (len(episodes.each), episodes.steps)
    assert all(dataset.action_space.contains(action) for action in dataset[0].actions)


def test_a_worlds_file_is_the_world(tmp_path: Path) -> None:
    world = world_of(line())
    save_world(tmp_path / "world.npz", world)
    again = load_world(tmp_path / "world.npz")
    assert again.digest == world.digest
    assert again.about == world.about
    (tmp_path / "world.npz").write_bytes((tmp_path / "world.npz").read_bytes()[:-100])
    with pytest.raises(UserError, match=r"world\.npz: no world"):
        load_world(tmp_path / "world.npz")


def foreign(folder: Path, each: list[EpisodeBuffer], **more: Any) -> Path:
    """A dataset as others write it."""
    env = make(line())
    folder.mkdir()
    storage = MinariStorage.new(folder / "data", env.observation_space, env.action_space, data_format="hdf5", **more)
    storage.update_metadata({"dataset_id": "others/line-v0", "minari_version": minari.__version__})
    storage.update_episodes(each)
    return folder


def buffer(cells: list[int], actions: list[int], *, ended: bool) -> EpisodeBuffer:
    last = [False] * (len(actions) - 1)
    return EpisodeBuffer(
        observations=np.eye(5, dtype=np.float32)[cells], actions=np.array(actions), rewards=[0.0] * (len(actions) - 1) + [float(ended)],
        terminations=[*last, ended], truncations=[*last, not ended],
    )  # fmt: skip


def test_false_transitions_of_an_autoreset_are_left_out(tmp_path: Path) -> None:
    whole = [buffer([0, 1, 2, 3, 4], [1] * 4, ended=True)]
    later = [buffer([4, 0, 1, 2, 3, 4], [0, 1, 1, 1, 1], ended=True) for _ in range(3)]  # from the old end to the new start
    found = load_minari(foreign(tmp_path / "a", whole + later))
    assert [len(one.actions) for one in found.each] == [4] * 4
    assert "3 transitions lead from the end of an episode to the start of the next" in found.about["notes"][0]
    honest = load_minari(foreign(tmp_path / "b", whole * 4))
    assert [len(one.actions) for one in honest.each] == [4] * 4
    assert "notes" not in honest.about


def test_data_that_cannot_be_learned_from_get_one_line(tmp_path: Path) -> None:
    env = gymnasium.make("tests.small_worlds:tests/Throttle-v0")
    storage = MinariStorage.new(tmp_path, env.observation_space, env.action_space, data_format="hdf5")
    storage.update_metadata({"dataset_id": "others/throttle-v0", "minari_version": minari.__version__})
    with pytest.raises(UserError, match="only discrete actions can be learned from"):
        load_minari(tmp_path)
    with pytest.raises(UserError, match="no Minari dataset"):
        load_minari(tmp_path / "nowhere")
    bad = buffer([0, 1], [1], ended=False)
    seen: Any = bad.observations
    seen[1] = np.nan
    with pytest.raises(UserError, match="not finite"):
        load_minari(foreign(tmp_path / "nan", [bad]))


@pytest.mark.parametrize(
    ("recipe", "line_of_it"),
    [
        (Recipe("tests.small_worlds:tests/Throttle-v0"), "only discrete actions"),
        (Recipe("CartPol-v1"), "did you mean CartPole-v"),
        (Recipe("no_such_package:Thing-v0"), "pip install no_such_package"),
        (line(limit=1), "end at once"),
        (line(bad=True), "not finite"),
        (line(nothing=1), "--env-arg"),
        (Recipe(LINE, wrappers=("gymnasium.wrappers:Autoreset",)), "Autoreset"),
        (Recipe(LINE, wrappers=("gymnasium.wrappers:NoSuchWrapper",)), "--wrapper"),
        (Recipe(LINE, wrappers=("nowrapper",)), "package.module:name"),
    ],
)
def test_bad_environments_get_one_line(recipe: Recipe, line_of_it: str) -> None:
    with pytest.raises(UserError, match=line_of_it) as error:
        gather_episodes(recipe, 1_000, 0)
    assert "\n" not in str(error.value)


def test_a_policy_gives_actions_that_there_are() -> None:
    with pytest.raises(UserError, match="whole numbers from 0 to 1"):
        gather_episodes(line(), 100, 0, policy="tests.small_worlds:too_far")


@pytest.mark.parametrize("arguments", [{}, {"slip": 0.2}])
def test_a_world_gives_all_that_a_task_is_asked_for(arguments: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_sets, "SAMPLE", 256)  # two samples that share no episode, of a fifth of few data
    task = task_of_world(world_of(line(**arguments), 8_000), tmp_path)
    assert task.sampling.complete == (not arguments)
    check_task(task)


def test_the_simple_maze_by_this_way_has_the_figures_of_its_own_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_of(Recipe("crar/SimpleMaze-v0"), 6_000)
    task = task_of_world(world, tmp_path, dim=2)
    assert task.sampling.what == "all 124 moves that were tried"
    base, failed = load_checkpoint(samples.BASE), load_checkpoint(samples.FAILED)

    def as_world(model: Checkpoint) -> Checkpoint:
        settings = dataclasses.asdict(model.settings) | {
            "maze": "world", "data": str(tmp_path / "world.npz"), "data_digest": world.digest, "abstract_dim": 2,
        }  # fmt: skip
        return Checkpoint("world", model.inverse, model.parameters, model.updates, model.info | {"settings": settings})

    for model in (base, failed):
        own, found = (
            evaluate(one.task, one.parameters, inverse=one.inverse, settings=one.settings.loss, base=(base.parameters, False))
            for one in (model, as_world(model))
        )
        assert found.terms == pytest.approx(own.terms, rel=1e-9, abs=1e-12)
        assert found.metrics == own.metrics
        assert found.match is not None
        assert own.match is not None
        assert found.match.verdict == own.match.verdict
        assert found.match.residual_edges == pytest.approx(own.match.residual_edges, rel=1e-9)
    paths = (samples.FAILED, samples.BASE)
    pairs = [Subject.of(*pair, paths) for pair in ((failed, base), (as_world(failed), as_world(base)))]
    sure, again = (examine(pair, "embedding") for pair in pairs)
    assert again.certificate.verdict == sure.certificate.verdict
    assert again.converged.loss == pytest.approx(sure.converged.loss, rel=1e-6)
    options = LandscapeOptions(quick=True, resolution=5)
    end_early(monkeypatch)  # verdicts of descents that end after a few steps say nothing, but they are the same
    mine, its = ({one.id: one.verdict for one in decide(dissect(pair, options).plain(), complete=True)} for pair in pairs)
    assert its.pop("S4") == UNDECIDED  # its many large errors may be at doors, and no environment says where these are
    del mine["S4"]
    assert its == mine


def test_a_run_in_a_world_carries_its_world(tmp_path: Path) -> None:
    short: dict[str, Any] = {"updates": 40, "log_interval": 20, "checkpoint_interval": 20, "workers": 1}
    said: list[str] = []
    run = crar_model.train(tmp_path / "base", env=LINE, steps=600, members=2, notice=said.append, **short)
    assert any("5 distinct observations can be listed" in each for each in said)
    assert (tmp_path / "base-data" / "data" / "metadata.json").exists()
    there = crar_model.transfer(run.models[0], tmp_path / "freeze", members=1, **short)
    told = load_checkpoint(there.models[0]).info["base_astray"]
    base = load_checkpoint(run.models[0])
    judged = evaluate(base.task, base.parameters, inverse=False, settings=base.settings.loss)
    assert told == pytest.approx(1 - judged.share("nearest_state_accuracy"))  # of all moves, where these are listed
    here = dataclasses.replace(base, info={**base.info, "variant": "freeze", "base": "base.pt"})
    problem = pose(here, base, 0)  # a candidate's share is counted as the base's is: the last cell ends the episode
    assert bool((problem.data.judged.terminated != 0).any())
    assert problem.tail(base.agent.encode(base.parameters, problem.data.judged.observations)).astray == pytest.approx(told)
    (tmp_path / "base-data").rename(tmp_path / "gone")
    (tmp_path / "freeze").rename(tmp_path / "moved")
    model = load_checkpoint(tmp_path / "moved" / there.models[0].name)
    assert model.task.title == LINE
    assert model.encode(np.eye(5, dtype=np.float32)[0]).shape == (7,)  # two more than the vector has
    longer = crar_model.train(tmp_path / "base", env=LINE, steps=600, members=2, resume=True, **short | {"updates": 60})
    straight = crar_model.train(tmp_path / "straight", data=str(tmp_path / "gone"), members=2, **short | {"updates": 60})
    for one, other in zip(longer.models, straight.models, strict=True):
        assert load_checkpoint(one).digest == load_checkpoint(other).digest


def test_flags_that_do_not_go_together_get_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--steps is about an environment"):
        crar_model.train(tmp_path / "run", steps=10)
    with pytest.raises(UserError, match="give one of the two"):
        crar_model.train(tmp_path / "run", env=LINE, data="x")
    with pytest.raises(UserError, match="give --env ID"):
        crar_model.train(tmp_path / "run", maze="world")
    with pytest.raises(UserError, match="--abstract-dim: the simple maze"):
        crar_model.train(tmp_path / "run", abstract_dim=3)
    assert torch.get_num_threads() >= 1


def test_compiled_and_plain_updates_see_the_same_rewards_and_ends(tmp_path: Path) -> None:
    short: dict[str, Any] = {"updates": 25, "log_interval": 5, "checkpoint_interval": 25, "workers": 1, "members": 2, "target_interval": 10}
    save_minari(tmp_path / "data", gather_episodes(line(), 800, 0))
    runs = [
        crar_model.train(tmp_path / engine, data=str(tmp_path / "data"), engine=engine, **short) for engine in ("compiled", "reference")
    ]
    for one, other in zip(*(run.models for run in runs), strict=True):
        mine, its = (load_checkpoint(path).parameters for path in (one, other))
        assert all(torch.allclose(mine[name], its[name], atol=2e-5) for name in mine)
    assert float(runs[0].losses["reward"][0, 0]) > 0


@pytest.mark.parametrize("slip", [0.0, 0.2])
def test_images_are_learned_from(slip: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_sets, "SAMPLE", 256)
    task = task_of_world(world_of(line(kind="image", slip=slip), 8_000), tmp_path)
    agent = task.agent()
    assert isinstance(agent, PixelAgent)
    check_task(task)
    params = {name: torch.stack([value, 2 * value]) for name, value in agent.init(np.random.default_rng(0)).items()}
    seen = task.batch(inverse=False, dtype=torch.float32).observations
    both = agent.encode(params, seen)
    for k in range(2):
        assert torch.allclose(both[k], agent.encode({name: value[k] for name, value in params.items()}, seen), atol=1e-6)
    assert torch.allclose(agent.encode(params, torch.stack([seen, seen])), both, atol=1e-6)
    short: dict[str, Any] = {"updates": 6, "log_interval": 3, "checkpoint_interval": 6, "workers": 1, "members": 2}
    run = crar_model.train(tmp_path / "base", data=str(tmp_path / "world.npz"), maze="world", **short)
    there = crar_model.transfer(run.models[0], tmp_path / "there", variant="negate-input", **short | {"members": 1})
    model, base = load_checkpoint(there.models[0]), load_checkpoint(run.models[0])
    judged = evaluate(model.task, model.parameters, inverse=True, settings=model.settings.loss, base=(base.parameters, False))
    own = evaluate(base.task, base.parameters, inverse=False, settings=base.settings.loss)
    assert judged.terms == pytest.approx(own.terms, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", ["negative", "affine", "mirror", "permute", "mix", "texture"])
def test_every_map_is_undone_in_a_world_of_channels(name: str, tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 9, (6, 4, 5, 3)).astype(np.uint8)
    steps = np.tile(np.arange(5), 2)  # of what never came back nobody knows whether it always leads to the same
    world = World(
        frames,
        steps.astype(np.int32),
        (steps + 1).astype(np.int32),
        np.zeros(10, np.int16),
        np.zeros(10),
        steps == 4,
        steps == 0,
        1,
        {"actions": ["on"]},
    )
    task = task_of_world(world, tmp_path).with_map(ObservationMap(name))
    params = task.agent().init(np.random.default_rng(0))
    agent, here = task.agent(), task.batch(inverse=False, dtype=torch.float64).observations
    there = task.batch(inverse=True, dtype=torch.float64).observations
    assert not torch.equal(here, there)
    double = {key: value.double() for key, value in params.items()}
    assert torch.allclose(agent.encode(task.carried(double, inverse=True), there), agent.encode(double, here), atol=1e-9)


def test_another_side_by_a_function_and_by_an_environment(tmp_path: Path) -> None:
    short: dict[str, Any] = {"updates": 20, "log_interval": 20, "checkpoint_interval": 20, "workers": 1}
    base = crar_model.train(tmp_path / "base", env=LINE, steps=600, members=1, **short)
    start = base.models[0]
    by_map = crar_model.transfer(start, tmp_path / "map", map="tests.small_worlds:turned", members=1, **short)
    by_env = crar_model.transfer(start, tmp_path / "env", to_env=LINE, to_wrapper="tests.small_worlds:Turned", members=1, **short)
    one, other = (load_checkpoint(run.models[0]) for run in (by_map, by_env))
    assert one.digest == other.digest  # the same states look the same
    assert isinstance(one.task, WorldTask)
    assert "what the map tests.small_worlds:turned shows" in one.task.facts[-1]
    copy = crar_model.transfer(start, tmp_path / "copy", variant="negate-input", map="tests.small_worlds:turned", members=1, **short)
    model, origin = load_checkpoint(copy.models[0]), load_checkpoint(start)
    found = evaluate(model.task, model.parameters, inverse=True, settings=model.settings.loss, base=(origin.parameters, False))
    assert found.terms == pytest.approx(
        evaluate(origin.task, origin.parameters, inverse=False, settings=origin.settings.loss).terms, rel=1e-4, abs=1e-6
    )
    for more, said in (
        ({"map": "tests.small_worlds:all_alike", "variant": "negate-input"}, "no first layer undoes it"),
        ({"to_env": LINE, "to_env_arg": "limit=3"}, "takes another course"),
        ({"to_env": "CartPole-v1"}, "another course|of shape"),
        ({"map": "tests.small_worlds:turned", "observation_map": "mirror"}, "give one of them"),
    ):
        with pytest.raises(UserError, match=said):
            crar_model.transfer(start, tmp_path / "bad", members=1, **short, **more)
    with pytest.raises(UserError, match="only worlds"):
        crar_model.transfer(samples.BASE, tmp_path / "bad", map="tests.small_worlds:turned")


def test_minigrid_as_it_really_is() -> None:
    """What it declares is not what it shows; its mission is words; a last step in time and at the goal is an end."""
    views = "tests.small_worlds:small_view", "minigrid.wrappers:RGBImgPartialObsWrapper", "minigrid.wrappers:ImgObsWrapper"
    episodes = gather_episodes(Recipe("MiniGrid-Empty-5x5-v0", views), 48, 0)
    said = "\n".join(facts_of(World.of(episodes)))
    assert episodes.each[0].frames.shape[1:] == (56, 56, 3)
    assert "gives (56, 56, 3), which is what is used" in said
    plain = gather_episodes(Recipe("MiniGrid-Empty-5x5-v0", arguments=("max_steps=12",)), 1_500, 0)
    assert plain.each[0].frames.shape[1:] == (7 * 7 * 3 + 4,)
    assert "mission is no number and left out" in plain.about["notes"][0]
    assert plain.about["actions"][:3] == ["left", "right", "forward"]
    assert all(one.terminated != one.truncated for one in plain.each)


def test_wrappers_with_habits_are_said() -> None:
    recipe = dataclasses.replace(line(), wrappers=("gymnasium.wrappers:NormalizeReward",))
    assert "one move has many rewards" in gather_episodes(recipe, 64, 0).about["notes"][0]


def test_a_study_knows_a_world_by_its_data(tmp_path: Path) -> None:
    save_minari(tmp_path / "data", gather_episodes(line(), 400, 0))
    (tmp_path / "study.toml").write_text(
        f'name = "line"\n[[bases]]\nname = "b"\nmaze = "world"\ndata = "{tmp_path / "data"}"\nabstract_dim = 2\nupdates = 20\nseeds = 1\n'
        '[[transfers]]\nvariants = ["freeze", "paired"]\npaired = 3\nupdates = 10\nseeds = 1\n'
    )
    cells = list(read_study(tmp_path / "study.toml").cells.values())
    assert [cell.recipe.name for cell in cells] == ["base", "freeze", "paired"]
    assert {cell.settings.data_digest for cell in cells} == {World.of(load_minari(tmp_path / "data")).digest}
    assert {cell.task.agent().abstract_size for cell in cells} == {2}
    assert cells[2].settings.data_size == 3


def test_an_episode_is_filmed(tmp_path: Path) -> None:
    short: dict[str, Any] = {"updates": 2, "log_interval": 2, "checkpoint_interval": 2, "workers": 1, "members": 1}
    run = crar_model.train(tmp_path / "base", env="MiniGrid-Empty-5x5-v0", env_arg="max_steps=6", steps=300, **short)
    there = crar_model.transfer(run.models[0], tmp_path / "there", **short)
    for model in (run.models[0], there.models[0]):
        episode = crar_reports.play(tmp_path / f"{model.parent.name}.gif", model)
        assert episode.keys is None
        assert 1 <= episode.steps <= 6
        assert (tmp_path / f"{model.parent.name}.gif").stat().st_size > 500


def test_held_out_episodes_are_not_trained_on_and_samples_share_none(tmp_path: Path) -> None:
    world = world_of(line(slip=0.3), 16_000)
    table = task_of_world(world, tmp_path).table_here
    train, held = split(table)
    episode = np.cumsum(world.first)
    assert len(train) + len(held) == world.steps
    assert not set(episode[train]) & set(episode[held])
    assert 0.1 < len(held) / world.steps < 0.3
    with pytest.raises(UserError, match="--sample is 9,000"):
        further(table, inverse=False, dtype=torch.float64, size=9_000, number=0)


def test_images_that_were_stored_as_jpeg_are_said(tmp_path: Path) -> None:
    env = make(line(kind="image"))
    storage = MinariStorage.new(tmp_path, env.observation_space, env.action_space, data_format="hdf5")
    storage.update_metadata({"dataset_id": "others/image-v0", "minari_version": minari.__version__})
    frames = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    storage.update_episodes(
        [EpisodeBuffer(observations=list(frames), actions=[0, 1], rewards=[0.0, 0.0], terminations=[False] * 2, truncations=[False, True])]
    )
    found = load_minari(tmp_path)
    assert not np.array_equal(found.each[0].frames, frames)
    assert "stored as JPEG" in found.about["notes"][0]
