"""A study whose cells came from an archive, without their networks, and that is to be scored in another way."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from crar_model.core.errors import UserError
from crar_model.core.files import write_json
from crar_model.core.settings import PlaySettings
from crar_model.studies.packing import DONE, status
from crar_model.studies.plan import Study
from crar_model.studies.run import run_study
from crar_model.studies.store import Store
from crar_model.studies.worker import FAILED, Order, judged, versions, work
from crar_reports.pages.study.table import write_table
from tests.crar_model.small_studies import FEW, ready

OTHER = PlaySettings(episodes=7)
FIGURES = {
    "last": {
        "terms": {"total": 1.0}, "digest": "d", "updates": 1, "metrics": ["nearest_state_accuracy", "navigation_success"],
        "nearest_state_accuracy": 1.0, "navigation_success": 1.0,
    }
}  # fmt: skip


@pytest.fixture
def brought(tmp_path: Path) -> tuple[Study, Store]:
    """A study of which all cells are there as an archive brings them: records and figures, no networks."""
    study, store = ready(FEW, tmp_path)
    for name in study.cells:
        write_json(store.folder(name) / "record.json", {"updates": 1, "search_updates": 0, "diverged_at": -1, "seconds": 1.0})
        store.write_judged(name, study.how, FIGURES)
    return study, store


def test_nothing_is_written_and_the_line_says_what_to_do(brought: tuple[Study, Store]) -> None:
    study, store = brought
    other, before = replace(study, how=OTHER), sorted(store.root.rglob("*"))
    with pytest.raises(UserError, match=r"model\.pt: not there to be scored in another way.*\[evaluation\] of before.* \(6 of 6 cells\)"):
        run_study(cast(Any, None), store, other)  # before a cluster is asked for anything
    assert sorted(store.root.rglob("*")) == before
    assert run_study(cast(Any, None), store, study).finished  # back at the scoring of before there is nothing to do


def test_a_worker_writes_no_figures_of_a_network_that_is_not_there(brought: tuple[Study, Store]) -> None:
    study, store = brought
    name = next(iter(study.cells))
    with pytest.raises(UserError, match=r"model\.pt: not there"):
        judged(store, study.cells[name], OTHER)
    report = work(Order(store, "me", OTHER, versions()), "", [name])
    assert (report.status, "not there" in report.why) == (FAILED, True)
    assert not store.judged_path(name, OTHER).exists()


def test_a_folder_that_was_broken_so_heals(brought: tuple[Study, Store]) -> None:
    study, store = brought
    for name in study.cells:
        store.judged_path(name, OTHER).write_text(json.dumps({}))
    assert store.judged(name, OTHER) is None
    with pytest.raises(UserError, match="not there to be scored in another way"):
        run_study(cast(Any, None), store, replace(study, how=OTHER))
    write_table(store, replace(study, how=OTHER), 3)
    assert {word for word, _ in status(store, study, 3).values()} == {DONE}
    write_json(store.folder(name) / "record.json", {"updates": 1, "search_updates": 0, "diverged_at": 1, "seconds": 1.0})
    assert store.judged(name, OTHER) == {}  # what diverged has no figures, and needs none
