"""Two-stage planes against the general sampler, which evaluates every point on its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from landscape_tools import restrict, sample_plane, sample_product, stores, thread_safe

X = torch.linspace(-1, 1, 5, dtype=torch.float64)
ROWS = torch.linspace(-1, 1, 8, dtype=torch.float64).view(2, 4)


def point(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "a.weight": torch.randn(3, 4, generator=generator, dtype=torch.float64),
        "b.weight": torch.randn(2, 3, generator=generator, dtype=torch.float64),
    }


def inner(p: dict[str, Tensor]) -> Tensor:
    return torch.tanh(ROWS @ p["a.weight"].T)


@thread_safe
def outer(features: Tensor, p: dict[str, Tensor]) -> dict[str, Tensor]:
    out = features @ p["b.weight"].T
    return {"loss": out.square().mean(), "size": features.square().sum(), "log": out.mean().log()}


def product(**options: Any) -> Any:
    a, b = ((restrict(point(0), [k]), restrict(point(1), [k])) for k in "ab")
    return sample_product(inner, outer, a, b, X, 2 * X[:4], **options)


@pytest.mark.parametrize("options", [{}, {"chunk": 1}, {"memory": 1}, {"threads": 2, "chunk": 1}])
def test_product_equals_the_general_plane(options: dict[str, int]) -> None:
    first, second = restrict(point(1), ["a"]), restrict(point(1), ["b"])
    plane = sample_plane(lambda p: outer(inner(p), p), point(0), first, second, X, 2 * X[:4])
    surface = product(**options)
    for name in ("loss", "size", "log"):
        assert np.allclose(surface[name], plane[name], rtol=1e-12, equal_nan=True)
    assert surface.attrs == plane.attrs
    assert 0 < surface.attrs["not_finite"] < 20  # the logarithm of a negative number is NaN, and counted


def test_an_interrupted_product_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "SAVE_EVERY", 0.0)
    whole, store, seen = product(chunk=1), tmp_path / "part.npz", []

    def stop(done: int, _: int) -> None:
        seen.append(done)
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        product(chunk=1, store=store, progress=stop)
    assert store.exists()
    seen.clear()
    assert product(chunk=1, store=store, progress=lambda done, _: seen.append(done)).equals(whole)
    assert seen == [15, 20]
    assert not store.exists()


def test_bad_axes_are_refused() -> None:
    a, b = ((restrict(point(0), [k]), restrict(point(1), [k])) for k in "ab")
    with pytest.raises(ValueError, match="2 x 2"):
        sample_product(inner, outer, a, b, X[:1], X)
    zero = {"b.weight": torch.zeros(2, 3, dtype=torch.float64)}
    with pytest.raises(ValueError, match="second direction is zero"):
        sample_product(inner, outer, a, (b[0], zero), X, X)
