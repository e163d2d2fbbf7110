"""What is published is read as records, and written again it says the same: old results stay readable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crar_model.core.errors import UserError
from crar_model.core.files import as_read, parse_json, read_json, typed
from crar_model.models.evaluation import Evaluation
from crar_reports.measure.forecast import Scores
from crar_reports.pages.claims import Judged
from crar_reports.pages.cure.records import Table
from crar_reports.pages.escape.records import Escape, Escapes
from crar_reports.pages.maps_view import Maps
from crar_reports.pages.theorem_view import Theorem
from crar_reports.pages.verdict_entries import Predicted, Studied
from crar_reports.pages.worlds_view import Worlds

PUBLISHED = Path(__file__).parents[2] / "reports" / "published"
WHOLE = [("theorem", Theorem), ("maps", Maps), ("escape", Escapes), ("recipe_escape", Escapes)]
WHOLE += [("worlds", Worlds)]
WHOLE += [(str(path.parent.relative_to(PUBLISHED)), Escape) for path in sorted(PUBLISHED.glob("*escape/*/results.json"))]
PART = [
    ("claims", Judged),
    ("random_claims", Judged),
    ("recipe_claims", Judged),
    ("simple_study", Studied),
    ("random_study", Studied),
    ("predict", Predicted),
    ("cures", Table),
    ("recipe_cures", Table),
]


def lost(before: Any, after: Any, where: str = "") -> list[str]:
    """Where a file that was read and written again says something else; what it did not say before may be said."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            word
            for key, value in before.items()
            for word in (lost(value, after[key], f"{where}.{key}") if key in after else [f"{where}.{key}"])
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [word for number, pair in enumerate(zip(before, after, strict=True)) for word in lost(*pair, f"{where}[{number}]")]
    return [] if before == after else [where]


@pytest.mark.parametrize(("name", "kind"), WHOLE, ids=[name for name, _ in WHOLE])
def test_nothing_is_lost(name: str, kind: type) -> None:
    path = PUBLISHED / name / "results.json"
    assert len(WHOLE) >= 18
    assert lost(parse_json(path.read_text()), as_read(read_json(path, kind, ""))) == []


@pytest.mark.parametrize(("name", "kind"), PART, ids=[name for name, _ in PART])
def test_what_other_pages_take_is_read(name: str, kind: type) -> None:
    assert isinstance(read_json(PUBLISHED / name / "results.json", kind, ""), kind)


def test_scores_of_predictors_are_read_again() -> None:
    """As `benchmarks.redraw` does; what is said of the bases has grown since."""
    plain = parse_json((PUBLISHED / "predict" / "results.json").read_text())["scores"]
    assert lost(plain, as_read(typed(plain, Scores, "", ""))) == []


@pytest.mark.parametrize("name", ["cures", "fresh_cures", "recipe_cures"])
def test_evaluations_are_read_again(name: str) -> None:
    """Figures of merit by whatever name, the match with its lengths beside it: what an evaluation wrote it reads, and writes the same."""
    rows = parse_json((PUBLISHED / name / "results.json").read_text())["rows"]
    for side in (row[side] for row in rows for side in ("before", "after")):
        assert as_read(Evaluation.of(side).merits()) == side
    with pytest.raises(UserError, match=r"a\.json: Object missing required field `verdict`; make it again"):
        Evaluation.of({"match": {"axes": []}}, "a.json")


@pytest.mark.parametrize(("name", "kind"), WHOLE[:5], ids=[name for name, _ in WHOLE[:5]])
def test_what_is_another_command_s_is_refused(name: str, kind: type, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"command": "crar evaluate", "models": []}))
    with pytest.raises(
        UserError, match=r"results\.json: damaged, or of another version: Object missing required field `\w+`; make it again"
    ):
        read_json(path, kind, "make it again")
