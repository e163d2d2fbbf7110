"""TOML files that stand for the flags of a command."""

from __future__ import annotations

from dataclasses import dataclass, fields
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args, get_origin

from crar_model.core.errors import UserError
from crar_model.core.settings import KINDS, LossSettings, load_toml

LOSS = "loss"
"""The one table of a file: what the loss is made of."""
WORDS = KINDS | {Path: "a path in quotes"}
LEFT_OUT = ("config", "help")


@dataclass(frozen=True)
class Config:
    """What a file says: parameter of the command -> value."""

    path: Path
    values: dict[str, Any]


def key_of(param: Any) -> str:
    """The name of a flag or an argument in a file: the flag's, with _ for -."""
    name: str = param.opts[0] if param.param_type_name == "option" else param.name
    return name.lstrip("-").replace("-", "_")


def section_of(param: Any) -> str:
    """The table that a flag belongs into; empty for the top of the file."""
    return LOSS if param.name in {item.name for item in fields(LossSettings)} else ""


def read_config(path: Path, command: Any) -> Config:
    """Read a file of flags.

    Args:
        path: the TOML file.
        command: the command whose flags it gives.

    Raises:
        UserError: when it cannot be read, for a name that the command does not have or that belongs elsewhere in the file, and for
            a value of another type.
    """
    known = {(section_of(param), key_of(param)): param for param in command.params if param.name not in LEFT_OUT}
    found: dict[str, Any] = {}
    for name, content in load_toml(path).items():
        table = content if isinstance(content, dict) else {name: content}
        section = name if isinstance(content, dict) else ""
        if section and section not in {place for place, _ in known}:
            raise UserError(f"{path}: {unknown_section(section, known, command.name)}")
        for word, value in table.items():
            key = word.replace("-", "_")
            if (section, key) not in known:
                raise UserError(f"{path}: {unknown_name(section, key, known, command.name)}")
            param = known[section, key]
            found[param.name] = checked(value, param.type_descriptor.annotation, f"{path}: {key}")
    return Config(path, found)


def unknown_section(section: str, known: dict[tuple[str, str], Any], command: str) -> str:
    """What is wrong with a table that the command does not have."""
    if ("", section) in known:
        return f"[{section}] is a table, but {section} is a single value"
    return f"no table [{section}] in settings of crar {command}" + (f"; did you mean [{LOSS}]?" if (LOSS, "beta") in known else "")


def unknown_name(section: str, key: str, known: dict[tuple[str, str], Any], command: str) -> str:
    """What is wrong with a name that is not known in its place."""
    places = {name: place for place, name in known}
    if key in places:
        return f"put {key} under [{places[key]}]" if places[key] else f"put {key} at the top of the file, not under [{section}]"
    near = get_close_matches(key, places, n=1)
    if not near:
        return f"unknown setting {key!r}; crar {command} --help lists what there is"
    return f"unknown setting {key!r}; did you mean {near[0]}" + (f" under [{places[near[0]]}]?" if places[near[0]] else "?")


def checked(value: Any, kind: Any, what: str) -> Any:
    """A value of a file as its flag takes it.

    Args:
        value: from the file.
        kind: the flag's type.
        what: named in the error.

    Raises:
        UserError: for a value of another type.
    """
    if get_origin(kind) is list:
        return [checked(each, get_args(kind)[0], what) for each in (value if isinstance(value, list) else [value])]
    if issubclass(kind, StrEnum):
        if value not in list(kind):
            raise UserError(f"{what} is {value!r}; choose one of {', '.join(kind)}")
        return value
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not (str if kind is Path else kind):
        raise UserError(f"{what} is {value!r}; it must be {WORDS[kind]}")
    return value
