"""The random mazes as a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from crar_model.core.errors import UserError
from crar_model.core.params import Params
from crar_model.core.settings import PlaySettings, TrainSettings
from crar_model.core.streams import Stream
from crar_model.mazes.maps import ObservationMap
from crar_model.tasks.samples import Sampling
from crar_model.tasks.task import Task

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from crar_model.agent.batch import Batch
    from crar_model.agent.networks import Agent
    from crar_model.mazes.random_mazes import RandomMazeBatch
    from crar_model.tasks.data import Data
    from crar_model.tasks.metrics import Metric


class RandomMazesTask(Task):
    """48x48 images, a new map every episode, three keys to fetch."""

    name, title = "random", "random mazes"
    defaults = {
        "updates": 400_000, "learning_rate_decay": 1.0, "decay_interval": 2_000, "data_size": 200_000, "log_interval": 2_000,
        "checkpoint_interval": 2_000, "loss": {"beta": 1.0, "double_q": True},
    }  # fmt: skip
    transfer_defaults = {"updates": 200_000}
    scored = True
    reads_walks = True
    pace = {"joint": 87.0, "sequential": 57.0}
    # 512 transitions fill the cache, so few points go through at a time; the compiled convolutions are float32, float64 is ten times slower.
    sampling = Sampling(
        "512 held-out transitions", complete=False, dtype="float32", space="weight", batched=True, chunk=2, unit="moves", table="8,192 held-out transitions"
    )  # fmt: skip

    def data_file(self, data: str, digest: str) -> tuple[int, str]:
        """Of a walk that `crar gather` saved."""
        from crar_model.core.files import file_digest
        from crar_model.mazes.walks import load_walk

        return len(load_walk(data, digest).action), file_digest(data)

    def agent(self) -> Agent:
        """Convolutional networks with an abstract state of 3 channels of 8x8."""
        from crar_model.agent.networks import ConvAgent

        other = self.observation_map.per_pixel
        assert other is not None
        return ConvAgent(other=other)

    def why_no_map(self, observation_map: ObservationMap) -> str | None:
        """Observations are maps of tiles, drawn inside the encoder: what treats all tiles alike can be drawn so."""
        if observation_map.per_pixel is not None:
            return None
        return f"the {self.name} maze keeps observations as maps of tiles, and this map treats a tile by where it stands"

    def data(self, settings: TrainSettings, seeds: Sequence[int], device: torch.device, bases: Sequence[Params] = ()) -> Data:
        """Walks as tile maps."""
        from crar_model.tasks.data import TileData

        return TileData(self.agent(), settings, seeds, device, bases)

    def batch(self, *, inverse: bool, dtype: torch.dtype) -> Batch:
        """Transitions of a random walk that no training sees."""
        from crar_model.tasks.batches import held_out_batch

        return held_out_batch(inverse).to("cpu", dtype)

    def table(self, *, inverse: bool, dtype: torch.dtype) -> Batch:
        """More of the same kind, of which one terminal transition is a small part."""
        from crar_model.tasks.batches import TABLE_SIZE, held_out_batch

        return held_out_batch(inverse, TABLE_SIZE).to("cpu", dtype)

    def sample(self, *, inverse: bool, dtype: torch.dtype, size: int, number: int) -> Batch:
        """Transitions of a random walk of its own."""
        from crar_model.tasks.batches import further_batch

        batch = further_batch(inverse, size, number).to("cpu", dtype)
        if not bool(batch.terminated.any()):
            raise UserError(f"--sample is {size}: none of the transitions drawn is terminal, so `discount` would say nothing; give more")
        return batch

    def metrics(self, agent: Agent, params: Params, *, inverse: bool, how: PlaySettings) -> dict[str, Metric]:
        """The score, with its interval."""
        from crar_model.tasks.playing import score

        return {"score": score(agent, params, inverse=inverse, how=how)}

    def validate(self, agent: Agent, params: Params, *, seeds: Sequence[Sequence[int]], settings: TrainSettings) -> Tensor:
        """Scores by the paper's protocol, averaged over independent runs."""
        from crar_model.tasks.playing import paper_scores

        how = PlaySettings(depth=settings.planning_depth, epsilon=settings.epsilon, legacy_astar=settings.legacy_astar)
        runs = paper_scores(agent, params, seeds, how, inverse=settings.inverse, num_envs=settings.score_copies, steps=settings.score_steps)
        return runs.mean(1)

    def game(self, seed: int, *, inverse: bool) -> RandomMazeBatch:
        """One maze with its keys."""
        from crar_model.mazes.random_mazes import RandomMazeBatch, draw_maps

        return RandomMazeBatch(1, maps=draw_maps([seed, Stream.SCORE_MAPS], 1), inverse=inverse)
