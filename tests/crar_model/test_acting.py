from __future__ import annotations

from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

import crar_model  # noqa: F401  registers the environments
from crar_model.agent.planning import plan_values
from crar_model.core.tiles import draw_grid, draw_pixels, read_grid
from crar_model.mazes.random_mazes import RandomMazeBatch
from crar_model.models.checkpoints import load_checkpoint, save_checkpoint
from crar_model.samples import BASE, RANDOM_BASE
from crar_model.tasks.batches import complete_batch, held_out_batch


@pytest.mark.parametrize("inverse", [False, True])
def test_every_form_of_an_observation_gives_one_state(inverse: bool) -> None:
    model = load_checkpoint(RANDOM_BASE)
    tiles = RandomMazeBatch(3, seed=4, inverse=inverse).observe()
    assert torch.equal(read_grid(draw_grid(tiles)), tiles)
    states = model.encode(tiles)
    assert states.shape == (3, 192)
    for other in (draw_grid(tiles), draw_pixels(tiles), draw_pixels(tiles).numpy(), draw_pixels(tiles)[:, 0][:, None]):
        assert torch.allclose(model.encode(other), states, atol=1e-4)
    assert torch.allclose(model.encode(draw_pixels(tiles)[1, 0].numpy()), states[1], atol=1e-4)
    assert torch.allclose(model.plan(draw_grid(tiles), 2), plan_values(model.agent, model.parameters, states, 2), atol=1e-3)


@pytest.mark.parametrize("observation", ["pixels", "grid"])
def test_a_trained_agent_plays_in_gymnasium(observation: str) -> None:
    """The shipped base finds its keys: far above a random policy, which ends near -5."""
    model = load_checkpoint(str(RANDOM_BASE))
    games = gymnasium.make_vec("crar/RandomMaze-v0", num_envs=16, vectorization_mode="vector_entry_point", observation=observation)
    seen, _ = games.reset(seed=3)
    total, running = np.zeros(16), np.ones(16, dtype=bool)
    for _ in range(50):
        action = model.act(seen, depth=2)
        assert action.shape == (16,)
        seen, reward, terminated, truncated, _ = games.step(action)
        total += reward * running
        running &= ~(terminated | truncated)
    assert total.mean() > -3
    assert isinstance(model.act(seen[0]), int)


def test_the_simple_maze_reads_its_environment() -> None:
    model = load_checkpoint(BASE)
    env = gymnasium.make("crar/SimpleMaze-v0")
    seen, info = env.reset(seed=0)
    states = model.encode(complete_batch().observations)
    assert torch.allclose(model.encode(seen), states[info["state"]], atol=1e-5)
    assert model.plan(np.stack([seen, seen])).shape == (2, 4)
    with pytest.raises(ValueError, match="wanted"):
        model.encode(np.zeros((1, 9, 9), dtype=np.float32))
    with pytest.raises(ValueError, match="height, width"):
        model.encode(np.zeros(8, dtype=np.float32))
    with pytest.raises(ValueError, match="none of this maze"):
        load_checkpoint(RANDOM_BASE).encode(np.full((1, 8, 8), 0.7, dtype=np.float32))


def test_models_and_batches_have_short_names(tmp_path: Path) -> None:
    model = load_checkpoint(BASE)
    save_checkpoint(str(tmp_path / "again.pt"), model)
    assert repr(load_checkpoint(str(tmp_path / "again.pt"))) == repr(model)
    assert model.digest in repr(model)
    assert "45,880 parameters" in repr(model)
    for thing in (model, complete_batch(), held_out_batch(False)):
        assert len(repr(thing)) < 300
        assert "tensor(" not in repr(thing)
