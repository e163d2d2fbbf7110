"""Every number of the study as a named setting, with the original's value as the default.

Sources: "Combined Reinforcement via Abstract Representations" (AAAI-19), the appendix of the transfer
study, and the released code where the two differ; a field whose help begins with "quirk" is a switch for
something that the code does and the paper does not say.
"""

from __future__ import annotations

import dataclasses
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from crar_model.core import sizes
from crar_model.core.errors import UserError
from crar_model.core.files import read_text
from crar_model.core.ranges import Spelling, as_flag, check_ranges, option

UPDATE_RULES = ("joint", "sequential")
BEST_OF = "best of up to "
"""Said of the length of a training whose best network by validation is meant."""
ARITHMETICS = ("float32", "tiles")
NO_MATTER = {"abstract_dim": (0, 3), "reward_scale": (0.0, 1.0), "arithmetic": ("float32",), "even_moves": (False,)}
"""Settings that came later, with their values of before: these stand in no name and no key, so that what was made before is found. A run of before has 0."""
OBSERVATION_MAPS = ("negative", "affine", "mirror", "permute", "mix", "texture")
"""How the inverse maze can show what the normal one shows (`mazes.maps`); the study's first."""


@dataclass(frozen=True)
class LossSettings:
    """Weights and coefficients of the loss terms."""

    discount: float = option(0.9, "discount factor of the value and discount terms, in [0, 1]", low=0, high=1)
    pair_scale: float = option(5.0, "C_d: how fast the pairwise terms fall with distance", low=0)
    pair_min: float = option(1e-6, "lower clip of a squared distance in the pairwise terms", low=0)
    pair_max: float = option(10.0, "upper clip of a squared distance in the pairwise terms", low=0)
    ball_radius: float = option(1.0, "|component| of an abstract state above which `ball` grows", low=0)
    ball_max: float = option(100.0, "upper clip of `ball`", low=0)
    beta: float = option(0.2, "weight of `consecutive`", low=0)
    transition_weight: float = option(1.0, "weight of `transition`", low=0)
    reward_weight: float = option(1.0, "weight of `reward`", low=0)
    discount_weight: float = option(1.0, "weight of `discount`", low=0)
    ball_weight: float = option(1.0, "weight of `ball`", low=0)
    random_pairs_weight: float = option(1.0, "weight of `random_pairs`", low=0)
    value_weight: float = option(1.0, "weight of `value`", low=0)
    double_q: bool = option(False, "pick the bootstrap action with the online network (random mazes)")
    value_over_actions: bool = option(True, "quirk: average the squared value error over all 4 actions (1/4 of it)")

    def weights(self) -> dict[str, float]:
        """Weight of every term in the total; `interpret` is logged only, so it has 0."""
        return {
            "transition": self.transition_weight,
            "reward": self.reward_weight,
            "discount": self.discount_weight,
            "ball": self.ball_weight,
            "random_pairs": self.random_pairs_weight,
            "consecutive": self.beta,
            "value": self.value_weight,
            "interpret": 0.0,
        }

    def validate(self, spell: Spelling = as_flag) -> None:
        """Raise :class:`UserError` for a coefficient out of range, two that contradict each other, or where no term has any weight."""
        check_ranges(self, spell)
        if not self.pair_min < self.pair_max:
            raise UserError(f"{spell('pair_min')} is {self.pair_min:g}; give less than {spell('pair_max')}, {self.pair_max:g}")
        if not any(self.weights().values()):
            least, most = spell("transition_weight"), spell("beta")
            raise UserError(f"every loss term has weight 0, so nothing would be learned; give one of {least} ... {most} above 0")


@dataclass(frozen=True)
class TrainSettings:
    """What a training or a transfer does with its members, apart from where they start."""

    maze: str = option("simple", "maze to learn")
    inverse: bool = option(False, "learn in the inverse maze (negated observations)")
    updates: int = option(75_000, "updates per member", low=0)
    seed: int = option(0, "seed of the first member; member k uses seed + k", low=0)
    learning_rate: float = option(5e-4, "RMSprop learning rate at update 0", low=1e-12, high=1e3, group="Optimiser")
    learning_rate_decay: float = option(0.9, "factor applied every `decay_interval` updates", low=0, high=1, group="Optimiser")
    decay_interval: int = option(5_000, "updates per learning-rate epoch", low=1, group="Optimiser")
    update_rule: str = option(
        "joint",
        "joint (one RMSprop step on the sum: sooner accurate) or sequential (one step per term: the original's)",
        choices=UPDATE_RULES,
        group="Optimiser",
    )
    batch_size: int = option(32, "transitions per update", low=1, group="Optimiser")
    data_size: int = option(5_000, "transitions gathered once by a uniformly random policy", low=1, group="Data and quirks")
    data: str = option(
        "",
        "all members learn from this: of the random mazes a file of `crar gather`, of a world a Minari dataset, by its folder or its id",
        group="Data and quirks",
    )
    data_digest: str = ""  # of that, so that a resumed run reads what it began with
    abstract_dim: int = option(
        0, "world: numbers of an abstract state; 0 takes two more than an observation has, at most 8", low=0, high=64, group="World",
    )  # fmt: skip
    reward_scale: float = option(
        0.0, "world: rewards are divided by this; 0 takes the largest there is, where that is above 1", low=0, least=1e-12,
        group="World",
    )  # fmt: skip
    even_moves: bool = option(
        False, "world with listed states: learn from every move that was tried equally often, not as often as the data have it", group="World",
    )  # fmt: skip
    walls: str = option("", "simple maze: file with another layout, # a wall, . a free cell, S the start", group="Data and quirks")
    observation: str = option(
        "grid", "simple maze: grid (a number a cell, dense encoder) or image (48x48 pixels, convolutional encoder)", choices=("grid", "image"),
        group="Data and quirks",
    )  # fmt: skip
    observation_map: str = option(
        "negative",
        "how the inverse maze changes observations; the study uses negative; own: what --map or --to-env made",
        choices=(*OBSERVATION_MAPS, "own"),
        group="Observation map",
    )
    map_seed: int = option(0, "permute, mix, texture: seed of the permutation, matrix, background", low=0, group="Observation map")
    map_condition: float = option(10.0, "mix: condition number of the matrix", low=1, high=1e6, group="Observation map")
    map_contrast: float = option(0.5, "affine: multiplies every pixel", low=1e-3, high=1e3, group="Observation map")
    map_brightness: float = option(
        0.25, "affine: added to every pixel; texture: amplitude of the background", low=0, high=1e3, group="Observation map"
    )
    rms_decay: float = option(0.9, "RMSprop decay rho of the squared gradient", low=0, high=1, group="Optimiser")
    rms_epsilon: float = option(1e-4, "RMSprop epsilon, added to the root", low=1e-12, high=1e6, group="Optimiser")
    clip_norm: float = option(1.0, "gradient norm limit; 0 turns clipping off", low=0, group="Optimiser")
    clip_scope: str = option(
        "step", "step: one norm over all tensors of a step; tensor: one norm each (tf.keras)", choices=("step", "tensor"), group="Optimiser"
    )
    target_interval: int = option(1_000, "updates between refreshes of the target encoder and value network", low=1, group="Optimiser")
    search_effort: float = option(1.0, "placement, symmetry, first-layer: multiplies the updates of the search before update 0", above=0)
    structure_delay: int = option(0, "updates before ball, random_pairs and consecutive start", low=0)
    terminal_last: bool = option(
        False,
        "quirk: flag the last tuple of a gathering epoch as terminal, its next observation zero, and never draw the newest; simple maze: an epoch is "
        "500 steps from the start",
        group="Data and quirks",
    )
    legacy_astar: bool = option(
        False, "quirk: draw random mazes as the released code does; its path finder rejects most solvable maps", group="Data and quirks"
    )
    blank_terminal: bool = option(
        False, "quirk: in the random mazes the observation after a terminal step is all zeros", group="Data and quirks"
    )
    planning_depth: int = option(3, "random mazes: steps of lookahead when the agent is scored", low=0, group="Scoring")
    epsilon: float = option(0.1, "random mazes: share of random actions when the agent is scored", low=0, high=1, group="Scoring")
    score_steps: int = option(200, "random mazes: steps of a validation run", low=1, group="Scoring")
    score_copies: int = option(2, "random mazes: validation runs to average; the paper uses 1", low=1, group="Scoring")
    log_interval: int = option(500, "updates between rows of losses.csv", low=1, group="Run")
    checkpoint_interval: int = option(5_000, "updates between checkpoints", low=1, group="Run")
    snapshots: bool = option(False, "keep every member's parameters at every checkpoint, for `crar trajectory`", group="Run")
    engine: str = option(
        "compiled", "compiled (CPU: updates in compiled code, of dense networks and of those of the random mazes) or reference (the plain path)", choices=("compiled", "reference"),
        group="Run",
    )  # fmt: skip
    arithmetic: str = option(
        "float32", "large products of compiled convolutions: float32, or tiles (AMX: three bfloat16 products each, within 1e-5)",
        choices=ARITHMETICS, group="Run",
    )  # fmt: skip
    device: str = option("cpu", "torch device: cpu, cuda, cuda:1 ...", group="Run")
    workers: int = option(
        0, "processes that share the members, one thread each; 0: as many as pay, at most one a core (1 on a GPU)", low=0, group="Run"
    )
    loss: LossSettings = field(default_factory=LossSettings)

    def validate(self, spell: Spelling = as_flag) -> None:
        """Raise :class:`UserError` that names the first setting out of range, as the user wrote it (`spell`)."""
        check_ranges(self, spell)
        if self.drawn_size < 1:
            raise UserError(
                f"{spell('data_size')} {self.data_size}: at least 2 with {spell('terminal_last')}, which never draws the newest"
            )
        self.loss.validate(spell)

    @property
    def drawn_size(self) -> int:
        """How many of the gathered transitions batches are drawn from. The original's replay memory never returns its newest, so with
        `terminal_last` the last flagged one is left out (deer 0.4, `DataSet._randomValidStateIndex`)."""
        return self.data_size - self.terminal_last

    def recipe(self, *, rate: float | None = None, updates: int | None = None, best: bool = False) -> str:
        """Rule, learning rate, length and what is unusual of the data of a training in words, such as "sequential 8e-05, 60,000 updates, terminal last".

        Args:
            rate, updates: a member's own, where they are not these settings'.
            best: of the network of the best validation, which members of a run have from unlike updates: the length is the run's.
        """
        rate, updates = self.learning_rate if rate is None else rate, self.updates if updates is None or best else updates
        return (
            f"{self.update_rule} {rate:g}, {BEST_OF * best}{updates:,} updates"
            + ", terminal last" * self.terminal_last
            + ", even moves" * self.even_moves
        )


@dataclass(frozen=True)
class PlaySettings:
    """How agents act and how they are scored (section 6 of docs/original.md)."""

    protocol: str = option(
        "episodes", "episodes (one in each of --episodes mazes) or paper (200 steps, 10 times)", choices=("episodes", "paper")
    )
    episodes: int = option(200, "episodes to play", low=1)
    seed: int = option(0, "seed of mazes and random actions, the same for all models", low=0)
    depth: int = option(3, "steps of lookahead", low=0)
    epsilon: float = option(0.1, "share of random actions", low=0, high=1)
    legacy_astar: bool = option(False, "quirk: draw maps as the released code does")

    def validate(self, spell: Spelling = as_flag) -> None:
        """Raise :class:`UserError` that names the first setting out of range, or the one that takes more memory than there is."""
        check_ranges(self, spell)
        sizes.check_playing(self.episodes, self.depth, spell)


@dataclass(frozen=True)
class CureSettings:
    """What a cure of a failed transfer spends, apart from its method (`crar_model.cures`)."""

    seed: int = option(0, "seed of data, new weights and noise", low=0)
    starts: int = option(8, "number of start encoders of first-layer, restart and noise", low=1)
    resolution: int = option(61, "places per axis of the placement landscape", low=9)
    noise: float = option(0.5, "noise: standard deviation, as a multiple of each tensor's root mean square", above=0, high=1e3)
    effort: float = option(1.0, "multiplies the updates of every method", above=0)
    budget: int = option(0, "least updates of all candidates of a method without a search of places; 0: the method's default", low=0)

    def validate(self, spell: Spelling = as_flag) -> None:
        """Raise :class:`UserError` that names the first setting out of range, or the one that takes more memory than there is."""
        check_ranges(self, spell)
        sizes.check_cure(self.starts, self.resolution, spell)


def to_plain(settings: TrainSettings) -> dict[str, Any]:
    """Settings as nested plain data, for run folders and checkpoints."""
    return vars(settings) | {"loss": vars(settings.loss).copy()}  # all else are texts and numbers, which need no copies


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings, later ones over earlier ones."""
    values: dict[str, Any] = {}
    for layer in layers:
        values |= {**layer, "loss": {**values.get("loss", {}), **layer.get("loss", {})}}
    return values


def from_plain(values: dict[str, Any], *, where: str) -> TrainSettings:
    """Build settings from nested plain data such as a TOML file or a checkpoint.

    Args:
        values: field name -> value; the table `loss` holds the fields of :class:`LossSettings`.
        where: named in the error, e.g. the file's path.

    Raises:
        UserError: for an unknown name or a value of the wrong type.
    """
    loss = values.get("loss", {})
    if not isinstance(loss, dict):
        raise UserError(f"{where}: `loss` must be a table of loss settings")
    top = {name: value for name, value in values.items() if name != "loss"}
    return TrainSettings(**typed(TrainSettings, top, where), loss=LossSettings(**typed(LossSettings, loss, f"{where} [loss]")))


KINDS: dict[type, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "a text in quotes"}
"""What a setting of a file must be, in words."""


def typed(kind: type, values: dict[str, Any], where: str) -> dict[str, Any]:
    """Values of fields of a settings dataclass, checked by type; errors as of :func:`from_plain`."""
    defaults = {item.name: item.default for item in dataclasses.fields(kind)}
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in defaults or name == "loss":
            known = ", ".join(sorted(set(defaults) - {"loss"}))
            raise UserError(f"{where}: unknown setting {name!r}, of a newer crar or of none; this one knows {known}")
        wanted = type(defaults[name])
        if wanted is float and type(value) is int and abs(value) <= sys.float_info.max:
            value = float(value)
        if type(value) is not wanted:
            raise UserError(f"{where}: {name} is {value!r}; it must be {KINDS[wanted]}")
        checked[name] = value
    return checked


def load_toml(path: str | PathLike[str]) -> dict[str, Any]:
    """Read a TOML file of settings.

    Raises:
        UserError: when the file is missing or is not TOML.
    """
    text = read_text(path, give="give a TOML file, UTF-8")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a TOML file ({error})") from error
