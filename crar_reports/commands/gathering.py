"""`crar gather` and `crar import`: what comes from outside."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

import crar_model
from crar_model.core.errors import UserError
from crar_model.core.words import plural
from crar_model.face.worlds import STEPS
from crar_model.tasks import sides
from crar_reports.commands.app import app
from crar_reports.commands.command import Command
from crar_reports.commands.flags import Choices, named, with_flags
from crar_reports.commands.worlds import ArgumentOption, EnvOption, FixedOption, PolicyOption, StepsOption, WrapperOption


@app.command(
    cls=Command,
    epilog="Examples:\n  crar gather --env MiniGrid-Empty-6x6-v0 --steps 50000 --out data/empty\n  crar gather --size 50000 --out walk.npz",
)
@with_flags()
def gather(
    out: Annotated[
        Path,
        named("--out", metavar="FILE", help="With --env the folder of a Minari dataset; else the file, *.npz.", shown=False, panel=None),
    ],
    env: EnvOption = "",
    wrapper: WrapperOption = None,
    env_arg: ArgumentOption = None,
    fixed: FixedOption = False,
    steps: StepsOption = None,
    policy: PolicyOption = "",
    size: Annotated[int, typer.Option(metavar="N", min=1, help="Random mazes: transitions.")] = 200_000,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of maps and policy; member k of crar train uses --seed + k.")] = 0,
    inverse: Annotated[bool, typer.Option("--inverse", help="Observe the inverse maze.")] = False,
    legacy_astar: Annotated[bool, typer.Option("--legacy-astar", help="Quirk: draw maps as the released code does.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over an --out that is there.")] = False,
) -> None:
    """Gather by a random policy, or save a walk through random mazes."""
    how: dict[str, Any] = {"wrapper": wrapper or (), "env_arg": env_arg or (), "fixed": fixed, "steps": steps, "policy": policy}
    if env:
        from crar_reports import progress as console

        world = crar_model.gather_world(
            out, env, seed=seed, force=force, watch=console.progress_bar, notice=print, **how | {"steps": steps or STEPS}
        )
        print(f"{out}: {plural(world.steps, 'transition')}, a Minari dataset")
        print("\n".join(("next:", f"  {shlex.join(['crar', 'train', '--data', str(out), '--out', 'runs/base'])}")))
        return
    if said := [name for name, value in how.items() if value]:
        raise UserError(f"--{said[0].replace('_', '-')} is about an environment; give --env ID too")
    walk = crar_model.gather(out, size=size, seed=seed, inverse=inverse, legacy_astar=legacy_astar, force=force)
    print(
        f"{out}: {plural(size, 'transition')}, {plural(int(walk.terminated.sum()), 'finished episode')}; {walk.n_bytes / 1e6:.1f} MB in memory, "
        f"{out.stat().st_size / 1e6:.2f} MB on disk"
    )


@app.command(
    "import",
    cls=Command,
    epilog="Example:\n  crar import network.npz --maze simple-inverse --out model.pt\n\ndocs/original.md, section 10, has the file.",
)
@with_flags()
def import_network(
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, help="Its arrays p00, p01, ..., *.npz.")],
    maze: Annotated[str, Choices(sides()), typer.Option(help="The maze that it was trained in.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The checkpoint, *.pt.", show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Write over an --out that is there.")] = False,
) -> None:
    """Make a checkpoint of a network of the original code.

    Dense networks only. The checkpoint names no base: crar landscape --from takes it alone, crar evaluate judges it.
    """
    found = crar_model.import_network(file, maze, out, force=force)
    print(f"{out}: {found.model!r}; total loss {found.here:.3g} in its maze, {found.there:.3g} in the other")
    print(
        "\n".join(("next:", f"  {shlex.join(['crar', 'landscape', '--from', str(out), '--out', str(out.with_suffix('')) + '-landscape'])}"))
    )
