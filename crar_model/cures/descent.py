"""Candidates that descend together as one batched program, halved from round to round by their losses."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from crar_model.agent.batch import Batch
from crar_model.core.kept import Pieces
from crar_model.core.params import Params
from crar_model.cures.methods import Rounds
from crar_model.cures.problem import Problem

Tick = Callable[[int], None]
SAVE_EVERY = 10.0
"""Seconds between two saves of unfinished work."""
Progress = Callable[[int, int], None]
"""Called with (updates taken, updates at most), of all candidates together."""
CHUNK = 25
"""Updates between two ticks."""
LAST_RATE = 0.1


@dataclass
class Work:
    """A tick that shows progress: what is taken of what was planned, and of what is at hand where that is more.

    Attributes:
        planned: updates of all that is to be done, as far as it is known; a search that does not find at once takes more.
        show: None shows nothing.
        done: updates taken.
    """

    planned: int
    show: Progress | None = None
    done: int = 0

    def expect(self, updates: int) -> None:
        """So many are ahead at least."""
        self.planned = max(self.planned, self.done + updates)

    def __call__(self, updates: int) -> None:
        """So many more are taken."""
        self.done += updates
        self.expect(0)
        if self.show is not None:
            self.show(self.done, self.planned)

    def end(self) -> None:
        """All is done."""
        self(max(0, self.planned - self.done))


@dataclass(frozen=True)
class Descent:
    """Where the candidates of the last round ended, best first.

    Attributes:
        free: (m, ...) what they moved.
        index: (m,) which of the candidates that began they are.
        terms: term -> (m,) on the transitions that candidates are compared on.
        dropped: (candidate, its rank when it was left out, updates it took), in the order in which they left.
        updates: of all candidates together.
        each: (m,) updates of each that is left.
    """

    free: Params
    index: Tensor
    terms: dict[str, Tensor]
    dropped: list[tuple[int, float, int]]
    updates: int
    each: int


@contextmanager
def denormals_as_zero() -> Iterator[None]:
    """Adam's averages decay through the denormals, which are slow."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def descend(
    problem: Problem,
    name: str,
    free: Params,
    rounds: Rounds,
    *,
    store: Pieces,
    tick: Tick = lambda _: None,
    objective: Callable[[Tensor, Tensor], Tensor] | None = None,
    still: Params | None = None,
) -> Descent:
    """Train candidates round by round, the best of each round going on.

    Adam works number by number and the candidates share every batch, so what one does depends on no other.

    Args:
        problem: gives data and loss.
        name: of this work in the store.
        free: (m, ...) where the candidates start; the only thing that moves: tensors of the encoder, or "embedding" (m, rows, d).
        rounds: who goes on, how long, how fast.
        store: keeps unfinished work.
        tick: called with updates taken, of all candidates together, since the last call.
        objective: (abstract states (m, rows, d), index (m,)) -> (m,) to descend in place of the total loss; candidates are then ranked
            by it too.
        still: (...) the other tensors of the encoder, the same for all candidates.
    """
    held = still or {}

    def embed(moving: Params, batch: Batch) -> Tensor:
        if "embedding" in moving:
            return moving["embedding"]
        count = len(next(iter(moving.values())))
        return problem.encode(moving | {key: value.expand(count, *value.shape).contiguous() for key, value in held.items()}, batch)

    values = {key: value.detach().clone() for key, value in free.items()}
    index = torch.arange(len(next(iter(values.values()))))
    first, step, taken, each, shared = 0, 0, 0, 0, 0
    dropped: list[tuple[int, float, int]] = []
    optimizer_state = None
    kept = store.look(name)
    if isinstance(tick, Work):
        tick.expect(agent_updates(rounds, len(index)))
    if kept is not None:
        values, index, optimizer_state = kept["values"], kept["index"], kept["optimizer"]
        first, step, taken, each, shared = kept["at"]
        dropped = [(int(who), float(rank), int(count)) for who, rank, count in kept["dropped"]]
        tick(taken)

    def ranks() -> tuple[Tensor, dict[str, Tensor]]:
        with torch.no_grad():
            embedding = embed(values, problem.data.judged)
            terms = problem.terms(embedding, problem.data.judged)
            return (problem.rank(terms) if objective is None else objective(embedding, index)), terms

    saved = time.monotonic()
    for number in range(first, len(rounds)):
        this = rounds[number]
        if step == 0 and this.kept < len(index):
            heights, order = ranks()[0].sort(stable=True)
            dropped += [(int(index[k]), float(h), each) for k, h in zip(order[this.kept :], heights[this.kept :], strict=True)]
            values = {key: value[order[: this.kept]].clone() for key, value in values.items()}
            index = index[order[: this.kept]]
        kernel = None if objective is not None else problem.compiled(held, this.transition)
        if kernel is None:
            leaves = [value.requires_grad_() for value in values.values()]
        else:  # all numbers of a candidate side by side: one tensor for Adam, and views of it for everyone else
            leaves = [torch.cat([value.flatten(1) for value in values.values()], dim=1)]
            pieces = torch.split(leaves[0], [value[0].numel() for value in values.values()], dim=1)
            values = {key: piece.view(value.shape) for (key, value), piece in zip(values.items(), pieces, strict=True)}
        optimizer = torch.optim.Adam(leaves, lr=this.rate)
        if optimizer_state is not None:
            optimizer.load_state_dict(optimizer_state)
            optimizer_state = None
        since = 0
        while step < this.updates:
            optimizer.param_groups[0]["lr"] = this.rate * (
                LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * step / this.updates))
            )
            batch = problem.data.batch(shared)
            grads: tuple[Tensor, ...]
            if kernel is not None:
                grads = (kernel.with_gradients(leaves[0], {key: value[0] for key, value in values.items()})[1],)
            else:
                embedding = embed(values, batch)
                if objective is not None:
                    losses = objective(embedding, index)
                else:
                    terms = problem.terms(embedding, batch)
                    losses = terms["total"] + (this.transition - 1) * problem.loss.settings.transition_weight * terms.get("transition", 0.0)
                grads = torch.autograd.grad(losses.sum(), leaves)  # candidates do not interact: each gets its own gradient
            for leaf, grad in zip(leaves, grads, strict=True):
                leaf.grad = grad
            optimizer.step()
            step, shared, each = step + 1, shared + 1, each + 1
            taken, since = taken + len(index), since + len(index)
            if step % CHUNK == 0 or step == this.updates:
                tick(since)
                since = 0
                if time.monotonic() - saved > SAVE_EVERY:
                    _save(store, name, values, index, optimizer.state_dict(), (number, step, taken, each, shared), dropped)
                    saved = time.monotonic()
        values = {key: value.detach().clone() for key, value in values.items()}
        step = 0
    order = ranks()[0].argsort(stable=True)
    values = {key: value.detach()[order] for key, value in values.items()}
    index = index[order]
    _save(store, name, values, index, None, (len(rounds), 0, taken, each, shared), dropped)
    return Descent(values, index, ranks()[1], dropped, taken, each)


def _save(
    store: Pieces, name: str, values: Params, index: Tensor, optimizer: object, at: tuple[int, ...], dropped: list[tuple[int, float, int]]
) -> None:
    plain = {key: value.detach().clone() for key, value in values.items()}
    store.keep(name, {"values": plain, "index": index, "optimizer": optimizer, "at": list(at), "dropped": [list(d) for d in dropped]})


def agent_updates(rounds: Rounds, candidates: int) -> int:
    """Updates of all candidates together."""
    count, left = 0, candidates
    for this in rounds:
        left = min(left, this.kept)
        count += left * this.updates
    return count
