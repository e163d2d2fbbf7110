"""The comparison with peers: rows stay, wrong numbers are said, a tool that fails or ends is one line, and ours works in it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import peers
from benchmarks.peer_tools import OURS, PLAIN, TASKS


class Told:
    """A worker whose answers are given."""

    answers: dict[str, list[Any]]

    def __init__(self, task: str, tool: str, model: str) -> None:
        self.tool, self.spent, self.turn = tool, 1.0, 0

    def measured(self, side: int) -> dict[str, Any]:
        seconds, values = self.answers[self.tool][self.turn % len(self.answers[self.tool])]
        self.turn += 1
        return {"error": values} if seconds is None else {"seconds": seconds, "peak_mib": 100.0, "values": values, "spent": 1.0}

    def close(self) -> None:
        self.spent = 2.0


def test_the_best_turn_counts_and_wrong_ends_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "Worker", Told)
    Told.answers = {
        OURS: [(3.0, [-1.0, 2.0, 30]), (2.0, [-1.0, 2.0, 30])], "hessian-eigenthings": [(0.1, [-0.5, 1.0, 4])],
        "pyhessian": [(1.0, [float("nan"), 2.0, 0])], "curvlinops": [(None, "no derivative")],
    }  # fmt: skip
    rows, spent = peers.compared("ends", "mlp", list(TASKS["ends"]), 2)
    assert [row.get("seconds") for row in rows] == [2.0, 0.1, 1.0, None]
    assert [row.get("wrong") for row in rows] == [False, True, False, False]
    assert rows[1]["speed"] == 20
    assert peers.places(rows) == ("ends", "mlp", OURS)  # the others are wrong, give one end, or failed
    assert spent == 8.0
    text = peers.table(rows)
    assert "WRONG: -0.5, 1, 4" in text
    assert "| ends | mlp | curvlinops | failed" in text


def test_planes_of_two_sides_are_drawn_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "Worker", Told)
    Told.answers = {PLAIN: [(4.0, [1.0]), (16.0, [1.0])], OURS: [(8.0, [1.0]), (14.0, [1.0])]}
    rows, _ = peers.compared("plane", "resnet", [PLAIN, OURS], 1)
    assert rows[0]["seconds"] == pytest.approx(625)
    assert rows[1]["seconds"] == pytest.approx(14 + 0.5 * (625 - 16))
    assert rows[1]["values"] == "as the plain loop"


def test_rows_that_the_file_has_are_not_measured_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, str]] = []

    def compared(task: str, model: str, tools: list[str], turns: int) -> tuple[list[dict[str, Any]], float]:
        asked.append((task, model))
        return [{"task": task, "model": model, "tool": OURS, "seconds": 1.0, "speed": 1.0, "peak_mib": 1.0, "values": ""}], 61.0

    monkeypatch.setattr(peers, "compared", compared)
    monkeypatch.setattr(sys, "argv", ["peers", "--models", "cnn", "--minutes", "1.5", "--out", str(tmp_path / "peers.json")])
    peers.main()
    assert asked == [("plane", "cnn"), ("products", "cnn")]
    assert "ends of cnn: not begun" in capsys.readouterr().out
    peers.main()
    assert asked[2:] == [("ends", "cnn"), ("trace", "cnn")]
    assert len(json.loads((tmp_path / "peers.json").read_text())["rows"]) == 4


def test_a_tool_works_in_a_process_of_its_own() -> None:
    worker = peers.Worker("plane", OURS, "transformer")
    found = worker.measured(2)
    assert len(found["values"]) == 4
    assert 0 < found["seconds"] < found["spent"]
    worker.close()
    broken = peers.Worker("plane", "no tool", "transformer")
    assert "no tool" in broken.measured(2)["error"]
    broken.close()
