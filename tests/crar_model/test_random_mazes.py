from __future__ import annotations

import heapq
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crar_model.core.errors import UserError
from crar_model.core.tiles import AGENT, AGENT_SPRITE, BLANK, FREE, KEY, KEY_SPRITE, NEGATIVE, WALL, draw_grid, draw_pixels, negated
from crar_model.mazes.legacy import legacy_accepts
from crar_model.mazes.random_mazes import (
    ACTION_STEPS,
    START,
    Maps,
    RandomMazeBatch,
    draw_candidates,
    draw_maps,
    reachable,
)
from crar_model.mazes.walks import OLD_NAMES, gather_walk, load_walk, save_walk


def flood(walls: np.ndarray) -> set[int]:
    """Cells within reach of (1, 1), one by one."""
    reached, waiting = {START}, [START]
    while waiting:
        cell = waiting.pop()
        for row, column in ACTION_STEPS:
            other = cell + 8 * row + column
            if not walls[other] and other not in reached:
                reached.add(other)
                waiting.append(other)
    return reached


class Node:
    def __init__(self, cell: int) -> None:
        self.cell, self.g, self.f = cell, 0, 0

    def __lt__(self, other: Node) -> bool:
        return self.f < other.f


def uncleared_search(walls: np.ndarray, keys: list[int]) -> bool:
    """A* for key after key with the open list and the closed set of the searches before, on Python's own heap."""
    nodes = [Node(cell) for cell in range(64)]
    waiting: list[tuple[int, Node]] = []
    closed: set[int] = set()
    for key in keys:
        heapq.heappush(waiting, (nodes[START].f, nodes[START]))
        while waiting:
            node = heapq.heappop(waiting)[1]
            closed.add(node.cell)
            if node.cell == key:
                break
            row, column = divmod(node.cell, 8)
            for r, c in ((row + 1, column), (row, column - 1), (row - 1, column), (row, column + 1)):
                if not (0 <= r < 8 and 0 <= c < 8) or walls[8 * r + c] or 8 * r + c in closed:
                    continue
                other = nodes[8 * r + c]
                known = (other.f, other) in waiting
                if not known or other.g > node.g + 10:
                    other.g = node.g + 10
                    other.f = other.g + 10 * (abs(r - key // 8) + abs(c - key % 8))
                if not known:
                    heapq.heappush(waiting, (other.f, other))
        else:
            return False
    return True


def test_candidates_follow_the_rules() -> None:
    maps = draw_candidates(np.random.default_rng(0), 500)
    walls = maps.walls.view(-1, 8, 8)
    assert bool(walls[:, [0, 7]].all() and walls[:, :, [0, 7]].all())
    assert torch.equal(walls[:, 1:6, 1:6].sum((1, 2)), torch.full((500,), 12))
    assert not bool(walls[:, 6, 1:7].any() or walls[:, 1:7, 6].any() or walls[:, 1, 1].any())
    assert not bool(maps.walls.gather(1, maps.keys).any())
    assert bool((maps.keys != START).all())
    assert all(len(set(keys)) == 3 for keys in maps.keys.tolist())
    assert len(set(maps.keys.flatten().tolist())) == 35  # every free cell of rows and columns 1..6 but the start


def test_walls_are_uniform() -> None:
    walls = draw_candidates(np.random.default_rng(1), 20_000).walls.view(-1, 8, 8)[:, 1:6, 1:6].double().mean(0).flatten()[1:]
    assert float((walls - 0.5).abs().max()) < 0.02  # 12 of 24 cells; 5 standard errors


def test_reachability_is_a_flood_fill() -> None:
    maps = draw_candidates(np.random.default_rng(2), 60)
    for walls, reached in zip(maps.walls.numpy(), reachable(maps.walls), strict=True):
        assert set(reached.nonzero().squeeze(1).tolist()) == flood(walls)


def test_drawn_maps_are_solvable_and_depend_on_the_seed_alone() -> None:
    maps = draw_maps(3, 300)
    assert bool(reachable(maps.walls).gather(1, maps.keys).all())
    assert torch.equal(draw_maps(3, 100).walls, maps.walls[:100])
    assert not torch.equal(draw_maps(4, 100).walls, maps.walls[:100])


def test_legacy_path_finder_is_the_uncleared_one() -> None:
    maps = draw_candidates(np.random.default_rng(5), 1500)
    accepted = legacy_accepts(maps.walls.numpy(), maps.keys.numpy(), START)
    for walls, keys, answer in zip(maps.walls.numpy(), maps.keys.tolist(), accepted, strict=True):
        assert bool(answer) == uncleared_search(walls, keys)


def test_legacy_path_finder_settles_ties_as_the_heap_does() -> None:
    """A map, one of 700,000, whose answer hangs on entries of equal f: cells whose f has changed since they went in."""
    maps = draw_candidates(np.random.default_rng(21), 100_000)
    walls, keys = maps.walls.numpy()[79_702], maps.keys.numpy()[79_702]
    assert bool(legacy_accepts(walls[None], keys[None], START)[0]) == uncleared_search(walls, keys.tolist())


def test_legacy_path_finder_accepts_few_of_the_solvable_maps() -> None:
    maps = draw_candidates(np.random.default_rng(6), 100_000)
    solvable = reachable(maps.walls).gather(1, maps.keys).all(1).numpy()
    accepted = legacy_accepts(maps.walls.numpy(), maps.keys.numpy(), START)
    assert not (accepted & ~solvable).any()
    assert 0.058 < accepted.sum() / solvable.sum() < 0.070
    drawn = draw_maps(7, 50, legacy_astar=True)
    assert legacy_accepts(drawn.walls.numpy(), drawn.keys.numpy(), START).all()


def test_sprites_and_scaling() -> None:
    tiles = torch.full((1, 8, 8), FREE, dtype=torch.uint8)
    tiles[0, 0, 0], tiles[0, 2, 3], tiles[0, 4, 5] = WALL, AGENT, KEY
    image = draw_pixels(tiles, torch.float64)
    assert image.shape == (1, 48, 48)
    assert torch.equal(image[0, 12:18, 18:24], 2 * torch.tensor(AGENT_SPRITE, dtype=torch.float64) - 1)
    assert torch.equal(image[0, 24:30, 30:36], 2 * torch.tensor(KEY_SPRITE, dtype=torch.float64) - 1)
    assert bool((image[0, :6, :6] == 1).all())
    assert bool((image[0, 40:, :] == -1).all())
    assert float(torch.tensor(AGENT_SPRITE).sum()) == pytest.approx(0.8 + 0.9 * (5 + 3 + 3 + 2 + 4))
    assert float(torch.tensor(KEY_SPRITE).sum()) == pytest.approx(6 * 0.6 + 0.7 * (2 + 1 + 2 + 3))
    grid = draw_grid(tiles)
    assert [round(float(grid[0, r, c]), 2) for r, c in ((0, 0), (2, 3), (4, 5), (7, 7))] == [0.99, 0.25, 0.5, 0.0]


def test_inverse_is_the_negative() -> None:
    plain, inverse = (RandomMazeBatch(5, seed=1, inverse=side) for side in (False, True))
    assert torch.equal(draw_pixels(inverse.observe()), -draw_pixels(plain.observe()))
    assert torch.equal(draw_grid(inverse.observe()), -draw_grid(plain.observe()))
    assert torch.equal(negated(plain.observe()), inverse.observe())
    blank = torch.full((1, 8, 8), BLANK, dtype=torch.uint8)
    assert torch.equal(negated(blank), blank)
    assert not bool(draw_pixels(blank).any())


@given(st.lists(st.integers(0, 3), min_size=1, max_size=120), st.integers(0, 5))
def test_batch_moves_like_one_agent(actions: list[int], seed: int) -> None:
    maps = draw_maps(seed, 3)
    batch = RandomMazeBatch(3, maps=maps, step_limit=50)
    cell, keys = START, set(maps.keys[1].tolist())
    for steps, action in enumerate(actions, 1):
        row, column = ACTION_STEPS[action]
        target = cell + 8 * row + column
        cell = cell if bool(maps.walls[1, target]) else target
        expected = 1.0 if cell in keys else -0.1
        keys.discard(cell)
        tiles, reward, terminated, late = batch.step(torch.full((3,), action))
        assert float(reward[1]) == pytest.approx(expected)
        assert (bool(terminated[1]), bool(late[1])) == (not keys, bool(keys) and steps >= 50)
        board = tiles[1].flatten()
        assert int(board[cell]) == AGENT
        assert set((board == KEY).nonzero().squeeze(1).tolist()) == keys
        if not keys or steps >= 50:
            break


def test_copies_reset_on_their_own_to_their_next_map() -> None:
    maps = draw_maps(0, 6)
    batch = RandomMazeBatch(2, maps=maps)
    before = batch.walls.clone()
    batch.step(torch.tensor([0, 0]))
    batch.reset(torch.tensor([True, False]))
    assert torch.equal(batch.walls[0], maps.walls[1])
    assert torch.equal(batch.walls[1], before[1])
    assert batch.steps.tolist() == [0, 1]
    for _ in range(2):
        batch.reset(torch.tensor([True, False]))
    assert torch.equal(batch.walls[0], maps.walls[0])
    with pytest.raises(ValueError, match="multiple"):
        RandomMazeBatch(4, maps=maps)
    with pytest.raises(ValueError, match="num_envs"):
        RandomMazeBatch(0)


def test_thousands_of_copies_run_on_the_meta_device() -> None:
    """The meta device fails on anything that asks for a value."""
    maps = Maps(*(tensor.to("meta") for tensor in (draw_maps(0, 4).walls.repeat(1024, 1), draw_maps(0, 4).keys.repeat(1024, 1))))
    batch = RandomMazeBatch(4096, maps=maps, device="meta")
    tiles, reward, terminated, late = batch.step(torch.zeros(4096, dtype=torch.int64, device="meta"))
    assert draw_pixels(batch.reset(terminated | late)).shape == (4096, 1, 48, 48)
    assert (tiles.shape, reward.shape) == ((4096, 1, 8, 8), (4096,))


def test_walk_is_one_random_policy_episode_after_the_other() -> None:
    walk = gather_walk(1, 6000)
    maps = draw_maps(1, 64)
    batch = RandomMazeBatch(1, maps=maps, step_limit=0)
    for step in range(len(walk)):
        assert np.array_equal(walk.tiles[walk.state[step]], batch.observe().flatten().numpy())
        tiles, reward, terminated, _ = batch.step(torch.tensor([int(walk.action[step])]))
        assert np.array_equal(walk.tiles[walk.next_state[step]], tiles.flatten().numpy())
        assert (float(reward[0]), bool(terminated[0])) == (walk.reward[step], walk.terminated[step])
        if bool(terminated[0]):
            batch.reset()
    assert walk.terminated.sum() >= 3
    counts = np.bincount(walk.action, minlength=4)
    assert counts.min() > 0.22 * len(walk)


def test_walk_quirks() -> None:
    plain, inverse = gather_walk(2, 3000), gather_walk(2, 3000, inverse=True)
    assert np.array_equal(plain.tiles + NEGATIVE, inverse.tiles)
    assert np.array_equal(gather_walk(2, 3000).tiles, plain.tiles)
    blank = gather_walk(2, 3000, blank_terminal=True)
    ends = blank.next_state[blank.terminated]
    assert len(ends)
    assert (blank.tiles[ends] == BLANK).all()
    assert (gather_walk(2, 3000, inverse=True, blank_terminal=True).tiles[ends] == BLANK).all()
    last = gather_walk(2, 100, terminal_last=True)
    assert last.terminated[-1]
    assert (last.tiles[last.next_state[-1]] == BLANK).all()
    assert not np.array_equal(gather_walk(2, 500, legacy_astar=True).tiles[0], plain.tiles[0])


def test_data_are_kept_as_tile_maps(tmp_path: Path) -> None:
    walk = gather_walk(0, 200_000)
    assert walk.tiles.dtype == np.uint8
    assert walk.n_bytes < 16e6  # as 48x48 floats: 200,000 x 2 x 9,216 bytes = 3.7e9
    save_walk(tmp_path / "walk.npz", walk)
    assert (tmp_path / "walk.npz").stat().st_size < 1.5e6
    again = load_walk(tmp_path / "walk.npz")
    assert all(np.array_equal(value, getattr(again, name)) for name, value in vars(walk).items())
    (tmp_path / "walk.npz").write_bytes(b"no walk")
    for path in (tmp_path / "walk.npz", tmp_path / "none.npz"):
        with pytest.raises(UserError, match=path.name):
            load_walk(path)


def test_walks_saved_under_the_old_names_are_read(tmp_path: Path) -> None:
    walk = gather_walk(0, 50)
    parts = {OLD_NAMES.get(name, name): value for name, value in vars(walk).items()}
    assert "following" in parts
    np.savez_compressed(tmp_path / "old.npz", **parts)
    assert all(np.array_equal(value, getattr(load_walk(tmp_path / "old.npz"), name)) for name, value in vars(walk).items())
