"""The tables of `crar evaluate` on a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from crar_model.core.words import plural
from crar_model.models.judged import About, Judged, about

WIDTH, WORD = 80, 8
"""Letters of a line, and of a heading that takes two."""
SYLLABLES = {"transition": ("transi-", "tion"), "consecutive": ("consecu-", "tive"), "interpret": ("inter-", "pret")}
"""Long headings in two lines."""
LEFT = ("model", "maze", "variant", "verdict")
"""Columns of words."""
APART: dict[str, Callable[[About, Mapping[str, int]], str]] = {
    "maze": lambda row, bases: ("inverse" if row.observation_map == "negative" else row.observation_map) if row.inverse else "normal",
    "variant": lambda row, bases: row.variant or "-",
    "base": lambda row, bases: str(bases[row.base]) if row.base else "-",
    "seed": lambda row, bases: "-" if row.seed is None else str(row.seed),
    "rate": lambda row, bases: "-" if row.learning_rate is None else f"{row.learning_rate:g}",
    "updates": lambda row, bases: str(row.updates),
}
"""What tells models apart: name -> text of a model, from its :func:`about` and the numbers of the bases."""
Columns = Mapping[str, Sequence[str]]
MEANINGS = {
    "total": "sum of the loss terms, each model's under its own weights",
    "nearest": "transitions whose predicted abstract state is nearest to the right one",
    "navigation": "pairs of start and goal that planning with the model's own predictions solves",
    "outcome": "transitions whose reward and end are predicted right",
    "score": "reward per episode with its 95 % interval; solved: episodes with all keys",
    "verdict": "matched (the base's embedding), symmetric (the same with states renamed by a symmetry of the world), swapped (the same with axes exchanged or negated), neither",
    "residual": "root mean square distance to that embedding",
}


def print_evaluation(judged: Sequence[Judged], *, full: bool = False) -> None:
    """Print the table of `crar evaluate` on standard output, 80 columns wide.

    What all models of a folder have in common stands above them, so that the columns tell them apart.

    Args:
        judged: models of one maze, at least one.
        full: print a second table with every loss term.
    """
    task, score = judged[0].checkpoint.task, judged[0].evaluation.score
    over = "" if score is None else f", score over {plural(score.samples, 'run' if score.solved is None else 'episode')}"
    print(f"{task.title}: losses on {task.sampling.what}{over}")
    measured, bases = figures(judged), numbered(judged)
    show_table(judged, measured)
    if len(bases) > 1:
        print("\n".join(f"base {number} = {path}" for path, number in bases.items()))
    if full:
        print("\nloss terms, without their weights")
        show_table(judged, terms_of(judged), apart=())
    print()
    for name in measured:
        if name in MEANINGS:
            more = {"residual": f", in mean {task.sampling.unit}", "navigation": task.sampling.pairs and f"; of {task.sampling.pairs}"}
            text = f"{name}: {MEANINGS[name]}{more.get(name, '')}"
            print(textwrap.fill(text, WIDTH - 1, subsequent_indent="  "))


def figures(judged: Sequence[Judged]) -> Columns:
    """Columns of what was measured."""
    found = [model.evaluation for model in judged]
    columns = {"total": [f"{each.terms['total']:.2g}" for each in found]}
    for name in found[0].metrics:
        scores = [each.score for each in found] if name == "score" else []
        if scores and all(scores):
            columns["score"] = [f"{score.mean:.2f}" for score in scores if score]
            columns["interval"] = [f"{score.low:.2f}..{score.high:.2f}" for score in scores if score]
            columns["solved"] = ["-" if score.solved is None else f"{100 * score.solved:.0f} %" for score in scores if score]
        else:
            columns[name.partition("_")[0]] = [f"{100 * each.share(name):.0f} %" for each in found]
    if any(each.match for each in found):
        columns["verdict"] = [each.match.verdict if each.match else "-" for each in found]
        columns["residual"] = [f"{each.match.residual_edges:.2f}" if each.match else "-" for each in found]
    return columns


def terms_of(judged: Sequence[Judged]) -> Columns:
    """Columns of the loss terms, and of the distance to the base's embedding as it is."""
    found = [model.evaluation for model in judged]
    columns = {name: [f"{each.terms[name]:.2g}" for each in found] for name in found[0].terms if name != "total"}
    if any(each.match for each in found):
        columns["distance"] = [f"{each.match.distance:.2g}" if each.match else "-" for each in found]
    return columns


def numbered(judged: Sequence[Judged]) -> dict[str, int]:
    """The bases that the models name, counted from 1."""
    found = dict.fromkeys(model.checkpoint.base_name for model in judged)
    return {base: number for number, base in enumerate((base for base in found if base), 1)}


def show_table(judged: Sequence[Judged], measured: Columns, apart: Sequence[str] = tuple(APART)) -> None:
    """Print columns of texts, a line a model, folder by folder.

    Args:
        judged: the models.
        measured: what to show of them.
        apart: what else, where it differs within a folder; where it does not, it stands beside the folder's name.
    """
    rows, bases = [about(model) for model in judged], numbered(judged)
    texts = {name: [text(row, bases) for row in rows] for name, text in APART.items() if name in apart}
    folders: dict[Path, list[int]] = {}
    for k, model in enumerate(judged):
        folders.setdefault(model.path.parent, []).append(k)
    differing = [name for name, column in texts.items() if any(len({column[k] for k in those}) > 1 for those in folders.values())]
    columns = {name: texts[name] for name in differing} | dict(measured)
    first: dict[str, Sequence[str]] = {"model": [model.path.stem for model in judged]}
    if "variant" in columns and sum(map(width, (first | columns).items())) > WIDTH:
        columns["variant"] = [text if len(text) <= WORD + 1 else text[:WORD] + "\u2026" for text in columns["variant"]]
    blocks: list[dict[str, Sequence[str]]] = [dict(first)]
    for column in columns.items():  # as many tables, one below the other, as it takes
        if sum(map(width, (*blocks[-1].items(), column))) > WIDTH:
            blocks.append(dict(first))
        blocks[-1] |= dict([column])
    for number, block in enumerate(blocks):
        head, body = lines_of(block)
        print(head)
        for folder, those in folders.items():
            same = {name: column[those[0]] for name, column in texts.items() if name not in differing and not number}
            notes = ", ".join(f"{name} {rows[those[0]].base if name == 'base' else text}" for name, text in same.items() if text != "-")
            print(textwrap.fill(f"{folder}/  {notes}".rstrip(), WIDTH - 1, subsequent_indent="  "))
            print("\n".join(body[k] for k in those))


def lines_of(columns: Columns) -> tuple[str, list[str]]:
    """(the heading, the lines) of a table; words stand left, numbers right."""

    def line(cells: Sequence[str]) -> str:
        placed = (f"{text:{'<' if c[0] in LEFT else '>'}{width(c) - 1}}" for text, c in zip(cells, columns.items(), strict=True))
        return " ".join(placed).rstrip()

    head = [line(cells) for cells in zip(*map(heading, columns), strict=True)]
    return "\n".join(text for text in head if text), [line(cells) for cells in zip(*columns.values(), strict=True)]


def width(column: tuple[str, Sequence[str]]) -> int:
    """Letters that a column of (name, texts) takes, the space behind it included."""
    return max(map(len, (*heading(column[0]), *column[1]))) + 1


def heading(name: str) -> tuple[str, str]:
    """A heading in two lines, parted where words are; the first of them is empty where it is short or cannot be parted."""
    if len(name) <= WORD:
        return "", name
    at = name.find("_") + 1
    return (name[:at], name[at:]) if at else SYLLABLES.get(name, ("", name))
