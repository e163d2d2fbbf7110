from __future__ import annotations

import dataclasses
import os
import pickle
import tempfile
from pathlib import Path

import pytest
import torch

from crar_model.core.errors import UserError
from crar_model.core.files import write_atomically
from crar_model.core.tensor_files import save_plain
from crar_model.models.checkpoints import FORMAT, load_checkpoint, save_checkpoint
from crar_model.samples import BASE, FAILED, RANDOM_BASE
from crar_reports.face.pairs import pair
from crar_reports.models.judged import base_of, expand, judge
from crar_reports.pages.claims import write_claims


def test_round_trip(base_run: Path, tmp_path: Path) -> None:
    model = load_checkpoint(base_run / "member-0.pt")
    save_checkpoint(tmp_path / "copy.pt", model)
    copy = load_checkpoint(tmp_path / "copy.pt")
    assert copy.digest == model.digest
    assert (copy.maze, copy.inverse, copy.updates, copy.info) == (model.maze, model.inverse, model.updates, model.info)


def test_a_recipe_says_how_a_network_was_trained() -> None:
    """Members of a run are of one recipe, too, where each starts from the best of its own validations."""
    base, failed, best = map(load_checkpoint, (BASE, FAILED, RANDOM_BASE))
    assert base.recipe == f"joint 0.0005, {base.updates:,} updates"
    assert failed.recipe == f"sequential 8e-05, {failed.updates:,} updates"
    assert best.updates < best.settings.updates
    assert best.recipe == f"joint 0.0005, best of up to {best.settings.updates:,} updates"
    flagged = dataclasses.replace(base, info=base.info | {"settings": base.info["settings"] | {"terminal_last": True}})
    assert flagged.recipe == f"{base.recipe}, terminal last"
    assert dataclasses.replace(base, info={"variant": "imported"}).recipe == ""


class Bomb:
    """Pickles to a call that would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_would_run_code_does_not_run(tmp_path: Path) -> None:
    planted = tmp_path / "it-ran"
    torch.save({"format": "crar-checkpoint", "version": 1, "x": Bomb(planted)}, tmp_path / "bomb.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Bomb(planted)))
    with pytest.raises(UserError, match=r"bomb\.pt: holds objects other than plain tensors"):
        load_checkpoint(tmp_path / "bomb.pt")
    with pytest.raises(UserError, match=r"plain\.pt: not a PyTorch checkpoint"):
        load_checkpoint(tmp_path / "plain.pt")
    assert not planted.exists()


def test_unusable_files_are_named(base_run: Path, tmp_path: Path) -> None:
    whole = (base_run / "member-0.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.pt").write_bytes(b"")
    torch.save({"weights": torch.zeros(3)}, tmp_path / "foreign.pt")
    for name, hint in (
        ("cut.pt", "truncated"),
        ("empty.pt", "not a PyTorch"),
        ("foreign.pt", "not a crar checkpoint"),
        ("none.pt", "cannot read"),
    ):
        with pytest.raises(UserError, match=f"{name}: .*{hint}"):
            load_checkpoint(tmp_path / name)
    with pytest.raises(UserError, match="is a folder"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"version": 99}, "version 99"),
        ({"maze": "moon"}, "unknown maze 'moon'"),
        ({"maze": ["simple"]}, "`maze` is"),
        ({"inverse": 1}, "`inverse` is 1"),
        ({"updates": "many"}, "`updates` is 'many'"),
        ({"info": []}, "`info` is"),
        ({"parameters": {1: torch.zeros(1)}}, "not a table of tensors"),
        ({"parameters": {}}, "parameter"),
        ({"parameters": [1]}, "not a table of tensors"),
        ({"parameters": None, "drop": "parameters"}, "lacks parameters"),
    ],
)
def test_wrong_contents_are_explained(change: dict[str, object], hint: str, base_run: Path, tmp_path: Path) -> None:
    content = torch.load(base_run / "member-0.pt", weights_only=True) | change
    if "drop" in change:
        del content["parameters"]
    save_plain(tmp_path / "wrong.pt", FORMAT, content)
    with pytest.raises(UserError, match=hint):
        load_checkpoint(tmp_path / "wrong.pt")


def test_values_must_be_finite(base_run: Path, tmp_path: Path) -> None:
    content = torch.load(base_run / "member-0.pt", weights_only=True)
    content["parameters"]["value.0.bias"][0] = float("nan")
    save_plain(tmp_path / "nan.pt", FORMAT, content)
    with pytest.raises(UserError, match=r"value\.0\.bias holds values that are not finite"):
        load_checkpoint(tmp_path / "nan.pt")


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(b"old")

    def full_disk(stream: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="No space left"):
        write_atomically(path, full_disk)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs the device that is always full")
def test_a_full_disk_while_saving_keeps_the_old_checkpoint(base_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real writes that fail with ENOSPC, through PyTorch's own writer."""
    path = tmp_path / "member-0.pt"
    model = load_checkpoint(base_run / "member-0.pt")
    save_checkpoint(path, model)
    real = tempfile.mkstemp

    def on_the_full_disk(prefix: str, dir: Path) -> tuple[int, str]:
        handle, name = real(prefix=prefix, dir=dir)
        os.close(handle)
        return os.open("/dev/full", os.O_WRONLY), name

    monkeypatch.setattr(tempfile, "mkstemp", on_the_full_disk)
    with pytest.raises(UserError, match=r"member-0\.pt: cannot write .No space left"):
        save_checkpoint(path, dataclasses.replace(model, updates=99))
    assert load_checkpoint(path).updates == model.updates
    assert [p.name for p in tmp_path.iterdir()] == ["member-0.pt"]


def test_a_base_is_the_network_that_a_transfer_was_made_from(freeze_run: Path, base_run: Path, tmp_path: Path) -> None:
    """At its path may lie another by now: trained anew, or of another folder that is called the same."""
    model = load_checkpoint(freeze_run / "member-0.pt")
    base = model.load_base()
    assert base is not None
    assert base.digest == model.info["base_digest"] == load_checkpoint(base_run / "member-0.pt").digest
    other = dataclasses.replace(model, info=model.info | {"base": str(base_run / "member-1.pt")})
    with pytest.raises(UserError, match="another model now"):
        other.load_base()
    save_checkpoint(tmp_path / "moved.pt", other)
    for asks in (base_of, pair):  # the one behind `crar escape`, `cure` and `maps`, and that of `crar landscape`
        with pytest.raises(UserError, match="another model now"):
            asks(tmp_path / "moved.pt", None)
    with pytest.raises(UserError, match="another model now"):
        write_claims([tmp_path / "moved.pt"], tmp_path / "claims")
    with pytest.raises(UserError, match="another model now"):
        judge([tmp_path / "moved.pt"], use_own_base=True)
    assert dataclasses.replace(other, info={"base": other.base_name}).load_base() is not None  # of before digests were kept
    assert dataclasses.replace(model, info={"base": "gone.pt"}).load_base() is None


def test_a_folder_s_members_are_what_is_called_so(base_run: Path, tmp_path: Path) -> None:
    for name in ("member-0.pt", "member-10.pt", "member-2.pt", "member-best.pt", "member-0-copy.pt"):
        (tmp_path / name).write_bytes((base_run / "member-0.pt").read_bytes())
    assert [path.name for path in expand([tmp_path])] == ["member-0.pt", "member-2.pt", "member-10.pt"]
    assert [path.name for path in expand([tmp_path / "member-2.pt", tmp_path])] == ["member-2.pt", "member-0.pt", "member-10.pt"]
