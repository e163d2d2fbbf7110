"""Updates of members of a dense agent in compiled code: what is checked before an address is passed on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.core.params import BLOCKS, Params
from crar_model.nets._blas import address, addresses
from crar_model.nets._first import Observed
from crar_model.nets._terms import Batch, Blocks, Steps
from crar_model.nets._update import Members, update_kernel
from crar_model.nets.layers import Linear, parameter_shapes
from crar_model.nets.rmsprop import RMSpropSettings, optimiser_of


@dataclass(frozen=True)
class UpdateTables:
    """What an update consists of.

    Attributes:
        names: parameters, block by block, weight and bias of each layer in turn.
        blocks: of every block the widths of its layers, input first, or, of convolutional networks, the layers.
        trained: for each block whether it trains.
        step_weights: (steps, 8) weight of the terms that a step descends: transition, reward, discount, ball, random_pairs, consecutive,
            value, pairing.
        step_slots, step_rates, step_names: each step's running averages, share of the rate, and names of what it changes.
        scalars: discount factor, squared ball radius, upper clip of `ball`, lower and upper clip and scale of the pairwise terms, share of
            the value term, 1 for double Q.
        optimiser: RMSprop's settings.
    """

    names: tuple[str, ...]
    blocks: Mapping[str, tuple[Any, ...]]
    trained: tuple[bool, ...]
    step_weights: np.ndarray[Any, Any]
    step_slots: tuple[str, ...]
    step_rates: np.ndarray[Any, Any]
    step_names: tuple[frozenset[str], ...]
    scalars: np.ndarray[Any, Any]
    optimiser: RMSpropSettings


@dataclass(frozen=True)
class Transitions:
    """What a run of updates learns from.

    Attributes:
        state, next_state, action, reward, terminated: (updates, members, batch); rows of s and s', actions, rewards, ends.
        values: (members, rows, A) values of every state by the target copy.
        anchors: (members, rows, d) wanted abstract states, for the `pairing` term.
    """

    state: Tensor
    next_state: Tensor
    action: Tensor
    reward: Tensor
    terminated: Tensor
    values: Tensor
    anchors: Tensor | None = None


@dataclass(frozen=True)
class MemberState:
    """What updates change.

    Attributes:
        params: (members, ...) parameters, contiguous float32 on the CPU.
        squares: running averages of each slot by name, like the parameters.
        alive: (members,) bool, False for a member to leave alone.
        room: (numbers of one member's parameters,) float32, overwritten.
    """

    params: Params
    squares: Mapping[str, Params]
    alive: Tensor
    room: Tensor


@dataclass(frozen=True)
class Ready:
    """Where the kernel finds what updates change, checked once for many calls.

    Attributes:
        given: addresses of the parameters. sizes: numbers of one member in each.
        square_at, takes: of every step and tensor the address of its running average, and whether the step changes it.
    """

    given: np.ndarray[Any, Any]
    sizes: np.ndarray[Any, Any]
    square_at: np.ndarray[Any, Any]
    takes: np.ndarray[Any, Any]


def ready_for(tables: UpdateTables, state: MemberState) -> Ready:
    """Check the members that updates change, and tell PyTorch that they do; it holds as long as none of their tensors is replaced.

    Args:
        tables: what an update consists of.
        state: the members.

    Raises:
        TypeError, ValueError: for what does not fit; the message names it.
    """
    widths = [tables.blocks[block] for block in BLOCKS]
    wanted = [shape for block in widths for shape in parameter_shapes(tuple(map(Linear, block[1:])), block[0], 1)]
    if len(widths[0]) < 3:
        raise ValueError("the encoder has one layer; compiled updates take encoders with a hidden layer")
    if len(wanted) != len(tables.names):
        raise ValueError(f"{len(tables.names)} parameters for layers that have {len(wanted)}; give weight and bias of each")
    members, given = len(state.alive), [state.params[name] for name in tables.names]
    for name, tensor, shape in zip(tables.names, given, wanted, strict=True):
        if tensor.shape != (members, *shape):
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}; wanted is {(members, *shape)}")
    sizes = np.array([tensor[0].numel() for tensor in given], dtype=np.int64)
    square_at, takes = slots(tables, given, state.squares)
    note_changes(tables, state)
    return Ready(addresses(given), sizes, square_at, takes)


def update_members(
    tables: UpdateTables, observed: Observed, state: MemberState, batches: Transitions, rates: Tensor, *, gradient_only: bool = False,
    ready: Ready | None = None,
) -> None:  # fmt: skip
    """Take several updates of every living member, in place.

    Args:
        tables: what an update consists of.
        observed: what the encoder reads.
        state: the members.
        batches: what they learn from; its rows count `observed`.
        rates: (updates, members) float32 learning rates.
        gradient_only: leave the gradient of the last step of the last member in the room instead of taking steps.
        ready: of :func:`ready_for` with the same tables and members, where it is known.

    Raises:
        TypeError, ValueError: for what does not fit; the message names it.
    """
    alive, room, ready = state.alive, state.room, ready or ready_for(tables, state)
    values, anchors = batches.values, batches.anchors
    members = len(alive)
    widths, sizes = [tables.blocks[block] for block in BLOCKS], ready.sizes
    updates, _, batch = shape = batches.state.shape
    d, actions = widths[0][-1], widths[4][-1]
    for name, tensor, size in (
        ("next_state", batches.next_state, shape), ("action", batches.action, shape), ("reward", batches.reward, shape),
        ("terminated", batches.terminated, shape), ("rates", rates, (updates, members)), ("room", room, (int(sizes.sum()),)),
        ("values", values, (members, observed.rows, actions)), ("state", batches.state, (updates, members, batch)),
    ):  # fmt: skip
        if tuple(tensor.shape) != tuple(size):
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}; wanted is {tuple(size)}")
    if anchors is None:
        anchors = torch.zeros(members, 0, d)
    if tables.step_weights[:, -1].any() and (anchors.shape[::2] != (members, d) or anchors.shape[1] <= int(batches.state.max())):
        raise ValueError(f"anchors have shape {tuple(anchors.shape)}; wanted is {(members, observed.rows, d)}")
    if widths[0][0] != len(observed.shared):
        raise ValueError(f"observations have {len(observed.shared)} numbers and the encoder reads {widths[0][0]}")
    rows = torch.stack((batches.state, batches.next_state))
    if rows.numel() and not 0 <= int(rows.min()) <= int(rows.max()) < observed.rows:
        raise ValueError(f"the batch names rows from {int(rows.min())} to {int(rows.max())}; there are {observed.rows}")
    if batches.action.numel() and not 0 <= int(batches.action.min()) <= int(batches.action.max()) < actions:
        raise ValueError(f"the batch has actions beyond the {actions} known")
    if alive.dtype is not torch.bool or not alive.is_contiguous():
        raise TypeError("alive is no contiguous tensor of torch.bool")
    grad_at = address(room) + 4 * np.concatenate(([0], np.cumsum(sizes)[:-1]))
    whole = Batch(
        integers(batches.state), integers(batches.next_state), integers(batches.action), floats(batches.reward), floats(batches.terminated),
        floats(values),
    )  # fmt: skip
    changed = Members(ready.given, ready.square_at, grad_at, sizes, alive.numpy())
    update_kernel(changed, blocks_of(widths), steps_of(tables, ready.takes), observed, whole, floats(rates), floats(anchors), gradient_only)


def blocks_of(widths: Sequence[Sequence[int]]) -> Blocks:
    """Layers of all blocks as the kernels read them, from the widths of each."""
    return Blocks(np.concatenate(widths), np.cumsum([0, *map(len, widths)]))


def steps_of(tables: UpdateTables, takes: np.ndarray[Any, Any]) -> Steps:
    """What an update consists of as the kernels read it."""
    trained = np.array(tables.trained)
    return Steps(tables.step_weights, tables.step_rates, takes, trained, tables.scalars, optimiser_of(tables.optimiser))


def slots(
    tables: UpdateTables, given: Sequence[Tensor], squares: Mapping[str, Params]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Of every step and tensor the address of its running average, 0 where the step does not change it, and whether it does.

    Args:
        tables: the steps.
        given: the parameters in the order of `tables.names`.
        squares: running averages of each slot by name.

    Raises:
        TypeError, ValueError: for what does not fit; the message names it.
    """
    square_at = np.zeros((len(tables.step_slots), len(given)), dtype=np.int64)
    takes = np.zeros(square_at.shape, dtype=np.bool_)
    for step, (slot, names) in enumerate(zip(tables.step_slots, tables.step_names, strict=True)):
        for index, name in enumerate(tables.names):
            if name in names:
                square = squares[slot][name]
                if square.shape != given[index].shape:
                    raise ValueError(f"the average of {name} has shape {tuple(square.shape)}; wanted is {tuple(given[index].shape)}")
                square_at[step, index], takes[step, index] = address(square), True
    return square_at, takes


def note_changes(tables: UpdateTables, state: MemberState) -> None:
    """Tell PyTorch that the kernel writes to the parameters and their averages."""
    written = [state.squares[slot][name] for slot, names in zip(tables.step_slots, tables.step_names, strict=True) for name in names]
    torch.autograd.graph.increment_version((*(state.params[name] for name in tables.names), *written))


def floats(tensor: Tensor) -> np.ndarray[Any, Any]:
    """As the kernels read numbers: float32, contiguous."""
    return tensor.detach().to(torch.float32).contiguous().numpy()


def integers(tensor: Tensor) -> np.ndarray[Any, Any]:
    """As the kernels read integers: int64, contiguous."""
    return tensor.to(torch.int64).contiguous().numpy()
