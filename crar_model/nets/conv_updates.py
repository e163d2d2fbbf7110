"""Updates of members of a convolutional agent of tile maps in compiled code: what is checked and laid out before addresses are passed on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.core.params import BLOCKS, Params, block_of
from crar_model.core.tiles import CELL_PIXELS, NEGATED, SIZE, Other
from crar_model.nets._blas import addresses, of_members
from crar_model.nets._conv import Plan, conv_forward, pack
from crar_model.nets._conv_layout import Layout, layout_of, memory
from crar_model.nets._conv_step import Home
from crar_model.nets._conv_update import Run, conv_updates
from crar_model.nets._encoder import room_for_encoder
from crar_model.nets._pieces import CELLS, room_for_pieces
from crar_model.nets._team import alone, together
from crar_model.nets._terms import T_VALUE, Steps
from crar_model.nets._threads import get_threads, share
from crar_model.nets._tile_index import TileIndex, index_tiles
from crar_model.nets._tiles import drawn, tiles_forward
from crar_model.nets.conv import _plan
from crar_model.nets.layers import Layers, parameter_shapes
from crar_model.nets.tiles import PIECES
from crar_model.nets.updates import MemberState, UpdateTables, floats, integers, note_changes, slots, steps_of


@dataclass(frozen=True)
class BoardTransitions:
    """What a run of updates learns from where every observation is a tile map.

    Attributes:
        tiles: (updates, members, 2 batch, 1, 8, 8) kinds of tiles, those of s before those of s'.
        action, reward, terminated: (updates, members, batch).
        anchors: (updates, members, batch, d) wanted abstract states of s, for the `pairing` term.
    """

    tiles: Tensor
    action: Tensor
    reward: Tensor
    terminated: Tensor
    anchors: Tensor | None = None


@lru_cache(maxsize=16)
def boards_fit(encoder: Layers, dynamics: tuple[Layers, ...], channels: int, actions: int) -> bool:
    """Whether updates of these networks can be compiled: the encoder of tile maps and convolutional dynamics that its maps go into.

    Args:
        encoder: its layers.
        dynamics: layers of transition, reward, discount and value.
        channels: maps of an abstract state.
        actions: maps that say which action is taken; the value network has none.
    """
    found = encoder == PIECES and channels == PIECES[-1].out and dynamics[0][-1].maps and dynamics[0][-1].out == channels
    return found and all(_plan_of(layers, k, channels, actions).fits for k, layers in enumerate(dynamics))


def _plan_of(layers: Layers, k: int, channels: int, actions: int) -> Plan:
    return _plan(layers, channels, SIZE, 0 if BLOCKS[k + 1] == "value" else actions)


def update_boards(
    tables: UpdateTables,
    target: Params,
    state: MemberState,
    batches: BoardTransitions,
    rates: Tensor,
    other: Other = NEGATED,
    *,
    gradient_only: bool = False,
) -> None:
    """Take several updates of every living member, in place.

    Args:
        tables: what an update consists of; its blocks are the layers of every network, and they fit (:func:`boards_fit`).
        target: (members, ...) encoder and value parameters of the target copy.
        state: the members.
        batches: what they learn from.
        rates: (updates, members) float32 learning rates.
        other: (contrast, brightness) of tiles of the other side.
        gradient_only: leave the gradient of the last step of the last member in the room instead of taking steps.

    Raises:
        TypeError, ValueError: for what does not fit; the message names it.
    """
    params, alive, members = state.params, state.alive, len(state.alive)
    updates, _, batch = batches.action.shape
    encoder, *dynamics = (tables.blocks[block] for block in BLOCKS)
    channels, actions = encoder[-1].out, dynamics[-1][-1].out
    if not boards_fit(encoder, tuple(dynamics), channels, actions):
        raise ValueError("these networks have no compiled updates; take them one by one")
    plans = [_plan_of(layers, k, channels, actions) for k, layers in enumerate(dynamics)]
    d = channels * SIZE * SIZE
    wanted = list(parameter_shapes(encoder, 1, SIZE * CELL_PIXELS))
    for layers, plan in zip(dynamics, plans, strict=True):
        wanted += parameter_shapes(layers, channels + plan.planes, SIZE)
    given = [params[name] for name in tables.names]
    for name, tensor, own in zip(tables.names, given, wanted, strict=True):
        if tensor.shape != (members, *own):
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}; wanted is {(members, *own)}")
    number = sum(tensor[0].numel() for tensor in given)
    for name, tensor, size in (
        ("tiles", batches.tiles, (updates, members, 2 * batch, 1, SIZE, SIZE)), ("reward", batches.reward, (updates, members, batch)),
        ("action", batches.action, (updates, members, batch)), ("terminated", batches.terminated, (updates, members, batch)),
        ("rates", rates, (updates, members)), ("room", state.room, (number,)),
    ):  # fmt: skip
        if tuple(tensor.shape) != size:
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}; wanted is {size}")
    if batches.action.numel() and not 0 <= int(batches.action.min()) <= int(batches.action.max()) < actions:
        raise ValueError(f"the batch has actions beyond the {actions} known")
    if tables.step_weights[:, -1].any() and (batches.anchors is None or batches.anchors.shape != (updates, members, batch, d)):
        raise ValueError(f"anchors have another shape than {(updates, members, batch, d)}")
    if alive.dtype is not torch.bool or not alive.is_contiguous():
        raise TypeError("alive is no contiguous tensor of torch.bool")
    square_at, takes = slots(tables, given, state.squares)
    blocks = np.repeat(np.arange(len(BLOCKS)), [2 * len(tables.blocks[block]) for block in BLOCKS])
    of_blocks = np.stack([takes[:, blocks == k].all(1) for k in range(len(BLOCKS))], axis=1)
    if (takes != of_blocks[:, blocks]).any():
        raise ValueError("a step changes a part of a network; give all parameters of a block or none")
    note_changes(tables, state)
    addresses(given)
    steps = np.array([4 * tensor[0].numel() for tensor in given], dtype=np.int64)
    run = _Run(
        steps_of(tables, of_blocks),
        layout_of(tuple(plans), batch, len(square_at)),
        of_members(given),
        square_at,
        steps,
        batches,
        rates,
        alive,
    )
    indices = [index_tiles(batches.tiles[:, member], other) for member in range(members)]
    targets = np.zeros((updates, members, batch, actions), dtype=np.float32)
    if np.any(tables.step_weights[:, T_VALUE] != 0):
        targets = _target_values(target, indices, dynamics[-1], (updates, batch))
    room = state.room if gradient_only else None
    if members < get_threads():
        for member in range(members):
            together(run.of(member, indices[member], targets[:, member], room))
        return

    def some(first: int, last: int) -> None:
        for member in range(first, last):
            run.of(member, indices[member], targets[:, member], room)(alone())

    share(members, some)


def _target_values(target: Params, indices: Sequence[TileIndex], layers: Layers, shape: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Values of s' by the target copy, (updates, members, batch, A): all updates' at once."""
    updates, batch = shape
    encoder, value = (
        [tensor.detach().contiguous() for name, tensor in target.items() if block_of(name) == block] for block in ("encoder", "value")
    )
    members = len(indices)
    states = torch.empty(members, updates * 2 * batch, encoder[-1].shape[-1] * CELLS, dtype=torch.float32)
    tiles_forward(encoder, indices, states)
    following = torch.unflatten(states, 1, (updates, 2, batch))[:, :, 1].flatten(1, 2).contiguous()
    plan = _plan(layers, encoder[-1].shape[-1], SIZE, 0)
    found, _ = conv_forward(following, pack(value, plan, back=False), plan, 1, keep=False)
    return np.ascontiguousarray(torch.unflatten(found, 1, (updates, batch)).transpose(0, 1).numpy())


@dataclass(frozen=True)
class _Run:
    """What all members of a call have in common."""

    steps: Steps
    layout: Layout
    at: np.ndarray[Any, Any]
    square_at: np.ndarray[Any, Any]
    sizes: np.ndarray[Any, Any]
    batches: BoardTransitions
    rates: Tensor
    alive: Tensor

    def of(
        self, member: int, index: TileIndex, targets: np.ndarray[Any, Any], room: Tensor | None
    ) -> Callable[[np.ndarray[Any, Any]], None]:
        """A member's updates, for each thread of a team to call; with a `room`, its gradient alone."""
        layout, batches, f = self.layout, self.batches, np.float32
        updates, _, batch = batches.action.shape
        seen = drawn(index)
        d = len(seen.places) // (updates * 2 * batch) * PIECES[-1].out
        numbers = int(self.sizes.sum()) // 4
        grads = np.empty(numbers, dtype=f) if room is None else room.numpy()
        own, squares = memory(layout.memory), np.where(self.square_at, self.square_at + member * self.sizes, 0)
        grad_at = grads.ctypes.data + np.cumsum([0, *self.sizes[:-1]])
        home = Home(layout.tables, layout.nets_in(own), layout.sizes, self.at[member], squares, grad_at)
        run = Run(
            integers(batches.action[:, member]), floats(batches.reward[:, member]), floats(batches.terminated[:, member]),
            np.ascontiguousarray(targets),
            np.zeros((1, batch, d), dtype=f) if batches.anchors is None else floats(batches.anchors[:, member]),
            floats(self.rates[:, member]), self.alive.numpy()[member : member + 1], room_for_pieces(seen, 2 * batch),
            room_for_encoder(seen, len(seen.patches), len(seen.values), len(seen.windows)), np.empty((2 * batch, d), dtype=f),
            np.empty((2 * batch, d), dtype=f), np.empty((batch, layout.given), dtype=f), np.empty((batch, d), dtype=f),
            np.empty((batch, d), dtype=f), np.zeros(len(self.sizes), dtype=f), np.zeros(7, dtype=np.int64),
        )  # fmt: skip
        boards = seen._replace(places=seen.places.reshape(updates, -1))

        def work(team: np.ndarray[Any, Any]) -> None:
            conv_updates(team, home, own, self.steps, boards, run, room is not None)
            assert len(grads), "what only addresses point at lives until here"

        return work
