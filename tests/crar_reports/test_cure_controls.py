"""The controls of a cure: placement at a wrong place, and `freeze` once more, annealed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from crar_model import samples
from crar_model.agent.symmetry import Likeness, Match
from crar_model.core.errors import UserError
from crar_model.core.kept import Pieces
from crar_model.core.settings import CureSettings
from crar_model.cures.cure import cure
from crar_model.cures.level import DISTINCT, Ground, away_from, distinct, ground_of
from crar_model.cures.methods import METHODS
from crar_model.cures.problem import Problem, pose
from crar_model.models.checkpoints import load_checkpoint
from crar_model.models.evaluation import Evaluation
from crar_model.tasks import TASKS
from crar_model.training.trainer import Trainer
from crar_reports.pages.cure import one as page
from crar_reports.pages.cure.many import spending, write_page
from crar_reports.pages.cure.records import Budget, Cures, Failed, Row

SETTINGS = CureSettings(resolution=9, effort=0.005)


@pytest.fixture(scope="module")
def problem() -> Problem:
    return pose(load_checkpoint(samples.FAILED), load_checkpoint(samples.BASE), 0)


@pytest.fixture(scope="module")
def ground(problem: Problem) -> Ground:
    return ground_of(problem, SETTINGS)


def test_a_wrong_place_has_the_fit_of_placement(problem: Problem, ground: Ground) -> None:
    assert METHODS["misplaced"].rounds == METHODS["placement"].rounds
    right, wrong = (cure(problem, name, SETTINGS, ground=ground, anyway=True).tried[0] for name in ("placement", "misplaced"))
    level = ground.level
    assert level is not None
    refined = away_from(problem, level, SETTINGS, Pieces())[1]
    assert wrong.updates - refined == right.updates
    assert len(right.candidates) + len(right.dropped) == len(wrong.candidates) + len(wrong.dropped)


def test_a_wrong_place_is_drawn_and_not_chosen(problem: Problem, ground: Ground) -> None:
    """Its start states are refined by a step or two here, so they lie where they were drawn: away from the level's, and another seed has others."""
    level = ground.level
    assert level is not None
    start, radius = problem.forest.roots[0], problem.loss.settings.ball_radius
    taken = level.embeddings[distinct(problem, level.embeddings), start]
    places = [away_from(problem, level, CureSettings(seed=seed, effort=0.001), Pieces())[0][:, start] for seed in (0, 0, 1)]
    assert torch.equal(places[0], places[1])
    assert not torch.allclose(places[0], places[2])
    for drawn in places:
        assert bool((torch.cdist(drawn, taken) > DISTINCT * radius - 0.05).all())


def test_annealed_is_freeze_by_the_trainer_down_to_a_small_rate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Any] = []
    advance = Trainer.advance

    def watched(self: Trainer, updates: int) -> None:
        seen.append((self.plan, updates))
        advance(self, updates)

    monkeypatch.setattr(Trainer, "advance", watched)
    settings = CureSettings(resolution=9, effort=0.001, budget=24)
    options = page.CureOptions(settings, anyway=True)
    found = page.write_cure(samples.FAILED, tmp_path, method="annealed", base_path=samples.BASE, to_path=samples.BASE, options=options)
    ((plan, updates),) = seen
    stored = load_checkpoint(samples.FAILED).info["settings"]
    assert (plan.variant.name, plan.settings.update_rule, plan.settings.batch_size) == (
        "freeze",
        stored["update_rule"],
        stored["batch_size"],
    )
    assert (plan.members[0].learning_rate, plan.settings.learning_rate_decay, plan.settings.decay_interval) == (5e-3, 0.6, 2)
    assert updates == found.budget.updates == 24  # as much as it may spend, in one candidate
    assert found.found.tried[0].candidates[0].label == "freeze"
    assert found.restored is False


def test_annealed_needs_the_file_of_a_base_and_listed_transitions(problem: Problem) -> None:
    with pytest.raises(UserError, match="--method annealed trains anew from the file of the base"):
        cure(problem, "annealed", SETTINGS, anyway=True)
    with pytest.raises(UserError, match="give it with --base"):
        page.write_cure(samples.FAILED, Path("nowhere"), method="annealed", options=page.CureOptions(SETTINGS))
    assert not METHODS["annealed"].sampled
    assert TASKS["random"].maze is None


def row(method: str, base: str, verdict: str, *, restored: bool, updates: int = 10) -> Row:
    after = Evaluation({}, {"nearest_state_accuracy": 1.0}, Match(Likeness(verdict), [[1, 0], [0, 1]], 0.1, 0.1, 0.0, 1.0))
    lacks, budget = [] if restored else ["navigation_success"], Budget(updates, 5, 1.0)
    return Row(method, Failed(f"{base}.pt", base), restored, method, restored, lacks, budget, after, after, 0, base, base, 0.1, 0.2)


def test_the_table_tells_the_right_valley_from_a_restored_model(tmp_path: Path) -> None:
    rows = [row("misplaced", base, verdict, restored=False) for base, verdict in (("a", "matched"), ("b", "matched"), ("c", "swapped"))]
    rows += [row("placement", base, "matched", restored=base != "c") for base in "abc"]
    results = Cures("crar cure", CureSettings(), 3, 3, 0, rows)
    write_page(results, tmp_path)
    table = {one["method"]: one for one in json.loads((tmp_path / "results.json").read_text())["table"]}
    assert [(name, one["valley"]["count"], one["restored"]["count"]) for name, one in table.items()] == [
        ("misplaced", 2, 0),
        ("placement", 3, 2),
    ]
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| method | right valley | 95 % exact, by base | restored |" in text
    assert "| misplaced | 2 of 3 | 9 % to 99 % | 0 of 3 | 0 % to 71 % |" in text
    assert "`misplaced` is placement without its choice" in text
    assert "along the table of moves of the new maze" in text
    without = [replace(one, level=None, method="symmetry") for one in rows if one.method == "misplaced"]
    write_page(replace(results, rows=without), tmp_path)
    assert "table of moves" not in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_a_control_with_the_same_fit_is_not_said_to_have_had_less() -> None:
    rows = [row("placement", "a", "matched", restored=True), row("misplaced", "a", "neither", restored=False, updates=3)]
    assert "not equal" not in spending(rows) or "Updates of all candidates" in spending(rows)
    rows.append(row("annealed", "a", "neither", restored=False, updates=15))
    assert spending(rows).endswith("none had less to spend.")
