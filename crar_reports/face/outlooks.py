"""`crar_reports.predict`, `maps` and `compare`: what may become of transfers, by their bases and by the observation map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from crar_model import samples
from crar_model.core.files import StrPath
from crar_model.core.keywords import keywords
from crar_model.core.places import listed
from crar_model.core.settings import CureSettings, PlaySettings, TrainSettings
from crar_model.mazes.maps import FIELDS, ObservationMap
from crar_model.tasks.checks import check_settings
from crar_reports.face.page import Page, as_command, going_on, place

if TYPE_CHECKING:
    from crar_reports.pages.predict_view import Prediction


@as_command("predict", bases="")
@keywords(CureSettings, TrainSettings, only=("resolution", *FIELDS.values()))
def predict(
    bases: StrPath | Sequence[StrPath] = (),
    *,
    out: StrPath | None = None,
    transfer: StrPath | Sequence[StrPath] = (),
    episodes: int = 100,
    format: str = "png",
    force: bool = False,
    resume: bool = False,
    command: str = "",
    **settings: Any,
) -> Page:
    """Look at bases before any transfer, as `crar predict` does: oddness, signed copies, valleys; with transfers, whether any of it predicts them.

    Args:
        bases: checkpoints or run folders; the shipped base where none is given.
        out: folder of the page; a temporary one where it is None.
        transfer: run folders of transfers of these bases, whose outcomes score the prediction.
        episodes: of a score, where a maze has one.
        format: of the figures, "png" or "svg".
        force: write into a folder that holds something. resume: go on in one where this was stopped.
        command: shown on the page as what made it.
        settings: `resolution`, and `observation_map` with its figures.

    Raises:
        UserError: for unusable models, bases of two mazes, transfers of other bases, or a folder that holds something.
    """
    mapped = {name: settings.pop(name) for name in FIELDS.values() if name in settings}
    spent, seen, how = CureSettings(**settings), TrainSettings(**mapped), PlaySettings(episodes=episodes)
    spent.validate()
    check_settings(seen)
    how.validate()
    with place(out, **going_on("predict", force=force, resume=resume)) as (folder, temporary):
        from crar_reports.pages import predict as page
        from crar_reports.pages.predict_view import chance_lines, verdict

        found = page.predict(
            listed(bases) or [samples.BASE], folder, transfers=listed(transfer), resolution=spent.resolution, how=how,
            observation_map=ObservationMap.of(seen) if mapped else None, image=format, command=command,
        )  # fmt: skip
        return Page(folder, _in_words(found, (verdict(found), *chance_lines(found))), found, temporary)


def _in_words(found: Prediction, ends: Sequence[str]) -> str:
    """What was seen of each base, then what it is worth as a prediction, in a few lines."""
    lines = []
    for base in found.bases:
        lowest = min(copy.transition for copy in base.copies[1:])
        lines.append(
            f"{base.path}: oddness {base.oddness:.3g}; transition {base.copies[0].transition:.3g} of its own, "
            f"{lowest:.3g} of the best other signed copy, {base.start['transition']:.3g} where a transfer starts"
        )
        if base.valleys is not None:
            start, own = (base.valley_of[name] for name in ("start", "base"))
            lines.append(
                f"  {len(base.valleys)} valley{'s' * (len(base.valleys) > 1)}; a transfer starts in number {start + 1}, "
                f"total {base.valleys[start].total:.3g}, {100 * base.valleys[start].share:.0f} % of the places; "
                f"the base lies in number {own + 1}"
            )
    return "\n".join((*lines, *ends))


@as_command("maps")
def maps(
    transfer: StrPath | Sequence[StrPath] = (),
    *,
    out: StrPath | None = None,
    cures: StrPath | Sequence[StrPath] = (),
    episodes: int = 100,
    force: bool = False,
    resume: bool = False,
    command: str = "",
) -> Page:
    """Count what succeeds through which observation map, as `crar maps` does.

    Args:
        transfer: run folders of transfers, of any maps and variants.
        out: folder of the page; a temporary one where it is None.
        cures: tables that `cure` made.
        episodes: of a score, where a maze has one.
        force: write into a folder that holds something. resume: go on in one where this was stopped.
        command: shown on the page as what made it.

    Raises:
        UserError: for transfers that name no base, folders without a table, or a folder that holds something.
    """
    how = PlaySettings(episodes=episodes)
    how.validate()
    with place(out, **going_on("maps", force=force, resume=resume)) as (folder, temporary):
        from crar_reports.pages.maps import write_maps

        found = write_maps(listed(transfer), folder, cures=listed(cures), how=how, command=command)
        return Page(folder, "", found, temporary)


@as_command("compare", runs="")
def compare(
    runs: StrPath | Sequence[StrPath],
    *,
    out: StrPath | None = None,
    episodes: int = 100,
    force: bool = False,
    command: str = "",
) -> Page:
    """Compare transfers of any runs and studies, as `crar compare` does: shares with intervals by base on top, curves below.

    Args:
        runs: run folders of transfers, and folders of studies.
        out: folder of the page; a temporary one where it is None.
        episodes: of a score, where a maze has one.
        force: write into a folder that holds something.
        command: shown on the page as what made it.

    Raises:
        UserError: for folders that hold no transfers, or a folder that holds something.
    """
    how = PlaySettings(episodes=episodes)
    how.validate()
    with place(out, force=force) as (folder, temporary):
        from crar_reports.pages.compare.page import write_compare

        found = write_compare(listed(runs), folder, how=how, command=command)
        return Page(folder, "", found, temporary)
