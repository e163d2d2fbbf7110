"""What is told of work in progress where nobody watches a bar."""

from __future__ import annotations

import pytest

from crar_reports import progress as console


def test_the_log_ends_without_an_estimate(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress_bar("evaluate", "models") as tick:
        tick(0, 2)
        tick(2, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("evaluate: 2 of 2 models, took ")
    assert "nan" not in line
    assert "ETA" not in line


def test_the_log_tells_losses_while_a_run_goes_on(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "LOG_EVERY", 0.0)
    with console.progress_bar("freeze") as tick:
        tick(0, 10)
        tick.rows(0, 5, {"total": [0.5, 0.7], "transition": [0.01, 0.03], "ball": [9.0, 9.0]})
        tick.rows(2, 5, {"total": [0.9], "transition": [0.05], "ball": [9.0]})
        tick(5, 10)
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first == "freeze: 0 of 10 updates"  # nothing to estimate from
    assert last.startswith("freeze: 5 of 10 updates, total 0.7, transition 0.03, ETA ")
    assert "nan" not in last


def test_a_run_that_is_stopped_or_empty_has_no_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress_bar("freeze") as tick:
        tick(0, 0)
        tick(3, 10)
    assert capsys.readouterr().err == ""


def test_nan_losses_of_a_diverged_member_do_not_hide_the_others() -> None:
    tick = console.Ticker(lambda done, everything, losses: None)
    tick.rows(0, 5, {"total": [float("nan"), 0.5, 0.7, 0.9], "score": []})
    assert tick.losses == "total 0.7"
