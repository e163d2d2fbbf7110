"""Intervals and tests against values worked out by hand or by their definition."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import pytest

from crar_reports.statistics import (
    Times,
    at_risk,
    differ,
    holm,
    interquartile,
    middle,
    most_apart,
    share,
    share_words,
    success_curve,
    survival_share,
    trimmed,
    unlike,
    unlike_times,
    up_to,
)


def test_shares_have_exact_intervals() -> None:
    found = share([True, False, False, False])
    assert (found.count, found.of, found.share) == (1, 4, 0.25)
    assert found.low == pytest.approx(1 - 0.975 ** (1 / 4))  # P(at least 1 of 4) = 2.5 %
    assert share([False] * 3).high == pytest.approx(1 - 0.025 ** (1 / 3))
    assert share_words([]) == "-"
    assert share_words([True, True]).startswith("2/2 (16 to 100")


def test_two_shares_are_held_against_each_other() -> None:
    assert unlike([True] * 6, [False] * 6) < 0.001
    assert unlike([True, False] * 3, [False, True] * 3) > 0.9
    assert unlike([True], [True]) == 1
    assert math.isnan(unlike([], [True]))


def test_groups_of_one_kind_do_not_differ() -> None:
    assert differ([[True] * 6, [False] * 6]) < 0.01
    assert differ([[True, False] * 3, [True, False] * 3]) == 1
    assert differ([[True, True], [True]]) == 1
    assert math.isnan(differ([[True, False]]))
    assert differ([[True], [False], [True]]) == 1  # one of each: any dealing is as spread
    assert differ([[True], [False] * 7]) == pytest.approx(1 / 8, abs=0.01)  # the lone success falls to the lone one
    assert math.isnan(differ([[], [True, False], []]))


def test_holm_corrects_in_the_order_given() -> None:
    assert holm([0.04, 0.01, 0.03]) == [0.06, 0.03, 0.06]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_times_are_right_censored() -> None:
    times = Times((2_000.0, 4_000.0), (3_000.0, 6_000.0))
    assert survival_share(times, 2_500.0)[0] == pytest.approx(1 / 4)
    assert survival_share(times, 5_000.0)[0] == pytest.approx(1 - 3 / 4 * 1 / 2)  # by hand: two at risk at 4,000
    assert middle(times) == 4_000
    assert math.isinf(middle(Times((2_000.0,), (6_000.0, 6_000.0))))
    never = Times((), (6_000.0,) * 8)
    assert survival_share(never, 100.0)[0] == 0
    assert unlike_times(Times((100.0, 200.0, 300.0, 400.0), ()), never) < 0.01
    assert math.isnan(unlike_times(never, never))
    at_once = Times((5.0, 5.0), ())
    assert unlike_times(at_once, at_once) == 1  # no variance
    assert unlike_times(at_once, Times((), (4.0,))) == 1
    assert unlike_times(at_once, Times((5.0,), (9.0,) * 9)) < 0.05


def test_the_interquartile_mean_resamples_bases() -> None:
    mean, low, high = interquartile([[0.0] * 4, [1.0] * 4] * 2)
    assert (mean, low, high) == (0.5, 0.0, 1.0)  # as wide as the bases are apart, however many transfers each has
    assert math.isnan(interquartile([[0.0] * 4, [1.0] * 4, [0.0] * 4])[1])  # an interval of three would be of ten values
    assert interquartile([[0.0, 1.0, 2.0, 100.0]])[0] == 1.5
    assert math.isnan(interquartile([[1.0]])[1])


def test_the_interquartile_mean_leaves_out_a_quarter_at_each_end() -> None:
    """Whole values only, the fewer of the two: of ten two, of three none."""
    squares = [float(k * k) for k in range(10)]
    assert interquartile([squares])[0] == pytest.approx(sum(squares[2:8]) / 6)
    assert [trimmed(count) for count in (1, 3, 4, 7, 8, 10, 11, 12)] == [0, 0, 1, 1, 2, 2, 2, 3]
    assert interquartile([[0.0, 1.0, 5.0]])[0] == 2.0


def test_a_curve_is_the_product_of_what_stayed() -> None:
    times = Times((2_000.0, 4_000.0), (3_000.0, 6_000.0))
    curve = success_curve(times)
    assert curve.updates == (0, 2_000, 3_000, 4_000, 6_000)
    assert curve.share == pytest.approx((0, 1 / 4, 1 / 4, 5 / 8, 5 / 8))  # by hand: one of four, then one of the two at risk
    assert math.isnan(curve.low[0])
    error = math.sqrt(1 / (4 * 3)) / abs(math.log(3 / 4))  # Greenwood's, on the scale of log(-log)
    assert curve.low[1] == pytest.approx(1 - (3 / 4) ** math.exp(-1.959964 * error))
    assert curve.high[1] == pytest.approx(1 - (3 / 4) ** math.exp(1.959964 * error))
    assert [at_risk(times, at) for at in (0, 2_000, 2_001, 4_000, 6_001)] == [4, 4, 3, 2, 0]
    assert success_curve(Times((), (100.0,))).share == (0, 0)
    assert math.isnan(success_curve(Times((100.0, 200.0), ())).high[-1])  # all have succeeded: the formula has no interval
    with pytest.raises(ValueError, match="needs a model"):
        success_curve(Times((), ()))


def test_times_cut_off_are_censored_there() -> None:
    found = up_to(Times((2_000.0, 4_000.0), (1_000.0, 6_000.0)), 3_000.0)
    assert (found.reached, sorted(found.censored)) == ((2_000.0,), [1_000.0, 3_000.0, 3_000.0])


@pytest.mark.parametrize(
    "groups",
    [([2, 3], [2, 4]), ([1, 2], [5, 6]), ([1, 4], [1, 4], [1, 4]), ([2, 5], [0, 2], [3, 3], [1, 4]), ([0, 3], [0, 2])],
)  # fmt: skip
def test_nothing_lies_further_apart_than_most_apart(groups: tuple[list[int], ...]) -> None:
    """Against every order of the same outcomes, for groups of unequal size too."""
    dealt = [[True] * hits + [False] * (size - hits) for hits, size in groups]
    sizes, total = [len(group) for group in dealt], sum(map(sum, dealt))

    def apart(counts: Sequence[int]) -> float:
        return sum(count**2 / size for count, size in zip(counts, sizes, strict=True))

    found = most_apart(dealt)
    assert [len(group) for group in found] == sizes
    assert sum(map(sum, found)) == total
    every = [counts for counts in itertools.product(*(range(size + 1) for size in sizes)) if sum(counts) == total]
    assert apart([sum(group) for group in found]) == pytest.approx(max(map(apart, every)))
    other_way = most_apart([[not value for value in group] for group in dealt])
    assert differ(found) == pytest.approx(differ(other_way), abs=0.01)


def test_unequal_groups_can_differ_where_failures_fill_the_small_one() -> None:
    assert differ(most_apart([[True, True, False], [True, True, False, False]])) < 0.05
