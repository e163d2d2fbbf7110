"""Values that cannot be: refused in one line with the flag, or the file and its key, before anything is written."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli import app
from crar_model import samples
from crar_model.core import machine, sizes
from crar_model.core.errors import UserError
from crar_model.core.files import write_text
from crar_model.core.ranges import in_keys
from crar_model.core.settings import CureSettings, LossSettings, PlaySettings, TrainSettings, load_toml
from crar_model.core.words import of_all, plural
from crar_model.models.checkpoints import load_checkpoint, save_checkpoint
from crar_model.studies.plan import read_study
from crar_model.training.members import base_plan, transfer_plan
from crar_reports.commands.config import read_config
from crar_reports.measure import second_opinion
from crar_reports.pages.evaluate import heading

HUGE = 10**14
STUDY = '[[bases]]\nname = "b"\nmaze = "simple"\nseeds = 1\nupdates = 4\n[[transfers]]\nname = "t"\nupdates = 4\n'


def refused(*words: object) -> str:
    """What a command says of its arguments."""
    done = CliRunner().invoke(app, [str(word) for word in words], standalone_mode=False)
    assert isinstance(done.exception, UserError), (done.exception, done.output)
    assert len(str(done.exception).splitlines()) == 1
    return str(done.exception)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--pair-min", 10, "--pair-max", 1], "--pair-min is 10; give less than --pair-max, 1"),
        (["--discount", 5], "--discount is 5.0; give a share from 0 to 1"),
        (["--learning-rate-decay", 5], "--learning-rate-decay is 5.0; give a share from 0 to 1"),
        (["--rms-decay", 2], "--rms-decay is 2.0; give a share from 0 to 1"),
        (["--learning-rate", "nan"], "--learning-rate is nan; give a number of at least 1e-12, at most 1000"),
        (["--learning-rate", 1e-300], "--learning-rate is 1e-300; give a number of at least"),
        (["--rms-epsilon", 0], "--rms-epsilon is 0.0; give a number of at least"),
        (["--beta", 1e300], "--beta is 1e+300; give a number of at most 1e+12"),
        (["--map-condition", 1e70], "--map-condition is 1e+70; give a number of at least 1, at most 1e+06"),
        (["--map-contrast", 0], "--map-contrast is 0.0; give a number of at least 0.001"),
        (["--seed", 2**60], "--seed is 1152921504606846976; give a whole number of at most"),
        (["--walls", ""], "--walls names no file; give one"),
        (["--batch-size", HUGE], "--batch-size is 100000000000000; that takes about 5.2e+09 GB of memory and this machine has"),
        (["--data-size", HUGE], "--data-size is 100000000000000; that takes about"),
        (["--members", HUGE], "--members is 100000000000000; that takes about"),
        (["--updates", HUGE, "--log-interval", 1], "--updates is 100000000000000; that takes about"),
        (["--maze", "random", "--planning-depth", 99], "--planning-depth is 99; that takes about"),
        (["--maze", "random", "--score-copies", HUGE], "--score-copies is 100000000000000; that takes about"),
        (["--maze", "random", "--score-steps", HUGE], "--score-steps is 100000000000000; that takes about"),
        (["--members", 10**5, "--workers", 10**5], "of memory and this machine has"),
    ],
)
def test_senseless_settings_of_a_training(words: list[object], said: str, tmp_path: Path) -> None:
    assert said in refused("train", *words, "--out", tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["transfer", "--from", samples.BASE, "--rate", 0], "--rate is 0.0; give"),
        (["transfer", "--from", samples.BASE, "--members", HUGE], "--members is 100000000000000; that takes"),
        (["transfer", "--from", samples.RANDOM_BASE, "--variant", "paired", "--paired", HUGE], "--paired is 100000000000000; that takes"),
        (["cure", "--resolution", 10**6], "--resolution is 1000000; that takes"),
        (["cure", "--starts", HUGE], "--starts is 100000000000000; that takes"),
        (["cure", "--episodes", HUGE], "--episodes is 100000000000000; that takes"),
        (["predict", "--resolution", 10**6], "--resolution is 1000000; that takes"),
        (["maps", "--episodes", HUGE], "--episodes is 100000000000000; that takes"),
        (["evaluate", samples.BASE, "--planning-depth", 99, "--csv"], "--planning-depth is 99; that takes"),
        (["play", "--planning-depth", 99], "--planning-depth is 99; that takes about 3.8e+24 GB of memory"),
        (["landscape", "--resolution", 10**6], "--resolution is 1000000; that takes"),
        (["landscape", "--points", HUGE], "--points is 100000000000000; that takes"),
        (["landscape", "--sample", HUGE], "--sample is 100000000000000; that takes"),
        (["theorem", "--sample", HUGE], "--sample is 100000000000000; that takes"),
        (["trajectory", samples.BASE.parent, "--resolution", 10**6], "--resolution is 1000000; that takes"),
        (["escape", "--seeds", HUGE], "--seeds is 100000000000000; that takes"),
        (["escape", "--batch-size", HUGE], "--batch-size is 100000000000000; that takes"),
        (["escape", "--rate", "nan"], "--rate is nan; give a number above 0"),
        (["gather", "--size", HUGE], "--size is 100000000000000; that takes"),
        (["gather", "--seed", 2**60], "--seed is 1152921504606846976; give a whole number of at most"),
        (["study", Path(__file__).parent.parent / "studies" / "quick.toml", "--workers", HUGE], "--workers is 100000000000000; that takes"),
    ],
)
def test_sizes_of_every_command_that_cannot_be(words: list[Any], said: str, tmp_path: Path) -> None:
    place = tmp_path / {"play": "x.gif", "gather": "x.npz"}.get(words[0], "x")
    out = [] if "--csv" in words else ["--out"]
    assert said in refused(*words, *out, place)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("seeds = 1", "seeds = 100000000000", r"\[\[bases\]\] b: seeds is 100000000000; that takes about 2e\+05 GB"),
        ("seeds = 1", f"seeds = 1\nbatch_size = {HUGE}", r"\[\[bases\]\] b: batch_size is 100000000000000; that takes about"),
        ("seeds = 1", "seeds = 1\nrms_decay = 2.0", r"\[\[bases\]\] b: rms_decay is 2.0; give a share"),
        ("seeds = 1", "seeds = 1\nwalls = ''", r"\[\[bases\]\] b: walls names no file"),
        ("seeds = 1", "seeds = 1\nloss = { pair_min = 20 }", r"\[\[bases\]\] b: pair_min is 20; give less than pair_max, 10"),
        ('name = "t"', 'name = "t"\nrates = [0]', r"\[\[transfers\]\] t: rates is 0.0; give"),
        (
            'name = "t"',
            f'name = "t"\nseeds = 1000000\nrates = {[k / 1e5 for k in range(1, 21)]}',
            r"\[\[transfers\]\] t: the number of cells is 20000000; that takes",
        ),
        ('name = "t"', f'name = "t"\ndata_size = {HUGE}', r"\[\[transfers\]\] t: data_size is 100000000000000; that takes"),
        ("[[bases]]", f"[evaluation]\nepisodes = {HUGE}\n[[bases]]", r"\[evaluation\]: episodes is 100000000000000; that takes"),
        ("[[bases]]", "[evaluation]\ndepth = 99\n[[bases]]", r"\[evaluation\]: depth is 99; that takes"),
    ],
)
def test_a_study_names_its_file_and_key(before: str, after: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text(STUDY.replace(before, after, 1))
    with pytest.raises(UserError, match=rf"study\.toml: {said}"):
        read_study(file)


def test_every_default_is_in_its_range_and_fits() -> None:
    for settings in (TrainSettings(), LossSettings(), PlaySettings(), CureSettings()):
        settings.validate()
    assert len(base_plan(TrainSettings(), 100).members) == 100


def test_a_value_of_another_type_is_refused() -> None:
    for name, bad in (("updates", 1.5), ("batch_size", "8"), ("learning_rate", "fast"), ("seed", True)):
        with pytest.raises(UserError, match=f"--{name.replace('_', '-')} is {bad!r}; give"):
            dataclasses.replace(TrainSettings(), **{name: bad}).validate()


def test_what_a_machine_has_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "memory", lambda: 1e9)
    with pytest.raises(UserError, match=r"--members is 3000; that takes about 7\.\d+ GB of memory and this machine has 1 GB: give less"):
        base_plan(TrainSettings(), 3000)
    with pytest.raises(UserError, match="--members is 3000"):
        transfer_plan(TrainSettings(), [samples.BASE], "freeze", 3000)
    monkeypatch.setattr(machine, "memory", lambda: float("inf"))
    sizes.check_picture(resolution=10**6)


def test_memory_is_the_machine_s_or_the_container_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "LIMITS", ())
    whole = machine.memory()
    assert 1e8 < whole < 1e15
    (tmp_path / "max").write_text("123456789\n")
    (tmp_path / "none").write_text("max\n")
    monkeypatch.setattr(machine, "LIMITS", (str(tmp_path / "none"), str(tmp_path / "gone"), str(tmp_path / "max")))
    assert machine.memory() == 123456789


def test_flags_of_a_message_become_keys() -> None:
    assert in_keys("--batch-size is 0; give less than --data-size", {"data_size": "paired"}) == "batch_size is 0; give less than paired"
    assert in_keys("a file--x of runs -- here") == "a file--x of runs -- here"


LONG = "x" * 300
COMMANDS = (
    ["train"], ["transfer", "--from", samples.BASE], ["landscape"], ["cure"], ["predict"], ["maps", "--transfer", samples.BASE], ["compare", samples.BASE.parent], ["escape"],
    ["claims", "--transfer", samples.BASE], ["theorem"], ["trajectory", samples.BASE.parent], ["report", "--base", samples.BASE, "--transfer", samples.BASE],
    ["play"], ["gather"], ["import", samples.BASE, "--maze", "simple"], ["study", Path(__file__)], ["verdicts", "--claims", samples.BASE], ["demo"],
)  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
@pytest.mark.parametrize(
    ("name", "said"), [("bad\udcff", r"bad\xff, which is no UTF-8"), (LONG, "--out: '"), ("x" * 250, "File name too long")]
)
def test_a_path_that_cannot_be_is_refused_by_every_command(words: list[object], name: str, said: str, tmp_path: Path) -> None:
    assert said in refused(*words, "--out", tmp_path / name)


def test_paths_behind_other_flags_and_in_files(tmp_path: Path) -> None:
    for flag in ("--csv", "--base"):
        assert f"{flag}: " in refused("evaluate", samples.BASE, flag, tmp_path / LONG)
    for words in (["evaluate", LONG], ["evaluate", "a\udcff"]):
        assert "MODEL" in refused(*words)
    for flag in ("--config", "--walls", "--data"):
        assert f"{flag}: " in refused("train", "--out", tmp_path / "x", flag, LONG)
        assert f"{flag}: " in refused("train", "--out", tmp_path / "x", flag, "a\0b")
    assert "--out: " in refused("train", "--out", "y/" * 2020)
    file = tmp_path / "s.toml"
    file.write_text(f'out = "{LONG}"')
    assert f"{file}: --out: " in refused("train", "--config", file)


def test_a_csv_that_is_there_names_its_own_flag(tmp_path: Path) -> None:
    file = tmp_path / "models.csv"
    file.write_text("mine")
    assert refused("evaluate", samples.BASE, "--csv", file) == f"{file}: exists already; add --force or choose another --csv"


def run(*words: object, **streams: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "cli", *map(str, words)], check=False, **streams)


def test_a_full_device_ends_in_one_line() -> None:
    with open("/dev/full", "wb") as full:
        done = run("version", stdout=full, stderr=subprocess.PIPE)
        assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
        assert b"No space left on device" in done.stderr
        done = run("version", stdout=subprocess.PIPE, stderr=full)
        assert (done.returncode, done.stdout[:5]) == (0, b"crar ")


@pytest.mark.parametrize("mark", ["\ufeff", ""])
def test_text_files_of_windows_are_read(mark: str, tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_bytes((mark + STUDY).replace("\n", "\r\n").encode("utf-8"))
    assert len(read_study(file).cells) == 2
    file.write_bytes((mark + "updates = 3\r\n").encode("utf-8"))
    assert load_toml(file) == {"updates": 3}
    file.write_bytes("updates = 3\n".encode("utf-16"))
    with pytest.raises(UserError, match=r"study\.toml is no UTF-8 text .*give a TOML file"):
        load_toml(file)
    assert callable(read_config)


def test_settings_of_a_newer_crar_name_the_checkpoint(tmp_path: Path) -> None:
    model = load_checkpoint(samples.BASE)
    newer = dataclasses.replace(model, info={**model.info, "settings": {**model.info.get("settings", {}), "momentum": 0.5}})
    save_checkpoint(tmp_path / "newer.pt", newer)
    with pytest.raises(UserError, match=r"newer\.pt: its settings: unknown setting 'momentum', of a newer crar"):
        load_checkpoint(tmp_path / "newer.pt")


def test_headings_are_parted_between_words_or_syllables() -> None:
    assert [heading(name) for name in ("navigation", "random_pairs", "total")] == [("", "navigation"), ("random_", "pairs"), ("", "total")]
    assert heading("transition") == ("transi-", "tion")


def test_the_second_opinion_asks_the_version_that_it_knows(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert second_opinion.asked() is not None
    monkeypatch.setattr(second_opinion, "version", lambda _: "4.0.1")
    assert second_opinion.asked() is None
    assert "loss-landscapes is 4.0.1, and only version 3 is compared with" in capsys.readouterr().err


def test_one_thing_is_named_in_the_singular() -> None:
    assert [plural(count, "model") for count in (0, 1, 1200)] == ["0 models", "1 model", "1,200 models"]
    assert [of_all(1, count, "models") for count in (1, 2)] == ["1 of 1 model", "1 of 2 models"]


def test_a_device_is_written_to_and_not_replaced() -> None:
    with pytest.raises(UserError, match="/dev/full: cannot write"):
        write_text("/dev/full", "x")
    assert Path("/dev/full").is_char_device()
