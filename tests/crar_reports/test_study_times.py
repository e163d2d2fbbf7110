"""Updates until a score above 0."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from crar_reports.pages.study import variants
from crar_reports.pages.study.rows import groups_of
from crar_reports.pages.study.times import released_times, times_of, times_part
from crar_reports.press.publish import Content, write
from crar_reports.statistics import at_risk
from tests.crar_reports.study_rows import a_study, text_rows, transfer


@pytest.mark.usefixtures("as_published")
def test_curves_stand_beside_the_released_ones_at_equal_updates(tmp_path: Path) -> None:
    groups = groups_of(one for one in text_rows(a_study([4, 0])) if one["variant"] != "base")
    files: dict[str, Content] = {}
    found = times_part(groups, "times.png", files, released=True)
    assert found is not None
    write(tmp_path / "times.png", files["times.png"])
    assert (tmp_path / "times.png").stat().st_size > 1_000
    assert [line[:4] for line in found.rows] == [
        ("freeze, 0.0005, joint", "60,000", "8 of 8", 4), ("freeze, 0.0005, joint, released", "60,000", "30", 2),
        ("unfreeze, 0.0005, joint", "20,000", "4 of 4", 4), ("unfreeze, 0.0005, joint, released", "20,000", "12", 9),
    ]  # fmt: skip
    assert found.equal == 20_000
    lines = found.words
    assert "`freeze, 0.0005, joint` against the 30 released runs up to 60,000 updates" in lines[0]
    assert lines[0].endswith("4/8 of ours and 2/30 of theirs had come up by then.")
    assert "`unfreeze, 0.0005, joint` against `freeze, 0.0005, joint`: the times differ beyond chance" in lines[1]
    assert "released runs up to 20,000 updates" in lines[2]
    alike = times_part(groups_of(text_rows(a_study([0, 0])[2:-4])), "times.png", {}, released=False)
    assert alike is not None
    assert "do not differ" not in " ".join(alike.words)
    assert not alike.has_released
    assert len(times_of(text_rows([transfer(0, "b", good=False, updates_taken=0)]))) == 0


@pytest.mark.parametrize(("first", "risk"), [(None, 1), (10, 0)])
def test_released_times_are_of_the_scores(first: int | None, risk: int) -> None:
    runs: list[Any] = [SimpleNamespace(scores=np.zeros(100), first_above=lambda: first)]
    found = released_times(runs)
    assert at_risk(found, 20_001) == risk
    assert found.censored == ((200_000.0,) if risk else ())


def test_a_search_before_counts() -> None:
    rows = [transfer(0, "b", good=True, at=4_000, search_updates=5_200), transfer(1, "b", good=False, search_updates=5_200)]
    assert (times_of(text_rows(rows)).reached, times_of(text_rows(rows)).censored) == ((9_200.0,), (65_200.0,))
    ((key, group),) = groups_of(text_rows(rows)).items()
    assert variants._trained(key, group) == "60,000 after 5,200 of a search"


def test_a_delay_of_another_length_has_no_released_twin() -> None:
    rows = [
        transfer(0, "b", good=True, variant="delay-structure", structure_delay=delay, updates=60_000 + delay) for delay in (9_000, 30_000)
    ]
    found = times_part(groups_of(text_rows(rows)), "times.png", {}, released=True)
    assert found is not None
    assert [line[0] for line in found.rows] == [
        "delay-structure, 0.0005, joint, 69,000 updates", "delay-structure, 0.0005, joint, 90,000 updates",
        "delay-structure, 0.0005, joint, 90,000 updates, released",
    ]  # fmt: skip


def test_times_are_held_against_freeze_of_the_same_bases() -> None:
    rows = [transfer(k, base, good=base == "b1", at=10_000) for base in ("b0", "b1") for k in range(4)]
    rows += [transfer(k, "b1", good=True, at=10_000, variant="reset-encoder") for k in range(4)]
    found = times_part(groups_of(text_rows(rows)), "times.png", {}, released=False)
    assert found is not None
    assert found.rows[-1][-1] == 1  # as fast as `freeze` from its own base
    assert found.validated == "1,000"


def test_the_same_runs_are_not_held_against_each_other() -> None:
    rows = [transfer(k, base, good=k < 2, at=10_000) for base in ("a", "b") for k in range(4)]
    rows += [transfer(k, "a", good=False, updates=40_000, updates_taken=40_000, cell=f"short {k}") for k in range(2)]
    rows += [transfer(k, "a", good=False, learning_rate=1e-4, cell=f"other {k}") for k in range(2)]
    rows += [transfer(k, "c", good=True, at=10_000 + k, variant="scratch") for k in range(3)]  # of no base, so held against all
    found = times_part(groups_of(text_rows(rows)), "times.png", {}, released=False)
    assert found is not None
    p = {line[0]: float(str(line[-1])) for line in found.rows}
    assert math.isnan(p["freeze, 0.0005, joint, 40,000 updates"])
    rows.append(transfer(9, "b", good=False, updates=40_000, updates_taken=40_000, cell="of another seed"))
    again = times_part(groups_of(text_rows(rows)), "times.png", {}, released=False)
    assert again is not None
    assert {line[0]: float(str(line[-1])) for line in again.rows}[
        "freeze, 0.0005, joint, 40,000 updates"
    ] > 0.05  # the one that is on one side alone
    assert p["freeze, 0.0001, joint"] > 0.05
    assert p["scratch, 0.0005, joint"] < 1
