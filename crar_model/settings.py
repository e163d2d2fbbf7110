"""Every number of the study as a named setting, with the original's value as the default.

Sources: "Combined Reinforcement via Abstract Representations" (AAAI-19), the appendix of the transfer
study, and the released code where the two differ; a field whose help begins with "quirk" is a switch for
something that the code does and the paper does not say.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crar_model.errors import UserError


def option(default: Any, text: str) -> Any:
    """A dataclass field with a line of help, which the command line shows."""
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class LossSettings:
    """Weights and coefficients of the loss terms."""

    discount: float = option(0.9, "discount factor of the value and discount terms, in [0, 1]")
    pair_scale: float = option(5.0, "C_d: how fast the pairwise terms fall with distance")
    pair_min: float = option(1e-6, "lower clip of a squared distance in the pairwise terms")
    pair_max: float = option(10.0, "upper clip of a squared distance in the pairwise terms")
    ball_radius: float = option(1.0, "largest |component| of an abstract state that `ball` leaves free")
    ball_max: float = option(100.0, "upper clip of `ball`")
    beta: float = option(0.2, "weight of `consecutive`")
    transition_weight: float = option(1.0, "weight of `transition`")
    reward_weight: float = option(1.0, "weight of `reward`")
    discount_weight: float = option(1.0, "weight of `discount`")
    ball_weight: float = option(1.0, "weight of `ball`")
    random_pairs_weight: float = option(1.0, "weight of `random_pairs`")
    value_weight: float = option(1.0, "weight of `value`")
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


@dataclass(frozen=True)
class TrainSettings:
    """What a training or a transfer does with its members, apart from where they start."""

    maze: str = option(
        "simple",
        "maze to learn: simple, or random, whose own defaults are 400,000 updates, no decay, 200,000 transitions, a log row per 2,000 updates, beta 1 and double Q",
    )
    inverse: bool = option(False, "learn in the inverse maze (negated observations)")
    updates: int = option(75_000, "updates per member")
    seed: int = option(0, "seed of the first member; member k uses seed + k")
    learning_rate: float = option(5e-4, "RMSprop learning rate at update 0")
    learning_rate_decay: float = option(0.9, "factor applied every `decay_interval` updates")
    decay_interval: int = option(5_000, "updates per learning-rate epoch")
    update_rule: str = option("joint", "joint (one RMSprop step on the sum) or sequential (one step per term)")
    batch_size: int = option(32, "transitions per update")
    data_size: int = option(5_000, "transitions gathered once by a uniformly random policy")
    rms_decay: float = option(0.9, "RMSprop decay rho of the squared gradient")
    rms_epsilon: float = option(1e-4, "RMSprop epsilon, added to the root")
    clip_norm: float = option(1.0, "gradient norm limit; 0 turns clipping off")
    clip_scope: str = option("step", "step: one norm over all tensors of a step; tensor: one norm each (tf.keras)")
    target_interval: int = option(1_000, "updates between refreshes of the target encoder and value network")
    structure_delay: int = option(0, "updates before ball, random_pairs and consecutive are switched on")
    terminal_last: bool = option(False, "quirk: flag the last gathered tuple as terminal, its next observation zero")
    legacy_astar: bool = option(False, "quirk: draw random mazes as the released code does, whose path finder rejects most solvable maps")
    blank_terminal: bool = option(False, "quirk: in the random mazes the observation after a terminal step is all zeros")
    planning_depth: int = option(3, "random mazes: steps of lookahead when the agent is scored")
    epsilon: float = option(0.1, "random mazes: share of random actions when the agent is scored")
    score_steps: int = option(200, "random mazes: steps of a validation run")
    score_copies: int = option(2, "random mazes: validation runs that are averaged; the paper has 1")
    log_interval: int = option(500, "updates between rows of losses.csv")
    checkpoint_interval: int = option(5_000, "updates between checkpoints")
    snapshots: bool = option(False, "keep every member's parameters at every checkpoint, for `crar trajectory`")
    device: str = option("cpu", "torch device: cpu, cuda, cuda:1 ...")
    workers: int = option(0, "processes that share the members, one thread each; 0 chooses (1 on a GPU)")
    loss: LossSettings = field(default_factory=LossSettings)

    def validate(self) -> None:
        """Raise :class:`UserError` that names the first setting out of range."""
        for name in (
            "updates",
            "batch_size",
            "data_size",
            "decay_interval",
            "target_interval",
            "log_interval",
            "checkpoint_interval",
            "score_steps",
            "score_copies",
        ):
            low = 0 if name == "updates" else 1
            if getattr(self, name) < low:
                raise UserError(f"--{name.replace('_', '-')} is {getattr(self, name)}; give a whole number of at least {low}")
        for name in ("learning_rate", "learning_rate_decay", "rms_decay", "rms_epsilon", "clip_norm"):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0:
                raise UserError(f"--{name.replace('_', '-')} is {value}; give a finite number of at least 0")
        if self.learning_rate == 0 or self.rms_epsilon == 0:
            raise UserError("--learning-rate and --rms-epsilon must be above 0")
        if not 0 <= self.epsilon <= 1:
            raise UserError(f"--epsilon is {self.epsilon}; give a share from 0 to 1")
        for name in ("seed", "workers", "structure_delay", "planning_depth"):
            if getattr(self, name) < 0:
                raise UserError(f"--{name.replace('_', '-')} is {getattr(self, name)}; give a whole number of at least 0")
        _choice("maze", self.maze, tuple(MAZE_SETTINGS))
        _choice("update-rule", self.update_rule, ("joint", "sequential"))
        _choice("clip-scope", self.clip_scope, ("step", "tensor"))
        for item in dataclasses.fields(self.loss):
            value = getattr(self.loss, item.name)
            if not isinstance(value, bool) and not (math.isfinite(value) and value >= 0):
                raise UserError(f"loss setting {item.name} is {value}; give a finite number of at least 0")


MAZE_SETTINGS: dict[str, dict[str, Any]] = {
    "simple": {},
    "random": {
        "updates": 400_000, "learning_rate_decay": 1.0, "decay_interval": 2_000, "data_size": 200_000, "log_interval": 2_000,
        "checkpoint_interval": 2_000, "loss": {"beta": 1.0, "double_q": True},
    },
}  # fmt: skip
"""Where a maze's defaults differ from those of :class:`TrainSettings` (sections 4 to 6 of the original's facts)."""


def default_settings(maze: str) -> TrainSettings:
    """The study's settings of base training in a maze.

    Raises:
        UserError: for an unknown maze.
    """
    _choice("maze", maze, tuple(MAZE_SETTINGS))
    return from_plain(MAZE_SETTINGS[maze] | {"maze": maze}, where="maze settings")


def _choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UserError(f"--{name} is {value!r}; choose one of {', '.join(known)}")


def to_plain(settings: TrainSettings) -> dict[str, Any]:
    """Settings as nested plain data, for run folders and checkpoints."""
    return dataclasses.asdict(settings)


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
    return TrainSettings(**_typed(TrainSettings, top, where), loss=LossSettings(**_typed(LossSettings, loss, f"{where} [loss]")))


def _typed(kind: type, values: dict[str, Any], where: str) -> dict[str, Any]:
    defaults = {item.name: item.default for item in dataclasses.fields(kind)}
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in defaults or name == "loss":
            raise UserError(f"{where}: unknown setting {name!r}; known are {', '.join(sorted(set(defaults) - {'loss'}))}")
        wanted = type(defaults[name])
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not wanted:
            raise UserError(f"{where}: {name} is {value!r}; it must be a {wanted.__name__}")
        checked[name] = value
    return checked


def load_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file of settings.

    Raises:
        UserError: when the file is missing or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot read the settings file ({error.strerror or error})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a TOML file ({error})") from error
