"""An `nn.Module` with data as a loss of a point, in one line; the module itself is never touched."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from landscape_tools.composite import Composite
from landscape_tools.copying import check_shaped, copied
from landscape_tools.points import flatten, unflatten


class ModuleLoss:
    """criterion(model(inputs), targets) as a pure function of the model's parameters.

    It works on copies, one for each thread that calls it, since `functional_call` swaps weights inside a module. The copies are in
    evaluation mode: dropout is off and batch normalisation uses its running statistics, so that equal points have equal losses.

    Attributes:
        point: the model's parameters when the loss was made, name -> tensor; a copy.
    """

    thread_safe = True

    def __init__(self, model: nn.Module, criterion: Callable[[Tensor, Tensor], Tensor], inputs: Tensor, targets: Tensor) -> None:
        self._model = copied(model).eval()
        self._criterion, self._inputs, self._targets = criterion, inputs, targets
        self._copies = threading.local()
        self._copying = threading.Lock()
        self.point = parameters_of(self._model)

    def outputs(self, point: dict[str, Tensor]) -> Tensor:
        """The model's outputs on the inputs, (batch, ...); names that the point lacks stay as they were."""
        if not hasattr(self._copies, "model"):
            with self._copying:
                self._copies.model = copied(self._model)
        result: Tensor = functional_call(self._copies.model, point, (self._inputs,))
        return result

    def __call__(self, point: dict[str, Tensor]) -> Tensor:
        """The loss at a point, a scalar."""
        return self._criterion(self.outputs(point), self._targets)

    def composite(self) -> Composite:
        """The loss by way of the model's outputs: exact curvature for few outputs and many parameters."""
        like = {"outputs": self.outputs(self.point).detach()}

        def smooth(z: Tensor) -> Tensor:
            return self._criterion(unflatten(z, like)["outputs"], self._targets)

        return Composite(smooth, lambda point: flatten({"outputs": self.outputs(point)}))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_copies", "_copying")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _copies=threading.local(), _copying=threading.Lock())


def module_loss(model: nn.Module, criterion: Callable[[Tensor, Tensor], Tensor], inputs: Tensor, targets: Tensor) -> ModuleLoss:
    """A module's loss on one frozen batch, for every tool of this package.

    Args:
        model: takes `inputs`; it is copied, in evaluation mode.
        criterion: (outputs, targets) -> scalar, such as `torch.nn.functional.cross_entropy`.
        inputs, targets: the batch, of the parameters' dtype and device.

    Raises:
        ValueError: for a module that cannot be copied or cannot take a point's parameters (lazy layers, scripted modules).
    """
    return ModuleLoss(model, criterion, inputs, targets)


def parameters_of(model: nn.Module) -> dict[str, Tensor]:
    """A module's parameters as a point, name -> tensor: copies without gradients. `model.load_state_dict(point, strict=False)` puts
    a point back.

    Raises:
        ValueError: for lazy layers without a shape.
    """
    check_shaped(model)
    with torch.no_grad():
        return {name: value.detach().clone() for name, value in model.named_parameters()}
