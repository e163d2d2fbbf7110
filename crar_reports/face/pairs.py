"""`crar_reports.landscape` and `theorem`: pages on a failed transfer and its base."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crar_model import samples
from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.params import DYNAMICS
from crar_model.core.settings import LossSettings
from crar_reports.face.page import Page, as_command, going_on, place

TERMS = (*(name for name, weight in LossSettings().weights().items() if weight), "total")
"""Terms that have a part in the loss, and their sum."""


def pair(failed: StrPath | None, base: StrPath | None, failed_maze: str | None = None) -> tuple[Path, Path]:
    """A transfer and its base: the shipped pair where none is named, else the base that the transfer names where --to is left out.

    Raises:
        UserError: where there is no telling what to compare.
    """
    if failed is None and base is None:
        return samples.FAILED, samples.BASE
    if failed is None:
        raise UserError("--to names a base, but --from no transfer; give both, or none for the shipped pair")
    if base is not None:
        return Path(failed), Path(base)
    from crar_model.models.checkpoints import load_checkpoint

    model = load_checkpoint(failed, maze=failed_maze, flag="--from-maze")
    named = model.base_name
    if not named and model.info.get("variant") == "base":
        raise UserError(f"{failed}: a base model, trained from random weights; give a transfer with --from")
    found = model.base_file
    if found is None:
        raise UserError(f"{failed}: " + (f"its base {named} is not there" if named else "names no base") + "; give the base with --to")
    return Path(failed), found


def stands_alone(failed: StrPath | None, base: StrPath | None, maze: str | None) -> bool:
    """Whether --from, without a --to, names a model that names no base, and one of a maze where it can be looked at without."""
    if failed is None or base is not None:
        return False
    from crar_model.models.checkpoints import load_checkpoint
    from crar_model.training.variants import BASE

    model = load_checkpoint(failed, maze=maze, flag="--from-maze")
    return not model.base_name and model.info.get("variant") != BASE.name and model.task.sampling.complete


def words_of(flag_name: str, given: str | Sequence[str], everything: str, known: Sequence[str]) -> tuple[str, ...]:
    """A list, or one with commas; `everything` stands for all that are known.

    Raises:
        UserError: for an empty list or a word that is not known.
    """
    each = given.split(",") if isinstance(given, str) else given
    words = tuple(known) if given == everything else tuple(word.strip() for word in each if word.strip())
    odd = [word for word in words if word not in known]
    if odd or not words:
        raise UserError(
            f"{flag_name}: {'unknown ' + repr(odd[0]) if odd else 'names nothing'}; choose from {everything}, {', '.join(known)}"
        )
    return words


@as_command("landscape", failed="--from", base="--to")
def landscape(
    failed: StrPath | None = None,
    base: StrPath | None = None,
    *,
    out: StrPath | None = None,
    from_maze: str | None = None,
    to_maze: str | None = None,
    cured: StrPath | None = None,
    points: int = 101,
    resolution: int = 51,
    blocks: str | Sequence[str] = "dynamics",
    terms: str | Sequence[str] = "all",
    space: str = "auto",
    align: bool = True,
    certificate: bool = True,
    sample: int | None = None,
    quick: bool = False,
    full: bool = False,
    profile: bool = False,
    format: str = "png",
    force: bool = False,
    resume: bool = False,
    again: StrPath | None = None,
    command: str = "",
) -> Page:
    """Dissect a failed transfer and look for ways out of it, as `crar landscape` does.

    Args:
        failed, base: the transfer and the base that it should have matched; the shipped pair, or the base that the transfer names. A transfer that
            names no base is dissected without.
        out: folder of the page; a temporary one where it is None.
        from_maze, to_maze: mazes of models that do not say their own.
        cured: what `crar cure` made of the transfer, for the explorer to play; where it is None one is looked for if that takes seconds, but not if `quick`.
        points: per line. resolution: points per axis of the surface.
        blocks: what the second axis and the free paths move, "dynamics" or some of its blocks.
        terms: loss terms to show, "all" or some.
        space: where surface and paths run: "auto", "embedding" or "weight".
        align: match hidden units first.
        certificate: certify whether the failed encoder is a local minimum.
        sample: transitions of certificate and paths, where a maze's are sampled; None takes 2,048, or of a small world what is held out.
        quick: cut paths and descents short. full: descend twice as long, where transitions are sampled.
        profile: keep in `data` where the time went.
        format: of the figures, "png" or "svg".
        force: write into a folder that holds something. resume: go on in one where this was stopped.
        again: in the place of models: a folder of this page made before there was `explorer.html`, which is drawn from its JSON and data. Nothing is measured.
        command: shown on the page as what made it; the command that makes the same one where it is "".

    Raises:
        UserError: for unusable models, options out of range, or a folder that holds something else.
    """
    if again is not None:
        if failed is not None or base is not None or cured is not None:
            raise UserError("--again draws what lies there and takes no models; leave out --from, --to and --cured")
        same = out is not None and Path(out).resolve() == Path(again).resolve()
        with place(out, force=force or same) as (folder, temporary):
            from crar_reports.pages.landscape.again import explorer_again

            return Page(folder, f"explorer: {explorer_again(again, folder, command)}", temporary=temporary)
    with place(out, **going_on("landscape", force=force, resume=resume)) as (folder, temporary):
        moved, drawn = words_of("--blocks", blocks, "dynamics", DYNAMICS), words_of("--terms", terms, "all", TERMS)
        lone = failed if stands_alone(failed, base, from_maze) else None
        ends = pair(failed, base, from_maze) if lone is None else None
        from crar_reports.measure.options import LandscapeOptions
        from crar_reports.progress import StageClock

        clock = StageClock() if profile else None
        options = LandscapeOptions(
            points=points, resolution=resolution, blocks=moved, terms=drawn, space=space, align=align, quick=quick, full=full,
            certificate=certificate, sample=sample, image=format, cured=str(cured or ""),
        )  # fmt: skip
        if ends is not None:
            from crar_reports.pages.landscape.page import write_landscape

            write_landscape(*ends, folder, options=options, failed_maze=from_maze, base_maze=to_maze, command=command, clock=clock)
        elif lone is not None:
            from crar_reports.pages.landscape.without_reference import write_alone

            write_alone(lone, folder, options=options, maze=from_maze, command=command, clock=clock)
        return Page(folder, "" if clock is None else clock.table(), temporary=temporary)


@as_command("theorem", failed="--from", base="--to")
def theorem(
    failed: StrPath | None = None,
    base: StrPath | None = None,
    *,
    out: StrPath | None = None,
    sample: int | None = None,
    full: bool = False,
    format: str = "png",
    force: bool = False,
    command: str = "",
) -> Page:
    """Show that new dynamics change the encoder's landscape (claim S9), as `crar theorem` does.

    Args:
        failed, base, out, format, force, command: as in :func:`landscape`.
        sample: transitions that the descents run on, as in :func:`landscape`. full: descend twice as long there.

    Raises:
        UserError: for unusable models, or a folder that holds something.
    """
    with place(out, force=force) as (folder, temporary):
        failed, base = pair(failed, base)
        from crar_reports.pages.theorem import write_theorem

        write_theorem(failed, base, folder, image=format, sample=sample, full=full, command=command)
        return Page(folder, temporary=temporary)
