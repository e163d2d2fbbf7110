"""Another layout of the simple maze: drawn, trained in, transferred, judged and dissected as itself."""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cli import app
from crar_model.core.errors import UserError
from crar_model.core.tensor_files import save_plain
from crar_model.mazes.simple import SimpleMaze, simple_maze
from crar_model.models.checkpoints import FORMAT, load_checkpoint
from crar_model.tasks import task_named
from tests.crar_reports.pages import end_early

THREE_ROOMS = "#########\n#...#...#\n#...S...#\n#...#...#\n##.######\n#.......#\n#########\n"


def drawn(maze: SimpleMaze) -> str:
    cells = [["#" if wall else "." for wall in row] for row in maze.walls.tolist()]
    row, column = maze.positions[maze.start].tolist()
    cells[row][column] = "S"
    return "\n".join("".join(line) for line in cells)


def test_the_studys_maze_drawn_is_itself() -> None:
    own, again = simple_maze(), SimpleMaze.from_walls(drawn(simple_maze()))
    assert torch.equal(own.successor, again.successor)
    assert torch.equal(own.observations(pixels=True), again.observations(pixels=True))
    assert own.start == again.start


def test_rooms() -> None:
    maze = SimpleMaze.from_walls(THREE_ROOMS)
    assert (maze.n_states, maze.observations().shape) == (27, (27, 1, 7, 9))
    assert sorted(set(maze.rooms().tolist())) == [-1, 0, 1, 2, 3]  # the way below is doors, but for its two ends
    assert maze.positions[maze.start].tolist() == [2, 4]
    assert drawn(maze) == THREE_ROOMS.strip()


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=3, max_size=5))
def test_any_drawing_is_a_maze_or_refused(inside: list[list[bool]]) -> None:
    """Accepted where a walk from the start meets every free cell, and only there."""
    text = "\n".join(["######", *("#" + "".join(".#"[wall] for wall in row) + "#" for row in inside), "######"])
    free = {(r, c) for r, row in enumerate(inside) for c, wall in enumerate(row) if not wall}
    met, todo = set(), [min(free)] if free else []
    while todo:
        r, c = todo.pop()
        if (r, c) in free - met:
            met.add((r, c))
            todo += [(r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)]
    if len(free) > 1 and met == free:
        assert SimpleMaze.from_walls(text).n_states == len(free)
    else:
        with pytest.raises(ValueError, match=r"reached|fewer than two"):
            SimpleMaze.from_walls(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("####\n#.S#\n###", "row 2 has 3 cells"),
        ("####\n#.x#\n####", "row 1, column 2 holds 'x'"),
        ("####\n#..#\n##.#", "row 2, column 2 of the border"),
        ("####\n#SS#\n####", "2 starts"),
        ("####\n#.##\n####", "fewer than two"),
        ("", "empty"),
    ],
)
def test_drawings_that_are_no_maze(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SimpleMaze.from_walls(text)


def test_the_environment_takes_walls() -> None:
    env = gymnasium.make("crar/SimpleMaze-v0", walls=THREE_ROOMS, inverse=True)
    seen, info = env.reset()
    assert (seen.shape, info["position"]) == ((1, 7, 9), (2, 4))
    assert env.step(np.int64(0))[4]["position"] == (2, 4)  # up is a wall
    assert env.step(np.int64(2))[4]["position"] == (2, 3)


def test_every_command_uses_the_models_own_maze(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base_run: Path) -> None:
    monkeypatch.chdir(tmp_path)
    end_early(monkeypatch)
    Path("rooms.txt").write_text(THREE_ROOMS)
    small = ["--members", "1", "--data-size", "300", "--log-interval", "50", "--workers", "1"]

    def crar(*words: str, fails: bool = False) -> str:
        done = CliRunner().invoke(app, list(words))
        assert (done.exit_code != 0) == fails, done.output
        return done.stdout if not fails else str(done.exception)

    crar("train", "--walls", "rooms.txt", *small, "--updates", "400", "--out", "base")
    Path("rooms.txt").unlink()  # the run has its own copy
    crar("train", "--resume", "--updates", "450", "--out", "base")
    model = load_checkpoint("base/member-0.pt")
    assert model.settings.walls == THREE_ROOMS
    assert model.task is task_named("simple").with_walls(THREE_ROOMS)
    assert model.agent.shapes()["encoder.0.weight"] == (200, 63)
    assert model.encode(SimpleMaze.from_walls(THREE_ROOMS).observations()).shape == (27, 2)
    crar("transfer", "--from", "base/member-0.pt", *small, "--updates", "100", "--out", "moved")
    judged = json.loads(crar("evaluate", "moved", "--json"))["models"]
    assert judged[0]["match"]["verdict"] in ("matched", "swapped", "neither")
    crar("landscape", "--quick", "--resolution", "3", "--points", "3", "--from", "moved/member-0.pt", "--out", "page")
    text = Path("page/report.md").read_text()
    assert "all 108 transitions" in text
    assert "with other walls" in text
    crar("report", "--base", "base", "--transfer", "moved", "--out", "report")
    assert "--walls base/walls.txt" in Path("report/report.md").read_text()
    shipped = str(base_run / "member-0.pt")
    assert "judge them apart" in crar("evaluate", "moved", shipped, fails=True)
    assert "another layout" in crar("transfer", "--from", "base/member-0.pt", "--from", shipped, "--out", "both", fails=True)


def test_the_random_mazes_take_no_walls() -> None:
    with pytest.raises(UserError, match="no one layout"):
        task_named("random").with_walls(THREE_ROOMS)
    with pytest.raises(UserError, match="holds 'x'"):
        task_named("simple").with_walls("###\n#x#\n###")


def test_a_damaged_layout_names_its_file(base_run: Path, tmp_path: Path) -> None:
    content = torch.load(base_run / "member-0.pt", weights_only=True)
    for info, message in (
        ({"settings": {"walls": "###\n#x#\n###"}}, r"bad\.pt: its layout is damaged"),
        ({"settings": {"walls": THREE_ROOMS}}, r"bad\.pt"),
    ):
        save_plain(tmp_path / "bad.pt", FORMAT, content | {"info": info})
        with pytest.raises(UserError, match=message):
            load_checkpoint(tmp_path / "bad.pt")
    for info in ({}, {"settings": None}):
        save_plain(tmp_path / "plain.pt", FORMAT, content | {"info": info})
        assert load_checkpoint(tmp_path / "plain.pt").settings.walls == ""
