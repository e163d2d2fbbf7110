"""A claim of the appendix as one record: its text and, for every kind of evidence, the rule that decides it, what that checks in words, and its measures.

The constants of a rule stand above it, each once, and its check is formatted from them: words and rule cannot part. Each check could come out either way.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

from crar_model.core.settings import BEST_OF, UPDATE_RULES
from crar_reports.claims.evidence import Alone, Listed, Samples
from crar_reports.claims.reading import NotMeasured

E = TypeVar("E")
T = TypeVar("T")


class Verdict(StrEnum):
    """What a claim comes to; `MIXED` of many models that do not agree."""

    HOLDS = "holds"
    EXCEPTIONS = "holds with exceptions"
    FAILS = "does not hold"
    UNDECIDED = "undecided"
    MIXED = "mixed"


HOLDS, EXCEPTIONS, FAILS, UNDECIDED, MIXED = Verdict
Found = tuple[str, Verdict]
"""The measured figures in words, the verdict."""
AGREE = 0.8
"""Least share of models that must have one verdict for it to be that of all."""
PARTS = {0.5: "half", 0.25: "a quarter of", 0.1: "a tenth of"}


def part(share: float) -> str:
    """A share in words that go before what it is of."""
    return PARTS.get(share, f"{100 * share:g} % of")


def percent(share: float) -> str:
    """A share in per cent."""
    return f"{100 * share:.0f} %"


def recipe_words(bases: str, transfers: str) -> str:
    """How bases and their transfers were trained, as verdicts name it; "" where either is not known."""
    return f"bases {bases}; transfers {transfers}" if bases and transfers else ""


TRAINED = rf"(?:{'|'.join(UPDATE_RULES)}) \d[\d.e+-]*, (?:{BEST_OF})?\d[\d,]* updates(?:, terminal last)?"
RECIPE = re.compile(f"bases ({TRAINED}); transfers ({TRAINED})")
"""How models were trained, as :func:`recipe_words` says it."""
EXAMPLE = recipe_words("joint 0.0005, 75,000 updates", "sequential 8e-05, 40,000 updates, terminal last")
UNSAID = "these results do not say how their models were trained"


def attempt(read: Callable[[E], T], evidence: E) -> T | None:
    """What is read from evidence; None where that takes a figure that could not be measured."""
    try:
        return read(evidence)
    except NotMeasured:
        return None
    except (TypeError, AttributeError) as error:
        if "NoneType" not in str(error):
            raise
        return None


def majority(verdicts: Iterable[Verdict]) -> tuple[Verdict, str]:
    """(the verdict of most, `MIXED` where fewer than `AGREE` share it; how many have which, most first), of at least one."""
    counts = Counter(verdicts)
    most, size = counts.most_common(1)[0]
    return most if size >= AGREE * counts.total() else MIXED, ", ".join(f"{verdict} {count}" for verdict, count in counts.most_common())


def by_verdict(found: Iterable[tuple[str, str]]) -> str:
    """(name, verdict) in words: of each verdict the names, each once."""
    names: dict[str, dict[str, None]] = {}
    for name, verdict in found:
        names.setdefault(verdict, {})[name] = None
    return "; ".join(f"{verdict}: {', '.join(group)}" for verdict, group in names.items())


@dataclass(frozen=True)
class Measure(Generic[E]):
    """A figure of a claim that has a spread over many models: what it is, how to read it, and whether it stands for the claim where there is room for
    one; without such a one the first does."""

    what: str
    read: Callable[[E], float | None]
    main: bool = False


@dataclass(frozen=True)
class Rule(Generic[E]):
    """How a claim is decided on one kind of evidence.

    Attributes:
        check: what is compared with what, in words.
        by: evidence -> (the measured figures in words, the verdict).
        measures: figures whose spread over many models is reported.
    """

    check: str
    by: Callable[[E], Found]
    measures: tuple[Measure[E], ...] = ()

    def decide(self, evidence: E) -> Found:
        """(the measured figures, the verdict); undecided where a figure that it needs could not be measured."""
        return attempt(self.by, evidence) or ("a figure that it needs could not be measured", UNDECIDED)


@dataclass(frozen=True)
class OfStudy:
    """How a claim is decided on a whole study; arguments are those of `by`."""

    check: str
    by: Callable[..., Decided]


@dataclass(frozen=True)
class Claim:
    """One claim of the appendix.

    Attributes:
        id, text: as in the appendix, shortened.
        listed, samples: its rules on a pair, where all transitions are listed and where they are sampled; None where it cannot be decided so.
        alone: on one model without its base. study: on a whole study.
    """

    id: str
    text: str
    listed: Rule[Listed] | None = None
    samples: Rule[Samples] | None = None
    alone: Rule[Alone] | None = None
    study: OfStudy | None = None

    def rule(self, *, complete: bool) -> Rule[Any] | None:
        """The rule on a pair, for a kind of evaluation set."""
        return self.listed if complete else self.samples


@dataclass(frozen=True)
class Decision:
    """One claim on one pair, or on one model.

    Attributes:
        id, claim: as in the appendix, shortened.
        figure: the measured numbers. verdict: one of the first four.
        check: what was compared with what.
    """

    id: str
    claim: str
    figure: str
    verdict: Verdict
    check: str


@dataclass(frozen=True)
class Decided:
    """A claim on a study.

    Attributes:
        claim, verdict: which, and what it comes to.
        figure: the measured numbers in words. models: how many stand behind it. bases: how many these are of.
        updates: of every variant among them, how many its transfers were trained for.
        scope: what the verdict is of, where it says nothing of other bases; "" else.
        for_now: whether more updates of the same transfers may well undo a "does not hold": what has failed so far can come up, what has succeeded seldom
            goes down again.
        recipe: how bases and transfers were trained, in words; "" where it is not known.
    """

    claim: Claim
    verdict: Verdict
    figure: str
    models: int
    bases: int
    updates: Mapping[str, int] = field(default_factory=dict)
    scope: str = ""
    for_now: bool = True
    recipe: str = ""

    @property
    def id(self) -> str:
        """Of the claim."""
        return self.claim.id

    def plain(self) -> dict[str, Any]:
        """As plain data, with the claim's text and check."""
        names = ("id", "verdict", "figure", "models", "bases", "updates", "scope", "recipe")
        study = self.claim.study
        return {name: getattr(self, name) for name in names} | {"claim": self.claim.text, "check": study and study.check}
