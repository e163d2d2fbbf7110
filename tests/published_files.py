"""The published files, and how a text is held against what they say."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

from crar_model.core.files import Plain

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


def summary_shares(page: Path) -> dict[str, str]:
    """Successes by variant of the summary of a study's page, "0 of 192"."""
    return {
        name: f"{count} of {of}"
        for name, count, of in re.findall(r"`([a-z-]+)` (\d+)/(\d+) \(", page.read_text(encoding="utf-8").split("Models:")[0])
    }


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
