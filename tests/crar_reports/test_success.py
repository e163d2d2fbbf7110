"""The one definition of success, and whoever asks it: claims, studies, cures and maps."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from crar_model.agent.symmetry import MATCHED, Likeness, Match
from crar_model.core.files import typed
from crar_model.models.evaluation import Evaluation
from crar_model.models.merit import EARLIER, FAILED, OPEN, SUCCESSFUL, as_good, definition, outcome
from crar_model.tasks import TASKS
from crar_model.tasks.metrics import Score
from crar_model.training.variants import VARIANTS
from crar_reports.claims.evidence import pair_of
from crar_reports.claims.losses import does
from crar_reports.pages import maps
from crar_reports.pages.maps import write_page
from crar_reports.pages.maps_view import Maps
from crar_reports.pages.study.table import success

MATCH = Match(MATCHED, [[1, 0], [0, 1]], 0.1, 0.1, 0.0, 1.0)


def in_all(shares: dict[str, tuple[float, float]], verdict: str, *, frozen: bool = True) -> list[bool]:
    """Whether a model of the simple maze succeeded, as claims, cures and studies have it."""
    short = {"nearest_state_accuracy": "accuracy", "navigation_success": "navigation"}
    plain = {short[name]: [own, base, base] for name, (own, base) in shares.items()} | {
        "match": {"verdict": verdict},
        "same_dynamics": frozen,
    }
    own, base = (Evaluation({}, {name: pair[side] for name, pair in shares.items()}) for side in (0, 1))
    judged = as_good(dataclasses.replace(own, match=dataclasses.replace(MATCH, verdict=Likeness(verdict))), base)
    cell: Any = SimpleNamespace(task=TASKS["simple"], recipe=VARIANTS["freeze" if frozen else "unfreeze"])
    row = {"diverged_at": -1, "outcome": verdict} | {f"last_{name}": pair[0] for name, pair in shares.items()}
    known = success(cell, row, {name: pair[1] for name, pair in shares.items()} | {"metrics": list(shares)})
    return [does(pair_of(plain, complete=True)) == SUCCESSFUL, judged, bool(known)]


@pytest.mark.parametrize(
    ("accuracy", "navigation", "verdict", "frozen", "good"),
    [
        (0.98, 0.98, "matched", True, True),
        (0.979, 1.0, "matched", True, False),  # by more than two points
        (1.0, 0.979, "matched", True, False),
        (1.0, 1.0, "symmetric", True, True),
        (1.0, 1.0, "swapped", True, True),  # what it can do decides, not what it looks like
        (1.0, 1.0, "neither", True, True),
        (0.9, 1.0, "symmetric", True, False),
        (1.0, 1.0, "swapped", False, True),
        (0.9, 1.0, "matched", False, False),
    ],
)
def test_every_page_says_the_same(accuracy: float, navigation: float, verdict: str, frozen: bool, good: bool) -> None:
    shares = {"nearest_state_accuracy": (accuracy, 1.0), "navigation_success": (navigation, 1.0)}
    assert in_all(shares, verdict, frozen=frozen) == [good] * 3


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [(0.1, 0.5, SUCCESSFUL), (-0.1, 0.5, OPEN), (0.0, 0.5, OPEN), (-4.9, -4.5, FAILED), (math.nan, math.nan, FAILED)],
)
def test_random_mazes_go_by_the_interval(low: float, high: float, word: str) -> None:
    assert outcome({}, score=(low, high)) == word
    scored = {"failed_score": {"low": low, "high": high}, "match": {"verdict": "neither"}}
    assert does(pair_of(scored, complete=False)) == word
    one, base = (Evaluation({}, {"score": Score(0.0, *ends, 100, None, None)}) for ends in ((low, high), (0.5, 0.9)))
    assert as_good(one, base) is (word == SUCCESSFUL)
    cell: Any = SimpleNamespace(task=TASKS["random"], recipe=VARIANTS["freeze"])
    row = {"diverged_at": -1, "outcome": "neither", "final_score": 3.0, "last_score_low": low, "last_score_high": high}
    assert success(cell, row, {}) is (word == SUCCESSFUL)
    assert not success(cell, row | {"diverged_at": 5}, {})


def test_the_worlds_of_the_simple_maze_have_no_symmetry_but_the_identity() -> None:
    """A renaming of states that commutes with every move is settled by where it takes one state: here none but the identity is one."""
    maze = TASKS["simple"].maze
    assert maze is not None
    successor = torch.as_tensor(maze.successor)
    found = []
    for image in range(maze.n_states):
        renamed, queue = {maze.start: image}, [maze.start]
        for state in queue:
            for action in range(maze.n_actions):
                to = int(successor[state, action])
                if to not in renamed:
                    renamed[to] = int(successor[renamed[state], action])
                    queue.append(to)
        whole = torch.tensor([renamed[state] for state in range(maze.n_states)])
        if len(set(renamed.values())) == maze.n_states and torch.equal(whole[successor], successor[whole]):
            found.append(whole.tolist())
    assert found == [list(range(maze.n_states))]


def test_pages_state_the_definition_and_how_the_original_judged(tmp_path: Any) -> None:
    row = {
        "path": "t.pt",
        "digest": "t",
        "map": "negative",
        "way": "freeze",
        "variant": "freeze",
        "updates": 1,
        "good": True,
        "base": "b.pt",
        "base_digest": "b",
        "settings": {},
    }
    page = tmp_path / "report.md"
    for maze, said in (("simple", definition(scored=False)), ("random", EARLIER)):  # results of before it stood there
        before = {"command": "crar maps", "rows": [row | {"maze": maze}], "copies": 0}
        write_page(typed(before, Maps, "", ""), tmp_path)
        assert f"A transfer succeeds where {said}" in page.read_text(encoding="utf-8")
    for scored, word in ((False, "judged by eye"), (True, "counts a final score above 0")):
        assert f"the original {'was ' * (not scored)}{word}" in definition(scored=scored)
    assert maps.definition is definition
