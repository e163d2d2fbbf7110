"""The twelve tasks of docs/first_hour.md, as they stand there."""

from __future__ import annotations

import csv
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import app
from tests.crar_reports.pages import end_early
from tests.test_docs import ROOT, blocks


def test_every_line_of_the_first_hour_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    end_early(monkeypatch)
    lines = "".join(blocks(ROOT / "docs" / "first_hour.md", "console")).splitlines()
    assert len(lines) >= 12
    for line in lines:
        if not line.startswith("crar"):
            subprocess.run(line, shell=True, check=True)
            continue
        done = CliRunner().invoke(app, shlex.split(line)[1:])
        assert done.exit_code == 0, f"{line}\n{done.output}"
    rows = list(csv.DictReader(Path("moved.csv").read_text().splitlines()))
    assert len(rows) == 2 * 2 * 2  # bases, variants, rates
    assert {row["variant"] for row in rows} == {"freeze", "unfreeze"}
    for page in ("shipped", "study", "claims", "path-plane"):
        assert (tmp_path / page / "report.md").stat().st_size > 500
    assert (tmp_path / "episode.gif").exists()
