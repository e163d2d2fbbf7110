"""Worlds with habits: rewards at random, observations that are not as declared, tasks that go on over cuts, and faults of their own code."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import gymnasium
import minari
import numpy as np
import pytest
import torch
from gymnasium import spaces
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage

from crar_model.core.errors import UserError
from crar_model.face.worlds import facts_of
from crar_model.tasks.metrics import going_on, mispredicted, predicted_successor
from crar_model.tasks.symmetries import symmetries_of
from crar_model.worlds.environments import Recipe
from crar_model.worlds.episodes import Episode, Episodes
from crar_model.worlds.gathering import gather_episodes
from crar_model.worlds.listing import list_states
from crar_model.worlds.plain import plain
from crar_model.worlds.rewards import ALIKE, Course, indistinct
from crar_model.worlds.storage import load_minari
from crar_model.worlds.tables import WorldTable, alike
from crar_model.worlds.world import SIDES, World, load_world, save_world
from tests.crar_model.gathered_worlds import buffer, foreign, line, task_of_world, world_of

CHANCES = (0.05, 0.25, 0.45, 0.6, 0.75, 0.95)


def ring(**arguments: Any) -> Recipe:
    return Recipe("tests.small_worlds:tests/Ring-v0", arguments=tuple(f"{name}={value!r}" for name, value in arguments.items()))


def test_random_rewards_are_each_moves_own_mean(tmp_path: Path) -> None:
    """All ranges are [0, 1]; one mean of all would make a ring of unlike cells look alike, and its rotations symmetries."""
    world = world_of(ring(chances=CHANCES), 6_000)
    found = list_states(world)
    stay = found.reward[:, 0]
    for row, frame in enumerate(world.frames):
        own = world.reward[(world.state == row) & (world.action == 0)]
        assert stay[row] == pytest.approx(own.mean())
        assert stay[row] == pytest.approx(CHANCES[int(frame[0])], abs=0.12)
    assert (found.varying, found.timed) == (6, 0)
    assert "the reward of 6 moves varies, at random or by what is not observed" in "\n".join(facts_of(world))
    assert symmetries_of(task_of_world(world, tmp_path)) is None  # but the identity


def test_random_rewards_of_like_moves_are_one(tmp_path: Path) -> None:
    """What chance alone tells apart is no difference: the ring keeps its rotations and, by the two ways round, its reflections."""
    world = world_of(ring(chances=(0.5,) * 6), 6_000)
    assert len(np.unique(list_states(world).reward[:, 0])) == 1
    found = symmetries_of(task_of_world(world, tmp_path))
    assert found is not None
    assert found.order == 6


def test_rewards_by_the_time_are_one_mean() -> None:
    world = world_of(line(late=True))
    found = list_states(world)
    assert (found.varying, found.timed) == (1, 1)
    assert "the reward of 1 move goes by the time that has passed" in "\n".join(facts_of(world))


def test_what_goes_by_the_time() -> None:
    time, falling = np.array([3, 1, 3, 2, 5, 4]), np.array([0.7, 0.9, 0.7, 0.8, 0.5, 0.6])
    assert Course(time, falling).holds
    assert Course(time, -falling).holds
    assert not Course(time, np.array([0.7, 0.9, 0.65, 0.8, 0.5, 0.6])).holds  # two rewards at one time
    assert not Course(time, np.array([0.7, 0.9, 0.7, 0.8, 0.6, 0.5])).holds  # up again
    assert not Course(time[:4], falling[:4]).holds  # three values fall by chance
    assert not Course(np.arange(40), (np.arange(40) > 19).astype(float)).holds  # two values


def test_a_lottery_beside_what_always_pays_leaves_it_alone() -> None:
    """One episode: move 0 pays 0 and then 1, move 1 always 1, move 2 always 0."""
    action = [0] + [2] * 20 + [1] * 19 + [0]
    reward = [0.0] + [0.0] * 20 + [1.0] * 19 + [1.0]
    one = Episode(np.zeros((42, 1), np.float32), np.array(action), np.array(reward), False, True, 0)
    found = list_states(World.of(Episodes((one,), 3, {"title": "x", "actions": ["a", "b", "c"]})))
    assert found.reward[0].tolist() == [0.5, 1.0, 0.0]
    assert (found.timed, found.joined) == (0, 0)


def test_means_are_put_together_up_to_three_errors() -> None:
    rng = np.random.default_rng(0)
    low, other, high = (rng.normal(mean, 1, 400) for mean in (0.0, 0.02, 2.0))
    assert [sorted(group.tolist()) for group in indistinct([high, low, other])] == [[1, 2], [0]]
    error = np.sqrt(2 * low.var(ddof=1) / len(low))
    for far in (0.0, 1e9):  # squares of what is far from 0 have no digits left for a spread
        for shift, groups in ((ALIKE * 0.98, 1), (ALIKE * 1.02, 2)):
            assert len(list(indistinct([far + low, far + low + shift * error]))) == groups


@pytest.mark.parametrize(("kind", "digits"), [("fractions", "float64"), ("plain", "")])
def test_observations_are_as_given_not_as_declared(kind: str, digits: str) -> None:
    world = world_of(ring(kind=kind), 500)
    assert len(world.frames) == 6
    assert ("it declares observations of whole numbers and gives float64" in "\n".join(facts_of(world))) == bool(digits)


def test_numbers_that_the_declared_type_cannot_hold_are_refused() -> None:
    with pytest.raises(UserError, match="declares observations of int8 and gives numbers that those cannot hold"):
        gather_episodes(ring(kind="wide"), 100, 0)


def test_observations_that_are_one_to_a_network_are_said() -> None:
    world = world_of(ring(kind="far"), 500)
    assert len(world.frames) == 6
    lost = 6 - len(torch.unique(torch.from_numpy(world.frames / np.abs(world.frames).max(0)).float(), dim=0))
    assert lost == alike(world) == 4
    assert "4 distinct observations are one with another in the float32" in "\n".join(facts_of(world))
    assert alike(world_of(ring(), 500)) == 0


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        ((7, 7, 20), (20, 7, 7)), ((20, 7, 7), (20, 7, 7)), ((19, 19, 3), (3, 19, 19)), ((3, 84, 84), (3, 84, 84)), ((30, 44, 1), (1, 30, 44)),
        ((1, 30, 44), (1, 30, 44)), ((3, 4, 5), (3, 4, 5)), ((5, 5, 5), (5, 5, 5)), ((2, 7, 2), (2, 2, 7)),
    ],
)  # fmt: skip
def test_sides_of_one_length_are_height_and_width(shape: tuple[int, int, int], found: tuple[int, int, int], tmp_path: Path) -> None:
    frames = np.arange(3 * np.prod(shape), dtype=np.int16).reshape(3, *shape)
    world = World.of(Episodes((Episode(frames, np.array([0, 1]), np.zeros(2), False, True, 0),), 2, {"title": "x", "actions": ["a", "b"]}))
    save_world(tmp_path / "world.npz", world)
    for each in (world, load_world(tmp_path / "world.npz")):
        assert WorldTable.of(each, list_states(each)).shape == found


def test_a_world_of_before_keeps_its_axes() -> None:
    """Its models were trained on them."""
    frames = np.arange(2 * 147 * 3, dtype=np.int16).reshape(2, 7, 7, 9)
    world = World.of(Episodes((Episode(frames, np.array([0]), np.zeros(1), False, True, 0),), 2, {"title": "x", "actions": ["a", "b"]}))
    before = dataclasses.replace(world, about={name: value for name, value in world.about.items() if name != SIDES})
    assert before.about != world.about
    assert WorldTable.of(world, list_states(world)).shape == (9, 7, 7)
    assert WorldTable.of(before, list_states(before)).shape == (7, 7, 9)


def test_a_task_that_goes_on_over_its_cuts_loses_nothing(tmp_path: Path) -> None:
    """As after EpisodicLife: an episode begins where the last was cut, and its first move leads where it always leads."""
    each = [buffer([0, 1, 2, 1], [1, 1, 0], ended=False), *(buffer([1, 2, 1], [1, 0], ended=False) for _ in range(3))]
    found = load_minari(foreign(tmp_path / "data", each))
    assert [len(one.actions) for one in found.each] == [3, 2, 2, 2]
    assert "notes" not in found.about


def test_numbers_that_never_come_back_go_on_over_cuts_unless_they_jump(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def drift(begin: np.ndarray[Any, Any], jump: np.ndarray[Any, Any] | float) -> EpisodeBuffer:
        steps = rng.normal(0, 0.05, (20, 5))
        steps[0] += jump
        seen = np.concatenate((begin[None], begin + steps.cumsum(0))).astype(np.float32)
        return EpisodeBuffer(
            observations=seen, actions=[0, 1] * 10, rewards=[0.0] * 20, terminations=[False] * 20, truncations=[False] * 19 + [True]
        )

    for name, jump, left in (("on", 0.0, 0), ("reset", 2.0, 4)):
        each, begin = [], np.zeros(5)
        for number in range(5):
            each.append(drift(begin, jump * (number > 0)))
            begin = np.asarray(each[-1].observations)[-1].astype(np.float64)
        found = load_minari(foreign(tmp_path / name, each))
        assert sum(len(one.actions) for one in found.each) == 100 - left, name


class Parts(gymnasium.Env[Any, Any]):
    """Observations of several arrays, given as told."""

    def __init__(self, space: spaces.Space[Any], seen: Any) -> None:
        self.observation_space, self.action_space, self.seen = space, spaces.Discrete(2), seen

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        return self.seen, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self.seen, 0.0, False, False, {}


WHOLE, BYTE, REAL = spaces.Box(0, 9, (2,), np.int64), spaces.Box(0, 255, (2,), np.uint8), spaces.Box(0, 1e9, (2,), np.float32)
FRACTIONS, WORDS = np.array([0.5, 0.25]), spaces.Text(8)


@pytest.mark.parametrize(
    ("space", "seen", "said"),
    [
        (spaces.Dict({"p": WHOLE}), {"p": FRACTIONS}, "declares observations of int64 and gives numbers that those cannot hold"),
        (spaces.Tuple((BYTE, REAL)), (np.array([300, 1]), FRACTIONS), "declares observations of uint8"),
        (REAL, np.array([2**24 + 1, 0]), "declares observations of float32"),
        (REAL, np.array([1j, 2]), "no numbers but complex128"),
        (REAL, np.array(["a", "b"]), "no numbers but <U1"),
        (REAL, [[1.0], [1.0, 2.0]], "its reset fails .ValueError"),
        (spaces.Tuple((WORDS, REAL)), ("go", FRACTIONS), "its observations are Tuple, which are no array of numbers"),
    ],
)  # fmt: skip
def test_what_is_declared_and_cannot_hold_what_is_given_is_refused(space: spaces.Space[Any], seen: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        plain(Parts(space, seen), "Parts-v0").reset()


def test_what_is_declared_and_can_hold_it_is_taken() -> None:
    both = plain(
        Parts(spaces.Dict({"p": WHOLE, "q": spaces.Tuple((BYTE, REAL))}), {"p": [1, 2], "q": (np.array([3.0, 4.0]), FRACTIONS)}), "P-v0"
    )
    assert both.reset()[0].tolist() == [1.0, 2.0, 3.0, 4.0, 0.5, 0.25]
    flags = plain(Parts(spaces.Box(0, 1, (2,), np.bool_), FRACTIONS), "P-v0")
    assert flags.reset()[0].tolist() == [0.5, 0.25]


@pytest.mark.parametrize(
    ("fault", "said"), [("reset", "its reset fails .*takes a seed"), ("step", "its step fails .ValueError: there is no way round")]
)
def test_faults_of_an_environment_are_one_line(fault: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        gather_episodes(ring(fault=fault), 200, 0)
    assert "\n" not in str(error.value)


def test_a_reward_in_an_array_is_its_number_and_a_policys_fault_is_one_line() -> None:
    assert gather_episodes(ring(fault="reward"), 200, 0).steps >= 200
    with pytest.raises(UserError, match=r"--policy tests\.small_worlds:failing: it fails .KeyError"):
        gather_episodes(ring(), 200, 0, policy="tests.small_worlds:failing")


def test_tuples_and_left_out_words_of_others(tmp_path: Path) -> None:
    box, actions = spaces.Box(0, 9, (2,), np.float32), spaces.Discrete(2)
    seen = np.arange(6, dtype=np.float32).reshape(3, 2)
    kinds: dict[str, tuple[spaces.Space[Any], Any]] = {
        "pair": (spaces.Tuple((box, spaces.Discrete(4))), (seen, np.array([0, 3, 1]))),
        "nested": (
            spaces.Tuple((spaces.Dict({"at": box}), spaces.Tuple((spaces.Discrete(2), box)))),
            ({"at": seen}, (np.array([1, 0, 1]), seen + 1)),
        ),
        "words": (spaces.Dict({"at": box, "mission": spaces.Text(9)}), {"at": seen, "mission": ["go", "on", "go"]}),
    }
    for name, (space, observations) in kinds.items():
        storage = MinariStorage.new(tmp_path / name, space, actions, data_format="hdf5")
        storage.update_metadata({"dataset_id": f"others/{name}-v0", "minari_version": minari.__version__})
        storage.update_episodes(
            [
                EpisodeBuffer(
                    observations=observations, actions=[0, 1], rewards=[0.0, 0.0], terminations=[False] * 2, truncations=[False, True]
                )
            ]
        )
    (pair,) = load_minari(tmp_path / "pair").each
    assert np.array_equal(pair.frames[:, :2], seen)
    assert pair.frames[:, 2:].argmax(1).tolist() == [0, 3, 1]
    (nested,) = load_minari(tmp_path / "nested").each
    assert nested.frames[0].tolist() == [0, 1, 0, 1, 1, 2]
    words = load_minari(tmp_path / "words")
    assert np.array_equal(words.each[0].frames, seen)
    assert words.about["notes"] == ["the observation's mission is no number and left out"]


def test_evaluation_and_cures_count_the_same_mispredictions(tmp_path: Path) -> None:
    """Among the states that go on; the cell that only an end leads to is none that a move is predicted to."""
    task = task_of_world(world_of(line()), tmp_path, 2)
    agent, table = task.agent(), task.table_here
    for seed in range(8):
        params = {name: value.double() for name, value in agent.init(np.random.default_rng(seed)).items()}
        batch = task.batch(inverse=False, dtype=torch.float64)
        x = agent.encode(params, batch.observations)
        wrong = (predicted_successor(table, agent, params, inverse=False) != table.successor)[table.asked].double().mean()
        assert mispredicted(agent, params, x, batch, complete=True) == pytest.approx(float(wrong))
    assert going_on(batch).tolist() == table.live.tolist()
    assert len(going_on(batch)) == 4
