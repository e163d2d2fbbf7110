"""What a task is judged on, and what it has beside its evaluation set where that is not all there is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crar_model.core.params import Params
from crar_model.core.sizes import SAMPLE

if TYPE_CHECKING:
    import torch

    from crar_model.agent.batch import Batch
    from crar_model.agent.networks import Agent

COMPARED = 512
"""Recorded transitions, which no training sees, that candidates of a cure are compared on."""


@dataclass(frozen=True)
class Sampling:
    """How the loss of a task is looked at, in landscapes and reports.

    Attributes:
        what: the evaluation set in words, such as "all 124 transitions".
        table: the set behind tables and verdicts in words, where it is a larger one; "" else.
        pairs: the starts and goals of navigation in words, where they are not all; "" else.
        complete: whether that set is all there is, so that "local minimum" has an exact meaning on it. On a sample nothing is
            certified, and dynamics are adapted by training on fresh data instead of descent on the set.
        dtype: "float64" or "float32" of evaluations and landscapes.
        space: where surfaces and paths run: "embedding" where the encoder can set every state freely, else "weight".
        batched: whether points go in as members of one call; False maps a loss of one point over them.
        chunk: points per pass; None fits the memory.
        unit: what distances between embeddings are counted in, plural.
    """

    what: str
    complete: bool
    dtype: str
    space: str
    batched: bool = False
    chunk: int | None = None
    unit: str = "edges"
    table: str = ""
    pairs: str = ""

    @property
    def drawn(self) -> str:
        """What a layout that is too large to list is judged on, in words; "" elsewhere."""
        return f"losses on {self.what}; navigation on {self.pairs}" if self.pairs else ""


class Samples(ABC):
    """The side of a task that has further transitions."""

    name: str
    sampling: Sampling

    @abstractmethod
    def agent(self) -> Agent:
        """The five networks."""

    def most_sample(self) -> int | None:
        """Transitions that each of two samples can have at most; None where they are gathered anew."""
        return None

    def sample_size(self, asked: int | None) -> int:
        """Transitions of a sample, of so many that were asked for; None takes the usual number, or as many as there are.

        Raises:
            UserError: for more than there are.
        """
        return SAMPLE if asked is None else asked

    def sample(self, *, inverse: bool, dtype: torch.dtype, size: int, number: int) -> Batch:
        """Further transitions, where the evaluation set is not all there is.

        Args:
            inverse: the maze to see them in; they are the same in both.
            dtype: of rewards.
            size: how many.
            number: which of the samples; no two, nor the evaluation set, have the same seed.

        Raises:
            UserError: for a sample without a terminal transition, on which `discount` would say nothing.
        """
        raise NotImplementedError(f"the {self.name} maze has no transitions but those of its evaluation set")

    def astray(self, params: Params, *, inverse: bool) -> float | None:
        """Share of the transitions of :meth:`told_on` that a model mispredicts on a side; None where there are none."""
        from crar_model.tasks.metrics import mispredicted

        held = self.told_on(inverse=inverse)
        if held is None or bool((held.terminated != 0).all()):
            return None
        agent = self.agent()
        return mispredicted(agent, params, agent.encode(params, held.observations), held, complete=self.sampling.complete)

    def told_on(self, *, inverse: bool) -> Batch | None:
        """Transitions on which a transfer is told its base's share of mispredictions, in float32; None where it is told nothing."""
        return self.compared(inverse=inverse, size=COMPARED)

    def compared(self, *, inverse: bool, size: int) -> Batch | None:
        """Recorded transitions that no training sees, to compare candidates of a cure on, in float32; None where they are gathered anew.

        Args:
            inverse: the side to see them on.
            size: how many at most.
        """
        return None
