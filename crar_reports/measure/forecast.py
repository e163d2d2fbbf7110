"""Does anything about a base predict its transfers? Leave-one-base-out predictions, scored beside a constant one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from crar_model.core.errors import UserError
from crar_reports.statistics import CONFIDENCE, share_by_base

RIDGE = 1.0
"""Penalty on squared coefficients of standardised features: a prior of standard deviation 1 on each."""
RESAMPLES = 10_000
FEWEST = 8
"""Bases with transfers below which nothing is scored."""
BINS = 5
"""Groups of a calibration."""
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Table:
    """Bases and what became of their transfers.

    Attributes:
        names: of the features.
        features: (bases, features).
        successes, trials: (bases,) transfers that succeeded, and all.
        fewest: bases below which nothing is scored.
    """

    names: tuple[str, ...]
    features: Array
    successes: Array
    trials: Array
    fewest: int = FEWEST

    def without(self, base: int) -> Table:
        """All bases but one."""
        keep = np.arange(len(self.trials)) != base
        return Table(self.names, self.features[keep], self.successes[keep], self.trials[keep], self.fewest)

    def why_not(self) -> str | None:
        """Why nothing can be scored, or None."""
        if len(self.trials) < self.fewest:
            return f"{len(self.trials)} {'base' if len(self.trials) == 1 else 'bases'} with transfers, fewer than {self.fewest}"
        if self.successes.sum() == 0 or (self.successes == self.trials).all():
            return f"all {self.trials.sum()} transfers {'failed' if self.successes.sum() == 0 else 'succeeded'}, so there is nothing to tell apart"
        return None


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval by resampling bases."""

    value: float
    low: float
    high: float
    confidence: float


@dataclass(frozen=True)
class Group:
    """Bases of like predictions: the mean prediction, and the outcomes as a share by base (:func:`crar_reports.statistics.share_by_base`)."""

    predicted: float
    count: int
    of: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Scored:
    """A predictor and what its leave-one-base-out predictions are worth.

    Attributes:
        name: a key of `PREDICTORS`.
        brier: Brier score. bias: mean of predicted minus succeeded.
        area: of the ROC curve. gain: the Brier score minus the constant predictor's. None of the constant one itself.
        better: whether the interval of the gain lies below 0.
        predicted: probability of every base. calibration: its groups.
    """

    name: str
    brier: Estimate
    bias: Estimate
    area: Estimate | None
    gain: Estimate | None
    better: bool
    predicted: tuple[float, ...]
    calibration: tuple[Group, ...]


@dataclass(frozen=True)
class Scores:
    """All predictors, the constant one first: on how many bases, transfers and successes, which are better than it, and by which features."""

    bases: int
    transfers: int
    successes: int
    rows: tuple[Scored, ...]
    predicts: tuple[str, ...]
    features: tuple[str, ...]


@dataclass(frozen=True)
class Chance:
    """The probability that a transfer of a base succeeds.

    Attributes:
        probability: in [0, 1]. by: the predictor.
        without: whether the base was left out of what it was fitted to.
        alike: what came of the nearest predictions.
    """

    probability: float
    by: str
    without: bool
    alike: Group


Fit = Callable[[Array], float]
"""The probability of success of a base with these features (features,)."""


def constant(table: Table) -> Fit:
    """The share of the other bases' transfers."""
    rate = float((table.successes.sum() + 0.5) / (table.trials.sum() + 1))
    return lambda _: rate


def logistic(table: Table) -> Fit:
    """Logistic regression on all features, standardised, with a ridge."""
    middle, width = table.features.mean(0), table.features.std(0)
    width = np.where(width > 1e-9 * (1 + np.abs(middle)), width, np.inf)  # what does not vary says nothing
    x = np.column_stack((np.ones(len(table.features)), (table.features - middle) / width))
    penalty = np.full(x.shape[1], RIDGE)
    penalty[0] = 1e-3

    def loss(w: Array) -> tuple[float, Array]:
        z = x @ w
        value = float(table.trials @ np.logaddexp(0, z) - table.successes @ z + 0.5 * penalty @ w**2)
        return value, x.T @ (table.trials * expit(z) - table.successes) + penalty * w

    found = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x
    return lambda features: float(expit(found[0] + found[1:] @ ((features - middle) / width)))


def threshold(table: Table) -> Fit:
    """The one feature and the one cut with the highest likelihood, a share on either side."""
    best, chosen = np.inf, (0, np.inf, 0.5, 0.5)
    for column in range(len(table.names)):
        values = np.unique(table.features[:, column])
        for cut in (values[1:] + values[:-1]) / 2:
            above = table.features[:, column] > cut
            hits, count = (np.array([values[side].sum() for side in (~above, above)]) for values in (table.successes, table.trials))
            rates = (hits + 0.5) / (count + 1)
            height = -float(hits @ np.log(rates) + (count - hits) @ np.log(1 - rates))
            if height < best:
                best, chosen = height, (column, float(cut), float(rates[0]), float(rates[1]))
    column, cut, below, beyond = chosen
    return lambda features: beyond if features[column] > cut else below


PREDICTORS: dict[str, Callable[[Table], Fit]] = {"constant": constant, "logistic": logistic, "threshold": threshold}


def held_out(table: Table, predictor: Callable[[Table], Fit]) -> Array:
    """(bases,) probability of each base's success by a predictor that was fitted without it."""
    return np.array([predictor(table.without(base))(table.features[base]) for base in range(len(table.trials))])


def score_predictors(table: Table) -> Scores:
    """Brier score, ROC area and calibration of every predictor, and whether any is better than the constant one.

    Predictions are leave-one-base-out. Intervals resample bases, with the predictions as they are. That anything predicts is said where the
    Brier score's difference to the constant predictor's lies below 0, at a confidence that counts how many were tried (Bonferroni).

    Raises:
        UserError: for a table that nothing can be scored on.
    """
    why = table.why_not()
    if why is not None:
        raise UserError(f"no predictor can be scored: {why}; give more bases and transfers")
    weights = _resampled(len(table.trials))
    predictions = {name: held_out(table, predictor) for name, predictor in PREDICTORS.items()}
    usual = _brier(table, predictions["constant"], weights)
    tried = len(PREDICTORS) - 1
    rows = []
    for name, p in predictions.items():
        brier, area, gain = _brier(table, p, weights), None, None
        bias = (weights @ (table.trials * p - table.successes)) / (weights @ table.trials)
        if name != "constant":
            area, gain = _interval(_area(table, p, weights)), _interval(brier - usual, 1 - (1 - CONFIDENCE) / tried)
        # The constant predictor differs from base to base only by that base's own outcomes, the other way round: a single group.
        groups = calibration(p, table, 1 if name == "constant" else BINS)
        better = gain is not None and gain.high < 0
        rows.append(Scored(name, _interval(brier), _interval(bias), area, gain, better, tuple(p.tolist()), tuple(groups)))
    predicts = tuple(row.name for row in rows if row.better)
    return Scores(len(table.trials), int(table.trials.sum()), int(table.successes.sum()), tuple(rows), predicts, table.names)


def _resampled(bases: int) -> Array:
    """(1 + resamples, bases) how often each base counts; the first row counts each once."""
    picks = np.random.default_rng(0).integers(0, bases, (RESAMPLES, bases))
    weights = np.zeros((RESAMPLES + 1, bases))
    weights[0] = 1
    np.add.at(weights, (np.arange(1, RESAMPLES + 1)[:, None], picks), 1)
    return weights


def _brier(table: Table, p: Array, weights: Array) -> Array:
    squares = table.successes * (1 - p) ** 2 + (table.trials - table.successes) * p**2
    return np.asarray((weights @ squares) / (weights @ table.trials))


def _area(table: Table, p: Array, weights: Array) -> Array:
    """Share of (success, failure) pairs that the predictions put in the right order, ties a half; NaN where there are no pairs."""
    order = (p[:, None] > p[None, :]) + 0.5 * (p[:, None] == p[None, :])
    won, lost = weights * table.successes, weights * (table.trials - table.successes)
    with np.errstate(invalid="ignore"):
        return np.asarray(((won @ order) * lost).sum(1) / (won.sum(1) * lost.sum(1)))


def _interval(values: Array, confidence: float = CONFIDENCE) -> Estimate:
    """The first value with percentiles of the others."""
    low, high = np.nanquantile(values[1:], [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(float(values[0]), float(low), float(high), confidence)


def calibration(predicted: Sequence[float] | Array, table: Table, bins: int = BINS) -> list[Group]:
    """Bases in groups of equal size by their prediction."""
    p, groups = np.asarray(predicted), []
    for g in np.array_split(np.argsort(p, kind="stable"), min(bins, len(p))):
        tries = [[True] * int(k) + [False] * int(n - k) for k, n in zip(table.successes[g], table.trials[g], strict=True)]
        mean = float((p[g] * table.trials[g]).sum() / table.trials[g].sum())
        groups.append(Group(mean, **vars(share_by_base(tries))))
    return groups


def chances(table: Table, features: Array, known: Sequence[bool], scores: Scores) -> list[Chance]:
    """The probability that a transfer of each base succeeds, and what came of predictions like it.

    It is that of the predictor that the scores call better than the constant one, of several the best; where none is, that of the constant one.

    Args:
        table: of the bases whose transfers are known.
        features: (bases, features) of all that are asked about.
        known: which of these are in the table, in its order; they are predicted by what was fitted without them.
        scores: of :func:`score_predictors`.
    """
    best = min((row for row in scores.rows if row.better), key=lambda row: row.brier.value, default=scores.rows[0])
    fitted, left_out = PREDICTORS[best.name](table), iter(best.predicted)
    found = []
    for own, without in zip(features, known, strict=True):
        p = next(left_out) if without else fitted(own)
        alike = min(best.calibration, key=lambda group: abs(group.predicted - p))
        found.append(Chance(p, best.name, bool(without), alike))
    return found


def verdict(scores: Scores) -> str:
    """What :func:`score_predictors` found, in a sentence."""
    constant = scores.rows[0].brier.value
    over = f"of {scores.transfers} transfers from {scores.bases} bases"
    if not scores.predicts:
        best = min(scores.rows[1:], key=lambda row: row.brier.value)
        assert best.gain is not None  # the constant one alone has none
        return (
            f"Nothing predicts: {over}, the best predictor, {best.name}, has a Brier score of {best.brier.value:.3f} against "
            f"{constant:.3f} of the constant one, and the interval of the difference, {best.gain.low:.3f} to {best.gain.high:.3f}, does not lie below 0."
        )
    words = "; ".join(
        f"{row.name}, Brier score {row.brier.value:.3f}, ROC area {row.area.value:.2f} ({row.area.low:.2f} to {row.area.high:.2f})"
        for row in scores.rows
        if row.better and row.area is not None
    )
    return f"Predicts: {over}: {words}; the constant predictor's Brier score is {constant:.3f}."
