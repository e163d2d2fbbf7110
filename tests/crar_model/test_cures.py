"""Cures of failed transfers: each method's candidates, the descent they share, the choice, and what a cure may see."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crar_model import samples
from crar_model.agent import symmetry
from crar_model.agent.loss import STRUCTURE_TERMS
from crar_model.agent.symmetry import mean_move
from crar_model.core.kept import Pieces
from crar_model.core.params import DYNAMICS, select
from crar_model.core.settings import CureSettings
from crar_model.cures import descent
from crar_model.cures.cure import cure
from crar_model.cures.descent import agent_updates, descend
from crar_model.cures.level import AGAIN, looked_again, replaced
from crar_model.cures.methods import METHODS, REPLACE, Round, scaled
from crar_model.cures.placement import basins, survey
from crar_model.cures.problem import Problem, pose
from crar_model.cures.rolling import forest_of, unroll
from crar_model.cures.starts import FIRST, starts_of
from crar_model.models.checkpoints import Checkpoint, load_checkpoint
from crar_model.models.evaluation import evaluate
from tests.crar_model.cure_problems import SMALL, one


def test_losses_are_those_of_the_project(problem: Problem, failed: Checkpoint) -> None:
    batch = problem.data.judged
    found = problem.terms(problem.encode(one(failed.parameters), batch), batch)
    members = {name: value[None] for name, value in failed.parameters.items()}
    wanted = failed.loss(members, batch)
    for name, value in found.items():
        truth = failed.loss.total(wanted) if name == "total" else wanted[name]
        assert torch.allclose(value, truth, rtol=1e-4, atol=1e-7), name


def test_losses_of_the_sampled_maze_too(sampled: Problem) -> None:
    batch = sampled.data.batch(3)
    found = sampled.terms(sampled.encode(one(sampled.failed), batch), batch)
    members = {name: value[None] for name, value in sampled.failed.items()}
    rows = {"observations": batch.observations[None], **{n: getattr(batch, n)[None] for n in ("action", "reward", "terminated", "onehot")}}
    wanted = sampled.loss(members, dataclasses.replace(batch, **rows))
    for name in ("transition", "reward", "discount", "ball", "random_pairs", "consecutive", "value"):
        assert torch.allclose(found[name], wanted[name], rtol=1e-3, atol=1e-6), name


@given(seed=st.integers(0, 2**16))
def test_unrolled_states_follow_by_the_dynamics(seed: int) -> None:
    problem = pose(load_checkpoint(samples.FAILED), None, 0)
    maze = problem.task.maze
    assert maze is not None
    places = torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, (3, 2))).float()
    dynamics = select(problem.failed, DYNAMICS)
    embedding = unroll(problem.agent, dynamics, problem.forest, places)
    assert torch.equal(embedding[:, maze.start], places)
    action = torch.arange(maze.n_actions).repeat(maze.n_states)
    moved = problem.agent.transition(dynamics, embedding.repeat_interleave(maze.n_actions, 1), action)
    reached = embedding[:, maze.successor.flatten()]
    exact = torch.isclose(moved, reached, atol=1e-5).all(-1).all(0)  # (transitions,)
    followed = set(maze.successor.flatten()[exact].tolist()) | {maze.start}
    assert followed == set(range(maze.n_states))
    assert int(exact.sum()) >= maze.n_states - 1


@given(
    wells=st.lists(st.tuples(st.integers(2, 28), st.integers(2, 28)), min_size=1, max_size=4, unique=True),
    noise=st.floats(0, 0.01),
    seed=st.integers(0, 99),
)
def test_valleys_are_the_wells_and_not_the_roughness(wells: list[tuple[int, int]], noise: float, seed: int) -> None:
    kept: list[tuple[int, int]] = []
    for well in wells:
        if all(abs(well[0] - x) + abs(well[1] - y) > 12 for x, y in kept):
            kept.append(well)
    axis = torch.arange(31.0)
    distance = torch.stack([((axis[:, None] - x) ** 2 + (axis[None] - y) ** 2) / 40 for x, y in kept])
    rough = torch.from_numpy(np.random.default_rng(seed).uniform(-noise, noise, (31, 31))).float()
    surface = 0.1 + distance.amin(0) + rough
    owner = basins(surface)
    lows = owner.unique().tolist()
    assert len(lows) == len(kept)
    found = sorted(divmod(int(low), 31) for low in lows)
    assert all(abs(a - c) + abs(b - d) <= 2 for (a, b), (c, d) in zip(found, sorted(kept), strict=True))
    assert all(int(owner.flatten()[int(low)]) == low for low in lows)


def test_the_landscape_of_the_shipped_failure(problem: Problem, base: Checkpoint) -> None:
    landscape = survey(problem, 41)
    maze = problem.task.maze
    assert maze is not None
    own = problem.agent.encode(base.parameters, maze.observations(inverse=base.inverse))[maze.start]
    lowest = torch.tensor(landscape.valleys[0].place)
    assert float((lowest - own).abs().max()) < 2 * float(landscape.axis[1] - landscape.axis[0])  # two cells from where the base has it
    assert landscape.valley_of(lowest) == 0
    assert abs(sum(valley.share for valley in landscape.valleys) - 1) < 1e-9


@pytest.mark.parametrize("which", ["problem", "sampled"])
def test_copies_are_the_failed_embedding_behind_signed_permutations(which: str, request: pytest.FixtureRequest) -> None:
    problem: Problem = request.getfixturevalue(which)
    starts = starts_of(problem, METHODS["symmetry"], SMALL)
    channels = problem.agent.channels
    assert len(starts.labels) == {2: 8, 3: 48}[channels]
    batch = problem.data.batch(0)
    embedding = problem.encode(starts.free, batch)
    moves = symmetry.signed_permutations(channels, torch.float32)
    wanted = torch.einsum("pij,njk->pnik", moves, problem.agent.by_position(embedding[0])).flatten(-2)
    assert torch.allclose(embedding, wanted, atol=1e-5)
    terms = problem.terms(embedding, batch)
    for term in STRUCTURE_TERMS:
        assert torch.allclose(terms[term], terms[term][0].expand(len(embedding)), atol=1e-6), term


def test_first_layer_starts_keep_the_rest_of_the_base(sampled: Problem) -> None:
    starts = starts_of(sampled, METHODS["first-layer"], SMALL)
    assert tuple(starts.free) == FIRST
    assert sum(value[0].numel() for value in starts.free.values()) == 40
    assert sampled.base is not None
    assert all(torch.equal(value, sampled.base[name]) for name, value in starts.still.items())
    assert not torch.equal(starts.free[FIRST[0]][0], starts.free[FIRST[0]][1])
    again = starts_of(sampled, METHODS["first-layer"], SMALL)
    assert torch.equal(starts.free[FIRST[0]], again.free[FIRST[0]])


def test_noise_leaves_its_first_candidate_as_it_was(problem: Problem) -> None:
    starts = starts_of(problem, METHODS["noise"], SMALL)
    for name, value in starts.free.items():
        assert torch.equal(value[0], problem.failed[name])
        scale = (value[1] - value[0]).square().mean().sqrt() / problem.failed[name].square().mean().sqrt()
        assert value[0].numel() < 500 or abs(float(scale) - SMALL.noise) < 0.1


def test_a_candidate_does_not_depend_on_the_others(problem: Problem) -> None:
    start = torch.rand(5, 31, 2, generator=torch.Generator().manual_seed(1)) * 2 - 1
    rounds = (Round(5, 40, 1e-2),)
    together = descend(problem, "a", {"embedding": start}, rounds, store=Pieces())
    for k in range(5):
        alone = descend(problem, "a", {"embedding": start[k : k + 1]}, rounds, store=Pieces())
        place = together.index.tolist().index(k)
        assert torch.allclose(alone.free["embedding"][0], together.free["embedding"][place], atol=1e-4)
    assert together.terms["total"].tolist() == sorted(together.terms["total"].tolist())


def test_halving_keeps_the_lowest(problem: Problem) -> None:
    start = torch.rand(6, 31, 2, generator=torch.Generator().manual_seed(2)) * 2 - 1
    first = descend(problem, "a", {"embedding": start}, (Round(6, 20, 1e-2),), store=Pieces())
    halved = descend(problem, "a", {"embedding": start}, (Round(6, 20, 1e-2), Round(2, 10, 1e-2)), store=Pieces())
    assert sorted(halved.index.tolist()) == sorted(first.index[:2].tolist())
    assert [who for who, _, _ in halved.dropped] == first.index[2:].tolist()
    assert halved.updates == 6 * 20 + 2 * 10 == agent_updates((Round(6, 20, 1e-2), Round(2, 10, 1e-2)), 6)


def test_a_stopped_descent_goes_on_with_the_same_bits(problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descent, "SAVE_EVERY", 0.0)
    start = torch.rand(4, 31, 2, generator=torch.Generator().manual_seed(3)) * 2 - 1
    rounds = (Round(4, 50, 1e-2), Round(2, 75, 5e-3))
    whole = descend(problem, "a", {"embedding": start}, rounds, store=Pieces())

    class Stop(Exception):
        pass

    told = []

    def until(updates: int) -> None:
        told.append(updates)
        if len(told) == 5:  # 50 updates of four, 75 of two: in the middle of the second round
            raise Stop

    store = Pieces(tmp_path, "mine")
    with pytest.raises(Stop):
        descend(problem, "a", {"embedding": start}, rounds, store=store, tick=until)
    assert (tmp_path / "a.pt").exists()
    resumed: list[int] = []
    done = descend(problem, "a", {"embedding": start}, rounds, store=store, tick=resumed.append)
    assert resumed[0] == 4 * 50 + 2 * 50  # what was saved is not done again
    assert torch.equal(done.free["embedding"], whole.free["embedding"])
    assert (done.updates, done.index.tolist(), done.dropped) == (whole.updates, whole.index.tolist(), whole.dropped)
    other = Pieces(tmp_path, "another")
    assert other.look("a") is None


@pytest.mark.parametrize("method", ["placement", "symmetry"])
def test_the_shipped_failure_is_cured(method: str, problem: Problem, failed: Checkpoint, base: Checkpoint) -> None:
    found = cure(problem, method, CureSettings(resolution=31, effort=0.25))
    assert found.cured
    assert not found.before.at_level
    params = {name: found.best.encoder.get(name, value) for name, value in failed.parameters.items()}
    assert all(torch.equal(params[name], value) for name, value in select(failed.parameters, DYNAMICS).items())
    after = evaluate(failed.task, params, inverse=True, settings=failed.settings.loss, base=(base.parameters, base.inverse))
    wanted = evaluate(base.task, base.parameters, inverse=False, settings=failed.settings.loss)
    assert after.match is not None
    assert after.match.verdict == "matched"
    assert after.share("nearest_state_accuracy") >= wanted.share("nearest_state_accuracy") - 0.02


def test_dynamics_that_fit_no_embedding_are_not_cured(failed: Checkpoint) -> None:
    fresh = failed.agent.init(np.random.default_rng(5))
    model = dataclasses.replace(failed, parameters=failed.parameters | select(fresh, DYNAMICS))
    found = cure(pose(model, None, 0), "symmetry", dataclasses.replace(SMALL, effort=0.02))
    assert not found.cured
    assert found.level is not None
    assert found.level.tail.off > 0.1


def test_a_state_on_the_wrong_side_is_put_where_the_dynamics_have_it(problem: Problem, base: Checkpoint) -> None:
    """A single state at the opposite place is a trap for a descent, and one of its moves, put right, leads out."""
    maze, state = problem.task.maze, 16
    assert maze is not None
    right = problem.agent.encode(base.parameters, maze.observations(inverse=False))
    wrong = right.clone()
    wrong[state] = -right[state]
    ended = descend(problem, "a", {"embedding": torch.stack((right, wrong))}, (Round(2, 200, 1e-2),), store=Pieces())
    low, trapped = ended.terms["total"].tolist()
    assert trapped > 1.1 * low
    copies = replaced(problem, ended.free["embedding"][1])
    moved = (copies != ended.free["embedding"][1]).any(-1)
    assert moved.sum(1).tolist() == [1] * len(copies)  # one state each
    assert sorted(moved.double().argmax(1).unique().tolist()) == list(range(len(right)))  # and every state in its turn
    to_state = copies[moved[:, state], state]
    action = torch.arange(4).repeat(len(right))
    every = problem.agent.transition(problem.failed, ended.free["embedding"][1].repeat_interleave(4, 0), action)
    leads = (maze.successor.flatten() == state) & (torch.arange(len(right)).repeat_interleave(4) != state)
    assert torch.allclose(to_state, every[leads], atol=1e-6)
    out = descend(problem, "b", {"embedding": copies}, scaled(REPLACE, 1, len(copies)), store=Pieces())
    assert float(out.terms["total"][0]) < 1.01 * low


@pytest.mark.parametrize("strict", [1.0, 4.0])
@pytest.mark.parametrize("names", [FIRST, None])
def test_compiled_totals_of_encoders_are_those_of_the_terms(problem: Problem, names: tuple[str, ...] | None, strict: float) -> None:
    """Whole encoders, and first layers before the rest of one; with the transition term weighted as a strict round does."""
    encoder = select(problem.failed, ("encoder",))
    free = {name: torch.stack((value, 1.1 * value)).requires_grad_() for name, value in encoder.items() if names is None or name in names}
    still = {name: value for name, value in encoder.items() if name not in free}
    kernel = problem.compiled(still, strict)
    assert kernel is not None
    rows = torch.cat([value.detach().flatten(1) for value in free.values()], dim=1)
    totals, slopes = kernel.with_gradients(rows, {name: value[0] for name, value in free.items()})
    whole = free | {name: value.expand(2, *value.shape).contiguous() for name, value in still.items()}
    terms = problem.terms(problem.encode(whole, problem.data.judged), problem.data.judged)
    wanted = terms["total"] + (strict - 1) * problem.loss.settings.transition_weight * terms["transition"]
    grads = torch.autograd.grad(wanted.sum(), list(free.values()))
    assert torch.allclose(totals.float(), wanted.detach(), rtol=1e-4)
    assert torch.allclose(slopes, torch.cat([grad.flatten(1) for grad in grads], dim=1), rtol=2e-3, atol=1e-4)


def test_where_several_states_lie_wrong_together_the_dynamics_roll_from_every_state(problem: Problem, base: Checkpoint) -> None:
    """Five states in a row moved to one side: their moves among themselves are right, so none of them alone wants to go back."""
    maze = problem.task.maze
    assert maze is not None
    right = problem.agent.encode(base.parameters, maze.observations(inverse=False)).detach()
    batch = problem.data.judged
    wrong = right.clone()
    wrong[20:25] += 3 * mean_move(batch, right).float()
    (before,) = problem.terms(wrong[None], batch)["total"]
    assert (problem.tail(wrong).astray or 0.0) > AGAIN
    settings = dataclasses.replace(SMALL, effort=1.0)
    embeddings, totals, updates = looked_again(problem, wrong[None], before[None], settings, Pieces())
    assert updates > 0
    assert (problem.tail(embeddings[0]).astray or 0.0) < AGAIN
    assert float(totals[0]) < 0.5 * float(before)
    assert bool((totals.diff() >= 0).all())
    same, heights, none = looked_again(problem, right[None], before[None], settings, Pieces())
    assert none == 0  # there is no need
    assert torch.equal(same[0], right)
    assert torch.equal(heights, before[None])


@pytest.mark.parametrize("root", [0, 7, 30])
def test_states_follow_from_any_of_them(root: int, problem: Problem, base: Checkpoint) -> None:
    maze = problem.task.maze
    assert maze is not None
    embedding = problem.agent.encode(base.parameters, maze.observations(inverse=False)).detach()
    rolled = unroll(problem.agent, select(base.parameters, DYNAMICS), forest_of(problem.moves, root), embedding[root][None])[0]
    assert torch.equal(rolled[root], embedding[root])
    unit = float(mean_move(problem.data.judged, embedding))
    assert float((rolled - embedding).norm(dim=-1).max()) < 3 * unit  # errors add up along a tree
    if root == maze.start:
        assert torch.equal(rolled, unroll(problem.agent, select(base.parameters, DYNAMICS), problem.forest, embedding[root][None])[0])
