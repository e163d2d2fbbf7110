"""Layouts too large to list: the same figures as where everything is listed, on drawn states, in bounded memory, and said so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from cli import app
from crar_model.agent.loss import Loss
from crar_model.agent.networks import DenseAgent
from crar_model.core.errors import UserError
from crar_model.core.settings import LossSettings
from crar_model.mazes import large
from crar_model.mazes.maps import ObservationMap
from crar_model.mazes.simple import SimpleMaze, simple_maze
from crar_model.models.checkpoints import load_checkpoint
from crar_model.tasks import drawn, task_named
from crar_model.tasks import simple as simple_task
from crar_model.tasks.batches import complete_batch
from crar_model.tasks.drawn import drawn_batch, drawn_metrics, nearest_rows
from crar_model.tasks.metrics import graph_distances, navigation_success, table_metrics
from crar_model.training import engine

MAPS = ("negative", "affine", "mirror", "permute", "texture")
AGENT = DenseAgent()


def open_room(size: int) -> str:
    wall, row = "#" * size, "#" + "." * (size - 2) + "#"
    return "\n".join((wall, *[row] * (size - 2), wall)) + "\n"


LARGE = open_room(26)  # 576 states of 676 cells


def seen_through(name: str) -> SimpleMaze:
    return replace(simple_maze(), map=ObservationMap(name))


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("inverse", [False, True])
def test_one_pattern_and_a_number_a_state_are_all_observations(name: str, inverse: bool) -> None:
    maze = seen_through(name)
    seen = drawn.observed(maze, inverse=inverse, blank=True)
    whole = torch.cat((maze.observations(inverse=inverse), maze.blank())).flatten(1)
    assert np.allclose(seen.dense(np.arange(32)), whole, atol=1e-7)
    assert np.array_equal(seen.dense(np.array([5, 31, 5])), seen.dense(np.arange(32))[[5, 31, 5]])
    params = {key: torch.stack((value, 1.5 * value)).double() for key, value in AGENT.init(np.random.default_rng(0)).items()}
    assert torch.allclose(drawn.encode_all(AGENT, params, seen), AGENT.encode(params, whole.double().view(-1, 1, 8, 8)), atol=1e-6)


@pytest.mark.parametrize("name", ["affine", "permute", "texture"])
def test_a_map_needs_no_matrix(name: str) -> None:
    """What the matrix made of images, bit for bit."""
    images, seen = simple_maze().observations(dtype=torch.float64), ObservationMap(name, seed=3)
    matrix, shift = (torch.from_numpy(part) for part in seen.linear(8, 8))
    assert torch.equal(seen.apply(images), (images.flatten(-2) @ matrix.T + shift).view(images.shape))


def test_a_matrix_that_no_memory_holds_is_refused() -> None:
    with pytest.raises(UserError, match=r"--observation-map mix: its matrix for 200x200 pixels would take 13 GB"):
        ObservationMap("mix").linear(200, 200)
    with pytest.raises(UserError, match="576 states; choose another"):
        task_named("simple").with_walls(LARGE).with_map(ObservationMap("mix"))


def test_drawn_figures_are_the_listed_ones_where_all_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    maze, params = simple_maze(), {key: value.double() for key, value in AGENT.init(np.random.default_rng(1)).items()}
    drawn, whole = (make(maze=maze, inverse=True, dtype=torch.float64) for make in (drawn_batch, complete_batch))
    found, wanted = (Loss(AGENT, LossSettings())(params, batch) for batch in (drawn, whole))
    assert {name: float(value) for name, value in found.items()} == pytest.approx({name: float(value) for name, value in wanted.items()})
    all_pairs = (torch.arange(31), torch.stack([torch.tensor([s for s in range(31) if s != goal]) for goal in range(31)]))
    monkeypatch.setattr("crar_model.tasks.drawn.drawn_pairs", lambda n: all_pairs)
    assert drawn_metrics(maze, AGENT, params, inverse=True) == pytest.approx(table_metrics(maze, AGENT, params, inverse=True))


def test_drawn_pairs_are_the_same_for_all_and_no_start_is_its_goal() -> None:
    goals, starts = large.drawn_pairs(5_000)
    assert (goals.shape, starts.shape) == ((32,), (32, 32))
    assert len(goals.unique()) == 32
    assert not bool((starts == goals[:, None]).any())
    assert all(torch.equal(a, b) for a, b in zip(large.drawn_pairs(5_000), (goals, starts), strict=True))
    maze = SimpleMaze.from_walls(LARGE)
    assert navigation_success(maze.successor, maze, large.drawn_pairs(maze.n_states)) == 1.0
    assert navigation_success(maze.successor[:, [1, 0, 3, 2]], maze, large.drawn_pairs(maze.n_states)) < 0.2


def test_distances_to_goals_are_rows_of_all_distances() -> None:
    successor = torch.from_numpy(np.random.default_rng(0).integers(0, 31, (31, 2)))
    goals = torch.tensor([3, 17])
    assert torch.equal(graph_distances(successor, goals), graph_distances(successor)[:, goals].T)


def test_what_is_not_finite_is_nearest_to_nothing() -> None:
    x = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert nearest_rows(torch.tensor([[0.9, 0.1], [0.1, 0.9]]), x).tolist() == [1, 0]
    assert nearest_rows(torch.tensor([[torch.nan, 0.1]]), x).tolist() == [0]


@pytest.mark.parametrize("rule", ["joint", "sequential"])
@pytest.mark.parametrize("how", ["compiled", "reference"])
def test_updates_on_the_rows_of_a_batch_are_those_on_all_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str, how: str) -> None:
    words = [
        "train",
        "--members",
        "2",
        "--updates",
        "30",
        "--data-size",
        "200",
        "--log-interval",
        "15",
        "--workers",
        "1",
        "--terminal-last",
    ]
    words += ["--update-rule", rule, "--engine", how, "--walls", str(tmp_path / "walls.txt")]
    (tmp_path / "walls.txt").write_text(open_room(6))
    assert CliRunner().invoke(app, [*words, "--out", str(tmp_path / "listed")]).exit_code == 0
    monkeypatch.setattr(large, "LISTED", 0)
    monkeypatch.setattr(engine, "MOST_ROWS", 0)
    simple_task._walled.cache_clear()
    try:
        assert CliRunner().invoke(app, [*words, "--out", str(tmp_path / "drawn")]).exit_code == 0
    finally:
        simple_task._walled.cache_clear()
    for k in range(2):
        listed, drawn = (load_checkpoint(tmp_path / name / f"member-{k}.pt").parameters for name in ("listed", "drawn"))
        assert all(torch.allclose(listed[name], drawn[name], atol=2e-5) for name in listed)


def test_a_large_layout_is_trained_transferred_and_judged_on_what_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("room.txt").write_text(LARGE)
    small = ["--members", "1", "--data-size", "300", "--updates", "10", "--workers", "1"]

    def crar(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, list(words))
        assert (done.exit_code == 0) == (code == 0), done.output
        return done.stdout if code == 0 else str(done.exception)

    said = "losses on 512 of 2,304 transitions, drawn; navigation on 1,024 of 331,200 pairs of start and goal, drawn"
    out = crar("train", "--walls", "room.txt", *small, "--out", "base")
    assert f"too large a layout to list: {said}" in out
    assert json.loads(Path("base/run.json").read_text())["judged_on"] == said
    record = json.loads(Path("base/run.json").read_text())
    del record["judged_on"]  # as a run of before, whose log has losses on everything
    Path("old").mkdir()
    Path("old/run.json").write_text(json.dumps(record))
    assert "the run there differs in judged_on" in crar("train", "--resume", "--updates", "20", "--out", "old", code=2)
    out = crar("transfer", "--from", "base/member-0.pt", *small, "--observation-map", "mirror", "--out", "moved")
    assert "crar landscape" not in out
    assert json.loads(crar("evaluate", "moved", "--json"))["models"][0]["drawn"] == said
    table = " ".join(crar("evaluate", "moved").split())
    assert "losses on 512 of 2,304 transitions, drawn" in table
    assert "of 1,024 of 331,200 pairs of start and goal, drawn" in table
    crar("report", "--base", "base", "--transfer", "moved", "--out", "page")
    page = Path("page/report.md").read_text()
    assert "512 of 2,304 transitions, drawn" in page
    assert "1,024 of 331,200 pairs of start and goal, drawn that planning solves" in page
    assert not Path("page/embeddings.png").exists()
    for words in (
        ["landscape", "--from", "moved/member-0.pt"], ["claims", "--transfer", "moved"], ["cure", "--from", "moved/member-0.pt"],
        ["escape", "--from", "moved/member-0.pt"], ["theorem", "--from", "moved/member-0.pt"], ["predict", "base"],
        ["transfer", "--from", "base/member-0.pt", "--variant", "placement"],
    ):  # fmt: skip
        assert "its layout has 576 states of 676 cells" in crar(*words, "--out", f"no-{words[0]}", code=2)
        assert not Path(f"no-{words[0]}").exists()


def test_a_layout_beyond_all_memory_is_refused() -> None:
    with pytest.raises(UserError, match=r"--walls: the drawing has 1,000 rows of 1,000 cells; layouts have up to 65,536 cells"):
        task_named("simple").with_walls(open_room(1_000))


def test_an_environment_of_a_large_layout_keeps_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in MAPS:
        for pixels in (False, True):
            maze = seen_through(name)
            whole = large.observation_table(maze, inverse=True, pixels=pixels)
            monkeypatch.setattr(large, "KEPT", 0)
            views = large.observation_table(maze, inverse=True, pixels=pixels)
            monkeypatch.undo()
            assert isinstance(views, large.ViewTable)
            assert isinstance(whole, np.ndarray)
            assert (views.shape, views.min() <= whole.min(), views.max() >= whole.max()) == (whole.shape, True, True)
            assert all(np.array_equal(views[state], whole[state]) for state in range(31))
