"""Of every member in training the network that was best so far, beside the one that goes on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from crar_model.core.params import Params
from crar_model.models.evaluation import cast, dtype_of
from crar_model.tasks import Task
from crar_model.tasks.metrics import predicted_successor


class Leaders:
    """The parameters of every member at its best so far.

    A network leads where its first figure is above the leader's and no other figure is below. What is not a number leads never.

    Args:
        params: (members, ...) trained parameters at the start, which lead until a figure is known.
        members: how many.

    Attributes:
        figures: of every member's leader, the greater, the better; -inf before the first.
        updates: that every member's leader has taken.
    """

    def __init__(self, params: Params, members: int) -> None:
        self.params = {name: value.detach().clone() for name, value in params.items()}
        self.figures = [[-math.inf] for _ in range(members)]
        self.updates = [0] * members

    def offer(self, params: Params, figures: Sequence[Sequence[float]], update: int) -> None:
        """Compare every member at an update with its leader.

        Args:
            params: (members, ...) parameters.
            figures: of every member.
            update: how many updates it has taken.
        """
        for k, (new, old) in enumerate(zip(figures, self.figures, strict=True)):
            if new[0] > old[0] and all(a >= b for a, b in zip(new, old, strict=False)):
                self.figures[k], self.updates[k] = [float(each) for each in new], update
                for name, value in self.params.items():
                    value[k].copy_(params[name][k].detach())

    def of(self, k: int) -> Params:
        """Parameters of member k's leader, on the CPU."""
        return {name: value[k].cpu().clone() for name, value in self.params.items()}

    def state(self) -> dict[str, Any]:
        """As plain tensors and plain data."""
        params = {name: value.cpu().clone() for name, value in self.params.items()}
        return {"params": params, "figures": [list(each) for each in self.figures], "updates": list(self.updates)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state`."""
        fill(self.params, state["params"])
        self.figures = [[float(each) for each in figures] for figures in state["figures"]]
        self.updates = [int(update) for update in state["updates"]]


def fill(params: Params, values: Params) -> None:
    """Put saved values into tensors, in place.

    Raises:
        TypeError: for values of another type, which would be rounded.
    """
    for name, value in values.items():
        if value.dtype != params[name].dtype:
            raise TypeError(f"{name} holds {value.dtype} values")
        params[name].copy_(value)


def by_losses(task: Task, params: Params, terms: dict[str, Tensor], *, inverse: bool) -> list[list[float]]:
    """What a variant with a search keeps a network by, of every member; the greater, the better.

    Where all transitions can be listed: minus the total loss, and the share of transitions predicted to the right state. On a sample: minus
    the terms of prediction, since the structure terms of samples differ by more. It is the order of the search itself.

    Args:
        task: the maze.
        params: (members, ...) parameters.
        terms: (members,) each, on the task's evaluation set, with their `total`.
        inverse: which side of the maze.
    """
    complete = task.sampling.complete
    height = terms["total"] if complete else terms["transition"] + terms["reward"]
    figures = [[-value] for value in height.tolist()]
    if complete and task.maze is not None:
        for k, own in enumerate(figures):
            one = cast({name: value[k].cpu() for name, value in params.items()}, dtype_of(task))
            right = predicted_successor(task.maze, task.agent(), one, inverse=inverse) == task.maze.successor
            own.append(float(right.double().mean()))
    return figures


def kept_by(task: Task) -> str:
    """By what, and on which data, in words."""
    if task.sampling.complete:
        return f"the total loss on {task.sampling.what}, with no fewer of them predicted to the right state"
    return f"the terms transition and reward on {task.sampling.what}"


def kept_words(kept: Mapping[int, Mapping[str, Any]]) -> str:
    """A line on the networks that members were left with.

    Args:
        kept: member -> `update` of its network, `of` how many, `by` what.
    """
    said = ", ".join(f"member {member} of update {one['update']:,} of {one['of']:,}" for member, one in sorted(kept.items()))
    return f"kept, the best by {next(iter(kept.values()))['by']}: {said}; the last networks are last-K.pt"
