"""Commands as people read and type them: help under headings, flags given once, and the same flags in a TOML file."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args

import typer
from typer.core import TyperCommand, TyperGroup

from crar_model.core.errors import UserError
from crar_model.core.fresh import COMMANDS
from crar_model.core.ranges import MOST_WHOLE
from crar_reports.commands.config import Config, read_config
from crar_reports.commands.paths import check_paths

WIDTH = 72
"""Longest list of choices that stays on one line."""


class Command(TyperCommand):
    """A command of `crar`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse a single-valued flag that is given twice, and put what the file behind --config says in the place of defaults.

        Raises:
            UserError: for either, naming the flag or the file.
        """
        if ctx.resilient_parsing:  # shell completion looks at half a command
            return super().parse_args(ctx, args)
        typed, _, order = self.make_parser(ctx).parse_args(list(args))
        for param in order:
            if param.param_type_name == "option" and not param.multiple and order.count(param) > 1:
                raise UserError(f"{'/'.join((*param.opts, *param.secondary_opts))} is given twice; it takes one value")
        check_paths(self.params, typed)
        config = self.config(typed)
        if config is not None:
            check_paths(self.params, config.values, f"{config.path}: ")
            ctx.default_map = config.values
        try:
            rest: list[str] = super().parse_args(ctx, args)
        except typer.BadParameter as error:
            values = typed | (config.values if config else {})
            if error.param is None or values.get(error.param.name) in (None, ()):
                raise  # something is missing
            where = f"{config.path}: " if config and error.param.name in config.values else ""
            raise UserError(where + complaint(error.param, values[error.param.name], error.message)) from error
        ctx.meta["crar.config"] = config
        for param in self.params:
            given = ctx.params.get(param.name)
            for value in given if isinstance(given, (list, tuple)) else [given]:
                if isinstance(value, int) and value > MOST_WHOLE:
                    raise UserError(f"{param.opts[0]} is {value}; give a whole number of at most {MOST_WHOLE:,}")
        return rest

    def get_params(self, ctx: Any) -> list[Any]:
        """The flags and arguments."""
        return [switched_off(param) if param.name == "help" else param for param in super().get_params(ctx)]

    def config(self, typed: dict[str, Any]) -> Config | None:
        """What the file of settings says, where one is given; without what is typed as well, for flags win."""
        path = typed.get("config")
        if path is None:
            return None
        config = read_config(Path(path), self)
        return Config(config.path, {name: value for name, value in config.values.items() if typed.get(name) in (None, ())})

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an error about a flag that the file set names the file too, and a stop by Ctrl-C is told."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # Typer ends without a word
            print("crar: stopped", file=sys.stderr)
            raise typer.Exit(130) from None
        except UserError as error:
            config, flag = ctx.meta["crar.config"], re.match(r"--([\w-]+)", str(error))
            if config is not None and flag and any("--" + flag[1] in p.opts and p.name in config.values for p in self.params):
                raise UserError(f"{config.path}: {error}") from error
            raise

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments first, then the options under their headings, in the order of the headings' first flags."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            if not getattr(param, "hidden", False):
                usual = "Arguments" if param.param_type_name == "argument" else "Options"
                sections.setdefault(getattr(param, "rich_help_panel", None) or usual, []).append(described(param))
        for name in sorted(sections, key=lambda name: {"Arguments": 0, "Options": 2}.get(name, 1)):
            with formatter.section(name):
                formatter.write_dl(sections[name], col_max=28)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Examples, word for word."""
        written(self.epilog, formatter)


def switched_off(param: Any) -> Any:
    """A switch with the default "off"; without one, Typer loads Pydantic (0.1 s) to find that it was not given."""
    if param.is_flag and param.default is None:
        param.default = False
    return param


def complaint(param: Any, value: Any, otherwise: str) -> str:
    """One line on a value that a flag or an argument does not take.

    Args:
        param: the flag or argument.
        value: what was given, or a list of it.
        otherwise: what to say of it where nothing better is known.
    """
    name = param.opts[0] if param.param_type_name == "option" else param.metavar
    kind = (get_args(param.type_descriptor.annotation) or (param.type_descriptor.annotation,))[0]
    for each in value if isinstance(value, (list, tuple)) else [value]:
        if kind is Path and not Path(each).exists():
            return f"{name}: {each} does not exist"
        if issubclass(kind, StrEnum) and each not in list(kind):
            return f"{name} is {each!r}; choose one of {', '.join(kind)}"
        if kind in (int, float) and not is_number(kind, each, param.min):
            least = "" if param.min is None else f" of at least {param.min}"
            return f"{name} is {each}; give a {'whole ' if kind is int else ''}number{least}"
    return f"{name}: {otherwise}"


def is_number(kind: type[int] | type[float], value: Any, least: float | None) -> bool:
    """Whether a flag of numbers takes a text."""
    try:
        number = kind(value)
    except ValueError:
        return False
    return least is None or number >= least


class Group(TyperGroup):
    """`crar` itself."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The flags of `crar` itself, all of them switches."""
        return [switched_off(param) for param in super().get_params(ctx)]

    def list_commands(self, ctx: Any) -> list[str]:
        """The commands in the order in which one needs them."""
        return sorted(super().list_commands(ctx), key=lambda name: COMMANDS.index(name) if name in COMMANDS else len(COMMANDS))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The commands first."""
        self.format_commands(ctx, formatter)
        with formatter.section("Options"):
            formatter.write_dl([described(param) for param in self.get_params(ctx)])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Examples, word for word."""
        written(self.epilog, formatter)


def written(epilog: str | None, formatter: Any) -> None:
    """Add lines to the help as they are."""
    if epilog:
        formatter.write("\n" + "".join(f"{line}\n" for line in epilog.strip().splitlines()))


def described(param: Any) -> tuple[str, str]:
    """(name, what it does) of a flag or an argument in the help."""
    if param.param_type_name == "argument":
        name = f"{param.metavar}{'' if param.nargs == 1 else '...'}"
    else:
        name = ", ".join(param.opts) + "".join(f"/{flag}" for flag in param.secondary_opts)
        name += "" if param.is_flag else f" {param.metavar}"
    if len(name) > WIDTH:
        at = name.rindex("|", 0, WIDTH) + 1
        name = f"{name[:at]}\n{' ' * 6}{name[at:]}"
    return name, "  ".join((param.help or "", *(f"[{note}]" for note in notes(param)))).strip()


def notes(param: Any) -> Iterator[str]:
    """What stands in brackets behind the help of a flag or an argument."""
    if param.required:
        yield "required"
    elif isinstance(param.show_default, str):
        yield f"default: {param.show_default}"
    elif param.show_default and isinstance(param.default, bool):
        if param.default or param.secondary_opts:
            yield f"default: {'on' if param.default else 'off'}"
    elif param.show_default and param.default not in (None, ()):
        values = param.default if isinstance(param.default, list) else [param.default]
        yield f"default: {', '.join(str(value) for value in values)}"
    if getattr(param, "multiple", False):
        yield "repeatable"
