"""Intervals whose unit is the base, and the interquartile mean with what it leaves out."""

from __future__ import annotations

import math
from typing import Any

import pytest

from crar_reports.figures.shares import shares_figure
from crar_reports.pages.maps import counted
from crar_reports.pages.study import times, variants
from crar_reports.pages.study.page import summary
from crar_reports.pages.study.rows import groups_of
from crar_reports.statistics import interquartile, share, share_by_base, share_words_by_base, trimmed
from tests.crar_reports.study_rows import a_study, text_rows, transfer
from tests.crar_reports.test_maps import of_freeze


def test_sixteen_tries_of_two_bases_are_two() -> None:
    found = share_by_base([[True] * 6 + [False] * 2, [True] * 5 + [False] * 3])
    assert (found.count, found.of, found.share) == (11, 16, 11 / 16)
    assert (found.low, found.high) == (0.0, 1.0)  # neither came through whole, both did at all
    assert share_words_by_base([[True] * 8, [True] * 7 + [False]]) == "15/16 (1 to 100 %)"


def test_with_a_try_a_base_it_is_the_usual_interval() -> None:
    values = [True, False, False, True, False, True, True]
    assert share_by_base([[value] for value in values]) == share(values)
    assert repr(share_by_base([])) == repr(share_by_base([[]])) == repr(share([]))
    assert share_words_by_base([]) == "-"


def test_many_failures_of_few_bases_say_little() -> None:
    assert share_by_base([[False] * 8] * 24).high == pytest.approx(share([False] * 24).high)
    assert share_by_base([[False] * 96] * 2).high == pytest.approx(1 - 0.025 ** (1 / 2))


def test_the_interval_holds_the_share() -> None:
    found = share_by_base([[True], [True], [False] * 100])
    assert found.low <= found.share <= found.high
    none = share_by_base([[False], [False], [True] * 100])
    assert none.low <= none.share <= none.high


def test_maps_studies_and_figures_count_by_base() -> None:
    (cell,) = counted([of_freeze("negative", base, good=k < 6) for base in "ab" for k in range(8)])
    assert (cell.all.low, cell.all.high) == (0.0, 1.0)
    rows = text_rows(a_study([4, 0]))
    ((key, group), *_) = groups_of(one for one in rows if one["variant"] == "freeze").items()
    assert variants._variant_row(key, group, {key: group})[3] == "4/8 (1 to 99 %)"
    alone = text_rows([transfer(k, "", good=True, variant="scratch") for k in range(3)])
    ((key, group),) = groups_of(alone).items()
    assert variants._variant_row(key, group, {key: group})[3] == "3/3 (29 to 100 %)"  # of no base: each for itself
    figure = shares_figure([("", [("a", [[True] * 8, [False] * 8])])], "share")
    bars: list[Any] = list(figure.axes[0].collections)
    assert bars[0].get_segments()[0][:, 0].tolist() == pytest.approx([share([True, False]).low, share([True, False]).high])


def test_below_four_the_interquartile_mean_is_the_mean_and_says_so() -> None:
    assert [trimmed(count) for count in (1, 3, 4, 7, 8, 48)] == [0, 0, 1, 1, 2, 12]
    values = [0.0, 1.0, 5.0]
    assert interquartile([values])[0] == 2.0
    for count in (3, 4, 7, 8, 10):  # as many as it says are left out at each end
        own = [float(k**3) for k in range(count)]
        kept = own[trimmed(count) : count - trimmed(count)]
        assert interquartile([own])[0] == pytest.approx(sum(kept) / len(kept))
    few = text_rows([transfer(k, f"b{k}", good=True, final_score=value) for k, value in enumerate(values)])
    assert variants._middle([[row] for row in few]) == "2, mean of 3"
    more = text_rows([transfer(k, f"b{k}", good=True, final_score=float(k)) for k in range(8)])
    assert variants._middle([more]) == "3.5, 2 + 2 of 8 trimmed"
    assert math.isnan(interquartile([[1.0]] * 3)[1])
    low, high = interquartile([[1.0], [1.0], [3.0], [3.0]])[1:]
    assert low < 2 < high


def test_the_log_rank_counts_the_updates_of_a_search() -> None:
    """Two variants that come up at the same update of their training: the one that searched before is later, and the test sees it."""
    usual = [transfer(k, "b", good=True, at=4_000 + k) for k in range(8)]

    def p(search: int) -> float:
        rows = [*usual, *(transfer(k, "b", good=True, at=4_000 + k, variant="first-layer", search_updates=search) for k in range(8))]
        groups = groups_of(text_rows(rows))
        (own,) = (key for key in groups if key.variant == "first-layer")
        (main,) = (key for key in groups if key.variant == "freeze")
        return times._shared(groups, own, main)

    assert p(0) == 1
    assert p(5_200) < 0.001


def test_a_summary_names_the_search() -> None:
    rows = text_rows([*a_study([2, 2]), transfer(9, "b0", good=True, variant="first-layer", search_updates=5_200)])
    (line,) = (text for about, text in summary(rows, []) if about == "Success in the random mazes")
    assert "`first-layer` 1/1 (2 to 100 %) of 60,000 updates after 5,200 of a search" in line or "`first-layer` 1/1 (3 to 100 %)" in line
