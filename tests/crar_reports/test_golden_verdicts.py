"""Every verdict that can be decided from what is published comes out as it was published: the rules may move house, not change their minds."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import shlex
import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crar_model.training.variants import BASE
from crar_reports.claims.study import depends
from crar_reports.claims.table import decide, decide_alone, decided
from crar_reports.pages.study.rates import decide_rates
from crar_reports.pages.study.released import if_long_enough
from crar_reports.pages.study.rows import USUAL, groups_of, main_group, outcomes, sound
from crar_reports.pages.study.terms import _decided
from crar_reports.pages.study.variants import decide_relearned
from crar_reports.pages.verdicts import write_verdicts
from crar_reports.sections import sections_of

PUBLISHED = Path(__file__).parents[2] / "reports" / "published"
Plain = dict[str, Any]


def published(name: str) -> Plain:
    content: Plain = json.loads((PUBLISHED / name / "results.json").read_text(encoding="utf-8"))
    return content


def lone(pair: Plain) -> Plain:
    """What is known of a failed model without its base, from what was measured with it."""
    names = ("quick", "oddness", "errors", "certificate", "adapted", "released", "shifts")
    own = {"terms": pair["failed_terms"], "stationary_terms": pair["certificate"]["terms"], "floor": pair["floor"]["total"]}
    return own | {name: pair[name] for name in names}


@pytest.mark.parametrize("name", ["claims", "random_claims"])
def test_claims_over_many_transfers(name: str) -> None:
    """Figures in words too: they are of the rules of now, for the page was decided again by them."""
    pairs = published(name)["pairs"]
    for pair in pairs:
        again = [{"id": one.id, "figure": one.figure, "verdict": one.verdict} for one in decide(pair, complete=name == "claims")]
        assert again == pair["claims"], pair["transfer"]
    assert len(pairs) == {"claims": 48, "random_claims": 2}[name]


@pytest.mark.parametrize("name", ["landscape", "original_failure/landscape", "random_landscape"])
def test_claims_on_one_pair(name: str) -> None:
    content = published(name)
    again = [(one.id, one.verdict) for one in decide(content, complete="sampled" not in content)]
    assert again == [(one["id"], one["verdict"]) for one in content["claims"]]


def test_the_theorem_on_one_pair() -> None:
    content = published("theorem")
    figures = {"failed_terms": {"total": content["total"]}, "shifts": content["shifts"], "descents": content["descents"]}
    assert decided("S9", figures, complete=True).verdict == content["verdict"]


ALONE = {
    "S1": {"holds": 47, "does not hold": 3}, "S4": {"holds with exceptions": 30, "does not hold": 16, "holds": 4}, "S7": {"holds": 50},
    "S8": {"holds": 50}, "S9": {"holds with exceptions": 50}, "S10": {"holds": 50},
}  # fmt: skip
"""How often each verdict came out by the rules of a model without its base when this was written; nothing of such a model is published."""


def test_claims_without_a_base() -> None:
    found: dict[str, Counter[str]] = {}
    for pair in [*published("claims")["pairs"], published("landscape"), published("original_failure/landscape")]:
        verdicts = {one.id: one.verdict for one in decide_alone(lone(pair))}
        for name, verdict in verdicts.items():
            found.setdefault(name, Counter())[verdict] += 1
        assert verdicts["S1"] == next(one["verdict"] for one in pair["claims"] if one["id"] == "S1")
    assert found == ALONE


@pytest.mark.parametrize("name", ["simple_study", "random_study"])
def test_claims_on_a_study(name: str, tmp_path: Path) -> None:
    """S11 from the losses that the archive keeps, the others from the table."""
    folder = PUBLISHED / name
    (section,) = sections_of(list(csv.DictReader(io.StringIO(gzip.decompress((folder / "table.csv.gz").read_bytes()).decode()))))
    bases, transfers = ([row for row in section.rows if (row["variant"] == BASE.name) is wanted] for wanted in (True, False))
    able = sound(bases, transfers)
    asked = [row for row in transfers if row["base"] in able]
    groups = groups_of(asked)
    main = main_group(groups, USUAL)
    assert main is not None
    found = [decide_relearned(groups), decide_rates(asked), replace(depends(outcomes(groups[main])), updates={USUAL: int(main.updates)})]
    if section.task.scored:
        with tarfile.open(folder / "study.tar.xz") as archive:
            losses = [member for member in archive.getmembers() if member.name.endswith("verdict-losses.json")]
            archive.extractall(tmp_path, losses, filter="data")
        found.append(_decided(groups, main, bases, tmp_path))
    again = {one.id: if_long_enough(one, section.task) for one in found if one is not None}
    for one in published(name)["claims"]:
        mine = again.pop(one["id"])
        for key in ("verdict", "models", "bases", "scope", "updates"):
            assert getattr(mine, key) == one[key], (one["id"], key)
        said, here = one["figure"].split("; "), mine.figure.split("; ")
        assert [words for words in said if words in here] == here  # S14's also has what predicts it
    assert not again


def test_the_page_of_all_claims(tmp_path: Path) -> None:
    before = published("verdicts")
    words = shlex.split(before["command"])
    recipes = [b for a, b in itertools.pairwise(words) if a == "--recipe"]
    given = {flag: [PUBLISHED / b for a, b in itertools.pairwise(words) if a == flag] for flag in ("--claims", "--study", "--predict")}
    write_verdicts(
        given["--claims"], given["--study"], tmp_path, predictions=given["--predict"], recipes=recipes, command=before["command"]
    )
    assert json.loads((tmp_path / "results.json").read_text(encoding="utf-8")) == before
