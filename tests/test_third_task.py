"""A third maze through every command: what docs/your_own_task.md promises."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

import crar_reports
from crar_model import tasks
from tests.corridor import LENGTH, CorridorTask
from tests.crar_reports.pages import end_early

ROOT = Path(__file__).parent.parent


def run(line: str) -> None:
    """A `crar` command, as its own entry point runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["crar", *line.split()])
        patch.setattr(
            crar_reports, "commands", sys.modules.get("crar_reports.commands"), raising=False
        )  # put back afterwards, as its modules are
        for name in [name for name in sys.modules if name.split(".")[0] == "cli" or name.startswith("crar_reports.commands")]:
            patch.delitem(sys.modules, name)  # a user adds the task before the command line is loaded
        with pytest.raises(SystemExit) as stop:
            importlib.import_module("cli").main()
    assert not stop.value.code, line


def test_a_third_task_runs_through_every_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    end_early(monkeypatch)
    monkeypatch.setitem(tasks.TASKS, "corridor", CorridorTask())
    run("train --maze corridor --members 2 --workers 2 --out base")  # worker processes learn of the task from their job
    run("transfer --from base/member-0.pt --members 2 --workers 1 --out freeze")
    assert json.loads(Path("freeze/run.json").read_text())["settings"]["updates"] == 30
    capsys.readouterr()
    run("evaluate freeze --json")
    models = json.loads(capsys.readouterr().out)["models"]
    assert [model["maze"] for model in models] == ["corridor"] * 2
    assert all(0 <= model["nearest_state_accuracy"] <= 1 and model["match"]["verdict"] for model in models)
    run("landscape --quick --resolution 5 --points 5 --from freeze/member-0.pt --to base/member-0.pt --out landscape")
    found = json.loads(Path("landscape/results.json").read_text())
    assert found["certificate"]["verdict"] in ("minimum", "saddle", "flat", "undecided", "not converged")
    assert found["errors"]["states"] == LENGTH
    assert [claim["id"] for claim in found["claims"]] == [f"S{k}" for k in range(1, 11)]
    assert "all 10 transitions" in Path("landscape/report.md").read_text()
    run("claims --quick --transfer freeze --out claims")
    assert "all 10 transitions" in Path("claims/report.md").read_text()
    run("theorem --from freeze/member-0.pt --to base/member-0.pt --out theorem")
    run("report --base base --transfer freeze --out report")
    assert "corridor of five cells" in Path("report/report.md").read_text()


def test_the_page_shows_the_task_that_is_tested() -> None:
    source = (ROOT / "tests" / "corridor.py").read_text().split('"""\n\n', 1)[1].rstrip()
    assert source in (ROOT / "docs" / "your_own_task.md").read_text()
    assert len(source.splitlines()) < 80
