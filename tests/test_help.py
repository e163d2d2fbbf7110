"""Help, choices, files of settings: what the command line says and takes before it works, without loading PyTorch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import typer
from typer.testing import CliRunner

from cli import app
from crar_model.core.errors import UserError
from crar_model.tasks import TASKS
from crar_model.training.variants import VARIANTS
from crar_reports.commands.config import key_of, section_of

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
GROUP: Any = typer.main.get_command(app)
COMMANDS = [name for name in GROUP.commands if name != "version"]


def help_of(*words: str) -> str:
    return CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "80"}).output


def parse(command: str, words: Sequence[object]) -> dict[str, Any]:
    """Values that a command would run with."""
    context = GROUP.commands[command].make_context(command, [str(word) for word in words], parent=typer.Context(GROUP, info_name="crar"))
    values: dict[str, Any] = context.params
    return values


def without_torch(cases: Sequence[Sequence[object]]) -> list[tuple[int, str, bool]]:
    """(exit code, standard error, whether PyTorch was loaded by then) of command lines, run one after another in one new process."""
    script = (
        "import contextlib, io, json, sys, cli\n"
        "results = []\n"
        "for words in json.load(sys.stdin):\n"
        "    errors = io.StringIO()\n"
        "    sys.argv = ['crar', *words]\n"
        "    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):\n"
        "        try:\n"
        "            cli.main()\n"
        "        except SystemExit as stop:\n"
        "            results.append((stop.code, errors.getvalue(), 'torch' in sys.modules))\n"
        "print(json.dumps(results))\n"
    )
    plain = json.dumps([[str(word) for word in words] for words in cases])
    done = subprocess.run([sys.executable, "-c", script], input=plain, capture_output=True, text=True, check=True)
    return [(code, errors, loaded) for code, errors, loaded in json.loads(done.stdout)]


def test_help_and_version_do_not_load_pytorch() -> None:
    cases: list[list[str]] = [[], ["--help"], ["--version"], ["version"], *([name, "--help"] for name in GROUP.commands)]
    for words, (code, errors, loaded) in zip(cases, without_torch(cases), strict=True):
        assert (code, errors, loaded) == (0, "", False), words


def test_usage_errors_and_bad_settings_do_not_load_pytorch(tmp_path: Path) -> None:
    (tmp_path / "base.pt").write_text("not opened")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "report.md").write_text("edited by hand")
    (tmp_path / "bad.toml").write_text("colour = 3")
    out, old, base = ["--out", tmp_path / "new"], ["--out", tmp_path / "old"], tmp_path / "base.pt"
    cases: list[list[object]] = [
        ["trian"],
        *([name, "--nonsense", 1] for name in GROUP.commands),
        *([name, "--config", tmp_path / "bad.toml"] for name in COMMANDS),
        ["train", "--learning-rate", "nan", *out],
        ["train", "--beta", -1, *out],
        ["train", "--members", 0, *out],
        ["train", "--maze", "round", *out],
        ["transfer", "--from", base, "--rate", "nan", *out],
        ["transfer", "--from", base, "--variant", "freezer", *out],
        ["transfer", "--from", base, "--paired", 0, *out],
        ["transfer", "--from", base, "--reset", "zero", *out],
        ["transfer", "--from", tmp_path / "none.pt", *out],
        ["evaluate", base, "--episodes", 0],
        ["evaluate", base, "--csv", tmp_path / "bad.toml"],
        ["play", base, "--epsilon", 2, "--out", tmp_path / "e.gif"],
        ["play", base, "--out", tmp_path / "e.mov"],
        ["gather", "--size", 0, "--out", tmp_path / "w.npz"],
        ["gather", "--out", tmp_path / "bad.toml"],
        ["landscape", "--points", 1, *out],
        ["landscape", "--blocks", "encoder", *out],
        ["landscape", "--terms", "balls", *out],
        ["landscape", "--to", base, *out],
        ["landscape", *old],
        ["theorem", "--format", "pdf", *out],
        ["theorem", *old],
        ["trajectory", tmp_path, "--resolution", 1, *out],
        ["trajectory", tmp_path, *old],
        ["claims", "--transfer", tmp_path, "--limit", 0, *out],
        ["claims", "--transfer", tmp_path, *old],
        ["report", "--base", tmp_path, "--transfer", tmp_path, "--planning-depth", -1, *out],
        ["report", "--base", tmp_path, "--transfer", tmp_path, *old],
        ["demo", "--seed", -1],
        ["demo", *old],
    ]
    for words, (code, errors, loaded) in zip(cases, without_torch(cases), strict=True):
        assert (code, loaded) == (2, False), (words, errors)
        assert errors.startswith("crar: error: "), words
        assert len(errors.splitlines()) == 1, (words, errors)
    assert (tmp_path / "old" / "report.md").read_text() == "edited by hand"


def test_crar_alone_shows_its_help() -> None:
    done = CliRunner().invoke(app, [], env={"COLUMNS": "80"})
    assert done.exit_code == 0
    assert done.output == help_of()
    assert all(f"  {name} " in done.output for name in GROUP.commands)
    assert "..." not in done.output.partition("Commands:")[2].partition("Options:")[0]  # no summary is cut


@pytest.mark.parametrize("words", [(), *((name,) for name in GROUP.commands)], ids=lambda words: " ".join(words) or "crar")
def test_help_is_for_people(words: tuple[str, ...]) -> None:
    text = help_of(*words)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert not any(noise in text for noise in ("<", "TEXT", "INTEGER", "None", "null", "Value error"))


def test_settings_stand_under_headings() -> None:
    text = help_of("train")
    headings = ["Run:", "Training:", "Optimiser:", "Data and quirks:", "Scoring:", "Loss ([loss] in a file of settings):"]
    places = [text.index(f"\n{heading}\n") for heading in headings]
    assert places == sorted(places)
    for flag, heading in (("--out", "Run:"), ("--seed", "Training:"), ("--clip-norm", "Optimiser:"), ("--beta", "Loss (")):
        assert text.index(heading) < text.index(f"  {flag} ")


def test_choices_are_those_of_the_tables() -> None:
    text = help_of("transfer").replace("\n      ", "")
    assert f"--variant [{'|'.join(VARIANTS)}]" in text
    assert f"--maze [{'|'.join(TASKS)}]" in text
    assert "--update-rule [joint|sequential]" in text
    assert all(variant.about.split()[0] in text for variant in VARIANTS.values())


def test_a_task_added_before_the_command_line_is_a_choice() -> None:
    script = (
        "import crar_model.tasks as t\n"
        "class Other(type(t.TASKS['simple'])):\n    name = 'corridor'\n    defaults = {'updates': 7}\n"
        "t.add_task(Other())\nimport sys, cli\nsys.argv = ['crar', 'train', '--help']\ncli.main()\n"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert f"--maze [{'|'.join(TASKS)}|corridor]" in shown
    assert "corridor: 7]" in shown


def test_a_single_valued_flag_given_twice_is_an_error() -> None:
    for words in (["--seed", 1, "--seed", 1], ["--seed", 1, "--seed=2"], ["--inverse", "--no-inverse"]):
        with pytest.raises(UserError, match=rf"{words[0]}.* given twice"):
            parse("train", [*words, "--out", "x"])
    with pytest.raises(UserError, match="--resume is given twice"):
        parse("demo", ["--resume", "--resume"])


def test_lists_are_given_by_repeating(base_run: Path) -> None:
    base = base_run / "member-0.pt"
    found = parse("transfer", ["--from", base, "--from", base, "--variant", "freeze", "--variant", "unfreeze", "--rate", 1, "--out", "x"])
    assert found["bases"] == [base, base]
    assert found["variants"] == ["freeze", "unfreeze"]
    assert found["rates"] == [1.0]


def test_completion_knows_commands_flags_and_choices() -> None:
    for line, wanted in (("crar tra", ["train", "transfer", "trajectory"]), ("crar transfer --variant fre", ["freeze"])):
        about = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1), "_CRAR_COMPLETE": "complete_bash"}
        done = subprocess.run([sys.executable, "-m", "cli"], env=os.environ | about, capture_output=True, text=True, check=True)
        assert done.stdout.split() == wanted


def sample(param: Any) -> Any:
    """A value of a flag as a file has it."""
    kind = param.type_descriptor.annotation
    many = get_origin(kind) is list
    kind = get_args(kind)[0] if many else kind
    value = list(kind)[-1].value if issubclass(kind, StrEnum) else {int: 3, float: 0.5, bool: True, Path: "here", str: "ball"}[kind]
    return [value, value] if many else value


def written(values: dict[str, dict[str, Any]]) -> str:
    """Values by section as TOML; numbers, booleans and texts are written alike in JSON."""
    order = sorted(values)  # the top of the file first
    return "".join((f"[{s}]\n" if s else "") + "".join(f"{k} = {json.dumps(v)}\n" for k, v in values[s].items()) for s in order)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_can_stand_in_a_file(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here").mkdir()
    params = [param for param in GROUP.commands[command].params if param.name != "config"]
    values: dict[str, dict[str, Any]] = {}
    for param in params:
        values.setdefault(section_of(param), {})[key_of(param)] = sample(param)
    Path("all.toml").write_text(written(values))
    found = parse(command, ["--config", "all.toml"])
    for param in params:
        value, read = sample(param), found[param.name]
        assert (
            [str(each) for each in read] == value
            if isinstance(value, list) and value[0] == "here"
            else str(read) == str(value) or read == value
        )
    typed = next(param for param in params if param.type_descriptor.annotation is Path and param.param_type_name == "option")
    Path("there").mkdir()
    assert parse(command, ["--config", "all.toml", typed.opts[0], "there"])[typed.name] == Path("there")  # what is typed wins


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_file_of_a_command_fits_it(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = EXAMPLES / f"{command}.toml"
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    assert f"crar {command} --config docs/examples/{path.name}" in path.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for value in content.values():
        for word in value if isinstance(value, list) else [value]:
            if isinstance(word, str) and word.startswith("runs/"):
                Path(word).mkdir(parents=True, exist_ok=True)
    found = parse(command, ["--config", path])
    given = content | content.get("loss", {})
    for param in GROUP.commands[command].params:
        if key_of(param) in given:
            assert found[param.name] not in (None, (), []), param.name


def test_no_example_without_a_command() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.toml")} == set(COMMANDS)


@pytest.mark.parametrize(
    ("command", "text", "said"),
    [
        ("train", "beta = 0.3", r"put beta under \[loss\]"),
        ("train", "[loss]\nupdates = 3", r"put updates at the top"),
        ("train", "learning_rat = 1", "did you mean learning_rate"),
        ("train", "[loss]\nbta = 1", r"did you mean beta under \[loss\]"),
        ("train", "[los]\nbeta = 1", r"did you mean \[loss\]"),
        ("train", "[updates]\nbeta = 1", "updates is a single value"),
        ("train", "colour = 3", "crar train --help"),
        ("train", "updates = '3'", "updates is '3'; it must be a whole number"),
        ("train", "updates = true", "updates is True; it must be a whole number"),
        ("train", "inverse = 1", "true or false"),
        ("train", "update_rule = 'both'", "choose one of joint, sequential"),
        ("train", "members = 0", "--members is 0; give a whole number of at least 1"),
        ("transfer", "from = ['none.pt']", "none.pt does not exist"),
        ("transfer", "rate = ['fast']", "it must be a number"),
        ("evaluate", "[loss]\nbeta = 1", r"no table \[loss\]"),
    ],
)
def test_a_bad_file_is_named_with_the_remedy(command: str, text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"settings\.toml: .*{said}"):
        parse(command, ["--config", path, *(["--out", "x"] if command != "evaluate" else [])])


def test_a_value_out_of_range_names_the_file_that_has_it(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(f"updates = 5\nout = {json.dumps(str(tmp_path / 'run'))}\n[loss]\nbeta = -1")
    (code, errors, _), (typed_code, typed_errors, _) = without_torch(
        [["train", "--config", path], ["train", "--config", path, "--beta", 0, "--seed", -1]]
    )
    assert (code, typed_code) == (2, 2)
    assert "settings.toml: --beta is -1.0" in errors
    assert "settings.toml" not in typed_errors
