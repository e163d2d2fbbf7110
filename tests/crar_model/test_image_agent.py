"""The simple maze in 48x48 images: what is seen, and the encoder that reads it."""

from __future__ import annotations

import dataclasses

import gymnasium
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from crar_model.agent.loss import Loss
from crar_model.agent.networks import DenseAgent, ImageAgent
from crar_model.agent.symmetry import negate_first_layer
from crar_model.core.errors import UserError
from crar_model.core.params import DYNAMICS, Params, select
from crar_model.core.settings import OBSERVATION_MAPS, LossSettings, TrainSettings
from crar_model.core.tiles import BLANK, KINDS, draw_pixels, negated
from crar_model.mazes.maps import ObservationMap
from crar_model.mazes.simple import ImageMaze, SimpleMaze, simple_maze
from crar_model.models.checkpoints import Checkpoint
from crar_model.nets import index_tiles
from crar_model.tasks import task_as, task_named, task_of
from crar_model.training.members import base_plan
from crar_model.training.trainer import Trainer

AGENT = ImageAgent()
TASK = task_as("simple", observation="image")
BOARDS = st.lists(st.sampled_from(KINDS), min_size=64, max_size=64).map(
    lambda kinds: torch.tensor(kinds, dtype=torch.uint8).view(1, 1, 8, 8)
)


def make(seed: int, dtype: torch.dtype = torch.float64) -> Params:
    """Parameters whose biases are not 0, so that a padding or a sign that is off shows."""
    rng = np.random.default_rng(seed)
    return {n: v.to(dtype) if v.dim() > 1 else torch.from_numpy(rng.normal(0, 0.3, v.shape)).to(dtype) for n, v in AGENT.init(rng).items()}


def drawn(params: Params, tiles: Tensor) -> Tensor:
    """The encoder on the images themselves."""
    return AGENT.read(params, draw_pixels(tiles, params["encoder.0.weight"].dtype))


def test_the_networks_are_those_of_the_original() -> None:
    shapes = AGENT.shapes()
    assert [shapes[f"encoder.{k}.weight"] for k in range(3)] == [(8, 1, 2, 2), (16, 8, 2, 2), (32, 16, 3, 3)]
    assert [shapes[f"encoder.{k}.weight"] for k in range(3, 8)] == [(200, 2048), (100, 200), (50, 100), (10, 50), (2, 10)]
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 447_888
    grid = DenseAgent().shapes()
    assert {n: s for n, s in shapes.items() if n.partition(".")[0] in DYNAMICS} == {
        n: grid[n] for n in grid if n.partition(".")[0] in DYNAMICS
    }
    assert TASK.agent() == AGENT
    assert AGENT.dense_widths is None


@pytest.mark.parametrize("inverse", [False, True])
def test_tile_maps_stand_for_the_rendering(inverse: bool) -> None:
    maze = TASK.maze
    assert isinstance(maze, ImageMaze)
    images = simple_maze().observations(inverse=inverse, pixels=True)
    assert torch.equal(draw_pixels(maze.observations(inverse=inverse)), images)
    assert torch.equal(maze.observations(inverse=inverse, pixels=True), images)
    assert torch.equal(maze.pictures(inverse=inverse), images[:, 0])
    assert torch.equal(simple_maze().pictures(inverse=inverse), simple_maze().observations(inverse=inverse)[:, 0])
    assert torch.equal(draw_pixels(negated(maze.observations(inverse=inverse))), draw_pixels(maze.observations(inverse=not inverse)))
    assert float(draw_pixels(maze.blank()).abs().max()) == 0
    env = gymnasium.make("crar/SimpleMaze-v0", inverse=inverse, observation="pixels")
    assert np.array_equal(env.reset()[0], images[maze.start].numpy())


def test_each_piece_is_computed_once() -> None:
    index = index_tiles(task_as("simple", observation="image").batch(inverse=False, dtype=torch.float64).observations)
    assert (len(index.patches), len(index.values), len(index.windows)) == (92, 396, 201)  # of 31 x 576, 31 x 576 and 31 x 64


@given(BOARDS, st.integers(0, 3))
def test_encoder_on_pieces_holds_for_any_board(tiles: Tensor, seed: int) -> None:
    params = make(seed)
    assert torch.allclose(AGENT.encode(params, tiles), drawn(params, tiles), atol=1e-12)


@given(BOARDS, st.integers(0, 3))
def test_negating_the_first_layer_undoes_the_inverse(tiles: Tensor, seed: int) -> None:
    params = make(seed)
    assert torch.allclose(AGENT.encode(negate_first_layer(params), negated(tiles)), AGENT.encode(params, tiles), atol=1e-12)
    wrong = {name: -value if name == "encoder.3.weight" else value for name, value in params.items()}
    assert not torch.allclose(AGENT.encode(wrong, tiles), AGENT.encode(params, tiles), atol=1e-3)


@given(contrast=st.floats(0.1, 3), brightness=st.floats(-1, 1), seed=st.integers(0, 3))
def test_the_inverse_maze_is_drawn_through_its_map(contrast: float, brightness: float, seed: int) -> None:
    other, params = (contrast, brightness), make(seed)
    task = TASK.with_map(ObservationMap("affine", contrast=contrast, brightness=brightness))
    agent, maze = task.agent(), task.maze
    assert agent == ImageAgent(other=other)
    assert maze is not None
    there, images = maze.observations(inverse=True), contrast * simple_maze().observations(pixels=True, dtype=torch.float64) + brightness
    assert torch.allclose(draw_pixels(there, torch.float64, other), images, atol=1e-12)
    assert torch.allclose(maze.pictures(inverse=True), images[:, 0].float(), atol=1e-6)
    assert torch.allclose(agent.encode(params, there), AGENT.read(params, images), atol=1e-9)  # the padding is of zeros as in the image
    assert torch.equal(maze.observations(), TASK.batch(inverse=False, dtype=torch.float64).observations)
    members = {name: torch.stack((value, 2 * value)) for name, value in params.items()}
    assert torch.allclose(agent.encode(members, there)[0], agent.encode(params, there), atol=1e-12)


def test_maps_of_images() -> None:
    params, half = make(2), TASK.with_map(ObservationMap("affine", contrast=0.5, brightness=0.0))
    assert half.same_maze(TASK)
    assert not half.same_maze(task_named("simple"))
    assert half.with_map(ObservationMap()) is TASK
    assert half is task_of(TrainSettings(observation="image", observation_map="affine", map_contrast=0.5, map_brightness=0.0))
    assert (
        float((TASK.maze.observations(inverse=True, pixels=True) + 2 * half.maze.observations(inverse=True, pixels=True)).abs().max()) == 0
    )
    for inverse in (False, True):
        before, after = (half.batch(inverse=side, dtype=torch.float64).observations for side in (not inverse, inverse))
        there = half.carried(params, inverse=inverse)
        assert torch.allclose(half.agent().encode(there, after), half.agent().encode(params, before), atol=1e-12)
    with pytest.raises(UserError, match="pads images with zeros"):
        TASK.with_map(ObservationMap("affine")).carried(params, inverse=True)
    for name in OBSERVATION_MAPS[2:]:
        with pytest.raises(UserError, match=f"--observation-map {name}: images of the simple maze are kept as maps of tiles"):
            task_of(TrainSettings(observation="image", observation_map=name))


def test_maps_of_all_kinds_at_once() -> None:
    """More distinct pieces than the study's kinds of tiles can make."""
    kinds = np.array(KINDS, dtype=np.uint8)
    tiles = torch.from_numpy(kinds[np.random.default_rng(0).integers(0, len(kinds), (600, 1, 8, 8))])
    index = index_tiles(tiles)
    assert len(index.patches) > 20_000
    params = make(1)
    assert torch.allclose(AGENT.encode(params, tiles)[-2:], drawn(params, tiles[-2:]), atol=1e-12)
    for unknown in (11, 15):
        with pytest.raises(ValueError, match="wanted are kinds of tiles"):
            index_tiles(torch.full((1, 8, 8), unknown, dtype=torch.uint8))


def test_the_closed_form_solves_the_other_maze() -> None:
    params = make(5)
    seen = [TASK.batch(inverse=inverse, dtype=torch.float64) for inverse in (False, True)]
    here = [AGENT.encode(p, b.observations) for p, b in ((params, seen[0]), (negate_first_layer(params), seen[1]))]
    assert torch.equal(*here)
    assert TASK.metrics(AGENT, params, inverse=False, how=None) == TASK.metrics(AGENT, negate_first_layer(params), inverse=True, how=None)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_members_are_computed_together_as_alone(dtype: torch.dtype) -> None:
    models = [make(seed, dtype) for seed in (1, 2, 3)]
    members = {name: torch.stack([model[name] for model in models]) for name in models[0]}
    tiles = TASK.batch(inverse=True, dtype=dtype).observations
    close = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 0.0, "atol": 1e-12}
    together = AGENT.encode(members, tiles)
    assert together.shape == (3, 31, 2)
    own = tiles.unflatten(0, (1, 31)).repeat(3, 1, 1, 1, 1)
    own[1] = negated(own[1])
    apart = AGENT.encode(members, own)
    for k, model in enumerate(models):
        assert torch.allclose(together[k], drawn(model, tiles), **close)
        assert torch.allclose(apart[k], drawn(model, own[k]), **close)


def test_gradients_and_curvature_on_pieces_are_those_of_the_image() -> None:
    params = select(make(4), ("encoder",))
    tiles = TASK.batch(inverse=False, dtype=torch.float64).observations[:6]
    along = {
        name: torch.randn(value.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64) for name, value in params.items()
    }

    def product(encode: object) -> dict[str, Tensor]:
        free = {name: value.clone().requires_grad_() for name, value in params.items()}
        value = encode(free, tiles).square().sum()
        first = torch.autograd.grad(value, list(free.values()), create_graph=True)
        slope = sum((g * along[name]).sum() for g, name in zip(first, free, strict=True))
        second = torch.autograd.grad(slope, list(free.values()))
        return {f"{name} {order}": g for order, found in ((1, first), (2, second)) for name, g in zip(free, found, strict=True)}

    pieces, image = product(AGENT.encode), product(drawn)
    for name, value in image.items():
        assert torch.allclose(pieces[name], value, rtol=1e-8, atol=1e-10), name


def test_functional_transforms_see_the_same_encoder() -> None:
    """What certificates and paths ask of it."""
    params, tiles = select(make(7), ("encoder",)), TASK.batch(inverse=False, dtype=torch.float64).observations[:3]
    jacobians = [torch.func.jacrev(lambda p, f=f: f(p, tiles))(params) for f in (AGENT.encode, drawn)]
    for name, value in jacobians[1].items():
        assert torch.allclose(jacobians[0][name], value, atol=1e-12), name
    members = {name: torch.stack((value, 2 * value)) for name, value in params.items()}
    mapped = torch.func.vmap(lambda p: AGENT.encode(p, tiles))(members)
    assert torch.allclose(mapped, AGENT.encode(members, tiles), atol=1e-12)


def test_training_lowers_the_loss_and_sees_blanks() -> None:
    settings = TrainSettings(observation="image", updates=30, data_size=600, terminal_last=True, engine="compiled", workers=1)
    trainer = Trainer(base_plan(settings, 2))
    assert trainer.listed is None  # the compiled engine is for dense networks
    assert torch.equal(trainer.data.batch(0).observations[-1], torch.full((1, 8, 8), BLANK, dtype=torch.uint8))
    batch = TASK.batch(inverse=False, dtype=torch.float32)

    def loss() -> Tensor:
        with torch.no_grad():
            return Loss(AGENT, LossSettings()).on(batch).terms(trainer.params)["total"]

    before = loss()
    trainer.advance(30)
    assert bool((loss() < 0.7 * before).all())


def test_a_member_alone_goes_the_way_of_the_same_member_among_three() -> None:
    settings = TrainSettings(observation="image", updates=8, data_size=300, workers=1)
    three, alone = Trainer(base_plan(settings, 3)), Trainer(base_plan(dataclasses.replace(settings, seed=1), 1))
    before = alone.member_parameters(0)
    three.advance(8)
    alone.advance(8)
    for name, value in alone.member_parameters(0).items():
        moved = float((value - before[name]).norm())
        assert moved > 0, name
        assert float((three.member_parameters(1)[name] - value).norm()) < 1e-3 * moved, name  # batched products round otherwise


def test_one_update_runs_on_the_meta_device() -> None:
    trainer = Trainer(base_plan(TrainSettings(observation="image", data_size=300), 2), device="meta")
    trainer.one_update()
    assert trainer.params["encoder.3.weight"].device.type == "meta"


def test_a_model_reads_what_the_environment_shows() -> None:
    params = {name: value.float() for name, value in make(6).items()}
    model = Checkpoint("simple", True, params, info={"settings": {"observation": "image"}})
    env = gymnasium.make("crar/SimpleMaze-v0", inverse=True, observation="pixels")
    seen, info = env.reset()
    assert model.task is TASK
    expected = AGENT.encode(params, TASK.batch(inverse=True, dtype=torch.float32).observations)[info["state"]]
    assert torch.allclose(model.encode(seen), expected, atol=1e-5)
    assert model.act(seen) in range(4)
    grid = gymnasium.make("crar/SimpleMaze-v0", inverse=True).reset()[0]
    with pytest.raises(ValueError, match="encoder"):
        model.encode(grid)


def test_what_has_no_images() -> None:
    with pytest.raises(UserError, match="seen in one way only"):
        task_as("random", observation="image")
    with pytest.raises(UserError, match="choose grid or image"):
        task_named("simple").with_observation("sound")
    with pytest.raises(UserError, match=r"3x4 cells, and images show 8x8"):
        task_as("simple", "####\n#..#\n####", "image")
    other = "\n".join(["########", "#..S..##", *["###.####"] * 5, "########"])
    maze = task_as("simple", other, "image").maze
    assert maze is not None
    assert torch.equal(draw_pixels(maze.observations()), SimpleMaze.from_walls(other).observations(pixels=True))
    assert task_as("simple", other, "image") is task_as("simple", other, "image")
