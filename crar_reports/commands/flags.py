"""Flags: one for every setting, and those that several commands share."""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from enum import StrEnum
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, cast, get_args, get_origin

import typer

from crar_model.core.errors import UserError
from crar_model.core.files import find_json, is_empty
from crar_model.core.ranges import as_flag
from crar_model.core.settings import CureSettings, LossSettings, PlaySettings, TrainSettings, from_plain, merged, to_plain
from crar_model.tasks import TASKS, Task, default_settings
from crar_model.tasks.checks import check_settings
from crar_model.training.variants import Variant
from crar_reports.commands.command import ORDER

RUN = "Run"
HEADINGS = {TrainSettings: "Training", LossSettings: "Loss ([loss] in a file of settings)", PlaySettings: "Scoring", CureSettings: "Cure"}
Nested = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Choices:
    """Beside the option in an annotation of `str`: the words that the flag takes, for the parser, the help and completion."""

    words: tuple[str, ...]

    @property
    def metavar(self) -> str:
        """How the help shows them."""
        return f"[{'|'.join(self.words)}]"

    @property
    def type(self) -> Any:
        """The type of one of them; an enumeration, because Typer takes no list of literals."""
        return StrEnum("Choice", {word: word for word in self.words})


OutOption = Annotated[
    Path, typer.Option("--out", metavar="FOLDER", help="Folder to write to; made if missing.", show_default=False, rich_help_panel=RUN)
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Continue the run in --out, exactly where it stopped.", rich_help_panel=RUN)]
ForceOption = Annotated[bool, typer.Option("--force", help="Write into --out although something lies there.", rich_help_panel=RUN)]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", rich_help_panel=RUN,
        help="TOML file of flags, named as here with _ for -; flags typed as well win. Examples: docs/examples.",
    ),
]  # fmt: skip
FormatOption = Annotated[str, Choices(("png", "svg")), typer.Option("--format", help="Format of the figures.", rich_help_panel=RUN)]
QuickOption = Annotated[bool, typer.Option("--quick", help="Cut paths and descents short: a first look in a quarter of the time.")]


def with_flags(
    *kinds: type,
    skip: Sequence[str] = (),
    only: Sequence[str] = (),
    start: Callable[[Task], Nested] | None = None,
    alone: bool = True,
    **shown: str,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Complete a command's flags: types of choices, --config, and one flag per field of settings dataclasses.

    The command receives the fields that are given as `given`, nested as in a file of settings.

    Args:
        kinds: the dataclasses.
        skip: fields that are no flags of this command.
        only: where not empty, the fields that are.
        start: the command's defaults for a task, nested; None shows those of the dataclass.
        alone: keep other commands out of --out, a folder, while this one works.
        shown: defaults to show in other words.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        kept = [typed(p) for p in signature.parameters.values() if p.name != "given"]
        kept.append(inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=ConfigOption))
        fields: dict[str, type] = {}
        for kind in kinds:
            for item in dataclasses.fields(kind):
                if not item.metadata or item.name in skip or (only and item.name not in only):
                    continue
                fields[item.name] = kind
                kept.append(flag(item, kind, shown.get(item.name) or default_text(item, kind, start)))

        def wrapper(**values: Any) -> None:
            values = {
                name: unwrapped(value) for name, value in values.items() if name != "config"
            }  # crar_reports.commands.command has read that
            given: dict[str, Any] = {}
            for name, kind in fields.items():
                if (value := values.pop(name)) is not None:
                    (given.setdefault("loss", {}) if kind is LossSettings else given)[name] = value
            with keeping(values.get("out") if alone else None):
                command(**values, **({"given": given} if kinds else {}))

        wrapper.__doc__, wrapper.__name__ = command.__doc__, command.__name__
        cast(Any, wrapper).__signature__ = signature.replace(parameters=kept, return_annotation=None)
        return wrapper

    return decorate


def keeping(out: Path | None) -> AbstractContextManager[None]:
    """Keep other commands out of a folder; of none, or where a file lies, it keeps nothing."""
    if out is None or (os.path.lexists(out) and not out.is_dir()):
        return nullcontext()
    from crar_model.core.guards import only_one

    return only_one(out, "another crar command works there")


def unwrapped(value: Any) -> Any:
    """A choice, or a list of them, as plain text; other values as they are."""
    if isinstance(value, list):
        return [unwrapped(each) for each in value]
    return value.value if isinstance(value, StrEnum) else value


def typed(parameter: inspect.Parameter) -> inspect.Parameter:
    """A parameter of a command whose annotation has :class:`Choices`, with the type that they make of it."""
    if get_origin(parameter.annotation) is not Annotated:
        return parameter
    kind, *about = get_args(parameter.annotation)
    found = next((each for each in about if isinstance(each, Choices)), None)
    if found is None:
        return parameter
    option = next(each for each in about if each is not found)
    option.metavar = found.metavar
    optional = NoneType in get_args(kind)
    kind = cast(Any, list)[found.type] if list[str] in (kind, *get_args(kind)) else found.type
    return parameter.replace(annotation=cast(Any, Annotated)[kind | None if optional else kind, option])


def flag(item: dataclasses.Field[Any], kind: type, default: str) -> inspect.Parameter:
    """The flag of a field, as a parameter of a command; None stands for one that is not given."""
    about, name = item.metadata, as_flag(item.name)
    choices = Choices(about["choices"] or (tuple(TASKS) if item.name == "maze" else ()))
    text = about["help"]
    value = "N" if type(item.default) is int else item.name.rpartition("_")[2].upper()
    option = typer.Option(
        *((f"{name}/--no-{name[2:]}",) if isinstance(item.default, bool) else (name,)),
        help=sentence(text, choices.words),
        metavar=choices.metavar if choices.words else value,
        show_default=default,
        rich_help_panel=about["group"] or HEADINGS[kind],
    )
    annotation = cast(Any, Annotated)[(choices.type if choices.words else type(item.default)) | None, option]
    return inspect.Parameter(item.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def sentence(text: str, words: Sequence[str]) -> str:
    """A line of help with a capital and a full stop; one that begins with a choice keeps it as it is typed."""
    start = text if text.startswith(tuple(words)) and words else text[0].upper() + text[1:]
    return start if start.endswith("...") else start + "."


def default_text(item: dataclasses.Field[Any], kind: type, start: Callable[[Task], Nested] | None) -> str:
    """A default as the help shows it: the first task's, and what other tasks have where it differs."""

    def read(task: Task) -> str:
        values = start(task) if start else {}
        value = (values.get("loss", {}) if kind is LossSettings else values).get(item.name, item.default)
        return ("on" if value else "off") if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)

    if item.name == "maze":
        return str(item.default)
    usual, *others = ((name, read(task)) for name, task in TASKS.items())
    return ", ".join((usual[1], *(f"{name}: {text}" for name, text in others if text != usual[1])))


def base_start(task: Task) -> Nested:
    """Settings of base training in a task, nested."""
    return to_plain(default_settings(task.name))


def transfer_start(task: Task, variant: Variant | None = None) -> Nested:
    """Settings of a transfer in a task, nested; of the usual variants, where none is named."""
    return merged(base_start(task), task.transfer_defaults if variant is None else variant.defaults(task))


def settled(*layers: Nested) -> TrainSettings:
    """Checked settings from nested ones, later ones over earlier ones.

    Raises:
        UserError: for a value out of range.
    """
    settings = from_plain(merged(*layers), where="settings")
    check_settings(settings)
    return settings


def playing(given: Nested) -> PlaySettings:
    """Checked settings of playing and scoring.

    Raises:
        UserError: for a value out of range.
    """
    how = PlaySettings(**given)
    how.validate()
    return how


def words_of(flag_name: str, given: str, everything: str, known: Sequence[str]) -> tuple[str, ...]:
    """A list with commas; `everything` stands for all that are known.

    Raises:
        UserError: for an empty list or a word that is not known.
    """
    words = tuple(known) if given == everything else tuple(word.strip() for word in given.split(",") if word.strip())
    odd = [word for word in words if word not in known]
    if odd or not words:
        raise UserError(
            f"{flag_name}: {'unknown ' + repr(odd[0]) if odd else 'names nothing'}; choose from {everything}, {', '.join(known)}"
        )
    return words


def fresh(out: Path, *, force: bool = False, other: str = "", own: str = "", flag: str = "--out") -> None:
    """Hold the rule of every --out: what lies there already is not touched unknowingly.

    Args:
        out: a file or folder to write.
        force: whether the user said that it may be.
        other: another flag that allows it, for the error.
        own: the command whose folder alone may be gone on with; "" for a command that writes over what is there.
        flag: that names it.

    Raises:
        UserError: where something lies there, or what another command wrote.
    """
    if force and own and (there := maker(out)) not in ("", own):
        raise UserError(f"{out}: holds what `crar {there}` wrote; choose another {flag}")
    if not force and (out.is_file() or not is_empty(out)):
        raise UserError(f"{out}: exists already; add {other or '--force'} or choose another {flag}")


def going_on(out: Path, own: str, *, force: bool, resume: bool) -> None:
    """:func:`fresh` of a command that can also go on where it was stopped."""
    fresh(out, force=force or resume, other="--resume to go on, --force to write over it,", own="" if force else own)


def maker(folder: Path) -> str:
    """The command that wrote a folder, by what it left there; "" where nothing says."""
    for name, command in (("run.json", "train"), ("study.json", "study")):
        if (folder / name).exists():
            return command
    words: list[str] = []
    with suppress(UserError):  # damaged, it says nothing
        words = (find_json(folder / "results.json", {"command": str}, "") or {"command": ""})["command"].split()
    return words[1] if words[:1] == ["crar"] and words[1:2] and words[1] in ORDER else ""
