from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from crar_model.agent.batch import Batch
from crar_model.agent.loss import Loss
from crar_model.agent.networks import ConvAgent
from crar_model.agent.planning import plan_values
from crar_model.agent.symmetry import match_embeddings, negate_first_layer, signed_permutations
from crar_model.core.params import Params, block_of
from crar_model.core.tiles import draw_pixels, negated
from crar_model.mazes.walks import gather_walk
from crar_model.nets import Conv, Layers, convolve, index_tiles
from crar_model.tasks import default_settings, task_named
from crar_model.tasks.batches import held_out_batch, walk_batch

AGENT = ConvAgent()
NETS = {
    "encoder": AGENT.encoder,
    "transition": AGENT.transition_net,
    "reward": AGENT.reward_net,
    "discount": AGENT.reward_net,
    "value": AGENT.value_net,
}


def make(seed: int, dtype: torch.dtype = torch.float64) -> Params:
    """Random parameters, biases included."""
    rng = torch.Generator().manual_seed(seed)
    start = AGENT.init(np.random.default_rng(seed))
    return {n: (v + 0.05 * torch.randn(v.shape, generator=rng)).to(dtype) for n, v in start.items()}


def torch_net(params: Params, block: str) -> nn.Sequential:
    """The network of section 3, layer for layer: tanh before pooling, padding by hand."""
    layers: list[nn.Module] = []
    net: Layers = NETS[block]
    for k, layer in enumerate(net):
        weight, bias = params[f"{block}.{k}.weight"], params[f"{block}.{k}.bias"]
        if isinstance(layer, Conv):
            if layer.size == 2:
                layers.append(nn.ZeroPad2d((0, 1, 0, 1)))
            module: nn.Module = nn.Conv2d(weight.shape[1], layer.out, layer.size, padding=1 if layer.size == 3 else 0).to(weight.dtype)
        else:
            layers.append(nn.Flatten())
            module = nn.Linear(weight.shape[1], layer.out).to(weight.dtype)
        module.load_state_dict({"weight": weight, "bias": bias})
        layers.append(module)
        if k < len(net) - 1:
            layers.append(nn.Tanh())
        if isinstance(layer, Conv) and layer.pool > 1:
            layers.append(nn.MaxPool2d(layer.pool))
    return nn.Sequential(*layers)


def boards(seed: int, count: int, *, inverse: bool = False) -> Tensor:
    walk = gather_walk(seed, 50 * count, inverse=inverse)
    return torch.from_numpy(walk.tiles[:: len(walk.tiles) // count][:count]).view(-1, 1, 8, 8)


def test_sizes_are_those_of_the_study() -> None:
    count = dict.fromkeys(NETS, 0)
    for name, shape in AGENT.shapes().items():
        count[block_of(name)] += int(np.prod(shape))
    assert count == {"encoder": 5_307, "transition": 29_507, "reward": 31_327, "discount": 31_327, "value": 31_134}
    assert sum(count.values()) == 128_602
    assert task_named("random").agent() == AGENT


@pytest.mark.parametrize("inverse", [False, True])
def test_encoder_on_pieces_is_the_convolution_of_the_image(inverse: bool) -> None:
    params, tiles = make(0), boards(1, 12, inverse=inverse)
    expected = torch_net(params, "encoder")(draw_pixels(tiles, torch.float64))
    assert expected.shape == (12, 3, 8, 8)
    assert torch.allclose(AGENT.encode(params, tiles), expected.flatten(1), atol=1e-12)
    single = {name: value.float()[None] for name, value in params.items()}
    assert torch.allclose(AGENT.encode(single, tiles)[0].double(), expected.flatten(1), atol=3e-5)


@given(st.lists(st.integers(0, 8), min_size=64, max_size=64))
def test_encoder_on_pieces_holds_for_any_board(kinds: list[int]) -> None:
    """Not only for boards of the mazes: agents at the border, mixed signs, blanks."""
    params, tiles = make(3), torch.tensor(kinds, dtype=torch.uint8).view(1, 1, 8, 8)
    expected = convolve(params, "encoder", AGENT.encoder, draw_pixels(tiles, torch.float64)).flatten(1)
    assert torch.allclose(AGENT.encode(params, tiles), expected, atol=1e-12)


def test_few_pieces_of_a_batch_are_distinct() -> None:
    index = index_tiles(boards(2, 64))
    assert len(index.patches) < 400
    assert len(index.values) < 3_000
    assert len(index.windows) < 3_000
    assert index.places.shape == (64 * 64,)


def test_encoder_gradients_on_pieces_are_those_of_the_image() -> None:
    params = {n: v.requires_grad_() for n, v in make(4).items() if block_of(n) == "encoder"}
    tiles, rng = boards(5, 8), torch.Generator().manual_seed(0)
    weight = torch.randn(8, 192, generator=rng, dtype=torch.float64)
    names = list(params)
    plain = torch.autograd.grad(
        (convolve(params, "encoder", AGENT.encoder, draw_pixels(tiles, torch.float64)).flatten(1) * weight).sum(), list(params.values())
    )
    pieces = torch.autograd.grad((AGENT.encode(params, tiles) * weight).sum(), list(params.values()))
    single = {n: v.detach().float()[None].requires_grad_() for n, v in params.items()}
    native = torch.autograd.grad((AGENT.encode(single, tiles)[0] * weight.float()).sum(), list(single.values()))
    for name, a, b, c in zip(names, plain, pieces, native, strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-11), name
        assert torch.allclose(a, c[0].double(), rtol=1e-3, atol=1e-4 * float(a.abs().max())), name


@pytest.mark.parametrize("block", ["transition", "reward", "value"])
def test_networks_and_their_gradients(block: str) -> None:
    """Plain PyTorch layers against one model, members one by one, compiled kernels, and every network on every input."""
    channels = 3 if block == "value" else 7
    rng = torch.Generator().manual_seed(1)
    x = torch.randn(2, 5, channels, 8, 8, generator=rng, dtype=torch.float64)
    models = [make(seed) for seed in (6, 7)]
    expected = torch.stack([torch_net(p, block)(rows) for p, rows in zip(models, x, strict=True)])
    assert torch.allclose(convolve(models[0], block, NETS[block], x[0]), expected[0], atol=1e-12)
    members = {n: torch.stack([p[n] for p in models]) for n in models[0]}
    assert torch.allclose(convolve(members, block, NETS[block], x), expected, atol=1e-12)
    every = convolve({n: v.unsqueeze(1) for n, v in members.items()}, block, NETS[block], x)
    assert torch.allclose(every[0, 1], torch_net(models[0], block)(x[1]), atol=1e-12)
    mine = {n: v.float().requires_grad_() for n, v in members.items() if block_of(n) == block}
    exact = {n: v.detach().double().requires_grad_() for n, v in mine.items()}
    inputs = [x.float().requires_grad_(), x.float().double().requires_grad_()]
    found, wanted = convolve(mine, block, NETS[block], inputs[0]), convolve(exact, block, NETS[block], inputs[1])
    assert torch.allclose(found.double(), wanted, atol=1e-5)
    weight = torch.randn(wanted.shape, generator=rng, dtype=torch.float64)
    grads = torch.autograd.grad((found * weight.float()).sum(), [inputs[0], *mine.values()])
    rights = torch.autograd.grad((wanted * weight).sum(), [inputs[1], *exact.values()])
    for name, a, b in zip(("input", *mine), grads, rights, strict=True):
        assert torch.allclose(a.double(), b, rtol=1e-3, atol=1e-4 * float(b.abs().max())), name


def test_every_agent_s_dynamics_on_every_state() -> None:
    """Parameters (n, 1, ...) on abstract states (m, rows, ...) with their actions: (n, m, rows, ...)."""
    models = [make(seed) for seed in (6, 7, 8)]
    every = {n: torch.stack([p[n] for p in models]).unsqueeze(1) for n in models[0]}
    rng = torch.Generator().manual_seed(3)
    x, action = torch.randn(2, 5, 192, generator=rng, dtype=torch.float64), torch.randint(4, (2, 5), generator=rng)
    moved, reward = AGENT.transition(every, x, action), AGENT.reward(every, x, action)
    assert moved.shape == (3, 2, 5, 192)
    assert reward.shape == (3, 2, 5)
    for n, model in enumerate(models):
        for m in range(2):
            assert torch.allclose(moved[n, m], AGENT.transition(model, x[m], action[m]), atol=1e-12)
            assert torch.allclose(reward[n, m], AGENT.reward(model, x[m], action[m]), atol=1e-12)


def test_grouped_convolutions_of_other_devices_are_the_same_function() -> None:
    from crar_model.nets.conv import _Conv

    models = [make(seed) for seed in (8, 9, 10)]
    x = torch.randn(3, 4, 7, 8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for block in ("transition", "reward"):
        weights = [torch.stack([p[f"{block}.{k}.{kind}"] for p in models]) for k in range(len(NETS[block])) for kind in ("weight", "bias")]
        members = {n: torch.stack([p[n] for p in models]) for n in models[0]}
        wanted = convolve(members, block, NETS[block], x)
        whole, planed = _Conv(NETS[block], 7, 8), _Conv(NETS[block], 3, 8, planes=4)
        assert torch.allclose(whole._computed(weights, x.flatten(2), lambda layer: layer.grouped), wanted, atol=1e-12)
        flat = torch.cat((x[:, :, :4, 0, 0], x[:, :, 4:].flatten(2)), dim=-1)
        constant = torch.cat((x[:, :, :4, :1, :1].expand(-1, -1, -1, 8, 8), x[:, :, 4:]), dim=2)
        wanted = convolve(members, block, NETS[block], constant)
        assert torch.allclose(planed._computed(weights, flat, lambda layer: layer.grouped), wanted, atol=1e-12)


@given(st.integers(0, 30))
def test_negating_the_first_layer_undoes_the_inverse_maze(seed: int) -> None:
    params, tiles = make(seed), boards(seed % 3, 3)
    assert torch.equal(AGENT.encode(negate_first_layer(params), negated(tiles)), AGENT.encode(params, tiles))


def reference_terms(params: Params, target: Params, batch: Batch) -> dict[str, Tensor]:
    """Section 4's formulas, spelt out on images with plain layers."""
    nets = {block: torch_net(params, block) for block in NETS}
    old = {block: torch_net(target, block) for block in ("encoder", "value")}
    images = draw_pixels(batch.observations, torch.float64)
    x, x_next = nets["encoder"](images[batch.state]), nets["encoder"](images[batch.next_state])
    maps = F.one_hot(batch.action, 4).double()[:, :, None, None].expand(-1, 4, 8, 8)
    joined, live = torch.cat((maps, x), 1), 1 - batch.terminated

    def near(a: Tensor, b: Tensor) -> Tensor:
        return torch.exp(-5 * (a - b).flatten(1).square().sum(1).clamp(1e-6, 10).sqrt()).mean()

    best = nets["value"](x_next).argmax(1, keepdim=True)
    y = batch.reward + live * 0.9 * old["value"](old["encoder"](images[batch.next_state])).gather(1, best)[:, 0]
    q = nets["value"](x).gather(1, batch.action[:, None])[:, 0]
    return {
        "transition": (live * (x + nets["transition"](joined) - x_next).square().flatten(1).mean(1)).mean(),
        "reward": (nets["reward"](joined)[:, 0] - batch.reward).square().mean(),
        "discount": (nets["discount"](joined)[:, 0] - live * 0.9).square().mean(),
        "ball": (x.square().amax(1) - 1).clamp(0, 100).mean(),
        "random_pairs": near(x, x.roll(1, 0)),
        "consecutive": near(x, x_next),
        "value": (q - y).square().mean() / 4,
    }


def test_losses_are_the_formulas() -> None:
    params, target = make(11), make(12)
    batch = walk_batch(gather_walk(3, 4000), np.arange(0, 4000, 200), torch.float64)
    batch = dataclasses.replace(batch, terminated=(torch.arange(20) % 5 == 0).double(), reward=batch.reward.double())
    settings = default_settings("random").loss
    assert (settings.double_q, settings.beta) == (True, 1.0)
    found = Loss(AGENT, settings)(params, batch, target=target)
    for name, value in reference_terms(params, target, batch).items():
        assert float(found[name]) == pytest.approx(float(value.detach()), rel=1e-9), name
    members = {n: torch.stack([v, make(13)[n]]) for n, v in params.items()}
    both = Loss(AGENT, settings)(members, batch)
    assert both["value"].shape == (2,)
    assert float(both["reward"][0]) == pytest.approx(float(found["reward"]), rel=1e-9)


def test_bootstrap_without_double_q_uses_the_target_alone() -> None:
    params, target = make(14), make(15)
    batch = walk_batch(gather_walk(3, 400), np.arange(0, 400, 40), torch.float64)
    settings = dataclasses.replace(default_settings("random").loss, double_q=False)
    wanted = AGENT.value(target, AGENT.encode(target, batch.observations[batch.next_state])).amax(-1)
    found = Loss(AGENT, settings).targets(params, batch, target)
    assert torch.allclose(found, batch.reward + 0.9 * (1 - batch.terminated) * wanted)
    given_embedding = Loss(AGENT, default_settings("random").loss).targets(params, batch, target, AGENT.encode(params, batch.observations))
    assert torch.allclose(given_embedding, Loss(AGENT, default_settings("random").loss).targets(params, batch, target))


def q_recursive(params: Params, x: Tensor, action: int, i: int) -> float:
    """Q^i of one state and action, by the definition."""
    if i == 0:
        return float(AGENT.value(params, x[None])[0, action])
    a = torch.tensor([action])
    next_state = AGENT.transition(params, x[None], a)[0]
    values = AGENT.value(params, next_state[None])[0]
    options = range(4) if i == 1 else values.topk(2).indices.tolist()
    best = max(q_recursive(params, next_state, b, i - 1) for b in options)
    return float(AGENT.reward(params, x[None], a)) + float(AGENT.discount(params, x[None], a)) * best


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_planning_equals_the_recursion(depth: int) -> None:
    params = make(16)
    x = AGENT.encode(params, boards(6, 3))
    expected = [[sum(q_recursive(params, state, a, i) for i in range(depth + 1)) / (depth + 1) for a in range(4)] for state in x]
    assert torch.allclose(plan_values(AGENT, params, x, depth), torch.tensor(expected, dtype=torch.float64), atol=1e-9)
    members = {n: torch.stack([v, make(17)[n]]) for n, v in params.items()}
    batched = plan_values(AGENT, members, torch.stack([x, x]), depth)
    assert torch.allclose(batched[0], plan_values(AGENT, params, x, depth), atol=1e-9)
    assert not torch.allclose(batched[1], batched[0])


def test_planning_depth_below_zero() -> None:
    with pytest.raises(ValueError, match="depth"):
        plan_values(AGENT, make(0), torch.zeros(1, 192, dtype=torch.float64), -1)


@given(st.integers(0, 47), st.floats(0, 0.05))
def test_planted_signed_permutation_of_channels_is_found(which: int, noise: float) -> None:
    rng = torch.Generator().manual_seed(which)
    base = torch.randn(40, 192, generator=rng, dtype=torch.float64)
    matrix = signed_permutations(3)[which]
    moved = torch.einsum("ij,njk->nik", matrix, base.view(40, 3, 64)).flatten(1)
    batch = dataclasses.replace(held_out_batch(False), states=torch.arange(40), moves=torch.tensor([[0, 1], [2, 3]]))
    match = match_embeddings(AGENT, batch, base, moved + noise * torch.randn(base.shape, generator=rng, dtype=torch.float64))
    unit = float((base[[2, 3]] - base[[0, 1]]).norm(dim=1).mean())
    assert match.mean_move == pytest.approx(unit)
    assert match.axes == matrix.int().tolist()
    assert match.verdict == ("matched" if which == 0 else "swapped")
    assert match.residual_edges == pytest.approx(noise * 192**0.5 / unit, rel=0.1, abs=1e-12)
    assert match.distance == pytest.approx(float((moved - base).norm(dim=1).mean()), rel=0.1, abs=1.0)


def test_held_out_batch_is_the_same_in_both_mazes() -> None:
    plain, inverse = held_out_batch(False), held_out_batch(True)
    assert len(plain.state) == 512
    assert torch.equal(negated(plain.observations), inverse.observations)
    assert torch.equal(plain.action, inverse.action)
    walls = {bytes(board.flatten().tolist()) for board in (plain.observations[plain.state] == 1)}
    assert len(walls) > 30  # many maps
