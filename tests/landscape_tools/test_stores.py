"""Stores of another loss are not used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import landscape_tools as lt
from landscape_tools import stores
from tests.landscape_tools.test_purity import batch, line_net, mse


def interrupted(call: Callable[[Callable[[int, int], None]], Any], after: int) -> None:
    count = 0

    def stop(done: int, whole: int) -> None:
        nonlocal count
        count += 1
        if count == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call(stop)


@pytest.mark.parametrize("vectorize", ["auto", "vmap", "loop"])
def test_a_store_of_another_loss_is_not_used(vectorize: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "SAVE_EVERY", 0.0)
    x, y = batch()
    options: dict[str, Any] = {"chunk": 9, "vectorize": vectorize}
    one, two = lt.module_loss(line_net(), mse, x, y), lt.module_loss(line_net(), mse, 3 * x, y)
    axes, grid, store = lt.random_axes(one.point), torch.linspace(-1, 1, 9), tmp_path / "part.npz"
    interrupted(lambda stop: lt.sample_plane(one, one.point, *axes, grid, grid, **options, store=store, progress=stop), 4)
    assert store.exists()
    kept = store.read_bytes()
    found = lt.sample_plane(two, one.point, *axes, grid, grid, **options, store=store)
    assert np.allclose(found["loss"], lt.sample_plane(two, one.point, *axes, grid, grid, **options)["loss"])
    store.write_bytes(kept)
    calls: list[int] = []
    again = lt.sample_plane(one, one.point, *axes, grid, grid, **options, store=store, progress=lambda done, _: calls.append(done))
    assert calls[0] == 5 * 9  # four passes of its own loss were kept
    whole = lt.sample_plane(one, one.point, *axes, grid, grid, **options)
    assert np.allclose(again["loss"], whole["loss"], rtol=1e-5, atol=0)
    assert again.equals(whole) or vectorize == "auto"  # which goes by its clock, and the two ways differ in the last bits


def test_a_store_of_another_second_stage_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "SAVE_EVERY", 0.0)
    block = {"w": torch.tensor([1.0, 2.0])}, {"w": torch.tensor([0.5, -1.0])}
    store = tmp_path / "part.npz"

    def product(factor: float, **options: Any) -> Any:

        def outer(z: Any, p: Any) -> Any:
            return {"a": factor * (z * p["w"].sum()).square()}

        return lt.sample_product(lambda p: p["w"].sum(), outer, block, block, [0.0, 0.5, 1.0], [0.0, 0.5, 1.0], chunk=1, **options)

    interrupted(lambda stop: product(1.0, store=store, progress=stop), 2)
    assert np.allclose(product(2.0, store=store)["a"], product(2.0)["a"])


def test_each_half_of_a_line_has_its_own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line interrupted in its second half goes on there."""
    monkeypatch.setattr(stores, "SAVE_EVERY", 0.0)

    def loss(p: Any) -> Any:
        return p["w"].square().sum()

    ends, store = ({"w": torch.zeros(2)}, {"w": torch.ones(2)}), tmp_path / "part.npz"
    interrupted(lambda stop: lt.sample_line(loss, *ends, points=9, chunk=1, store=store, progress=stop), 5 + 3)
    done: list[int] = []
    line = lt.sample_line(loss, *ends, points=9, chunk=1, store=store, progress=lambda count, _: done.append(count))
    assert done == [1, 2, 3, 4, 5, 4]
    assert np.allclose(line["loss"], 2 * line["t"] ** 2)
    assert not list(tmp_path.iterdir())
