"""A module's loss over data that come in batches: a `DataLoader`, a `Dataset`, a list; the exact mean, however unequal the batches."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_map
from torch.utils.data import DataLoader, Dataset

from landscape_tools.composite import Composite
from landscape_tools.counting import SAME, Count, counts_of, differing, fitting, summed
from landscape_tools.differentiable import differentiated
from landscape_tools.evaluating import ScalarLoss, check_scalar
from landscape_tools.lending import Lent, kept
from landscape_tools.modules import Forward, ModuleLoss
from landscape_tools.mounting import convolves, side_by_side
from landscape_tools.points import Point, unflatten
from landscape_tools.states import Frozen

Batches = DataLoader[Any] | Dataset[Any] | Iterable[Any]
OfBatch = Callable[[nn.Module, Any], Tensor]


class _Called(nn.Module):
    """The loss of a batch as a forward pass, so that a point takes the place of the model's tensors in it."""

    def __init__(self, module: nn.Module, loss: OfBatch) -> None:
        super().__init__()
        self.module, self.loss = module, loss

    def forward(self, batch: Any) -> Tensor:
        return self.loss(self.module, batch)


class DataLoss(ModuleLoss):
    """The mean loss over all data as a pure function of the model's parameters and buffers; see :func:`data_loss`.

    Attributes:
        point, held: as of :class:`ModuleLoss`.
        unmapped: whether the data come from a loader, which draws random numbers at every pass: `vmap` forbids that, so points come one by one.
    """

    thread_safe = False  # a loader may not be

    def __init__(
        self, model: nn.Module, data: Batches, criterion: Callable[[Any, Any], Tensor] | None, loss: OfBatch | None, count: Count | None,
        batch_size: int, buffers: Literal["interpolate", "keep"], frozen: Frozen,
    ) -> None:  # fmt: skip
        if buffers not in ("interpolate", "keep"):
            raise ValueError(f"buffers is {buffers!r}; choose interpolate or keep, for a batch's statistics are not those of all data")
        if criterion is not None and loss is not None:
            raise ValueError("give a criterion of outputs and targets, or a loss of model and batch, not both")
        if not isinstance(data, (DataLoader, Dataset)) and iter(data) is data:
            raise ValueError("the data are an iterator, which ends after one pass; give a DataLoader, a Dataset or a list of batches")
        held = {id(value): name for name, value in model.named_parameters()}
        criterion = copy.deepcopy(criterion).eval() if isinstance(criterion, nn.Module) else criterion
        self._of_batch: OfBatch = loss or (lambda module, batch: _by_outputs(module, batch, criterion))
        self._loader = DataLoader(data, batch_size) if isinstance(data, Dataset) else data
        self.unmapped = isinstance(self._loader, DataLoader)
        self._sum = summed(criterion)
        self._device = next((value.device for value in model.parameters()), torch.device("cpu"))
        self._count: Count = count or (lambda batch: 1.0)
        self._take(model, buffers, frozen)
        if count is None and not self._sum:
            self._count = self._counted(counts_of(criterion))
        self._try(held)

    def _looked(self) -> None:
        """Batches are copies of each pass."""

    def outputs(self, point: Point) -> Tensor:
        """There are none of all data: give :func:`landscape_tools.module_loss` one batch for what goes by outputs."""
        raise ValueError("a loss of data in batches has no outputs at once; give module_loss one batch of inputs and targets")

    def composite(self) -> Composite:
        """As :meth:`outputs`."""
        raise ValueError("a loss of data in batches has no outputs at once; give module_loss one batch of inputs and targets")

    def with_gradients(self, rows: Tensor, like: Point) -> tuple[Tensor, Tensor]:
        """Flattened points (m, n) -> losses (m,) and gradients (m, n), with the graph of one batch at a time."""
        found = []
        for row in rows:

            def sloped(part: ScalarLoss, row: Tensor = row) -> Tensor:
                with differentiated():
                    at = row.detach().clone().requires_grad_()
                    value = part(unflatten(at, like))
                    return torch.cat((value.detach().reshape(1), torch.autograd.grad(value, at)[0]))

            found.append(self.averaged(sloped))
        both = torch.stack(found)
        return both[:, 0], both[:, 1:]

    def drawing(self, generator: torch.Generator, rows: int) -> Callable[[], ScalarLoss]:
        """A function that gives the loss on the next batch that counts, from the first again after the last."""

        def counted() -> Iterator[ScalarLoss]:
            while True:
                for batch in self._batches():
                    if self._sum or self._count(batch):
                        yield functools.partial(self._on, batch)

        batches = counted()
        return lambda: next(batches)

    def _on(self, batch: Any, point: Point) -> Tensor:
        """The loss on one batch."""
        value: Tensor = self._forward(point)(batch)
        return value

    def averaged(self, work: Callable[[ScalarLoss], Tensor]) -> Tensor:
        """What is linear in a loss, such as its derivatives, of the loss over all data: from what `work` makes of the loss of each batch."""
        found, whole = torch.zeros(()), 0.0
        for batch in self._batches():
            share = 1.0 if self._sum else float(self._count(batch))
            if share:
                found, whole = found + share * work(functools.partial(self._on, batch)), whole + share
        return found if self._sum else found / whole

    def _forward(self, point: Point) -> Forward:
        called, tensors = (
            _Called(self._copy("plain"), self._of_batch),
            {f"module.{name}": value for name, value in self._whole(point).items()},
        )
        return lambda batch: functional_call(called, tensors, (batch,))

    def _ways(self) -> Iterator[tuple[Callable[[nn.Module], Tensor], Lent | None]]:
        if convolves(self._model):
            yield functools.partial(self._valued, laid=side_by_side), None
        yield self._valued, None

    def _valued(self, forward: Forward, laid: Callable[[Any], Any] = lambda batch: batch) -> Tensor:
        if isinstance(forward, nn.Module):
            forward = _Called(forward, self._of_batch)
        found, whole = None, 0.0
        for batch in self._batches():
            share = 1.0 if self._sum else float(self._count(batch))
            if share:  # a batch that counts nothing has no mean
                value = forward(laid(batch))
                check_scalar(value, "the loss of a batch")
                kind, part = value.dtype, share * value.double()
                found, whole = part if found is None else found + part, whole + share
        if found is None:
            raise ValueError("the data hold no batch that counts; give at least one")
        result: Tensor = (found if self._sum else found / whole).to(kind)
        return result

    def _batches(self) -> Iterator[Any]:
        """Copies of the batches on the model's device."""
        for batch in self._loader:
            yield tree_map(lambda part: part.to(self._device, copy=True) if isinstance(part, Tensor) else part, batch)

    def _counted(self, counts: list[Count]) -> Count:
        """The count by which batches are the means of their parts: the first of them, and each by which it matters which count it is."""
        found, seen = counts, None
        with torch.no_grad():
            model = self._forward({name: value.clone() for name, value in self._state.items()})
            digits = max((torch.finfo(v.dtype).eps for v in self._state.values() if v.is_floating_point()), default=0.0)
            for batch in self._batches():
                new = seen is None or differing(found, seen, batch)
                if new and math.isfinite(_scalar(model(kept(batch)))):  # one whose labels are all ignored has no mean
                    found = fitting(found, batch, lambda part: _scalar(model(kept(part))), near=max(SAME, 8 * digits))
                    seen = batch if seen is None else seen
                if seen is not None and len(found) < 2:
                    break
        if not found:
            raise ValueError(
                "a batch is not the mean of its parts by rows, elements or labels; give count=, a function of a batch that says how much it counts"
            )
        return found[0]


def _scalar(value: Any) -> float:
    check_scalar(value, "the loss of a batch")
    return float(value)


def _by_outputs(module: nn.Module, batch: Any, criterion: Callable[[Any, Any], Tensor] | None) -> Tensor:
    """The loss of a batch: by a criterion of outputs and the last of the batch, or as the model itself gives it."""
    if criterion is None:
        outputs = module(**batch) if isinstance(batch, Mapping) else module(*batch) if isinstance(batch, (tuple, list)) else module(batch)
        value = outputs.get("loss") if isinstance(outputs, Mapping) else getattr(outputs, "loss", None)
        if not isinstance(value, Tensor):
            raise ValueError("the model returns no loss of its own; give a criterion, or loss=, a function of model and batch")
        return value
    if not isinstance(batch, (tuple, list)) or len(batch) < 2:
        raise ValueError("a criterion needs batches of inputs and targets; give loss=, a function of model and batch, for others")
    inputs, targets = (batch[0] if len(batch) == 2 else tuple(batch[:-1])), batch[-1]
    outputs = module(**inputs) if isinstance(inputs, Mapping) else module(*inputs) if isinstance(inputs, (tuple, list)) else module(inputs)
    return criterion(outputs, targets)


def data_loss(
    model: nn.Module,
    data: Batches,
    criterion: Callable[[Any, Any], Tensor] | None = None,
    *,
    loss: OfBatch | None = None,
    count: Count | None = None,
    batch_size: int = 256,
    buffers: Literal["interpolate", "keep"] = "interpolate",
    frozen: Frozen = "hold",
) -> DataLoss:
    """A module's loss over data in batches, for every tool of this package: the mean over all of them at once, whatever their sizes.

    Lines, planes, paths and spectra hold one batch at a time; `converge` and `certify` hold the graph of all.

    Args:
        model: it is copied, in evaluation mode.
        data: a `DataLoader`, a `Dataset`, which is read in batches of `batch_size`, or a list of batches; the same at every pass, in any order. Batches
            go to the model's device.
        criterion: (outputs, targets) -> scalar, where a batch is inputs and targets, or several inputs and targets. Inputs in a tuple are arguments
            of the model, those in a dict its keywords. None takes the `loss` that the model returns for a batch, as Hugging Face's do.
        loss: (model, batch) -> scalar, in place of a criterion, for any other batch.
        count: batch -> how much it counts. By default ignored labels count nothing, labels with weights as much as these, other targets as many as
            they have elements, and losses of the model's own by labels or rows: whichever makes the first batch the mean of its parts.
        buffers: "interpolate" or "keep", as in :func:`landscape_tools.module_loss`.
        frozen: as there.

    Raises:
        ValueError: for an iterator, data without a batch, a batch that is by no count the mean of its parts, or what :func:`landscape_tools.module_loss`
            refuses.
    """
    return DataLoss(model, data, criterion, loss, count, batch_size, buffers, frozen)
