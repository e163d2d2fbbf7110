"""Whatever takes a path takes text and anything path-like."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import crar_model
import crar_reports
from crar_model.core.files import file_digest
from crar_model.core.settings import TrainSettings, load_toml
from crar_model.mazes.walks import gather_walk, load_walk, save_walk
from crar_model.models.checkpoints import load_checkpoint
from crar_model.training.log import read_losses
from crar_model.training.members import base_plan, transfer_plan
from crar_model.training.runner import plan_of, read_run, run_plan
from crar_reports.models.judged import expand, judge
from crar_reports.models.runs import short_name
from crar_reports.pages.report import write_study
from crar_reports.pages.trajectory import write_trajectory

PATHS_OF_LOSSES = {"crar_reports.figures.explorer_maps", "crar_reports.figures.paths", "crar_reports.pages.escape.measure"}
"""Where `Path` is a path through the loss."""


def modules(package: ModuleType) -> Iterator[ModuleType]:
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        last = info.name.rpartition(".")[2]
        if (
            not info.name.startswith(("crar_reports.measure", "crar_reports.commands"))
            and not last.startswith("_")
            and info.name not in PATHS_OF_LOSSES
        ):
            yield importlib.import_module(info.name)


def test_no_public_function_insists_on_a_path() -> None:
    seen = 0
    for package in (crar_model, crar_reports):
        for module in modules(package):
            for name, function in vars(module).items():
                if not inspect.isfunction(function) or name.startswith("_") or function.__module__ != module.__name__:
                    continue
                for parameter in inspect.signature(function).parameters.values():
                    seen += "StrPath" in str(parameter.annotation)
                    assert not re.search(r"\bPath\b", str(parameter.annotation)), f"{module.__name__}.{name}({parameter})"
    assert seen > 30


def test_text_works(base_run: Path, freeze_run: Path, tmp_path: Path) -> None:
    run, base = str(tmp_path / "run"), str(base_run / "member-0.pt")
    settings = TrainSettings(updates=20, checkpoint_interval=10, snapshots=True, workers=1)
    assert run_plan(base_plan(settings, 1), run, tensorboard=False).finished
    assert run_plan(transfer_plan(TrainSettings(updates=0), [base], "negate-input", 1), str(tmp_path / "t"), tensorboard=False).finished
    assert len(read_losses(run)["update"]) == 2
    assert plan_of(run).members[0].seed == read_run(run).members[0].seed
    assert expand([run]) == [tmp_path / "run" / "member-0.pt"]
    assert judge([base], base)[0].checkpoint.digest == load_checkpoint(base).digest
    assert short_name(base) == "run/member-0"
    assert write_trajectory(run, str(tmp_path / "plane"), resolution=3).exists()
    assert write_study([str(base_run)], [str(freeze_run)], str(tmp_path / "study")).exists()
    save_walk(str(tmp_path / "walk.npz"), gather_walk(0, 20))
    assert len(load_walk(str(tmp_path / "walk.npz"), file_digest(str(tmp_path / "walk.npz"))).action) == 20
    (tmp_path / "x.toml").write_text("updates = 3\n")
    assert load_toml(str(tmp_path / "x.toml")) == {"updates": 3}
