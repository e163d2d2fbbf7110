"""An `nn.Module` with data as a loss of a point, in one line; the module and the data are never touched."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_leaves

from landscape_tools.composite import Composite
from landscape_tools.copying import copied
from landscape_tools.differentiable import sloped_lightly
from landscape_tools.entrance import agree, check_steady
from landscape_tools.evaluating import ScalarLoss, check_scalar
from landscape_tools.firsts import keep_firsts
from landscape_tools.lending import Lent, Met, kept, rows_drawn
from landscape_tools.mounting import convolves, leaves_of, mount, side_by_side
from landscape_tools.points import BufferName, HeldName, Point, continuous, flatten, some, unflatten
from landscape_tools.states import Frozen, Names, lacking, marked
from landscape_tools.statistics import STATISTICS, by_batch, differentiable, estimated, exact, layers_of
from landscape_tools.walking import Walk

Forward = Callable[[Any], Any]
Buffers = Literal["interpolate", "estimate", "batch", "keep"]
COPIES: dict[str, Callable[..., nn.Module]] = {"plain": differentiable, "batch": by_batch, "estimating": lambda model: by_batch(exact(model))}  # fmt: skip
"""What a copy of the model is made into: by the point's statistics, by the batch's, or to estimate them."""


class ModuleLoss:
    """criterion(model(inputs), targets) as a pure function of the model's parameters and buffers.

    It works on copies, one for each thread that calls it, since `functional_call` swaps weights inside a module. The copies are in
    evaluation mode: dropout is off, and batch normalisation goes by the point's running statistics or as `buffers` says, so that equal
    points have equal losses. Inputs and targets are copies as well, which no call changes.

    Attributes:
        point: the model when the loss was made, name -> tensor; a copy, of its parameters and buffers (with `buffers="keep"`, its parameters).
        held: names in `point` that tools do not move by themselves: frozen parameters and buffers.
    """

    thread_safe = True

    def __init__(
        self, model: nn.Module, criterion: Callable[[Tensor, Tensor], Tensor], inputs: Tensor, targets: Tensor, buffers: Buffers, frozen: Frozen,
        data: Tensor | Sequence[Tensor] | None,
    ) -> None:  # fmt: skip
        if buffers not in ("interpolate", "estimate", "batch", "keep"):
            raise ValueError(f"buffers is {buffers!r}; choose interpolate, estimate, batch or keep")
        held = {id(value): name for name, value in model.named_parameters()}
        if isinstance(criterion, nn.Module):
            _say_used([held[id(value)] for value in criterion.parameters() if id(value) in held])
        self._criterion = copy.deepcopy(criterion).eval() if isinstance(criterion, nn.Module) else criterion
        self._inputs, self._targets = Lent(inputs), Lent(targets)
        self._data = [self._inputs.data] if data is None else kept([data] if isinstance(data, Tensor) else list(data))
        self._take(model, buffers, frozen)
        self._try(held)

    def _take(self, model: nn.Module, buffers: Buffers, frozen: Frozen) -> None:
        """Copy the model and learn its names."""
        self._model = copied(model).eval()
        self._buffers, self._writes, self._met = buffers, False, Met()
        self._copies, self._copying = threading.local(), threading.Lock()
        self._state = marked(self._model, frozen)  # of a model that never runs: its copies do
        self._names, self._layers = Names(self._model, self._state), layers_of(self._model)
        if buffers == "estimate" and not self._layers:
            raise ValueError("buffers is 'estimate', and the model has no running statistics to estimate; choose interpolate")
        floating = [name for name, value in self._state.items() if isinstance(name, BufferName) and continuous(value)]
        self._running = {name for names in self._layers.values() for name in names if name.rpartition(".")[2] in STATISTICS}
        estimable = {name for names in self._layers.values() for name in names}
        unread: dict[str, set[str]] = {"estimate": estimable, "batch": self._running, "keep": set(floating), "interpolate": set()}
        self._needed = [name for name in floating if name not in unread[buffers]]
        self.point = {n: v.clone() for n, v in self._state.items() if buffers != "keep" or not isinstance(n, BufferName)}
        self.held = tuple(str(name) for name in self.point if isinstance(name, HeldName))

    def _try(self, held: Mapping[int, str]) -> None:
        """Evaluate the loss at the model, and find what it writes into and whether it is random, or uses these tensors of the model given."""
        tried = {name: value.clone() for name, value in self.point.items()}
        with torch.no_grad():
            value = self(tried)
            check_scalar(value, "the criterion", sloped=False)
            self._looked()
            self._writes = any(not torch.equal(part, self.point[name]) for name, part in tried.items())
        again = sloped_lightly(lambda: self(self.point))
        _say_used([held[id(leaf)] for leaf in leaves_of(again) if id(leaf) in held])
        if not agree({"loss": value}, {"loss": again}):  # random, or of few digits, and kernels without derivatives round in another way
            with torch.no_grad():
                check_steady(lambda: {"loss": self(self.point)})

    def outputs(self, point: Point) -> Tensor:
        """The model's outputs on the inputs, (batch, ...); parameters that the point lacks stay as they were.

        Raises:
            ValueError: for names or shapes that are not the model's, or buffers that a point should bring and does not.
        """
        found: Tensor = self._forward(point)(self._inputs())
        return found

    def __call__(self, point: Point) -> Tensor:
        """The loss at a point, a scalar."""
        return self._valued(self._forward(point))

    def _forward(self, point: Point) -> Forward:
        """The model at a point: inputs -> outputs."""
        whole = self._whole(point)
        if self._buffers == "estimate":
            whole |= self._estimated(whole)
        kind = "batch" if self._buffers == "batch" else "plain"
        copied_model, read = self._copy(kind), self._read(whole, kind)
        return lambda inputs: functional_call(copied_model, read, (inputs,))

    def _valued(self, forward: Forward) -> Tensor:
        """The loss of a model."""
        return self._criterion(forward(self._inputs()), self._targets())

    def mountings(self, point: Point, walk: Walk | None = None) -> Iterator[Callable[[], Tensor]]:
        """The loss at whatever a point's tensors hold when it is called, without gradients: of a copy of the model that has them for its own. The
        fastest ways first, which somebody has to compare; none where the model writes into them, or buffers are estimated."""
        if self._writes or self._buffers == "estimate":
            return
        for valued, lent in self._ways():
            for keeping in (True, False) if lent is not None and walk is not None else (False,):
                with self._copying:
                    model = COPIES["batch" if self._buffers == "batch" else "plain"](self._twin())
                found = mount(model, self._whole(point), point, valued)
                data = [] if lent is None else [part for part in tree_leaves(lent()) if isinstance(part, Tensor)]
                if found is not None and (not keeping or (walk is not None and keep_firsts(model, data, walk))):
                    yield found

    def _ways(self) -> Iterator[tuple[Callable[[nn.Module], Tensor], Lent | None]]:
        """How a model's loss is taken, the fastest way first, and the data that it is then the loss on."""
        if convolves(self._model):
            lent = Lent(side_by_side(self._inputs.data))
            yield (lambda model: self._criterion(model(lent()), self._targets())), lent
        yield self._valued, self._inputs

    def drawing(self, generator: torch.Generator, rows: int) -> Callable[[], ScalarLoss]:
        """A function that gives the loss on rows drawn anew; on all, where there are no more or inputs and targets have no rows in common."""
        draw = None if self._buffers == "batch" else rows_drawn((self._inputs(), self._targets()), generator, rows)

        def drawn() -> ScalarLoss:
            if draw is None:
                return self
            x, y = draw()
            return lambda point: self._criterion(self._forward(point)(x), y)

        return drawn

    def named(self, point: Point) -> dict[str, Tensor]:
        """A point or a direction under the model's names, which tell parameters from buffers: for one from a file, with the names of
        `state_dict`, or of a wrapped model (`module.`, `_orig_mod.`).

        Raises:
            ValueError: for names or shapes that are not the model's.
        """
        return self._names.of(point)

    def enter(self, point: Point) -> dict[str, Tensor]:
        """:meth:`named`, after a check that the loss of the point is that of the model with its parameters and buffers.

        Raises:
            ValueError: when it is not.
        """
        named = self.named(point)
        if self._met.has(named):
            return named
        for name, value in named.items():
            kind = self._state[name].dtype
            if value.dtype != kind and continuous(value):
                raise ValueError(
                    f"{name} is {value.dtype} in the point and {kind} in the module; give one of them in the dtype of the other"
                )
        with torch.no_grad():
            here = self(named).detach()
            if not agree({"loss": here}, {"loss": (own := self._own(named))}):
                more = "the model computes with more than its parameters and buffers"
                if self._buffers == "estimate":
                    more = "its running statistics are not those of the data; give loss.estimated(point), or take buffers='interpolate'"
                raise ValueError(f"the loss of a point is {float(here):.6g}, its own model's {float(own):.6g}: {more}")
        self._met.add(named)
        return named

    def leave(self, point: Point) -> dict[str, Tensor]:
        """A point that a tool has found: with `buffers="estimate"`, its statistics as they are there."""
        return self.estimated(point) if self._buffers == "estimate" else dict(point)

    def estimated(self, point: Point) -> dict[str, Tensor]:
        """The point with its running statistics estimated from the data: what `buffers="estimate"` computes with there."""
        named = self.named(point)
        with torch.no_grad():
            return named | {n: v.to(self._state[n]) for n, v in self._estimated(self._whole(named)).items()}

    def composite(self) -> Composite:
        """The loss by way of the model's outputs: exact curvature for few outputs and many parameters."""
        found: Any = self.outputs(self.point)
        if not isinstance(found, Tensor):
            raise ValueError(
                f"the model returns {type(found).__name__}, and a composite goes by one tensor; give the loss itself to the tool"
            )
        like = {"outputs": found.detach()}

        def smooth(z: Tensor) -> Tensor:
            return self._criterion(unflatten(z, like)["outputs"], self._targets())

        return Composite(smooth, lambda point: flatten({"outputs": self.outputs(point)}), knows=self)

    def _whole(self, point: Point) -> dict[str, Tensor]:
        """All tensors of the model at a point; what a forward pass may write into is a copy."""
        named = self.named(point)
        missing = [] if len(named) == len(self._state) else lacking(named, self._state, self._needed)
        if missing:
            raise ValueError(
                f"the point lacks the model's buffers {some(missing)}: take state_of(model), or module_loss(..., buffers='keep') where all "
                "points share those of the module given"
            )
        whole = self._state | named
        return {name: value.clone() if self._writes or isinstance(name, BufferName) else value for name, value in whole.items()}

    def _estimated(self, whole: Point) -> dict[str, Tensor]:
        return estimated(self._copy("estimating"), list(self._layers), self._read(whole, "estimating"), kept(self._data))

    def _read(self, whole: Point, kind: str) -> dict[str, Tensor]:
        """What a copy of that kind reads of a whole point."""
        return {name: value for name, value in whole.items() if kind == "plain" or name not in self._running}

    def _copy(self, kind: str) -> nn.Module:
        """This thread's copy of the model, of a kind of `COPIES`."""
        own: dict[str, nn.Module] = vars(self._copies)
        if kind not in own:
            with self._copying:
                own[kind] = COPIES[kind](self._twin())
        return own[kind]

    def _looked(self) -> None:
        """Find out, after a call, whether it writes into its data uncounted."""
        self._inputs.look()
        self._targets.look()

    def _twin(self) -> nn.Module:
        """A copy of the model that shares its tensors, which others take the place of."""
        return copied(self._model, sharing=True)

    def _own(self, named: Point) -> Tensor:
        """The loss of a copy that has the point's tensors for its own."""
        with self._copying:
            model = by_batch(self._twin()) if self._buffers == "batch" else self._twin()
        buffers = dict(model.named_buffers())
        for name, value in (*model.named_parameters(), *buffers.items()):
            new = named.get(name, value).detach()
            value.data = new.clone() if self._writes or name in buffers or new.is_inference() else new
        return self._valued(model).detach()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_copies", "_copying", "_met")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _copies=threading.local(), _copying=threading.Lock(), _met=Met())


def module_loss(
    model: nn.Module,
    criterion: Callable[[Tensor, Tensor], Tensor],
    inputs: Tensor,
    targets: Tensor,
    *,
    buffers: Buffers = "interpolate",
    frozen: Frozen = "hold",
    data: Tensor | Sequence[Tensor] | None = None,
) -> ModuleLoss:
    """A module's loss on one frozen batch, for every tool of this package.

    Args:
        model: takes `inputs`; it is copied, in evaluation mode.
        criterion: (outputs, targets) -> scalar, such as `torch.nn.functional.cross_entropy`.
        inputs, targets: the batch, of the parameters' dtype and device; it is copied.
        buffers: where the buffers of a point come from. "interpolate": from the point (`state_of` brings them), and tools interpolate them
            between the points that they are given. "estimate": running statistics are estimated at every point from `data`, and
            what spectral norm keeps of a weight; points given to tools must have those of :meth:`ModuleLoss.estimated`. "batch":
            normalisation goes by the statistics of `inputs`, as in training. "keep": points may lack them; then they are those of `model`.
        frozen: "hold" keeps parameters with `requires_grad=False` out of directions, descents and certificates; "move" takes them in.
        data: inputs that statistics are estimated from, one batch or several; `inputs` by default.

    Raises:
        ValueError: for words that are none of these, a loss that is random, or a module that cannot be copied or cannot take a point's parameters
            (lazy layers, scripted modules).
    """
    return ModuleLoss(model, criterion, inputs, targets, buffers, frozen, data)


def _say_used(names: Sequence[str]) -> None:
    """Raise ValueError for parameters of the model given that its criterion uses: they would be those of that one model at every point."""
    if names:
        raise ValueError(
            f"the criterion uses {some(sorted(set(names)))} of the model itself, which would stay as they are at every point; write that part as a loss of "
            "the point, such as lambda p: loss(p) + penalty(p), or give the criterion a copy of the model"
        )
