"""What the page of published results says of the claims in words, held against their files."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from crar_model.core.files import Plain
from crar_reports.claims.dynamics import LOWER_WAY, VALLEY
from crar_reports.claims.evidence import Listed, pair_of
from crar_reports.claims.losses import to_reference
from crar_reports.claims.record import EXCEPTIONS, FAILS, HOLDS, UNDECIDED
from crar_reports.claims.table import NAMED
from crar_reports.press.markdown import table
from tests.test_docs_numbers import hold, published

README = Path(__file__).parents[1] / "reports" / "published" / "README.md"


def words_of_claims() -> list[str]:
    """The figures of the part, in its order."""
    plain = published("claims")["pairs"]
    pairs = [pair for one in plain if isinstance(pair := pair_of(one, complete=True), Listed)]
    n = len(pairs)
    by = {
        name: Counter(claim["verdict"] for one in plain for claim in one["claims"] if claim["id"] == name)
        for name in ("S2", "S3", "S6", "S7", "S8", "S9", "S10")
    }
    assert by["S6"].total() == by["S6"][FAILS] + by["S6"][UNDECIDED]
    assert by["S7"] == {HOLDS: n}
    assert by["S9"][FAILS] == 0
    crossed = sum(pair.released.match.verdict in ("matched", "symmetric") for pair in pairs)
    alone, free = (
        sum(to_reference(end.terms, pair).total <= VALLEY for pair, end in ((one, getattr(one, which)) for one in pairs))
        for which in ("adapted", "released")
    )
    assert free == n
    half = sum(pair.paths.free.barrier <= LOWER_WAY * pair.paths.frozen.barrier for pair in pairs)
    return [
        f"{by['S7'][HOLDS]} of {n} failed encoders",
        f"For {by['S6'][FAILS]} of {n} failures",
        f"The other {by['S6'][UNDECIDED]} are undecided",
        f"holds for {by['S8'][HOLDS]}, holds with exceptions for {by['S8'][EXCEPTIONS]} and does not hold for {by['S8'][FAILS]}",
        f"For {by['S8'][UNDECIDED]} the descent had not converged",
        f"{crossed} of {n} embeddings cross",
        f"holds with exceptions for {by['S10'][EXCEPTIONS]} and plainly for {by['S10'][HOLDS]}",
        f"such a valley for {alone} of {n} failures; with the encoder free, too, all {free} reach one",
        f"For {half} a path off the slice is at most half as high",
        f"holds for {by['S2'][HOLDS]} of {n}",
        f"does not hold for {by['S3'][FAILS]} of {n}",
        f"holds with exceptions for {by['S9'][EXCEPTIONS]} of {n}",
        f"For {by['S9'][UNDECIDED]} a descent did not converge",
    ]


def table_by_recipe() -> str:
    """Claims on pairs of the simple maze by recipe: verdict, how many failures have which, and the successes beside them."""
    entries = [one for one in published("verdicts")["claims"] if one["maze"] == "simple" and one["source"] in ("claims", "recipe_claims")]
    recipes = list(dict.fromkeys(one["recipe"] for one in entries))
    first = [next(one for one in entries if one["recipe"] == recipe) for recipe in recipes]
    header = ["", "claim", *(f"{one['recipe']}: {one['models']} failures of {one['bases']} bases" for one in first)]
    rows = [
        [name, NAMED[name].text, *(_cell(one) for recipe in recipes for one in entries if (one["id"], one["recipe"]) == (name, recipe))]
        for name in dict.fromkeys(one["id"] for one in entries)
    ]
    return table(header, rows)


def _cell(entry: Plain) -> str:
    counts, *rest = entry["figure"].split("; ")
    good = [each for each in rest if "that succeeded" in each]
    return "; ".join([f"**{entry['verdict']}**: {counts}", *good])


def test_the_findings_have_the_claims_by_recipe() -> None:
    text = (README.parents[2] / "docs" / "findings.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"<!-- claims by recipe -->\n(.*?)\n<!-- end of claims by recipe -->", text, re.DOTALL)
    assert block == table_by_recipe()
    assert len(block.splitlines()) == 2 + 10


def test_what_the_page_of_results_says_of_claims() -> None:
    text = README.read_text(encoding="utf-8")
    part = text[text.index("- **S7 holds, and means less") : text.index("## The released failure")]
    hold(part, words_of_claims(), "reports/published/README.md")
