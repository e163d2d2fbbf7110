"""The pages of findings, speed and facts say what the committed files and the code say.

A page is prose without figures, with pieces between that are computed here from the JSON files, in their order on the page. So a
figure that no file gives fails as much as one that differs.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import math
import re
import shlex
from collections import Counter
from dataclasses import fields
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.page import FIGURES, blocks, filled
from crar_model.core.files import Plain
from crar_model.core.params import BLOCKS, block_of
from crar_model.core.settings import LossSettings, TrainSettings
from crar_model.core.tiles import AGENT, FREE, KEY, draw_pixels
from crar_model.models.merit import SUCCESS
from crar_model.studies.archive import bring_in
from crar_model.studies.plan import read_study
from crar_model.studies.store import open_store
from crar_model.tasks import TASKS
from crar_reports.claims.evidence import pair_of
from crar_reports.claims.losses import does
from crar_reports.claims.released_scores import RATE, released_runs
from crar_reports.claims.study_facts import facts_of
from crar_reports.pages.study.page import write_study_page
from crar_reports.pages.study.table import write_table
from crar_reports.pages.verdicts import write_verdicts

ROOT = Path(__file__).parent.parent
NAMES = re.compile(r"S\d+|float32|95 %|\]\([^)]*\)|`[^`]*`")
"""Digits on a page that are no figures: claims, types, the level of intervals, link targets, code."""


def published(name: str) -> Plain:
    content: Plain = json.loads((ROOT / "reports" / "published" / name / "results.json").read_text(encoding="utf-8"))
    return content


def count(pairs: list[Plain], claim: str, verdict: str) -> int:
    return sum(c["verdict"] == verdict for pair in pairs for c in pair["claims"] if c["id"] == claim)


def score(model: Plain) -> str:
    return "{mean:.2f} ({low:.2f} to {high:.2f})".format(**model["score"])


def ratio(pair: Plain, which: str, term: str) -> float:
    terms = pair[which] if which.endswith("terms") else pair[which]["terms"]
    return float(terms[term] / pair["optimum_terms"][term])


def tally(pairs: list[Plain], claim: str) -> str:
    """How many transfers give which verdict, most first."""
    counts = Counter(c["verdict"] for pair in pairs for c in pair["claims"] if c["id"] == claim)
    return ", ".join(f"{verdict} {n}" for verdict, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def above(pair: Plain, total: float) -> float:
    """A total above its floor over the reference's."""
    floor = pair["floor"]["total"]
    return float((total - floor) / (pair["optimum_terms"]["total"] - floor))


def span(values: list[float], form: str) -> str:
    return f"{min(values):{form}} to {max(values):{form}}"


AFFINE, MIX, TEXTURE = "affine, contrast 0.5, brightness 0.25", "mix, condition 10", "texture, brightness 0.25"


def summary_shares(page: Path) -> dict[str, str]:
    """Successes by variant of the summary of a study's page, "0 of 192"."""
    return {
        name: f"{count} of {of}"
        for name, count, of in re.findall(r"`([a-z-]+)` (\d+)/(\d+) \(", page.read_text(encoding="utf-8").split("Models:")[0])
    }


def findings() -> list[str]:
    pairs, one, sample = published("claims")["pairs"], published("landscape"), published("random_landscape")
    failed = [pair for pair in pairs if does(pair_of(pair, complete=True)) == "failed"]
    n = len(failed)
    odd = [pair["oddness"][0] / pair["oddness"][1] for pair in failed]
    off = [pair["match"]["residual_edges"] for pair in failed]
    high = [ratio(pair, "failed_terms", "transition") for pair in failed]
    largest = [pair["errors"]["largest"] for pair in failed]
    peaks = [pair["barriers"]["embedding"]["random_pairs"]["where"] for pair in failed]
    middles = [pair["midpoint"] for pair in failed]
    climbs = [pair["paths"]["straight"]["embedding"] for pair in failed]
    frozen = [pair["paths"]["frozen"]["barrier"] for pair in failed]
    free = [above(pair, pair["released"]["terms"]["total"]) for pair in failed]
    adapted = [above(pair, pair["adapted"]["terms"]["total"]) for pair in failed]
    stationary = [above(pair, pair["certificate"]["loss"]) for pair in failed]
    certified = [pair["certificate"]["verdict"] for pair in failed]
    nearest = [tuple(map(tuple, pair["match"]["axes"])) for pair in failed]
    shifts = {s["way"]: s["values"] for s in published("theorem")["shifts"]}
    straight = {space: sample["barriers"][space]["total"]["climb"] for space in ("embedding", "weight")}
    theorems = published("theorem")["linear"]
    scores = {(m["run"], m["path"]): m for m in published("random_mazes")["models"] if m["kind"] == "last"}
    base = scores["base-a", "base-a/member-0.pt"]
    back, stays = (scores["freeze", f"freeze/member-{k}.pt"] for k in (0, 1))
    swapped = sum(m["match"]["verdict"] == "swapped" for (run, _), m in scores.items() if run == "freeze")
    loose = [scores["unfreeze", f"unfreeze/member-{k}.pt"] for k in (0, 1)]
    copies = published("random_mazes")["negations"]
    assert [one["match"]["verdict"], one["released"]["match"]["verdict"], sample["match"]["verdict"]] == ["swapped", "swapped", "neither"]
    few = published("random_claims")["pairs"]
    for verdict, ids in (("does not hold", ("S2", "S3", "S11")), ("undecided", ("S6", "S7", "S8", "S9", "S10"))):
        assert all(count(few, claim, verdict) == len(few) for claim in ids)
    assert all(does(pair_of(pair, complete=False)) == "failed" for pair in few)
    assert all(statement["proven"] for statement in theorems)
    assert shifts["0 of the way towards the adapted dynamics"] == shifts["mirrored, seen from the mirrored encoders"] == 0
    assert swapped == 0
    assert all(copy["same"] == 0 and copy["episodes"] == 200 for copy in copies)
    assert {c["id"] for c in sample["claims"] if c["verdict"] == "undecided"} == {"S6", "S7", "S8", "S9", "S10"}
    outcomes, scored = published("predict")["outcomes"], published("predict")["scores"]
    constant, logistic = ({row["name"]: row for row in scored["rows"]}[name] for name in ("constant", "logistic"))
    assert not scored["predicts"]
    went_on, plain = published("random_cures")["table"]
    (tries,) = published("first_layer")["table"]
    cures = {row["method"]: row for row in published("cures")["table"]}
    maps = {(row["map"], row["way"]): row["all"] for row in published("maps")["table"]}
    through = {name: found["count"] for (name, way), found in maps.items() if way == "freeze"}
    blind = [found for (_, way), found in maps.items() if way == "cure: auto"]
    (tried,) = {found["of"] for (_, way), found in maps.items() if way != "cure: auto"}
    paired = {n: [maps["negative", f"paired, {n} pairs, rate {rate}"]["count"] for rate in ("8e-05", "0.001")] for n in (24, 28, 30, 31)}
    assert all(not found["count"] for (_, way), found in maps.items() if way.startswith("paired") and int(way.split()[1]) <= 24)
    assert paired[24] == [0, 0]
    assert paired[31] == [tried, tried]  # at either rate
    (budget,) = {row["updates"] for row in published("maps")["table"] if row["way"].startswith("paired")}
    signed = {name: maps[name, "symmetry"]["count"] for name in ("negative", "mirror", "permute", MIX)}
    assert {name for name, count in through.items() if not count} == set(signed)
    kinds = {(kind["optimiser"], kind["rate"], kind["batch"]): kind for kind in published("escape")["kinds"]}

    def out(optimiser: str, rate: float, what: str = "left") -> str:
        return f"{kinds[optimiser, rate, 8][what]} and {kinds[optimiser, rate, 32][what]}"

    (members,) = {kind["seeds"] for kind in kinds.values()}
    assert not any(kind["diverged"] for kind in kinds.values())
    minima, watched = published("escape")["certified"], published("escape")["grid"]["updates"]
    looked = min(published("escape")["relations"], key=lambda each: each["corrected"])
    assert (looked["look"], looked["outcome"]) == ("barrier", "matched")
    assert looked["corrected"] > 0.05
    warm = {row["way"].removeprefix("freeze, rate "): row for row in published("rates")["table"]}
    annealed = {rate: warm[f"{rate}, decay 0.6, batch 32, for 60000"] for rate in ("0.001", "0.005", "0.01")}
    assert {claim["models"] for claim in published("simple_study")["claims"] if claim["id"] == "S14"} == {192}
    study = summary_shares(ROOT / "reports" / "published" / "simple_study" / "report.md")
    decided = {one["id"]: one for one in published("simple_study")["claims"]}
    assert [decided[claim]["verdict"] for claim in ("S12", "S13", "S14")] == ["does not hold", "does not hold", "undecided"]
    few_bases = summary_shares(ROOT / "reports" / "published" / "random_study" / "report.md")
    under_way = {one["id"]: one for one in published("random_study")["claims"]}
    assert [under_way[claim]["verdict"] for claim in ("S11", "S12", "S13", "S14")] == ["does not hold", *["undecided"] * 3]
    lengths = under_way["S12"]["updates"]
    assert lengths["unfreeze"] == lengths["first-layer"]
    assert {lengths[name] for name in ("freeze", "reset-encoder", "omit-ball", "delay-structure")} == {lengths["freeze"]}
    random_page = (ROOT / "reports" / "published" / "random_study" / "report.md").read_text(encoding="utf-8")
    assert re.search(rf"`scratch` \d+/\d+ \([^)]*\) of {lengths['freeze']:,} updates", random_page)
    failing = re.search(
        r"last networks: (\S+) score below 0 with their whole interval, by base (\S+, \S+, \S+, \S+); this depends",
        (ROOT / "reports" / "published" / "random_study" / "report.md").read_text(encoding="utf-8"),
    )
    assert failing is not None
    first, controls = cures["auto"], ("symmetry", "noise", "restart", "first-layer")
    of_all = published("cures")["rows"]
    (fresh,) = published("fresh_cures")["table"]
    assert not {row["base_digest"] for row in published("fresh_cures")["rows"]} & {row["base_digest"] for row in of_all}
    over, every = first["bases_restored"], {row["base_digest"] for row in of_all}
    assert "none had less to spend" in published("cures")["spending"]
    assert all(len({row["seed"] for row in of_all if row["method"] == name}) == first["restored"]["of"] for name in controls)
    wrong = sum(row["cured_not_restored"] + row["restored_not_cured"] for row in cures.values())
    near = cures["symmetry"]["restored"]["of"] - cures["symmetry"]["restored"]["count"]
    assert {row["by"] for row in published("cures")["rows"] if row["method"] == "auto"} == {"placement"}
    theirs, cured = published("original_failure/landscape"), published("original_failure/cure")
    assert (theirs["certificate"]["verdict"], theirs["match"]["verdict"], cured["cured"], cured["by"]) == (
        "minimum",
        "neither",
        True,
        "placement",
    )
    assert theirs["errors"]["worst_at_door"] == theirs["errors"]["worst"]
    assert cured["base"] is None
    return [
        f"{n} failed transfers of {len(pairs)} from {len({pair['base'] for pair in pairs})} bases",
        f"accuracy of {100 * min(pair['accuracy'][-1] for pair in pairs):.1f} % or more",
        f"{n} failures in the simple maze",
        f"{tally(failed, 'S1')}: {median(odd):.2f} of the difference in the median, {max(odd):.2f} at most",
        f"{one['oddness'][0] / one['oddness'][1]:.2f}",
        f"{tally(failed, 'S2')}: {span(off, '.2f')} edges off the best axes",
        f"swapped, {one['match']['residual_edges']:.2f} edges off",
        f"not swapped, {sample['match']['residual_edges']:.2f} moves off the identity",
        f"{tally(failed, 'S3')}: transition term {span(high, '.0f')} times the reference's",
        f"{ratio(one, 'failed_terms', 'transition'):.0f} times",
        f"{ratio(sample, 'failed_terms', 'transition'):.0f} times",
        f"{tally(failed, 'S4')}: the largest error is {span(largest, '.1f')} local edges",
        f"{one['errors']['largest']:.1f} local edges",
        f"{tally(failed, 'S5')}: `random_pairs` peaks at {span(peaks, '.2f')} of the way, midpoints {span(middles, '.1f')} edges from 0",
        f"at {one['barriers']['embedding']['random_pairs']['where']:.2f}, {one['midpoint']:.1f} edges",
        f"{tally(failed, 'S6')}: a path climbs {median(frozen):.2g}, the straight line {median(climbs):.2g} (medians)",
        f"refuted: {one['paths']['frozen']['barrier']:.2g} against {one['paths']['straight']['embedding']:.2f}",
        f"undecided: the straight climb is {straight['embedding']:.0f} between embeddings, {straight['weight']:.2f} between weights",
        f"{tally(failed, 'S7')}: {certified.count('minimum')} certified minima, {span(stationary, '.1f')} times the reference's level",
        f"certified, {one['certificate']['signature']['positive']} positive curvatures, {one['certificate']['kinks']} kinks, "
        f"{one['certificate']['signature']['negative']} negative",
        f"{tally(failed, 'S8')}: all free, the level ends at {span(free, '.2f')} times the reference's",
        f"{above(one, one['released']['terms']['total']):.2f} times, still swapped",
        f"undecided: {sample['failed_terms']['total']:.3f} to {sample['released']['terms']['total']:.3f}, "
        f"base {sample['optimum_terms']['total']:.3f}",
        tally(failed, "S9"),
        f"{len(theorems)} statements proven, each with its exceptions",
        f"{tally(failed, 'S10')}: dynamics of its own bring the level to {span(adapted, '.2f')} times the reference's",
        f"{above(one, one['adapted']['terms']['total']):.2f} times",
        f"transition term {sample['failed_terms']['transition']:.4f} to {sample['adapted']['terms']['transition']:.4f}",
        f"refuted: score {sample['failed_score']['mean']:.2f}, and the transition term is "
        f"{sample['failed_terms']['transition'] / sample['copy_terms']['transition']:.0f} times the base's",
        f"Over {len(few)} such failures",
        f"{certified.count('minimum')} of {n} failed encoders",
        f"For {count(failed, 'S6', 'does not hold')} of {n}",
        f"{count(failed, 'S6', 'undecided')} are undecided",
        f"a median of {median(free):.2f} times",
        f"{sum(pair['released']['match']['verdict'] == 'matched' for pair in failed)} of {n} embeddings",
        f"minus the identity for {nearest.count(((-1, 0), (0, -1)))} of {n}",
        f"from accuracy {100 * cured['before']['nearest_state_accuracy']:.1f} % to {100 * cured['after']['nearest_state_accuracy']:.1f} %, "
        f"and from navigation {100 * cured['before']['navigation_success']:.1f} % to {100 * cured['after']['navigation_success']:.1f} %",
        f"certified minimum at {above(theirs, theirs['certificate']['loss']):.2f} times the reference's level, with {theirs['certificate']['kinks']} kinks of `ball`, "
        f"and not swapped: {theirs['match']['residual_edges']:.2f} edges off the best axes",
        f"{ratio(theirs, 'failed_terms', 'transition'):.0f} times the reference's",
        f"is {theirs['oddness'][0] / theirs['oddness'][1]:.2f} of the other's in the cure",
        f"{first['restored']['count']} of {first['restored']['of']} failures, one of each of {len(every)} bases "
        f"({100 * over['low']:.1f} % to {100 * over['high']:.0f} %, exact)",
        f"median {first['median_updates']:,.0f} updates of candidates after {first['median_level_updates']:,.0f} of free embeddings",
        f"`auto` restored {fresh['restored']['count']} of {fresh['restored']['of']} ({100 * fresh['bases_restored']['low']:.1f} % to {100 * fresh['bases_restored']['high']:.0f} %)",
        published("cures")["spending"].removeprefix("The candidates of the other methods"),
        *(f"| `{name}` | {cures[name]['restored']['count']} | {cures[name]['lacks'].get('embedding', 0)} |" for name in controls),
        f"{near - cures['symmetry']['lacks']['embedding']} of the {near} that `symmetry` leaves",
        f"of {sum(o['transfers'] for o in outcomes)} transfers from {len(outcomes)} bases {sum(o['successes'] for o in outcomes)} succeed",
        f"({constant['brier']['value']:.3f}; logistic {logistic['brier']['value']:.3f}, though",
        f"ROC area {logistic['area']['value']:.2f}, {logistic['area']['low']:.2f} to {logistic['area']['high']:.2f})",
        f"Of {tried} `freeze` transfers",
        f"{through['negative']} succeed through the negative, {through['mirror']} mirrored, {through['permute']} with pixels permuted",
        f"and {through[MIX]} with pixels mixed",
        f"{through[AFFINE]} do (contrast and brightness) and {through[TEXTURE]} (a background added)",
        f"cures {sum(found['count'] for found in blind)} of the {sum(found['of'] for found in blind)} that fail there",
        f"{signed['negative']} of {tried} succeed there, {signed['mirror']} mirrored, {signed['permute']} permuted, {signed[MIX]} mixed",
        f"with up to 24 of the 31 states {paired[24][0]} of {tried} succeed in {budget:,} updates, at either rate, "
        f"with 28 it is {paired[28][0]} and {paired[28][1]}, with 30 {paired[30][0]} and {paired[30][1]}, with all 31 {paired[31][0]} of {tried}",
        f"From {minima} certified minima",
        f"within {watched:,} updates, plain SGD at a constant rate of 0.001 carries {out('sgd', 1e-3)} of {members} members out, in batches of 8 and of 32",
        f"at 0.01 {out('sgd', 1e-2)}, at 0.02 {out('sgd', 2e-2)}",
        f"RMSprop at the study's 8e-05 carries {out('rmsprop', 8e-5)}, at 0.001 {out('rmsprop', 1e-3)}, {out('rmsprop', 1e-3, 'matched')} of them for the base's embedding",
        f"(rank correlation {looked['rho']:.2f}, p {looked['corrected']:.2f} after Holm's correction, {looked['bases']} bases)",
        "`freeze` at 0.005, annealed by 0.6 every epoch",
        f"brings {annealed['0.005']['all']['count']} of {annealed['0.005']['all']['of']}",
        f"to their base in {annealed['0.005']['updates']:,} updates, where the study's 8e-05 brings {study['freeze']} in as many",
        f"at 0.001 it is {annealed['0.001']['all']['count']} of {annealed['0.001']['all']['of']}, at 0.01 it is {annealed['0.01']['all']['count']} of {annealed['0.01']['all']['of']}",
        f"of {decided['S14']['bases']} bases `freeze` succeeds in {study['freeze']} transfers, `reset-encoder` in {study['reset-encoder']}, "
        f"`placement` in {study['placement']} and `symmetry` in {study['symmetry']}",
        f"{wrong} of {len(published('cures')['rows'])} times",
        f"score of {score({'score': sample['failed_score']})} against the base's {score({'score': sample['copy_score']})}",
        f"after a descent on a sample, scores {score({'score': sample['optimum_score']})}",
        f"climbs {straight['embedding']:.0f} between the embeddings",
        f"{tries['all']['count']} of {tries['all']['of']} tries from {len(tries['bases'])} bases",
        f"({100 * tries['all']['low']:.0f} % to {100 * tries['all']['high']:.0f} %, exact) after {tries['updates']:,} updates",
        f"{went_on['updates']:,} in all, it is {went_on['all']['count']} of {went_on['all']['of']} "
        f"({100 * went_on['all']['low']:.0f} % to {100 * went_on['all']['high']:.0f} %)",
        f"brings {plain['all']['count']} of {plain['all']['of']} there in {plain['updates']:,}",
        f"base of {base['updates']:,} updates scores {score(base)}",
        f"in each of {copies[0]['episodes']} episodes",
        f"one comes back to {score(back)}",
        f"one stays at {score(stays)}, after {stays['updates']:,} updates each",
        f"reaches {score(loose[0])} and {score(loose[1])} in {loose[0]['updates']:,} updates",
        f"study of {under_way['S14']['bases']} bases",
        f"`negate-input` succeeds in {few_bases['negate-input']} transfers, `freeze` in {few_bases['freeze']}, `reset-encoder` in {few_bases['reset-encoder']}, "
        f"`omit-ball` in {few_bases['omit-ball']}, `delay-structure` in {few_bases['delay-structure']} and `scratch` in {few_bases['scratch']}, of {lengths['freeze']:,} updates, "
        f"`unfreeze` in {few_bases['unfreeze']} and `first-layer` in {few_bases['first-layer']}, of {lengths['unfreeze']:,}",
        f"score below zero with their whole interval in {failing[1]}, by base {failing[2]}",
        f"{cut_off('freeze', lengths['freeze'])} `freeze` and {cut_off('scratch', lengths['freeze'])} `scratch` have a final score above zero after {lengths['freeze']:,}",
    ]


def cut_off(variant: str, updates: int) -> str:
    """Successes of the released runs at the study's rate, by the original's word, had they ended after so many updates."""
    finals = [run.until(updates).final for run in released_runs(variant, None, RATE)]
    return f"{sum(final > SUCCESS for final in finals)} of {len(finals)}"


def speed() -> list[str]:
    """The blocks that `python -m benchmarks.page` writes, whose lines it knows how to make from the files."""
    text = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
    found = blocks(ROOT / "benchmarks" / "results", text)
    assert len(found) == len(FIGURES), "a block is missing from the page"
    return [" ".join(block.splitlines()) for block in found]


def hold(text: str, pieces: list[str], where: str) -> None:
    """Every piece stands in the text, in order, and no figure between them."""
    flat, at = " ".join(line.strip() for line in text.splitlines() if not line.startswith("#")), 0
    for piece in pieces:
        found = flat.find(piece, at)
        assert found >= 0, f"{where}: {piece!r} is what the files say; it is not there, or not after what stands before it"
        between = NAMES.sub("", flat[at:found])
        assert not re.search(r"\d", between), f"{where}: no file is asked for the figures in {between!r}"
        at = found + len(piece)
    assert not re.search(r"\d", NAMES.sub("", flat[at:])), f"{where}: no file is asked for the figures in {flat[at:]!r}"


@pytest.mark.parametrize("page", ["findings", "speed"])
def test_every_figure_of_a_page_is_a_file_s(page: str) -> None:
    text = BY_RECIPE.sub("", RECIPE.sub("", (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")))
    pieces = {"findings": lambda: [*recipe_words(), *findings()], "speed": speed}[page]()
    hold(text, pieces, f"docs/{page}.md")


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
        "24 bases a kind, bases of 150,000 updates",
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


def test_the_table_of_the_recipe_is_that_of_its_page() -> None:
    page = (ROOT / "reports" / "published" / "recipe_original" / "report.md").read_text(encoding="utf-8")
    for name in ("findings", "update_rules"):
        (block,) = RECIPE.findall((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8"))
        assert block in page, name


FACTS = (ROOT / "docs" / "original.md").read_text(encoding="utf-8")


def test_the_facts_count_the_parameters_of_the_networks() -> None:
    cells = {line.split("|")[1].split(" ")[1]: line for line in FACTS.splitlines() if line.startswith("| ") and line.count("|") == 6}
    for column, task in ((3, TASKS["simple"]), (5, TASKS["random"])):
        params = task.agent().init(np.random.default_rng(0))
        sizes = {block: sum(p.numel() for name, p in params.items() if block_of(name) == block) for block in BLOCKS}
        for name, size in {**sizes, "together": sum(sizes.values())}.items():
            assert cells[name].split("|")[column].strip() == f"{size:,}", (task.name, name)


def test_the_facts_draw_the_sprites() -> None:
    lines = FACTS.split("```text\n")[1].split("```")[0].splitlines()
    assert lines[0].split() == ["agent", "key"]
    drawn = [[float(value) for value in line.split()] for line in lines[1:]]
    agent, key = torch.tensor([row[:6] for row in drawn]), torch.tensor([row[6:] for row in drawn])
    board = torch.full((1, 8, 8), FREE)
    board[0, 0, 0], board[0, 0, 1] = AGENT, KEY
    image = draw_pixels(board)[0]
    assert torch.allclose(image[:6, :6], 2 * agent - 1)
    assert torch.allclose(image[:6, 6:12], 2 * key - 1)


def test_the_facts_name_real_flags() -> None:
    known = {item.name for kind in (TrainSettings, LossSettings) for item in fields(kind)} | {"variant", "reset", "from", "to", "out"}
    named = set(re.findall(r"--([a-z][a-z-]*)", FACTS))
    assert len(named) > 15
    assert {name.replace("-", "_") for name in named} <= known


def test_the_page_of_verdicts_is_what_its_results_say(tmp_path: Path) -> None:
    root = ROOT / "reports" / "published"
    command = shlex.split(published("verdicts")["command"])
    recipes = [words[1] for words in itertools.pairwise(command) if words[0] == "--recipe"]
    given = {
        flag: [root / words[1] for words in itertools.pairwise(command) if words[0] == flag]
        for flag in ("--claims", "--study", "--predict")
    }
    again = write_verdicts(
        given["--claims"],
        given["--study"],
        tmp_path,
        predictions=given["--predict"],
        recipes=recipes,
        command=published("verdicts")["command"],
    )
    assert again.read_text() == (root / "verdicts" / "report.md").read_text()
    measured = [one for one in published("verdicts")["claims"] if one["source"]]
    assert [one["id"] for one in measured if not one["recipe"]] == []  # a rate without the recipe says nothing


def test_the_random_study_is_what_its_archive_says(tmp_path: Path) -> None:
    """A folder that the archive filled gives the published table and page, so that a later session goes on from these very cells."""
    root = ROOT / "reports" / "published" / "random_study"
    study, store = read_study(ROOT / "studies" / "random.toml"), open_store(tmp_path / "study")
    store.claim(study.name)
    assert bring_in(store, study, root / "study.tar.xz") > 0
    table = write_table(store, study, 3)
    assert table.read_bytes() == gzip.decompress((root / "table.csv.gz").read_bytes())
    page = write_study_page(table, study.name, tmp_path / "page", command=published("random_study")["command"])
    assert page.read_text() == (root / "report.md").read_text()


def random_words() -> list[str]:
    """What the page of results says of the random study, from its table and its claims."""
    folder = ROOT / "reports" / "published" / "random_study"
    rows = list(csv.DictReader(io.StringIO(gzip.decompress((folder / "table.csv.gz").read_bytes()).decode())))
    page, claims = (folder / "report.md").read_text(encoding="utf-8"), {c["id"]: c for c in published("random_study")["claims"]}
    bases = {row["cell"]: row for row in rows if row["variant"] == "base"}
    groups: dict[tuple[str, int, float], list[Plain]] = {}
    for row in rows:
        if row["variant"] != "base":
            groups.setdefault((row["variant"], int(row["updates"]), float(row["learning_rate"])), []).append(row)

    def hits(name: str, updates: int = 60_000, rate: float = 5e-4, among: set[str] | None = None) -> str:
        own = [row for row in groups[name, updates, rate] if among is None or row["base"] in among]
        return f"{sum(row['success'] == '1' for row in own)}/{len(own)}"

    def times_base(row: Plain, term: str) -> float:
        return float(row[f"last_{term}"]) / float(bases[row["base"]][f"{row['base_start']}_{term}"])

    def below(name: str, updates: int) -> list[Plain]:
        return [row for row in groups[name, updates, 5e-4] if float(row["last_score_high"]) < 0]

    assert all(float(base["best_score_low"]) > 0 for base in bases.values())
    assert {row["status"] for row in rows} == {"done"}
    (negated,) = (key for key in groups if key[0] == "negate-input")
    (failing,) = re.findall(
        r"by the last networks: (\d+)/16 score below 0 with their whole interval, by base ([\d/, ]+); this depends on the base \((p = [\d.]+)\)",
        page,
    )
    small = re.match(
        r"of 16 transfers (\d+) fail .*; of \1 failed transfers (\d+) score below -4 .* transition ([\d.]+ to [\d.]+) times the base's; "
        r"of (\d+) trained .* transition ([\d.]+ to [\d.]+) times$",
        claims["S11"]["figure"],
    )
    assert small is not None
    assert small[1] == failing[0]
    assert (claims["S11"]["verdict"], claims["S12"]["verdict"], claims["S14"]["verdict"]) == ("does not hold", "undecided", "undecided")
    anew = {row["base"] for row in groups["reset-encoder", 60_000, 5e-4]}
    assert {row["base"] for name in ("omit-ball", "delay-structure") for row in groups[name, 60_000, 5e-4]} == anew
    (delay,) = {int(row["structure_delay"]) for row in groups["delay-structure", 60_000, 5e-4]}
    low = below("reset-encoder", 60_000)
    lowest = [row for row in low if float(row["last_score_high"]) < -4]
    first = groups["first-layer", 20_000, 5e-4]
    (search,) = {int(row["search_updates"]) for row in first}
    assert not below("first-layer", 20_000)
    for name in ("unfreeze", "first-layer"):
        assert f"- `{name}, 0.0005, joint` against `freeze, 0.0005, joint, 60,000 updates`: the times differ beyond chance" in page
    rates = sorted(rate for name, updates, rate in groups if (name, updates) == ("freeze", 40_000))
    (again,) = re.findall(r"40,000 updates`: (\d+ of \d+) models are the first 40,000 updates of transfers", page)
    return [
        f"took {sum(float(row['seconds']) for row in rows) / 3600:.3f} hours of a core",
        f"`negate-input` succeeds in {hits(negated[0], negated[1], negated[2])}",
        f"succeeds in {hits('freeze')} after {60_000:,} updates",
        f"{failing[0]} score below 0 with their whole interval, by base {failing[1]} ({failing[2]})",
        f"of the {small[1]} it is {small[3]} times their base's, of {small[4]} trained transfers through frozen dynamics that score above 0 with theirs {small[5]} times",
        f"{small[2]} of the {small[1]} scores below -4 with its whole interval",
        f"{len(lowest)} of {len(groups['reset-encoder', 60_000, 5e-4])} `reset-encoder` networks do, with transition terms "
        f"{span([times_base(row, 'transition') for row in lowest], '.3g')} times their base's, and reward terms {span([times_base(row, 'reward') for row in lowest], '.3g')} times",
        f"`reset-encoder` succeeds in {hits('reset-encoder')}, `freeze` in {hits('freeze', among=anew)} from the same {len(anew)} bases, "
        f"`omit-ball` in {hits('omit-ball')}, and `delay-structure`, its delay scaled to {delay:,} updates, in {hits('delay-structure')}",
        f"`scratch` in {hits('scratch')}",
        f"`unfreeze` succeeds in {hits('unfreeze', 20_000)} within {20_000:,} updates",
        f"`first-layer`, dynamics frozen, in {hits('first-layer', 20_000)}, its search of {search:,} updates counted apart",
        f"{sum(row['outcome'] == 'matched' for row in first)} of its embeddings match",
        f"after {40_000:,} updates from one base: " + ", ".join(f"{hits('freeze', 40_000, rate)} at {rate:g}" for rate in rates),
        f"{again} at 0.0005 are the beginnings",
    ]


def test_the_words_on_the_random_study_have_its_figures() -> None:
    words = (ROOT / "reports" / "published" / "README.md").read_text().split("## The random mazes")[1].split("`random_claims` and")[0]
    hold(re.sub(r"```.*?```", "", words, flags=re.DOTALL), random_words(), "reports/published/README.md")


def test_the_page_of_results_has_the_table_of_verdicts() -> None:
    root = ROOT / "reports" / "published"
    (block,) = re.findall(r"<!-- verdicts: .*? -->\n(.*?)\n<!-- end of verdicts -->", (root / "README.md").read_text(), re.DOTALL)
    assert f"\n\n{block}\n\n" in (root / "verdicts" / "report.md").read_text()
    assert len(block.splitlines()) == 2 + len(published("verdicts")["claims"])


def test_a_page_of_figures_is_made_anew_from_the_files() -> None:
    page = "<!-- figures: pieces -->\nold 1.5\n<!-- end -->\nand prose\n"
    results = ROOT / "benchmarks" / "results"
    gflop = json.loads((results / "random_training.json").read_text())["gflop"]
    assert f"{gflop['distinct pieces']:.2f} GFLOP" in filled(results, page)
    assert "old 1.5" not in filled(results, page)
    assert filled(results, page).endswith("<!-- end -->\nand prose\n")


def test_symmetric_worlds_names_the_published_study() -> None:
    worlds = published("worlds")["worlds"]
    autos = {
        (world["title"].partition("-v")[0], world.get("numbers", 3)): each
        for world in worlds
        for each in world["mended"]
        if each["method"] == "auto"
    }
    (empty, empty_8), (door, door_8), acrobot, (pole, pole_6) = (
        [autos["MiniGrid-Empty-5x5", k] for k in (3, 8)], [autos["MiniGrid-DoorKey-5x5", k] for k in (3, 8)], autos["Acrobot", 8],
        [autos["CartPole", k] for k in (3, 6)],
    )  # fmt: skip
    negative = {
        (world["title"].partition("-v")[0], world.get("numbers", 3)): one
        for world in worlds
        for one in world["through"]
        if one["map"] == "negative"
    }
    text = " ".join((ROOT / "docs" / "symmetric_worlds.md").read_text(encoding="utf-8").split())

    def of(each: dict[str, Any], what: str = "restored") -> str:
        return f"{each[what]['count']} of {each[what]['of']}"

    assert len(empty["maps"]) == 3
    assert (
        f"In MiniGrid-Empty it restored {of(empty)} with three abstract numbers, and {of(empty_8)} with eight; in DoorKey {of(door)} and {of(door_8)} of"
        in text
    )
    few, many = (negative["MiniGrid-Empty-5x5", k] for k in (3, 8))
    assert (
        f"Through the negative {of(few, 'good')} `freeze` transfers succeed in MiniGrid-Empty with three numbers, and {of(many, 'good')} with eight"
        in text
    )
    assert many["verdicts"] == {"swapped": 12}
    door_few, door_many = (negative["MiniGrid-DoorKey-5x5", k] for k in (3, 8))
    assert f"In DoorKey it is {door_few['good']['count']} and {of(door_many, 'good')}, with bases and transfers of more updates" in text
    assert door_many["updates"] > door_few["updates"]
    assert (
        f"`auto` restored {of(acrobot)} failures in Acrobot with eight abstract numbers, and {of(pole_6)} in CartPole with six; all {pole_6['right']['count']}"
        in text
    )
    lander = autos["LunarLander", 8]
    assert f"In LunarLander with eight it restored {of(lander)}, though none of these embeddings is the base's" in text
    assert lander["right"]["count"] == 0
    assert (acrobot["wrong"], pole_6["wrong"], lander["wrong"], pole["wrong"]) == (0, 0, 0, 4)
    assert f"it was {of(pole)} in CartPole with three numbers, and four said cured wrongly" in text
