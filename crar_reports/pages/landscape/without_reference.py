"""`crar landscape` of a model whose base is not at hand: one page on what it is, with its data beside it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from crar_model.core.files import StrPath
from crar_model.samples import as_given
from crar_reports import progress as console
from crar_reports.claims.table import decide_alone, need_a_base
from crar_reports.figures.embedding import embeddings_figure
from crar_reports.figures.explorer import NAME as EXPLORER
from crar_reports.figures.interactive import surface_page
from crar_reports.figures.surface import ALONE, surface_figure
from crar_reports.measure.mended import mended_or_why, read_mended
from crar_reports.measure.options import LandscapeOptions
from crar_reports.measure.without_reference import examine_alone, lone_subject
from crar_reports.pages import plain_words
from crar_reports.pages.landscape.explorer import alone_explorer
from crar_reports.pages.landscape.sections import rested
from crar_reports.press.nouns import noun, pairs_words
from crar_reports.press.publish import Content, publish
from crar_reports.progress import StageClock


def write_alone(
    path: StrPath, folder: StrPath, *, options: LandscapeOptions | None = None, maze: str | None = None, command: str = "",
    clock: StageClock | None = None,
) -> Path:  # fmt: skip
    """Write `report.md`, its figures, `surface.html`, `explorer.html`, `surface.nc` and `results.json` of one model.

    Args:
        path: the model.
        folder: made if missing; files of an earlier report are replaced. An interrupted surface goes on from its store there.
        options: what to measure.
        maze: of a checkpoint that does not say.
        command: shown in the report as what made it.
        clock: takes the times of the stages, which `results.json` then has as `profile`, up to its own writing.

    Returns:
        the report's path.

    Raises:
        UserError: for an unusable model or options, a maze whose transitions cannot be listed, or a folder that cannot be written.
    """
    path, folder = Path(path), Path(folder)
    options = options or LandscapeOptions()
    options.validate()
    subject = lone_subject(path, maze=maze)
    given = read_mended(options.cured, subject.failed_file) if options.cured else None
    times = clock or StageClock()
    with console.stages("landscape") as tick:

        def stage(name: str, done: int, everything: int) -> None:
            times.begin(name)
            tick(name, done, everything)

        found = examine_alone(subject, options, store=folder / "surface.part.npz", stage=stage)
        stage("cure", 0, 1)
        mended, why_not = (given, "") if given is not None else mended_or_why(subject, quick=options.quick, base=False)
    times.begin("figures")
    model, task = subject.failed_file, subject.task
    panels = [("as it is", subject.failed, subject.inverse), ("everything released", found.released.params, subject.inverse)]
    embedding, surface = (f"{name}.{options.image}" for name in ("embeddings", "surface"))
    files: dict[str, Content] = {
        embedding: embeddings_figure(task, panels), surface: surface_figure(found.surface, words=ALONE), "surface.html": surface_page(found.surface, ALONE),
        EXPLORER: alone_explorer(found, command, mended, why_not),
        "surface.nc": found.surface.assign_attrs(model=model.digest, inverse=int(subject.inverse), command=command),
    }  # fmt: skip
    plain = found.plain()
    decisions = decide_alone(plain)
    results = {
        "command": command, "options": asdict(options), "model": {"path": as_given(path), "digest": model.digest}, **plain,
        "claims": [asdict(decision) for decision in decisions],
    }  # fmt: skip
    values = {
        "command": command, "file": path, "model": model, "task": task, "maze": "inverse" if subject.inverse else "normal", "noun": noun(task), "pairs": pairs_words(task), "found": found,
        "certificate": plain["certificate"], "rested": rested(found.minimum.figures()), "shown": tuple(str(name) for name in found.surface.data_vars), "decisions": decisions,
        "missing": need_a_base(), "options": options, "embedding": embedding, "surface": surface,
        "plainly": plain_words.alone({one.id: one.verdict for one in decisions}),
    }  # fmt: skip
    return publish(folder, "alone.md", values, lambda: results | ({"profile": times.plain()} if clock else {}), files, told=times.file)
