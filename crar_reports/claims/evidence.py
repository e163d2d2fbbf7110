"""What the rules of the claims read: figures of `results.json`, by kind of evidence; names are those of the file. Read by `crar_reports.claims.reading`."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan

from crar_model.agent.symmetry import Match
from crar_model.tasks.metrics import Score
from crar_reports.claims.reading import Plain, read
from crar_reports.measure.shifted_descents import Descent
from crar_reports.measure.shifts import Shift
from landscape_tools.lines import Barrier


@dataclass(frozen=True)
class Terms:
    """Loss terms, or what no encoder can lower of them."""

    transition: float
    reward: float
    discount: float
    ball: float
    random_pairs: float
    consecutive: float
    value: float
    total: float


@dataclass(frozen=True)
class Errors:
    """See `crar_reports.measure.move_errors.transition_errors`."""

    largest: float
    mean: float
    above_two: float
    above_at_door: float
    near: float | None
    far: float
    moves: int
    near_states: int
    states: int
    board_near: int
    board: int
    two_edges: float
    worst: int
    worst_share: float
    worst_at_door: int


@dataclass(frozen=True)
class Curved:
    """A point with its lowest curvature; of an independent sample, along the lowest direction of the other one."""

    loss: float
    lowest: float | None


@dataclass(frozen=True)
class Certificate:
    """What an encoder is where it converged under the frozen dynamics. See `crar_reports.measure.minimum.Minimum`."""

    verdict: str
    reason: str
    loss: float
    terms: Terms
    match: Match
    multiplier_slack: float | None
    subgradient_norm: float
    signature: Curved | None


@dataclass(frozen=True)
class Path:
    """A path: its barrier, the total at both ends and, lifted to weights, the share of its way that the lift goes."""

    barrier: float
    start: float
    end: float
    reached: float


@dataclass(frozen=True)
class Paths:
    """Paths in the space named. See `crar_reports.measure.paths.Passage`."""

    frozen: Path
    free: Path
    valleys: Path | None
    straight: dict[str, float]
    space: str
    searches: dict[str, Path]
    lifted: Path | None = None


@dataclass(frozen=True)
class Released:
    """A model after more of it was trained: a descent counts iterations, a training updates. See `crar_reports.measure.release.Released`."""

    terms: Terms
    match: Match
    converged: bool
    iterations: int | None = None
    updates: int | None = None


@dataclass(frozen=True)
class OnSample:
    """A converged encoder on a sample (`verdict`) and on both (`both`). See `crar_reports.measure.sample_minimum.OnSample`."""

    verdict: str
    reason: str
    both: str
    both_reason: str
    loss: float
    gradient: float
    match: Match
    spectrum: Curved
    independent: Curved


@dataclass(frozen=True)
class SamplePaths:
    """Paths in the weights on a sample; `independent` has the same barriers on the other one."""

    straight: float
    frozen: Path
    free: Path
    independent: dict[str, float]


@dataclass(frozen=True)
class Sampled:
    """See `crar_reports.measure.sample_paths.Sampled`."""

    sizes: dict[str, dict[str, int]]
    floors: dict[str, float]
    failed: OnSample
    reference: OnSample
    paths: SamplePaths


@dataclass(frozen=True)
class Alone:
    """One model without its base. See `crar_reports.measure.without_reference.Lone`."""

    terms: Terms
    stationary_terms: Terms
    floor: float
    quick: bool
    oddness: tuple[float, float]
    errors: Errors
    certificate: Certificate
    adapted: Released
    released: Released
    shifts: list[Shift]


NO_SCORE = Score(nan, -inf, inf, 0, None, None)
"""Of a world in which no score is defined: an interval that decides nothing."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A transfer and its base. See `crar_reports.measure.dissection.Dissection`."""

    transfer: str
    base: str
    failed_terms: Terms
    optimum_terms: Terms
    copy_terms: Terms
    floor: Terms
    match: Match
    quick: bool
    barriers: dict[str, dict[str, Barrier]]
    adapted: Released
    released: Released
    shifts: list[Shift] | None = None
    shifts_on: dict[str, int] | None = None
    descents: list[Descent] | None = None
    recipe: dict[str, str] | None = None
    origin: str | None = None


@dataclass(frozen=True, kw_only=True)
class Listed(Pair):
    """Where all transitions are listed; `accuracy`, `navigation` and, where rewards or ends differ, `outcome_accuracy` are of the failed model, the reference
    and the base's copy."""

    same_dynamics: bool = True
    oddness: tuple[float, float]
    midpoint: float
    accuracy: list[float]
    navigation: list[float]
    errors: Errors
    certificate: Certificate | None
    paths: Paths
    reference: Certificate | None = None
    outcome_accuracy: list[float] | None = None


@dataclass(frozen=True, kw_only=True)
class Samples(Pair):
    """Where transitions are sampled. In mazes with a score that says what agents can do; elsewhere `accuracy`, as in :class:`Listed`."""

    failed_score: Score = NO_SCORE
    copy_score: Score = NO_SCORE
    accuracy: list[float] | None = None
    sampled: Sampled | None = None

    @property
    def scored(self) -> bool:
        """Whether the world has a score; of one from a study's table only mean and interval are known."""
        return self.failed_score is not NO_SCORE


def pair_of(plain: Plain, *, complete: bool) -> Listed | Samples:
    """A pair, of an evaluation set that is all there is or of samples; errors as :func:`read`."""
    return read(Listed, plain) if complete else read(Samples, plain)
