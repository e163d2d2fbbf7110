"""Agents on film: side by side, and on their way to a cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import crar_model
import crar_reports
from crar_model.core.errors import UserError
from crar_model.models.checkpoints import load_checkpoint
from crar_model.samples import BASE, FAILED, RANDOM_BASE
from crar_model.tasks.metrics import navigation_success
from crar_reports.commands.door import app
from crar_reports.commands.judging import cell_of
from crar_reports.pages.play import Film


@pytest.mark.parametrize("path", [BASE, FAILED], ids=["base", "failed"])
def test_walks_succeed_as_often_as_the_figure_of_merit_says(path: Path) -> None:
    model = load_checkpoint(path)
    maze, predicted = model.listed_maze(), model.predicted()
    cells = [tuple(cell) for cell in maze.positions.tolist()]
    goals, starts = torch.tensor([0, 17]), torch.arange(1, 16).repeat(2, 1)
    walks = [model.go_to(cells[goal], cells[start]) for goal, row in zip(goals.tolist(), starts.tolist(), strict=True) for start in row]
    share = sum(walk.reached for walk in walks) / len(walks)
    assert share == pytest.approx(navigation_success(predicted, maze, (goals, starts)))
    for walk in walks:
        assert walk.reached == (walk.cells[-1] == walk.goal)
        assert len(walk.plans) == len(walk.cells)
        assert all(plan[0] == cell for plan, cell in zip(walk.plans, walk.cells, strict=True))
        assert all(abs(a - c) + abs(b - d) <= 1 for (a, b), (c, d) in zip(walk.cells, walk.cells[1:], strict=False))
        assert walk.moves <= 2 * walk.shortest + 2


def test_three_agents_side_by_side(tmp_path: Path) -> None:
    film = crar_reports.play(tmp_path / "story.gif", [BASE, FAILED, BASE], goal=(6, 6), start=(5, 1))
    assert isinstance(film, Film)
    assert [line.split(": ")[0] for line in film.outcomes] == ["base, normal maze", "freeze transfer, inverse maze", "base, normal maze"]
    assert [line.split(": ")[1].startswith("there in 8 moves") for line in film.outcomes] == [True, False, True]
    with Image.open(film.path) as moving, Image.open(film.poster) as still:
        assert (moving.format, still.format) == ("GIF", "PNG")
        assert moving.size == still.size
        assert getattr(moving, "n_frames", 1) > 8
    assert film.path.stat().st_size < 200_000


def test_the_published_story_is_small() -> None:
    folder = Path(__file__).parents[2] / "reports" / "published" / "story"
    assert (folder / "story.gif").stat().st_size < 200_000
    assert (folder / "story.png").exists()


def test_films_that_cannot_be_made_are_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no free cell at row 0, column 0"):
        crar_reports.play(tmp_path / "a.gif", BASE, goal=(0, 0))
    with pytest.raises(UserError, match="give models of one maze"):
        crar_reports.play(tmp_path / "a.gif", [BASE, RANDOM_BASE])
    with pytest.raises(UserError, match="leave out --goal"):
        crar_reports.play(tmp_path / "a.gif", RANDOM_BASE, goal=(1, 1))
    with pytest.raises(UserError, match=r"ends in \.gif"):
        crar_reports.play(tmp_path / "a.avi", BASE)
    with pytest.raises(UserError, match="whose states are no cells that could be listed; give one of a simple maze"):
        load_checkpoint(RANDOM_BASE).go_to((1, 1))
    (tmp_path / "kept.png").touch()
    with pytest.raises(UserError, match=r"kept\.png"):
        crar_reports.play(tmp_path / "kept.gif", BASE)
    assert not list(tmp_path.glob("*.gif"))
    for text in ("6", "6,", "a,b", "6,5,4", "-1,2"):
        with pytest.raises(UserError, match="--goal is"):
            cell_of("--goal", text)
    assert cell_of("--goal", "6, 5") == (6, 5)


def test_an_episode_of_a_world_is_that_of_its_one_map_and_promises_no_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from crar_model.worlds.environments import make

    seeds: list[int | None] = []

    def listening(*given: Any, **more: Any) -> Any:
        env = make(*given, **more)
        reset = env.reset

        def heard(*, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            seeds.append(seed)
            return reset(seed=seed, options=options)

        monkeypatch.setattr(env, "reset", heard)
        return env

    short: dict[str, Any] = {"updates": 2, "log_interval": 2, "checkpoint_interval": 2, "workers": 1, "members": 1}
    world: dict[str, Any] = {"env": "MiniGrid-Empty-5x5-v0", "env_arg": "max_steps=4", "steps": 300, "fixed": True, "seed": 5}
    run = crar_model.train(tmp_path / "base", **world, **short)
    monkeypatch.setattr("crar_reports.pages.play_world.make", listening)
    done = CliRunner().invoke(app, ["play", str(run.models[0]), "--out", str(tmp_path / "e.gif")], standalone_mode=False)
    assert seeds == [5]
    assert "does in the episode of seed" in done.output
    assert "crar evaluate" not in done.output
    assert "this is the only one" in done.output
    drawn = CliRunner().invoke(
        app, ["play", str(run.models[0]), "--epsilon", "0.5", "--out", str(tmp_path / "f.gif")], standalone_mode=False
    )
    assert "one episode, 50 % random actions; others: --seed" in drawn.output
