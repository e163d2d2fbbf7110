"""The parts of a study's page: what stands beside each other must be of one maze, in one layout, seen in one way through one map."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crar_model.core.words import the
from crar_model.mazes.maps import FIELDS, NEGATIVE_MAP, ObservationMap
from crar_model.models.checkpoints import Checkpoint
from crar_model.tasks import GRID, Task, WorldTask, task_as, task_named
from crar_model.training.variants import BASE

Row = dict[str, str]
Place = tuple[str, str, str, str, ObservationMap]
"""Maze, layout in one line, sight, world of one's own, map."""


@dataclass(frozen=True)
class Section:
    """One part of a page.

    Attributes:
        task: what its rows are of.
        title: of it; no other section has it.
        rows: its transfers, and the bases that they start from, in the order of the table.
        scope: what its verdicts are of, where that is not the maze as the study has it; "" else.
    """

    task: Task
    title: str
    rows: Sequence[Row]
    scope: str = ""

    @property
    def file(self) -> str:
        """How its files are called."""
        return f"{self.task.name}-{re.sub('[^a-z0-9]+', '-', self.scope.lower())}" if self.scope else self.task.name


def map_of(row: Mapping[str, str]) -> ObservationMap:
    """The map of a row; what its table does not say is as usual."""
    kinds = {key: type(getattr(NEGATIVE_MAP, field)) for field, key in FIELDS.items()}
    return ObservationMap.of({key: kind(row[key]) for key, kind in kinds.items() if row.get(key)})


def layout_of(walls: str) -> str:
    """A drawing of walls in one line."""
    return "/".join(walls.split())


def world_of(task: Task) -> str:
    """What tells a world of one's own from others: its title, the numbers of an abstract state where they were asked for, and a digest; "" for a maze."""
    if not isinstance(task, WorldTask):
        return ""
    scale = task.table_here.reward_scale
    dim = f", {task.agent().abstract_size} abstract numbers" + (f", rewards / {scale:g}" if scale != 1 else "")
    return f"{task.title}{dim}, {task.world.core[:8]}"


def columns_of(task: Task) -> dict[str, str]:
    """Columns of a table that say which world of one's own a row is of, and what it is judged on; none for a maze."""
    return {"world": world, "judged_on": task.sampling.what} if (world := world_of(task)) else {}


def place_of(model: Checkpoint) -> list[str]:
    """Of which maze a model is, in which layout, seen how; of a world also which."""
    world = world_of(model.task)
    seen = "" if model.settings.observation == GRID else model.settings.observation
    return [model.maze, layout_of(model.settings.walls), seen, *([world] if world else [])]


def sections_of(rows: Sequence[Row]) -> list[Section]:
    """The sections of a table, in its order."""
    bases = {row["cell"]: row for row in rows if row["variant"] == BASE.name}
    found: dict[Place, set[str]] = {}
    for row in rows:
        if row["cell"] not in bases:
            found.setdefault(_place(row), set()).update((row["cell"], row["base"]))
    used = set().union(*found.values()) if found else set()
    for name, row in bases.items():  # one that nothing starts from stands with others of its maze
        if name not in used:
            alike = next((place for place in found if place[:-1] == _place(row)[:-1]), _place(row))
            found.setdefault(alike, set()).add(name)
    order = {row["cell"]: number for number, row in reversed(list(enumerate(rows)))}
    places = sorted(found, key=lambda place: min(order[name] for name in found[place] if name in order))
    sections: list[Section] = []
    for place in places:
        maze, layout, sight, world, seen = place
        own = [row for row in rows if row["cell"] in found[place]]
        task = task_as(maze, layout.replace("/", "\n") + "\n" if layout else "", sight, seen)
        if isinstance(task, WorldTask) and world:
            task = task.told(world.rpartition(", ")[0], own[0]["judged_on"])
        several = sum(other[:-1] == place[:-1] for other in places) > 1
        title = task.title + (f", seen through {seen.title}" if several or seen != NEGATIVE_MAP else "")
        again = sum(other.title.startswith(title) for other in sections)
        title += f", {again + 1}" if again else ""
        scope = "" if title == task_named(maze).title else f"in {the(title, world=task.known_by_data)}"
        sections.append(Section(task, title, own, scope))
    return sections


def _place(row: Row) -> Place:
    return row["maze"], row.get("layout", ""), row.get("observation") or GRID, row.get("world", ""), map_of(row)
