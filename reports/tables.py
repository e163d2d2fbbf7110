"""The tables of `crar evaluate`: on a terminal, as a file, and what tells one model from another."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from crar_model.files import write_text

if TYPE_CHECKING:
    from reports.models import Judged

WORD = 8
"""Letters of a heading that stay on one line."""
MEANINGS = {
    "total": "sum of the loss terms, each model's under its own weights",
    "nearest": "transitions whose predicted abstract state is nearest to the right one",
    "navigation": "pairs of start and goal that planning with the model's own predictions solves",
    "score": "reward per episode with its 95 % interval; solved: episodes with all keys",
    "verdict": "matched (the base's embedding), swapped (the same with axes exchanged or negated), neither",
    "residual": "root mean square distance to that embedding",
}


def about(model: Judged) -> dict[str, Any]:
    """What tells a model from others, as plain data; None where a checkpoint does not say."""
    info = model.checkpoint.info
    return {
        "path": str(model.path),
        "maze": model.checkpoint.maze,
        "inverse": model.checkpoint.inverse,
        "variant": info.get("variant"),
        "base": info.get("base") or None,
        "seed": info.get("seed"),
        "learning_rate": info.get("learning_rate"),
        "updates": model.checkpoint.updates,
    }


def write_csv(judged: Sequence[Judged], path: Path) -> None:
    """Write all figures of models, a row a model; nested figures have names such as `match.verdict`.

    Raises:
        UserError: when the file cannot be written.
    """
    rows = [flat(about(model) | model.plain()) for model in judged]
    text = io.StringIO()
    table = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n", restval="")
    table.writeheader()
    table.writerows(rows)
    write_text(path, text.getvalue())


def flat(values: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """Nested plain data as one level, names joined by dots."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{start}{name}.") if isinstance(value, Mapping) else {start + name: value}
    return found


def print_evaluation(judged: Sequence[Judged], *, full: bool = False) -> None:
    """Print the table of `crar evaluate` on standard output, 80 columns wide where it can be.

    What all models have in common stands in a line above it.

    Args:
        judged: models of one maze, at least one.
        full: print a second table with every loss term.
    """
    first, console = judged[0].checkpoint.task, Console()
    common, columns = shared(judged)
    score = judged[0].evaluation.score
    if score is not None:
        common.append(f"score over {score.samples} {'runs' if score.solved is None else 'episodes'}")
    console.print(f"{first.title}: losses on {first.sampling.what}" + (f"; {', '.join(common)}" if common else ""), highlight=False)
    columns |= figures(judged)
    console.print(table_of(columns))
    bases = numbered(judged)
    if len(bases) > 1:
        print("\n".join(f"base {number}: {path}" for path, number in bases.items()))
    if full:
        terms = judged[0].evaluation.terms
        print("\nloss terms, without weights")
        console.print(
            table_of(
                {"model": names(judged)}
                | {term: [f"{model.evaluation.terms[term]:.2g}" for model in judged] for term in terms if term != "total"}
            )
        )
    for name in columns:
        if name in MEANINGS:
            unit = f", in mean {first.sampling.unit}" if name == "residual" else ""
            console.print(f"{name}: {MEANINGS[name]}{unit}", highlight=False)


def shared(judged: Sequence[Judged]) -> tuple[list[str], dict[str, list[str]]]:
    """(what all models have in common, the columns that tell them apart)."""
    bases, rows = numbered(judged), [about(model) for model in judged]
    show: dict[str, tuple[str, Callable[[Any], str]]] = {
        "inverse": ("maze", lambda value: "inverse" if value else "normal"),
        "variant": ("variant", lambda value: value or "-"),
        "base": ("base", lambda value: str(bases[value]) if value else "-"),
        "seed": ("seed", lambda value: "-" if value is None else str(value)),
        "learning_rate": ("rate", lambda value: "-" if value is None else f"{value:g}"),
        "updates": ("updates", str),
    }
    common, columns = [], {"model": names(judged)}
    for key, (name, text) in show.items():
        values = [text(row[key]) for row in rows]
        if len(set(values)) > 1 or (name == "seed" and len(rows) == 1):
            columns[name] = values
        elif values[0] != "-":
            common.append(f"{name} {rows[0]['base'] if name == 'base' else values[0]}")
    return common, columns


def names(judged: Sequence[Judged]) -> list[str]:
    """Files of the models, with as many of their folders as it takes to tell them apart."""
    paths = [model.path for model in judged]
    different, depth = len(set(paths)), 1
    while len({path.parts[-depth:] for path in paths}) < different:
        depth += 1
    return ["/".join(path.parts[-depth:]) for path in paths]


def numbered(judged: Sequence[Judged]) -> dict[str, int]:
    """The bases that the models name, counted from 1."""
    found = dict.fromkeys(model.checkpoint.info.get("base") for model in judged)
    return {base: number for number, base in enumerate((base for base in found if base), 1)}


def figures(judged: Sequence[Judged]) -> dict[str, list[str]]:
    """Columns of what was measured."""
    found = [model.evaluation for model in judged]
    columns = {"total": [f"{each.terms['total']:.2g}" for each in found]}
    for name in found[0].metrics:
        scores = [each.score for each in found] if name == "score" else []
        if all(scores) and scores:
            columns["score"] = [f"{score.mean:.2f}" for score in scores if score]
            columns["interval"] = [f"{score.low:.2f}..{score.high:.2f}" for score in scores if score]
            columns["solved"] = ["-" if score.solved is None else f"{100 * score.solved:.0f} %" for score in scores if score]
        else:
            columns[name.partition("_")[0]] = [f"{100 * each.share(name):.0f} %" for each in found]
    if any(each.match for each in found):
        columns["verdict"] = [each.match.verdict if each.match else "-" for each in found]
        columns["residual"] = [f"{each.match.residual_edges:.2f}" if each.match else "-" for each in found]
    return columns


def table_of(columns: Mapping[str, Sequence[str]]) -> Table:
    """A table of texts by column."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for name in columns:
        words = name in ("model", "variant", "maze", "verdict")
        table.add_column(hyphenated(name), justify="left" if words else "right", no_wrap=name not in {"model", "variant"}, overflow="fold")
    for row in zip(*columns.values(), strict=True):
        table.add_row(*row)
    return table


def hyphenated(name: str) -> str:
    """A heading in two lines where it is long."""
    if len(name) <= WORD:
        return name
    at = name.find("_") + 1
    return f"{name[:at]}\n{name[at:]}" if at else f"{name[: len(name) // 2]}-\n{name[len(name) // 2 :]}"
