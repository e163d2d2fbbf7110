"""Observation maps: what they do to observations, and the closed-form encoder that undoes them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crar_model.agent.networks import ConvAgent, DenseAgent
from crar_model.core.errors import UserError
from crar_model.core.settings import OBSERVATION_MAPS, TrainSettings
from crar_model.core.tiles import NEGATIVE, draw_pixels
from crar_model.mazes.maps import ObservationMap
from crar_model.mazes.registration import RANDOM_MAZE, SIMPLE_MAZE
from crar_model.mazes.simple import simple_maze
from crar_model.models.checkpoints import in_maze, load_checkpoint, save_checkpoint
from crar_model.models.evaluation import embed, evaluate
from crar_model.nets import convolve
from crar_model.tasks import TASKS, task_of
from crar_model.training.members import base_plan, transfer_plan
from crar_model.training.runner import run_plan
from crar_reports.models.judged import judge
from crar_reports.models.runs import Run, repeat_command

MAPS = [ObservationMap(name) for name in OBSERVATION_MAPS]


@pytest.mark.parametrize("this", MAPS, ids=lambda m: m.name)
@given(seed=st.integers(0, 1000), inverse=st.booleans())
def test_the_first_layer_of_a_dense_encoder_undoes_every_map(this: ObservationMap, seed: int, inverse: bool) -> None:
    """e'(m(s)) = e(s) for any weights, in both directions."""
    task = TASKS["simple"].with_map(dataclasses.replace(this, seed=seed))
    params = {name: value.double() for name, value in DenseAgent().init(np.random.default_rng(seed)).items()}
    there = task.carried(params, inverse=inverse)
    before, after = (task.batch(inverse=side, dtype=torch.float64).observations for side in (not inverse, inverse))
    assert not torch.allclose(before, after, atol=1e-3)
    assert torch.allclose(task.agent().encode(there, after), task.agent().encode(params, before), atol=1e-9)
    back = task.carried(there, inverse=not inverse)
    assert all(torch.allclose(back[name], params[name], atol=1e-9) for name in params)


def test_what_the_maps_do() -> None:
    seen = simple_maze().observations(dtype=torch.float64)
    shown = {this.name: this.apply(seen) for this in MAPS}
    assert torch.equal(shown["negative"], -seen)
    assert torch.equal(shown["affine"], 0.5 * seen + 0.25)
    assert torch.equal(shown["mirror"], seen[..., range(7, -1, -1)])
    assert torch.equal(shown["permute"].flatten(1).sort(-1).values, seen.flatten(1).sort(-1).values)
    assert not torch.equal(shown["permute"], seen)
    background = shown["texture"] - seen
    assert torch.allclose(background, background[:1].expand_as(background))
    assert 0.2 < float(background.abs().max()) <= 0.25
    for condition in (1.0, 10.0, 300.0):
        matrix, _ = ObservationMap("mix", condition=condition).linear(8, 8)
        assert np.linalg.cond(matrix) == pytest.approx(condition)
        assert abs(np.linalg.slogdet(matrix)[1]) < 1e-6


@given(contrast=st.floats(0.1, 3), brightness=st.floats(-1, 1))
def test_tiles_of_the_other_side_are_drawn_through_the_map(contrast: float, brightness: float) -> None:
    rng = np.random.default_rng(0)
    tiles = torch.from_numpy(rng.integers(0, 4, (3, 1, 8, 8)).astype(np.uint8))
    other = (contrast, brightness)
    images = draw_pixels(tiles + NEGATIVE, torch.float64, other)
    assert torch.allclose(images, contrast * draw_pixels(tiles, torch.float64) + brightness)
    agent = ConvAgent(other=other)
    params = {name: value.double() for name, value in agent.init(rng).items()}
    assert torch.allclose(
        agent.encode(params, tiles + NEGATIVE), convolve(params, "encoder", agent.encoder, images).flatten(-3), atol=1e-9
    )  # pieces, with a padding of zeros as in the image


def test_a_convolution_undoes_contrast_and_the_negative_and_refuses_brightness() -> None:
    task = TASKS["random"].with_map(ObservationMap("affine", contrast=0.4, brightness=0.0))
    params = {name: value.double() for name, value in task.agent().init(np.random.default_rng(0)).items()}
    tiles = torch.from_numpy(np.random.default_rng(1).integers(0, 4, (3, 1, 8, 8)).astype(np.uint8))
    for inverse, (before, after) in ((True, (tiles, tiles + NEGATIVE)), (False, (tiles + NEGATIVE, tiles))):
        there = task.carried(params, inverse=inverse)
        assert torch.allclose(task.agent().encode(there, after), task.agent().encode(params, before), atol=1e-9)
    with pytest.raises(UserError, match="pads images with zeros"):
        TASKS["random"].with_map(ObservationMap("affine")).carried(params, inverse=True)
    for name in ("mirror", "permute", "mix", "texture"):
        with pytest.raises(UserError, match=f"--observation-map {name}: the random maze keeps observations as maps of tiles"):
            TASKS["random"].with_map(ObservationMap(name))


def test_one_map_is_one_task() -> None:
    simple, mix = TASKS["simple"], ObservationMap("mix")
    task = simple.with_map(mix)
    assert task is simple.with_map(ObservationMap("mix"))
    assert task.with_map(ObservationMap()) is simple
    assert task.same_maze(simple)
    assert not task.same_maze(TASKS["random"])
    walled = simple.with_walls("####\n#S.#\n####")
    assert not walled.with_map(mix).same_maze(task)
    assert walled.with_map(mix).same_maze(walled)
    assert torch.equal(
        task.batch(inverse=False, dtype=torch.float64).observations, simple.batch(inverse=False, dtype=torch.float64).observations
    )


@pytest.mark.parametrize("this", MAPS, ids=lambda m: m.name)
def test_environments_serve_what_the_tables_have(this: ObservationMap) -> None:
    env = gymnasium.make(SIMPLE_MAZE, inverse=True, map=this)
    seen, _ = env.reset()
    table = this.apply(simple_maze().observations())
    assert np.array_equal(seen, table[simple_maze().start].numpy())
    assert env.observation_space.contains(seen)
    straight, _ = gymnasium.make(SIMPLE_MAZE, map=this).reset()
    assert np.array_equal(straight, simple_maze().observations()[simple_maze().start].numpy())
    if this.per_pixel is None:
        with pytest.raises(ValueError, match="draw tiles"):
            gymnasium.make(RANDOM_MAZE, inverse=True, map=this)
        return
    plain, _ = gymnasium.make(RANDOM_MAZE).reset(seed=3)
    image, _ = gymnasium.make(RANDOM_MAZE, inverse=True, map=this).reset(seed=3)
    assert np.allclose(image, this.per_pixel[0] * plain + this.per_pixel[1], atol=1e-6)
    with pytest.raises(ValueError, match="choose one of negative"):
        gymnasium.make(SIMPLE_MAZE, map="upside-down")


@pytest.mark.parametrize("name", ["mix", "mirror"])
def test_a_transfer_keeps_its_map(name: str, base_run: Path, tmp_path: Path) -> None:
    settings = TrainSettings(updates=3, log_interval=3, data_size=200, workers=1, observation_map=name, map_seed=5)
    base = base_run / "member-0.pt"
    for variant, updates in (("freeze", 3), ("negate-input", 0)):
        run_plan(transfer_plan(settings, [base], variant, 1), tmp_path / variant, tensorboard=False)
        model = load_checkpoint(tmp_path / variant / "member-0.pt")
        assert model.updates == updates
        assert model.task.observation_map == ObservationMap(name, seed=5)
    (closed,) = judge([tmp_path / "negate-input"], use_own_base=True)
    assert closed.evaluation.match is not None
    assert closed.evaluation.match.identity_edges < 1e-4  # the base's embedding, seen through the map
    ends = load_checkpoint(base), closed.checkpoint
    assert torch.allclose(
        embed(ends[1].task, in_maze(ends[0], inverse=True, task=ends[1].task), inverse=True),
        embed(ends[0].task, ends[0].parameters, inverse=False),
        atol=1e-4,
    )
    assert f"--observation-map {name} --map-seed 5" in repeat_command(Run(tmp_path / "freeze").plan, tmp_path / "freeze")


def test_old_checkpoints_and_damaged_maps(base_run: Path, tmp_path: Path) -> None:
    model = load_checkpoint(base_run / "member-0.pt")
    settings = dict(model.info["settings"])
    old = {key: value for key, value in settings.items() if not key.startswith(("observation_map", "map_"))}
    save_checkpoint(tmp_path / "old.pt", dataclasses.replace(model, info=model.info | {"settings": old}))
    again = load_checkpoint(tmp_path / "old.pt")
    assert again.task is TASKS["simple"]
    assert evaluate(again.task, again.parameters, inverse=True, settings=again.settings.loss).terms["total"] > 0
    save_checkpoint(tmp_path / "bad.pt", dataclasses.replace(model, info=model.info | {"settings": settings | {"observation_map": "melt"}}))
    with pytest.raises(UserError, match="observation map is damaged"):
        load_checkpoint(tmp_path / "bad.pt")


def test_a_base_of_a_mapped_maze_goes_back_through_its_map(tmp_path: Path) -> None:
    settings = TrainSettings(updates=2, log_interval=2, data_size=200, workers=1, inverse=True, observation_map="permute")
    assert task_of(settings).observation_map.name == "permute"
    run_plan(base_plan(settings, 1), tmp_path / "base", tensorboard=False)
    base = tmp_path / "base" / "member-0.pt"
    plan = transfer_plan(settings, [base], "negate-input", 1)
    assert not plan.settings.inverse
    run_plan(plan, tmp_path / "back", tensorboard=False)
    (closed,) = judge([tmp_path / "back"], use_own_base=True)
    assert closed.evaluation.match is not None
    assert closed.evaluation.match.identity_edges < 1e-4
    with pytest.raises(UserError, match="give the same --observation-map"):
        transfer_plan(dataclasses.replace(settings, observation_map="mirror"), [base], "freeze", 1)


def test_a_maze_whose_tables_know_no_maps_refuses_them() -> None:
    class Own(type(TASKS["simple"])):
        maze = simple_maze()

    with pytest.raises(UserError, match="do not apply it"):
        Own().with_map(ObservationMap("mix"))


def test_maps_that_show_the_same_are_equal() -> None:
    """What a map does not use tells it from none; what it uses does, and stands in its title."""
    assert ObservationMap("mirror", seed=1, contrast=0.9, condition=2.0) == ObservationMap("mirror")
    assert ObservationMap("negative", brightness=0.9) == ObservationMap()
    for name, field in (("affine", "contrast"), ("affine", "brightness"), ("permute", "seed"), ("mix", "seed"), ("mix", "condition"),
                        ("texture", "seed"), ("texture", "brightness")):  # fmt: skip
        other = ObservationMap(name, **{field: 3})
        assert other != ObservationMap(name)
        assert f"{field} 3" in other.title
        a, b = (one.linear(3, 3) for one in (other, ObservationMap(name)))
        assert any(not np.array_equal(x, y) for x, y in zip(a, b, strict=True)), (name, field)
    assert ObservationMap("permute", seed=1_234_567).title == "permute, seed 1234567"


def test_a_vector_of_mazes_holds_what_a_strong_map_shows() -> None:
    """Contrast 3 shows pixels up to 3: inside the space of the vector as of the single maze."""
    many = gymnasium.make_vec(RANDOM_MAZE, num_envs=2, vectorization_mode="vector_entry_point", inverse=True,
                              map=ObservationMap("affine", contrast=3.0, brightness=0.5))  # fmt: skip
    seen, _ = many.reset(seed=0)
    assert float(abs(seen).max()) > 1.0
    assert many.observation_space.contains(seen)
    assert many.single_observation_space.contains(seen[0])
