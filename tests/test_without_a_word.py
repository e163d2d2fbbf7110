"""What was taken in silence: figures that are no numbers, weights that overflow, archives cut short, results named twice, transfers back."""

from __future__ import annotations

import dataclasses
import io
import json
import lzma
import math
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from cli import app
from crar_model.agent.networks import DenseAgent
from crar_model.agent.symmetry import match_embeddings
from crar_model.core.errors import UserError
from crar_model.core.tensor_files import load_plain, save_plain
from crar_model.cures.candidates import reaches
from crar_model.cures.level import Level
from crar_model.cures.problem import Tail
from crar_model.models.checkpoints import FORMAT, load_checkpoint, save_checkpoint
from crar_model.models.evaluation import Evaluation
from crar_model.models.merit import as_good
from crar_model.studies.archive import _read
from crar_model.studies.cells import Cell
from crar_model.tasks import default_settings
from crar_model.tasks.batches import complete_batch
from crar_model.tasks.metrics import Score
from crar_model.training.members import transfer_plan
from crar_model.training.shard import SNAPSHOT, STATE, load_snapshot
from crar_model.training.trainer import Trainer
from crar_reports.claims.evidence import pair_of
from crar_reports.claims.record import UNDECIDED
from crar_reports.claims.table import CLAIMS
from crar_reports.models.judged import distinct
from crar_reports.models.runs import Run
from crar_reports.pages.study.table import success
from crar_reports.pages.verdicts import write_verdicts
from tests.crar_reports.test_escape import watched
from tests.crar_reports.test_rules import facts

NAN = math.nan


@pytest.mark.parametrize("what", ["the transfer", "one state", "the base", "a base whose states are one"])
def test_an_embedding_that_is_no_number_matches_nothing(what: str) -> None:
    batch = complete_batch(inverse=False, dtype=torch.float64)
    base = torch.randn(len(batch.observations), 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    transferred = base.clone()
    {"the transfer": transferred, "the base": base, "one state": transferred[3], "a base whose states are one": torch.zeros(1)}[what].fill_(
        NAN
    )
    if what == "a base whose states are one":
        base.fill_(0.5)
        transferred.fill_(0.5)
    found = match_embeddings(DenseAgent(), batch, base, transferred)
    assert found.verdict == "neither"
    assert not found.residual_edges <= 1


def test_no_figure_that_is_no_number_is_a_success() -> None:
    base = Evaluation({}, {"nearest_state_accuracy": 0.99, "navigation_success": NAN})
    assert not as_good(Evaluation({}, {"nearest_state_accuracy": 0.99, "navigation_success": 0.99}), base)
    scored = Evaluation({}, {"score": Score(0.5, NAN, NAN, 1, None, None)})
    assert not as_good(scored, scored)
    simple, random = (Cell("freeze", default_settings(maze), 0, 1e-3) for maze in ("simple", "random"))
    good = {"metrics": ["nearest_state_accuracy"], "nearest_state_accuracy": 0.99}
    assert success(simple, {"diverged_at": -1, "outcome": "matched", "last_nearest_state_accuracy": 0.99}, good)
    for own, other in ((NAN, 0.99), (None, 0.99), ("", 0.99), (0.99, NAN), (0.99, None)):
        assert not success(
            simple, {"diverged_at": -1, "outcome": "matched", "last_nearest_state_accuracy": own}, good | {"nearest_state_accuracy": other}
        )
    assert not success(simple, {"diverged_at": -1, "outcome": "matched"}, {"metrics": []} | {"digest": "1"})
    assert [
        success(random, {"diverged_at": -1, "last_score_low": score, "last_score_high": 1.0}, {}) for score in (0.1, NAN, None, "")
    ] == [True, False, False, False]


@pytest.mark.parametrize("what", ["total", "off", "worst", "astray", "level's total", "level's off", "level's worst"])
def test_no_candidate_reaches_a_level_that_is_no_number(what: str) -> None:
    def level(tail: Tail, total: float) -> Level:
        return Level(torch.zeros(1, 1, 2), torch.tensor([total]), tail, 0)

    fine = Tail(0.1, 0.2, 0.3, 0.0, 0.0)
    assert reaches({"total": 1.0}, fine, level(fine, 1.0))
    name = what.rpartition(" ")[2]
    odd = fine if name == "total" else dataclasses.replace(fine, **{name: NAN})
    if what.startswith("level"):
        assert not reaches({"total": 1.0}, fine, level(odd, NAN if name == "total" else 1.0))
    elif name != "off":  # a candidate's own share of large errors is asked where no level is known
        assert not reaches({"total": NAN if name == "total" else 1.0}, odd, level(fine, 1.0))
    else:
        assert not reaches({"total": 1.0}, odd, None)


def test_who_ends_nowhere_has_not_left_a_minimum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = watched(tmp_path, monkeypatch, lambda home, count: torch.stack((home * NAN, home, home)[-count:]))
    assert np.isnan(found.at).all()
    assert found.seen.tolist() == [0.0, 4.0, 4.0]
    assert (found.matched, found.diverged) == (0, 1)


def spoiled(plain: Any, name: str) -> Any:
    """The figures with every one of a name not a number."""
    if isinstance(plain, dict):
        return {key: NAN if key == name and isinstance(value, float) else spoiled(value, name) for key, value in plain.items()}
    return [spoiled(each, name) for each in plain] if isinstance(plain, list) else plain


@pytest.mark.parametrize("name", ["total", "transition", "random_pairs", "barrier", "loss", "largest", "midpoint", "values"])
def test_no_claim_is_decided_by_what_is_no_number(name: str) -> None:
    plain = json.loads(json.dumps(facts()))
    asked = 0
    for claim in CLAIMS:
        if claim.listed is None:
            continue
        _, before = claim.listed.decide(pair_of(plain, complete=True))
        text, verdict = claim.listed.decide(pair_of(spoiled(plain, name), complete=True))
        asked += "could not be measured" in text
        assert verdict in (before, UNDECIDED)
    assert asked or name in ("midpoint", "values")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (torch.full((20,), 1e300, dtype=torch.float64), "too large for float32"),
        (torch.full((20,), -math.inf), "not finite"),
        (torch.full((20,), 1 + 1j), "torch.complex64 values"),
        (torch.ones(20, dtype=torch.int64), "torch.int64 values"),
    ],
)
def test_weights_that_are_no_numbers_in_float32_are_refused(values: torch.Tensor, said: str, base_run: Path, tmp_path: Path) -> None:
    content, path = load_plain(base_run / "member-0.pt"), tmp_path / "odd.pt"
    content["parameters"]["value.0.bias"] = values
    save_plain(path, FORMAT, content)
    with pytest.raises(UserError, match=rf"odd\.pt: parameter value\.0\.bias holds .*{said}"):
        load_checkpoint(path)
    save_plain(path, SNAPSHOT, {"parameters": content["parameters"]})
    with pytest.raises(UserError, match=rf"odd\.pt: parameter value\.0\.bias holds .*{said}"):
        load_snapshot(path)


def test_weights_in_double_precision_that_fit_are_taken(base_run: Path, tmp_path: Path) -> None:
    content = load_plain(base_run / "member-0.pt")
    content["parameters"] = {name: value.double() for name, value in content["parameters"].items()}
    save_plain(tmp_path / "double.pt", FORMAT, content)
    assert load_checkpoint(tmp_path / "double.pt").digest == load_checkpoint(base_run / "member-0.pt").digest


def test_a_state_in_another_precision_is_refused(freeze_run: Path, base_run: Path) -> None:
    trainer = Trainer(transfer_plan(Run(freeze_run).plan.settings, [base_run / "member-0.pt"], "freeze", 2))
    state = load_plain(freeze_run / "state" / "shard-0.pt")
    assert state["format"] == STATE
    trainer.restore(state)
    state["params"] = {name: value.double() for name, value in state["params"].items()}
    with pytest.raises(TypeError, match=r"torch\.float64 values"):
        trainer.restore(state)


def archive(path: Path) -> bytes:
    cell = Cell("base", default_settings("simple"), 0, 5e-4)
    files = {
        "study.json": {"format": "crar-study", "name": "s"},
        f"cells/{cell.name}/record.json": {},
        f"cells/{cell.name}/cell.json": cell.plain(),
    }
    with tarfile.open(path, "w:xz") as tar:
        for name, content in files.items():
            text, entry = json.dumps(content).encode(), tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
    return path.read_bytes()


def test_an_archive_is_read_to_its_last_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.xz"
    whole = archive(path)
    assert len(_read(path, "s")) == 1
    plain = lzma.decompress(whole)
    wrong = [whole[:-cut] for cut in (1, 2, 4, 12, 13, 24)] + [whole + b"\0\0\0\0", whole + b"x", whole + whole]
    wrong += [whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:], lzma.compress(plain[:-10240]), lzma.compress(plain[:1536])]
    for content in wrong:
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"a\.tar\.xz: not an archive of a study, damaged"):
            _read(path, "s")


def test_results_under_two_names_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = Path(__file__).parents[1] / "reports" / "published" / "claims"
    one, copy, link = tmp_path / "one", tmp_path / "copy", tmp_path / "link"
    shutil.copytree(published, one)
    shutil.copytree(published, copy)
    os.symlink(one, link)
    other = json.loads((copy / "results.json").read_text()) | {"command": "crar claims --out copy"}
    (copy / "results.json").write_text(json.dumps(other))
    monkeypatch.chdir(tmp_path)
    write_verdicts([one], [], tmp_path / "once")
    write_verdicts([one, Path("one"), link, copy, tmp_path / "copy" / ".." / "one"], [], tmp_path / "twice")
    once, twice = ((tmp_path / name / "results.json").read_text() for name in ("once", "twice"))
    assert once == twice


def test_copies_of_a_model_count_once(freeze_run: Path, tmp_path: Path) -> None:
    one, other = freeze_run / "member-0.pt", freeze_run / "member-1.pt"
    for place in ("copy", "again"):
        (tmp_path / place).mkdir()
        shutil.copy(one, tmp_path / place / "member-0.pt")
    assert distinct([freeze_run, tmp_path / "copy", tmp_path / "again" / "member-0.pt", one]) == [one, other]


def test_a_transfer_back_has_to_be_asked_for(freeze_run: Path, base_run: Path, tmp_path: Path) -> None:
    words = [
        "transfer",
        "--from",
        str(freeze_run / "member-0.pt"),
        "--variant",
        "negate-input",
        "--members",
        "1",
        "--out",
        str(tmp_path / "back"),
    ]
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, UserError)
    assert not (tmp_path / "back").exists()
    said = str(done.exception)
    assert "a transfer (freeze) to the inverse maze, so this would train back to the normal one" in said
    assert f"its base {base_run / 'member-0.pt'}" in said
    assert "crar cure --from" in said
    assert "--back" in said
    done = CliRunner().invoke(app, [*words, "--back"])
    assert done.exit_code == 0, done.output
    assert "learn the normal one" in done.output
    assert not load_checkpoint(tmp_path / "back" / "member-0.pt").inverse
    assert "--back" in Run(tmp_path / "back").command
    assert "--back" not in Run(freeze_run).command


def test_a_base_of_the_inverse_maze_is_no_transfer(base_run: Path, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "inverse.pt", dataclasses.replace(load_checkpoint(base_run / "member-0.pt"), inverse=True))
    words = [
        "transfer",
        "--from",
        str(tmp_path / "inverse.pt"),
        "--variant",
        "negate-input",
        "--members",
        "1",
        "--out",
        str(tmp_path / "out"),
    ]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "learn the normal one" in done.output


def test_flags_that_would_do_nothing_are_refused(base_run: Path, tmp_path: Path) -> None:
    base, out = str(base_run / "member-0.pt"), tmp_path / "out"
    done = CliRunner().invoke(app, ["transfer", "--back", "--from", base, "--variant", "negate-input", "--members", "1", "--out", str(out)])
    assert isinstance(done.exception, UserError)
    assert str(done.exception).startswith("--back: no --from is a transfer")
    before = tmp_path / "claims"
    before.mkdir()
    done = CliRunner().invoke(app, ["claims", "--again", str(before), "--quick", "--limit", "3", "--out", str(out)])
    assert isinstance(done.exception, UserError)
    assert "--again measures nothing, so --limit, --quick would do nothing; leave them out" in str(done.exception)
    assert not out.exists()


@pytest.mark.parametrize(("more", "said"), [([], True), (["--inverse"], False)])
def test_a_map_that_nothing_is_seen_through_is_said(more: list[str], said: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crar_model.face.training._run", lambda *_: None)
    monkeypatch.setattr("crar_reports.commands.training.tell", lambda _: None)
    done = CliRunner().invoke(app, ["train", "--observation-map", "mirror", "--out", str(tmp_path / "out"), *more])
    assert done.exit_code == 0, done.output
    assert ("only the inverse maze is seen through --observation-map" in done.output) == said
