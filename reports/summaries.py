"""What a page was asked, what it found and how sure that is, in about five lines made of its figures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

import xarray as xr

from crar_model.words import plural
from reports.claims import Decision
from reports.markdown import number

Plain = dict[str, Any]
Lines = list[tuple[str, str]]
"""(what the line is about, its text): see :func:`reports.markdown.bullets`."""
QUICK = "made with `--quick`, so descents, paths and scores were cut short"


def _counted(words: Sequence[str]) -> str:
    """ "holds 7, undecided 2" of the words, most frequent first."""
    return ", ".join(f"{word} {count}" for word, count in Counter(words).most_common())


def size_words(size: Plain) -> str:
    """ "256 transitions of 228 maps (2 terminal)"."""
    return f"{plural(size['transitions'], 'transition')} of {plural(size['maps'], 'map')} ({size['terminal']:,} terminal)"


def landscape_summary(d: Plain, decisions: Sequence[Decision], *, variant: str, where: str, cured: str = "") -> Lines:
    """Of `crar landscape`.

    Args:
        d: from `Dissection.plain()`.
        decisions: the claims on it.
        variant: of the transfer.
        where: the maze in words.
        cured: method of `crar cure` that made the reference from this very network, in the place of a base; "" for a base.
    """
    certificate, paths, sampled = d.get("certificate"), d.get("paths"), d.get("sampled")
    lines = [
        ("Asked", f"why this `{variant}` transfer misses what its base can do in the {where}."),
        (
            "Where it is",
            f"total loss {number(d['failed_terms']['total'])}, the base's copy{', converged,' if d.get('reference') or d.get('sampled') else ''} "
            f"{number(d['optimum_terms']['total'])}; "
            f"its embedding is {d['match']['verdict']}.",
        ),
    ]
    if cured:
        lines.insert(
            1,
            (
                "Held against",
                f"what `crar cure` ({cured}) made of this very network: the same dynamics, an encoder found by losses alone. Its base is not at hand, "
                "so 'base' means that cure on this page, and S1 and S2 are of it.",
            ),
        )
    if certificate:
        lines.append(
            (
                "What it is",
                f"{certificate['verdict']}, by the certificate of where a descent of its encoder ends under the frozen dynamics "
                f"(total loss {number(certificate['loss'])}).",
            )
        )
    if sampled:
        own, size = sampled["failed"], sampled["sizes"]["sample"]
        lines.append(
            (
                "What it is",
                f"{own['verdict']} on a sample of {size['transitions']:,} transitions ({size['terminal']} terminal), {own['both']} with an independent one: "
                f"a descent of its encoder under the frozen dynamics ends at total loss {number(own['loss'])}, {number(own['independent']['loss'])} there.",
            )
        )
    way = f"the straight line to the base's copy climbs {number(d['barriers']['embedding']['total']['climb'])}"
    if paths:
        way += (
            f"; the best path found climbs {number(paths['frozen']['barrier'])} with the dynamics frozen and "
            f"{number(paths['free']['barrier'])} with them free, upper bounds both"
        )
    if sampled:
        found = sampled["paths"]
        way += (
            f" between the embeddings; in the weights, from where that descent ended, {number(found['straight'])} straight, {number(found['frozen']['barrier'])} on the "
            f"best path found with the dynamics frozen and {number(found['free']['barrier'])} with them free, upper bounds both"
        )
    sure = f"verdicts on {len(decisions)} claims: {_counted([one.verdict for one in decisions])}; one pair of models, no more"
    return [*lines, ("What is in the way", f"{way}."), ("How sure", f"{sure}{'; ' + QUICK if d['quick'] else ''}.")]


def claims_summary(groups: Mapping[str, Sequence[Plain]], verdicts: Mapping[str, Mapping[str, tuple[str, str]]], *, bases: int) -> Lines:
    """Of `crar claims`.

    Args:
        groups: "failed by what they do", "successful by what they look like" ... -> their dissections; every transfer is in one group of each kind.
        verdicts: group -> claim -> (verdict, how many transfers have which).
        bases: how many bases the transfers are of.
    """
    everything = [d for name, group in groups.items() if name.endswith("do") for d in group]
    lines = [("Asked", f"which of the appendix's claims hold of {plural(len(everything), 'transfer')} from {plural(bases, 'base')}.")]
    for name, group in groups.items():
        by_verdict: dict[str, list[str]] = {}
        for claim, (verdict, _) in verdicts[name].items():
            by_verdict.setdefault(verdict, []).append(claim)
        found = "; ".join(f"{verdict}: {', '.join(claims)}" for verdict, claims in by_verdict.items())
        lines.append((f"Found of the {len(group)} {name}", f"{found}."))
    failed = groups.get("failed by what they do", ())
    if failed:
        certified = [_certified(d) for d in failed]
        straight = _median_known(
            d["sampled"]["paths"]["straight"] if "sampled" in d else d["barriers"]["embedding"]["total"]["climb"] for d in failed
        )
        frozen = _median_known(d.get("sampled", d)["paths"]["frozen"]["barrier"] for d in failed)
        lines.append(
            (
                "Where the failed ones sit",
                f"certificates: {_counted(certified)}; median climb {number(straight)} on the straight line, "
                f"{number(frozen)} on the best path found with frozen dynamics.",
            )
        )
    sure = "a verdict stands for a group when 80 % of it share it, else it is mixed; barriers are upper bounds"
    smallest = min(len(group) for group in groups.values())
    few = f"; the smallest group has {plural(smallest, 'transfer')}"
    quick = f"; {QUICK}" if any(d["quick"] for d in everything) else ""
    return [*lines, ("How sure", f"{sure}{few}{quick}.")]


def _median_known(values: Iterable[float | None]) -> float:
    """The median of what could be measured; NaN of nothing."""
    known = [value for value in values if value is not None and not math.isnan(value)]
    return median(known) if known else math.nan


def _certified(d: Plain) -> str:
    """What the certificate calls a failed model; on samples, with the independent one."""
    if "sampled" in d:
        return str(d["sampled"]["failed"]["both"])
    return str(d["certificate"]["verdict"]) if d["certificate"] else "not certified"


def trajectory_summary(data: xr.Dataset, *, whose: str) -> Lines:
    """Of `crar trajectory`; `data` of `sample_trajectory` with the updates as coordinate `snapshot`."""
    updates = [int(update) for update in data["snapshot"].values]
    true, seen, off = (data[name].values for name in ("total_true", "total_projected", "distance"))
    low, far = int(true.argmin()), int(off.argmax())
    x, y = 100 * data.attrs["explained_x"], 100 * data.attrs["explained_y"]
    return [
        ("Asked", f"which way {whose} took through the loss, on the plane that holds most of it."),
        (
            "Found",
            f"total loss {number(float(true[0]))} at update {updates[0]:,}, {number(float(true[-1]))} at update {updates[-1]:,}; "
            f"the lowest is {number(float(true[low]))} at update {updates[low]:,}.",
        ),
        ("The plane", f"its axes hold {x:.1f} % and {y:.1f} % of the squared distances from the last snapshot, {x + y:.1f} % together."),
        (
            "What it misses",
            f"the snapshot of update {updates[far]:,} lies {number(float(off[far]))} off the plane: its loss is "
            f"{number(float(true[far]))}, its foot's {number(float(seen[far]))}.",
        ),
        ("How sure", f"{plural(len(updates), 'snapshot')} of one member; contours are exact on the plane and say nothing beside it."),
    ]


def study_summary(bases: Sequence[Plain], transfers: Sequence[Plain], *, where: str, metrics: Sequence[str], note: str = "") -> Lines:
    """Of `crar report`.

    Args:
        bases, transfers: last models as `results.json` has them, with "variant", "updates", "terms", "match" and figures of merit.
        where: the maze in words.
        metrics: names of the figures of merit.
        note: what else limits the page, such as shortened schedules.
    """
    variants = list(dict.fromkeys(one["variant"] for one in transfers))
    lines = [
        (
            "Asked",
            f"what becomes of {plural(len(bases), 'base')} in the {where} under {', '.join(f'`{name}`' for name in variants)}: "
            f"{plural(len(transfers), 'transfer')}.",
        )
    ]
    outcomes = []
    for name in variants:
        own = [one for one in transfers if one["variant"] == name]
        counts = Counter(one["match"]["verdict"] if "match" in one else "not compared" for one in own)
        words = ", ".join(f"{counts[w]} {w}" for w in ("matched", "swapped", "neither", "not compared") if counts[w])
        outcomes.append(f"`{name}` {words} of {len(own)}")
    lines.append(("Outcomes", f"{'; '.join(outcomes)}."))
    middles = []
    for metric in metrics:
        at = {kind: _middle(models, metric) for kind, models in (("bases", bases), ("transfers", transfers))}
        middles.append(f"{metric.replace('_', ' ')} {at['transfers']} (bases {at['bases']})")
    lines.append(("What they can do", f"{'; '.join(middles)}: medians."))
    term = {kind: median(one["terms"]["transition"] for one in models) for kind, models in (("b", bases), ("t", transfers))}
    lines.append(("Loss", f"median transition term {number(term['t'])}, of the bases {number(term['b'])}."))
    lowest, highest = (f(one["updates"] for one in transfers) for f in (min, max))
    span = f"{lowest:,}" if lowest == highest else f"{lowest:,} to {highest:,}"
    sure = f"transfers of {span} updates from {plural(len(bases), 'base')}; other bases and longer runs may end otherwise"
    return [*lines, ("How sure", f"{sure}{'; ' + note if note else ''}.")]


def cure_line(found: Plain) -> str:
    """What a cure that was judged by a base came to, in a sentence; `found` from `write_cure`."""
    before, after = number(found["before"]["terms"]["total"]), number(found["after"]["terms"]["total"])
    spent = f"{found['budget']['updates']:,} updates of candidates"
    if found["already"]:
        return f"nothing was tried: the model's total loss, {before}, is what its dynamics allow."
    if not found["cured"]:
        return f"nothing that was tried: the best candidate, of {found['by']}, has total loss {after} against {before}, after {spent}."
    verdict = (
        "its base agrees" if found["restored"] else "its base does not agree" if found["restored"] is not None else "no base was asked"
    )
    return f"{found['by']}, chosen by losses alone: total loss {before} before, {after} after {spent}; {verdict}."


def _middle(models: Sequence[Plain], metric: str) -> str:
    values = [one[metric] for one in models if metric in one]
    if not values:
        return "-"
    if isinstance(values[0], dict):
        return f"{median(value['mean'] for value in values):.2f}"
    return f"{100 * median(values):.0f} %"
