"""JSON that any reader takes, and what is foreign, damaged or edited ends in one line that names its file."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from crar_model.core.errors import UserError
from crar_model.core.files import as_read, find_json, json_text, parse_json, read_json, typed, write_json
from crar_model.core.kept import keep, kept, look
from crar_model.core.settings import PlaySettings
from crar_model.samples import FAILED, as_given
from crar_model.studies.store import Attempts, open_store
from crar_model.training.runner import plan_of, read_run
from crar_reports.pages.verdicts import write_verdicts
from tests.crar_model.small_studies import FEW, ready

ROOT = Path(__file__).parents[2]


def strict(text: str) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    return json.loads(text, parse_constant=refuse)


def test_what_is_no_number_is_null_and_the_infinite_a_text() -> None:
    content = {"a": math.nan, "b": [math.inf, (-math.inf, 1.5)], "c": {"d": 3, "e": None, "f": "NaN"}}
    for indent in (1, None):
        text = json_text(content, indent=indent)
        assert strict(text) == {"a": None, "b": ["Infinity", ["-Infinity", 1.5]], "c": {"d": 3, "e": None, "f": "NaN"}}
        assert parse_json(text) == as_read(content) == {"a": None, "b": [math.inf, [-math.inf, 1.5]], "c": {"d": 3, "e": None, "f": "NaN"}}


def test_files_of_before_still_read(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text('\ufeff{"a": NaN, "b": Infinity, "c": -Infinity}', encoding="utf-8")
    assert str(read_json(tmp_path / "old.json", dict[str, float], "")) == str({"a": math.nan, "b": math.inf, "c": -math.inf})


def test_what_is_published_is_strict_and_names_no_machine_s_folder() -> None:
    published = [path for folder in ("reports/published", "benchmarks/results") for path in (ROOT / folder).rglob("*") if path.is_file()]
    read = [path for path in published if path.suffix in (".json", ".md")]
    assert len(read) > 40
    for path in read:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            strict(text)
        assert not any(f"{before}/{folder}/" in text for before in '"`( ' for folder in ("work", "tmp", "home", "root", "Users")), path


def test_a_shipped_checkpoint_is_shown_without_this_machine_s_folder() -> None:
    assert as_given(FAILED) == "crar_model/sample_models/failed.pt"
    assert as_given("/somewhere/runs/member-0.pt") == "/somewhere/runs/member-0.pt"


BAD: dict[str, bytes] = {
    "empty": b"", "cut": b'{"failed": 1, "la', "binary": bytes(range(256)), "list": b"[1, 2]", "text": b'"hello"', "number": b"3", "null": b"null",
    "deep": b"[" * 100_000, "digits": b'{"failed": ' + b"9" * 5_000 + b', "last": ""}', "empty table": b"{}", "twice over": b"{}{}",
    "true": b'{"failed": true, "last": ""}', "share": b'{"failed": 0.5, "last": ""}', "huge": b'{"failed": 1e400, "last": ""}',
    "long": b'{"failed": 99999999999999999999, "last": ""}', "words": b'{"failed": 1, "last": 2}', "none": b'{"failed": null, "last": ""}',
    "utf-16": '{"failed": 1, "last": ""}'.encode("utf-16"),
}  # fmt: skip


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_what_does_not_hold_what_it_must_is_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "attempts.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"attempts\.json: .*; remove it") as found:
        find_json(path, Attempts, "remove it")
    assert "\n" not in str(found.value)


@dataclass(frozen=True)
class Level:
    total: float


@dataclass(frozen=True)
class Whole:
    seeds: list[int]
    figures: dict[str, float]
    pair: tuple[float, str]
    level: Level | None
    name: str = "usual"


def test_records_are_read_as_they_were_written(tmp_path: Path) -> None:
    whole = Whole([1, 2], {"a": math.nan, "b": math.inf}, (-math.inf, "x"), Level(math.nan), "")
    write_json(tmp_path / "a.json", whole)
    plain = strict((tmp_path / "a.json").read_text())
    assert plain["figures"] == {"a": None, "b": "Infinity"}
    assert repr(read_json(tmp_path / "a.json", Whole, "")) == repr(whole)
    del plain["name"]
    write_json(tmp_path / "a.json", plain | {"newer": 1, "level": None})
    assert read_json(tmp_path / "a.json", Whole, "").level is None
    assert read_json(tmp_path / "a.json", Whole, "").name == "usual"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"seeds": [1, "2"]}, "Expected `int`, got `str` - at `seeds[1]`"), ({"seeds": 3}, "Expected `array`, got `int` - at `seeds`"),
        ({"seeds": [2**63]}, "9223372036854775808 is no number that is kept here"), ({"figures": {"a": "b"}}, "Expected `float`, got `str`"),
        ({"level": {}}, "Object missing required field `total` - at `level`"), ({"pair": [1.0]}, "Expected `array` of length 2, got 1 - at `pair`"),
        ({"level": {"total": True}}, "Expected `float`, got `bool` - at `level.total`"), ({"name": None}, "Expected `str`, got `null` - at `name`"),
    ],
)  # fmt: skip
def test_an_error_names_the_file_and_the_field(wrong: dict[str, Any], said: str) -> None:
    plain = {"seeds": [1], "figures": {}, "pair": [1, "x"], "level": None, "name": ""}
    assert typed(plain, Whole, "a.json: damaged", "") == Whole([1], {}, (1.0, "x"), None, "")
    with pytest.raises(UserError, match=r"a\.json: damaged: .*; remove it") as found:
        typed(plain | wrong, Whole, "a.json: damaged", "remove it")
    assert said in str(found.value)


def spoiled(content: Any) -> list[Any]:
    """Copies of plain data with one value replaced, at every place of the first two levels."""
    found = [None, [], {}, "x", 1.5]
    for key in content if isinstance(content, dict) else ():
        found.append({name: value for name, value in content.items() if name != key})
        found += [
            content | {key: other} for other in (None, [], {}, "x", 1e999, -1, True, 10**400, [None], {"x": None}) if other != content[key]
        ]
    return found


def only_one_line(path: Path, read: Callable[[], object]) -> int:
    """How many of the spoiled files are refused; each in one line that names the file."""
    whole, refused, lines = json.loads(path.read_text()), 0, list[str]()
    for content in spoiled(whole):
        path.write_text(json.dumps(content))
        try:
            read()
        except UserError as error:
            refused += str(path) in str(error) or str(path.parent) in str(error)
            lines.append(str(error))
    assert refused == len(lines)
    assert not any("\n" in line for line in lines)
    path.write_text(json.dumps(whole))
    read()
    return refused


def test_a_spoiled_run_json(freeze_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(freeze_run, run)
    assert only_one_line(run / "run.json", lambda: (read_run(run), plan_of(run))) > 60


def test_settings_of_a_run_that_cannot_be(freeze_run: Path, tmp_path: Path) -> None:
    whole = json.loads((freeze_run / "run.json").read_text())
    for name, value in (
        ("learning_rate", 10**400),
        ("updates", 1.5),
        ("maze", "hedge"),
        ("walls", "#"),
        ("map_seed", "x"),
        ("loss", {"beta": []}),
    ):
        (tmp_path / "run.json").write_text(json.dumps(whole | {"settings": whole["settings"] | {name: value}}))
        with pytest.raises(UserError, match=r"run\.json: "):
            read_run(tmp_path)


def test_an_error_is_one_line_whatever_is_named_in_it() -> None:
    assert str(UserError("a\nb.json: missing; give\r\nanother")) == "a b.json: missing; give another"


def test_spoiled_files_of_a_study(tmp_path: Path) -> None:
    study, store = ready(FEW, tmp_path)
    name, how = next(iter(study.cells)), PlaySettings()
    folder, pack = store.folder(name), store.pack(study.cells)
    store.failed([name], "why")
    write_json(folder / "record.json", {"updates": 1, "search_updates": 0, "diverged_at": -1, "seconds": 1.5})
    store.write_judged(name, how, {"last": {"terms": {"total": math.nan}, "digest": "d", "updates": 1, "metrics": ["score"], "score": 1.0}})
    assert only_one_line(folder / "cell.json", lambda: store.cell(name)) > 60
    assert only_one_line(folder / "record.json", lambda: store.record(name)) > 25
    assert only_one_line(folder / "attempts.json", lambda: store.attempts(name)) > 15
    assert only_one_line(store.judged_path(name, how), lambda: store.judged(name, how)) > 10
    assert only_one_line(store.root / "packs" / pack / "pack.json", lambda: store.pack_cells(pack)) >= 4
    assert only_one_line(store.root / "study.json", lambda: open_store(store.root).refuse(study.name)) > 15
    other = json.loads((folder / "cell.json").read_text()) | {"seed": 77}
    (folder / "cell.json").write_text(json.dumps(other))
    with pytest.raises(UserError, match="describes another cell"):
        store.cell(name)


def test_kept_figures_that_were_edited_are_not_taken(tmp_path: Path) -> None:
    path, key = tmp_path / "pair.json", {"model": "d"}
    assert kept(path, key, lambda: {"a": math.nan, "b": (1, 2)}, dict) == {"a": None, "b": [1, 2]}
    assert kept(path, key, dict, dict) == {"a": None, "b": [1, 2]}
    assert look(path, {"model": "e"}, dict) is None
    path.write_text(path.read_text().replace("2", "3"))
    with pytest.raises(UserError, match=r"pair\.json: damaged or edited"):
        kept(path, key, dict, dict)
    write_json(path, {"key": key, "figures": {"b": [1]}})  # of before there were digests
    assert look(path, key, dict[str, list[int]]) == {"b": [1]}
    with pytest.raises(UserError, match=r"pair\.json: damaged or edited: Object missing required field `failed`"):
        look(path, key, Attempts)
    keep(path, key, {})
    assert only_one_line(path, lambda: look(path, key, dict)) >= 5


def test_results_of_another_command_are_one_line(tmp_path: Path) -> None:
    for content in (b"[]", b"{", b'{"pairs": {}}', b'{"pairs": [1]}', b'{"pairs": [{"base": 3}]}', bytes(range(256))):
        (tmp_path / "results.json").write_bytes(content)
        with pytest.raises(UserError, match=r"results\.json: "):
            write_verdicts([tmp_path], [], tmp_path / "out")
