"""A damaged file is refused or loads as it was: never otherwise, and never with a traceback."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from crar_model import samples
from crar_model.core.errors import UnverifiedFileWarning, UserError
from crar_model.core.settings import TrainSettings
from crar_model.core.tensor_files import content_digest, load_plain, save_plain
from crar_model.models.checkpoints import FORMAT, load_checkpoint, save_checkpoint
from crar_model.training.members import base_plan
from crar_model.training.runner import run_plan
from crar_model.training.shard import load_snapshot, snapshot_folder
from crar_reports.commands.app import show_warnings
from tests.corruption import WAYS, campaign, checkpoint_content, damaged
from tests.plans import with_updates

HEAD = 8_192
"""Bytes in which names, plain data and shapes stand."""
TINY = TrainSettings(updates=2, data_size=50, log_interval=1, checkpoint_interval=1, snapshots=True, workers=1)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("integrity") / "run"
    run_plan(base_plan(TINY, 1), folder, tensorboard=False)
    return folder


@pytest.mark.parametrize(
    ("part", "read"),
    [
        ("member-0.pt", checkpoint_content),
        ("state/shard-0.pt", load_plain),
        ("snapshots/member-0/000000001.pt", load_snapshot),
    ],
)
def test_nothing_loads_changed(part: str, read: Callable[[Path], Any], run: Path, tmp_path: Path) -> None:
    whole, sound = (run / part).read_bytes(), content_digest(read(run / part))
    for head, copies in ((None, 100), (HEAD, 100)):
        found = campaign(read, damaged(whole, copies, seed=copies, head=head), tmp_path, sound)
        assert {outcome for _, outcome in found} <= {"refused", "unchanged"}, found
        assert found["truncated", "refused"] == copies / len(WAYS)
        assert sum(count for (_, outcome), count in found.items() if outcome == "refused") > 0.8 * copies


def test_a_weight_that_is_not_what_was_written(run: Path, tmp_path: Path) -> None:
    """Such a file reads well in every other way."""
    whole = (run / "member-0.pt").read_bytes()
    value = load_checkpoint(run / "member-0.pt").parameters["encoder.0.weight"].numpy().tobytes()
    at = whole.index(value) + 4
    (tmp_path / "bent.pt").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    with pytest.raises(UserError, match=r"bent\.pt: damaged or edited, its digest"):
        load_checkpoint(tmp_path / "bent.pt")


def test_a_run_does_not_go_on_from_a_damaged_state(run: Path) -> None:
    state = run / "state" / "shard-0.pt"
    whole = state.read_bytes()
    plan = with_updates(base_plan(TINY, 1), 3)
    try:
        for copy in (torch_file(load_plain(state) | {"update": 1}), torch_file({"update": 1}), whole[:-500], b"PK"):
            state.write_bytes(copy)
            with pytest.raises(UserError, match=r"shard-0\.pt: "):
                run_plan(plan, run, resume=True, tensorboard=False)
    finally:
        state.write_bytes(whole)


def torch_file(content: dict[str, Any]) -> bytes:
    """What PyTorch itself writes of a content."""
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def unsigned(path: Path) -> dict[str, Any]:
    """A file's content as versions without digests wrote it."""
    content = torch.load(path, weights_only=True)
    del content["digest"]
    return content | {"version": 1}


def test_a_file_from_before_digests_loads_with_a_warning(run: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.pt"
    torch.save(unsigned(run / "member-0.pt"), old)
    with pytest.warns(UnverifiedFileWarning, match=r"old\.pt: has no digest"):
        model = load_checkpoint(old)
    assert model.digest == load_checkpoint(run / "member-0.pt").digest
    save_checkpoint(old, model)
    load_checkpoint(old)  # warns no more
    torch.save(unsigned(run / "member-0.pt") | {"version": 2}, old)
    with pytest.raises(UserError, match="its digest is missing"):
        load_checkpoint(old)
    snapshot = sorted(snapshot_folder(run, 0).glob("*.pt"))[-1]
    torch.save(load_snapshot(snapshot), old)
    with pytest.warns(UnverifiedFileWarning, match=r"old\.pt: has no digest"):
        assert content_digest(load_snapshot(old)) == content_digest(load_snapshot(snapshot))


def test_a_run_from_before_digests_goes_on(tmp_path: Path) -> None:
    plan = base_plan(TINY, 1)
    run_plan(plan, tmp_path / "run", tensorboard=False)
    state = tmp_path / "run" / "state" / "shard-0.pt"
    old = {name: value for name, value in unsigned(state).items() if name not in ("format", "version")}
    torch.save(old, state)
    with pytest.warns(UnverifiedFileWarning, match=r"shard-0\.pt: has no digest"):
        run_plan(with_updates(plan, 3), tmp_path / "run", resume=True, tensorboard=False)
    run_plan(with_updates(plan, 3), tmp_path / "whole", tensorboard=False)
    ends = [load_checkpoint(tmp_path / name / "member-0.pt").digest for name in ("run", "whole")]
    assert ends[0] == ends[1]


def test_the_warning_is_one_line_on_the_command_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:

    others: list[str] = []
    monkeypatch.setattr(warnings, "showwarning", lambda message, *place: others.append(str(message)))
    show_warnings()
    for _ in range(2):
        warnings.showwarning(UnverifiedFileWarning("a.pt: has no digest"), UnverifiedFileWarning, "file.py", 1)
    assert capsys.readouterr().err == "crar: warning: a.pt: has no digest\n"
    warnings.showwarning(UserWarning("something else"), UserWarning, "file.py", 1)
    assert others == ["something else"]


@pytest.mark.parametrize("path", [samples.BASE, samples.FAILED, samples.RANDOM_BASE], ids=lambda path: path.stem)
def test_the_shipped_models_have_a_digest(path: Path) -> None:
    assert torch.load(path, weights_only=True)["digest"]
    load_checkpoint(path)


def test_the_digest_sees_all_of_a_content() -> None:
    content = {"a": [1, 2.0, "3", None, (True,)], "b": {"c": torch.zeros(2, 3)}, "d": torch.arange(3)}
    others = [
        content | {"a": [1, 2.0, "3", None, (1,)]},
        content | {"a": [1, 2, "3", None, (True,)]},
        content | {"a": [1, 2.0, "3", None, [True]]},
        content | {"a": [1, -2.0, "3", None, (True,)]},
        content | {"b": {"c": torch.zeros(3, 2)}},
        content | {"b": {"c": -torch.zeros(2, 3)}},
        content | {"b": {"c": torch.zeros(2, 3, dtype=torch.float64)}},
        content | {"b": {"e": torch.zeros(2, 3)}},
        content | {"d": torch.tensor([0, 1, 3])},
        content | {"e": None},
    ]
    assert len({content_digest(each) for each in (content, *others)}) == 1 + len(others)
    assert content_digest(dict(reversed(content.items()))) == content_digest(content)
    with pytest.raises(TypeError, match="set is no plain data"):
        content_digest({"a": {1}})


def test_a_saved_file_has_no_second_digest(tmp_path: Path) -> None:
    save_plain(tmp_path / "a.pt", FORMAT, {"digest": "of something else", "x": 1})
    assert load_plain(tmp_path / "a.pt")["x"] == 1


def test_the_campaign_runs_as_a_program(run: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.corruption", run / "member-0.pt", "--copies", "8"], capture_output=True, text=True, check=True
    )
    assert sum(int(line.split()[-1]) for line in done.stdout.splitlines()) == 8
