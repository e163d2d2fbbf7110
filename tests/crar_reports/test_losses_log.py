"""A run's `losses.csv` that is missing or damaged: one line that names it, from `crar report` and from a study."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from crar_model.core.errors import UserError
from crar_model.training.log import read_losses
from crar_reports.pages.report import write_study

HEAD = "member,seed,base,learning_rate,update,transition,reward,discount,ball,random_pairs,consecutive,value,interpret,total\n"
ROW = "0,0,,0.0005,0" + ",0.5" * 9 + "\n"
BAD: dict[str, bytes] = {
    "empty": b"", "binary": bytes(range(256)), "another table": b"a,b\n1,2\n", "words": (HEAD + ROW.replace("0.5", "x")).encode(),
    "cut": (HEAD + ROW[:-12] + "\n").encode(), "too long": (HEAD + ROW.strip() + ",1\n").encode(), "json": b'{"a": 1}',
    "twice": HEAD.replace("reward", "total").encode(), "quote": (HEAD + '"' + ROW).encode(), "cut heading": HEAD[:60].encode(),
}  # fmt: skip


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_damaged(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "losses.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"losses\.csv: damaged") as found:
        read_losses(tmp_path)
    assert "\n" not in str(found.value)


def test_what_diverged_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / "losses.csv").write_text(HEAD + ROW.replace("0.5", "nan") + ROW.replace("0.5", "inf"))
    assert len(read_losses(tmp_path)["total"]) == 2


def test_a_report_names_it_before_any_work(base_run: Path, freeze_run: Path, tmp_path: Path) -> None:
    shutil.copytree(freeze_run, tmp_path / "freeze")
    (tmp_path / "freeze" / "losses.csv").unlink()
    with pytest.raises(UserError, match=r"freeze/losses\.csv: cannot read"):
        write_study([base_run], [tmp_path / "freeze"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "freeze" / "losses.csv").write_text(HEAD)
    with pytest.raises(UserError, match=r"freeze/losses\.csv: has no row"):
        write_study([base_run], [tmp_path / "freeze"], tmp_path / "out")
