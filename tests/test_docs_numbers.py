"""The pages of findings, speed and facts say what the committed files and the code say.

A page is prose without figures, with pieces between that are computed here from the JSON files, in their order on the page. So a
figure that no file gives fails as much as one that differs.
"""

from __future__ import annotations

import re
from statistics import median

import pytest

from benchmarks.page import FIGURES, blocks
from crar_model.models.merit import SUCCESS
from crar_reports.claims.evidence import pair_of
from crar_reports.claims.losses import does
from crar_reports.claims.released_scores import RATE, released_runs
from tests.published_files import ROOT, above, count, hold, published, ratio, score, span, summary_shares, tally
from tests.recipe_pieces import BY_RECIPE, RECIPE, recipe_words

AFFINE, MIX, TEXTURE = "affine, contrast 0.5, brightness 0.25", "mix, condition 10", "texture, brightness 0.25"


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


@pytest.mark.parametrize("page", ["findings", "speed"])
def test_every_figure_of_a_page_is_a_file_s(page: str) -> None:
    text = BY_RECIPE.sub("", RECIPE.sub("", (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")))
    pieces = {"findings": lambda: [*recipe_words(), *findings()], "speed": speed}[page]()
    hold(text, pieces, f"docs/{page}.md")


def test_the_table_of_the_recipe_is_that_of_its_page() -> None:
    page = (ROOT / "reports" / "published" / "recipe_original" / "report.md").read_text(encoding="utf-8")
    for name in ("findings", "update_rules"):
        (block,) = RECIPE.findall((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8"))
        assert block in page, name
