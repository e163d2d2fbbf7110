"""The command of cures, and rows of its table."""

from __future__ import annotations

import dataclasses
from typing import Any

from typer.testing import CliRunner

from cli import app
from crar_model.core.files import typed
from crar_model.core.params import DYNAMICS, select
from crar_model.models.checkpoints import Checkpoint
from crar_model.models.evaluation import Evaluation
from crar_reports.pages.cure.records import Budget, Failed, Row

FAST = ["--resolution", "21", "--effort", "0.1"]


def with_dynamics(model: Checkpoint, factor: float) -> Checkpoint:
    """The model with its dynamics scaled."""
    changed = {name: factor * value for name, value in select(model.parameters, DYNAMICS).items()}
    return dataclasses.replace(model, parameters=model.parameters | changed)


def row_of(plain: dict[str, Any]) -> Row:
    """A row of a table of cures, as its file has it."""
    sides = {name: Evaluation.of(plain[name]) for name in ("before", "after")}
    return Row(**plain | sides | {"failed": typed(plain["failed"], Failed, "", ""), "budget": typed(plain["budget"], Budget, "", "")})


def spent(row: Row, **updates: int) -> Row:
    return dataclasses.replace(row, budget=dataclasses.replace(row.budget, **updates))


def crar(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout
