"""Flags: one for every setting, and those that several commands share."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, cast, get_args, get_origin

import typer

from crar_model.core.ranges import as_flag, as_key
from crar_model.core.settings import CureSettings, LossSettings, PlaySettings, TrainSettings
from crar_model.tasks import TASKS, Task

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


def named(*flags: str, metavar: str, help: str, shown: str | bool = True, panel: str | None = RUN, exists: bool = False) -> Any:
    """A flag with a value, as `typer.Option` has it: `shown` in place of its default; `exists` where it names something that has to be there."""
    return typer.Option(*flags, metavar=metavar, help=help, show_default=shown, rich_help_panel=panel, exists=exists)


OutOption = Annotated[Path, named("--out", metavar="FOLDER", help="Folder to write to; made if missing.", shown=False)]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Continue the run in --out, exactly where it stopped.", rich_help_panel=RUN)]
ForceOption = Annotated[bool, typer.Option("--force", help="Write into --out although something lies there.", rich_help_panel=RUN)]
ConfigOption = Annotated[
    Path | None,
    named(
        "--config", metavar="FILE", help="TOML file of flags, named as here with _ for -; flags typed as well win. Examples: docs/examples."
    ),
]
FormatOption = Annotated[str, Choices(("png", "svg")), typer.Option("--format", help="Format of the figures.", rich_help_panel=RUN)]
QuickOption = Annotated[bool, typer.Option("--quick", help="Cut paths and descents short: a first look in a quarter of the time.")]


def with_flags(
    *kinds: type, skip: Sequence[str] = (), only: Sequence[str] = (), start: Callable[[Task], Nested] | None = None, **shown: str
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Complete a command's flags: types of choices, --config, and one flag per field of settings dataclasses.

    The command receives the fields that are given as `given`, named as keyword arguments are.

    Args:
        kinds: the dataclasses.
        skip: fields that are no flags of this command.
        only: where not empty, the fields that are.
        start: the command's defaults for a task, nested; None shows those of the dataclass.
        shown: defaults to show in other words.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        kept = [typed(p) for p in signature.parameters.values() if p.name != "given"]
        kept.append(inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=ConfigOption))
        fields: list[str] = []
        for kind in kinds:
            for item in dataclasses.fields(kind):
                if not item.metadata or item.name in skip or (only and item.name not in only):
                    continue
                fields.append(item.name)
                kept.append(flag(item, kind, shown.get(item.name) or default_text(item, kind, start)))

        def wrapper(**values: Any) -> None:
            values = {
                name: unwrapped(value) for name, value in values.items() if name != "config"
            }  # crar_reports.commands.command has read that
            given = {as_key(name): value for name in fields if (value := values.pop(name)) is not None}
            command(**values, **({"given": given} if kinds else {}))

        wrapper.__doc__, wrapper.__name__ = command.__doc__, command.__name__
        cast(Any, wrapper).__signature__ = signature.replace(parameters=kept, return_annotation=None)
        return wrapper

    return decorate


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
