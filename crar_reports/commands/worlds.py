"""Flags of environments of one's own, which `crar gather`, `crar train` and `crar transfer` share."""

from __future__ import annotations

from typing import Annotated

import typer

from crar_model.face.worlds import STEPS

WORLD = "World"
EnvOption = Annotated[
    str,
    typer.Option("--env", metavar="ID", help="Any Gymnasium environment with discrete actions.", show_default=False, rich_help_panel=WORLD),
]
WrapperOption = Annotated[
    list[str] | None,
    typer.Option(
        "--wrapper",
        metavar="MODULE:NAME",
        help="Wrapper to put around it; several from the inside out.",
        show_default=False,
        rich_help_panel=WORLD,
    ),
]
ArgumentOption = Annotated[
    list[str] | None,
    typer.Option("--env-arg", metavar="NAME=VALUE", help="Argument of the environment.", show_default=False, rich_help_panel=WORLD),
]
FixedOption = Annotated[
    bool, typer.Option("--fixed", help="Every episode begins as the seed begins the first: one map, one start.", rich_help_panel=WORLD)
]
StepsOption = Annotated[
    int | None, typer.Option("--steps", metavar="N", min=1, help="Transitions to gather.", show_default=f"{STEPS:,}", rich_help_panel=WORLD)
]
PolicyOption = Annotated[
    str,
    typer.Option(
        "--policy",
        metavar="MODULE:NAME",
        help="Function of (observations, generator) -> actions.",
        show_default="uniformly random",
        rich_help_panel=WORLD,
    ),
]
