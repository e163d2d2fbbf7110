"""The `crar` command: parses, calls, prints. No science here."""

from __future__ import annotations

import dataclasses
import inspect
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from typer.exceptions import TyperException

from crar_model import __version__
from crar_model.checkpoints import load_checkpoint
from crar_model.errors import UserError
from crar_model.settings import LossSettings, PlaySettings, TrainSettings, from_plain, load_toml, to_plain
from crar_model.tasks import default_settings, task_named
from crar_model.training.members import Plan, base_plan, transfer_plan
from crar_model.training.runner import RunResult, plan_of, run_plan
from crar_model.training.variants import VARIANTS
from reports import console, samples

app = typer.Typer(
    name="crar",
    help="Why does a representation transfer end in a bad local minimum, and what gets it out?\n\n"
    "Train CRAR agents (crar train), transfer them to the inverse maze (crar transfer), judge the outcome "
    "(crar evaluate), and see what lies between a failed encoder and the global optimum (crar landscape).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

OutOption = Annotated[Path, typer.Option("--out", help="Folder to write to; made if missing.", show_default=False)]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Continue the run in --out, exactly where it stopped.")]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="TOML file of settings, named as the flags with _ for -; [loss] holds the loss's. Flags win."),
]
PathsArgument = Annotated[list[Path], typer.Argument(help="Checkpoints or run folders; a folder stands for all its members.")]


def with_settings(skip: tuple[str, ...] = (), **defaults: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add one flag per field of the settings dataclasses; the command receives those given as `given`.

    Args:
        skip: fields that are no flags of this command.
        defaults: defaults to show where the command has its own.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        kept = [p for p in signature.parameters.values() if p.name != "given"]
        fields = {}
        for kind in (TrainSettings, LossSettings):
            for item in dataclasses.fields(kind):
                if item.name in skip or item.name == "loss":
                    continue
                fields[item.name] = kind
                flag = "--" + item.name.replace("_", "-")
                shown = str(defaults.get(item.name, item.default))
                names = (f"{flag}/--no-{flag[2:]}",) if isinstance(item.default, bool) else (flag,)
                option = typer.Option(
                    *names, help=item.metadata["help"][0].upper() + item.metadata["help"][1:] + ".", show_default=shown,
                    rich_help_panel="Loss" if kind is LossSettings else "Settings",
                )  # fmt: skip
                annotation: Any = cast(Any, Annotated)[type(item.default) | None, option]
                kept.append(inspect.Parameter(item.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation))

        def wrapper(**values: Any) -> None:
            given: dict[str, Any] = {"loss": {}}
            for name, kind in fields.items():
                if (value := values.pop(name)) is not None:
                    (given["loss"] if kind is LossSettings else given)[name] = value
            command(**values, given=given)

        wrapper.__doc__, wrapper.__name__ = command.__doc__, command.__name__
        cast(Any, wrapper).__signature__ = signature.replace(parameters=kept, return_annotation=None)
        return wrapper

    return decorate


def merged(given: dict[str, Any], config: Path | None, start: dict[str, Any]) -> TrainSettings:
    """The maze's settings, overridden by `start`, by the TOML file, and by the flags."""
    layers = [start, load_toml(config) if config else {}, given]
    maze = next((layer["maze"] for layer in reversed(layers) if "maze" in layer), TrainSettings().maze)
    layers.insert(0, to_plain(default_settings(str(maze))))
    values: dict[str, Any] = {}
    for layer in layers:
        loss = layer.get("loss", {})
        if not isinstance(loss, dict):
            raise UserError(f"{config}: `loss` must be a table of loss settings")
        values = values | layer | {"loss": values.get("loss", {}) | loss}
    settings = from_plain(values, where=str(config or "settings"))
    settings.validate()
    return settings


def settle(result: RunResult) -> None:
    """Say how a run ended; a stopped run exits with 130."""
    for member, update in sorted(result.diverged.items()):
        print(f"member {member} diverged: not finite at update {update}, frozen there; the others went on", file=sys.stderr)
    if not result.finished:
        print(f"stopped and saved; continue with the same command and --resume, or: crar train --resume --out {result.folder}")
        raise typer.Exit(130)
    print(f"{len(result.members)} models in {result.folder} (member-0.pt ..., losses.csv, tensorboard/)")


@app.command()
@with_settings()
def train(
    given: dict[str, Any],
    out: OutOption,
    members: Annotated[int | None, typer.Option(help="Models to train as one program; member k uses seed + k.", show_default="6")] = None,
    resume: ResumeOption = False,
    config: ConfigOption = None,
) -> None:
    """Train CRAR agents from random weights, many seeds as one program."""
    if resume and (out / "run.json").exists():
        old = plan_of(out)
        if members is not None and members != len(old.members):
            raise UserError(f"--members is {members}, but the run in {out} has {len(old.members)}; leave it out or choose another --out")
        settings = merged(given, config, to_plain(old.settings))
        plan = dataclasses.replace(old, settings=settings)
    else:
        plan = base_plan(merged(given, config, {}), 6 if members is None else members)
    train_with_progress(plan, out, resume)


@app.command()
@with_settings(skip=("inverse",), maze="the bases'", updates="the maze's", learning_rate="the maze's", update_rule="the maze's")
def transfer(
    given: dict[str, Any],
    bases: Annotated[
        list[Path], typer.Option("--from", help="Base checkpoint; repeat it for several bases in one program.", show_default=False)
    ],
    out: OutOption,
    variant: Annotated[str, typer.Option(help="One of " + ", ".join(VARIANTS) + ".")] = "freeze",
    members: Annotated[int, typer.Option(help="Seeds per base and learning rate.")] = 8,
    rates: Annotated[
        list[float] | None,
        typer.Option("--rate", help="Learning rate; repeat it to run several in one program.", show_default="--learning-rate"),
    ] = None,
    reset: Annotated[str, typer.Option(help="New weights of reset-encoder: glorot (paper) or permute (the code's quirk).")] = "glorot",
    paired: Annotated[int, typer.Option(help="Paired observations of the variant paired.")] = 500,
    resume: ResumeOption = False,
    config: ConfigOption = None,
) -> None:
    """Transfer base models to the other maze: its observations are negated, the base's dynamics stay.

    Variants: freeze trains the encoder alone (the paper); reset-encoder starts it anew; unfreeze trains everything;
    omit-ball and delay-structure change the loss; scratch ignores the base; negate-input is the closed form and
    takes no updates; paired fits the encoder to the base's abstract states of paired observations.
    """
    given = {"maze": load_checkpoint(bases[0]).maze} | given
    settings = merged(given, config, dict(task_named(given["maze"]).transfer_defaults))
    plan = transfer_plan(settings, bases, variant, members, learning_rates=rates or (), reset=reset, paired=paired)
    train_with_progress(plan, out, resume)


def train_with_progress(plan: Plan, out: Path, resume: bool) -> None:
    """Run a plan under a progress bar and report how it ended."""
    with console.progress_bar(f"{plan.variant.name}: {len(plan.members)} members x {plan.settings.updates} updates") as tick:
        result = run_plan(plan, out, resume=resume, progress=tick)
    settle(result)


DepthOption = Annotated[int, typer.Option("--planning-depth", help="Random mazes: steps of lookahead.")]


@app.command()
def evaluate(
    paths: PathsArgument,
    base: Annotated[
        Path | None, typer.Option(help="Compare every embedding with this model's.", show_default="the base that a transfer names")
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="Random mazes: episodes (one in each of --episodes mazes) or paper (200 steps, 10 times).")
    ] = "episodes",
    episodes: Annotated[int, typer.Option(help="Random mazes: episodes to play.")] = 200,
    depth: DepthOption = 3,
    epsilon: Annotated[float, typer.Option(help="Random mazes: share of random actions.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Random mazes: seed of mazes and luck, the same for all models.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Judge models: loss terms, matched or swapped; predictions and navigation in the simple maze, the score in the random ones."""
    from reports.models import judge

    how = PlaySettings(protocol, episodes, seed, depth, epsilon)
    with console.progress_bar("evaluate", "models") as tick:
        judged = judge(paths, base, use_own_base=base is None, how=how, progress=tick)
    if as_json:
        print(json.dumps({"protocol": dataclasses.asdict(how), "models": [model.plain() for model in judged]}, indent=1))
    else:
        console.print_evaluation(judged)


@app.command()
def gather(
    out: Annotated[Path, typer.Option("--out", help="The file, *.npz.", show_default=False)],
    size: Annotated[int, typer.Option(help="Transitions.")] = 200_000,
    seed: Annotated[int, typer.Option(help="Seed of maps and policy; member k of `crar train` uses --seed + k.")] = 0,
    inverse: Annotated[bool, typer.Option("--inverse", help="Observe the inverse maze.")] = False,
    legacy_astar: Annotated[bool, typer.Option("--legacy-astar", help="Quirk: draw maps as the released code does.")] = False,
) -> None:
    """Gather a random policy's transitions in the random mazes, as `crar train` does, and save them as tile maps."""
    from crar_model.mazes.walks import gather_walk, save_walk

    if size < 1 or seed < 0:
        raise UserError(f"--size is {size} and --seed is {seed}; give at least 1 and 0")
    if out.suffix != ".npz":
        raise UserError(f"--out is {out}; give a file that ends in .npz")
    walk = gather_walk(seed, size, inverse=inverse, legacy_astar=legacy_astar)
    save_walk(out, walk)
    print(
        f"{out}: {size} transitions, {int(walk.terminal.sum())} finished episodes; {walk.n_bytes / 1e6:.1f} MB in memory, "
        f"{out.stat().st_size / 1e6:.2f} MB on disk"
    )


@app.command()
def play(
    out: Annotated[Path, typer.Option("--out", help="The animated picture, *.gif.", show_default=False)],
    checkpoint: Annotated[Path, typer.Argument(help="A model of the random mazes.", show_default="the shipped base")] = samples.RANDOM_BASE,
    depth: DepthOption = 3,
    epsilon: Annotated[float, typer.Option(help="Share of random actions.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of the map and of the random actions.")] = 0,
) -> None:
    """Play one episode of the random mazes and save it as a GIF with the planned path."""
    from reports.play import save_episode

    episode = save_episode(checkpoint, out, seed=seed, depth=depth, epsilon=epsilon)
    print(f"{episode.path}: reward {episode.reward:.1f}, {episode.keys} of 3 keys in {episode.steps} steps")


@app.command()
def landscape(
    out: OutOption,
    failed: Annotated[Path, typer.Option("--from", help="The failed transfer.", show_default="the shipped sample")] = samples.FAILED,
    base: Annotated[
        Path,
        typer.Option(
            "--to",
            help="The base it should have matched; one of the other maze stands for its closed-form copy.",
            show_default="the shipped sample",
        ),
    ] = samples.BASE,
    points: Annotated[int, typer.Option(help="Points per line, ends included.")] = 101,
    resolution: Annotated[int, typer.Option(help="Points per axis of the surface encoder x dynamics.")] = 51,
    blocks: Annotated[
        str, typer.Option(help="Dynamics that the second axis and the free paths move: transition, reward, discount, value; with commas.")
    ] = "dynamics",
    terms: Annotated[str, typer.Option(help="Loss terms to show, with commas; the total is always there.")] = "all",
    space: Annotated[
        str,
        typer.Option(
            help="Where surface and paths run: embedding, weight, or auto (embedding in the simple maze, weight in the random ones)."
        ),
    ] = "auto",
    align: Annotated[bool, typer.Option(help="Match hidden units first, so that ways in weight space go to the nearest copy.")] = True,
    certificate: Annotated[bool, typer.Option(help="Also certify whether the failed encoder is a local minimum.")] = True,
    quick: Annotated[bool, typer.Option("--quick", help="Cut paths and descents short: a first look in a quarter of the time.")] = False,
    image: Annotated[str, typer.Option("--format", help="Format of the figures: png or svg.")] = "png",
    from_maze: Annotated[
        str | None,
        typer.Option(help="Maze of a --from checkpoint that does not say: simple, simple-inverse, random ...", show_default="its own"),
    ] = None,
    to_maze: Annotated[str | None, typer.Option(help="The same for --to.", show_default="its own")] = None,
) -> None:
    """Dissect a failed transfer: lines, surface encoder x dynamics, certificate, paths out, and the appendix's claims.

    Models of the random mazes are dissected on 512 held-out transitions, with their scores; certificate and paths are for
    the simple maze.
    """
    from reports.landscape import write_landscape
    from reports.measure.dissection import LandscapeOptions

    options = LandscapeOptions(
        points=points, resolution=resolution, blocks=words(blocks, "dynamics", LandscapeOptions().blocks),
        terms=words(terms, "all", LandscapeOptions().terms), space=space, align=align, quick=quick, certificate=certificate, image=image,
    )  # fmt: skip
    report = write_landscape(failed, base, out, options=options, failed_maze=from_maze, base_maze=to_maze, command=command_line())
    print(f"report: {report}")


def words(given: str, everything: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """A list with commas; `everything` stands for all that are known."""
    return known if given == everything else tuple(word.strip() for word in given.split(",") if word.strip())


@app.command()
def theorem(
    out: OutOption,
    failed: Annotated[Path, typer.Option("--from", help="A transfer.", show_default="the shipped sample")] = samples.FAILED,
    base: Annotated[Path, typer.Option("--to", help="Its base.", show_default="the shipped sample")] = samples.BASE,
    image: Annotated[str, typer.Option("--format", help="Format of the figure: png or svg.")] = "png",
) -> None:
    """Write the report of the frozen-dynamics theorem: the linear case proven with its exceptions, then a trained model."""
    from reports.theorem import write_theorem

    print(f"report: {write_theorem(failed, base, out, image=image, command=command_line())}")


@app.command()
def trajectory(
    run: Annotated[Path, typer.Argument(help="Run folder trained with --snapshots.")],
    out: OutOption,
    member: Annotated[int, typer.Option(help="Member of the run.")] = 0,
    resolution: Annotated[int, typer.Option(help="Points per axis.")] = 25,
    image: Annotated[str, typer.Option("--format", help="Format of the figure: png or svg.")] = "png",
) -> None:
    """Write the loss on the principal plane of a member's training, with what the plane leaves out."""
    from reports.trajectory import write_trajectory

    print(f"report: {write_trajectory(run, out, member=member, resolution=resolution, image=image, command=command_line())}")


@app.command()
def claims(
    transfers: Annotated[
        list[Path], typer.Option("--transfer", help="Run folder of transfers, or one of them; repeat it for several.", show_default=False)
    ],
    out: OutOption,
    limit: Annotated[int, typer.Option(help="Most transfers per base.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="Cut paths and descents short.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Keep the transfers that --out has dissected already.")] = False,
) -> None:
    """Dissect many transfers against their own bases and decide the appendix's claims S1 to S10 over all of them."""
    from reports.many import write_claims

    print(f"report: {write_claims(transfers, out, limit=limit, quick=quick, resume=resume, command=command_line())}")


@app.command()
def report(
    bases: Annotated[list[Path], typer.Option("--base", help="Run folder of base models; repeat it for several.", show_default=False)],
    transfers: Annotated[
        list[Path], typer.Option("--transfer", help="Run folder of transfers; repeat it for several.", show_default=False)
    ],
    out: OutOption,
    episodes: Annotated[int, typer.Option(help="Random mazes: episodes that every model is scored on.")] = 200,
    depth: DepthOption = 3,
) -> None:
    """Write the report of a study: outcomes per base and variant, curves, scores, and the figures of the appendix."""
    from reports.study import write_study

    how = PlaySettings(episodes=episodes, depth=depth)
    print(f"report: {write_study(bases, transfers, out, how=how, command=command_line())}")


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder to write to; made if missing.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Seed of the first base model.")] = 0,
    resume: ResumeOption = False,
) -> None:
    """Train bases, transfer them, dissect a failed transfer and write the report, in a few minutes."""
    from reports.demo import run_demo

    print(f"report: {run_demo(out, seed=seed, resume=resume, command=command_line())}")


@app.command()
def version() -> None:
    """Print the version."""
    print(f"crar {__version__}")


def command_line() -> str:
    """The command as the user could type it again, for reports."""
    return shlex.join(["crar", *sys.argv[1:]])


def main() -> None:
    """Entry point: bad input ends in one line on standard error and exit code 2, Ctrl-C in 130."""
    try:
        code = app(standalone_mode=False)
    except UserError as error:
        print(f"crar: error: {error}", file=sys.stderr)
        code = 2
    except TyperException as error:
        message = " ".join(str(error.format_message()).split())
        print(f"crar: error: {message} (see crar --help)", file=sys.stderr)
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        print("crar: stopped", file=sys.stderr)
        code = 130
    except typer.Exit as stop:
        code = stop.exit_code
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
