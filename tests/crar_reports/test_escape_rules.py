"""`crar escape` by the steps of either rule: they are the trainer's own, and every page says which."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from crar_model import samples
from crar_model.core.errors import UserError
from crar_model.core.files import as_read, typed
from crar_model.core.params import select
from crar_model.models.checkpoints import load_checkpoint, save_checkpoint
from crar_model.nets import RMSpropSettings
from crar_model.tasks import default_settings
from crar_model.training.members import Member, Plan
from crar_model.training.trainer import Trainer
from crar_model.training.update_rules import Rule, apply_update, empty_optimizer_state, plan_steps, touched
from crar_model.training.variants import VARIANTS
from crar_reports.figures.escape import escape_figure
from crar_reports.measure.exits import Cell, Counted, Watched
from crar_reports.measure.minimum import Curvatures, Ends
from crar_reports.pages.escape.many import kinds, relations, row_of
from crar_reports.pages.escape.measure import DATA, started
from crar_reports.pages.escape.one import write_page
from crar_reports.pages.escape.records import UNKNOWN, Escape, Grid, Model, Row, Start, Totals

SETTINGS = dataclasses.replace(default_settings("simple"), inverse=True, updates=20)
RATE, BATCH, SEEDS = 1e-3, 8, 2


def trained(tmp_path: Path, rule: str, updates: int) -> tuple[Trainer, torch.Tensor]:
    """The members of a cell after some updates, and their encoders in a row (members, numbers)."""
    save_checkpoint(tmp_path / "minimum.pt", load_checkpoint(samples.FAILED))
    trainer = started(tmp_path / "minimum.pt", SETTINGS, [Cell("rmsprop", RATE, BATCH, rule)], SEEDS)
    trainer.advance(updates)
    return trainer, flat(trainer)


def flat(trainer: Trainer) -> torch.Tensor:
    return torch.cat([trainer.params[name].detach().flatten(1) for name in trainer.trained], dim=1)


def test_sequential_steps_are_those_of_the_trainer_and_not_the_joint_ones(tmp_path: Path) -> None:
    updates = 6
    _, sequential = trained(tmp_path, "sequential", updates)
    _, joint = trained(tmp_path, "joint", updates)
    settings = dataclasses.replace(
        SETTINGS, update_rule="sequential", batch_size=BATCH, learning_rate_decay=1.0, data_size=DATA, log_interval=SETTINGS.updates
    )
    members = tuple(Member(seed, RATE, str(tmp_path / "minimum.pt")) for seed in range(SEEDS))
    own = Trainer(Plan(settings, members, VARIANTS["freeze"]))
    start = flat(own).clone()
    own.advance(updates)
    assert torch.equal(sequential, flat(own))
    moved = (sequential - start).norm(dim=1)
    assert bool((moved > 0).all())
    assert bool(((sequential - joint).norm(dim=1) > 0.1 * moved).all())


def test_a_sequential_step_is_one_rmsprop_step_a_term(tmp_path: Path) -> None:
    """By hand from the same start and batch: the steps of `update_rules`, a term each, taken one after another."""
    trainer, after = trained(tmp_path, "sequential", 1)
    fresh, before = trained(tmp_path, "sequential", 0)
    steps = plan_steps("sequential", SETTINGS.loss)
    assert [step.terms for step, names in trainer.rule.steps if names] == [step.terms for step in steps if touched(step, fresh.trained)]
    assert all(len(step.terms) == 1 for step in steps)
    rmsprop = RMSpropSettings(SETTINGS.rms_decay, SETTINGS.rms_epsilon, SETTINGS.clip_norm, False)
    for step in steps:
        names = touched(step, fresh.trained)
        state = empty_optimizer_state([step], fresh.params, fresh.trained)
        apply_update(
            fresh.params, {name: value.clone() for name, value in select(trainer.target, ("encoder", "value")).items()}, state,
            fresh.data.batch(0), Rule(((step, names),), fresh.rule.loss, rmsprop), torch.full((SEEDS,), RATE), fresh.alive,
        )  # fmt: skip
    assert torch.allclose(flat(fresh), after, atol=1e-6)
    assert float((after - before).norm()) > 1e-3


def test_a_grid_runs_each_rule_with_each_rate() -> None:
    grid = Grid(rates=(8e-5,), sgd_rates=(1e-3,), batches=(8,), rules=("joint", "sequential"))
    assert [[(cell.optimiser, cell.rule, cell.rate) for cell in cells] for cells in grid.groups()] == [
        [("sgd", "joint", 1e-3)], [("sgd", "sequential", 1e-3)], [("rmsprop", "joint", 8e-5)], [("rmsprop", "sequential", 8e-5)],
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"--update-rule is 'both'; choose one of joint, sequential"):
        Grid(rules=("both",)).validate()


def cell(rule: str, left: int) -> Watched:
    return Watched(
        "rmsprop", 8e-5, 8, rule, seeds=4, left=left, matched=left // 2, diverged=0, updates=[], inside=[], low=[], high=[], median=None,
    )  # fmt: skip


def a_minimum(cells: Sequence[Watched] = (), failed: str = "", base: str = "", curvatures: Curvatures | None = None) -> Escape:
    """Results of a minimum that was certified, with so many cells."""
    start = Start(
        "minimum", "", 0.3, 0.2, 0.0, 0.0, 0, None, 0, "weight", {}, 1, {}, curvatures, Ends(3e-8, 0.0, 107.0, 0.0), None, barrier=0.1
    )
    return Escape(
        "crar escape", Model("f.pt", "f", failed), Model("b.pt", "b", base), Grid(updates=4, checks=2), start, Totals(0.2, 0.1, 0.0), 1.0, 0.0, list(cells),
    )  # fmt: skip


def test_page_and_figure_name_the_rule_beside_the_rate(tmp_path: Path) -> None:
    cells = [cell("joint", 0), cell("sequential", 3)]
    results = a_minimum(cells, failed="sequential 8e-05, 60,000 updates", base="joint 0.0005, 14,000 updates")
    write_page(results, tmp_path, load_checkpoint(samples.FAILED).task)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| rmsprop | joint | 8e-05 | 8 | 0 of 4 |" in text
    assert "| rmsprop | sequential | 8e-05 | 8 | 3 of 4 |" in text
    assert "3 of 4, by rmsprop, sequential steps, at a rate of 8e-05 and batches of 8" in text
    assert "| trained by | sequential 8e-05, 60,000 updates, from a base of joint 0.0005, 14,000 updates |" in text
    figure = escape_figure(cells, 4)
    assert [axes.get_title() for axes in figure.axes] == ["rmsprop, joint steps", "rmsprop, sequential steps"]


def test_bases_of_two_recipes_are_told_apart() -> None:
    def row(recipe: str, number: int, left: int) -> Row:
        cells: list[Counted] = [cell("joint", 0), cell("sequential", left)]
        return Row(
            seeds=8, left=left, matched=0, diverged=0, name="", path="", base="", base_digest=f"{recipe} {number}", verdict="minimum", loss=0.2,
            barrier=0.1 * number, log_ratio=1.0, lowest=None, highest=float((number * 3) % 7), recipe=recipe, cells=cells,
        )  # fmt: skip

    rows = [row("odd", k, k) for k in range(4)] + [row("even", k, 4 - k) for k in range(4)]
    found = {(kind.recipe, kind.rule): kind for kind in kinds(rows)}
    assert [(key, kind.left, kind.minima, kind.arrived, kind.of) for key, kind in found.items()] == [
        (("odd", "joint"), 0, 0, 0, 4), (("odd", "sequential"), 6, 3, 2, 4), (("even", "joint"), 0, 0, 0, 4), (("even", "sequential"), 10, 4, 3, 4),
    ]  # fmt: skip
    assert [each.bases for each in relations(rows) if each.look == "barrier"] == [4, 4, 4, 4]
    assert str(kinds(rows)[1]) == "rmsprop, sequential steps, at a rate of 8e-05 and batches of 8"


def test_results_of_before_there_were_rules_are_joint_ones() -> None:
    plain = as_read(a_minimum([cell("joint", 1)]))
    del plain["cells"][0]["rule"], plain["grid"]["rules"], plain["failed"]["recipe"], plain["base"]["recipe"], plain["minimum"]["reference"]
    row = row_of(typed(plain, Escape, "", ""), "f")
    assert (row.recipe, row.cells[0].rule) == (UNKNOWN, "joint")
