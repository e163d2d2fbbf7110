"""`crar explain`: two models of a stranger, by the names of functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from cli import app
from crar_model.core.errors import UserError

NETS = """
import torch
def make():
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
def batches():
    x = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
    return x, (x.sum(1) > 0).long()
PAIR = batches()
def broken():
    raise OSError("no file")
def wrong():
    return torch.randn(4, 7), torch.zeros(4).long()
def number():
    return 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "strange_nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, seed in (("a", 1), ("b", 2)):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        torch.save(net.state_dict() if name == "a" else {"state_dict": net.state_dict(), "epoch": 3}, tmp_path / f"{name}.pt")
    (tmp_path / "text.pt").write_text("no tensors")
    return tmp_path


def run(*words: str) -> Any:
    return CliRunner().invoke(app, ["explain", *words], standalone_mode=False)


@pytest.mark.parametrize("data", ["strange_nets:batches", "strange_nets:PAIR"])
def test_two_models_by_name(folder: Path, data: str) -> None:
    done = run("a.pt", "b.pt", "--model", "strange_nets:make", "--data", data, "--out", "e.html", "--evaluations", "60")
    assert done.exception is None, done.exception
    assert "The first model has loss" in done.output
    assert "Next: " in done.output
    page = (folder / "e.html").read_text()
    assert page.count("<img") == 7
    assert str(folder) not in page


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"--model": "strange_nets"}, "--model is 'strange_nets'; give package.module:name"),
        ({"--model": "strangest:make"}, "strangest cannot be imported"),
        ({"--model": "strange_nets:make_it"}, "strange_nets has no make_it"),
        ({"--model": "strange_nets:broken"}, r"--model: broken\(\) ends in OSError \(no file\)"),
        ({"--model": "strange_nets:number"}, "--model makes int; it must make a torch.nn.Module"),
        ({"--data": "strange_nets:wrong"}, "--model strange_nets:make and --data strange_nets:wrong: "),
        ({"--out": "e.pdf"}, "--out is e.pdf; give a file that ends in .html"),
        ({"FIRST": "text.pt"}, "text.pt: cannot be read as a file of tensors"),
        ({"FIRST": "other.pt"}, "other.pt: is no state of what --model makes"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(folder: Path, change: dict[str, str], said: str) -> None:
    torch.save({"weight": torch.zeros(2)}, folder / "other.pt")
    words = {"FIRST": "a.pt", "--model": "strange_nets:make", "--data": "strange_nets:batches", "--out": "e.html"} | change
    done = run(words.pop("FIRST"), "b.pt", *(word for pair in words.items() for word in pair))
    assert isinstance(done.exception, UserError)
    assert len(str(done.exception).splitlines()) == 1
    with pytest.raises(UserError, match=said):
        raise done.exception
    assert not (folder / "e.html").exists()
