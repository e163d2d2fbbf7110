"""What tools do with a loss and its points before their work begins.

A loss must be a function of the point alone: it is evaluated twice at one point, and a random one is refused. A loss that knows the names of
its points, as `module_loss` does, is a :class:`landscape_tools.evaluating.Known`: it gives points its own names, or says what does not fit. Descents and certificates see only the trained part of a point
(:func:`landscape_tools.points.trainable`) and get the rest held fixed; paths get it interpolated.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from landscape_tools.composite import Composite
from landscape_tools.evaluating import Known, Vectorize, check_scalar, many
from landscape_tools.mapping import check_way
from landscape_tools.points import BufferName, HeldName, Point, check_alike, check_has, continuous, flatten, step_between, trainable

Tool = TypeVar("Tool", bound=Callable[..., Any])
SAME = 1e-5  # relative difference up to which two values of one loss at one point count as the same


def agree(first: Mapping[str, Any], second: Mapping[str, Any], *, scale: float = 0.0, least: float = 1e-12) -> bool:
    """Whether named values are the same but for rounding; what is not finite must be equal.

    Args:
        first, second: name -> tensor or array.
        scale: size of the values around, against which rounding is to be measured.
        least: difference that counts as none: what may remain of a sum that cancels.
    """
    if set(first) != set(second):
        return False
    pairs = [(_numbers(first[name]), _numbers(second[name])) for name in first]
    return all(np.allclose(a, b, rtol=SAME, atol=least + 0.01 * SAME * scale, equal_nan=True) for a, b in pairs)


def check_steady(evaluate: Callable[[], Mapping[str, Any]]) -> None:
    """Evaluate twice, and compare.

    Raises:
        ValueError: when the two differ.
    """
    first, second = evaluate(), evaluate()
    if not agree(first, second):
        name = next((n for n, a in first.items() if n in second and not agree({n: a}, {n: second[n]})), None)
        seen = ["other names"] * 2 if name is None else [f"{_numbers(found[name]).flat[0]:.6g}" for found in (first, second)]
        raise ValueError(
            f"the loss is {seen[0]} and then {seen[1]} at one point: it is random or changes what it uses (dropout, a batch drawn "
            "anew, data overwritten); fix its batch and its seed, or give the module to module_loss"
        )


def singly(vectorize: Vectorize) -> Vectorize:
    """How a loss takes one point by itself: so that a random one is found before anything is mapped.

    Raises:
        ValueError: for a word that is no way.
    """
    check_way(vectorize)
    return "batched" if vectorize == "batched" else "loop"


def _numbers(value: Any) -> np.ndarray[Any, Any]:
    tensor = torch.as_tensor(value).detach().cpu()
    return (torch.view_as_real(tensor) if tensor.is_complex() else tensor).double().cpu().numpy()


def known(loss: Any) -> Known | None:
    """The loss, or whose composite it is, where that knows the names of its points."""
    if isinstance(loss, Composite):
        return loss.knows
    return cast(Known, loss) if hasattr(loss, "enter") else None


def entered(loss: object, points: Sequence[Point]) -> list[dict[str, Tensor]]:
    """The points under the names of the loss, checked; as they are where the loss knows no names."""
    owner = known(loss)
    return [dict(point) if owner is None else owner.enter(point) for point in points]


def renamed(loss: object, directions: Sequence[Point]) -> list[dict[str, Tensor]]:
    """Directions, or parts of points, under the names of the loss."""
    owner = known(loss)
    return [dict(direction) if owner is None else owner.named(direction) for direction in directions]


def held_words(point: Point) -> str:
    """What of a point is held, such as "2 frozen parameters and 3 buffers"; empty for nothing."""
    buffers = sum(isinstance(name, BufferName) for name in point)
    frozen = sum(isinstance(name, HeldName) for name in point) - buffers
    counts = [f"{n} {word}{'s' * (n > 1)}" for n, word in ((frozen, "frozen parameter"), (buffers, "buffer")) if n]
    return " and ".join(counts)


def at_one_point(tool: Tool) -> Tool:
    """For a tool whose first two arguments are a loss, or the outputs of one, and a point: it sees the trained part of the point alone.
    Points in its result are whole again."""
    signature = inspect.signature(tool)
    of_loss, of_point = list(signature.parameters)[:2]

    @functools.wraps(tool)
    def called(*arguments: Any, **options: Any) -> Any:
        bound = signature.bind(*arguments, **options)
        loss = bound.arguments[of_loss]
        (point,) = entered(loss, [bound.arguments[of_point]])
        plain = loss.loss if isinstance(loss, Composite) else loss
        owner = known(loss)
        if owner is None:
            if of_loss == "loss" and not isinstance(loss, Composite):
                check_scalar(plain(dict(point)), "the loss")
            check_steady(lambda: {"loss": plain(dict(point))})
        moving = trainable(point)
        _some(moving)
        bound.arguments[of_point] = moving
        if len(moving) < len(point):
            bound.arguments[of_loss] = _with(loss, point, moving)
            if bound.arguments.get("slope") is not None:
                bound.arguments["slope"] = _narrow(bound.arguments["slope"], point, moving)
        result = tool(*bound.args, **bound.kwargs)
        return _whole(result, point, dict if owner is None else owner.leave) if len(moving) < len(point) else result

    return cast(Tool, called)


def _some(moving: Point) -> None:
    if not moving:
        raise ValueError("no parameter of this point is trained; state_of and module_loss take frozen='move'")


def _with(loss: Any, point: Point, moving: Point) -> Any:
    """The loss of the moving part, the rest of the point being fixed."""
    if not isinstance(loss, Composite):
        return _declared(loss, lambda part: loss({**point, **part}))
    outputs = loss.outputs or flatten
    slope = None if loss.slope is None else _narrow(loss.slope, point, moving)
    return replace(loss, outputs=lambda part: outputs({**point, **part}), slope=slope, knows=None)


def _declared(loss: Any, part: Callable[[Point], Any]) -> Callable[[Point], Any]:
    """A loss of a part of a point, with what the whole loss declares of how it may be called."""
    vars(part).update({name: value for name in ("unmapped", "thread_safe") if (value := getattr(loss, name, None)) is not None})
    return part


def _narrow(slope: Callable[[dict[str, Tensor]], Tensor], point: Point, moving: Point) -> Callable[[Point], Tensor]:
    """A Jacobian in the moving entries, from one in all of a point's."""
    columns = torch.cat([torch.full((flatten({name: value}).numel(),), name in moving) for name, value in point.items()])
    return lambda part: slope({**point, **part})[:, columns]


def _whole(result: Any, point: Point, leave: Callable[[Point], dict[str, Tensor]]) -> Any:
    """A result with whole points."""
    has = {field.name for field in fields(result)}
    changes: dict[str, Any] = {}
    if "point" in has:
        changes["point"] = leave({n: result.point[n] if n in result.point else v.clone() for n, v in point.items()})
    if "points" in has:
        count = len(next(iter(result.points.values())))
        changes["points"] = {n: result.points[n] if n in result.points else v.expand(count, *v.shape) for n, v in point.items()}
    if getattr(result, "escape", None) is not None:
        changes["escape"] = _whole(result.escape, point, leave)
    if "reason" in has and held_words(point):
        changes["reason"] = "; ".join(filter(None, (result.reason, f"{held_words(point)} held fixed")))
    return replace(result, **changes)


def between_two(tool: Tool) -> Tool:
    """For a tool with arguments `loss`, `start` and `end`, and perhaps `exact`, `noisy`, `middle` and `guess`: it sees the trained parts alone.

    Where the ends differ in what is held (buffers, frozen parameters), the loss takes it at the share of the way from start to end that a
    point has come, measured along the straight line between them: exact at both ends, and the same as on :func:`sample_line`.
    """
    signature = inspect.signature(tool)

    @functools.wraps(tool)
    def called(*arguments: Any, **options: Any) -> Any:
        bound = signature.bind(*arguments, **options)
        given = bound.arguments
        loss = given["loss"]
        start, end = entered(loss, [given["start"], given["end"]])
        check_alike(start, end)
        owner = known(loss)
        if owner is None:
            evaluate = many(loss, singly(given.get("vectorize", "auto")))
            with torch.no_grad():
                check_steady(lambda: evaluate({}, {name: value.unsqueeze(0) for name, value in start.items()}))
        moving = trainable(start)
        _some(moving)
        rest = len(moving) < len(start)
        given.update(start=moving, end={name: end[name] for name in moving})  # in one order: they are flattened
        for name in ("middle", "guess"):
            if given.get(name) is not None:
                (part,) = renamed(None if name == "guess" else loss, [given[name]])
                check_has(part, moving, name)
                given[name] = {key: part[key] for key in moving}
        if not rest:
            return tool(*bound.args, **bound.kwargs)
        carried = _carried(start, end, moving)
        for name in ("loss", "exact", "noisy"):
            if given.get(name) is not None:
                given[name] = _after(carried, given[name])
        path = tool(*bound.args, **bound.kwargs)
        points = carried(path.points)
        if owner is not None:
            images = [owner.leave({name: value[k] for name, value in points.items()}) for k in range(len(path.losses))]
            points = {name: torch.stack([image[name] for image in images]) for name in points}
        return replace(path, points=points)

    return cast(Tool, called)


def _after(carried: Callable[[Point], dict[str, Tensor]], loss: Callable[[dict[str, Tensor]], Tensor]) -> Callable[[Point], Tensor]:
    return _declared(loss, lambda part: loss(carried(part)))


def _carried(start: Point, end: Point, moving: Point) -> Callable[[Point], dict[str, Tensor]]:
    """(*batch, ...) moving parts -> whole points, with what is held interpolated."""
    along = {name: _exact(end[name]) - _exact(start[name]) for name in moving}
    length = sum(float(value.abs().square().sum()) for value in along.values())
    if length == 0:
        raise ValueError("the two points have the same trained parameters, so there is no path between them")

    def carried(part: Point) -> dict[str, Tensor]:
        walked = torch.zeros((), dtype=torch.float64)
        for name, step in along.items():
            axes = tuple(range(-step.dim(), 0))
            products = ((_exact(part[name], detach=False) - _exact(start[name])) * step.conj()).real
            walked = walked + (products.sum(axes) if axes else products)
        share = (walked / length).clamp(0, 1)
        share = torch.where(share > 1 - 1e-9, torch.ones_like(share), share)  # the end itself, but for rounding
        point = {}
        for name, value in start.items():
            if name in moving:
                point[name] = part[name]
                continue
            wide = share.reshape((*share.shape, *([1] * value.dim())))
            if continuous(value):
                step = step_between(value, end[name])
                ahead = torch.where(wide < 1, value + wide.to(value) * step, end[name])
                point[name] = torch.where(step == 0, value, ahead)
            else:
                point[name] = torch.where(wide <= 0.5, value, end[name])
        return point

    return carried


def _exact(value: Tensor, *, detach: bool = True) -> Tensor:
    value = value.to(torch.complex128 if value.is_complex() else torch.float64)
    return value.detach() if detach else value
