"""The released scores give the study's published figures, typed here from docs/original.md, section 8."""

from __future__ import annotations

import tomllib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crar_model.training.variants import VARIANTS
from crar_reports.claims.released_scores import (
    BASES,
    EPOCH,
    FILE,
    RATE,
    ReleasedRun,
    first_above_rows,
    learning_rate_rows,
    outcome,
    released_rows,
    released_runs,
    released_scores,
)
from crar_reports.claims.study_facts import FACTS
from crar_reports.press.markdown import table

ROOT = Path(__file__).parents[2]
PUBLISHED = [
    ("freeze, lr 5e-4", "0.10 ± 1.35, 5/6", "0.82 ± 0.54, 5/6", "-2.32 ± 2.35, 1/6", "-4.63 ± 0.13, 0/6", "-4.73 ± 0.04, 0/6"),
    ("reset-encoder", "", "0.93 ± 0.37, 6/6", "", "", "-4.74 ± 0.12, 0/6"),
    ("unfreeze", "", "0.98 ± 0.13, 6/6", "", "", "0.89 ± 0.11, 6/6"),
    ("omit-ball", "", "0.93 ± 0.13, 6/6", "", "", "-3.44 ± 1.56, 0/6"),
    ("delay-structure", "", "-0.61 ± 1.46, 3/6", "", "", "-2.22 ± 2.59, 2/6"),
]
RATES = [(1e-5, -3.32, "0/6"), (5e-5, -0.24, "5/6"), (1e-4, -3.21, "3/12"), (5e-4, 0.82, "5/6"), (1e-3, 0.77, "6/6"), (5e-3, -4.75, "0/6")]


def test_the_table_is_complete_and_read_only() -> None:
    rows = released_scores()
    runs = released_runs()
    assert (rows.shape, len(runs), FILE.stat().st_size < 100_000) == ((12_492,), 120, True)
    assert sum(len(run.scores) for run in runs) == len(rows)
    assert Counter(len(run.scores) for run in runs).most_common(2) == [(100, 107), (200, 6)]
    assert min(len(run.scores) for run in runs) == 64
    assert {run.variant for run in runs} < set(VARIANTS)
    assert len({(run.variant, run.base_model, run.learning_rate, run.seed) for run in runs}) == 120
    assert (rows["score"].min(), rows["score"].max()) == (-5.0, 1.9812)
    first = rows[(rows["variant"] == "unfreeze") & (rows["base_model"] == "42") & (rows["epoch"] == 1)]
    assert first["seed"].tolist() == [128_950, 128_951, 128_952, 128_953, 128_954, 128_955]
    assert released_runs("unfreeze", "42")[0].scores[0] == first["score"][0]
    with pytest.raises(ValueError, match="read-only"):
        rows["score"][0] = 0.0


def test_transfers_give_the_published_table() -> None:
    assert released_rows() == PUBLISHED


def test_learning_rates_give_the_published_figures() -> None:
    assert [(float(rate), float(cell.split(" ")[0]), cell.split(", ")[1]) for rate, cell in learning_rate_rows()] == RATES


def test_scratch_gives_the_published_figure() -> None:
    assert str(outcome(released_runs("scratch"))) == "0.88 ± 0.17, 6/6"


@pytest.mark.parametrize(
    ("variant", "base", "low", "high"),
    [
        ("scratch", "", 12, 34),
        ("freeze", "42", 16, 66),
        ("reset-encoder", "42", 10, 77),
        ("unfreeze", "42", 1, 8),
        ("omit-ball", "42", 3, 29),
    ],
)
def test_when_scores_come_up(variant: str, base: str, low: int, high: int) -> None:
    """The study's counts name the first epoch of the window; ours its last, four later."""
    rows = {(name, of): epochs for name, of, epochs in first_above_rows()}
    assert rows[variant, base] == f"{low + 4} to {high + 4} (6/6)"


def test_when_a_run_comes_up() -> None:
    run = ReleasedRun("freeze", "42", RATE, 0, np.array([-5.0, 1.0, -5.0, 1.0, 1.0, 2.0, 2.0]))
    assert run.final == 1.5  # the last half of seven
    assert (run.until(2 * EPOCH).final, run.until(EPOCH + 1).final, run.until(None)) == (1.0, -5.0, run)
    assert replace(run, scores=np.arange(30.0)).final == 24.5  # the last ten
    assert (run.first_above(window=1), run.first_above(window=2), run.first_above(window=5)) == (2, 5, 7)
    assert run.first_above(2.5, window=1) is None
    assert run.first_above(window=8) is None


def test_an_outcome_needs_two_runs() -> None:
    with pytest.raises(ValueError, match="needs two"):
        outcome(released_runs("freeze", "41", 1e-3))


def test_the_released_scores_have_none_of_the_simple_maze() -> None:
    """Its transfers were judged by eye: 44 of them, counted in the facts of the study, from bases that the scores do not name."""
    judged = FACTS["simple"].judged_by_eye
    assert not {run.base_model for run in released_runs()} & {name.removeprefix("base ") for name, _, _ in judged}
    assert sum(good + bad for _, good, bad in judged) == 44


def test_the_file_goes_into_the_wheel() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["crar_reports"]
    assert any(path == FILE for pattern in patterns for path in (ROOT / "crar_reports").glob(pattern))


def test_the_page_of_facts_has_the_same_tables() -> None:
    page = (ROOT / "docs" / "original.md").read_text(encoding="utf-8")
    assert table(("", *(f"base {name}" for name in BASES)), released_rows()) in page
    assert table(("learning rate", "final score"), learning_rate_rows()) in page
    assert table(("variant", "base", "epochs"), first_above_rows()) in page
