"""Intervals and tests against values worked out by hand or by their definition."""

from __future__ import annotations

import math

import pytest

from reports.statistics import Times, differ, interquartile, middle, share, share_words, survival_share, unlike, unlike_times
from reports.study_page import _odd


def test_shares_have_exact_intervals() -> None:
    found = share([True, False, False, False])
    assert (found["count"], found["of"], found["share"]) == (1, 4, 0.25)
    assert found["low"] == pytest.approx(1 - 0.975 ** (1 / 4))  # P(at least 1 of 4) = 2.5 %
    assert share([False] * 3)["high"] == pytest.approx(1 - 0.025 ** (1 / 3))
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


def test_the_interquartile_mean_resamples_bases() -> None:
    mean, low, high = interquartile([[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    assert (mean, low, high) == (0.5, 0.0, 1.0)  # as wide as the bases are apart, however many transfers each has
    assert interquartile([[0.0, 1.0, 2.0, 100.0]])[0] == 1.5
    assert math.isnan(interquartile([[1.0]])[1])


def test_the_odd_rate_is_judged_by_its_figures() -> None:
    def runs(own: int, around: int) -> list[tuple[str, str, float, bool]]:
        rates = ((1e-4, own), (5e-5, around), (5e-4, around))
        return [("base", str(seed), rate, seed < hits) for rate, hits in rates for seed in range(6)]

    assert " is unlike its neighbours beyond chance: 0/6 against 12/12" in _odd(runs(0, 6), [5e-5, 1e-4, 5e-4])
    assert "not unlike" in _odd(runs(5, 6), [5e-5, 1e-4, 5e-4])
    assert "nothing is said" in _odd(runs(5, 6), [1e-4, 5e-4])
