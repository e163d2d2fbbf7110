"""The Python face: lazy, named as the flags, with the errors of the commands; and pages as results."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

import crar_model
import crar_reports
from cli import app
from crar_model import samples
from crar_model.core.errors import UserError
from crar_model.core.settings import TrainSettings
from crar_reports.commands.config import key_of
from crar_reports.face.page import Page, as_command

GROUP: Any = typer.main.get_command(app)
FACES = {
    "train": crar_model.train, "transfer": crar_model.transfer, "evaluate": crar_model.evaluate, "gather": crar_model.gather,
    "import": crar_model.import_network, "claims": crar_reports.decide_claims, "play": crar_reports.play, "explain": crar_reports.explain,
    **{name: getattr(crar_reports, name) for name in (
        "landscape", "cure", "escape", "predict", "maps", "compare", "theorem", "trajectory", "report", "study", "verdicts", "demo",
    )},
}  # fmt: skip
ALSO: dict[str, Any] = {"gather": crar_model.gather_world}
"""The functions of commands that are two."""
POSITIONAL = {"from": ("failed", "bases", "model"), "to": ("base",)}
"""Flags that a positional argument stands for, since Python does not take the word, or the issue has another."""
SHOWN = {"help", "config", "json", "full", "dry_run"}
"""Flags on what is printed and what is read; `full` of evaluate is one of them."""


def test_importing_the_faces_loads_no_pytorch_and_registers_the_environments() -> None:
    script = (
        "import sys, crar_model, crar_reports, gymnasium\n"
        "from crar_model.samples import BASE\n"
        "names = dir(crar_model) + dir(crar_reports)\n"
        "crar_model.train, crar_model.transfer, crar_model.evaluate, crar_model.cure, crar_model.load, crar_model.samples.BASE\n"
        "crar_reports.landscape, crar_reports.study, crar_reports.verdicts, crar_reports.cure\n"
        "assert {'train', 'cure', 'samples', 'landscape', 'decide_claims'} <= set(names)\n"
        "assert 'crar/SimpleMaze-v0' in gymnasium.registry\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


@pytest.mark.parametrize("package", [crar_model, crar_reports])
def test_a_name_that_is_none_is_refused(package: Any) -> None:
    assert not hasattr(package, "trian")


def test_every_command_has_its_function_and_every_flag_its_keyword() -> None:
    assert set(FACES) == set(GROUP.commands) - {"version"}
    for name, function in FACES.items():
        known = {key for face in (function, ALSO.get(name, function)) for key in inspect.signature(face).parameters}
        for param in GROUP.commands[name].params:
            key = key_of(param)
            if key not in SHOWN or (key == "full" and name != "evaluate"):
                assert known & {key, *POSITIONAL.get(key, ())} or param.param_type_name == "argument", f"{name}: {key}"


def test_a_setting_that_is_none_is_named_with_the_nearest(tmp_path: Path) -> None:
    for given, said in (
        ({"learning_rat": 1e-3}, "train: unknown setting 'learning_rat'; did you mean learning_rate"),
        ({"colour": 3}, r"train: unknown setting 'colour'; help\(train\) lists what there is"),
        ({"updates": "many"}, "train: updates is 'many'; it must be a whole number"),
        ({"members": 0}, "--members is 0; give at least 1"),
        ({"beta": -1.0}, "--beta is -1.0"),
    ):
        with pytest.raises(UserError, match=said):
            crar_model.train(tmp_path / "run", **given)
    assert not (tmp_path / "run").exists()


def test_a_run_is_a_labelled_table(tmp_path: Path, base_run: Path) -> None:
    (tmp_path / "walls.txt").write_text("#####\n#S..#\n#.#.#\n#...#\n#####\n")
    told: list[str] = []
    run = crar_model.train(
        tmp_path / "run", members=2, updates=4, log_interval=2, workers=1, seed=np.int64(3), beta=np.float64(0.3), walls=tmp_path / "walls.txt", observation_map="mirror",
        notice=told.append,
    )  # fmt: skip
    assert run.plan.settings.loss.beta == 0.3
    assert run.plan.settings.walls.startswith("#####\n#S..#")
    assert told[-1].startswith("only the inverse maze is seen through --observation-map")
    losses = run.losses
    assert losses["transition"].dims == ("member", "update")
    assert losses["update"].values.tolist() == [0, 2, 4]
    assert losses["seed"].values.tolist() == [3, 4]
    assert np.isfinite(losses["total"].values).all()
    assert run.load(1).info["seed"] == 4
    assert [path.name for path in run.models] == ["member-0.pt", "member-1.pt"]
    assert "2 members x 4 updates, finished" in repr(run)
    assert run._repr_html_().count("<tr>") == 3


def test_one_variant_is_a_run_and_several_are_a_table_of_runs(tmp_path: Path, base_run: Path) -> None:
    few = {"members": 1, "updates": 2, "log_interval": 2, "workers": 1}
    one = crar_model.transfer(base_run / "member-0.pt", tmp_path / "one", **few)
    assert one.plan.variant.name == "freeze"
    assert one.folder == tmp_path / "one"
    both = crar_model.transfer([base_run / "member-0.pt"], tmp_path / "both", variant=["freeze", "unfreeze"], rate=1e-4, **few)
    assert {name: run.folder for name, run in both.items()} == {name: tmp_path / "both" / name for name in ("freeze", "unfreeze")}
    assert both["unfreeze"].members[0].learning_rate == 1e-4
    with pytest.raises(UserError, match="--variant is 'thaw'; choose one of freeze"):
        crar_model.transfer(base_run / "member-0.pt", tmp_path / "none", variant="thaw", **few)


def test_evaluated_models_are_rows_and_what_json_prints(tmp_path: Path, base_run: Path, freeze_run: Path) -> None:
    found = crar_model.evaluate([freeze_run, base_run / "member-1.pt"], csv=tmp_path / "models.csv")
    assert len(found) == 3
    assert [model.checkpoint.info["variant"] for model in found] == ["freeze", "freeze", "base"]
    assert [row["maze"] for row in found.plain()["models"]] == ["simple"] * 3
    assert len((tmp_path / "models.csv").read_text().splitlines()) == 4
    assert found[2].path.name in found._repr_html_()
    with pytest.raises(UserError, match=r"models\.csv: exists already; add --force or choose another --csv"):
        crar_model.evaluate(freeze_run, csv=tmp_path / "models.csv")


def test_a_page_is_saved_and_gone_with_its_object(tmp_path: Path, base_run: Path) -> None:
    page = crar_reports.predict(samples.BASE, resolution=9)
    folder = page.folder
    assert page.data["command"] == f"crar predict {samples.BASE} --resolution 9"
    assert json.loads((folder / "results.json").read_text())["command"] == page.data["command"]
    assert page.save(tmp_path / "kept") == tmp_path / "kept" / "report.md"
    assert (tmp_path / "kept" / page.figures["placement"].name).stat().st_size
    with pytest.raises(UserError, match="kept: exists already"):
        page.save(tmp_path / "kept")
    assert "<iframe" in page._repr_html_()
    del page
    assert not folder.exists()
    assert (tmp_path / "kept" / "report.html").exists()


def test_a_page_that_cannot_be_made_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(UserError, match="a base model, trained from random weights; give a transfer with --from"):
        crar_reports.theorem(samples.BASE)
    assert not list(tmp_path.iterdir())
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "note.txt").write_text("mine")
    with pytest.raises(UserError, match="--force or choose another --out"):
        crar_reports.theorem(out=tmp_path / "old")


def test_a_page_names_the_command_that_makes_it_again() -> None:
    @as_command("look", failed="--from", model="")
    def look(
        failed: str = "",
        model: Path | None = None,
        *,
        rate: tuple[float, ...] = (),
        align: bool = True,
        quick: bool = False,
        command: str = "",
    ) -> str:
        return command

    assert look() == "crar look"
    assert (
        look("a b.pt", Path("m"), rate=(1.0, 2.0), align=False, quick=True)
        == "crar look --from 'a b.pt' m --rate 1.0 --rate 2.0 --no-align --quick"
    )
    assert look("x", command="crar look --from y") == "crar look --from y"


def test_a_page_shows_its_own_pictures_alone(tmp_path: Path) -> None:
    (tmp_path / "report.md").write_text("# A title\n\n![one](lines.png) ![two](https://example.org/x.png)\n")
    page = Page(tmp_path)
    assert list(page.figures) == ["lines"]
    assert page.data == {}
    assert str(page) == f"report: {tmp_path / 'report.md'}"
    assert repr(page).startswith("Page('A title'")


def test_the_keywords_of_a_function_are_all_settings() -> None:
    shown = inspect.signature(crar_model.train).parameters
    assert {item for item, field in TrainSettings.__dataclass_fields__.items() if field.metadata} <= set(shown)
    assert "planning_depth" in inspect.signature(crar_reports.report).parameters
    assert "inverse" not in inspect.signature(crar_model.transfer).parameters
