"""The benchmarks that abuse and kill commands: what they find wrong, what they compare; and how `crar landscape` goes on."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks import abuses, kills
from benchmarks.abused_files import BAD_FILES, spoil
from cli import app
from crar_model import samples
from crar_model.core.errors import UserError
from crar_model.core.fresh import fresh
from crar_reports.commands.app import main


def test_every_command_is_abused() -> None:
    assert set(abuses.commands()) == set(abuses.STARTS)


def test_the_same_seed_gives_the_same_cases(tmp_path: Path) -> None:
    found, paths = abuses.commands(), {"run": tmp_path / "run", "transfer": tmp_path / "run", "done": tmp_path / "run"}
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    names = [
        "base",
        "failed",
        "random",
        "claims",
        "cures",
        "escape",
        "study",
        "walk",
        "network",
        "first",
        "second",
        "walls",
        "config",
        "empty",
    ]
    for name in names:
        paths[name] = tmp_path / f"{name}.txt"
        paths[name].write_text("x\n")
    drawn = []
    for again in range(2):
        (tmp_path / str(again)).mkdir()
        rng = random.Random(5)
        drawn.append([abuses.case(rng, found, paths, tmp_path / str(again)) for _ in range(20)])
    first, second = ([[word.replace(str(tmp_path / str(k)), "") for word in words] for words in drawn[k]] for k in range(2))
    assert first == second
    assert len({words[0] for words in first}) > 5


@pytest.mark.parametrize("how", list(BAD_FILES))
def test_a_spoilt_copy_leaves_what_it_is_of(tmp_path: Path, how: str) -> None:
    own = tmp_path / "run.json"
    own.write_text('{"format": "crar-run", "settings": {"seed": 1}}')
    before = own.read_bytes()
    copy = spoil(own, how, random.Random(0), tmp_path / "scratch")
    assert own.read_bytes() == before
    assert copy != own
    assert copy.is_file() is (how not in ("missing", "folder", "fifo-like link"))


@pytest.mark.parametrize(
    ("code", "said", "wrong"),
    [
        (0, "report: x", ""),
        (2, "crar: error: x: is no run\n", ""),
        (2, "crar: warning: old\ncrar: error: x: is no run\n", ""),
        (None, "at work", ""),
        (130, "crar: stopped", ""),
        (2, "crar: error: x\ny: is no run\n", "an error of more than one line"),
        (2, "", "exit code 2 and 0 lines of error"),
        (70, "Traceback (most recent call last)\nKeyError: 'x'", "a traceback"),
        (0, "Traceback (most recent call last)\nin a worker", "a traceback"),
        (-11, "", "exit code -11"),
        (1, "cell x was left", "exit code 1: cell x was left"),
    ],
)
def test_what_is_wrong_with_an_end(code: int | None, said: str, wrong: str) -> None:
    assert abuses.complaint(code, said) == wrong


def test_a_case_ends_with_its_code(tmp_path: Path) -> None:
    assert abuses.run(["version"], 60, tmp_path / "said.txt") == 0
    assert (tmp_path / "said.txt").read_text().startswith("crar ")
    assert abuses.run(["evaluate", "nowhere"], 60, tmp_path / "said.txt") == 2
    assert "nowhere does not exist" in (tmp_path / "said.txt").read_text()


def test_figures_are_compared_and_times_are_not() -> None:
    calm = {"command": "a", "seconds": 1, "losses": [1.0, float("nan")], "told": {"level_seconds": 2, "total": 3}}
    torn = {"command": "b", "seconds": 5, "losses": [1.0, float("nan")], "told": {"level_seconds": 4, "total": 3}}
    assert kills.differing(calm, torn) == []
    assert kills.differing(calm, torn | {"losses": [1.0, 2.0]}) == ["losses[1]: nan and 2.0"]
    assert kills.differing(calm, torn | {"told": {}}) == ["told.total: 3 and None"]
    assert kills.differing([1], [1, 2]) == [": [1] and [1, 2]"]


def test_an_error_stays_on_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["crar", "gather", "--out", "x\ny"])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err == "crar: error: --out is x y; give a file that ends in .npz\n"


def test_a_stopped_landscape_goes_on_with_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the beginning of a surface is refused without a flag, and gone on in with --resume; another command's is refused."""
    (tmp_path / "surface.part.npz").write_bytes(b"begun")
    with pytest.raises(UserError, match="add --resume to go on, --force to write over it, or choose another"):
        landscape(monkeypatch, tmp_path)
    assert landscape(monkeypatch, tmp_path, "--resume") == tmp_path
    assert landscape(monkeypatch, tmp_path, "--force") == tmp_path
    (tmp_path / "results.json").write_text('{"command": "crar cure --out x"}')
    with pytest.raises(UserError, match="holds what `crar cure` wrote"):
        landscape(monkeypatch, tmp_path, "--resume")
    fresh(tmp_path / "new", own="landscape")


def landscape(monkeypatch: pytest.MonkeyPatch, out: Path, *words: str) -> Path:
    """The folder that the command writes to, of a dissection that measures nothing."""
    written: list[Path] = []

    def note(failed: Path, base: Path, folder: Path, **options: object) -> Path:
        written.append(folder)
        return folder / "report.md"

    monkeypatch.setattr("crar_reports.pages.landscape.page.write_landscape", note)
    app(["landscape", "--from", str(samples.FAILED), "--to", str(samples.BASE), "--out", str(out), *words], standalone_mode=False)
    return written[0]
