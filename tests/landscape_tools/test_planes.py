from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from landscape_tools import (
    difference,
    dot,
    filter_normalised,
    flatten,
    gaussian_direction,
    moved,
    norm,
    restrict,
    rows_of,
    sample_plane,
    sample_points,
    stores,
    thread_safe,
    three_point_axes,
    trajectory_plane,
    unflatten,
)

X = torch.linspace(-1, 1, 5, dtype=torch.float64)


def point(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "a.weight": torch.randn(3, 4, generator=generator, dtype=torch.float64),
        "b.bias": torch.randn(3, generator=generator, dtype=torch.float64),
    }


@thread_safe
def loss(p: dict[str, Tensor]) -> dict[str, Tensor]:
    h = torch.tanh(p["a.weight"] @ X[:4] + p["b.bias"])
    return {"loss": h.square().sum(), "size": p["a.weight"].square().sum()}


def test_points_as_vectors_and_back() -> None:
    points = [point(seed) for seed in range(3)]
    stacked = {name: torch.stack([each[name] for each in points]) for name in points[0]}
    rows = rows_of(stacked)
    assert torch.equal(rows, torch.stack([flatten(each) for each in points]))
    assert all(torch.equal(value, stacked[name]) for name, value in unflatten(rows, points[0]).items())


def test_plane_equals_a_loop_over_points() -> None:
    origin, first, second = point(0), restrict(point(1), ["a"]), restrict(point(2), ["b"])
    plane = sample_plane(loss, origin, first, second, X, 2 * X[:4])
    for i, y in enumerate((2 * X[:4]).tolist()):
        for j, x in enumerate(X.tolist()):
            at = moved(origin, [first, second], [x, y])
            assert float(plane["loss"][i, j]) == pytest.approx(float(loss(at)["loss"]), rel=1e-12)
    assert plane["loss"].dims == ("y", "x")
    assert plane.attrs["first_norm"] == pytest.approx(norm(first))


@pytest.mark.parametrize("options", [{"chunk": 1}, {"chunk": 7}, {"threads": 2}, {"memory": 1}])
def test_options_do_not_change_values(options: dict[str, int]) -> None:
    axes = (point(0), point(1), point(2), X, X)
    whole, other = sample_plane(loss, *axes), sample_plane(loss, *axes, **options)
    assert np.allclose(whole["loss"], other["loss"], rtol=1e-13)


def test_batched_losses_are_called_with_all_points() -> None:
    seen = []

    def batched(p: dict[str, Tensor]) -> dict[str, Tensor]:
        seen.append(len(p["a.weight"]))
        return {"size": p["a.weight"].square().sum((-2, -1)) + 0 * p["b.bias"].sum(-1)}

    coordinates = X.unsqueeze(1)
    values = sample_points(batched, point(0), [restrict(point(1), ["a"])], coordinates, vectorize="batched")["size"]
    single = sample_points(loss, point(0), [restrict(point(1), ["a"])], coordinates)["size"]
    assert np.allclose(values, single)
    assert seen == [1, 1, 5]  # twice at one point first


def test_an_interrupted_surface_resumes_and_equals_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "SAVE_EVERY", 0.0)
    store, calls = tmp_path / "part.npz", 0

    def failing(p: dict[str, Tensor]) -> dict[str, Tensor]:
        nonlocal calls
        calls += 1
        if calls == 2 + 5:
            raise KeyboardInterrupt
        return loss(p)

    axes = (point(0), point(1), point(2), X, X)
    with pytest.raises(KeyboardInterrupt):
        sample_plane(failing, *axes, chunk=5, vectorize="vmap", store=store)
    assert store.exists()
    calls = 100
    resumed = sample_plane(failing, *axes, chunk=5, vectorize="vmap", store=store)
    assert (
        calls == 100 + 2 + 3 + 2 + 1
    )  # one point twice, one of each of the three passes that were kept, the other two, and one of them in the loop, too
    assert resumed.equals(sample_plane(loss, *axes, chunk=5, vectorize="vmap"))
    assert not store.exists()


def test_a_store_of_another_family_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "SAVE_EVERY", 0.0)
    store = tmp_path / "part.npz"
    keep = stores._Store(store, "another")
    keep.add(0, {"loss": np.zeros(5), "size": np.zeros(5)})
    found = sample_points(loss, point(0), [point(1)], X.unsqueeze(1), store=store)
    assert np.all(found["loss"] > 0)
    for junk in (b"", b"PK\x03\x04 half", b"a text"):
        store.write_bytes(junk)
        again = sample_points(loss, point(0), [point(1)], X.unsqueeze(1), store=store)
        assert all(np.array_equal(again[name], values) for name, values in found.items())


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("landscape_tools.files.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        stores._Store(tmp_path / "part.npz", "f").save()
    assert not list(tmp_path.iterdir())


def test_three_points_lie_where_they_should() -> None:
    a, b, c = point(0), point(1), point(2)
    first, second, (u, v) = three_point_axes(a, b, c)
    assert dot(first, second) == pytest.approx(0, abs=1e-10)
    assert norm(first) == pytest.approx(norm(second))
    there = moved(a, [first, second], [u, v])
    assert torch.allclose(flatten(there), flatten(c))
    with pytest.raises(ValueError, match="on a line"):
        three_point_axes(a, b, moved(a, [difference(b, a)], [2.5]))


def test_filter_normalisation() -> None:
    where, generator = point(0), torch.Generator().manual_seed(3)
    raw = gaussian_direction(where, generator)
    scaled = filter_normalised(raw, where)
    assert torch.allclose(scaled["a.weight"].norm(dim=1), where["a.weight"].norm(dim=1))
    assert not bool(scaled["b.bias"].any())
    assert torch.allclose(filter_normalised(raw, where, biases="norm")["b.bias"].norm(), where["b.bias"].norm())
    assert torch.equal(filter_normalised(raw, where, biases="keep")["b.bias"], raw["b.bias"])
    with pytest.raises(ValueError, match="choose zero"):
        filter_normalised(raw, where, biases="twice")


def test_plane_of_a_trajectory() -> None:
    """A circle in a known plane plus a small known offset of one snapshot."""
    end, u, v = (
        point(0),
        unflatten(torch.eye(15, dtype=torch.float64)[2], point(0)),
        unflatten(torch.eye(15, dtype=torch.float64)[9], point(0)),
    )
    off = unflatten(torch.eye(15, dtype=torch.float64)[5], point(0))
    angles = [k * math.pi / 5 for k in range(1, 10)] + [0.0]
    snapshots = [moved(end, [u, v], [3 * (math.cos(t) - 1), math.sin(t)]) for t in angles]
    snapshots[4] = moved(snapshots[4], [off], [0.2])
    plane = trajectory_plane(snapshots)
    assert sum(plane.explained) == pytest.approx(1, abs=1e-2)
    assert plane.explained[0] > plane.explained[1]
    _, singular, rows = np.linalg.svd(np.stack([flatten(difference(s, end)).numpy() for s in snapshots[:-1]]), full_matrices=False)
    assert plane.explained == pytest.approx(tuple(singular[:2] ** 2 / (singular**2).sum()))
    rows_of = np.stack([flatten(s).numpy() for s in snapshots])
    about = (rows_of - rows_of.mean(0)) @ np.stack([flatten(d).numpy() for d in plane.directions]).T
    assert plane.variance == pytest.approx(tuple((about**2).sum(0) / ((rows_of - rows_of.mean(0)) ** 2).sum()))
    assert abs(plane.variance[0] - plane.explained[0]) > 0.05  # the last snapshot lies at the rim
    beyond = flatten(difference(snapshots[4], end)).numpy() @ rows[2:].T
    assert float(plane.distances[4]) == pytest.approx(float(np.linalg.norm(beyond)), rel=1e-6)
    assert int(plane.distances.argmax()) == 4
    assert float(plane.distances[-1]) == 0
    assert dot(*plane.directions) == pytest.approx(0, abs=1e-9)
    rebuilt = moved(plane.origin, plane.directions, plane.coordinates[0].tolist())
    assert norm(difference(rebuilt, snapshots[0])) == pytest.approx(float(plane.distances[0]), abs=1e-6)


def test_unusable_planes() -> None:
    zero = {name: torch.zeros_like(value) for name, value in point(0).items()}
    with pytest.raises(ValueError, match="first direction is zero"):
        sample_plane(loss, point(0), zero, point(1), X, X)
    with pytest.raises(ValueError, match="at least 2 x 2"):
        sample_plane(loss, point(0), point(1), point(2), [0.0], X)
    with pytest.raises(ValueError, match="does not have in that shape"):
        sample_plane(loss, point(0), {"a.weight": torch.ones(2)}, point(1), X, X)
    with pytest.raises(ValueError, match="known blocks are a, b"):
        restrict(point(0), ["c"])
    with pytest.raises(ValueError, match="at least 3"):
        trajectory_plane([point(0), point(1)])
    with pytest.raises(ValueError, match="straight line"):
        trajectory_plane([moved(point(0), [point(1)], [t]) for t in (2.0, 1.0, 0.0)])
