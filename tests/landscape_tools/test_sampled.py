from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from landscape_tools import FLAT, MINIMUM, NOT_CONVERGED, SADDLE, UNDECIDED
from landscape_tools.sampled import Ends, descend, difference_product, spectrum_ends, verdict_on_both, verdict_on_sample

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
