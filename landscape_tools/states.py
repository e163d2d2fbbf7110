"""The tensors of a module as a point, and points under the names that a module gives its tensors."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from landscape_tools.copying import check_shaped
from landscape_tools.points import BufferName, HeldName, Point, check_has, continuous, some

Frozen = Literal["hold", "move"]
WRAPPERS = {"module", "_orig_mod"}
"""Parts of names that `DataParallel`, `torch.compile` and their like put before or into them."""


def state_of(model: nn.Module, *, frozen: Frozen = "hold") -> dict[str, Tensor]:
    """All that a module computes with, as a point: parameters and buffers, name -> a copy. `model.load_state_dict(point, strict=False)`
    puts a point back.

    Lines, planes, paths and trajectories take buffers and frozen parameters from the points that they are given; random directions,
    descents and certificates leave them as they are.

    Args:
        model: any module; tied tensors are named once.
        frozen: what becomes of parameters with `requires_grad=False`: "hold" keeps them where they are, "move" takes them as trained.

    Raises:
        ValueError: for another word in `frozen`.
    """
    return {name: value.detach().clone() for name, value in marked(model, frozen).items()}


def parameters_of(model: nn.Module, *, buffers: Literal["warn", "keep"] = "warn", frozen: Frozen = "hold") -> dict[str, Tensor]:
    """A module's parameters as a point, name -> a copy without gradients.

    Args:
        model: any module; one with floating buffers is more than its parameters, so the point has its buffers too, which a warning says
            (:func:`state_of` is the same without it).
        buffers: "keep" leaves them out without a warning: they are the same for all points, as masks and fixed encodings are.
        frozen: as in :func:`state_of`.

    Raises:
        ValueError: for another word in `buffers` or `frozen`.
    """
    if buffers not in ("warn", "keep"):
        raise ValueError(f"buffers is {buffers!r}; choose warn or keep")
    state = state_of(model, frozen=frozen)
    floating = [name for name, value in state.items() if isinstance(name, BufferName) and continuous(value)]
    if floating and buffers == "warn":
        warnings.warn(
            f"the module computes with buffers, too ({some(floating)}), so they are in the point, as in state_of's; buffers='keep' says that "
            "they never change and leaves them out",
            stacklevel=2,
        )
        return state
    return {name: value for name, value in state.items() if not isinstance(name, BufferName)}


def marked(model: nn.Module, frozen: Frozen = "hold") -> dict[str, Tensor]:
    """The module's own tensors under names that tell what they are (:mod:`landscape_tools.points`)."""
    if frozen not in ("hold", "move"):
        raise ValueError(f"frozen is {frozen!r}; choose hold or move")
    check_shaped(model)
    parameters = dict(model.named_parameters())
    if hidden := list(_unregistered(model)):
        warnings.warn(
            f"{some(hidden)}: weights that the module does not register, so they are in no point and stay those of one model; "
            "keep modules in nn.ModuleList or nn.ModuleDict, tensors in nn.ParameterList",
            stacklevel=4,
        )
    trained = {name for name, value in parameters.items() if value.requires_grad or frozen == "move"}
    if parameters and not trained:
        warnings.warn(
            "no parameter of this module is trained (requires_grad=False), so all are taken as if they were; frozen='move' says so",
            stacklevel=4,
        )
        trained = set(parameters)
    tensors = {name if name in trained else HeldName(name): value.detach() for name, value in parameters.items()}
    with torch.no_grad():
        return tensors | {BufferName(name): value.detach() for name, value in model.named_buffers()}


def _unregistered(model: nn.Module) -> Iterator[str]:
    """Attributes that hold trained weights which are none of the module's parameters, such as a plain list of layers."""
    known = {id(value) for value in model.parameters()}
    for prefix, part in model.named_modules():
        for name, value in vars(part).items():
            if name not in ("_parameters", "_buffers", "_modules") and any(id(each) not in known for each in _trained(value)):
                yield f"{prefix}.{name}".lstrip(".")


def _trained(value: object, depth: int = 3) -> Iterator[Tensor]:
    if isinstance(value, nn.Module):
        yield from (each for each in value.parameters() if each.requires_grad)
    elif isinstance(value, Tensor):
        if value.is_leaf and value.requires_grad:
            yield value
    elif isinstance(value, (list, tuple, dict)) and depth:
        for each in value.values() if isinstance(value, dict) else value:
            yield from _trained(each, depth - 1)


class Names:
    """How a module names its tensors.

    Args:
        model: the module.
        state: of :func:`marked`.
    """

    def __init__(self, model: nn.Module, state: Point) -> None:
        self.shapes = {name: value.shape for name, value in state.items()}
        self._known = {str(name): name for name in state}
        first: dict[int, str] = {}
        for tensors in (model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False)):
            for name, value in tensors:
                self._known.setdefault(name, first.setdefault(id(value), self._known.get(name, name)))
                first.setdefault(id(value), self._known[name])
        bare: dict[str, set[str]] = {}
        for name, own in self._known.items():
            bare.setdefault(_bare(name), set()).add(own)
        self._bare = {name: next(iter(owners)) for name, owners in bare.items() if len(owners) == 1}

    def of(self, point: Point) -> dict[str, Tensor]:
        """The point, or a part of one, under the module's names: marked, without prefixes of wrappers, tied tensors once.

        Raises:
            ValueError: for a name that the module lacks, another shape, or two values for one tensor.
        """
        found: dict[str, Tensor] = {}
        for name, value in point.items():
            own = self._known.get(name) or self._bare.get(_bare(name))
            if own is None:
                check_has(self._known, [n for n in point if _bare(n) not in self._bare], "the module")
                raise ValueError(f"{name} is more than one name of the module without the parts {' and '.join(sorted(WRAPPERS))}")
            if value.shape != self.shapes[own]:
                raise ValueError(f"{name} is {tuple(value.shape)} in the point and {tuple(self.shapes[own])} in the module")
            if own in found and not (found[own] is value or torch.equal(found[own], value)):
                raise ValueError(f"{name} is the module's {own} under another name, with other values; leave one of them out")
            found.setdefault(own, value)
        return found


def _bare(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def lacking(names: Mapping[str, object], state: Point, needed: Collection[str]) -> list[str]:
    """Buffers that a point should bring: all that are needed where it has every parameter, else those beside parameters that it has."""
    parameters = [name for name in state if not isinstance(name, BufferName)]
    whole = all(name in names for name in parameters if not isinstance(name, HeldName))
    owners = {name.rpartition(".")[0] for name in names if not isinstance(name, BufferName)}
    return [name for name in needed if name not in names and (whole or name.rpartition(".")[0] in owners)]
