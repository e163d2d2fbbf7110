"""Results that verdicts are made from."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from crar_model.core.files import Plain
from crar_reports.claims.record import HOLDS, Decided
from crar_reports.claims.table import NAMED
from tests.crar_reports.figures_of_rules import facts, sample

PUBLISHED = Path(__file__).parents[2] / "reports" / "published"


def results(folder: Path, content: Plain) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(content))
    return folder


def pairs_of(figures: Plain, count: int) -> list[Plain]:
    return [{"transfer": f"t/{k}.pt", "base": f"b/{k // 2}.pt", **copy.deepcopy(figures)} for k in range(count)]


def claims_of_mazes(root: Path, count: int = 4) -> list[Path]:
    """Results of `crar claims` in both mazes."""
    found = [
        {"command": "crar claims", "maze": "random", "pairs": measured(sample(), count)},
        json.loads((PUBLISHED / "claims" / "results.json").read_text()),
    ]
    found[1]["pairs"] = found[1]["pairs"][:count]
    return [results(root / f"claims-{number}", content) for number, content in enumerate(found)]


def measured(figures: Plain, count: int) -> list[Plain]:
    """What the spreads ask of a sampled pair beside what its verdicts ask."""
    figures["sampled"]["failed"] |= {"spectrum": {"lowest": 0.1}, "independent": {"loss": 0.2, "lowest": 0.1}}
    return pairs_of(figures, count)


def study_result(folder: Path, **given: Any) -> Path:
    claims = [
        {"maze": maze, **Decided(NAMED[name], HOLDS, f"a figure of {name} in {maze}", 24, 8).plain()} | given
        for maze, names in (("simple", ("S12", "S13", "S14")), ("random", ("S11", "S12", "S14")))
        for name in names
    ]
    return results(folder, {"command": "crar study", "study": "s", "claims": claims})


def lines(report: Path) -> dict[tuple[str, str, str], str]:
    """(claim, maze, from) -> the line of the table of claims."""
    table = report.read_text().split("\n## ")[0]
    cells = [[cell.strip() for cell in line.split("|")] for line in table.split("\n") if line.startswith("| S")]
    return {(cell[1], cell[3], cell[8]): " | ".join(cell) for cell in cells}


def complete(count: int) -> list[Plain]:
    """Pairs of the simple maze, with what the spreads ask for beside what the verdicts ask."""
    found = pairs_of(facts(), count)
    for pair in found:
        pair["certificate"] |= {"subgradient_norm": 0.0, "signature": None}
    return found
