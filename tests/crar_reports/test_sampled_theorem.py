"""Claim S9 where transitions are sampled: a page of the random mazes, and that its sentences follow its figures."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from crar_model.core.errors import UserError
from crar_model.core.files import Plain, typed
from crar_model.core.params import DYNAMICS, select
from crar_model.core.settings import PlaySettings, TrainSettings
from crar_model.samples import RANDOM_BASE
from crar_model.tasks import batches
from crar_model.training.members import transfer_plan
from crar_model.training.runner import run_plan
from crar_reports.measure import dissection, release, shifts
from crar_reports.measure.options import LandscapeOptions
from crar_reports.measure.paths import mixed
from crar_reports.measure.sample_minimum import Budget
from crar_reports.measure.sample_paths import on_samples
from crar_reports.measure.shifted_descents import descents
from crar_reports.measure.subject import Subject, hidden_layers, load_subject
from crar_reports.pages import theorem
from crar_reports.pages.landscape.page import write_landscape
from crar_reports.pages.theorem import write_page, write_theorem
from crar_reports.pages.theorem_view import Theorem
from landscape_tools import apply_symmetry
from tests.crar_reports.pages import summary_of, whole_page


@pytest.fixture(scope="module")
def pair(random_freeze: Path, random_base: Path) -> tuple[Path, Path]:
    return random_freeze / "member-0.pt", random_base / "member-0.pt"


@pytest.fixture(scope="module")
def page(pair: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two transfers of six updates, everything cut short."""
    folder = tmp_path_factory.mktemp("theorem")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(release, "UPDATES", 3)
        patch.setattr(batches, "LEAST_MAPS", 8)
        patch.setattr(batches, "SAMPLE_SEED", 19_135)  # either sample has one terminal transition, and so has the small one
        for module in (shifts, theorem):
            patch.setattr(module, "SHARES", (0.0, 1.0))
        patch.setattr(shifts, "FEW", 16)
        patch.setattr(shifts, "NUMBER", 34)
        patch.setattr(theorem, "Budget", lambda: Budget(iterations=1, steps=2))
        write_theorem(*pair, folder, sample=32, command="crar theorem")
    return folder


def figures(page: Path) -> Plain:
    plain: Plain = json.loads((page / "results.json").read_text())
    return plain


def test_the_page_says_what_it_is_of(page: Path) -> None:
    whole_page(page / "report.md")
    text = (page / "report.md").read_text()
    assert "on 16 transitions of 12 maps (1 terminal); its descents are of 32 transitions" in summary_of(text)[-1]
    assert "3 updates of training on fresh data" in text
    found = figures(page)
    assert [f["way"] for f in found["descents"]] == ["own", "towards the adapted dynamics", "in a random direction"]
    assert {f["verdict"] for f in found["descents"]} == {"not converged"}  # one step of a descent
    assert found["verdict"] == "undecided"
    assert "**undecided**" in text
    assert found["samples"]["descents"]["independent"]["terminal"] == 1


def test_symmetries_of_convolutions_leave_the_landscape(page: Path) -> None:
    found = {s["way"]: s for s in figures(page)["shifts"]}
    for way, s in found.items():
        if s["distance"] == 0:
            assert s["values"] == s["gradients"] == 0
        elif "of the way" in way:
            assert s["values"] > 1e-6
    exchanged = found["hidden units exchanged, and negated where no max-pooling follows"]
    assert exchanged["distance"] > 1
    assert exchanged["values"] < 1e-12
    assert exchanged["gradients"] < 1e-9
    assert found["mirrored, T'(x) = -T(-x)"]["gradients"] > 1e-3
    assert found["mirrored, seen from the mirrored encoders"]["values"] < 1e-12


def rendered(plain: Plain, page: Path) -> str:
    """The page of other figures, written over the one beside it."""
    return write_page(
        typed(plain, Theorem, "", ""), page, figure="shifts.png", failed=Path("f.pt"), base=Path("b.pt"), figures="as measured"
    ).read_text()


def altered(plain: Plain, *changes: tuple[tuple[str | int, ...], Any]) -> Plain:
    result = copy.deepcopy(plain)
    for (*way, last), value in changes:
        inner: Any = result
        for step in way:
            inner = inner[step]
        inner[last] = value
    return result


KEPT = (("least", 0.9), ("most", 1.05), ("level", 1.0), ("other_level", 1.0))


@pytest.mark.parametrize(
    ("changes", "before", "after"),
    [
        (((("shifts", 0, "values"), 0.125),), "bit for bit the same", "the landscape changes by 0.125: the measurement is not exact"),
        (((("shifts", -3, "values"), 0.5),), "change nothing but rounding", "change the loss by 0.5 and the gradient by"),
        (((("shifts", -1, "values"), 0.5),), "that is why a swapped embedding exists", "no symmetry of this landscape"),
        (((("linear", 0, "proven"), False),), "**holds with exceptions**, where", "**not proven** here: SymPy does not reduce loss at one input"),
        (tuple((("descents", 0, name), value) for name, value in KEPT), "own: not known to end", "own: at the reference's excess loss, 0.9 to 1.05"),
        (((("descents", 0, "least"), 1.5), (("descents", 0, "other_level"), 2.0)), "own: not known to end", "own: above it, 1.5 to"),
        (((("linear", 0, "proven"), False),), "the linear case is proven symbolically", "the linear case is not proven in full"),
        (((("linear", 0, "exceptions", 0, "difference"), "w"),), "with 8 exceptions", "with 7 exceptions"),
        (((("samples", "shifts", "terminal"), 7),), "12 maps (1 terminal)", "12 maps (7 terminal)"),
        (((("verdict",), "holds"),), "**undecided**", "The claim on this model: **holds**"),
    ],
)  # fmt: skip
def test_sentences_follow_the_figures(page: Path, tmp_path: Path, changes: Any, before: str, after: str) -> None:
    (tmp_path / "shifts.png").write_bytes((page / "shifts.png").read_bytes())
    plain = figures(page)
    for find in plain["descents"]:  # as though it were open where the descents end
        find |= {"least": 0.5, "most": 3.0, "level": 2.0}
    assert before in rendered(plain, tmp_path)
    assert after not in rendered(plain, tmp_path)
    assert after in rendered(altered(plain, *changes), tmp_path)


def test_a_full_landscape_has_the_theorem_too(tmp_path: Path, random_settings: TrainSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    run_plan(transfer_plan(random_settings, [RANDOM_BASE], "freeze", 1), tmp_path / "run", tensorboard=False)
    for module, name, value in (
        (release, "UPDATES", 2), (batches, "LEAST_MAPS", 8), (batches, "SAMPLE_SEED", 19_135), (batches, "TABLE_SIZE", 512), (shifts, "SHARES", (0.0, 1.0)),
        (shifts, "FEW", 16), (shifts, "NUMBER", 34), (dissection, "FULL_BUDGET", Budget(iterations=1, steps=2, bends=1, images=3, moves=1, samples=2)),
        (dissection, "PlaySettings", lambda: PlaySettings(episodes=2, depth=1)),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    options = LandscapeOptions(points=2, resolution=2, sample=32, full=True)
    report = write_landscape(tmp_path / "run" / "member-0.pt", RANDOM_BASE, tmp_path / "out", options=options)
    whole_page(report)
    text, found = report.read_text(), json.loads((tmp_path / "out" / "results.json").read_text())
    assert "in float64 on 16 transitions of 12 maps (1 terminal)" in text
    assert (
        "What a descent of the failed encoder's weights finds in the moved landscapes, on the samples of the certificate: own: not converged"
        in text
    )
    assert found["descents_on"] == found["sampled"]["sizes"]
    assert found["descents"][0]["loss"] == found["sampled"]["failed"]["loss"]
    decided = {claim["id"]: claim for claim in found["claims"]}
    assert decided["S9"]["figure"].startswith("unmoved: exactly the same; symmetries: the same; other moves: loss moves")
    assert decided["S9"]["verdict"] == "undecided"


def test_what_is_known_of_the_samples_is_not_measured_again(pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """`crar landscape --full` and `crar theorem` find the same."""
    monkeypatch.setattr(batches, "LEAST_MAPS", 8)
    monkeypatch.setattr(batches, "SAMPLE_SEED", 19_135)
    found, budget = load_subject(*pair), Budget(iterations=2, steps=2, bends=1, images=3, moves=1, samples=2)
    towards = {name: value + 0.01 for name, value in found.failed.items()}
    known = on_samples(found, 32, ("transition",), budget)
    alone, after = descents(found, towards, size=32, budget=budget), descents(found, towards, size=32, budget=budget, known=known)
    assert after.rows == alone.rows
    assert after.sizes == alone.sizes == known.sizes
    assert alone.rows[0].loss == known.failed.descended.loss
    assert len({row.loss for row in alone.rows}) == 3
    assert all(row.least == 0 and row.most > row.level for row in alone.rows)  # two steps let nothing be expected


@pytest.fixture(scope="module")
def subject(pair: tuple[Path, Path]) -> Subject:
    """The pair in float64, on few transitions."""
    found = load_subject(*pair)
    return found.in_type(torch.float64).on(batches.held_out_batch(True, 24).to("cpu", torch.float64))


def test_hidden_units_of_every_network_can_be_exchanged(subject: Subject) -> None:
    changed = subject.failed
    for block in DYNAMICS:
        layers = hidden_layers(subject.agent, block)
        assert len(layers) == len(select(subject.failed, (block,))) // 2 - 1
        for layer in layers:
            units = len(changed[layer.bias])
            sign = (-1.0 if layer.signs else 1.0) * torch.ones(units)
            changed = apply_symmetry(changed, layer, torch.randperm(units, generator=torch.Generator().manual_seed(units)), sign)
    before, after = subject.terms(subject.failed), subject.terms(changed)
    assert all(torch.allclose(before[name], after[name], atol=1e-12) for name in before)


@pytest.mark.parametrize("signs", [(-1, -1, -1), (1, -1, 1)])
def test_a_mixed_convolutional_agent_has_the_same_losses(subject: Subject, signs: tuple[int, ...]) -> None:
    """Signed exchanges of the channels, at every position alike."""
    matrix = torch.eye(3, dtype=torch.float64)[[1, 2, 0]] * torch.tensor(signs, dtype=torch.float64)
    other = mixed(subject.agent, subject.failed, matrix)
    before, after = subject.terms(subject.failed), subject.terms(other)
    assert all(torch.allclose(before[name], after[name], atol=1e-12) for name in before if name != "interpret")
    x, y = (subject.agent.by_position(subject.embedding(params)) for params in (subject.failed, other))
    assert torch.allclose(y, torch.einsum("ij,njp->nip", matrix, x), atol=1e-12)


def test_a_small_sample_without_a_terminal_transition_is_refused(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "UPDATES", 1)
    with pytest.raises(UserError, match="--sample is 2: none of the transitions drawn is terminal"):
        write_theorem(*pair, tmp_path, sample=2)
    with pytest.raises(UserError, match="--sample is 0"):
        write_theorem(*pair, tmp_path, sample=0)
