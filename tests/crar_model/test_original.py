"""Networks of the original code, as arrays in an `.npz` file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from crar_model import samples, tasks
from crar_model.core.errors import UserError
from crar_model.core.tensor_files import content_digest
from crar_model.mazes.simple import simple_maze
from crar_model.models.checkpoints import load_checkpoint, save_checkpoint
from crar_model.models.original import exported, import_network
from tests.corridor import CorridorTask
from tests.corruption import campaign, damaged

Arrays = dict[str, np.ndarray]
LAYERS = {"encoder": 5, "Q": 4, "R": 4, "gamma": 4, "transition": 5}


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    """What the original would dump of the shipped failed transfer."""
    return dict(exported(load_checkpoint(samples.FAILED).parameters))


def keras(arrays: Arrays) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """The five networks as Keras would compute them, written down apart from this project's code."""
    waiting = [arrays[name].astype(np.float64) for name in sorted(arrays)]
    nets: dict[str, Callable[[np.ndarray], np.ndarray]] = {}
    for name, layers in LAYERS.items():
        own = [(waiting.pop(0), waiting.pop(0)) for _ in range(layers)]

        def net(x: np.ndarray, own: list[tuple[np.ndarray, np.ndarray]] = own) -> np.ndarray:
            for number, (kernel, bias) in enumerate(own):
                x = x @ kernel + bias
                x = x if number == len(own) - 1 else np.tanh(x)
            return x

        nets[name] = net
    assert not waiting
    return nets


def test_the_networks_compute_what_keras_would(arrays: Arrays, tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", **arrays)
    model = import_network(tmp_path / "net.npz", "simple-inverse")
    assert (model.maze, model.inverse, model.info["source"]) == ("simple", True, "net.npz")
    nets, seen = keras(arrays), simple_maze().observations(inverse=True)
    x = nets["encoder"](seen.flatten(1).double().numpy())
    ours = model.encode(seen)
    np.testing.assert_allclose(ours, x, atol=2e-6)
    state = torch.from_numpy(x).float()
    np.testing.assert_allclose(model.agent.value(model.parameters, state), nets["Q"](x), atol=2e-6)
    for action in range(4):
        both = np.concatenate((x, np.tile(np.eye(4)[action], (len(x), 1))), axis=1)
        taken = torch.full((len(x),), action)
        np.testing.assert_allclose(model.agent.reward(model.parameters, state, taken), nets["R"](both)[:, 0], atol=2e-6)
        np.testing.assert_allclose(model.agent.discount(model.parameters, state, taken), nets["gamma"](both)[:, 0], atol=2e-6)
        np.testing.assert_allclose(model.agent.transition(model.parameters, state, taken), x + nets["transition"](both), atol=2e-6)
    save_checkpoint(tmp_path / "model.pt", model)
    again = load_checkpoint(tmp_path / "model.pt")
    assert (again.digest, again.info) == (load_checkpoint(samples.FAILED).digest, model.info)


def test_doubles_and_compressed_files_too(arrays: Arrays, tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "net.npz", **{name: array.astype(np.float64) for name, array in arrays.items()})
    assert import_network(tmp_path / "net.npz", "simple").digest == load_checkpoint(samples.FAILED).digest


class Bomb:
    """Pickles to a call that would leave a folder behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def without(arrays: Arrays, *names: str) -> Arrays:
    return {name: array for name, array in arrays.items() if name not in names}


CHANGES: dict[str, tuple[Callable[[Arrays], dict[str, Any]], str]] = {
    "one array too few": (lambda a: without(a, "p43"), "holds 43 arrays, the networks of the simple maze have 44"),
    "one too many": (lambda a: a | {"p44": np.zeros(3)}, "holds 45 arrays"),
    "a gap": (lambda a: without(a, "p07"), "with gaps"),
    "none": (lambda a: {}, "is empty"),
    "another name": (lambda a: a | {"weights": np.zeros(3)}, "has an array 'weights'"),
    "kernels turned": (lambda a: {name: array.T for name, array in a.items()}, r"p00 has shape \(200, 64\), but as encoder.0.weight"),
    "another order": (lambda a: a | {"p10": a["p18"], "p18": a["p10"]}, "p10 has shape"),
    "not finite": (lambda a: a | {"p05": np.full(50, np.nan)}, "p05 holds values that are not finite"),
    "too large for float32": (lambda a: a | {"p05": np.full(50, 1e300)}, "p05 holds values that are not finite"),
    "whole numbers": (lambda a: a | {"p05": np.zeros(50, dtype=np.int64)}, "p05 holds int64"),
    "complex numbers": (lambda a: a | {"p05": np.zeros(50, dtype=np.complex128)}, "p05 holds complex128"),
    "words": (lambda a: a | {"p05": np.array(["a"] * 50)}, "p05 holds <U1"),
    "a convolution": (lambda a: a | {"p00": np.zeros((2, 2, 1, 8), dtype=np.float32)}, "convolutional networks are not imported"),
    "too much": (lambda a: a | {"p00": np.zeros((5000, 4000), dtype=np.float32)}, "more than such a file has"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_what_is_no_network_is_explained(case: str, arrays: Arrays, tmp_path: Path) -> None:
    change, message = CHANGES[case]
    np.savez_compressed(tmp_path / "net.npz", **change(arrays))
    with pytest.raises(UserError, match=rf"net\.npz: .*{message}") as caught:
        import_network(tmp_path / "net.npz", "simple")
    assert "\n" not in str(caught.value)


def test_objects_are_not_unpickled(arrays: Arrays, tmp_path: Path) -> None:
    planted = tmp_path / "it-ran"
    np.savez(tmp_path / "net.npz", **(arrays | {"p05": np.array([Bomb(planted)], dtype=object)}), allow_pickle=True)
    with pytest.raises(UserError, match="holds objects, which are not loaded"):
        import_network(tmp_path / "net.npz", "simple")
    assert not planted.exists()


def test_files_that_are_none(arrays: Arrays, tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", arrays["p00"])
    (tmp_path / "note.npz").write_text("hello")
    for name, message in (("one.npy", "not an .npz"), ("note.npz", "not an .npz"), ("gone.npz", "cannot read"), (".", "cannot read")):
        with pytest.raises(UserError, match=message):
            import_network(tmp_path / name, "simple")


def test_a_maze_that_the_arrays_do_not_fit(arrays: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "net.npz", **arrays)
    monkeypatch.setitem(tasks.TASKS, "corridor", CorridorTask())
    with pytest.raises(UserError, match="holds 44 arrays, the networks of the corridor maze have"):
        import_network(tmp_path / "net.npz", "corridor")
    with pytest.raises(UserError, match="convolutional networks are not imported"):
        import_network(tmp_path / "net.npz", "random-inverse")
    for word in ("simple-odd", "-inverse", "", "simple-inverse-inverse"):
        with pytest.raises(UserError, match="--maze is"):
            import_network(tmp_path / "net.npz", word)


def test_a_damaged_file_is_refused_or_read_as_it_was(arrays: Arrays, tmp_path: Path) -> None:
    """An `.npz` has check sums of its own, which are looked at."""
    path = tmp_path / "net.npz"
    np.savez_compressed(path, **arrays)

    def read(file: Path) -> dict[str, Any]:
        return dict(import_network(file, "simple").parameters)

    found = campaign(read, damaged(path.read_bytes(), 120, seed=0), tmp_path, content_digest(read(path)))
    assert {outcome for _, outcome in found} <= {"refused", "unchanged"}, found
