"""What is tried to leave minima, and what the `results.json` of `crar escape` hold: of one minimum, and of many."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import product

from crar_model.core.errors import UserError
from crar_model.core.ranges import MOST_WHOLE
from crar_model.core.settings import UPDATE_RULES
from crar_model.core.sizes import check_escape
from crar_reports.measure.exits import JOINT, Cell, Counted, Counts, Watched
from crar_reports.measure.minimum import AtRest
from crar_reports.pages.escape.measure import OPTIMISERS
from crar_reports.statistics import Share

UNKNOWN = "an unknown recipe"
"""Of a checkpoint that does not say how it was trained, such as one that was imported."""
MINIMUM = "minimum"
"""Verdict of the certificate without which a point counts for nothing here: who leaves a slope has not escaped."""


@dataclass(frozen=True)
class Grid:
    """What is tried.

    Attributes:
        rates, sgd_rates: constant learning rates of RMSprop and of plain SGD.
        batches: transitions per update.
        seeds: members of every cell.
        updates: for how long they are watched.
        checks: noiseless descents on the way.
        rules: what a step follows, "joint" or "sequential".
    """

    rates: tuple[float, ...] = (8e-5, 1e-3)
    sgd_rates: tuple[float, ...] = (1e-4, 1e-3)
    batches: tuple[int, ...] = (8, 32)
    seeds: int = 100
    updates: int = 5_000
    checks: int = 4
    rules: tuple[str, ...] = (JOINT,)

    def validate(self) -> None:
        """Raise :class:`UserError` for a value out of range."""
        for flag, values in (("--rate", self.rates), ("--sgd-rate", self.sgd_rates)):
            for value in values:
                if not (0 < value < math.inf):
                    raise UserError(f"{flag} is {value}; give a number above 0")
        for name, limit in (("seeds", self.seeds), ("updates", self.updates), ("checks", self.checks)):
            if not 1 <= limit <= MOST_WHOLE:
                raise UserError(f"--{name} is {limit}; give a whole number from 1 to {MOST_WHOLE:,}")
        check_escape(max(len(self.rates), len(self.sgd_rates)), self.seeds, max(self.batches))
        for rule in self.rules:
            if rule not in UPDATE_RULES:
                raise UserError(f"--update-rule is {rule!r}; choose one of {', '.join(UPDATE_RULES)}")
        if self.checks > self.updates:
            raise UserError(f"--checks is {self.checks}, more than --updates {self.updates}; give fewer")

    def groups(self) -> list[list[Cell]]:
        """Cells by optimiser, rule and batch size."""
        rates = {"sgd": self.sgd_rates, "rmsprop": self.rates}
        kinds = [kind for kind in product(OPTIMISERS, self.rules, self.batches) if rates[kind[0]]]
        return [[Cell(name, rate, batch, rule) for rate in rates[name]] for name, rule, batch in kinds]


@dataclass(frozen=True)
class Model:
    """A checkpoint; results of before they said so have no recipe."""

    path: str
    digest: str
    recipe: str = ""


@dataclass(frozen=True, kw_only=True)
class Start(AtRest):
    """The minimum, what the best path found from it to the base's embedding climbs, and the total loss of the base's copy at rest."""

    barrier: float
    reference: float = math.nan


@dataclass(frozen=True)
class Totals:
    """Losses of the minimum and of the base's copy at rest, and what no encoder can lower."""

    minimum: float
    base: float
    floor: float


@dataclass(frozen=True)
class Escape:
    """Of one minimum.

    Attributes:
        log_ratio: natural logarithm of its excess loss over the reference's. still: mean moves that its own noiseless descent ends from it.
        key: of all that it depends on.
    """

    command: str
    failed: Model
    base: Model
    grid: Grid
    minimum: Start
    totals: Totals
    log_ratio: float
    still: float
    cells: list[Watched]
    key: str = ""


@dataclass(frozen=True, kw_only=True)
class Row(Counts):
    """A minimum among many: what it looks like, and how many left it in all cells and in each; `recipe` is of its base, `trained` its own."""

    name: str
    path: str
    base: str
    base_digest: str
    verdict: str
    loss: float
    barrier: float
    log_ratio: float
    lowest: float | None
    highest: float | None
    recipe: str = UNKNOWN
    trained: str = UNKNOWN
    cells: list[Counted]


@dataclass(frozen=True, kw_only=True)
class Kind(Counted):
    """A kind of noise over all minima of bases of one recipe: how many there are (`of`), any left, any came to the base from, and the share that left, where
    nobody diverged."""

    recipe: str
    minima: int
    arrived: int
    of: int
    share: Share | None


@dataclass(frozen=True)
class Relation:
    """A look of a minimum beside an outcome, of so many bases: rank correlation, its p and that by Holm's correction; `attainable` is the smallest p that
    ties allow."""

    recipe: str
    look: str
    outcome: str
    bases: int
    attainable: float
    rho: float | None = None
    p: float | None = None
    corrected: float | None = None


@dataclass(frozen=True)
class Escapes:
    """Of many minima; what follows from the rows is found anew for every page."""

    command: str
    grid: Grid
    came_back: int
    rows: list[Row]
    certified: int = 0
    kinds: list[Kind] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)

    @property
    def minima(self) -> list[Row]:
        """The rows of certified minima."""
        return [row for row in self.rows if row.verdict == MINIMUM]
