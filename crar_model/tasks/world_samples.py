"""What models of a world are judged on: all moves that were tried, or transitions held out."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from crar_model.tasks.task import Task

if TYPE_CHECKING:
    import torch

    from crar_model.agent.batch import Batch
    from crar_model.worlds.tables import WorldTable


class WorldSamples(Task):
    """The side of a world that shows transitions."""

    @property
    @abstractmethod
    def table_here(self) -> WorldTable:
        """What was observed."""

    def batch(self, *, inverse: bool, dtype: torch.dtype) -> Batch:
        """All moves that were tried, or held-out transitions."""
        from crar_model.tasks.batches import complete_batch
        from crar_model.tasks.world_batches import SIZE, held_out

        if self.sampling.complete:
            return complete_batch(inverse=inverse, dtype=dtype, maze=self.table_here)
        return held_out(self.table_here, inverse=inverse, dtype=dtype, size=SIZE)

    def table(self, *, inverse: bool, dtype: torch.dtype) -> Batch:
        """All moves that were tried, or more of the held-out transitions."""
        from crar_model.tasks.world_batches import LARGE, held_out

        if self.sampling.complete:
            return self.batch(inverse=inverse, dtype=dtype)
        return held_out(self.table_here, inverse=inverse, dtype=dtype, size=LARGE)

    def most_sample(self) -> int | None:
        """What is held out for each."""
        from crar_model.tasks.world_batches import most_further

        return None if self.sampling.complete else most_further(self.table_here)

    def sample_size(self, asked: int | None) -> int:
        """Held-out transitions of a sample."""
        from crar_model.tasks.world_batches import sized

        return super().sample_size(asked) if self.sampling.complete else sized(self.table_here, asked)

    def sample(self, *, inverse: bool, dtype: torch.dtype, size: int, number: int) -> Batch:
        """Held-out transitions in another random order."""
        from crar_model.tasks.world_batches import further

        if self.sampling.complete:
            return super().sample(inverse=inverse, dtype=dtype, size=size, number=number)
        return further(self.table_here, inverse=inverse, dtype=dtype, size=size, number=number)

    def told_on(self, *, inverse: bool) -> Batch | None:
        """All moves that were tried, or held-out transitions."""
        import torch

        return self.batch(inverse=inverse, dtype=torch.float32) if self.sampling.complete else super().told_on(inverse=inverse)

    def compared(self, *, inverse: bool, size: int) -> Batch | None:
        """Held-out transitions, none of which figures of merit are of, where so many are held out that as many again are left."""
        import torch

        from crar_model.tasks.world_batches import SIZE, picked, split

        if self.sampling.complete:
            return None
        held = split(self.table_here)[1]
        rest = held[SIZE:] if len(held) >= 2 * SIZE else held
        return picked(self.table_here, rest[:size], inverse=inverse, dtype=torch.float32)
