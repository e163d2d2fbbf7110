"""`crar_model.evaluate`, `load` and `import_network`: models judged, read, and brought in."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crar_model.core.files import Plain, StrPath
from crar_model.core.fresh import ending, fresh
from crar_model.core.keywords import keywords
from crar_model.core.places import listed
from crar_model.core.settings import PlaySettings
from crar_model.core.watching import Notice, Watch, untold, unwatched
from crar_model.core.words import html_table

if TYPE_CHECKING:
    from crar_model.models.checkpoints import Checkpoint
    from crar_model.models.judged import Judged


def load(path: StrPath, *, maze: str | None = None) -> Checkpoint:
    """A model: its parameters, `encode`, `plan`, `act`, and where it comes from.

    Args:
        path: a checkpoint, such as `crar_model.samples.BASE`.
        maze: of a checkpoint that does not say its own: a maze, or NAME-inverse.

    Raises:
        UserError: for a file that is missing, damaged or no checkpoint.
    """
    from crar_model.models.checkpoints import load_checkpoint

    return load_checkpoint(path, maze=maze, flag="maze" if maze else "")


@dataclass(frozen=True)
class Evaluated(Sequence["Judged"]):
    """Judged models, in order.

    Attributes:
        models: each with its path, its checkpoint and its `evaluation`: terms, metrics and match.
        how: by which scores were played.
    """

    models: tuple[Judged, ...]
    how: PlaySettings

    def __getitem__(self, key: Any) -> Any:
        return self.models[key]

    def __len__(self) -> int:
        return len(self.models)

    def __iter__(self) -> Iterator[Judged]:
        return iter(self.models)

    def plain(self) -> Plain:
        """The object that `crar evaluate --json` prints."""
        from crar_model.models.judged import about

        protocol = {"protocol": dataclasses.asdict(self.how)} if any(model.checkpoint.task.scored for model in self) else {}
        return {**protocol, "models": [vars(about(model)) | model.plain() for model in self]}

    def _repr_html_(self) -> str:
        metrics, matched = self[0].evaluation.metrics, any(model.evaluation.match for model in self)
        rows = [
            (
                model.path, model.checkpoint.info.get("variant", ""), f"{model.evaluation.terms['total']:.3g}",
                *(f"{model.evaluation.share(name):.3g}" for name in metrics),
                *([model.evaluation.match.verdict if model.evaluation.match else "-"] if matched else []),
            )
            for model in self
        ]  # fmt: skip
        header = ("model", "variant", "total", *(name.replace("_", " ") for name in metrics), *(["verdict"] if matched else []))
        return html_table(header, rows)


@keywords(PlaySettings)
def evaluate(
    models: StrPath | Sequence[StrPath],
    base: StrPath | None = None,
    *,
    csv: StrPath | None = None,
    force: bool = False,
    watch: Watch = unwatched,
    notice: Notice = untold,
    **settings: Any,
) -> Evaluated:
    """Judge models: losses, matched or swapped, navigation or score, as `crar evaluate` does.

    Args:
        models: checkpoints or run folders of one maze; a folder stands for all its members.
        base: compare every embedding with this model's; with the base that each names, where it is None.
        csv: also write all figures, a row a model.
        force: write over a `csv` that is there.
        watch: shows progress, such as `crar_reports.progress.progress_bar`.
        notice: told in one line what one should know.
        settings: every further flag of `crar evaluate`, with _ for -: `episodes`, `planning_depth` ...

    Raises:
        UserError: for unusable models, models of two mazes, or settings out of range.
    """
    how = PlaySettings(**settings)
    how.validate()
    if csv is not None:
        fresh(csv, force=force, flag="--csv")
    from crar_model.models.judged import judge, write_csv

    with watch("evaluate", "models") as tick:
        found = Evaluated(tuple(judge(listed(models), base, use_own_base=base is None, how=how, progress=tick)), how)
    alone = [model for model in found if base is None and model.checkpoint.base_name and model.checkpoint.base_file is None]
    if alone:
        notice(
            f"crar: note: {alone[0].path}: its base {alone[0].checkpoint.base_name} is not there, so it is compared with none; give --base"
        )
    if csv is not None:
        write_csv(found, csv)
    return found


@dataclass(frozen=True)
class Imported:
    """A network of the original code as a model, and its total losses in its own maze (`here`) and in the other (`there`)."""

    model: Checkpoint
    here: float
    there: float


def import_network(file: StrPath, maze: str, out: StrPath, *, force: bool = False) -> Imported:
    """Make a checkpoint of a dense network of the original code, as `crar import` does.

    Args:
        file: its arrays p00, p01, ..., *.npz.
        maze: that it was trained in, a maze or NAME-inverse.
        out: the checkpoint, *.pt.
        force: write over a file that is there.

    Raises:
        UserError: for another kind of file, one that is there, or arrays that are no such network.
    """
    fresh(ending(out, ".pt"), force=force)
    from crar_model.models.checkpoints import save_checkpoint
    from crar_model.models.evaluation import evaluate as evaluated
    from crar_model.models.original import import_network as read

    model = read(Path(file), maze)
    save_checkpoint(out, model)
    here, there = (
        evaluated(model.task, model.parameters, inverse=inverse, settings=model.settings.loss).terms["total"]
        for inverse in (model.inverse, not model.inverse)
    )
    return Imported(model, here, there)
