"""What the docs say of the recipe in words, held against the tables of the factorial."""

from __future__ import annotations

import csv
import gzip
import math
import re
from collections import Counter
from pathlib import Path
from statistics import mean, median

from crar_reports.claims.losses import GOOD_BASE
from crar_reports.pages.study.rows import Row
from tests.test_docs_numbers import published

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "reports" / "published"
KINDS = ("joint 14,000", "joint 75,000", "sequential 75,000", "original")


def flat(path: str) -> str:
    return " ".join((ROOT / path).read_text(encoding="utf-8").split())


def rows_of(variant: str) -> list[Row]:
    """Of the table of the whole factorial."""
    with gzip.open(PUBLISHED / "recipe_original" / "table.csv.gz", "rt", encoding="utf-8") as stream:
        return [row for row in csv.DictReader(stream) if row["variant"] == variant]


def seen(kind: str, column: int) -> list[float]:
    """What is known of the bases of a kind before a transfer: 0 the oddness, 1 the mean bias."""
    page = (PUBLISHED / "recipe_original" / "report.md").read_text(encoding="utf-8")
    lines = re.findall(rf"^\| {kind}/\d+ \| \d/4 \| (-?[\d.]+) \| (-?[\d.]+) \|", page, re.MULTILINE)
    return [math.exp(float(line[column])) for line in lines]


def test_geometry() -> None:
    text = flat("docs/update_rules.md")
    odd, bias = ({kind: median(seen(kind, column)) for kind in KINDS} for column in (0, 1))
    assert [len(seen(kind, 0)) for kind in KINDS] == [12] * 4
    assert "in the median the norm of e(-s) + e(s) is more than half that of e(-s) - e(s), against about a sixteenth for `joint`" in text
    assert odd["sequential 75,000"] > 0.5
    assert round(1 / odd["joint 75,000"]) in (15, 16, 17)
    assert "Their biases are larger by more than half" in text
    assert bias["sequential 75,000"] > 1.5 * bias["joint 75,000"]
    assert "short `joint` bases are as odd as long ones" in text
    assert abs(odd["joint 14,000"] - odd["joint 75,000"]) < 0.02


def test_outcomes() -> None:
    text, (study,) = flat("docs/update_rules.md"), published("recipe_original")["recipes"]
    good = {(row["bases"], row["transfers"]): row["succeeded"] for row in study["rows"]}
    joint, sequential = (
        {arm: count for (bases, arm), count in good.items() if bases == f"{rule} 0.0005, 75,000 updates"}
        for rule in ("joint", "sequential")
    )
    short = {arm: count for (bases, arm), count in good.items() if bases == "joint 0.0005, 14,000 updates"}
    (own,) = (count for (_, arm), count in good.items() if "terminal last" in arm)
    assert "Long-trained `joint` bases give next to no success by any transfer here; `sequential` bases give both outcomes" in text
    assert max(joint.values()) <= 1
    assert min(sequential.values()) > 0
    assert "bases of 14,000 updates give some success, those of 75,000 hardly any" in text
    assert all(0 < short[arm] > joint[arm] for arm in short)
    assert "more successes than shorter training without its terminal flag, and none that is certain for a base" in text
    assert own > sequential["sequential 8e-05"]
    ends = Counter(row["base"] for row in rows_of("freeze") if row["terminal_last"] == "1" and row["success"] == "1")
    assert max(ends.values()) < 4
    assert "from `sequential` bases most successes come at 4e-4" in text
    assert sequential["joint 0.0004"] > sequential["joint 8e-05"] + sequential["sequential 8e-05"]
    assert "*Matched* exceeds *succeeded*" in text
    assert all(row["matched"] >= row["succeeded"] for row in study["rows"])


def test_noise_and_speed() -> None:
    text, bases = flat("docs/update_rules.md"), rows_of("base")
    noise = [kind for kind in published("recipe_escape")["kinds"] if kind["optimiser"] == "rmsprop"]
    assert (
        "At the study's rate the noise of the steps carries no failed transfer over to the base's embedding, by either rule; at 0.001 it carries many"
        in text
    )
    assert {kind["rule"] for kind in noise} == {"joint", "sequential"}
    assert not sum(kind["matched"] for kind in noise if kind["rate"] == 8e-5)
    assert sum(kind["matched"] for kind in noise if kind["rate"] == 1e-3) > 0.25 * sum(
        kind["seeds"] for kind in noise if kind["rate"] == 1e-3
    )
    long = {rule: [row for row in bases if row["update_rule"] == rule and row["updates"] == "75000"] for rule in ("joint", "sequential")}
    reach = {rule: sum(float(row["last_nearest_state_accuracy"]) >= GOOD_BASE for row in own) for rule, own in long.items()}
    assert (
        "`joint` bases reach 97 % of the transitions in 75,000 updates, all of twelve. Of the `sequential` ones seven of twelve do" in text
    )
    assert (GOOD_BASE, reach, [len(own) for own in long.values()]) == (0.97, {"joint": 12, "sequential": 7}, [12, 12])
    assert "in as many updates and more than four times the time" in text
    seconds = {rule: mean(float(row["seconds"]) for row in own) for rule, own in long.items()}
    assert seconds["sequential"] > 4 * seconds["joint"]


def test_first_words_of_the_readme() -> None:
    text = flat("README.md")
    assert (
        "After one step per update on the sum of the losses (`joint`), next to no transfer of the simple maze succeeds at the study's rate"
        in text
    )
    rows = [row for row in rows_of("freeze") if float(row["learning_rate"]) == 8e-5]
    joint, sequential = ([row["success"] == "1" for row in rows if row["base_recipe"].startswith(rule)] for rule in ("joint", "sequential"))
    assert sum(joint) < 0.03 * len(joint)
    assert (
        "After one step per loss term (`sequential`, the original's rule) some transfers succeed, and most failures are such minima" in text
    )
    assert 0 < sum(sequential) < len(sequential)
    failed = [one for one in published("verdicts")["claims"] if one["id"] == "S7" and one["source"] in ("claims", "recipe_claims")]
    of_joint, of_sequential = failed
    assert "every failed encoder that was examined sits in a local minimum while the dynamics are frozen" in text
    assert of_joint["figure"].startswith(f"holds {of_joint['models']};")
    found = re.match(r"holds (\d+)", of_sequential["figure"])
    assert found is not None
    assert int(found[1]) > of_sequential["models"] / 2
    assert "restored every failed transfer tried there, of bases of either rule" in text
    for page in ("cures", "fresh_cures", "recipe_cures"):
        (auto,) = (row for row in published(page)["table"] if row["method"] == "auto")
        assert auto["restored"]["count"] == auto["restored"]["of"] > 0
