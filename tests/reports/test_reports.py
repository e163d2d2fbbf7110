from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from crar_model.evaluation import evaluate
from crar_model.settings import LossSettings, TrainSettings
from crar_model.training.members import transfer_plan
from crar_model.training.runner import run_plan
from reports.landscape import write_landscape
from reports.markdown import table
from reports.runs import Run, repeat_command
from reports.samples import BASE, FAILED
from reports.study import RELEASED, write_study
from reports.subject import SHOWN, load_subject

SHARED = Path(__file__).parents[3] / "shared" / "reference" / "original_scores.csv"


def test_landscape_report(tmp_path: Path) -> None:
    report = write_landscape(FAILED, BASE, tmp_path, points=21, certificate=False, command="crar landscape --out x")
    text = report.read_text()
    assert "crar landscape --out x" in text
    for picture in tmp_path.glob("*.png"):
        assert picture.name in text
        assert picture.stat().st_size < 200_000
        with Image.open(picture) as image:
            assert image.width > 600
    results = json.loads((tmp_path / "results.json").read_text())
    pair = load_subject(FAILED, BASE)
    with xr.open_dataset(tmp_path / "lines.nc", engine="h5netcdf") as lines:
        assert set(lines.sizes.items()) == {("space", 3), ("t", 21)}
        for end, params in ((0, pair.failed), (-1, pair.optimum)):
            own = evaluate(pair.agent, params, inverse=pair.inverse, settings=LossSettings()).terms
            for term in SHOWN:
                if term in ("value", "total"):
                    continue  # bootstrap values are frozen at the optimum's
                for space in ("weight", "embedding", "aligned"):
                    value = float(lines[term].sel(space=space).isel(t=end))
                    assert value == pytest.approx(own[term], rel=1e-9, abs=1e-12), (term, space, end)
    assert results["certificate"] is None
    assert "Is the failed encoder" not in text
    assert results["barriers"]["embedding"]["random_pairs"]["climb"] > 0


def test_landscape_says_when_the_dynamics_differ(base_run: Path, tmp_path: Path) -> None:
    settings = TrainSettings(updates=5, workers=1)
    base = base_run / "member-0.pt"
    for variant in ("unfreeze", "freeze"):
        run_plan(transfer_plan(settings, [base], variant, 1), tmp_path / variant, tensorboard=False)
        report = write_landscape(tmp_path / variant / "member-0.pt", base, tmp_path / f"{variant}-report", points=5, certificate=False)
        assert ("has changed its dynamics" in report.read_text()) == (variant == "unfreeze")


def test_study_report(base_run: Path, freeze_run: Path, tmp_path: Path) -> None:
    report = write_study([base_run], [freeze_run], tmp_path, command="crar report")
    text = report.read_text()
    assert Run(freeze_run).command in text
    for picture in ("embeddings.png", "losses.png", "inputs.png", "transition_error.png"):
        assert f"({picture})" in text
        assert (tmp_path / picture).stat().st_size < 200_000
    assert "| freeze | sequential | 40 | run/member-0 |" in text


def test_the_command_in_a_report_repeats_the_run(base_run: Path, freeze_run: Path) -> None:
    words = shlex.split(Run(freeze_run).command)
    assert words[:2] == ["crar", "transfer"]
    assert words[words.index("--updates") + 1] == "40"
    assert "--update-rule" not in words  # the command's own default
    assert "--learning-rate" not in words
    assert words[words.index("--members") + 1] == "2"
    trained = shlex.split(repeat_command(Run(base_run).plan, base_run))
    assert trained[:4] == ["crar", "train", "--members", "2"]


def test_markdown_table() -> None:
    assert table(("a", "b"), [(1.23456, float("nan"))]).splitlines() == ["| a | b |", "|---|---|", "| 1.23 | - |"]


def test_shipped_models_are_small_and_failed_is_failed() -> None:
    assert sum(path.stat().st_size for path in BASE.parent.glob("*.pt")) < 3_000_000
    pair = load_subject(FAILED, BASE)
    failed, base = pair.failed_file, pair.optimum_file
    assert failed.inverse
    assert not base.inverse
    assert failed.info["variant"] == "freeze"


@pytest.mark.skipif(not SHARED.exists(), reason="the released scores are not part of the project")
def test_the_released_runs_are_random_maze_runs_only() -> None:
    """The simple maze's released outcomes are the counts in `RELEASED`; the scores file has none of its bases."""
    with SHARED.open() as stream:
        bases = {row["base_model"] for row in csv.DictReader(stream)}
    assert not bases & {name.removeprefix("base ") for name, _, _ in RELEASED}
    assert np.sum([good + bad for _, good, bad in RELEASED]) == 44
