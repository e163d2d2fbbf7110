"""`crar play` in a world: one episode of its environment as an animated picture."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw

from crar_model.core.errors import UserError
from crar_model.core.streams import Stream
from crar_model.mazes.maps import OWN_MAP
from crar_model.models.checkpoints import Checkpoint
from crar_model.tasks import WorldTask
from crar_model.worlds.environments import Recipe, make

MOST_STEPS = 500
"""Steps of an episode that are shown, at most."""
LINE = 24
"""Pixels of the caption below a picture."""


def recipe_of(model: Checkpoint) -> Recipe:
    """The environment that a model of a world is played in: that of its side.

    Raises:
        UserError: for data of others, which say no environment.
    """
    assert isinstance(model.task, WorldTask)
    about = model.task.world.about
    own = model.inverse and model.task.observation_map.name == OWN_MAP
    plain = about.get("other_recipe" if own and "map" not in about else "recipe")
    if plain is None:
        raise UserError(
            f"{model.file}: its data do not say of which environment they are, so none can be played; gather them with crar gather --env"
        )
    return Recipe.of(plain)


def frames_of(model: Checkpoint, *, seed: int, depth: int, epsilon: float) -> Iterator[tuple[Image.Image, float, int, bool]]:
    """Pictures of an episode, with the reward and the steps so far, and whether it has ended.

    Args:
        model: of a world.
        seed: of the episode, which in a world of one map is always that of its data, and of random actions.
        depth, epsilon: planning depth and share of random actions.

    Raises:
        UserError: for an environment that cannot be made, or that has no picture.
    """
    recipe = recipe_of(model)
    assert isinstance(model.task, WorldTask)
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # without a screen pygame looks for one, and complains
    try:
        env = make(recipe, render_mode="rgb_array")
    except UserError as error:
        if "render_mode" not in str(error):
            raise
        raise UserError(f"--env {recipe.env}: it takes no render_mode, so there is nothing to film") from error
    first = int(getattr(env.action_space, "start", 0))
    rng, total = np.random.default_rng([seed, Stream.LUCK]), 0.0
    seen, _ = env.reset(seed=int(model.task.world.about.get("seed", seed)) if recipe.fixed else seed)
    for step in range(MOST_STEPS + 1):
        picture = env.render()
        if not isinstance(picture, np.ndarray):
            raise UserError(f"--env {recipe.env}: it draws no pictures, so there is nothing to film")
        image = Image.new("RGB", (max(picture.shape[1], 240), picture.shape[0] + LINE), "white")
        image.paste(Image.fromarray(picture.astype(np.uint8)), (0, 0))
        ImageDraw.Draw(image).text((6, picture.shape[0] + 6), f"step {step}   reward {total:+.2f}   depth {depth}", fill="black")
        if step == MOST_STEPS:
            yield image, total, step, True
            break
        random = rng.random() < epsilon
        action = int(rng.integers(model.agent.n_actions)) if random else model.act(seen, depth)
        seen, reward, terminated, truncated, _ = env.step(action + first)
        yield image, total, step, False
        total += float(reward)
        if terminated or truncated:
            yield image, total, step + 1, True
            break
    env.close()
