"""Compiled CPU kernels for member-batched dense tanh networks in float32, on panels of 32 rows (`_panel`).

A network of 31 rows and 200 units is so small that starting PyTorch operations, not arithmetic, would take most of
an update. Here one call runs all layers of all members. Each member is computed on its own, so its result
does not depend on who shares the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from crar_model.core.compiled import numba
from crar_model.nets._blas import address, addresses, kernel, place_of, pointer
from crar_model.nets._first import Observed, first_backward, first_forward, observed
from crar_model.nets._panel import PANEL, ROWS, Net, network_backward, network_forward, room_for


@kernel
def rows_to_panels(rows: int, panels: int, count: int, width: int) -> None:
    """(count, width) -> (tiles, width, 32), zeros behind the last row."""
    tiles = (count + ROWS - 1) // ROWS
    source, target = numba.carray(pointer(rows), (count, width)), numba.carray(pointer(panels), (tiles, width, ROWS))
    for tile in range(tiles):
        here = min(ROWS, count - tile * ROWS)
        for r in range(here):
            for k in range(width):
                target[tile, k, r] = source[tile * ROWS + r, k]
        for k in range(width):
            for r in range(here, ROWS):
                target[tile, k, r] = 0


@kernel
def panels_to_rows(panels: int, rows: int, count: int, width: int) -> None:
    """The inverse of :func:`rows_to_panels`."""
    tiles = (count + ROWS - 1) // ROWS
    source, target = numba.carray(pointer(panels), (tiles, width, ROWS)), numba.carray(pointer(rows), (count, width))
    for tile in range(tiles):
        for r in range(min(ROWS, count - tile * ROWS)):
            for k in range(width):
                target[tile * ROWS + r, k] = source[tile, k, r]


class Panels(NamedTuple):
    """A network's layers, and where the panels of its input and of every layer lie."""

    rows: int  # of the input
    widths: Any  # of the layers, input first
    sizes: Any  # numbers of each weight and bias of a member
    shared: bool  # whether the members share the input
    seen: int  # address of its panels then, 0 where it is taken apart
    structured: bool  # whether it is
    observed: Observed  # what it comes apart into
    offsets: Any  # bytes before each layer's panels in the stack, of one tile where a layer is not kept
    stack: int  # its address
    step: int  # bytes from one member's to the next one's, 0 where members use the same one by one


@kernel
def _net(call: Panels, tiles: int) -> Net:
    """Room for a member's addresses."""
    t, layers = call.sizes.shape[0], call.widths.shape[0]
    i = np.int64
    return Net(call.widths, tiles, np.empty(t, i), np.empty(t, i), np.empty(layers, i), np.empty(0, np.float32))


@kernel
def _forward(members: int, call: Panels, weights: Any, x: int, out: int) -> None:
    """x (members, rows, in) where it is not shared, out (members, rows, out)."""
    rows, widths = call.rows, call.widths
    layers, tiles = widths.shape[0] - 1, (rows + ROWS - 1) // ROWS
    net, n, m = _net(call, members // members), widths[0], widths[layers]
    for member in range(members):
        for t in range(call.sizes.shape[0]):
            net.at[t] = weights[t] + 4 * member * call.sizes[t]
        base = call.stack + member * call.step
        if call.structured:
            first_forward(net.at[0], net.at[1], base + call.offsets[1], widths[1], call.observed)
        for tile in range(tiles):
            for layer in range(layers + 1):
                kept = call.step != 0 or (call.structured and layer == 1)
                net.acts[layer] = base + call.offsets[layer] + (tile * widths[layer] * PANEL if kept else 0)
            here = min(ROWS, rows - tile * ROWS)
            if call.shared:
                net.acts[0] = call.seen + tile * n * PANEL
            else:
                rows_to_panels(x + 4 * (member * rows + tile * ROWS) * n, net.acts[0], here, n)
            network_forward(net, 1 if call.structured else 0)
            panels_to_rows(net.acts[layers], out + 4 * (member * rows + tile * ROWS) * m, here, m)


@kernel
def _backward(members: int, call: Panels, weights: Any, grad_out: int, grads: Any, grad_in: int) -> None:
    """grads: addresses, 0 for none; grad_in (members, rows, in): 0 for none."""
    rows, widths = call.rows, call.widths
    layers, tiles = widths.shape[0] - 1, (rows + ROWS - 1) // ROWS
    net, room = _net(call, tiles), room_for(tiles, widths.max(), call.sizes.max())
    n, m, for_weights = widths[0], widths[layers], grads[0] != 0
    given = place_of(room.given)
    for member in range(members):
        for t in range(call.sizes.shape[0]):
            net.at[t] = weights[t] + 4 * member * call.sizes[t]
            net.grads[t] = grads[t] + 4 * member * call.sizes[t]
        for layer in range(layers + 1):
            net.acts[layer] = call.stack + member * call.step + call.offsets[layer]
        if call.shared:
            net.acts[0] = call.seen
        rows_to_panels(grad_out + 4 * member * rows * m, given, rows, m)
        begin, goal = (1, place_of(room.odd)) if call.structured else (0, place_of(room.back) if grad_in != 0 else 0)
        hidden = network_backward(net, begin, given, room, goal, for_weights)
        if call.structured and for_weights:
            first_backward(hidden, net.grads[0], net.grads[1], widths[1], call.observed)
        if not call.structured and grad_in != 0:
            panels_to_rows(goal, grad_in + 4 * member * rows * n, rows, n)


@lru_cache(maxsize=256)
def _widths(*widths: int) -> np.ndarray[Any, Any]:
    return np.array(widths, dtype=np.int64)


_NOTHING = Observed.sparse(*np.zeros((5, 0)))


class Kept:
    """What a backward pass needs of a forward pass: the panels of the input, of one that the members share taken apart where that is less
    work, and those of every layer."""

    def __init__(self, x: Tensor, weights: Sequence[Tensor], *, keep: bool) -> None:
        rows, members = x.shape[-2], weights[0].shape[0]
        widths = _widths(x.shape[-1], *[bias.shape[1] for bias in weights[1::2]])
        sizes = np.array([weight[0].numel() for weight in weights], dtype=np.int64)
        tiles, shared = max(1, -(-rows // ROWS)), x.dim() == 2
        pattern = observed(x) if shared and len(weights) > 2 else None
        self._seen: Tensor | None = None
        if shared and pattern is None:
            self._seen = torch.zeros(tiles, x.shape[1], ROWS, dtype=torch.float32, device="cpu")
            rows_to_panels(address(x), address(self._seen), rows, x.shape[1])
        lengths = widths * PANEL * tiles
        if shared:
            lengths[0] = 0
        if not keep:
            lengths = np.where(np.arange(len(lengths)) == (1 if pattern else -1), lengths, lengths // tiles)
        numbers, offsets = int(lengths.sum()), np.concatenate(([0], np.cumsum(lengths)[:-1]))
        self._stack = torch.empty(members if keep else 1, numbers // 4, dtype=torch.float32, device="cpu")
        seen = 0 if self._seen is None else self._seen.data_ptr()
        self.panels = Panels(
            rows, widths, sizes, shared, seen, pattern is not None, pattern or _NOTHING, offsets, self._stack.data_ptr(), numbers if keep else 0
        )  # fmt: skip


def dense_forward(x: Tensor, weights: Sequence[Tensor], *, keep: bool = True) -> tuple[Tensor, Kept]:
    """A dense tanh network with linear output, for every member.

    Args:
        x: (members, rows, in), or (rows, in) shared by the members; float32 on the CPU.
        weights: weight (members, out, in) and bias (members, out) of each layer in turn, contiguous float32 on the CPU; their shapes fit
            each other and x.
        keep: whether a backward pass follows.

    Returns:
        (members, rows, out), and what the backward pass needs.
    """
    given, x = addresses(weights), x.contiguous()
    kept = Kept(x, weights, keep=keep)
    out = torch.empty(weights[0].shape[0], kept.panels.rows, int(kept.panels.widths[-1]), dtype=torch.float32, device="cpu")
    _forward(len(out), kept.panels, given, address(x), out.data_ptr())
    return out, kept


def dense_backward(
    kept: Kept, weights: Sequence[Tensor], grad: Tensor, *, for_weights: bool, for_input: bool
) -> tuple[list[Tensor] | None, Tensor | None]:
    """Gradients of :func:`dense_forward`.

    Args:
        kept: from the forward pass.
        weights: as in the forward pass.
        grad: (members, rows, out), gradient of the output, float32 on the CPU.
        for_weights, for_input: which gradients to compute.

    Returns:
        gradients of the weights, or None, and of a per-member input (members, rows, in), or None.
    """
    grad, given = grad.contiguous(), addresses(weights)
    grads = [torch.empty_like(w) for w in weights] if for_weights else None
    grad_in = torch.empty(*grad.shape[:2], int(kept.panels.widths[0]), dtype=torch.float32, device="cpu") if for_input else None
    grad_at = np.zeros(len(weights), dtype=np.int64) if grads is None else addresses(grads)
    _backward(len(grad), kept.panels, given, address(grad), grad_at, 0 if grad_in is None else grad_in.data_ptr())
    return grads, grad_in
