"""`crar_model.cure`: a way out for one failed transfer; `crar_reports.cure` makes the page of it."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from crar_model import samples
from crar_model.core.files import StrPath
from crar_model.core.keywords import keywords
from crar_model.core.settings import CureSettings
from crar_model.core.watching import Watch, unwatched
from crar_model.core.words import html_table
from crar_model.cures.methods import AUTO

if TYPE_CHECKING:
    from crar_model.cures.cure import Cure
    from crar_model.models.checkpoints import Checkpoint


@dataclass(frozen=True, repr=False)
class Cured:
    """What came of a cure.

    Attributes:
        model: the failed model with the encoder that was found; None where the losses do not say that it is cured.
        failed: as it was.
        found: candidates of every method, the one before and the chosen one, each with losses and transition errors.
    """

    model: Checkpoint | None
    failed: Checkpoint
    found: Cure

    @property
    def cured(self) -> bool:
        """Whether there is a model that the losses call cured."""
        return self.model is not None

    def __repr__(self) -> str:
        """A line: cured or not, by what, and the total losses before and after."""
        before, after = (one.terms["total"] for one in (self.found.before, self.found.best))
        word = "nothing to cure" if self.found.already else f"{'cured' if self.cured else 'not cured'} by {self.found.best.method}"
        return f"Cured({word}, total {before:.3g} before, {after:.3g} after, {self.found.updates:,} updates of candidates)"

    def _repr_html_(self) -> str:
        tried = [each for one in self.found.tried for each in one.candidates]
        rows = [(each.method, each.label, f"{each.terms['total']:.3g}", "yes" if each.at_level else "no") for each in tried]
        return f"<p>{escape(repr(self))}</p>" + html_table(("method", "candidate", "total", "as good as the dynamics allow"), rows)


@keywords(CureSettings)
def cure(
    failed: StrPath | None = None,
    *,
    method: str = AUTO,
    base: StrPath | None = None,
    anyway: bool = False,
    watch: Watch = unwatched,
    **settings: Any,
) -> Cured:
    """Look for a way out of a failed transfer, chosen by losses alone, as `crar cure` does; nothing is written.

    Args:
        failed: the transfer; the shipped one where it is None.
        method: a key of `crar_model.cures.methods.METHODS`, or "auto": one after the other until one succeeds.
        base: base whose weights may be used; the one that the transfer names where it is None.
        anyway: try also where the losses say that there is nothing to cure.
        watch: shows progress, such as `crar_reports.progress.progress_bar`.
        settings: every further flag of `crar cure`, with _ for -: `seed`, `starts`, `effort` ...

    Raises:
        UserError: for an unusable model, settings out of range, or a method that is not allowed here.
    """
    how = CureSettings(**settings)
    how.validate()
    if failed is None:
        failed, base = samples.FAILED, base or samples.BASE
    from crar_model.core.threads import torch_threads
    from crar_model.cures.cure import cure as find
    from crar_model.models.checkpoints import load_checkpoint
    from crar_model.training.mending import cured_checkpoint, posed

    model = load_checkpoint(failed)
    _, problem = posed(model, base, how.seed, str(failed))
    with torch_threads(1), watch(f"cure: {method}", "updates") as tick:
        found = find(problem, method, how, progress=tick, anyway=anyway)
    return Cured(cured_checkpoint(model, found) if found.cured and not found.already else None, model, found)
