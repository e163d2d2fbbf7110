"""A world of one's own through the commands: one whose states are listed, and one whose moves are random."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import crar_model
import crar_reports
from crar_model.models.checkpoints import load_checkpoint
from tests.crar_reports.explorer_data import data_of
from tests.crar_reports.pages import end_early

LINE = "tests.small_worlds:tests/Line-v0"
SHORT: dict[str, Any] = {"updates": 60, "log_interval": 30, "checkpoint_interval": 60, "workers": 1}


@pytest.mark.parametrize("slip", ["0", "0.2"])
@pytest.mark.usefixtures("as_published")
def test_every_command_takes_a_world(slip: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    listed = slip == "0"
    end_early(monkeypatch)
    base = crar_model.train(tmp_path / "base", env=LINE, env_arg=f"slip={slip}", steps=2_000 if listed else 8_000, members=2, **SHORT)
    barely = SHORT | {"updates": 2, "log_interval": 2, "checkpoint_interval": 2}  # for with as many updates as its base it succeeds
    there = crar_model.transfer(base.models[0], tmp_path / "freeze", members=1, **barely)
    said = " ".join(json.loads((tmp_path / "freeze" / "run.json").read_text())["world"])
    assert ("can be listed" in said) == listed
    found = crar_model.evaluate(tmp_path / "freeze")
    (one,) = json.loads(json.dumps(found.plain()))["models"]
    assert 0 <= one["nearest_state_accuracy"] <= 1
    crar_reports.landscape(there.models[0], base.models[0], out=tmp_path / "landscape", quick=True, resolution=5, points=5)
    page = (tmp_path / "landscape" / "report.md").read_text()
    assert "**The world**" in page
    assert ("all 8 moves that were tried" in page) == listed
    assert ("held-out sample" in page) != listed
    results = json.loads((tmp_path / "landscape" / "results.json").read_text())
    assert ("certificate" in results) == listed
    shown = data_of(tmp_path / "landscape" / "explorer.html")
    assert "has no board" in " ".join(shown["notes"])
    assert {way["name"] for way in shown["ways"]} == {"straight", *(("frozen", "free") if listed else ())}
    for way in shown["ways"]:  # the bars of every way begin at the failed model, or where it converges
        assert set(way["bars"]["values"]) >= {"transition", "reward", "consecutive"}
        assert float(way["bars"]["at"][0]) <= 0
    crar_model.cure(there.models[0], method="first-layer", starts=2, effort=0.01, anyway=True)
    crar_reports.decide_claims(tmp_path / "freeze", out=tmp_path / "claims", quick=True)
    assert (
        json.loads((tmp_path / "claims" / "results.json").read_text())["world"]["digest"]
        == load_checkpoint(there.models[0]).settings.data_digest
    )
    crar_reports.report(tmp_path / "base", tmp_path / "freeze", out=tmp_path / "report")
    assert "**The world**" in (tmp_path / "report" / "report.md").read_text()
    crar_reports.theorem(there.models[0], out=tmp_path / "theorem", sample=None)
    crar_reports.predict(base.models[0], out=tmp_path / "predict")
    for name in ("landscape", "claims", "report", "theorem", "predict"):
        said = (tmp_path / name / "report.md").read_text().partition("## Terms")[0].replace("--maze world", "")
        assert not re.findall(
            r".*\bmazes?\b.*|.*\bnan\b.*|.*[^-]\binf\b.*|.*the tests.small.*|.* maps? \(.*|.*interval of its score lies.*", said
        ), name
        assert ("goals reached" in said or "navigation" in said) == listed or name in ("theorem", "predict", "claims"), name
