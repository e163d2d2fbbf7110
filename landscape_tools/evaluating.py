"""The one contract of losses: a pure function of one point, and how it is evaluated at many.

A point is a dict of named tensors. A loss takes one and returns a scalar, or a dict of named scalars where several are wanted.
`vectorize` says how it takes many points per pass:

- "auto", the default: as "vmap", or as "loop" where vmap cannot map the loss or, on lines and planes, a trial finds the loop faster;
- "vmap": the loss is written for one point, and `torch.func.vmap` maps it;
- "batched": the loss takes parameters with a leading axis of m points and returns (m,) values by itself;
- "loop": the loss is written for one point and cannot be mapped (data-dependent Python, `.item()`); it is called point by point.

A loss whose gradient is known without autograd may bring it, as a method `with_gradients`: flattened points (m, n) and one point like them ->
losses (m,) and gradients (m, n).
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, TypeVar, cast

import torch
from torch import Tensor

from landscape_tools.points import Point, unflatten

ScalarLoss = Callable[[dict[str, Tensor]], Tensor]
Loss = Callable[[dict[str, Tensor]], dict[str, Tensor]] | ScalarLoss
Vectorize = Literal["auto", "vmap", "batched", "loop"]
Evaluate = Callable[[Tensor], tuple[Tensor, Tensor]]
Options = TypeVar("Options", bound=Mapping[str, Any])
Function = TypeVar("Function", bound=Callable[..., Any])
ROWS = 256
"""Points per pass of :func:`values_of`."""


class Known(Protocol):
    """A loss that knows the names of its points."""

    def named(self, point: Point) -> dict[str, Tensor]:
        """The same point, or part of one, under the loss's names; ValueError where it does not fit."""

    def enter(self, point: Point) -> dict[str, Tensor]:
        """:meth:`named`, after a check that the loss there is the model's own."""

    def leave(self, point: Point) -> dict[str, Tensor]:
        """A point that a tool has found, with what follows from its parameters."""


class NotMappable(ValueError):
    """A loss that `torch.func.vmap` cannot map."""


def many(loss: Loss, vectorize: Vectorize) -> Callable[[dict[str, Tensor], dict[str, Tensor]], dict[str, Tensor]]:
    """A function of (fixed, moving) to named values (m,): `fixed` is shared by all points, `moving` has a leading axis of m.

    Raises:
        ValueError: at once for another word than the four; when called, for a loss that vmap cannot map or whose values are
            not one scalar per point.
    """
    if vectorize not in ("auto", "vmap", "batched", "loop"):
        raise ValueError(f"vectorize is {vectorize!r}; choose auto, vmap, batched or loop")
    way: str = "vmap" if vectorize == "auto" else vectorize

    def evaluate(fixed: dict[str, Tensor], moving: dict[str, Tensor]) -> dict[str, Tensor]:
        nonlocal way
        values: dict[str, Tensor]
        count = len(next(iter(moving.values())))

        def one(point: dict[str, Tensor]) -> dict[str, Tensor]:
            values: Any = loss(fixed | point)
            named = values if isinstance(values, dict) else {"loss": values}
            # Numbers that a loss took out of its tensors are as good for a picture.
            return {name: value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64) for name, value in named.items()}

        if way == "vmap":
            try:
                values = mapped(one)(moving)
            except NotMappable:
                if vectorize == "vmap":
                    raise
                way = "loop"
        if way == "batched":
            values = one(moving)
        elif way == "loop":
            rows = [one({name: value[k] for name, value in moving.items()}) for k in range(count)]
            values = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
        for name, value in values.items():
            if value.shape != (count,):
                raise ValueError(f"{name} came back as {tuple(value.shape)} for {count} points; it must be one scalar per point")
        return values

    return evaluate


def mapped(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """`torch.func.vmap` whose complaints say what to do.

    Raises:
        NotMappable: when called, for a function that vmap cannot map.
    """
    vectorized: Any = torch.func.vmap(function, **options)

    def call(*arguments: Any) -> Any:
        try:
            return vectorized(*arguments)
        except RuntimeError as error:
            if "vmap" not in str(error) and "functorch" not in str(error):
                raise
            reason = str(error).strip().splitlines()[0]
            raise NotMappable(f"torch.func.vmap cannot map this loss ({reason}); vectorize='loop' calls it point by point") from error

    return call


def values_of(loss: ScalarLoss, like: Point, vectorize: Vectorize) -> Callable[[Tensor], Tensor]:
    """(m, n) flattened points -> losses (m,) float64, in passes of at most `ROWS` points."""
    evaluate = many(loss, vectorize)

    def values(rows: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.cat([_only(evaluate({}, unflatten(rows[at : at + ROWS], like))).double() for at in range(0, len(rows), ROWS)])

    return values


def values_and_gradients(loss: ScalarLoss, like: Point, vectorize: Vectorize) -> Evaluate:
    """(m, n) flattened points -> losses (m,) and gradients (m, n).

    Raises:
        ValueError: when called, for a loss that returns numbers, which have no gradient.
    """
    known = getattr(loss, "with_gradients", None)
    if known is not None:

        def brought(rows: Tensor) -> tuple[Tensor, Tensor]:
            values, gradients = known(rows.detach(), like)
            return values.to(rows), gradients.to(rows)

        return brought
    evaluate = many(loss, vectorize)

    def both(rows: Tensor) -> tuple[Tensor, Tensor]:
        at = rows.detach().requires_grad_()
        values = _only(evaluate({}, unflatten(at, like)))
        if not values.requires_grad:
            raise ValueError(
                "the loss has no gradient, which a path needs; return tensors made of the point's, without .item() and no_grad"
            )
        (gradients,) = torch.autograd.grad(values.sum(), at)
        return values.detach().to(rows), gradients

    return both


def _only(values: dict[str, Tensor]) -> Tensor:
    if set(values) != {"loss"}:
        raise ValueError(f"the loss returns {', '.join(values)}; a path needs one scalar")
    return values["loss"]


def filled(defaults: Options, given: Mapping[str, Any]) -> Options:
    """Options with the defaults of those that are not given.

    Raises:
        TypeError: for an option that there is not.
    """
    for name in given:
        if name not in defaults:
            raise TypeError(f"there is no option {name!r}; there are {', '.join(defaults)}")
    return cast(Options, {**defaults, **given})


def thread_safe(loss: Function) -> Function:
    """Declare that a loss may be called by several threads at once: it changes nothing that it shares, no module's weights either."""

    @functools.wraps(loss)
    def declared(*arguments: Any, **options: Any) -> Any:
        return loss(*arguments, **options)

    declared.thread_safe = True  # type: ignore[attr-defined]
    return declared  # type: ignore[return-value]


def allowed_threads(loss: object, threads: int) -> int:
    """`threads` for losses that are known to be safe, else 1 with a warning: `functional_call` and its like swap the weights of a
    module that all threads share, and the values come out wrong without a word."""
    if threads <= 1 or getattr(loss, "thread_safe", False):
        return max(1, threads)
    warnings.warn(
        f"threads={threads} is not used: this loss may share a module between threads. Pass a module by module_loss, or declare a loss "
        "that changes nothing it shares by thread_safe",
        stacklevel=3,
    )
    return 1
