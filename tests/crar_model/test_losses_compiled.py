"""The compiled total and its gradient against the one loss function: values and gradients by autograd in float64."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crar_model.agent.batch import Batch
from crar_model.agent.loss import FOLLOWED, FrozenLoss, Loss
from crar_model.agent.loss_compiled import CompiledTotal
from crar_model.agent.networks import DenseAgent
from crar_model.core.params import BLOCKS, Params, select
from crar_model.core.settings import LossSettings
from tests.crar_model.test_engine import AGENTS, case, coefficients, numbers

WITH_POSITIONS = DenseAgent(3, (2, 2, 1), (12, 33, 7, 4), (7, 9, 4), (7, 5, 6, 1), (4, 31, 3))
"""Two channels at two positions: `ball` takes the largest channel of each."""
ALL = (*AGENTS, WITH_POSITIONS)
WEIGHT_OF = {term: f"{term}_weight" for term in FOLLOWED} | {"consecutive": "beta"}


def listed(agent: DenseAgent, seed: int, size: int, rows: int, paired: bool) -> Batch:
    """An evaluation set with value targets, states and, where `paired`, pairs."""
    rng = np.random.default_rng(seed)
    batch = case(agent, seed, size, rows)[-1]
    pairs = torch.triu_indices(rows, rows, offset=1) if paired else None
    return dataclasses.replace(batch, pairs=pairs, value_target=numbers(rng, size), states=torch.arange(rows).flip(0), anchor=None)


def models(agent: DenseAgent, seed: int, count: int, rows: int) -> tuple[Params, Params]:
    """Fixed parameters of one model and of several (count, ...), embeddings among them; float32."""
    rng = np.random.default_rng(seed)
    fixed, *others = ({n: v + 0.3 * numbers(rng, *v.shape) for n, v in agent.init(rng).items()} for _ in range(1 + count))
    moving = {name: torch.stack([other[name] for other in others]) for name in fixed}
    return fixed, moving | {"embedding": 0.6 * numbers(rng, count, rows, agent.abstract_size)}


def both(
    agent: DenseAgent, fixed: Params, points: Params, batch: Batch, settings: LossSettings, smoothing: float
) -> tuple[tuple[torch.Tensor, Params], tuple[torch.Tensor, Params]]:
    """(totals, gradients) of the kernel, and of the definition in float64."""
    asked = torch.linspace(0.5, 2.0, len(next(iter(points.values()))), dtype=torch.float64)
    leaves = {name: value.clone().requires_grad_() for name, value in points.items()}
    values = CompiledTotal(FrozenLoss(Loss(agent, settings), batch), fixed, smoothing)(leaves)
    found = torch.autograd.grad((asked * values).sum(), list(leaves.values()))
    exact = {name: value.double().requires_grad_() for name, value in points.items()}
    params = {name: value.double()[None] for name, value in fixed.items()} | exact
    wide = batch.to("cpu", torch.float64)
    embedding = params.pop("embedding", None)
    totals = FrozenLoss(Loss(agent, settings), wide).total(params, embedding, smoothing)
    wanted = torch.autograd.grad((asked * totals).sum(), list(exact.values()), allow_unused=True)
    filled = [torch.zeros_like(points[name]).double() if grad is None else grad for name, grad in zip(points, wanted, strict=True)]
    return (values.detach(), dict(zip(points, found, strict=True))), (totals.detach(), dict(zip(points, filled, strict=True)))


def held(agent: DenseAgent, moving: Params, fixed: Params, batch: Batch, settings: LossSettings, smoothing: float) -> None:
    (values, found), (totals, wanted) = both(agent, fixed, moving, batch, settings, smoothing)
    assert values.dtype is torch.float64
    assert torch.allclose(values, totals, rtol=1e-4, atol=1e-6)
    largest = max(float(value.abs().max()) for value in wanted.values())
    for name, value in found.items():
        assert value.dtype is moving[name].dtype
        assert torch.allclose(value.double(), wanted[name], rtol=2e-3, atol=2e-5 * (1 + largest)), name


@given(
    which=st.sampled_from(range(len(ALL))), seed=st.integers(0, 10**6), sizes=st.sampled_from([(1, 4), (5, 31), (45, 31), (45, 40), (32, 4)]),
    settings=coefficients, smoothing=st.sampled_from([0.01, 0.2]), paired=st.booleans(), count=st.integers(1, 3),
    moves=st.sampled_from([("embedding",), ("embedding", *BLOCKS[1:]), ("embedding", "value"), ("encoder",), BLOCKS]),
)  # fmt: skip
def test_total_and_gradient_are_those_of_autograd(
    which: int,
    seed: int,
    sizes: tuple[int, int],
    settings: LossSettings,
    smoothing: float,
    paired: bool,
    count: int,
    moves: tuple[str, ...],
) -> None:
    agent, (size, rows) = ALL[which], sizes
    batch, (fixed, moving) = listed(agent, seed, size, rows, paired), models(agent, seed + 1, count, rows)
    chosen = {"embedding": moving["embedding"]} if "embedding" in moves else {}
    chosen |= select({name: value for name, value in moving.items() if name != "embedding"}, moves)
    held(agent, chosen, fixed, batch, settings, smoothing)


@pytest.mark.parametrize("term", FOLLOWED)
def test_every_term_alone(term: str) -> None:
    agent = AGENTS[0]
    settings = LossSettings(**{name: (1.7 if name == WEIGHT_OF[term] else 0.0) for name in WEIGHT_OF.values()})
    if term == "ball":  # the definition needs one term more
        settings = dataclasses.replace(settings, beta=0.1)
    batch, (fixed, moving) = listed(agent, 3, 45, 31, True), models(agent, 4, 2, 31)
    points = {name: value.double() for name, value in moving.items() if not name.startswith("encoder.")}
    held(agent, points, fixed, batch, settings, 0.01)
    (values, found), _ = both(agent, fixed, points, batch, settings, 0.01)
    assert bool((values > 0).all())
    assert bool(found["embedding"].any())


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("which", [0, 2])
def test_without_targets_a_point_regresses_to_its_own_values(which: int, double: bool) -> None:
    """The targets that the loss function would be given: r + (1 - end) discount max_a Q(e(s'), a), as numbers."""
    agent, settings = ALL[which], LossSettings(double_q=double, discount=0.8)
    batch, (fixed, moving) = listed(agent, 21, 45, 31, True), models(agent, 22, 3, 31)
    ends = (torch.arange(45) % 7 == 0).float()
    batch = dataclasses.replace(batch, terminated=ends)
    points = {"embedding": moving["embedding"]}
    live = CompiledTotal(FrozenLoss(Loss(agent, settings), dataclasses.replace(batch, value_target=None)), fixed, 0.01)
    for k in range(3):
        point = points["embedding"][k : k + 1]
        best = agent.value(fixed, point[0][batch.next_state]).amax(-1)
        wanted = dataclasses.replace(batch, value_target=batch.reward + (1 - ends) * 0.8 * best)
        (_, found), (total, gradients) = both(agent, fixed, {"embedding": point}, wanted, settings, 0.01)
        values, own = live.with_gradients(point.flatten(1), {"embedding": point[0]})
        assert torch.allclose(values, total, rtol=1e-4, atol=1e-6)
        assert torch.allclose(own, 2 * found["embedding"].flatten(1), rtol=1e-4, atol=1e-6)
        assert torch.allclose(
            0.5 * own.double(), gradients["embedding"].flatten(1), rtol=2e-3, atol=2e-5 * (1 + float(gradients["embedding"].abs().max()))
        )


def test_a_point_does_not_depend_on_its_neighbours() -> None:
    agent = AGENTS[1]
    batch, (fixed, moving) = listed(agent, 5, 45, 31, True), models(agent, 6, 3, 31)
    loss = CompiledTotal(FrozenLoss(Loss(agent, LossSettings()), batch), fixed, 0.01)
    points = {"embedding": moving["embedding"]} | select({n: v for n, v in moving.items() if n != "embedding"}, ("value",))
    together = loss(points)
    alone = [float(loss({name: value[k : k + 1] for name, value in points.items()})) for k in range(3)]
    assert together.tolist() == alone


def test_flattened_points_bring_the_same_gradient_without_autograd() -> None:
    agent = AGENTS[1]
    batch, (fixed, moving) = listed(agent, 11, 45, 31, True), models(agent, 12, 3, 31)
    loss = CompiledTotal(FrozenLoss(Loss(agent, LossSettings()), batch), fixed, 0.01)
    points = {name: moving[name].double().requires_grad_() for name in ("embedding", "value.0.weight", "value.0.bias")}
    values = loss(points)
    wanted = torch.autograd.grad(values.sum(), list(points.values()))
    rows = torch.cat([value.detach().flatten(1) for value in points.values()], dim=1)
    found, gradients = loss.with_gradients(rows, {name: value[0] for name, value in points.items()})
    assert torch.equal(found, values.detach())
    assert torch.equal(gradients.double(), torch.cat([value.flatten(1) for value in wanted], dim=1))


def test_some_tensors_of_a_block_may_be_fixed() -> None:
    agent = AGENTS[1]
    batch, (fixed, moving) = listed(agent, 7, 45, 31, True), models(agent, 8, 2, 31)
    held(agent, {name: moving[name] for name in ("value.1.bias", "embedding", "reward.0.weight")}, fixed, batch, LossSettings(), 0.01)


def test_what_the_kernels_take_and_what_not() -> None:
    agent = AGENTS[1]
    batch, (fixed, moving) = listed(agent, 9, 5, 4, True), models(agent, 10, 2, 4)
    loss, embedding = FrozenLoss(Loss(agent, LossSettings()), batch), moving["embedding"]

    def other(**changes: torch.Tensor | None) -> FrozenLoss:
        return dataclasses.replace(loss, batch=dataclasses.replace(batch, **changes))

    assert CompiledTotal.fits(loss)
    assert not CompiledTotal.fits(other(value_target=None))
    assert CompiledTotal.fits(other(value_target=None), live=True)
    assert not CompiledTotal.fits(loss, live=True)
    assert not CompiledTotal.fits(other(states=None))
    with pytest.raises(ValueError, match="the points have shape"):
        CompiledTotal(loss, fixed, 0.01)({"embedding": embedding[:, :3]})
    with pytest.raises(KeyError, match="neither moves nor is fixed"):
        CompiledTotal(loss, {}, 0.01)({"embedding": embedding})
    with pytest.raises(KeyError, match="no parameter"):
        CompiledTotal(loss, fixed, 0.01)({"decoder.0.weight": embedding})
    with pytest.raises(ValueError, match=r"value\.0\.bias has shape"):
        CompiledTotal(loss, fixed | {"value.0.bias": torch.zeros(2)}, 0.01)({"embedding": embedding})
    with pytest.raises(ValueError, match="pairs names no rows"):
        CompiledTotal(other(pairs=torch.tensor([[0], [4]])), fixed, 0.01)({"embedding": embedding})
    with pytest.raises(ValueError, match="actions beyond"):
        CompiledTotal(other(action=batch.action + 9), fixed, 0.01)({"embedding": embedding})
    with pytest.raises(ValueError, match="smoothing is 0"):
        CompiledTotal(loss, fixed, 0.0)({"embedding": embedding})
