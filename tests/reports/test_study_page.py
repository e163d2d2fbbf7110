"""The page of a study, from tables made here: what is drawn, chosen and said follows the figures."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from crar_model.checkpoints import load_checkpoint
from crar_model.losses import SHOWN
from crar_model.studies.plan import PAGES
from crar_model.tasks import TASKS
from reports import samples, study_table
from reports.markdown import table as markdown
from reports.measure.subject import load_subject
from reports.released_scores import BASES, released_rows
from reports.rules import EXCEPTIONS, FAILS, HOLDS, UNDECIDED
from reports.statistics import at_risk, differ
from reports.studies import cost, dependence, terms, variants
from reports.studies.decisions import CHECKS, TEXTS, depends, learning_rates, relearned, small_losses
from reports.studies.rates import odd_words, released_rates
from reports.studies.rows import groups_of, label, sound, start_of
from reports.studies.terms import terms_part
from reports.studies.times import released_times, times_of, times_part
from reports.study_page import write_study_page
from tests.reports.pages import summary_of, whole_page

Row = dict[str, Any]
TRAINED = 60_000


def row(cell: str, **given: Any) -> Row:
    """A row of a table, of a base where no variant is named."""
    scored = given.get("maze", "random") == "random"
    usual: Row = {
        "cell": cell, "group": "g", "status": "done", "why": "", "variant": "base", "maze": "random", "scored": int(scored), "base": "",
        "base_start": "", "seed": 0, "learning_rate": 0.0005, "update_rule": "joint", "observation_map": "negative", "updates": TRAINED,
        "updates_taken": TRAINED, "search_updates": 0, "repeated_updates": 0, "log_interval": 1_000, "success": "", "final_score": 0.5, "success_update": "", "seconds": 10,
        "updates_per_second": 100, "last_nearest_state_accuracy": 1,
    }  # fmt: skip
    usual |= {"last_updates": TRAINED, "best_updates": 50_000}
    usual |= {f"{which}_{term}": 0.001 for which in ("last", "best") for term in SHOWN}
    usual |= {f"{which}_score_{name}": value for which in ("last", "best") for name, value in (("mean", 0.5), ("low", 0.3), ("high", 0.7))}
    return usual | given


def transfer(number: int, base: str, *, good: bool, at: int = 0, **given: Any) -> Row:
    """A transfer that came up after `at` updates, or failed."""
    own = {
        "variant": "freeze", "base": base, "base_start": "best", "seed": number, "success": int(good), "success_update": at if good else "",
        "final_score": 0.8 - number / 100 if good else -4.4 - number / 100,
    }  # fmt: skip
    return row(**{"cell": f"{base}-{given.get('variant', 'freeze')}-{number}", **own, **given})


def text_rows(rows: Sequence[Row]) -> list[dict[str, str]]:
    return [{name: str(value) for name, value in one.items()} for one in rows]


def write_rows(path: Path, rows: Sequence[Row]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    return path


def a_study(hits: Sequence[int], each: int = 4) -> list[Row]:
    """Bases, of each so many `freeze` transfers succeed; and two `unfreeze` of each, which all do."""
    rows = [row(f"b{number}", seed=number) for number in range(len(hits))]
    for number, count in enumerate(hits):
        rows += [transfer(k, f"b{number}", good=k < count, at=10_000 * (k + 1)) for k in range(each)]
        rows += [
            transfer(k, f"b{number}", good=True, at=4_000 + k, variant="unfreeze", updates_taken=20_000, updates=20_000) for k in range(2)
        ]
    return rows


def test_curves_stand_beside_the_released_ones_at_equal_updates(tmp_path: Path) -> None:
    groups = groups_of(one for one in text_rows(a_study([4, 0])) if one["variant"] != "base")
    found = times_part(groups, tmp_path / "times.png", released=True)
    assert (tmp_path / "times.png").stat().st_size > 1_000
    assert [line[:4] for line in found["times"]] == [
        ("freeze, 0.0005, joint", "60,000", "8 of 8", 4), ("freeze, 0.0005, joint, released", "60,000", "30", 2),
        ("unfreeze, 0.0005, joint", "20,000", "4 of 4", 4), ("unfreeze, 0.0005, joint, released", "20,000", "12", 9),
    ]  # fmt: skip
    assert found["equal"] == 20_000
    lines = found["time_words"]
    assert "`freeze, 0.0005, joint` against the 30 released runs up to 60,000 updates" in lines[0]
    assert lines[0].endswith("4/8 of ours and 2/30 of theirs had succeeded by then.")
    assert "`unfreeze, 0.0005, joint` against `freeze, 0.0005, joint`: the times differ beyond chance" in lines[1]
    assert "released runs up to 20,000 updates" in lines[2]
    alike = times_part(groups_of(text_rows(a_study([0, 0])[2:-4])), tmp_path / "times.png", released=False)
    assert "do not differ" not in " ".join(alike["time_words"])
    assert not alike["has_released"]
    assert len(times_of(text_rows([transfer(0, "b", good=False, updates_taken=0)]))) == 0


@pytest.mark.parametrize(("first", "risk"), [(None, 1), (10, 0)])
def test_released_times_are_of_the_scores(first: int | None, risk: int) -> None:
    runs: list[Any] = [SimpleNamespace(scores=np.zeros(100), first_above=lambda: first)]
    found = released_times(runs)
    assert at_risk(found, 20_001) == risk
    assert found.censored == ((200_000.0,) if risk else ())


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
    found, decided = terms_part(groups, bases, tmp_path, tmp_path / "terms.png", TASKS["random"])
    assert drawn == ["base g/1", "best, succeeded: g/1, seed 0", "worst, failed: g/1, seed 3"]
    assert found["terms_columns"] == drawn
    assert decided is not None
    assert (decided.verdict, decided.models) == (UNDECIDED, 0)  # no score's interval lies below 0
    for one in rows[2:]:
        one["success"] = "0"
    said = terms_part(groups, bases, tmp_path, tmp_path / "terms.png", TASKS["random"])[0]["terms_words"]
    assert said.startswith("All of 8 `freeze` transfers failed")
    (tmp_path / "cells" / rows[1]["cell"] / "losses.csv").unlink()
    said = terms_part(groups, bases, tmp_path, tmp_path / "terms.png", TASKS["random"])[0]
    assert "logs are not in the study's folder" in said["terms_words"]
    assert said["terms_figure"] == ""


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
    first = terms_part(groups_of(rows[1:]), rows[:1], tmp_path, tmp_path / "t.png", TASKS["random"])[1]
    assert first is not None
    assert (first.models, first.bases) == (1, 1)
    subject = load_subject(tmp_path / "cells" / "b-freeze-0" / "model.pt", tmp_path / "cells" / "b" / "best.pt").table
    kept = json.loads((tmp_path / "cells" / "b-freeze-0" / "verdict-losses.json").read_text())["figures"]
    assert kept["failed_terms"]["transition"] == float(subject.terms(subject.failed)["transition"])
    assert kept["floor"] == subject.floor

    def never(*_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(terms, "load_subject", never)
    assert terms_part(groups_of(rows[1:]), rows[:1], tmp_path, tmp_path / "t.png", TASKS["random"])[1] == first
    (tmp_path / "cells" / "b-freeze-0" / "model.pt").unlink()  # as in a folder that an archive filled
    assert terms_part(groups_of(rows[1:]), rows[:1], tmp_path, tmp_path / "t.png", TASKS["random"])[1] == first
    rows[1]["last_digest"] = "of another"
    lost = terms_part(groups_of(rows[1:]), rows[:1], tmp_path, tmp_path / "t.png", TASKS["random"])[1]
    assert lost is not None
    assert (lost.models, lost.figure) == (0, "the networks of the 1 failed transfers are not here to be measured")
    shutil.copy(random_freeze / "member-0.pt", tmp_path / "cells" / "b-freeze-0" / "model.pt")
    with pytest.raises(AssertionError, match="measured again"):
        terms_part(groups_of(rows[1:]), rows[:1], tmp_path, tmp_path / "t.png", TASKS["random"])


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
    decided = terms_part(groups_of(text_rows(rows)[2:]), text_rows(rows)[:2], tmp_path, tmp_path / "t.png", TASKS["random"])[1]
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


def four_bases(root: Path, hits: Sequence[int]) -> list[dict[str, str]]:
    """A table whose cells hold the shipped base."""
    rows = text_rows(a_study(hits))
    for one in rows[: len(hits)]:
        (root / "cells" / one["cell"]).mkdir(parents=True)
        shutil.copy(samples.BASE, root / "cells" / one["cell"] / "best.pt")
    return rows


def test_what_a_base_says_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependence, "RESOLUTION", 9)
    rows = four_bases(tmp_path, [4, 0])
    bases, groups = rows[:2], groups_of(rows[2:])
    found, decided = dependence.dependence_part(groups, bases, tmp_path, tmp_path / "c.png")
    assert found["predicted"] == "Predictors are not scored: 2 bases with transfers, fewer than 4."
    assert "log oddness" in found["features"]
    assert len(found["predictors"]) == 2
    assert decided is not None
    assert "fewer than 4" in decided.figure

    def never(*_: object, **__: object) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr(dependence, "foresee", never)
    assert dependence.dependence_part(groups, bases, tmp_path, tmp_path / "c.png")[0] == found
    monkeypatch.setattr(dependence, "EDITION", 0)
    with pytest.raises(AssertionError, match="asked again"):
        dependence.dependence_part(groups, bases, tmp_path, tmp_path / "c.png")
    for one in rows[2:]:
        one["observation_map"] = "mirror"
    assert "through the map mirror" in dependence.dependence_part(groups_of(rows[2:]), bases, tmp_path, tmp_path / "c.png")[0]["predicted"]


def test_predictors_are_scored_from_four_bases_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter(range(100))
    monkeypatch.setattr(dependence, "foresee", lambda *_, **__: SimpleNamespace(plain=lambda: {"features": {"number": float(next(calls))}}))
    rows = four_bases(tmp_path, [0, 0, 4, 4])
    found, decided = dependence.dependence_part(groups_of(rows[4:]), rows[:4], tmp_path, tmp_path / "calibration.png")
    assert [line[:3] for line in found["predictors"]] == [
        ("g/0", "0/4", 0.0),
        ("g/1", "0/4", 1.0),
        ("g/2", "4/4", 2.0),
        ("g/3", "4/4", 3.0),
    ]
    assert found["calibration"] == "calibration.png"
    assert "on 16 transfers from 4 bases; of fewer than 8 nothing is called a predictor" in found["predicted"]
    monkeypatch.setattr(dependence, "FEWEST", 4)
    assert found["predicted"] != dependence.dependence_part(groups_of(rows[4:]), rows[:4], tmp_path, tmp_path / "c.png")[0]["predicted"]
    assert decided is not None
    assert decided.verdict == HOLDS
    all_alike = groups_of(text_rows(a_study([4, 4, 4, 4]))[4:])
    assert "all 16 transfers succeeded" in dependence.dependence_part(all_alike, rows[:4], tmp_path, tmp_path / "c.png")[0]["predicted"]


def test_only_the_pages_that_are_asked_for_are_made(tmp_path: Path) -> None:
    table = write_rows(tmp_path / "study" / "table.csv", a_study([3, 0]))
    titles = {
        "terms": "(Figure 16)", "variants": "(Figure 17)", "rates": "(Figure 18)", "dependence": "(S14)", "times": "Updates until success",
        "cost": "### Cost",
    }  # fmt: skip
    assert set(titles) == set(PAGES)
    for page, title in titles.items():
        said = write_study_page(table, "s", tmp_path / page, pages=[page]).read_text()
        assert [other for other, words in titles.items() if words in said] == [page], title
    report = write_study_page(table, "s", tmp_path / "all", command="crar study")
    assert all(title in report.read_text() for title in titles.values())
    assert "nan" not in report.read_text()
    assert markdown(["variant", *(f"base {name}" for name in BASES)], released_rows()) in report.read_text()
    assert "| base 0002 | 3/22 |" not in report.read_text()
    lines = summary_of(report.read_text())
    assert "`freeze` 3/8 (9 to 76 %), `unfreeze` 4/4 (40 to 100 %)." in lines[1]
    assert "S11 undecided, S12 undecided, S14 undecided." in lines[2]
    assert lines[-1].endswith("the claims' verdicts are of 0 to 2 bases.")
    whole_page(report)
    claims = json.loads((tmp_path / "all" / "results.json").read_text())["claims"]
    assert [(one["maze"], one["id"]) for one in claims] == [("random", "S11"), ("random", "S12"), ("random", "S14")]
    assert json.loads((tmp_path / "cost" / "results.json").read_text())["claims"] == []


def pair(score: tuple[float, float], worst: float) -> Row:
    """A failed transfer: the interval of its score, and the transition term over the base's."""
    base = dict.fromkeys(SHOWN, 0.01)
    floor = {"consecutive": 0.0, "total": 0.0}
    bounds = {"mean": sum(score) / 2, "low": score[0], "high": score[1]}
    return {
        "failed_terms": base | {"transition": 0.01 * worst},
        "copy_terms": base,
        "floor": floor,
        "failed_score": bounds,
        "copy_score": bounds,
    }


def rates(bases: str = "b", **hits: int) -> list[tuple[str, str, float, bool]]:
    """Of every base six seeds a rate, twelve at 1e-4; how many succeed."""
    values = {"low": 1e-5, "under": 5e-5, "odd": 1e-4, "over": 5e-4, "middle": 1e-3, "high": 5e-3}
    seeds = {name: 12 if name == "odd" else 6 for name in values}
    return [
        (base, str(seed), rate, seed < hits.get(name, 0)) for base in bases for name, rate in values.items() for seed in range(seeds[name])
    ]


WORKS = {"under": 5, "over": 5, "middle": 6}
ALL, NONE = [True] * 6, [False] * 6
FAIR = {str(number): ALL if number % 4 < 2 else NONE for number in range(24)}
"""Twenty-four bases of which a half succeeds."""


@pytest.mark.parametrize(
    ("decided", "verdict"),
    [
        (small_losses([pair((-5, -4.5), 1.5)] * 5, 2), HOLDS),
        (small_losses([pair((-5, -4.5), 5)] * 5, 2), EXCEPTIONS),
        (small_losses([pair((-5, -4.5), 50)] * 5, 2), FAILS),
        (small_losses([pair((-5, -4.5), 50)] * 2 + [pair((-5, -4.5), 1)] * 2, 2), "mixed"),
        (small_losses([], 0), UNDECIDED),
        (relearned({"freeze": {"a": NONE}, "reset-encoder": {"a": ALL}}), HOLDS),
        (relearned({"freeze": {"a": NONE}, "reset-encoder": {"a": [*ALL[:3], *NONE[:3]]}}), UNDECIDED),
        (relearned({"freeze": {"a": NONE * 2}, "reset-encoder": {"a": [*ALL, *NONE]}}), EXCEPTIONS),
        (relearned({"freeze": {"a": NONE}, "reset-encoder": {"a": NONE}}), FAILS),
        (relearned({"freeze": {"a": ALL}, "reset-encoder": {"a": ALL}}), UNDECIDED),
        (relearned({"freeze": {"a": NONE}, "unfreeze": {"a": ALL}}), UNDECIDED),
        (relearned({"freeze": {"a": NONE, "b": ALL}, "reset-encoder": {"b": ALL}}), UNDECIDED),
        (relearned({"freeze": dict.fromkeys("abcdef", NONE), "reset-encoder": dict.fromkeys("abcdef", NONE)}), FAILS),
        (learning_rates(rates(**WORKS, odd=3)), HOLDS),
        (learning_rates(rates(**WORKS, odd=10)), EXCEPTIONS),
        (learning_rates(rates(odd=3)), FAILS),
        (learning_rates(rates(**WORKS, low=6, high=6)), FAILS),
        (learning_rates(rates(under=3, over=3, middle=3, low=2, high=2)), UNDECIDED),
        (learning_rates(rates(**WORKS)[:6]), UNDECIDED),
        (learning_rates(rates("abcdefgh", **WORKS, odd=3)), HOLDS),
        (learning_rates(rates(**WORKS, odd=7)), UNDECIDED),  # lower than its neighbours, not beyond chance
        (learning_rates(rates("abcd", odd=3)), FAILS),
        (learning_rates(rates("abcdef", odd=3)), FAILS),
        (depends({"a": ALL, "b": NONE}), HOLDS),
        (depends(dict.fromkeys("abcdefgh", [True, False] * 3)), FAILS),
        (depends(dict.fromkeys("abc", [True, False] * 3)), UNDECIDED),
        (depends(dict.fromkeys("abcdefgh", ALL)), UNDECIDED),
        (depends({"a": ALL}), UNDECIDED),
        (depends(dict.fromkeys("abcdefg", NONE) | {"h": [True, *NONE[1:]]}), UNDECIDED),  # no order of so few successes is beyond chance
        (relearned({"freeze": FAIR, "reset-encoder": dict.fromkeys(FAIR, ALL[:3] + NONE[:4])}), FAILS),
        (relearned({"freeze": FAIR, "reset-encoder": {**dict(zip(FAIR, [ALL, NONE] * 12, strict=True)), "1": ALL}}), UNDECIDED),  # 13 of 24 bases
        (learning_rates([*rates("a", **WORKS, odd=3)[6:-6], *rates("b")[:6], *rates("b")[-6:]]), UNDECIDED),  # rates of other bases
        (learning_rates([run for run in rates(**WORKS, odd=12) if run[2] != 1e-4 or run[1] == "0"]), UNDECIDED),  # one at 1e-4
    ],
)  # fmt: skip
def test_every_verdict_can_come_out(decided: Any, verdict: str) -> None:
    assert decided.verdict == verdict, decided.figure


def test_the_figures_are_in_the_words() -> None:
    one = relearned({"freeze": {"a": NONE}, "reset-encoder": {"a": ALL}, "unfreeze": {"a": ALL}})
    assert "reset-encoder` gets 6/6 (54 to 100 %) through, `freeze` 0/6" in one.figure
    assert one.figure.endswith("; `unfreeze` 6/6")
    assert (one.models, one.bases) == (18, 1)
    both = relearned({"freeze": {"a": NONE, "b": NONE}, "reset-encoder": {"a": ALL, "b": NONE}})
    assert both.figure.startswith("from the 2 bases that")
    assert "says nothing of other bases, `reset-encoder` gets 6/12" in both.figure
    many = relearned({"freeze": dict.fromkeys("abcdef", NONE), "reset-encoder": dict.fromkeys("abcde", ALL) | {"f": NONE}})
    assert "each by most of its transfers, `reset-encoder` gets 5/6" in many.figure  # the unit is the base
    apart = learning_rates([*rates("a", **WORKS)[:-6], *rates("b", **WORKS), *rates("c", **WORKS)[6:]])
    assert apart.figure.startswith("from the 1 base of this study")
    assert (apart.models, apart.bases) == (42, 1)
    assert "none of 2 bases has transfers at all of" in learning_rates([*rates("a")[:-6], *rates("b")[6:]]).figure
    assert "no transfers at 0.005" in learning_rates(rates(**WORKS)[:-6]).figure
    assert "which says nothing of other bases, at 5e-05, 0.0005 and 0.001 32/36" in learning_rates(rates("ab", **WORKS)).figure
    assert "each by most of its transfers, at 5e-05, 0.0005 and 0.001 6/6" in learning_rates(rates("abcdef", **WORKS)).figure
    lost = small_losses([], 0, 2)
    assert (lost.verdict, lost.figure) == (UNDECIDED, "the networks of the 2 failed transfers are not here to be measured")
    assert "from 0 to 100 % over 2 bases" in depends({"a": ALL, "b": NONE}).figure
    assert depends({"a": ALL, "b": NONE}, "nothing predicts").figure.endswith("; nothing predicts")
    assert set(TEXTS) == set(CHECKS) == {"S11", "S12", "S13", "S14"}


def test_the_odd_rate_is_judged_by_its_figures() -> None:
    assert " is unlike its neighbours beyond chance: 0/12 against 12/12" in odd_words(rates(under=6, over=6))
    assert "not unlike" in odd_words(rates(under=5, over=6, odd=11))
    assert "nothing is said" in odd_words([one for one in rates() if one[2] > 9e-5])
    assert "3/12 against 10/12" in odd_words(released_rates())
    many = odd_words(rates("abcdef", under=6, over=6))
    assert " is unlike its neighbours beyond chance: 0/6 against 6/6" in many
    assert "the unit is the base" in many


def test_the_table_by_base_is_narrow_and_tells_what_is_open() -> None:
    bases = text_rows([row(name, seed=seed) for seed, name in enumerate(("a", "b", "c"))])
    own = [
        transfer(0, "a", good=True),
        transfer(1, "a", good=False),
        transfer(0, "b", good=True),
        transfer(1, "b", good=True, status="open"),
    ]
    ((key, group),) = groups_of(text_rows([*own, transfer(0, "c", good=True, status="open")])).items()
    assert variants._by_base("f", key, group, bases) == ["f", "60,000", "1/2", "1/1?", "?"]
    left = [{**one, "status": "failed" if one["status"] == "open" else "done"} for one in group]
    assert variants._by_base("f", key, left, bases)[2:] == ["1/2", "1/1!", "!"]
    assert variants._by_base("f", key, group[:2], bases)[2:] == ["1/2", "", ""]
    assert variants._short(["g/0", "g/11"]) == ["0", "11"]
    assert variants._short(["g/0", "h/0"]) == ["g/0", "h/0"]


def test_the_cost_has_a_line_for_all_together() -> None:
    rows = text_rows([row("b", seconds=3_600), transfer(0, "b", good=True, seconds=1_800), transfer(1, "b", good=True, status="open")])
    lines = [[str(cell) for cell in line] for line in cost._cost(rows)]
    assert lines == [
        ["base", "joint", "1 of 1", "60,000", "1.000", "100"],
        ["freeze", "joint", "1 of 2", "60,000", "0.500", "100"],
        ["all", "", "2 of 3", "120,000", "1.500", "22"],
    ]


def test_copies_of_one_network_are_named() -> None:
    own = [transfer(0, base, good=True, variant="scratch", last_digest="one") for base in ("a", "b")]
    other = [transfer(k, "a", good=True, last_digest=f"own {k}") for k in range(2)]
    assert [line.split(": ")[1] for line in variants._copies(groups_of(text_rows([*own, *other])))] == [
        "2 models are 1 networks, so its intervals and p are far too narrow."
    ]


def test_groups_without_a_difference_share_a_line() -> None:
    rows = [
        *a_study([0, 4, 0, 4], 4),
        *(transfer(k, f"b{number}", good=False, variant="omit-ball") for number in range(2) for k in range(3)),
        transfer(0, "b0", good=True, variant="scratch"),
    ]
    lines = dependence.depends_words(groups_of(one for one in text_rows(rows) if one["variant"] != "base"))
    assert [line.split(":")[0] for line in lines] == [
        "`freeze, 0.0005, joint`",
        "All transfers of a group ended alike, so there is nothing to tell apart",
    ]
    assert "depends on the base" in lines[0]
    assert "4 bases, 16 transfers" in lines[0]
    assert lines[1].endswith("`unfreeze, 0.0005, joint` (8/8 of 4 bases), `omit-ball, 0.0005, joint` (0/6 of 2 bases).")


def test_bases_with_one_transfer_break_no_test(tmp_path: Path) -> None:
    """One outcome of a base says nothing of the base, alone or beside others."""
    single = [transfer(0, f"b{number}", good=number > 0, variant="negate-input", updates_taken=0, updates=0) for number in range(4)]
    rows = [*a_study([0, 0, 0, 4]), *single]
    rows = [one for one in rows if one["cell"] not in ("b3-freeze-1", "b3-freeze-2", "b3-freeze-3")]  # of b3 one is done
    report = write_study_page(write_rows(tmp_path / "table.csv", rows), "s", tmp_path / "page").read_text()
    assert "cannot be told apart: `negate-input, 0.0005, joint` (3/4)." in report
    assert "from 0 to 100 % over 4 bases" in report


def test_many_tests_are_corrected_for_their_number() -> None:
    rows = [
        transfer(k, f"b{number}", good=k < count, variant=variant)
        for variant, counts in (("freeze", (0, 1, 3, 4)), ("unfreeze", (2, 2, 1, 2)))
        for number, count in enumerate(counts)
        for k in range(4)
    ]
    one, two = (dependence.depends_words(groups_of(text_rows(some))) for some in (rows[:16], rows))
    assert "Holm" not in one[0]
    asked = groups_of(text_rows(rows))
    assert dependence.depends_words(asked, next(iter(asked)))[0] == one[0]  # the test of claim S14 is not one of many
    first = differ([[k < count for k in range(4)] for count in (0, 1, 3, 4)])
    assert two[0].endswith(f"(p = {first:.2g}, {2 * first:.2g} by Holm's correction for 2 tests; 4 bases, 16 transfers).")
    assert ("depends on the base" in one[0], "depends on the base" in two[0]) == (first < 0.05, 2 * first < 0.05) == (True, False)


def test_claims_are_of_bases_that_can_do_the_task(tmp_path: Path) -> None:
    rows = a_study([0, 0, 4, 4])
    rows[2]["best_score_low"] = -0.1  # what its transfers start from
    rows[2]["last_score_low"] = 0.4
    report = write_study_page(write_rows(tmp_path / "table.csv", rows), "s", tmp_path / "page").read_text()
    assert "The claims are not asked of g/2: what its transfers start from" in report
    found = {one["id"]: one for one in json.loads((tmp_path / "page" / "results.json").read_text())["claims"]}
    assert (found["S14"]["bases"], found["S14"]["models"]) == (3, 12)
    assert found["S14"]["updates"] == {"freeze": TRAINED}
    assert "share of successes goes from 0 to 100 % over 3 bases" in found["S14"]["figure"]
    assert "`freeze, 0.0005, joint`: success depends on the base" in report
    assert "3 bases, 12 transfers" in report
    assert "0.50 (-0.10 to 0.70) at 50,000" in report
    rows[2]["best_score_low"] = 0.1
    report = write_study_page(write_rows(tmp_path / "table.csv", rows), "s", tmp_path / "other").read_text()
    assert "are not asked of" not in report


def test_rates_that_are_not_done_stay_in_the_table(tmp_path: Path) -> None:
    seen = {1e-5: "done", 5e-5: "done", 1e-4: "done", 5e-4: "open", 1e-3: "failed"}
    rows = [row("b0"), *(transfer(k, "b0", good=True, learning_rate=rate, status=word) for rate, word in seen.items() for k in range(3))]
    for number, one in enumerate(rows[1:]):
        one["cell"] = f"t{number}"
    report = write_study_page(write_rows(tmp_path / "table.csv", rows), "s", tmp_path / "page", pages=["rates", "variants"]).read_text()
    assert "| 0.0001 | 3 of 3 | 3/3 (29 to 100 %) |" in report
    assert "| 0.0005 | 0 of 3 | - |" in report
    assert "0.0001 and both its neighbours, 5e-05 and 0.0005, are not done here" in report
    assert "| freeze, 0.0005, joint | 60,000 | ? |" in report
    assert "| freeze, 0.001, joint | 60,000 | ! |" in report
    assert "until our 60,000 updates" in report
    assert "no transfers at" in report


def test_groups_that_differ_by_their_updates_are_told_apart() -> None:
    groups = groups_of(
        text_rows(
            [transfer(0, "b0", good=True), transfer(1, "b0", good=True, updates=40_000), transfer(2, "b0", good=True, learning_rate=1e-3)]
        )
    )
    assert [label(key, groups) for key in groups] == [
        "freeze, 0.0005, joint, 60,000 updates", "freeze, 0.0005, joint, 40,000 updates", "freeze, 0.001, joint",
    ]  # fmt: skip
    assert label(next(iter(groups))) == "freeze, 0.0005, joint"


def test_a_search_before_counts() -> None:
    rows = [transfer(0, "b", good=True, at=4_000, search_updates=5_200), transfer(1, "b", good=False, search_updates=5_200)]
    assert (times_of(text_rows(rows)).reached, times_of(text_rows(rows)).censored) == ((9_200.0,), (65_200.0,))
    ((key, group),) = groups_of(text_rows(rows)).items()
    assert variants._trained(key, group) == "60,000 after 5,200 of a search"


def test_what_diverged_is_left_out_with_a_word() -> None:
    rows = text_rows([transfer(0, "b", good=True), transfer(1, "b", good=False, final_score="")])
    groups = groups_of(rows)
    ((key, group),) = groups.items()
    assert variants._variant_row(key, group, groups)[-2] == "0.8, 1 diverged left out"
    assert variants._variant_row(key, group[1:], groups)[-2] == "all diverged"


def test_the_cost_of_appendix_e_has_ours_of_the_same_experiments() -> None:
    rows = text_rows([*a_study([2, 2]), transfer(9, "b0", good=False, variant="first-layer", search_updates=5_200)])
    found = cost._appendix_e(rows, TASKS["random"])
    assert [line[3:5] for line in found] == [("8 of 8", f"{8 * TRAINED:,}"), ("-", "-"), ("5 of 5", f"{4 * 20_000 + TRAINED + 5_200:,}")]


def test_the_other_claims_are_of_bases_that_can_do_the_task_too(tmp_path: Path) -> None:
    rows = a_study([0, 0], 3)[:8]
    rows += [transfer(k, base, good=base == "b0", variant="reset-encoder") for base in ("b0", "b1") for k in range(6)]
    seen = {1e-5: 0, 5e-5: 3, 1e-4: 0, 5e-4: 3, 1e-3: 3, 5e-3: 0}
    rows += [
        transfer(k, base, good=k < count, learning_rate=rate, updates=40_000, group="rates", cell=f"{base}-{rate}-{k}")
        for base in ("b0", "b1")
        for rate, count in seen.items()
        for k in range(3)
    ]
    rows[1]["best_score_low"] = -0.1
    write_study_page(write_rows(tmp_path / "table.csv", rows), "s", tmp_path / "page")
    found = {one["id"]: one for one in json.loads((tmp_path / "page" / "results.json").read_text())["claims"]}
    assert "from the 1 base" in found["S12"]["figure"]
    assert "`reset-encoder` gets 6/6" in found["S12"]["figure"]
    assert found["S12"]["updates"] == {"freeze": TRAINED, "unfreeze": 20_000, "reset-encoder": TRAINED}
    assert (found["S13"]["bases"], found["S13"]["models"], found["S13"]["updates"]) == (1, 18, {"freeze": 40_000})
    report = (tmp_path / "page" / "report.md").read_text()
    cut, whole = report.split("until our 40,000 updates")[1], report.split("to their ends")[1]
    assert "| 0.001 | 6 of 6 | 6/6" in whole
    assert "| 0.001 | 6 of 6 | 6/6" not in cut[: cut.index("to their ends")]


def test_the_network_that_transfers_start_from() -> None:
    base = text_rows([row("b", best_score_low=-0.1)])[0]
    start = {"last": text_rows([transfer(0, "b", good=True, base_start="last")]), "best": []}
    assert {word: start_of(base, rows) for word, rows in start.items()} == {"last": "last", "best": "best"}
    assert start_of({**base, "best_total": ""}, []) == "last"
    assert sound([base], start["last"]) == {"b"}
    assert sound([base], []) == set()
    assert sound([{**base, "scored": "0"}], []) == {"b"}


def test_a_delay_of_another_length_has_no_released_twin(tmp_path: Path) -> None:
    rows = [
        transfer(0, "b", good=True, variant="delay-structure", structure_delay=delay, updates=60_000 + delay) for delay in (9_000, 30_000)
    ]
    found = times_part(groups_of(text_rows(rows)), tmp_path / "times.png", released=True)["times"]
    assert [line[0] for line in found] == [
        "delay-structure, 0.0005, joint, 69,000 updates", "delay-structure, 0.0005, joint, 90,000 updates",
        "delay-structure, 0.0005, joint, 90,000 updates, released",
    ]  # fmt: skip


def test_variants_are_held_against_freeze_of_as_many_updates() -> None:
    rows = [transfer(k, f"b{k}", good=good, updates=length) for length, good in ((60_000, False), (20_000, True)) for k in range(8)]
    rows += [transfer(k, f"b{k}", good=True, variant="unfreeze", updates=20_000) for k in range(8)]
    groups = groups_of(text_rows(rows))
    key = next(key for key in groups if key[0] == "unfreeze")
    assert variants._variant_row(key, groups[key], groups)[-1] == 1


def test_validations_of_a_run_come_to_a_score(tmp_path: Path) -> None:
    def scores(*values: float) -> Row:
        path = write_rows(tmp_path / "losses.csv", [{"update": 2_000 * number, "score": value} for number, value in enumerate(values)])
        return study_table._scores(path)

    assert scores(-5.0) == {}  # before the first update
    assert scores(-5.0, *[-4.0] * 3, *[1.0] * 5) == {"final_score": 1.0, "success_update": 16_000}
    assert scores(-5.0, *[-4.0] * 20, *[0.5] * 10)["final_score"] == 0.5
