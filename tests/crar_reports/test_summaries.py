"""The summary of a page is made of its figures: altered figures change it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from crar_model.core.files import Plain, typed
from crar_model.core.settings import PlaySettings
from crar_model.models.evaluation import Evaluation
from crar_reports.claims.evidence import Listed, Samples, pair_of
from crar_reports.claims.table import decide
from crar_reports.pages.claims_groups import claims_summary, grouped, verdicts
from crar_reports.pages.landscape.page import landscape_summary
from crar_reports.pages.report import End, study_summary, write_study
from crar_reports.pages.theorem_view import Theorem, theorem_summary
from crar_reports.pages.trajectory import trajectory_summary
from crar_reports.press.glossary import TERMS, glossary
from crar_reports.press.markdown import Lines
from tests.crar_reports.figures_of_rules import facts
from tests.crar_reports.pages import summary_of

PUBLISHED = Path(__file__).parents[2] / "reports" / "published"


def published(name: str) -> Plain:
    content: Plain = json.loads((PUBLISHED / name / "results.json").read_text(encoding="utf-8"))
    return content


def altered(plain: Plain, where: str, value: Any) -> Plain:
    changed = copy.deepcopy(plain)
    *way, last = where.split(".")
    inner: Any = changed
    for step in way:
        inner = inner[int(step)] if isinstance(inner, list) else inner[step]
    inner[last] = value
    return changed


def changed_lines(before: Lines, after: Lines) -> dict[str, str]:
    """Lines that differ: what they are about -> their new text."""
    assert [about for about, _ in before] == [about for about, _ in after]
    return dict(line for line, old in zip(after, before, strict=True) if line != old)


def landscape(plain: Plain) -> Lines:
    return landscape_summary(pair_of(plain, complete=True), decide(plain, complete=True), variant="freeze", where="inverse maze")


@pytest.mark.parametrize(
    ("where", "value", "about", "words"),
    [
        ("failed_terms.total", 7.25, "Where it is", "total loss 7.25"),
        ("optimum_terms.total", 0.0123, "Where it is", "0.0123"),
        ("match.verdict", "neither", "Where it is", "embedding is neither"),
        ("certificate.verdict", "saddle", "What it is", "saddle, by"),
        ("certificate.loss", 0.777, "What it is", "total loss 0.777"),
        ("barriers.embedding.total.climb", 9.5, "What is in the way", "climbs 9.5"),
        ("paths.frozen.barrier", 3.25, "What is in the way", "3.25 with the dynamics frozen"),
        ("paths.free.barrier", 4.75, "What is in the way", "4.75 with them free"),
        ("quick", True, "How sure", "`--quick`"),
        ("oddness", [5.0, 1.0], "How sure", "does not hold"),
    ],
)
def test_landscape(where: str, value: Any, about: str, words: str) -> None:
    plain = published("landscape")
    assert words in changed_lines(landscape(plain), landscape(altered(plain, where, value)))[about]


def test_claims() -> None:
    one = published("landscape")  # as it is a failure; a second one, and one that does and looks as its reference
    good = altered(altered(one, "match.verdict", "matched"), "accuracy", [1.0, 1.0, 1.0])
    pairs = [one, altered(one, "oddness", [0.5, 1.0]), altered(good, "navigation", [1.0, 1.0, 1.0])]
    failed = "failed by what they do"

    def read(plain: list[Plain]) -> list[Listed | Samples]:
        return [pair_of(one, complete=True) for one in plain]

    groups = grouped(read(pairs))
    assert len(groups[failed]) == 2

    def summary(groups: dict[str, list[Listed | Samples]]) -> Lines:
        return claims_summary(groups, {name: verdicts(group) for name, group in groups.items()}, bases=16)

    before = summary(groups)
    assert f"{len(pairs)} transfers from 16 bases" in before[0][1]
    saddles = {**groups, failed: read([altered(p, "certificate.verdict", "saddle") for p in pairs[:2]])}
    found = changed_lines(before, summary(saddles))
    assert f"saddle {len(groups[failed])}" in found["Where the failed ones sit"]
    assert any(
        "S7" in part and part.strip().startswith("does not hold")
        for part in found[f"Found of the {len(groups[failed])} {failed}"].split(";")
    )
    high = {**groups, failed: read([altered(p, "paths.frozen.barrier", 6.5) for p in pairs[:2]])}
    assert "6.5 on the best path" in changed_lines(before, summary(high))["Where the failed ones sit"]
    quick = {**groups, failed: read([altered(p, "quick", True) for p in pairs[:2]])}
    assert "`--quick`" in changed_lines(before, summary(quick))["How sure"]
    alone = summary({failed: groups[failed][:1]})
    assert "1 transfer" in alone[-1][1]


def test_theorem() -> None:
    found = published("theorem")

    def summary(plain: Plain) -> Lines:
        return theorem_summary(typed(plain, Theorem, "", ""))

    before = summary(found)

    def after(where: str, value: Any) -> dict[str, str]:
        return changed_lines(before, summary(altered(found, where, value)))

    assert f"{len(found['linear']) - 1} of {len(found['linear'])}" in after("linear.0.proven", False)["Proven"]
    ways = [s["way"] for s in found["shifts"]]
    assert "up to 77.5" in after(f"shifts.{ways.index('1 of the way in a random direction')}.values", 77.5)["Measured"]
    assert "not moved, by 0.125" in after(f"shifts.{ways.index('0 of the way in a random direction')}.values", 0.125)["Measured"]
    assert "exchanged and negated: 0.875" in after(f"shifts.{ways.index('hidden units exchanged and negated')}.values", 0.875)["Exceptions"]
    assert "6.25 (in a random direction)" in after("descents.2.level", 6.25)["Measured"]


def test_trajectory() -> None:
    def summary(**changes: Any) -> Lines:
        values = {"total_true": [4.0, 2.0, 3.0], "total_projected": [4.5, 2.5, 3.0], "distance": [0.5, 0.25, 0.0]} | changes
        data = xr.Dataset({name: ("snapshot", np.array(value)) for name, value in values.items()}, coords={"snapshot": [0, 500, 1000]})
        return trajectory_summary(data.assign_attrs(explained_x=0.5, explained_y=0.25), whose="member 0 of run")

    before = summary()
    assert dict(before)["Found"] == "total loss 4 at update 0, 3 at update 1,000; the lowest is 2 at update 500."
    assert "50.0 % and 25.0 %" in dict(before)["The plane"]
    assert "lowest is 1 at update 1,000" in changed_lines(before, summary(total_true=[4.0, 2.0, 1.0]))["Found"]
    assert "update 500 lies 8 off" in changed_lines(before, summary(distance=[0.5, 8.0, 0.0]))["What it misses"]
    assert "its foot's 9.5" in changed_lines(before, summary(total_projected=[9.5, 2.5, 3.0]))["What it misses"]


def end(plain: Plain) -> End:
    """A model as `results.json` has it."""
    about = ("run", "variant", "kind", "path", "maze", "inverse", "updates", "base")
    return End(
        plain["variant"],
        plain["updates"],
        Evaluation.of({name: value for name, value in plain.items() if name not in about}),
        plain["base"],
    )


def test_study(base_run: Path, freeze_run: Path, tmp_path: Path) -> None:
    text = write_study([base_run], [freeze_run], tmp_path, note="cut short for a test").read_text()
    models = [one for one in json.loads((tmp_path / "results.json").read_text())["models"] if one["kind"] == "last"]
    old, new = ([one for one in models if (one["variant"] == "freeze") is wanted] for wanted in (False, True))

    def summary(transfers: list[Plain]) -> Lines:
        metrics = ("nearest_state_accuracy", "navigation_success")
        return study_summary(
            list(map(end, old)), list(map(end, transfers)), where="two-room maze (31 cells)", metrics=metrics, note="cut short for a test"
        )

    before = summary(new)
    page = summary_of(text)
    for (about, said), line in list(zip(before, page, strict=True))[1:]:
        assert line == f"- **{about}**: {said}"
    assert "cut short for a test" in page[-1]
    assert "2 matched of 2" in changed_lines(before, summary([altered(one, "match.verdict", "matched") for one in new]))["Outcomes"]
    assert (
        "navigation success 75 %"
        in changed_lines(before, summary([altered(one, "navigation_success", 0.75) for one in new]))["What they can do"]
    )
    assert "term 5.5" in changed_lines(before, summary([altered(one, "terms.transition", 5.5) for one in new]))["Loss"]
    assert "from 2 bases" in changed_lines(before, summary([new[0], altered(new[1], "base", "another")]))["How sure"]
    assert "40 to 900 updates" in changed_lines(before, summary([new[0], altered(new[1], "updates", 900)]))["How sure"]


def test_study_of_mazes_with_a_score(random_base: Path, random_freeze: Path, tmp_path: Path) -> None:
    page = summary_of(write_study([random_base], [random_freeze], tmp_path, how=PlaySettings(episodes=3, depth=1)).read_text())
    scores = {
        kind: [one["score"]["mean"] for one in json.loads((tmp_path / "results.json").read_text())["models"] if one["variant"] == kind]
        for kind in ("freeze",)
    }
    assert "means over 3 episodes" in page[-1]
    assert any(f"score {scores['freeze'][0]:.2f} (bases" in line for line in page)


def test_a_reference_that_had_not_converged_is_not_said_to_have(tmp_path: Path) -> None:
    plain = published("landscape")
    assert "the base's copy, converged," in dict(landscape(plain))["Where it is"]
    assert "the base's copy, descended," in dict(landscape(altered(plain, "reference.verdict", "not converged")))["Where it is"]


def test_a_transfer_that_succeeded_is_not_asked_what_it_misses() -> None:
    plain = published("landscape")
    good = altered(altered(plain, "accuracy", [1.0, 1.0, 1.0]), "navigation", [1.0, 1.0, 1.0])
    assert "misses what its base can do" in dict(landscape(plain))["Asked"]
    assert "which can do what its base can" in dict(landscape(good))["Asked"]


def test_every_word_is_explained_once() -> None:
    assert glossary("rms") == f"## Terms\n\n- **rms**: {TERMS['rms']}."
    with pytest.raises(KeyError):
        glossary("no such word")


def test_a_cure_in_the_place_of_a_base_is_said() -> None:
    plain = facts()
    lines = dict(
        landscape_summary(
            pair_of(plain, complete=True), decide(plain, complete=True), variant="imported", where="inverse maze", cured="placement"
        )
    )
    assert "`crar cure` (placement) made of this very network" in lines["Held against"]
    assert "Held against" not in dict(
        landscape_summary(pair_of(plain, complete=True), decide(plain, complete=True), variant="imported", where="inverse maze")
    )
