"""What docs/findings.md says of the recipe, from the published files."""

from __future__ import annotations

import csv
import gzip
import io
import math
import re
from collections import Counter
from statistics import median

from crar_model.tasks import TASKS
from crar_reports.claims.evidence import pair_of
from crar_reports.claims.losses import does
from crar_reports.claims.study_facts import facts_of
from tests.published_files import ROOT, count, published

RECIPE = re.compile(r"<!-- recipe: .*? -->\n(.*?)\n<!-- end of recipe -->", re.DOTALL)
BY_RECIPE = re.compile(r"<!-- claims by recipe -->.*?<!-- end of claims by recipe -->", re.DOTALL)
"""Generated tables, which tests of their own hold."""


def recipe_words() -> list[str]:
    """What the first section of the findings says, from the pages of the recipe."""
    page = (ROOT / "reports" / "published" / "recipe" / "report.md").read_text(encoding="utf-8")
    (study,) = published("recipe")["recipes"]
    rows, answers = study["rows"], [answer["figure"] for answer in study["answers"]]
    assert [answer["verdict"] for answer in study["answers"]] == ["holds", "does not hold", "undecided"]
    decides = re.match(
        r"sequential minus joint, of the base (\d+) points of success, of the transfer (\d+); .*interval (\d+) to (\d+),", answers[0]
    )
    assert decides is not None
    long = [row for row in rows if row["bases"].startswith("joint") and "75,000" in row["bases"] and row["transfers"].endswith("8e-05")]
    sequential = [row for row in rows if row["bases"].startswith("sequential")]
    (own,), (joint,) = ([row for row in sequential if row["transfers"] == f"{rule} 8e-05"] for rule in ("sequential", "joint"))
    assert not sum(row["succeeded"] for row in long)
    odd = {
        kind: median(float(value) for value in re.findall(rf"^\| {kind}/\d+ \| \d/4 \| (-?[\d.]+) \|", page, re.MULTILINE))
        for kind in ("sequential 75,000", "joint 75,000", "joint 14,000")
    }
    assert not [
        c
        for c in published("recipe")["claims"]
        if c["id"] == "S14" and "nothing predicts" not in c["figure"] and "not scored" not in c["figure"]
    ]
    noise = [kind for kind in published("recipe_escape")["kinds"] if kind["optimiser"] == "rmsprop"]
    low, high = ([kind for kind in noise if kind["rate"] == rate] for rate in (8e-5, 1e-3))
    pairs = published("recipe_claims")["pairs"]
    failed = [pair for pair in pairs if does(pair_of(pair, complete=True)) == "failed"]
    before = [pair for pair in published("claims")["pairs"] if does(pair_of(pair, complete=True)) == "failed"]
    assert {pair["released"]["match"]["verdict"] for pair in failed if pair["match"]["verdict"] != "matched"} == {"neither"}
    cures = {row["method"]: row for row in published("recipe_cures")["table"]}
    restored = cures["auto"]["restored"]
    whole = (ROOT / "reports" / "published" / "recipe_original" / "report.md").read_text(encoding="utf-8")
    parts = [re.search(r"what becomes of (\d+) transfers from (\d+) bases", each) for each in (whole, page)]
    models, first = parts
    hours = re.search(r"^\| all \|.*?\| ([\d.]+) \|", whole, re.MULTILINE)
    assert models is not None
    assert first is not None
    assert hours is not None
    eye = facts_of(TASKS["simple"]).judged_by_eye
    return [
        *(f"{good} of {good + bad}" for _, good, bad in eye),
        f"{decides[1]} points more success than `joint` ones (the transfer's rule {decides[2]} points; 95 % interval of the difference {decides[3]} to {decides[4]}",
        f"{75_000:,} `joint` updates give 0 of {48 * len(long)}",
        f"{answers[1].split(' transfers')[0]} do",
        f"{14_000:,} updates",
        f"{sum(row['succeeded'] for row in sequential)} of {48 * len(sequential)} transfers of `sequential` bases succeed and {sum(row['matched'] for row in sequential)} match",
        f"p = {own['p']:.3f} over 12 bases",
        f"p = {joint['p']}",
        f"{math.exp(odd['sequential 75,000']):.2f} in the median of `sequential` bases and {math.exp(odd['joint 75,000']):.2f} of `joint` ones",
        f"{14_000:,} `joint` updates are as odd ({math.exp(odd['joint 14,000']):.2f})",
        *original_words(),
        *cell_words(),
        *rates_words(),
        *long_words(),
        f"{published('recipe_escape')['certified']} certified minima",
        f"{sum(kind['matched'] for kind in low)} of {sum(kind['seeds'] for kind in low)} members",
        f"at 0.001 they carried {sum(kind['matched'] for kind in high)} of {sum(kind['seeds'] for kind in high)}",
        f"[{len(failed)} failures",
        f"of {len({pair['base'] for pair in failed})} `sequential` bases, S1 does not hold for {count(failed, 'S1', 'does not hold')} and S2 for {count(failed, 'S2', 'does not hold')}",
        f"{sum(pair['certificate']['verdict'] == 'minimum' for pair in failed)} are certified minima",
        f"S8 holds for {count(failed, 'S8', 'holds')}",
        f"for {count(before, 'S8', 'holds')} of {len(before)}",
        f"`auto` restored {restored['count']} of {restored['of']}",
        f"failures of {cures['auto']['bases_restored']['of']} `sequential` bases ({100 * restored['low']:.0f} % to {100 * restored['high']:.0f} %, exact, by base)",
        f"places drawn at random {cures['misplaced']['restored']['count']}",
        f"an annealed rate of 0.005 {cures['annealed']['restored']['count']}",
        f"{models[2]} bases and {models[1]} transfers, {hours[1]} hours of a core",
        f"{first[2]} bases and {first[1]} transfers",
        "24 bases a kind",
    ]


def original_words() -> list[str]:
    """What is said of the original's own cell."""
    (study,) = published("recipe_original")["recipes"]
    (own,) = [row for row in study["rows"] if "terminal" in row["bases"]]
    content = gzip.decompress((ROOT / "reports" / "published" / "recipe_original" / "table.csv.gz").read_bytes()).decode()
    rows = [row for row in csv.DictReader(io.StringIO(content)) if row["terminal_last"] == "1" and row["variant"] == "freeze"]
    came = [int(row["success_update"]) for row in rows if row["success"] == "1" and row["success_update"]]
    assert {row["outcome"] for row in rows} == {"matched", "neither"}
    successes, of = own["by base: any"].split(" ")[0].split("/")
    assert {row["updates"] for row in rows} == {f"{max(came)}"}
    return [
        f"{150_000:,} `sequential` updates", f"{own['succeeded']} of {len(rows)} transfers succeed and {own['matched']} match",
        f"{successes} of {of} bases have one that succeeds", f"p = {own['p']}", f"at {min(came):,} updates and the last at {max(came):,}",
        "10 to 45 epochs of 5,000",
    ]  # fmt: skip


def cell_words() -> list[str]:
    """What is said of the original's own cell on twelve more bases."""
    s12, s14 = published("recipe_cell")["claims"]
    assert [(s12["id"], s12["verdict"]), (s14["id"], s14["verdict"])] == [("S12", "undecided"), ("S14", "holds")]
    assert "nothing predicts" in s14["figure"]
    content = gzip.decompress((ROOT / "reports" / "published" / "recipe_cell" / "table.csv.gz").read_bytes()).decode()
    rows: dict[str, list[dict[str, str]]] = {}
    for row in csv.DictReader(io.StringIO(content)):
        rows.setdefault(row["variant"], []).append(row)
    came = {name: sum(row["success"] == "1" for row in own) for name, own in rows.items()}
    freeze, reset, free = (f"{came[name]} of {len(rows[name])}" for name in ("freeze", "reset-encoder", "unfreeze"))
    looks = Counter(row["outcome"] for row in rows["unfreeze"])
    assert looks["matched"] == 0
    p14, p12 = (re.search(r"p = ([\d.]+)\)", one["figure"]) for one in (s14, s12))
    by_base = re.search(r"counted alike, (\d+/\d+) against (\d+/\d+) ", s12["figure"])
    assert p14 is not None
    assert p12 is not None
    assert by_base is not None
    return [
        f"Of all {s14['bases']} bases {freeze} `freeze` transfers succeed", f"(p = {p14[1]})", f"`reset-encoder` brings {reset} transfers through",
        f"`unfreeze` {free}", f"{looks['swapped']} of {len(rows['unfreeze'])} networks are swapped",
        f"{by_base[1]} bases by `reset-encoder` against {by_base[2]} by `freeze` (p = {p12[1]})",
    ]  # fmt: skip


def rates_words() -> list[str]:
    """What is said of the learning rates in that cell."""
    (s13,) = published("recipe_rates")["claims"]
    assert (s13["id"], s13["verdict"], s13["bases"]) == ("S13", "does not hold", 4)
    content = gzip.decompress((ROOT / "reports" / "published" / "recipe_rates" / "table.csv.gz").read_bytes()).decode()
    rows: dict[float, list[dict[str, str]]] = {}
    for row in csv.DictReader(io.StringIO(content)):
        if row["variant"] == "freeze":
            rows.setdefault(float(row["learning_rate"]), []).append(row)
    came = {rate: sum(row["success"] == "1" for row in own) for rate, own in rows.items()}
    match = {rate: sum(row["outcome"] == "matched" for row in own) for rate, own in rows.items()}
    each = {len(own) for own in rows.values()}
    assert each == {24}
    good, bad = (sum(came[rate] for rate in rates) for rates in ((5e-5, 5e-4, 1e-3), (1e-5, 5e-3)))
    return [
        f"24 transfers a rate, at most {max(came.values())} of 24 succeed at any of six rates. At 0.00005, 0.0005 and 0.001 together {good} of 72 do",
        f"and at 0.00001 and 0.005 {bad} of 48, so S13 does not hold",
        f"at 0.0005 {match[5e-4]} of 24 match and {came[5e-4]} succeed", f"at 0.001 {match[1e-3]} match and {came[1e-3]} succeed",
    ]  # fmt: skip


def long_words() -> list[str]:
    """What is said of bases of as many updates without the flag."""
    (s14,) = published("recipe_long")["claims"]
    assert (s14["id"], s14["verdict"], s14["bases"]) == ("S14", "holds", 12)
    assert "nothing predicts" in s14["figure"]
    p = re.search(r"p = ([\d.]+)\)", s14["figure"])
    assert p is not None
    content = gzip.decompress((ROOT / "reports" / "published" / "recipe_long" / "table.csv.gz").read_bytes()).decode()
    rows: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in csv.DictReader(io.StringIO(content)):
        if row["variant"] == "freeze":
            assert row["terminal_last"] == "0"
            rows.setdefault((row["update_rule"], row["learning_rate"]), []).append(row)
    came = {kind: [row for row in own if row["success"] == "1"] for kind, own in rows.items()}
    own = "sequential", "8e-05"
    looks = Counter(row["outcome"] for row in rows[own])
    low, high = (f"{len(came['joint', rate])} of {len(rows['joint', rate])}" for rate in ("8e-05", "0.0004"))
    return [
        f"{len(came[own])} of {len(rows[own])} transfers by the original's rule succeed and {looks['matched']} match",
        f"from {len({row['base'] for row in came[own]})} of {len({row['base'] for row in rows[own]})} bases; {looks['swapped']} are swapped",
        f"p = {p[1]})", f"{low} succeed at the study's rate and {high} at 0.0004",
    ]  # fmt: skip
