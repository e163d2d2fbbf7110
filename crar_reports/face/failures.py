"""`crar_reports.cure` and `escape`: pages on ways out of failed transfers, one or many."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crar_model import samples
from crar_model.core.files import StrPath
from crar_model.core.keywords import keywords
from crar_model.core.places import listed
from crar_model.core.settings import CureSettings, PlaySettings
from crar_model.cures.methods import AUTO
from crar_reports.face.page import Page, as_command, place

if TYPE_CHECKING:
    from crar_reports.pages.cure.records import CureResult


@as_command("cure", failed="--from")
@keywords(CureSettings)
def cure(
    failed: StrPath | Sequence[StrPath] = (),
    *,
    out: StrPath | None = None,
    method: str | Sequence[str] = AUTO,
    base: StrPath | None = None,
    to: StrPath | None = None,
    episodes: int = 100,
    format: str = "png",
    resume: bool = False,
    command: str = "",
    **settings: Any,
) -> Page:
    """Look for a way out of failed transfers, as `crar cure` does; `crar_model.cure` does so without a page.

    Args:
        failed: the transfer, the shipped one where none is given; several, or run folders, make a table.
        out: folder of the page and of `cured.pt`; a temporary one where it is None.
        method: how to look, keys of `crar_model.cures.methods.METHODS` or "auto"; several make a table.
        base: base whose weights may be used; it is observed nowhere.
        to: base that judges the outcome, after the choice; in a table the one that each names, where it is None.
        episodes: of a score, where a maze has one.
        format: of the figure, "png" or "svg".
        resume: go on in a folder where this was stopped.
        command: shown on the page as what made it.
        settings: every further flag of `crar cure`, with _ for -: `seed`, `starts`, `effort` ...

    Raises:
        UserError: for unusable models, settings out of range, a method that is not allowed here, or a folder that holds something else.
    """
    spent, how = CureSettings(**settings), PlaySettings(episodes=episodes)
    spent.validate()
    how.validate()
    paths, names = listed(failed), list(dict.fromkeys([method] if isinstance(method, str) else method or [AUTO]))
    with place(out, force=resume, other="--resume to continue", own="cure") as (folder, temporary):
        if not paths:
            paths, to, base = [samples.FAILED], to or samples.BASE, base or samples.BASE
        from crar_reports.pages.cure.many import write_cures
        from crar_reports.pages.cure.one import CureOptions, write_cure
        from crar_reports.progress import progress_bar

        options = CureOptions(spent, how, format)
        ways: dict[str, Any] = {"base_path": base, "to_path": to, "options": options, "command": command}
        if len(paths) == len(names) == 1 and Path(paths[0]).is_file():
            with progress_bar(f"cure: {names[0]}", "updates") as tick:
                found = write_cure(paths[0], folder, method=names[0], progress=tick, **ways)
            return Page(folder, cure_summary(found, folder), found, temporary)
        return Page(folder, "", write_cures(paths, folder, methods=names, **ways), temporary)


def cure_summary(r: CureResult, out: StrPath) -> str:
    """What came of one cure, in a few lines."""
    total, before, spent = r.chosen.terms["total"], r.found.before.terms["total"], r.budget
    level = "" if r.level is None else f"; the dynamics allow {float(r.level.totals[0]):.3g}"
    verdict = f"cured by {r.by}" if r.cured else f"not cured; the best candidate is one of {r.by}"
    losses = f"total {total:.3g} against {before:.3g} before"
    if r.already:
        verdict, losses = "nothing to cure: its losses are what its dynamics allow", f"total {before:.3g}"
    lines = [f"{verdict}: {losses}{level}", f"{spent.updates} updates of candidates, {spent.seconds:.0f} s"]
    if r.to is not None:
        words = ("as good", "not as good") if r.already else ("restored", "not restored")
        lines.append(f"judged by {r.to.path}: {words[not r.restored]}")
    if r.cured:
        lines.append(f"model: {Path(out, 'cured.pt')}")
    return "\n".join(lines)


@as_command("escape", failed="--from", base="--to")
def escape(
    failed: StrPath | Sequence[StrPath] = (),
    base: StrPath | None = None,
    *,
    out: StrPath | None = None,
    rate: float | Sequence[float] = (),
    sgd_rate: float | Sequence[float] = (),
    update_rule: str | Sequence[str] = (),
    batch_size: int | Sequence[int] = (),
    seeds: int = 100,
    updates: int = 5_000,
    checks: int = 4,
    format: str = "png",
    resume: bool = False,
    command: str = "",
) -> Page:
    """Ask whether noise carries failed transfers out of their minima, as `crar escape` does.

    Args:
        failed: the transfer, the shipped one where none is given; several, or run folders, make a table.
        base: its base; the one that each names where it is None.
        out: folder of the page; a temporary one where it is None.
        rate, sgd_rate: learning rates of RMSprop and of plain SGD; several make a grid.
        update_rule: "joint" or "sequential"; both make a grid.
        batch_size: transitions per update.
        seeds: members of every cell. updates: that they are watched for. checks: noiseless descents on the way.
        format: of the figure, "png" or "svg".
        resume: go on in a folder where this was stopped.
        command: shown on the page as what made it.

    Raises:
        UserError: for unusable models, a transfer that did not fail, values out of range, or a folder that holds something else.
    """
    paths = listed(failed)
    with place(out, force=resume, other="--resume to continue", own="escape") as (folder, temporary):
        if not paths:
            paths, base = [samples.FAILED], base or samples.BASE
        from crar_reports.pages.escape import many, one
        from crar_reports.pages.escape.records import Grid

        usual = Grid()
        grid = Grid(
            _each(rate) or usual.rates, _each(sgd_rate) or usual.sgd_rates, _each(batch_size) or usual.batches, seeds, updates, checks,
            tuple(dict.fromkeys(_each(update_rule) or usual.rules)),
        )  # fmt: skip
        how: dict[str, Any] = {"base_path": base, "grid": grid, "image": format, "command": command}
        if len(paths) == 1 and paths[0].is_file():
            found = one.write_escape(paths[0], folder, **how)
            return Page(folder, one.verdict(found), found, temporary)
        table = many.write_escapes(paths, folder, **how)
        return Page(folder, many.verdict(table), table, temporary)


def _each(given: Any) -> tuple[Any, ...]:
    """Values, where one may be given in the place of several."""
    return (given,) if isinstance(given, int | float | str) else tuple(given)
