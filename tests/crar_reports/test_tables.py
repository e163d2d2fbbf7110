"""The table of `crar evaluate`: rows that can be told apart, in 80 columns."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from crar_model.agent.symmetry import NEITHER, Match
from crar_model.core.settings import LossSettings
from crar_model.models.checkpoints import Checkpoint
from crar_model.models.evaluation import Evaluation
from crar_model.models.judged import Judged, about, write_csv
from crar_model.tasks.metrics import Score
from crar_reports.pages.evaluate import print_evaluation

SCORE = Score(mean=-10.25, low=-11.5, high=-9.75, samples=200, solved=0.25, keys=1.0, values=())


def judged(
    path: str, variant: str = "freeze", base: str = "runs/base/member-0.pt", seed: int = 0, rate: float = 1e-4, updates: int = 60_000,
    maze: str = "simple", inverse: bool = True,
) -> Judged:  # fmt: skip
    info = {"variant": variant, "seed": seed, "learning_rate": rate, "base": base}
    terms = dict.fromkeys(LossSettings().weights(), 1.234e-05) | {"total": 0.00012}
    metrics = {"score": SCORE} if maze == "random" else {"nearest_state_accuracy": 0.5, "navigation_success": 1.0}
    match = Match(NEITHER, [[1, 0], [0, 1]], 12.34, 12.34, 1.5, 0.3) if base else None
    return Judged(Path(path), Checkpoint(maze, inverse, {}, updates, info), Evaluation(terms, dict(metrics), match))


def shown(models: list[Judged], capsys: pytest.CaptureFixture[str], *, full: bool = False) -> list[str]:
    print_evaluation(models, full=full)
    return capsys.readouterr().out.splitlines()


def test_what_differs_is_a_column_and_what_does_not_stands_above(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown([judged("a/member-0.pt", seed=4, rate=1e-4), judged("a/member-1.pt", seed=5, rate=2e-4)], capsys)
    head = next(line for line in lines if line.startswith("model"))
    assert head.split() == ["model", "seed", "rate", "total", "nearest", "navigation", "verdict", "residual"]
    assert "a/  maze inverse, variant freeze, base runs/base/member-0.pt, updates 60000" in lines
    assert "member-1    5 0.0002 0.00012    50 %      100 % neither    12.34" in lines


def test_folders_are_apart_and_bases_numbered(capsys: pytest.CaptureFixture[str]) -> None:
    models = [judged("a/member-0.pt"), judged("a/member-1.pt", base="other/best-3.pt"), judged("b/member-0.pt", "unfreeze", updates=7)]
    text = "\n".join(shown(models, capsys))
    assert "a/  maze inverse, variant freeze, seed 0, rate 0.0001, updates 60000" in text
    assert "b/  maze inverse, variant unfreeze, seed 0, rate 0.0001, updates 7" in text
    assert "base 1 = runs/base/member-0.pt" in text
    assert "base 2 = other/best-3.pt" in text


@pytest.mark.parametrize("maze", ["simple", "random"])
def test_the_widest_table_fits_80_columns(maze: str, capsys: pytest.CaptureFixture[str]) -> None:
    models = [
        judged("runs/x/member-10.pt", "delay-structure", "runs/base/member-10.pt", 100, 2.5e-05, 200_000, maze),
        judged("runs/x/member-11.pt", "reset-encoder", "runs/base/member-11.pt", 101, 8e-05, 83_600, maze),
    ]
    lines = shown(models, capsys, full=True)
    assert max(map(len, lines)) <= 80
    assert any("delay-st\u2026" in line and "200000" in line for line in lines)
    assert any(line.startswith("member-11") and "12.34" in line for line in lines)


def test_a_long_variant_is_cut_where_that_makes_it_fit(capsys: pytest.CaptureFixture[str]) -> None:
    models = [judged("x/member-0.pt", "delay-structure", rate=2e-4), judged("x/member-1.pt", "reset-encoder", "b/member-1.pt", 11)]
    lines = shown(models, capsys)
    assert max(map(len, lines)) <= 80
    assert any("delay-st\u2026" in line and "12.34" in line for line in lines)


def test_the_legend_says_whose_weights_and_what_words_mean(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(shown([judged("a/member-0.pt")], capsys))
    assert "total: sum of the loss terms, each model's under its own weights" in text
    for word in ("nearest:", "navigation:", "verdict: matched", "residual:", "in mean edges"):
        assert word in text
    assert "score:" not in text


def test_small_terms_are_behind_full(capsys: pytest.CaptureFixture[str]) -> None:
    models = [judged("a/member-0.pt")]
    assert not any("1.2e-05" in line for line in shown(models, capsys))
    assert sum("1.2e-05" in line for line in shown(models, capsys, full=True)) == 1


def test_a_model_that_names_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    nameless = Judged(Path("old.pt"), Checkpoint("simple", False, {}), judged("x", base="").evaluation)
    assert about(nameless).variant is None
    assert "None" not in "\n".join(shown([nameless], capsys))


def test_csv_has_all_figures_a_row_a_model(tmp_path: Path) -> None:
    write_csv([judged("a/member-0.pt"), judged("a/member-1.pt", base="")], tmp_path / "models.csv")
    with (tmp_path / "models.csv").open(newline="") as stream:
        first, second = csv.DictReader(stream)
    assert (first["path"], first["variant"], first["seed"], first["learning_rate"]) == ("a/member-0.pt", "freeze", "0", "0.0001")
    assert float(first["terms.transition"]) == pytest.approx(1.234e-05, rel=0, abs=0)
    assert first["match.verdict"] == "neither"
    assert second["match.verdict"] == ""
