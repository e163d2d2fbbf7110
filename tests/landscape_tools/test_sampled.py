from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from landscape_tools import FLAT, MINIMUM, NOT_CONVERGED, SADDLE, UNDECIDED
from landscape_tools.sampled import (
    ENOUGH,
    Ends,
    descend,
    difference_product,
    expected_gain,
    spectrum_ends,
    verdict_on_both,
    verdict_on_sample,
)

CURVATURES = np.concatenate(([-0.5, 0.0], np.linspace(0.1, 2.0, 57), [9.0]))


def quadratic(x: np.ndarray) -> tuple[float, np.ndarray]:
    return float(0.5 * x @ (CURVATURES * x)), CURVATURES * x


def test_both_ends_of_a_known_spectrum_with_their_residuals() -> None:
    ends = spectrum_ends(difference_product(quadratic, np.ones(60), 1e-2), 60, steps=40)
    assert ends.lowest == pytest.approx(-0.5, abs=1e-6)
    assert ends.highest == pytest.approx(9.0, abs=1e-6)
    assert max(ends.lowest_residual, ends.highest_residual) < 1e-4
    assert abs(ends.low[0]) == pytest.approx(1.0, abs=1e-6)
    few = spectrum_ends(difference_product(quadratic, np.ones(60), 1e-2), 60, steps=4)
    assert few.lowest_residual > 1e-2  # what four steps do not know is said
    assert spectrum_ends(lambda v: 3.0 * v, 60, steps=9).steps == 1  # one step exhausts the space of a multiple of the identity


def test_descent_reaches_a_known_minimum_and_says_where_it_stopped() -> None:
    def bowl(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float(((x - 2) ** 2).sum() + 1), 2 * (x - 2)

    found = descend(bowl, np.zeros(5), iterations=50, tolerance=1e-8)
    assert (found.start, found.loss) == (21.0, pytest.approx(1.0))
    assert found.gradient <= 1e-8
    assert descend(quadratic, np.ones(60), iterations=1, tolerance=1e-8).iterations == 1


@pytest.mark.parametrize(("power", "share"), [(2.0, 1.0), (1.0, 1.0), (0.585, 1.0), (0.3, 0.25)])
def test_expected_gain_of_known_declines(power: float, share: float) -> None:
    """Of c / steps^p all that is left, for p = 0.58 and more; of slower ones a part."""
    losses = [5.0, *(3 * k**-power for k in range(1, 81))]
    assert expected_gain(losses) >= share * losses[-1]
    assert expected_gain(losses) == pytest.approx(2 * (losses[40] - losses[80]))
    assert expected_gain(losses[:20]) == float("inf")  # too few steps to tell


def test_a_descent_stops_where_its_caller_is_content() -> None:
    curvature = np.geomspace(1e-6, 1.0, 400)

    def valley(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float(0.5 * x @ (curvature * x) + 1.0), curvature * x

    asked: list[tuple[float, float]] = []

    def enough(loss: float, expected: float) -> bool:
        asked.append((loss, expected))
        return expected <= 0.01 * (loss - 0.5)

    found = descend(valley, np.ones(400), iterations=400, tolerance=1e-12, enough=enough)
    assert found.message == ENOUGH
    assert 20 <= found.iterations == len(asked) < 200
    assert (found.loss, found.expected) == asked[-1]
    assert found.gradient > 1e-4  # by the gradient it would have gone on
    on = descend(valley, found.point, iterations=400, tolerance=1e-12)
    assert found.loss - on.loss <= found.expected
    assert descend(valley, np.zeros(400), iterations=9, tolerance=1e-8).expected == 0  # nothing is left at a stationary point


ENDS = Ends(0.5, 1e-3, 9.0, 1e-3, np.ones(1), np.ones(1), 16)


@pytest.mark.parametrize(
    ("gradient", "ends", "verdict"),
    [
        (1e-2, ENDS, NOT_CONVERGED),
        (1e-4, None, UNDECIDED),
        (1e-4, ENDS, MINIMUM),
        (1e-4, replace(ENDS, lowest=-0.5), SADDLE),
        (1e-4, replace(ENDS, lowest=-0.5, lowest_residual=9.0), SADDLE),  # a curvature below 0 is one whatever the residual
        (1e-4, replace(ENDS, lowest=1e-4), FLAT),
        (1e-4, replace(ENDS, lowest_residual=0.6), UNDECIDED),
        (1e-4, replace(ENDS, lowest=float("nan")), UNDECIDED),
    ],
)
def test_verdict_on_a_sample_follows_the_figures(gradient: float, ends: Ends | None, verdict: str) -> None:
    assert verdict_on_sample(gradient, ends, stationary=1e-3)[0] == verdict


@pytest.mark.parametrize(
    ("left", "verdict"), [(0.05, MINIMUM), (0.0, MINIMUM), (0.2, NOT_CONVERGED), (-0.1, NOT_CONVERGED), (float("inf"), NOT_CONVERGED)]
)
def test_a_descent_with_little_left_counts_as_converged(left: float, verdict: str) -> None:
    found, reason = verdict_on_sample(1e-2, ENDS, stationary=1e-3, left=left, share=0.1)
    assert found == verdict
    if left == 0.2:
        assert "further steps are expected to gain 20 % of what there is" in reason


@pytest.mark.parametrize(
    ("own", "other_loss", "other_lowest", "verdict"),
    [
        (MINIMUM, 0.31, 0.4, MINIMUM),
        (MINIMUM, 0.5, 0.4, UNDECIDED),  # the loss of the other sample is far away
        (MINIMUM, 0.31, -0.4, UNDECIDED),  # it curves down there
        (MINIMUM, 0.31, 1e-3, UNDECIDED),
        (SADDLE, 0.31, -0.4, SADDLE),
        (SADDLE, 0.31, 0.4, UNDECIDED),
        (FLAT, 0.31, 1e-3, FLAT),
        (FLAT, 0.31, -0.4, UNDECIDED),
        (NOT_CONVERGED, 0.31, 0.4, NOT_CONVERGED),
        (UNDECIDED, 0.31, 0.4, UNDECIDED),
    ],
)
def test_verdict_for_both_samples_follows_the_figures(own: str, other_loss: float, other_lowest: float, verdict: str) -> None:
    assert verdict_on_both(own, 0.3, 9.0, other_loss, other_lowest)[0] == verdict


def test_a_gradient_that_promises_more_than_is_expected_is_not_converged() -> None:
    """Of what there is to gain, 1, a gradient of 0.5 at a highest curvature of 10 promises 0.0125, and at 0.1 more than all of it."""
    for highest, verdict in ((10.0, "minimum"), (0.1, "not converged")):
        ends = replace(ENDS, lowest=0.05, lowest_residual=0.0, highest=highest)
        found, reason = verdict_on_sample(0.5, ends, stationary=1e-3, left=0.05, share=0.1, gap=1.0)
        assert found == verdict
        assert "5.0e-01" in reason
