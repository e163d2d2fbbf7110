from __future__ import annotations

import itertools
import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import xarray as xr
from PIL import Image

from crar_model.agent.loss import SHOWN
from crar_model.core.errors import UserError
from crar_model.core.settings import LossSettings, TrainSettings
from crar_model.mazes.walks import gather_walk, save_walk
from crar_model.models.checkpoints import load_checkpoint
from crar_model.models.evaluation import evaluate
from crar_model.samples import BASE, FAILED
from crar_model.training.members import base_plan, transfer_plan
from crar_model.training.runner import run_plan
from crar_reports.measure.options import LandscapeOptions
from crar_reports.measure.subject import load_subject
from crar_reports.models.runs import Run, repeat_command
from crar_reports.pages.claims import write_claims
from crar_reports.pages.landscape.page import write_landscape
from crar_reports.pages.report import write_study
from crar_reports.pages.trajectory import write_trajectory
from crar_reports.press.markdown import table
from crar_reports.progress import StageClock
from tests.crar_reports.pages import end_early, summary_of, whole_page

QUICK = LandscapeOptions(points=21, resolution=5, quick=True)


@pytest.mark.usefixtures("as_published")
def test_landscape_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end_early(monkeypatch)
    options = replace(QUICK, certificate=False)
    clock = StageClock()
    report = write_landscape(FAILED, BASE, tmp_path, options=options, command="crar landscape --out x", clock=clock)
    text = report.read_text()
    assert "crar landscape --out x" in text
    assert "surface.html" in {link["href"] for link in whole_page(report).all("a")}
    for picture in tmp_path.glob("*.png"):
        assert picture.name in text
        assert picture.stat().st_size < 200_000
        with Image.open(picture) as image:
            assert image.width > 600
    results = json.loads((tmp_path / "results.json").read_text())
    short = "\n".join(summary_of(text))  # the summary says what the figures below it say, and that they were cut short
    assert f"total loss {results['failed_terms']['total']:.3g}" in short
    assert f"climbs {results['paths']['frozen']['barrier']:.3g} with the dynamics frozen" in short
    assert "What it is" not in short  # no certificate was made
    assert "`--quick`" in short
    for verdict in {claim["verdict"] for claim in results["claims"]}:
        assert f"{verdict} {sum(claim['verdict'] == verdict for claim in results['claims'])}" in short
    pair = load_subject(FAILED, BASE)
    own = {0: evaluate(pair.task, pair.failed, inverse=pair.inverse, settings=LossSettings()).terms, -1: results["optimum_terms"]}
    copy = evaluate(pair.task, pair.copy, inverse=pair.inverse, settings=LossSettings()).terms
    assert results["copy_terms"]["transition"] == pytest.approx(copy["transition"], rel=1e-9)
    assert (
        f"goes from {copy['total']:.3g} to {own[-1]['total']:.3g}" in text
    )  # the reference is the copy converged, and the page shows both
    assert ("| global optimum |" in text) == (results["lowest"][0] == "reference")
    same = [term for term in SHOWN if term not in ("value", "total")]  # bootstrap values are frozen at the copy's
    with xr.open_dataset(tmp_path / "lines.nc", engine="h5netcdf") as lines:
        assert set(lines.sizes.items()) == {("space", 3), ("t", 21)}
        for end, term in itertools.product(own, same):
            for space in ("weight", "embedding", "aligned"):
                value = float(lines[term].sel(space=space).isel(t=end))
                assert value == pytest.approx(own[end][term], rel=1e-9, abs=1e-12), (term, space, end)
    with xr.open_dataset(tmp_path / "surface.nc", engine="h5netcdf") as surface:
        assert surface.attrs["failed"] == pair.failed_file.digest
        for end, x in ((0, 0.0), (-1, 1.0)):
            for term in same:
                assert float(surface[term].sel(x=x, y=0.0)) == pytest.approx(own[end][term], rel=1e-9, abs=1e-12)
        assert float(surface["total"].sel(x=0.0, y=1.0)) == pytest.approx(results["adapted"]["terms"]["total"], rel=1e-9)
    assert "Plotly.newPlot" in (tmp_path / "surface.html").read_text()
    assert 'src="http' not in (tmp_path / "surface.html").read_text()
    assert results["certificate"] is None
    assert "Is the failed encoder" not in text
    assert results["barriers"]["embedding"]["random_pairs"]["climb"] > 0
    assert results["second_opinion"]["line"] < 1e-5
    assert results["second_opinion"]["plane"] < 1e-5
    assert [c["id"] for c in results["claims"]] == [f"S{k}" for k in range(1, 11)]
    assert results["profile"] == clock.plain()
    assert {"models", "lines", "surface", "paths", "theorem", "figures"} <= clock.seconds.keys()
    assert sum(row["share"] for row in results["profile"]) == pytest.approx(1)


def test_landscape_in_weight_space_of_chosen_terms_and_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end_early(monkeypatch)
    options = replace(
        QUICK, certificate=False, space="weight", align=False, blocks=("transition",), terms=("ball", "transition"), image="svg"
    )  # fmt: skip
    text = write_landscape(FAILED, BASE, tmp_path, options=options).read_text()
    assert "surface.svg" in text
    assert f"| trained by | {load_checkpoint(FAILED).recipe} | {load_checkpoint(BASE).recipe} |" in text
    assert (tmp_path / "surface.svg").exists()
    assert not list(tmp_path.glob("*.png"))
    with xr.open_dataset(tmp_path / "surface.nc", engine="h5netcdf") as surface:
        assert set(surface.data_vars) == {"ball", "transition", "total"}
        assert surface.attrs["blocks"] == "transition"
    with xr.open_dataset(tmp_path / "lines.nc", engine="h5netcdf") as lines:
        assert list(lines["space"].values) == ["embedding", "weight"]


def test_landscape_says_when_the_dynamics_differ(base_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end_early(monkeypatch)
    settings = TrainSettings(updates=5, workers=1)
    base = base_run / "member-0.pt"
    for variant in ("unfreeze", "freeze"):
        run_plan(transfer_plan(settings, [base], variant, 1), tmp_path / variant, tensorboard=False)
        options = replace(QUICK, certificate=False)
        report = write_landscape(tmp_path / variant / "member-0.pt", base, tmp_path / f"{variant}-report", options=options)
        assert ("has changed its dynamics" in report.read_text()) == (variant == "unfreeze")


def test_claims_over_runs_go_on_where_they_stopped(freeze_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end_early(monkeypatch)
    first = write_claims([freeze_run / "member-0.pt"], tmp_path / "c", quick=True, limit=2)
    assert "of 1 transfer from 1 base" in first.read_text()
    whole_page(first)
    assert "`--quick`" in summary_of(first.read_text())[-1]
    (kept,) = (tmp_path / "c" / "pairs").iterdir()
    written = kept.stat().st_mtime_ns
    with pytest.raises(UserError, match="--resume"):
        write_claims([freeze_run], tmp_path / "c", quick=True, limit=2)
    again = write_claims([freeze_run], tmp_path / "c", quick=True, limit=2, resume=True)
    assert "of 2 transfers from 1 base" in again.read_text()
    assert kept.stat().st_mtime_ns == written
    assert len(json.loads((tmp_path / "c" / "results.json").read_text())["pairs"]) == 2


@pytest.mark.usefixtures("as_published")
def test_trajectory_report(tmp_path: Path) -> None:
    settings = TrainSettings(updates=40, checkpoint_interval=10, snapshots=True, workers=1)
    run_plan(base_plan(settings, 2), tmp_path / "run", tensorboard=False)
    text = write_trajectory(tmp_path / "run", tmp_path / "out", member=1, resolution=5).read_text()
    assert "5 snapshots" in summary_of(text)[-1]
    whole_page(tmp_path / "out" / "report.md")
    with xr.open_dataset(tmp_path / "out" / "trajectory.nc", engine="h5netcdf") as data:
        assert list(data["snapshot"].values) == [0, 10, 20, 30, 40]
        assert float(data["distance"][-1]) == pytest.approx(0, abs=1e-9)
        last = load_checkpoint(tmp_path / "run" / "member-1.pt")
        own = evaluate(last.task, last.parameters, inverse=False, settings=LossSettings()).terms
        assert float(data["transition_true"][-1]) == pytest.approx(own["transition"], rel=1e-6)


@pytest.mark.usefixtures("as_published")
def test_study_report(base_run: Path, freeze_run: Path, tmp_path: Path) -> None:
    report = write_study([base_run], [freeze_run], tmp_path, command="crar report")
    whole_page(report)
    text = report.read_text()
    assert Run(freeze_run).command in text
    for picture in ("embeddings.png", "losses.png", "inputs.png", "transition_error.png"):
        assert f"({picture})" in text
        assert (tmp_path / picture).stat().st_size < 200_000
    assert "| run/member-0 | freeze, sequential, 40 updates |" in text


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


def test_a_repeated_run_names_its_data_file(tmp_path: Path, random_settings: TrainSettings) -> None:
    save_walk(tmp_path / "walk.npz", gather_walk(0, 60))
    words = repeat_command(base_plan(replace(random_settings, data=str(tmp_path / "walk.npz")), 1), tmp_path / "run").split()
    assert words[words.index("--data") + 1] == str(tmp_path / "walk.npz")
    assert not {"--data-size", "--data-digest"} & set(words)
