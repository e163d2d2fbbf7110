"""The one contract of losses: a pure function of one point, and how it is evaluated at many.

A point is a dict of named tensors. A loss takes one and returns a scalar, or a dict of named scalars where several are wanted.
`vectorize` says how it takes many points per pass:

- "auto", the default: as "vmap", or as "loop" where mapping fails or gives other values at the first point, which a warning says, where
  the points of a pass are large, or, on lines, planes and trajectories, where they are few or the first passes find the loop faster;
- "vmap": the loss is written for one point, and `torch.func.vmap` maps it; where that fails or gives other values is an error;
- "batched": the loss takes parameters with a leading axis of m points and returns (m,) values by itself;
- "loop": the loss is written for one point and cannot be mapped (data-dependent Python, `.item()`); it is called point by point.

A loss whose gradient is known without autograd may bring it, as a method `with_gradients`: flattened points (m, n) and one point like them ->
losses (m,) and gradients (m, n).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from landscape_tools.differentiable import differentiated
from landscape_tools.mapping import mapped, settled
from landscape_tools.points import Point, unflatten

ScalarLoss = Callable[[dict[str, Tensor]], Tensor]
Loss = Callable[[dict[str, Tensor]], dict[str, Tensor]] | ScalarLoss
Vectorize = Literal["auto", "vmap", "batched", "loop"]
Evaluate = Callable[[Tensor], tuple[Tensor, Tensor]]
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


def many(
    loss: Loss, vectorize: Vectorize, taken: Collection[str] = ()
) -> Callable[[dict[str, Tensor], dict[str, Tensor]], dict[str, Tensor]]:
    """A function of (fixed, moving) to named values (m,): `fixed` is shared by all points, `moving` has a leading axis of m.

    Args:
        loss: of one point; of many where `vectorize` is "batched".
        vectorize: as above.
        taken: names that a result has for itself, which the loss must not use.

    Raises:
        ValueError: at once for another word than the four; when called, for a loss that vmap cannot map, whose values are not one real
            scalar per point, or whose names no file takes.
    """
    evaluate = passes(loss, taken)

    def first(fixed: dict[str, Tensor], moving: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        return fixed, {name: value[:1] for name, value in moving.items()}

    found: Callable[..., dict[str, Tensor]] = settled(evaluate, first, vectorize, loss)
    return found


def passes(loss: Loss, taken: Collection[str] = ()) -> Callable[[str, dict[str, Tensor], dict[str, Tensor]], dict[str, Tensor]]:
    """(way, fixed, moving) -> named values (m,), in just that way."""
    one = single(loss, taken)

    def evaluate(way: str, fixed: dict[str, Tensor], moving: dict[str, Tensor]) -> dict[str, Tensor]:
        count = len(next(iter(moving.values())))
        if way == "loop":
            return singly_called(lambda k: one(fixed | {name: value[k] for name, value in moving.items()}), range(count))
        if way == "vmap":
            values: dict[str, Tensor] = mapped(lambda point: one(fixed | point))(moving)
        else:
            values = one(fixed | moving)
        return _one_each(values, count)

    return evaluate


def single(loss: Loss, taken: Collection[str] = ()) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    """The loss of one point, by its names."""

    def one(point: dict[str, Tensor]) -> dict[str, Tensor]:
        values: Any = loss(point)
        return {name: _real(name, value) for name, value in named(values, taken).items()}

    return one


def singly_called(one: Callable[[Any], dict[str, Tensor]], points: Collection[Any]) -> dict[str, Tensor]:
    """Named values (count,) of the points, each taken when its loss is called."""
    rows = []
    for k, point in enumerate(points):
        try:
            rows.append(one(point))
        except Exception as error:
            error.add_note(f"(the loss, called by itself at point {k + 1} of a pass of {len(points)})")
            raise
    return _one_each({name: torch.stack([row[name] for row in rows]) for name in rows[0]}, len(points))


def _one_each(values: dict[str, Tensor], count: int) -> dict[str, Tensor]:
    for name, value in values.items():
        if value.shape != (count,):
            raise ValueError(f"{name} came back as {tuple(value.shape)} for {count} points; it must be one scalar per point")
    return values


def named(values: Any, taken: Collection[str]) -> dict[str, Any]:
    """The values of a loss by name, "loss" for a bare one.

    Raises:
        ValueError: for a name that is `taken`, or two that are the same in files.
    """
    if not isinstance(values, dict):
        return {"loss": values}
    for name in values:
        if not isinstance(name, str) or name_in_file(name) in ("", ".", ".."):
            raise ValueError(f"a loss is named {name!r}; name it by letters")
    check_names(values, taken)
    return values


def name_in_file(name: str) -> str:
    """A loss's name as results and files have it: netCDF takes no "/", so that "train/loss" is "train_loss"."""
    return re.sub(r"[/\x00-\x1f\x7f]", "_", name).strip()


def check_names(names: Iterable[str], taken: Collection[str]) -> None:
    """Raise ValueError for a loss with a name that its result has for itself, or two losses with the same name in files."""
    seen: dict[str, str] = {}
    for name in names:
        own = name_in_file(name)
        if own in taken:
            raise ValueError(f"a loss is named {name!r}, and so is a part of this result; name it {own + '_loss'!r}")
        if seen.setdefault(own, name) != name:
            raise ValueError(f"two losses, {seen[own]!r} and {name!r}, are both {own!r} in a file; rename one")


def _real(name: str, value: Any) -> Tensor:
    """A loss's value as a tensor: numbers that it took out of its tensors are as good for a picture."""
    try:
        tensor = value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} came back as {type(value).__name__}; it must be one scalar per point") from error
    if tensor.is_complex():
        raise ValueError(f"{name} came back complex, and heights are real; return its real part or its size")
    return tensor


def check_scalar(value: Any, what: str, *, sloped: bool = True) -> None:
    """Raise ValueError unless a value is one real scalar; a tensor, where derivatives are wanted of it (`sloped`)."""
    if isinstance(value, Tensor) and value.dim() == 0:
        if value.is_complex():
            raise ValueError(f"{what} came back complex, and heights are real; return its real part or its size")
    elif sloped or isinstance(value, Tensor) or not isinstance(value, (int, float)):
        seen = f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"as {type(value).__name__}"
        raise ValueError(f"{what} came back {seen}; it must be one scalar tensor")


def values_of(loss: ScalarLoss, like: Point, vectorize: Vectorize) -> Callable[[Tensor], Tensor]:
    """(m, n) flattened points -> losses (m,) float64, in passes of at most `ROWS` points."""
    evaluate = many(loss, vectorize)

    def values(rows: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.cat([_only(evaluate({}, unflatten(rows[at : at + ROWS], like))).double() for at in range(0, len(rows), ROWS)])

    return values


def values_and_gradients(loss: ScalarLoss, like: Point, vectorize: Vectorize, chunk: int | None = None) -> Evaluate:
    """(m, n) flattened points -> losses (m,) and gradients (m, n), of at most `chunk` points at a time.

    Raises:
        ValueError: when called, for a loss that returns numbers, which have no gradient.
    """
    known = getattr(loss, "with_gradients", None)
    if known is not None:

        def brought(rows: Tensor) -> tuple[Tensor, Tensor]:
            values, gradients = known(rows.detach(), like)
            return values.to(rows), gradients.to(rows)

        return brought
    evaluate = passes(loss)

    def both(way: str, rows: Tensor) -> tuple[Tensor, Tensor]:
        if way == "loop" and len(rows) > 1:  # one graph at a time
            found = [both(way, rows[k : k + 1]) for k in range(len(rows))]
            return torch.cat([values for values, _ in found]), torch.cat([gradients for _, gradients in found])
        at = rows.detach().clone().requires_grad_()  # a clone: rows of torch.inference_mode take none
        values = _only(evaluate(way, {}, unflatten(at, like)))
        if not values.requires_grad:
            raise ValueError(
                "the loss has no gradient, which a path needs; return tensors made of the point's, without .item() and no_grad"
            )
        (gradients,) = torch.autograd.grad(values.sum(), at)
        return values.detach().to(rows), gradients

    evaluated = settled(both, lambda rows: (rows[:1],), vectorize, loss, like)

    def found(rows: Tensor) -> tuple[Tensor, Tensor]:
        with differentiated():
            parts = [evaluated(part) for part in rows.split(chunk or len(rows))]
        return (parts[0][0], parts[0][1]) if len(parts) == 1 else (torch.cat([v for v, _ in parts]), torch.cat([g for _, g in parts]))

    return found


def _only(values: dict[str, Tensor]) -> Tensor:
    if set(values) != {"loss"}:
        raise ValueError(f"the loss returns {', '.join(values)}; a path needs one scalar")
    return values["loss"]
