"""Property tests of the inversion symmetry (claim S1; docs/original.md, section 9)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crar_model.agent.loss import TERMS, Loss
from crar_model.agent.networks import DenseAgent
from crar_model.agent.symmetry import negate_first_layer, signed_permutations
from crar_model.core.params import Params
from crar_model.core.settings import LossSettings
from crar_model.tasks.batches import complete_batch

AGENT, SETTINGS = DenseAgent(), LossSettings()
seeds = st.integers(0, 2**32 - 1)
angles = st.floats(0.05, math.pi / 2 - 0.05)


def model(seed: int, *, biases: bool = True) -> Params:
    rng = np.random.default_rng(seed)
    params = {name: value.double() for name, value in AGENT.init(rng).items()}
    if biases:
        params = {n: v + 0.3 * torch.from_numpy(rng.standard_normal(v.shape)) if n.endswith("bias") else v for n, v in params.items()}
    return params


def observations(seed: int) -> torch.Tensor:
    """Any observations, not only the maze's: (5, 1, 8, 8) in [-1, 1]."""
    return torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, (5, 1, 8, 8)))


def terms_of(embedding: torch.Tensor, params: Params, terms: tuple[str, ...]) -> dict[str, float]:
    batch = complete_batch(dtype=torch.float64)
    return {k: float(v) for k, v in Loss(AGENT, SETTINGS)(params, batch, terms, embedding=embedding).items()}


@given(seeds)
def test_bias_free_tanh_encoders_are_odd(seed: int) -> None:
    params, seen = model(seed, biases=False), observations(seed)
    assert torch.allclose(AGENT.encode(params, -seen), -AGENT.encode(params, seen), rtol=0, atol=1e-13)


def test_biased_encoders_are_not_odd() -> None:
    params, seen = model(0), observations(0)
    assert not torch.allclose(AGENT.encode(params, -seen), -AGENT.encode(params, seen), atol=1e-2)


@given(seeds)
def test_negating_the_first_layer_undoes_the_inversion(seed: int) -> None:
    params, seen = model(seed), observations(seed)
    assert torch.equal(AGENT.encode(negate_first_layer(params), -seen), AGENT.encode(params, seen))


@given(seeds)
def test_negating_twice_is_the_identity(seed: int) -> None:
    params = model(seed)
    twice = negate_first_layer(negate_first_layer(params))
    assert all(torch.equal(twice[name], value) for name, value in params.items())
    seen = observations(seed)
    assert torch.equal(torch.neg(-seen), seen)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-5)])
@given(seed=seeds)
def test_closed_form_has_the_base_losses(dtype: torch.dtype, tolerance: float, seed: int) -> None:
    params = {name: value.to(dtype) for name, value in model(seed).items()}
    normal = Loss(AGENT, SETTINGS)(params, complete_batch(dtype=dtype))
    inverse = Loss(AGENT, SETTINGS)(negate_first_layer(params), complete_batch(inverse=True, dtype=dtype))
    for name in TERMS:
        assert abs(float(normal[name]) - float(inverse[name])) <= tolerance, name


@given(seeds, angles, st.booleans(), st.tuples(st.floats(-3, 3), st.floats(-3, 3)))
def test_pairwise_terms_are_invariant_under_isometries(seed: int, angle: float, mirror: bool, shift: tuple[float, float]) -> None:
    x = torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, (31, 2)))
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64)
    moved = (x * torch.tensor([-1.0 if mirror else 1.0, 1.0])) @ turn.T + torch.tensor(shift)
    names = ("random_pairs", "consecutive")
    before, after = terms_of(x, model(0), names), terms_of(moved, model(0), names)
    assert before == pytest.approx(after, rel=1e-9)


@given(seeds)
def test_ball_is_invariant_under_signed_permutations(seed: int) -> None:
    x = torch.from_numpy(np.random.default_rng(seed).uniform(-2, 2, (31, 2)))
    before = terms_of(x, model(0), ("ball",))["ball"]
    for matrix in signed_permutations():
        assert terms_of(x @ matrix.T, model(0), ("ball",))["ball"] == pytest.approx(before, rel=1e-12)


@given(angles)
def test_ball_is_not_invariant_under_a_rotation(angle: float) -> None:
    """The corner of the square leaves it inwards, its side's middle outwards: the maximum norm is no Euclidean one."""
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64)
    corner = torch.full((31, 2), 1.2, dtype=torch.float64)
    before, after = terms_of(corner, model(0), ("ball",))["ball"], terms_of(corner @ turn.T, model(0), ("ball",))["ball"]
    assert before == pytest.approx(1.2**2 - 1)
    assert after > before + 1e-3


def test_there_are_eight_signed_permutations() -> None:
    found = signed_permutations()
    assert found.shape == (8, 2, 2)
    assert torch.equal(found[0], torch.eye(2, dtype=torch.float64))
    assert len({tuple(m.flatten().tolist()) for m in found}) == 8
    assert torch.allclose(found @ found.mT, torch.eye(2, dtype=torch.float64).expand(8, 2, 2))


@given(seeds)
def test_transition_term_of_the_mirrored_embedding(seed: int) -> None:
    """The transition term under x -> -x equals that of x under the mirrored dynamics -T(-x, a)."""
    params = model(seed)
    x = torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, (31, 2)))
    swapped = terms_of(-x, params, ("transition",))["transition"]
    batch = complete_batch(dtype=torch.float64)
    expected = -AGENT.transition(params, -x[batch.state], batch.action)  # the dynamics mirrored through the origin
    assert float((expected - x[batch.next_state]).square().mean()) == pytest.approx(swapped, rel=1e-12)
