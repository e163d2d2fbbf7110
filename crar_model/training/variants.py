"""The transfer variants, as a table: what starts where, what trains, which settings change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from crar_model.core.errors import UserError
from crar_model.core.params import BLOCKS, DYNAMICS

if TYPE_CHECKING:
    from crar_model.tasks import Task

STRUCTURE_DELAY = 30_000


@dataclass(frozen=True)
class Variant:
    """How a run's members come about.

    Attributes:
        name: as on the command line and in run folders.
        about: a line of help.
        start: parameters before the first update: "fresh" (random), "base" (the base's), "negated" (the base's, first layer negated),
            "fresh-encoder" (the base's, but for its encoder).
        trained: blocks that updates change; the others are frozen.
        changes: settings that the variant sets, nested as in a TOML file.
        unless_set: settings that it sets where they are 0.
        search: a method of `crar_model.cures` that looks for each member's encoder before its first update; "" for none. Its members end as
            the best networks by the losses that they have been, the search's own among them.
        supervised: fit the encoder to the base's abstract states of paired observations, instead of the loss.
        as_training: learn with the settings of base training where nothing else is said, not with a transfer's.
    """

    name: str
    about: str = ""
    start: str = "base"
    trained: tuple[str, ...] = ("encoder",)
    changes: Mapping[str, Any] = field(default_factory=dict)
    unless_set: Mapping[str, Any] = field(default_factory=dict)
    supervised: bool = False
    search: str = ""
    as_training: bool = False

    @property
    def from_base(self) -> bool:
        """Whether anything of its base goes into it."""
        return self.start != "fresh" or self.supervised

    @property
    def keeps_dynamics(self) -> bool:
        """Whether it ends with its base's dynamics, number by number."""
        return self.start != "fresh" and not set(self.trained) & set(DYNAMICS)

    def defaults(self, task: Task) -> Mapping[str, Any]:
        """Settings in a task where they are not those of base training, nested.

        A search descends the total loss. One step per term leaves such a minimum, since it follows another direction; so a search goes on by
        the joint rule.
        """
        if self.as_training:
            return {}
        return {**task.transfer_defaults, "update_rule": "joint"} if self.search else task.transfer_defaults


BASE = Variant("base", "train from random weights", start="fresh", trained=BLOCKS)
"""What `crar train` runs."""
VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("freeze", "the paper's approach: train only the encoder through the frozen dynamics"),
        Variant("reset-encoder", "freeze, but the encoder is learned again from scratch (Variation 1, Fig. 17)", start="fresh-encoder"),
        Variant("unfreeze", "fine-tune everything from the base weights", trained=BLOCKS),
        Variant("omit-ball", "freeze, without the `ball` term", changes={"loss": {"ball_weight": 0.0}}),
        Variant(
            "delay-structure", "freeze, with the three structure terms off for the first 30,000 updates",
            unless_set={"structure_delay": STRUCTURE_DELAY},
        ),
        Variant(
            "scratch", "no transfer: train everything from random weights in the inverse maze, with the defaults of crar train",
            start="fresh", trained=BLOCKS, as_training=True,
        ),
        Variant("negate-input", "closed form: negate the first layer's weights; no updates", start="negated", changes={"updates": 0}),
        Variant("paired", "AAAI-19: fit the encoder, supervised, to the base's abstract states of N paired observations", supervised=True),
        Variant("placement", "freeze from an encoder that has states where the frozen dynamics want them, no worse at the end; not the random mazes", search="placement"),
        Variant("symmetry", "freeze from the best of the base encoder's signed copies, trained on and halved by loss, no worse at the end", search="symmetry"),
        Variant("first-layer", "freeze from the best of many new first layers, trained alone and halved by loss, no worse at the end", search="first-layer"),
    )
}  # fmt: skip
"""What `crar transfer` runs, by name."""


def variant_named(name: str) -> Variant:
    """The variant of a run folder.

    Raises:
        UserError: for one that this version does not know.
    """
    if name != BASE.name and name not in VARIANTS:
        raise UserError(f"the variant {name!r} is not known to this version of crar; it knows {', '.join((BASE.name, *VARIANTS))}")
    return BASE if name == BASE.name else VARIANTS[name]
