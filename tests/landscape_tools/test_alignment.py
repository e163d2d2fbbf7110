from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from landscape_tools import HiddenLayer, align, apply_symmetry, dense_chain, difference, norm

WIDTHS = (6, 12, 9, 5, 2)
CHAIN = dense_chain("net", len(WIDTHS) - 1, signs=True)
seeds = st.integers(0, 2**31)


def network(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    point = {}
    for k in range(len(WIDTHS) - 1):
        point[f"net.{k}.weight"] = torch.randn(WIDTHS[k + 1], WIDTHS[k], generator=generator, dtype=torch.float64)
        point[f"net.{k}.bias"] = torch.randn(WIDTHS[k + 1], generator=generator, dtype=torch.float64)
    return point


def apply(point: dict[str, Tensor], x: Tensor) -> Tensor:
    for k in range(len(WIDTHS) - 1):
        x = x @ point[f"net.{k}.weight"].T + point[f"net.{k}.bias"]
        x = torch.tanh(x) if k < len(WIDTHS) - 2 else x
    return x


def scrambled(point: dict[str, Tensor], seed: int, *, signs: bool = True) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    for layer in CHAIN:
        units = len(point[layer.bias])
        sign = torch.randint(0, 2, (units,), generator=generator) * 2.0 - 1 if signs else torch.ones(units)
        point = apply_symmetry(point, layer, torch.randperm(units, generator=generator), sign)
    return point


@given(seeds)
def test_a_planted_permutation_and_sign_change_is_recovered_exactly(seed: int) -> None:
    original = network(seed)
    moved = scrambled(original, seed + 1)
    assert norm(difference(moved, original)) > 1
    aligned = align(moved, original, CHAIN)
    assert all(torch.equal(aligned[name], value) for name, value in original.items())


@given(seeds)
def test_aligning_changes_neither_the_function_nor_makes_the_distance_longer(seed: int) -> None:
    moving, fixed = network(seed), network(seed + 7)
    aligned = align(moving, fixed, CHAIN)
    x = torch.randn(20, WIDTHS[0], generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    assert torch.allclose(apply(aligned, x), apply(moving, x), atol=1e-12)
    assert norm(difference(aligned, fixed)) < norm(difference(moving, fixed))


def test_without_signs_only_permutations_are_tried() -> None:
    original = network(0)
    chain = dense_chain("net", len(WIDTHS) - 1, signs=False)
    permuted = scrambled(original, 5, signs=False)
    assert all(torch.equal(align(permuted, original, chain)[n], v) for n, v in original.items())
    x = torch.ones(1, WIDTHS[0], dtype=torch.float64)
    negated = scrambled(original, 5)
    assert torch.allclose(apply(align(negated, original, chain), x), apply(original, x))


def test_convolutions_keep_their_function() -> None:
    """Two tanh convolutions, the first followed by max-pooling: permutations there, permutations and signs after it."""
    generator = torch.Generator().manual_seed(0)
    shapes = {
        "c.0.weight": (8, 1, 2, 2),
        "c.0.bias": (8,),
        "c.1.weight": (6, 8, 3, 3),
        "c.1.bias": (6,),
        "c.2.weight": (3, 6, 1, 1),
        "c.2.bias": (3,),
    }
    original = {name: torch.randn(*shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}
    chain = [
        HiddenLayer("c.0.weight", "c.0.bias", "c.1.weight", signs=False),
        HiddenLayer("c.1.weight", "c.1.bias", "c.2.weight", signs=True),
    ]

    def function(p: dict[str, Tensor], x: Tensor) -> Tensor:
        conv = torch.nn.functional.conv2d
        x = torch.nn.functional.max_pool2d(torch.tanh(conv(x, p["c.0.weight"], p["c.0.bias"])), 2)
        return conv(torch.tanh(conv(x, p["c.1.weight"], p["c.1.bias"])), p["c.2.weight"], p["c.2.bias"])

    moved = apply_symmetry(original, chain[0], torch.randperm(8, generator=generator), torch.ones(8))
    moved = apply_symmetry(moved, chain[1], torch.randperm(6, generator=generator), torch.tensor([1.0, -1, 1, -1, -1, 1]))
    x = torch.randn(2, 1, 12, 12, generator=generator, dtype=torch.float64)
    assert torch.allclose(function(moved, x), function(original, x))
    aligned = align(moved, original, chain)
    assert all(torch.equal(aligned[name], value) for name, value in original.items())


def test_flattened_maps_keep_their_function() -> None:
    """A convolution whose maps of 5x5 a dense layer reads as 25 numbers a channel."""
    generator = torch.Generator().manual_seed(1)
    shapes = {
        "c.0.weight": (4, 1, 2, 2),
        "c.0.bias": (4,),
        "c.1.weight": (3, 100),
        "c.1.bias": (3,),
        "c.2.weight": (2, 3),
        "c.2.bias": (2,),
    }
    original = {name: torch.randn(*shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}
    chain = dense_chain("c", 3, signs=True)

    def function(p: dict[str, Tensor], x: Tensor) -> Tensor:
        x = torch.tanh(torch.nn.functional.conv2d(x, p["c.0.weight"], p["c.0.bias"])).flatten(1)
        return torch.tanh(x @ p["c.1.weight"].T + p["c.1.bias"]) @ p["c.2.weight"].T + p["c.2.bias"]

    moved = apply_symmetry(original, chain[0], torch.tensor([2, 0, 3, 1]), torch.tensor([1.0, -1, 1, -1]))
    moved = apply_symmetry(moved, chain[1], torch.tensor([1, 2, 0]), torch.tensor([-1.0, 1, 1]))
    x = torch.randn(2, 1, 6, 6, generator=generator, dtype=torch.float64)
    assert torch.allclose(function(moved, x), function(original, x))
    aligned = align(moved, original, chain)
    assert all(torch.equal(aligned[name], value) for name, value in original.items())
