"""How models of worlds are judged where rewards come with rounding or by the time, ends show what goes on, and symmetries are many."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from crar_model.agent.symmetry import NEITHER, Match
from crar_model.core.settings import TrainSettings
from crar_model.cures.problem import OwnData
from crar_model.mazes import automorphisms
from crar_model.mazes.automorphisms import NOWHERE, Moves, Symmetries
from crar_model.models.merit import WITHIN, short_of
from crar_model.tasks import WorldTask
from crar_model.tasks.metrics import graph_distances, navigation_metrics, outcome_metrics
from crar_model.tasks.symmetries import symmetries_of
from crar_model.tasks.world_batches import split
from crar_model.worlds.episodes import Episode, Episodes
from crar_model.worlds.listing import list_states
from crar_model.worlds.rewards import Course, snapped
from crar_model.worlds.tables import WorldTable
from crar_model.worlds.world import World, remember
from crar_reports.claims.embeddings import how_many
from tests.crar_model.gathered_worlds import line, task_of_world, world_of

PLAIN = {"title": "x", "actions": ["right", "stay"]}


def world(each: list[tuple[list[int], list[int], list[float], bool]], states: int = 6) -> World:
    """Of episodes: states, actions, rewards, and whether it ended."""
    frames = np.eye(states, dtype=np.float32)
    return World.of(Episodes(tuple(Episode(frames[s], np.array(a), np.array(r), end, not end, 0) for s, a, r, end in each), 2, PLAIN))


def test_rewards_that_differ_by_rounding_are_one() -> None:
    assert len(set(snapped(np.array([0.1 + 0.2, 0.3, 0.1 * 3, 0.0, -0.0, 1e-17, 5.0])).tolist())) == 3
    for apart in ([1000.0, 1e-3, 2e-3], [1e6, 1e6 + 1, 1e6 + 2], [0.0, 1e-4, 2e-4, 1e6], np.arange(2_000_000.0, 2_000_500.0).tolist()):
        assert snapped(np.array(apart)).tolist() == apart
    assert snapped(np.zeros(0)).tolist() == []
    near = snapped(1 - 1e-7 * np.arange(50))  # a chain: none goes further than rounding
    assert 10 < len(set(near.tolist())) < 50
    assert float(np.abs(near - (1 - 1e-7 * np.arange(50))).max()) <= 2.1e-7
    shaped = [0.1 * k - 0.1 * (k - 1) for k in range(1, 6)]
    assert len(set(shaped)) > 1
    found = list_states(world([([0, 1, 2, 3, 4, 5], [0] * 5, shaped, False), ([0, 1, 2, 3, 4, 5], [0] * 5, shaped[::-1], False)]))
    assert found.varying == 0
    assert len(set(found.reward[found.known].tolist())) == 1


def test_a_reward_is_right_but_for_rounding(tmp_path: Path) -> None:
    task = task_of_world(world_of(line()), tmp_path, 2)
    batch = task.batch(inverse=False, dtype=torch.float64)
    shaped = batch.reward + torch.linspace(0, 1e-15, len(batch.reward), dtype=torch.float64)

    class Told:
        """Predicts what is true, and a little more."""

        def __init__(self, more: float) -> None:
            self.more = more

        def encode(self, params: Any, observations: Any) -> Any:
            return observations.flatten(1)

        def reward(self, params: Any, x: Any, action: Any) -> Any:
            return shaped + self.more

        def discount(self, params: Any, x: Any, action: Any) -> Any:
            return 0.9 * (1 - batch.terminated)

    for more, share in ((0.0, 1.0), (1e-12, 1.0), (1e-3, 1.0), (0.7, float((batch.reward == 1).double().mean()))):
        found = outcome_metrics(cast(Any, Told(more)), {}, replace(batch, reward=shaped), 0.9)
        assert found["outcome_accuracy"] == pytest.approx(share), more


def test_a_move_that_was_paid_once_is_of_its_kind(tmp_path: Path) -> None:
    """Both ends of a row pay by the time; one of them was reached once. Mirror images stay symmetries."""

    def walk(to: int, wait: int) -> tuple[list[int], list[int], list[float], bool]:
        way = [2] * (wait + 1) + ([3, 4] if to == 4 else [1, 0])
        action = 0 if to == 4 else 1
        return way, [2] * wait + [action] * 2, [0.0] * (wait + 1) + [1 - 0.1 * (wait + 2)], True

    def told(left: list[int]) -> World:
        each = [walk(4, wait) for wait in range(6)] + [walk(0, wait) for wait in left]
        frames = np.eye(5, dtype=np.float32)
        return World.of(Episodes(tuple(Episode(frames[s], np.array(a), np.array(r), end, not end, 0) for s, a, r, end in each), 3, PLAIN))

    both = list_states(told(list(range(6))))
    once = list_states(told([1]))
    assert (both.varying, both.timed, both.joined) == (2, 2, 0)
    assert (once.varying, once.timed, once.joined) == (1, 1, 1)
    for found in (both, once):
        assert len(set(found.reward[found.ended].tolist())) == 1
    odd = told([1])
    odd.reward[-1] = 0.65  # within the range, and not what its time pays
    assert list_states(odd).joined == 0
    cut = told([1])
    cut.terminated[-1] = False  # no end, as those that pay are
    assert list_states(cut).joined == 0


def test_what_goes_with_rewards_by_the_time() -> None:
    course = Course(np.array([2, 4, 4, 8, 10, 12]), np.array([0.8, 0.6, 0.6, 0.2, 0.1, 0.05]))
    assert course.holds
    for time, paid, found in ((4, 0.6, True), (6, 0.4, True), (4, 0.5, False), (6, 0.7, False), (13, 0.05, False), (1, 0.8, False)):
        assert course.has(np.array([time]), np.array([paid])) == found, (time, paid)


def test_no_way_leads_through_an_end() -> None:
    """A row of five cells whose last move ends the episode and shows the first cell again."""
    each = [([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 0], [1, 0] * 5, [0.0] * 9 + [1.0], True) for _ in range(2)]
    found = WorldTable.of(w := world(each, 5), list_states(w))
    assert found.listing.listed
    assert int((graph_distances(found.ways) < 5).sum()) - 5 == 10
    assert int((graph_distances(found.successor) < 5).sum()) - 5 == 20
    wrong = found.successor.clone()
    wrong[0, 0] = 0
    assert navigation_metrics(found, torch.where(found.ended, torch.arange(5).unsqueeze(1), wrong))["navigation_success"] == 0.6


def test_exactly_two_points_below_is_within() -> None:
    for of in (50, 100, 500):
        for count in range(of - of // 50 + 1):
            own, base = count / of, (count + of // 50) / of
            assert short_of({"share": (own, base)}) == [], (count, of)
            assert short_of({"share": (own - 1e-6, base)}) == ["share"]
    assert WITHIN == 0.02


def test_a_cure_of_a_supervised_fit_sees_all_of_its_world() -> None:
    """Its `data_size` is the number of its pairs of states, not of the transitions that there are."""
    w = remember(world_of(line(slip=0.2), 3_000))
    own = WorldTask().with_data("here", w.digest, 2, 1.0)
    settings = TrainSettings(maze="world", data="here", data_digest=w.digest, abstract_dim=2, reward_scale=1.0, data_size=20, batch_size=32)
    model: Any = SimpleNamespace(task=own, settings=settings, inverse=True, loss=None)
    data = OwnData(model, 0)
    assert data._data.settings.data_size == len(split(cast(Any, own).table_here)[0]) > 1_000


def test_many_alike_sources_end_and_say_that_there_are_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def fan(sources: int, kinds: int = 1) -> Moves:
        successor = np.full((sources + 1, 1), sources)
        kind = 1 + (np.arange(sources + 1) % kinds)[:, None]
        return Moves(successor, kind, successor)

    eight = Symmetries(fan(8))
    assert not eight.whole
    assert eight.order == automorphisms.MOST
    match = Match(NEITHER, [[1]], 0.0, 0.0, 0.0, 1.0, eight.order)
    assert (how_many(replace(match, more=True)), how_many(match)) == ("at least 10,000", "10,000")
    assert ("more" in match.plain(), replace(match, more=True).plain()["more"]) == (False, True)
    monkeypatch.setattr(automorphisms, "MOST", 50_000)
    monkeypatch.setattr(automorphisms, "TRIES", 20_000_000)
    assert Symmetries(fan(8)).order == 40_320
    monkeypatch.setattr(automorphisms, "TRIES", 2_000_000)
    many = Symmetries(fan(1_200, 1_201))  # more sources than Python recurses, each of its own kind
    assert (many.order, many.whole) == (1, True)
    alike = Symmetries(fan(60))
    assert not alike.whole
    best, least = alike.nearest(1.0 - np.eye(61))
    assert (best == np.arange(61)).all()
    assert least == 0
    assert NOWHERE not in fan(3).successor


def test_a_world_of_unlike_rewards_by_rounding_keeps_its_symmetry(tmp_path: Path) -> None:
    """Two cells that change places, one paying 0.3 and the other 0.1 + 0.2."""
    each = [([0, 1, 0, 0, 1, 1, 0], [0, 0, 1, 0, 1, 0], [0.3, 0.1 + 0.2, 0.0, 0.3, 0.0, 0.1 + 0.2], False)] * 3
    found = symmetries_of(task_of_world(world(each, 2), tmp_path, 2))
    assert found is not None
    assert found.order == 2
