"""The cures, as a table: where the candidates start, what they train, in how many rounds. Read before PyTorch is loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from crar_model.core.errors import UserError


@dataclass(frozen=True)
class Round:
    """One round of successive halving.

    Attributes:
        kept: candidates that take part, the best of those before.
        updates: that each of them takes.
        rate: Adam's learning rate, which falls to a tenth over the round.
        transition: multiple of the transition term's weight while the round lasts. The total is flat at its bottom, and where it ends there
            a move may still miss its state; candidates are compared by the total as it is.
    """

    kept: int
    updates: int
    rate: float
    transition: float = 1.0


Rounds = tuple[Round, ...]


@dataclass(frozen=True)
class Method:
    """One way to look for an encoder that the frozen dynamics can use.

    Attributes:
        name: on the command line.
        about: a line of help.
        start: of the candidates: "copies" (the failed encoder behind every signed permutation), "places" (embeddings unrolled from places of
            the start state), "elsewhere" (the same of places drawn at random), "anew" (the base's encoder, trained by the trainer), "first-layer" (the base's encoder, its first layer drawn anew), "fresh" (new encoders), "noise" (the failed
            encoder, disturbed).
        rounds: where all transitions are at hand, full batch.
        sampled: where they are sampled; empty for a method that needs them all.
        needs_base: whether it starts from the base's weights.
    """

    name: str
    about: str
    start: str
    rounds: Rounds
    sampled: Rounds = ()
    needs_base: bool = False

    @property
    def placed(self) -> bool:
        """Whether the dynamics are rolled along the maze's table of moves, or along episodes."""
        return self.start in ("places", "elsewhere")


FIT: Rounds = (Round(4, 800, 2e-3),)
"""An encoder is fitted to an embedding that placement found."""
GROWN: Rounds = (Round(256, 40, 2e-2),)
"""What grows from the lowest places drawn for a root, on each ring, of ever fewer; where the abstract space is no plane."""
REFINE: Rounds = (Round(32, 200, 1e-2), Round(8, 400, 5e-3))
"""The lowest places of the roots, as free embeddings; they also give the level that the dynamics allow."""
REPLACE: Rounds = (Round(180, 100, 1e-2), Round(8, 300, 5e-3))
"""The lowest of those with one state put where the dynamics have it from a neighbour: a state on the wrong side of others stays there."""
ALONG: Rounds = (Round(32, 60, 2e-2, 4.0), Round(8, 120, 1e-2, 4.0))
"""Places of the beginnings of windows of episodes, where states cannot be listed."""
FITTED = 4
"""Embeddings of these that encoders are fitted to, the failed one and a new one to each."""
MISPLACED: Rounds = (Round(2, 200, 1e-2), Round(2, 400, 5e-3))
"""Places drawn at random, refined as those of `REFINE` are."""
STRICT = 4.0
"""Multiple of the transition weight in the last round of a method that has all transitions."""
SHARP = 30.0
"""The same where an encoder was fitted to windows of episodes: the dynamics allow lower totals than the base's, at the cost of its predictions."""
WHOLE: Rounds = (Round(8, 1_000, 1e-3), Round(3, 2_000, 1e-3), Round(1, 1_500, 5e-4, STRICT))
"""A whole encoder, full batch: 15,500 updates for 8 candidates."""
SAMPLED: Rounds = (Round(8, 250, 1e-3), Round(3, 400, 1e-3), Round(1, 2_000, 5e-4))
"""A whole encoder on samples: 5,200 updates for 8 candidates."""
ANNEALED, EPOCHS = 0.6, 12
"""The rate of `annealed` falls by this factor so many times."""
METHODS = {
    method.name: method
    for method in (
        Method("placement", "choose where one state lies; the dynamics place the rest", "places",
               (Round(4, 1_000, 5e-4), Round(2, 1_000, 5e-4, STRICT)),
               (Round(8, 500, 5e-4), Round(2, 2_000, 5e-4), Round(1, 4_000, 1e-3, SHARP))),
        Method("symmetry", "the failed encoder behind signed permutations of the abstract axes, trained on", "copies", WHOLE, SAMPLED),
        Method(
            "first-layer", "the base's encoder with its first layer drawn anew, that layer trained alone", "first-layer",
            (Round(8, 1_000, 5e-3), Round(3, 2_000, 5e-3), Round(1, 1_500, 2e-3, STRICT)),
            (Round(8, 250, 1e-2), Round(3, 400, 1e-2), Round(1, 2_000, 5e-3)), needs_base=True,
        ),
        Method("misplaced", "control: placement with places drawn at random, away from the right one; the same fit", "elsewhere",
               (Round(4, 1_000, 5e-4), Round(2, 1_000, 5e-4, STRICT))),
        Method("annealed", "control: freeze anew from the base by its own rule, from a rate of 0.005 that is annealed", "anew",
               (Round(1, 15_500, 5e-3),), needs_base=True),
        Method("restart", "control: new encoders", "fresh", WHOLE, SAMPLED),
        Method("noise", "control: the failed encoder, disturbed and trained on", "noise", WHOLE, SAMPLED),
    )
}  # fmt: skip
"""What `crar cure --method` runs, by name."""
AUTO = "auto"
ORDER = ("placement", "first-layer", "symmetry", "restart")
"""What `auto` tries, until one reaches the level that the dynamics allow; it leaves out what a maze or a missing base does not allow."""


def method_named(name: str) -> Method:
    """A method of the table.

    Raises:
        UserError: for an unknown name.
    """
    if name not in METHODS:
        raise UserError(f"--method is {name!r}; choose one of {AUTO}, {', '.join(METHODS)}")
    return METHODS[name]


def scaled(rounds: Rounds, effort: float, starts: int) -> Rounds:
    """Rounds with `effort` times the updates, the first with all `starts` candidates."""
    first = [replace(rounds[0], kept=starts)] if rounds else []
    return tuple(replace(r, updates=max(1, ceil(r.updates * effort))) for r in (*first, *rounds[1:]))
