"""What each member of a run is, and the parameters it starts from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from crar_model.agent.agent import Agent
from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.params import Params, select
from crar_model.core.ranges import as_flag, as_flags_but
from crar_model.core.settings import TrainSettings, from_plain, to_plain
from crar_model.core.streams import Stream
from crar_model.cures.cure import applying, refusal
from crar_model.cures.methods import METHODS
from crar_model.models.checkpoints import Checkpoint, load_checkpoint
from crar_model.tasks import TASKS, Task, task_named, task_of
from crar_model.tasks.checks import check_settings
from crar_model.training.variants import BASE, VARIANTS, Variant

QUIRKS = ("terminal_last", "legacy_astar", "blank_terminal")
"""Settings of walks that are gathered in the mazes."""


@dataclass(frozen=True)
class Member:
    """One model of a run: its seed, its learning rate, and the base it starts from, if any."""

    seed: int
    learning_rate: float
    base: str = ""


@dataclass(frozen=True)
class Plan:
    """A run before it starts: settings, members, variant.

    Attributes:
        settings: shared by all members; its `inverse` is the maze that is learned.
        members: one entry a model.
        variant: what starts where and what trains.
        reset: how a "fresh-encoder" start draws new weights: "glorot" (the paper) or "permute" (the code's quirk:
            shuffle the entries of each base weight tensor).
        paired: number of paired observations of a supervised variant.
        starts: a checkpoint a member whose encoder it starts from, of a variant that searches; `search.search_starts` writes them.
    """

    settings: TrainSettings
    members: tuple[Member, ...]
    variant: Variant = BASE
    reset: str = "glorot"
    paired: int = 0
    starts: tuple[Path, ...] = ()

    @property
    def task(self) -> Task:
        """The maze that is learned."""
        return task_of(self.settings)


def base_plan(settings: TrainSettings, members: int) -> Plan:
    """The plan of `crar train`.

    Raises:
        UserError: for settings out of range or fewer than one member.
    """
    check_settings(settings, members=members)
    settings = with_file(task_of(settings).begun(settings))
    _at_least_one(members)
    return Plan(settings, tuple(Member(settings.seed + k, settings.learning_rate) for k in range(members)))


def transfer_plan(
    settings: TrainSettings,
    bases: Sequence[StrPath],
    variant: str,
    members: int,
    *,
    learning_rates: Sequence[float] = (),
    reset: str = "glorot",
    paired: int = 500,
) -> Plan:
    """The plan of `crar transfer`: every base x learning rate x seed is a member.

    Args:
        settings: its `inverse` is replaced by the opposite of the bases' maze.
        bases: checkpoints to transfer from, all of one maze; one that is a transfer itself goes back (see :func:`refuse_transfers`).
        variant: a key of `VARIANTS`.
        members: seeds per base and learning rate.
        learning_rates: several rates in one run; empty uses the settings' own.
        reset, paired: see :class:`Plan`.

    Raises:
        UserError: for an unknown variant, unusable bases, or settings out of range.
    """
    if variant not in VARIANTS:
        raise UserError(f"--variant is {variant!r}; choose one of {', '.join(VARIANTS)}")
    recipe = VARIANTS[variant]
    if reset not in ("glorot", "permute"):
        raise UserError(f"--reset is {reset!r}; choose glorot or permute")
    if not bases:
        raise UserError("--from names no checkpoint; give at least one base")
    _at_least_one(members)
    loaded = [(path, load_checkpoint(path)) for path in bases]
    digests = [base.digest for _, base in loaded]
    if twice := [path for path, digest in zip(bases, digests, strict=True) if digests.count(digest) > 1]:
        raise UserError(f"{twice[-1]}: the same network as {twice[0]}, which would be counted as two bases; give each once")
    for path, base in loaded:
        if base.maze == settings.maze and not base.task.same_maze(task_of(settings)):
            raise UserError(
                f"{path}: a base of another layout or observation"
                + (
                    ", abstract size or scale of rewards; leave --abstract-dim and --reward-scale out"
                    if base.task.known_by_data
                    else "; leave --walls and --observation out"
                )
                + ", a transfer keeps its base's, and give bases that have both in common"
            )
        if base.maze != settings.maze:
            raise UserError(f"{path}: a base of the {base.maze} maze, but --maze is {settings.maze}; give a base of that maze")
        if base.inverse and base.task is not task_of(settings):
            raise UserError(f"{path}: a base of the maze seen through {base.task.observation_map.title}; give the same --observation-map")
        if base.inverse != loaded[0][1].inverse:
            raise UserError(f"{path}: its maze is {'inverse' if base.inverse else 'normal'}, unlike {loaded[0][0]}; run them apart")
    settings = transferred(settings, recipe, inverse=not loaded[0][1].inverse, paired=paired)
    rates = tuple(learning_rates) or (settings.learning_rate,)
    if len(set(rates)) < len(rates):
        raise UserError(f"--rate names {max(rates, key=rates.count):g} twice; give each once, and more seeds by --members")
    spell = as_flags_but(learning_rate="--rate" if learning_rates else "", data_size="--paired" if recipe.supervised else "")
    for rate in rates:
        check_settings(dataclasses.replace(settings, learning_rate=rate), spell, members=members * len(rates) * len(loaded))
    apart = members if recipe.start == "fresh" else 0  # what takes nothing from its base is otherwise the same network once a base
    plans = [
        Member(settings.seed + place * apart + k, rate, str(path))
        for place, (path, _) in enumerate(loaded)
        for rate in rates
        for k in range(members)
    ]
    return Plan(settings, tuple(plans), recipe, reset, settings.data_size if recipe.supervised else 0)


def refuse_transfers(bases: Sequence[StrPath], flag: str) -> None:
    """Refuse bases that are transfers themselves: one would train from the other maze back, which is seldom meant.

    Args:
        bases: checkpoints.
        flag: that says it is meant.

    Raises:
        UserError: for the first that is one; the line says what else could be meant.
    """
    for path in bases:
        model = load_checkpoint(path)
        if model.base_name:
            here, there = ("normal", "inverse") if model.inverse else ("inverse", "normal")
            raise UserError(
                f"{path}: a transfer ({model.info.get('variant')}) to the {there} maze, so this would train back to the {here} one; "
                f"give its base {model.base_name}, mend it with crar cure --from {path}, or add {flag} if back is meant"
            )


def transferred(settings: TrainSettings, recipe: Variant, *, inverse: bool, paired: int) -> TrainSettings:
    """The settings of a transfer by a variant.

    Args:
        settings: as given.
        recipe: the variant.
        inverse: the side that is learned, opposite to the bases'.
        paired: observations of a supervised variant: as many different states where the states can be listed, at most all of them;
            elsewhere as many steps of a walk.

    Raises:
        UserError: for a variant that the maze lacks, or settings that do not go with it.
    """
    if recipe.supervised and paired < 1:
        raise UserError(f"--paired is {paired}; give at least 1 paired observation")
    if recipe.search:
        task_of(settings).need_listing(f"--variant {recipe.name}")
    why = refusal(task_of(settings), METHODS[recipe.search]) if recipe.search else None
    if why is not None:
        others = [name for name in applying(task_of(settings)) if name in VARIANTS]
        raise UserError(f"--variant {recipe.name}: {why}; choose from {', '.join(others)}")
    if settings.even_moves:
        if recipe.supervised:
            raise UserError(f"--even-moves: the variant {recipe.name} learns from pairs of observations, not from moves; leave it out")
        task_of(settings).begun(settings)  # for what it refuses
    settings = varied(settings, recipe)
    if recipe.supervised:
        if settings.data and not task_of(settings).known_by_data:
            raise UserError(f"--data: the variant {recipe.name} learns from --paired {paired} observations of its own; leave --data out")
        maze = task_of(settings).maze  # where the states can be listed there are no more pairs than states
        settings = dataclasses.replace(settings, data_size=paired if maze is None else min(paired, len(maze.live)), inverse=inverse)
        return settings if settings.data else with_file(settings)
    return with_file(dataclasses.replace(settings, inverse=inverse))


def with_file(settings: TrainSettings) -> TrainSettings:
    """The settings with the size and the digest of their `data` file; as they are without one.

    Raises:
        UserError: for a maze that reads no files, a file that is no walk, or one that is not what the run began with.
    """
    if not settings.data:
        return settings
    task = task_named(settings.maze)
    if not task.reads_walks:
        known = ", ".join(name for name, other in TASKS.items() if other.reads_walks)
        raise UserError(f"--data: the {settings.maze} maze gathers its own walks; only these read files: {known}")
    if task.known_by_data and (quirk := next((name for name in QUIRKS if getattr(settings, name)), "")):
        raise UserError(f"{as_flag(quirk)}: a quirk of the mazes' own walks, and a world is learned from data; leave it out")
    size, digest = task.data_file(settings.data, settings.data_digest)
    return dataclasses.replace(settings, data_size=size, data_digest=digest)


def varied(settings: TrainSettings, variant: Variant) -> TrainSettings:
    """The settings with what a variant changes."""
    values = to_plain(settings)
    changes = {name: value for name, value in variant.unless_set.items() if not values[name]} | dict(variant.changes)
    loss = values["loss"] | changes.pop("loss", {})
    return from_plain(values | changes | {"loss": loss}, where=f"variant {variant.name}")


def _at_least_one(members: int) -> None:
    if members < 1:
        raise UserError(f"--members is {members}; give at least 1")


def start_parameters(plan: Plan, member: Member) -> tuple[Params, Checkpoint | None]:
    """Parameters that a member starts from, and its base.

    Raises:
        UserError: when the base can no longer be read.
    """
    agent = plan.task.agent()
    base = load_checkpoint(Path(member.base)) if member.base else None
    if base is None or plan.variant.start == "fresh":
        return agent.init(np.random.default_rng([member.seed, Stream.WEIGHTS])), base
    params = {name: value.clone() for name, value in base.parameters.items()}
    if plan.variant.start == "negated":
        params = plan.task.carried(params, inverse=plan.settings.inverse)
    if plan.starts:
        params |= select(load_checkpoint(plan.starts[plan.members.index(member)]).parameters, ("encoder",))
    if plan.variant.start == "fresh-encoder":
        params |= _new_encoder(agent, params, member.seed, plan.reset)
    return params, base


def _new_encoder(agent: Agent, params: Params, seed: int, how: str) -> Params:
    rng = np.random.default_rng([seed, Stream.WEIGHTS])
    if how == "glorot":
        return select(agent.init(rng), ("encoder",))
    return {
        name: torch.from_numpy(rng.permutation(value.numpy().ravel()).reshape(value.shape))
        for name, value in select(params, ("encoder",)).items()
    }
