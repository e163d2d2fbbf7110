"""Points as dicts of tensors: the vector-space operations that landscapes need.

A name tells what its tensor is. A plain name is a parameter that tools move. A :class:`HeldName` is a parameter that is not trained, a
:class:`BufferName` a module's buffer: both are strings like any other, and stay what they are in every copy of a point. Tools hold them
fixed, or interpolate them between two points that differ in them; entries that are no floating numbers stay those of the near end.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence

import torch
from torch import Tensor

Point = Mapping[str, Tensor]


class HeldName(str):
    """The name of a tensor that belongs to a point but is not trained: random directions and descents leave it alone."""


class BufferName(HeldName):
    """The name of a module's buffer: it also counts in no length and no angle."""


torch.serialization.add_safe_globals([HeldName, BufferName])  # so that `torch.load` takes a saved point


def trainable(point: Point) -> dict[str, Tensor]:
    """The part of a point that tools move: floating or complex parameters, without held names (frozen parameters, buffers)."""
    return {name: value for name, value in point.items() if not isinstance(name, HeldName) and continuous(value)}


def continuous(value: Tensor) -> bool:
    """Whether a tensor can be interpolated: it is floating or complex."""
    return value.is_floating_point() or value.is_complex()


def check_has(point: Collection[str], names: Collection[str], what: str) -> None:
    """Raise ValueError unless `point`, described by `what`, has all names; the nearest to the first that it lacks is told."""
    missing = [name for name in names if name not in point]
    if missing:
        near = difflib.get_close_matches(missing[0], [str(name) for name in point], 1, 0.0)
        raise ValueError(f"{what} has no {some(missing)}; nearest to {missing[0]} is {near[0] if near else 'nothing'}")


def some(names: Collection[str]) -> str:
    """At most three names, and how many more."""
    return ", ".join(list(names)[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def check_alike(first: Point, second: Point) -> None:
    """Raise ValueError, which names the first misfit, unless both points have the same names and shapes."""
    apart = sorted(set(first) ^ set(second))
    if apart:
        hint = "; lt.state_of(model) gives a point its buffers" if any(isinstance(name, BufferName) for name in apart) else ""
        raise ValueError(f"the two points differ in their parameters: {', '.join(apart)}{hint}")
    for name in first:
        if first[name].shape != second[name].shape:
            raise ValueError(f"parameter {name} is {tuple(first[name].shape)} in one point and {tuple(second[name].shape)} in the other")


def difference(end: Point, start: Point) -> dict[str, Tensor]:
    """end - start, of the floating and complex entries; float32 where the points are of half precision, so that no digits are lost. Held
    names, such as buffers, are in it only where the points differ in them.

    Raises:
        ValueError: when the points do not fit, or are identical.
    """
    check_alike(start, end)
    direction = {name: step_between(wide(value), wide(end[name])) for name, value in start.items() if continuous(value)}
    direction = {name: step for name, step in direction.items() if not isinstance(name, HeldName) or bool(step.any())}
    if all(not bool(value.any()) for value in direction.values()):
        raise ValueError("the two points are identical, so there is no direction between them")
    return direction


def step_between(start: Tensor, end: Tensor) -> Tensor:
    """end - start, 0 where both are equal: between two infinities, too."""
    step = end - start
    return torch.where(end == start, torch.zeros_like(step), step)


def dot(a: Point, b: Point) -> float:
    """Inner product over the names of `a`, in float64; of complex entries, as pairs of real ones. Buffers do not count, nor do held names that
    `b` leaves out."""
    counted = {n: v for n, v in a.items() if not isinstance(n, BufferName) and (n in b or not isinstance(n, HeldName))}
    check_has(b, counted, "the second point")
    return sum(float((as_real(v.detach()).double() * as_real(b[n].detach()).double()).sum()) for n, v in counted.items())


def norm(a: Point) -> float:
    """Euclidean length; buffers do not count."""
    return math.sqrt(dot(a, a))


def moved(origin: Point, directions: Sequence[Point], steps: Sequence[float]) -> dict[str, Tensor]:
    """origin + sum_k steps[k] directions[k], each tensor in the origin's dtype; names that a direction lacks stay where they are."""
    point = dict(origin)
    for direction, step in zip(directions, steps, strict=True):
        check_has(point, direction, "the origin")
        for name, value in direction.items():
            point[name] = wide(point[name]) + step * wide(value)
    return {name: value.to(origin[name].dtype) if name in origin and value.is_floating_point() else value for name, value in point.items()}


def as_real(value: Tensor) -> Tensor:
    """A complex tensor (...) as a real one (..., 2); a real one as it is."""
    return torch.view_as_real(value.resolve_conj()) if value.is_complex() else value


def wide(value: Tensor) -> Tensor:
    """A tensor of half precision or less as float32 or complex64; any other as it is."""
    if not _narrow(value):
        return value
    return value.to(torch.complex64 if value.is_complex() else torch.float32)


def _narrow(value: Tensor) -> bool:
    return (value.is_floating_point() or value.is_complex()) and torch.finfo(value.dtype).bits < 32


def check_digits(values: Iterable[Tensor], tool: str) -> None:
    """Raise ValueError where a tensor is of half precision or less: its digits are too few for derivatives of derivatives."""
    for value in values:
        if _narrow(value):
            kind = str(value.dtype).removeprefix("torch.")
            raise ValueError(
                f"{tool} needs float32 or float64, and the point is {kind}; give the model, its data and the point in .float()"
            )


def flatten(point: Point) -> Tensor:
    """All entries as one real vector, in the order of the names; a complex entry is two real ones."""
    return torch.cat([as_real(value).reshape(-1) for value in point.values()])


def rows_of(points: Point) -> Tensor:
    """Points stacked along their first axis as the rows of a matrix (points, entries); :func:`unflatten` is the inverse."""
    return torch.cat([as_real(value).reshape(len(value), -1) for value in points.values()], dim=1)


def unflatten(vector: Tensor, like: Point) -> dict[str, Tensor]:
    """The inverse of :func:`flatten`, in the dtypes of `like`; leading axes are kept: (*batch, n) -> name -> (*batch, *shape)."""
    sizes = [value.numel() * (2 if value.is_complex() else 1) for value in like.values()]
    pieces = torch.split(vector[..., : sum(sizes)], sizes, dim=-1)  # one node of autograd's, where slices are one each
    lead = tuple(vector.shape[:-1])

    def shaped(piece: Tensor, value: Tensor) -> Tensor:
        if value.is_complex():
            real, imaginary = wide(piece).reshape((*lead, *value.shape, 2)).unbind(-1)
            return torch.complex(real, imaginary).to(value.dtype)
        return piece.reshape((*lead, *value.shape)).to(value.dtype)

    return {name: shaped(piece, value) for (name, value), piece in zip(like.items(), pieces, strict=True)}


def restrict(point: Point, prefixes: Sequence[str]) -> dict[str, Tensor]:
    """The parameters whose dotted name begins with one of the prefixes ("encoder" takes "encoder.0.weight").

    Raises:
        ValueError: for a prefix that no name begins with.
    """
    for prefix in prefixes:
        if not any(name == prefix or name.startswith(prefix + ".") for name in point):
            known = sorted({name.partition(".")[0] for name in point})
            raise ValueError(f"no parameters of block {prefix!r}; known blocks are {', '.join(known)}")
    return {n: v for n, v in point.items() if any(n == p or n.startswith(p + ".") for p in prefixes)}
