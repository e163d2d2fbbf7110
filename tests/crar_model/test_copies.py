"""Copies in several processes: the same episodes, number by number; what goes wrong there is said here."""

from __future__ import annotations

from typing import Any

import gymnasium
import pytest

from crar_model.core.errors import UserError
from crar_model.worlds import copies
from crar_model.worlds.copies import Apart, Here, copies_of
from crar_model.worlds.environments import Recipe
from crar_model.worlds.gathering import gather_episodes
from crar_model.worlds.world import World
from tests.small_worlds import Line

LINE = "tests.small_worlds:tests/Line-v0"


def test_the_number_of_processes_changes_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(LINE, arguments=("slip=0.2", "limit=7"))
    one = gather_episodes(recipe, 400, 3, processes=1)
    made: list[Apart] = []

    def noted(recipe: Recipe, count: int, processes: int) -> Apart:
        made.append(Apart(recipe, count, processes))
        return made[-1]

    monkeypatch.setattr(copies, "Apart", noted)
    several = gather_episodes(recipe, 400, 3, processes=3)  # 6 copies
    assert [one.parts for one in made] == [[slice(0, 2), slice(2, 4), slice(4, 6)]]
    assert World.of(several).digest == World.of(one).digest
    assert [each.seed for each in several.each] == [each.seed for each in one.each]
    assert not any(process.is_alive() for process in made[0].processes)


def test_what_only_this_process_has_registered_is_stepped_here() -> None:
    own: Any = Line
    gymnasium.register("tests/OnlyHere-v0", entry_point=own)
    envs = copies_of(Recipe("tests/OnlyHere-v0"), 2, 0.0, processes=2)
    assert isinstance(envs, Here)
    envs.close()


def test_an_error_in_a_process_is_said_here_in_a_line() -> None:
    with pytest.raises(UserError, match="its observations are not finite"):
        gather_episodes(Recipe(LINE, arguments=("bad=True",)), 400, 0, processes=2)
    with pytest.raises(UserError, match=r"its step fails .TypeError"):
        gather_episodes(Recipe(LINE, arguments=("late='x'",)), 400, 0, policy="tests.small_worlds:always_right", processes=2)
    envs = Apart(Recipe(LINE), 2, 2)
    envs.processes[0].kill()
    envs.processes[0].join()
    with pytest.raises(UserError, match="a process that steps copies of the environment died"):
        envs.reset([0, 0])
    envs.close()


def test_several_processes_pay_where_steps_are_dear(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(copies, "cores", lambda: 2)
    monkeypatch.setattr(copies, "Apart", lambda recipe, count, processes: asked.append(processes))
    copies_of(Recipe(LINE), 16, copies.PAYS + 1)
    assert asked == [2]
    assert isinstance(copies_of(Recipe(LINE), 1, copies.PAYS + 1), Here)
    assert isinstance(copies_of(Recipe(LINE), 16, copies.PAYS - 1), Here)
