"""Figure 16 and claim S11."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from crar_model.agent.loss import SHOWN
from crar_model.models.checkpoints import load_checkpoint
from crar_model.tasks import TASKS
from crar_model.training.variants import VARIANTS
from crar_reports.claims.record import HOLDS, UNDECIDED
from crar_reports.measure.subject import load_subject
from crar_reports.pages.study import terms
from crar_reports.pages.study.rows import groups_of
from crar_reports.pages.study.terms import terms_part
from crar_reports.press.publish import Content, write
from tests.crar_reports.study_rows import TRAINED, Row, a_study, pair, row, text_rows, transfer, write_rows


@pytest.mark.usefixtures("as_published")
def test_figure_16_shows_the_best_the_worst_and_its_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = text_rows(a_study([3, 1]))
    next(one for one in rows if one["cell"] == "b1-freeze-3")["final_score"] = "-4.9"
    for one in rows:
        log = tmp_path / "cells" / one["cell"] / "losses.csv"
        write_rows(log, [{"update": update, **dict.fromkeys(SHOWN, 0.01), "interpret": 0, "score": -4 + update} for update in range(6)])
    bases, groups = rows[:2], groups_of(rows[2:])
    drawn: list[str] = []
    whole = terms.outcomes_figure
    monkeypatch.setattr(terms, "outcomes_figure", lambda panels, what: (drawn.extend(title for title, _ in panels), whole(panels, what))[1])
    files: dict[str, Content] = {}
    found, decided = terms_part(groups, bases, tmp_path, "terms.png", files, TASKS["random"])
    write(tmp_path / "terms.png", files["terms.png"])
    assert 1_000 < (tmp_path / "terms.png").stat().st_size < 200_000
    assert drawn == ["base g/1", "best, succeeded: g/1, seed 0", "worst, failed: g/1, seed 3"]
    assert found is not None
    assert found.columns == drawn
    assert decided is not None
    assert (decided.verdict, decided.models) == (UNDECIDED, 0)  # no score's interval lies below 0
    for one in rows[2:]:
        one["success"] = "0"
    again = terms_part(groups, bases, tmp_path, "terms.png", {}, TASKS["random"])[0]
    assert again is not None
    said = again.words
    assert said.startswith("All of 8 `freeze` transfers failed")
    (tmp_path / "cells" / rows[1]["cell"] / "losses.csv").unlink()
    without = terms_part(groups, bases, tmp_path, "terms.png", {}, TASKS["random"])[0]
    assert without is not None
    assert "logs are not in the study's folder" in without.words
    assert without.figure == ""


def test_s11_is_of_failed_transfers_on_the_set_of_verdicts(
    random_base: Path, random_freeze: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = TASKS["random"].sample(inverse=True, dtype=torch.float32, size=2_048, number=1)
    monkeypatch.setattr(type(TASKS["random"]), "table", lambda *_, **__: small)
    low = {f"last_score_{name}": value for name, value in (("mean", -4.8), ("low", -4.9), ("high", -4.7))}
    near = low | {"last_score_high": 0.4}  # not surely below its base, whose interval begins at 0.3
    digests = [load_checkpoint(path / "member-0.pt").digest for path in (random_base, random_freeze)]
    failed = transfer(0, "b", good=False, **low, last_digest=digests[1])
    rows = text_rows([row("b", best_digest=digests[0]), failed, transfer(1, "b", good=False, **near)])
    for cell, file, model in (("b", "best.pt", random_base / "member-0.pt"), ("b-freeze-0", "model.pt", random_freeze / "member-0.pt")):
        (tmp_path / "cells" / cell).mkdir(parents=True)
        shutil.copy(model, tmp_path / "cells" / cell / file)
    first = terms_part(groups_of(rows[1:]), rows[:1], tmp_path, "t.png", {}, TASKS["random"])[1]
    assert first is not None
    assert (first.models, first.bases) == (1, 1)
    subject = load_subject(tmp_path / "cells" / "b-freeze-0" / "model.pt", tmp_path / "cells" / "b" / "best.pt").table
    kept = json.loads((tmp_path / "cells" / "b-freeze-0" / "verdict-losses.json").read_text())["figures"]
    assert kept["failed_terms"]["transition"] == float(subject.terms(subject.failed)["transition"])
    assert kept["floor"] == subject.floor

    def never(*_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(terms, "load_subject", never)
    assert terms_part(groups_of(rows[1:]), rows[:1], tmp_path, "t.png", {}, TASKS["random"])[1] == first
    (tmp_path / "cells" / "b-freeze-0" / "model.pt").unlink()  # as in a folder that an archive filled
    assert terms_part(groups_of(rows[1:]), rows[:1], tmp_path, "t.png", {}, TASKS["random"])[1] == first
    rows[1]["last_digest"] = "of another"
    lost = terms_part(groups_of(rows[1:]), rows[:1], tmp_path, "t.png", {}, TASKS["random"])[1]
    assert lost is not None
    assert (lost.models, lost.figure) == (0, "the networks of the 1 failed transfers are not here to be measured")
    shutil.copy(random_freeze / "member-0.pt", tmp_path / "cells" / "b-freeze-0" / "model.pt")
    with pytest.raises(AssertionError, match="measured again"):
        terms_part(groups_of(rows[1:]), rows[:1], tmp_path, "t.png", {}, TASKS["random"])


def test_other_failed_transfers_are_measured_and_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While their networks are here: an archive keeps the figures alone, and another day theirs may be the group of most models."""
    seen: list[str] = []

    def losses(model: Path, *_: object) -> Row:
        seen.append(model.parent.name)
        return pair((-5, -4.5), 1.5) if model.parent.name.startswith("b0") else pair((-5, -4.5), 50)

    monkeypatch.setattr(terms, "_losses", losses)
    low = {f"last_score_{name}": value for name, value in (("mean", -4.8), ("low", -4.9), ("high", -4.7))}
    rows = [row("b0", best_digest="d"), row("b1", best_digest="d")]
    rows += [transfer(k, "b0", good=False, last_digest="e", **low) for k in range(3)]
    rows += [transfer(k, "b1", good=False, last_digest="e", learning_rate=1e-5, **low) for k in range(2)]
    decided = terms_part(groups_of(text_rows(rows)[2:]), text_rows(rows)[:2], tmp_path, "t.png", {}, TASKS["random"])[1]
    assert decided is not None
    assert (len(seen), decided.models, decided.verdict, decided.updates) == (5, 3, HOLDS, {"freeze": TRAINED})


def test_equal_merits_are_told_apart_by_the_loss() -> None:
    rows = text_rows([transfer(k, "b", good=False, maze="simple", last_total=total) for k, total in enumerate((0.3, 0.1, 0.2))])
    shown, said = terms._chosen(rows, text_rows([row("b", maze="simple")]), scored=False)
    assert [one["seed"] for _, one in shown] == ["0", "1", "0"]
    assert "nearest state accuracy" in said
    rows[0]["success"], rows[0]["last_nearest_state_accuracy"] = "1", "0.5"  # as good as its base, which is worse than the others
    shown, said = terms._chosen(rows, text_rows([row("b", maze="simple")]), scored=False)
    assert [title for title, _ in shown[1:]] == ["best, succeeded: g/0, seed 0", "worst, failed: g/0, seed 2"]
    assert "1 succeeded" in said


def test_figure_16_prefers_a_base_that_has_both() -> None:
    low = {"last_score_high": -2.0}
    rows = [transfer(k, "b0", good=False, final_score=-5, **low) for k in range(2)]
    rows += [
        transfer(0, "b1", good=True, final_score=0.2),
        transfer(1, "b1", good=False, final_score=-3, **low),
        transfer(0, "b2", good=True, final_score=0.9),
    ]
    named = text_rows([row(f"b{k}", seed=k) for k in range(3)])
    shown, said = terms._chosen(text_rows(rows), named, scored=True)
    assert [title for title, _ in shown] == ["base g/1", "best, succeeded: g/1, seed 0", "worst, failed: g/1, seed 1"]
    assert "Of 5 `freeze` transfers 2 succeeded; of 1 of their bases some do and some do not" in said
    rows[3]["last_score_high"] = 0.3  # that it failed is not sure
    shown, said = terms._chosen(text_rows(rows), named, scored=True)
    assert [title for title, _ in shown] == ["base g/0", "best, succeeded: g/2, seed 0", "worst, failed: g/0, seed 0"]
    assert "of different bases" in said


def test_a_ratio_to_a_rounding_error_is_not_shown() -> None:
    base, failed = text_rows([row("b", best_ball=1e-9, best_reward=1e-4), transfer(0, "b", good=False, last_ball=1e-5, last_reward=5e-4)])
    networks = [(base, "best"), (failed, "last")]
    assert [terms._terms_row(term, networks)[-1] for term in ("ball", "reward", "value")] == ["-", "x5", ""]


def test_the_sets_are_called_what_they_are() -> None:
    for task in TASKS.values():
        if task.known_by_data:  # it has no set before data are named
            continue
        size = len(task.table(inverse=False, dtype=torch.float32).state)
        assert f"{size:,}" in (task.sampling.table or task.sampling.what).split()


def test_the_successes_beside_s11_are_those_through_the_base_s_dynamics() -> None:
    kinds = ("freeze", "first-layer", "reset-encoder", "unfreeze", "scratch")
    rows = [transfer(0, "b", good=True, variant=kind) for kind in kinds]
    rows.append(transfer(0, "b", good=True, variant="negate-input", updates=0))
    rows.append(transfer(1, "b", good=True, variant="omit-ball", last_score_low=-0.1))  # not surely above 0
    assert [one["variant"] for one in terms._scoring(groups_of(text_rows(rows)))] == ["freeze", "first-layer", "reset-encoder"]
    rows.append(transfer(0, "b", good=True, updates=40_000, cell="the beginning of the first"))
    assert len(terms._scoring(groups_of(text_rows(rows)))) == 3
    kept = {name for name, one in VARIANTS.items() if one.keeps_dynamics}
    assert set(VARIANTS) - kept == {"unfreeze", "scratch"}
    assert {name for name, one in VARIANTS.items() if not one.from_base} == {"scratch"}
