"""What a cure came to, and a table of many: records, and the form in which `results.json` holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from crar_model.core.files import OTHER, Plain, StrPath, typed
from crar_model.core.kept import AGAIN
from crar_model.core.settings import CureSettings, PlaySettings
from crar_model.cures.candidates import Candidate
from crar_model.cures.cure import Cure
from crar_model.cures.level import Level
from crar_model.cures.methods import METHODS
from crar_model.cures.placement import Valley
from crar_model.models.evaluation import Evaluation
from crar_model.models.merit import as_good, lacks
from crar_reports.statistics import Interval, Share

Place = tuple[float, float]


@dataclass(frozen=True)
class Failed:
    """The model that was to be cured, and how it and its base were trained; older tables name its file alone."""

    path: str
    digest: str
    maze: str = ""
    place: tuple[str, ...] = ()
    map: str = ""
    recipe: str = ""


@dataclass(frozen=True)
class Side:
    """A base beside the failed model."""

    path: str
    digest: str
    same_dynamics: bool


@dataclass(frozen=True)
class Judge(Side):
    """A base that judged the outcome: its own figures, and where it has the start state, None where states cannot be placed."""

    evaluation: Evaluation
    place: Place | None

    def plain(self) -> Plain:
        """As the file holds it; the place stands beside."""
        return vars(Side(self.path, self.digest, self.same_dynamics)) | self.evaluation.plain()


@dataclass(frozen=True)
class Placed:
    """The placement landscape: places of the start state of the failed and the chosen model, its valleys, and which of them a model lies in."""

    places: dict[str, Place]
    valleys: tuple[Valley, ...]
    valley_of: dict[str, int]


@dataclass(frozen=True)
class Budget:
    """What a cure took: updates of candidates, those of free embeddings, seconds."""

    updates: int
    level_updates: int
    seconds: float = float("nan")


@dataclass(frozen=True)
class CureResult:
    """What became of one model.

    Attributes:
        command, key, method, settings, how: of the call; `key` of all that the result depends on.
        failed: the model. base: whose weights could be used; None without one.
        found: candidates of every method and the choice. rule: by what it was chosen, in words.
        placement: None where states cannot be placed.
        before, after: evaluations of the model and of the chosen one, in its own maze.
        to: the base that judged; None without one.
    """

    command: str
    key: str
    method: str
    settings: CureSettings
    how: PlaySettings
    failed: Failed
    base: Side | None
    found: Cure
    rule: str
    placement: Placed | None
    before: Evaluation
    after: Evaluation
    to: Judge | None

    @property
    def already(self) -> bool:
        """Whether there was nothing to cure."""
        return self.found.already

    @property
    def cured(self) -> bool:
        """Whether the losses call the chosen model cured."""
        return self.found.cured and not self.already

    @property
    def by(self) -> str | None:
        """The method of the chosen candidate; None where nothing was tried."""
        return None if self.already else self.chosen.method

    @property
    def chosen(self) -> Candidate:
        """The candidate that the rule puts first."""
        return self.found.best

    @property
    def as_base(self) -> bool:
        """Whether only its base's share of mispredictions says that the chosen model is good."""
        return not self.found.loose and (self.level is None or self.chosen.by_base)

    @property
    def level(self) -> Level | None:
        """What the dynamics allow."""
        return self.found.level

    @property
    def base_used(self) -> bool:
        """Whether a method that was tried takes the base's weights."""
        return any(METHODS[each.method].needs_base for each in self.found.tried)

    @property
    def budget(self) -> Budget:
        """What it took."""
        level = 0 if self.level is None else self.level.updates
        return Budget(self.found.updates, level, self.found.level_seconds + sum(each.seconds for each in self.found.tried))

    @property
    def restored(self) -> bool | None:
        """Whether the chosen model is as good as the base that judged; None without one."""
        return None if self.to is None else as_good(self.after, self.to.evaluation)

    def plain(self) -> Plain:
        """As `results.json` holds it."""
        to, level = self.to, self.level
        return {name: getattr(self, name) for name in ("command", "key", "method", "settings", "how", "failed", "base")} | {
            "base_used": self.base_used, "cured": self.cured, "already": self.already, "by": self.by, "rule": self.rule,
            "failed_candidate": self.found.before.plain(), "chosen": self.chosen.plain(), "tried": [each.plain() for each in self.found.tried], "base_astray": self.found.base_astray,
            "level": level and {"total": float(level.totals[0]), "totals": level.totals.tolist(), "tail": asdict(level.tail), "updates": level.updates},
            "placement": self.placement, "budget": self.budget, "before": self.before.plain(), "after": self.after.plain(),
            "to": to and to.plain(), "base_place": to and to.place, **({"failed_before": not as_good(self.before, to.evaluation)} if to else {}),
            "restored": self.restored, "lacks": to and lacks(self.after, to.evaluation),
        }  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What one cure came to, in a table of many: `level` and `total` are losses of the best free embedding, NaN where there is none, and of the choice."""

    method: str
    failed: Failed
    cured: bool
    by: str | None
    restored: bool
    lacks: list[str]
    budget: Budget
    before: Evaluation
    after: Evaluation
    seed: int
    base: str
    base_digest: str
    level: float | None
    total: float

    @classmethod
    def of(cls, plain: Plain, where: StrPath) -> Row:
        """From the `results.json` of a cure that a base judged.

        Raises:
            UserError: for other data; `where` they lie.
        """
        file = typed(plain, _File, f"{where}: {OTHER}", AGAIN)
        level = None if file.level is None else file.level.total
        return cls(
            file.method, file.failed, file.cured, file.by, file.restored, file.lacks, file.budget, Evaluation.of(file.before), Evaluation.of(file.after),
            file.settings.seed, file.to.path, file.to.digest, level, file.chosen.terms.total,
        )  # fmt: skip

    def plain(self) -> Plain:
        """As the table's `results.json` holds it, without loss terms."""
        return vars(self) | {"before": self.before.merits(), "after": self.after.merits()}


@dataclass(frozen=True)
class _Total:
    total: float


@dataclass(frozen=True)
class _Chosen:
    terms: _Total


@dataclass(frozen=True)
class _Seed:
    seed: int


@dataclass(frozen=True)
class _File:
    """What a table takes from the `results.json` of one cure."""

    method: str
    failed: Failed
    settings: _Seed
    cured: bool
    by: str | None
    restored: bool
    lacks: list[str]
    budget: Budget
    before: dict[str, Any]
    after: dict[str, Any]
    chosen: _Chosen
    level: _Total | None
    to: Side


@dataclass(frozen=True)
class OfMethod:
    """How many failed transfers a method brought into their base's embedding (`valley`) and restored, with exact intervals by base, and how far its own
    word is right; medians are of what it took."""

    method: str
    transfers: int
    cured: Share
    restored: Share
    restored_by_base: Interval
    valley: Share
    bases_restored: Share
    cured_not_restored: int
    restored_not_cured: int
    lacks: Mapping[str, int]
    median_updates: float
    median_level_updates: float
    median_seconds: float


@dataclass(frozen=True)
class Cures:
    """A table of cures: of so many transfers `as_good` were left alone and `failed` were cured, a row for each and every method."""

    command: str
    settings: CureSettings
    transfers: int
    failed: int
    as_good: int
    rows: list[Row]
    definition: str = ""
    table: list[OfMethod] = field(default_factory=list)
    spending: str = ""

    def plain(self) -> Plain:
        """As `results.json` holds it."""
        return vars(self) | {"rows": [row.plain() for row in self.rows]}


@dataclass(frozen=True)
class Made:
    """What other pages take from a row of a table of cures."""

    failed: Failed
    base: str
    base_digest: str
    method: str
    cured: bool
    restored: bool | None
    budget: Budget


@dataclass(frozen=True)
class Embedded:
    """How many of a method's encoders have an embedding that is the base's, or is so up to a symmetry of the world."""

    method: str
    valley: Share


@dataclass(frozen=True)
class Table:
    """What other pages take from the `results.json` of a table of cures."""

    command: str
    settings: CureSettings
    rows: list[Made]
    table: list[Embedded] = field(default_factory=list)
