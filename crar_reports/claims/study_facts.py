"""What the original study alone knows of its mazes: outcomes that it judged by eye, what it released, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass, replace

from crar_model.tasks import TASKS, Task


@dataclass(frozen=True)
class StudyFacts:
    """Of one maze; empty for a maze that the study does not have.

    Attributes:
        judged_by_eye: (base, successes, failures) of its `freeze` transfers, where it judged them so.
        released_scores: whether it released scores of its runs.
        published_cost: (experiment, machines, hours of each, models that it is of: "freeze", "others", "all" or "none" of a study) of appendix E.
    """

    judged_by_eye: tuple[tuple[str, int, int], ...] = ()
    released_scores: bool = False
    published_cost: tuple[tuple[str, str, float, str], ...] = ()


FACTS: dict[str, StudyFacts] = {
    "simple": StudyFacts(
        judged_by_eye=(("base 0002", 3, 19), ("base 0003", 21, 1)),
        published_cost=(("all of the low-dimensional maze", "1 computer with a GTX 1050 Ti", 240.0, "all"),),
    ),
    "random": StudyFacts(
        released_scores=True,
        published_cost=(
            ("original approach, 5 base models", "4 nodes with a Xeon Bronze 3104 and 4 GTX 1080 Ti each", 48.0, "freeze"),
            ("embeddings of the base models", "1 computer with a GTX 1050 Ti", 0.5, "none"),
            ("the other approaches", "4 nodes with a Xeon Bronze 3104 and 4 GTX 1080 Ti each", 48.0, "others"),
        ),
    ),
}
"""By maze."""


def facts_of(task: Task) -> StudyFacts:
    """What the study knows of a maze; what it judged by eye was of its own layout, seen as grids."""
    found = FACTS.get(task.name, StudyFacts())
    return found if task.name in TASKS and task.same_maze(TASKS[task.name]) else replace(found, judged_by_eye=())
