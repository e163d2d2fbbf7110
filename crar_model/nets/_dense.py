"""Compiled CPU kernels for member-batched dense tanh networks in float32, on panels of 32 rows (`_panel`).

A network of 31 rows and 200 units is so small that starting PyTorch operations, not arithmetic, would take most of
an update. Here one call runs all layers of all members. Each member is computed on its own, so its result
does not depend on who shares the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.core.compiled import numba
from crar_model.nets._blas import address, addresses, pointer
from crar_model.nets._first import Observed, first_backward, first_forward, observed
from crar_model.nets._panel import PANEL, ROWS, network_backward, network_forward


@numba.njit(cache=True, nogil=True, error_model="numpy")
def rows_to_panels(rows: int, panels: int, count: int, width: int) -> None:  # pragma: no cover - compiled
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


@numba.njit(cache=True, nogil=True, error_model="numpy")
def panels_to_rows(panels: int, rows: int, count: int, width: int) -> None:  # pragma: no cover - compiled
    """The inverse of :func:`rows_to_panels`."""
    tiles = (count + ROWS - 1) // ROWS
    source, target = numba.carray(pointer(panels), (tiles, width, ROWS)), numba.carray(pointer(rows), (count, width))
    for tile in range(tiles):
        for r in range(min(ROWS, count - tile * ROWS)):
            for k in range(width):
                target[tile * ROWS + r, k] = source[tile, k, r]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _forward(
    members: int, rows: int, widths: Any, sizes: Any, weights: Any, x: int, shared: bool, seen: int, structured: bool,
    pattern: Any, scale: Any, row: Any, column: Any, value: Any, offsets: Any, stack: int, step: int, out: int,
) -> None:  # fmt: skip # pragma: no cover - compiled
    """seen: the panels of a shared input; stack: room for every layer's panels, `offsets` bytes in, of each member where `step` is not 0,
    of one tile at a time otherwise."""
    layers = widths.shape[0] - 1
    tiles = (rows + ROWS - 1) // ROWS
    own, acts = np.empty(sizes.shape[0], dtype=np.int64), np.empty(layers + 1, dtype=np.int64)
    n, m = widths[0], widths[layers]
    for member in range(members):
        for t in range(sizes.shape[0]):
            own[t] = weights[t] + 4 * member * sizes[t]
        base = stack + member * step
        if structured:
            first_forward(own[0], own[1], base + offsets[1], widths[1], pattern, scale, row, column, value)
        for tile in range(tiles):
            for layer in range(layers + 1):
                kept = step != 0 or (structured and layer == 1)
                acts[layer] = base + offsets[layer] + (tile * widths[layer] * PANEL if kept else 0)
            here = min(ROWS, rows - tile * ROWS)
            if shared:
                acts[0] = seen + tile * n * PANEL
            else:
                rows_to_panels(x + 4 * (member * rows + tile * ROWS) * n, acts[0], here, n)
            network_forward(own, 0, widths, 1 if structured else 0, 1, acts)
            panels_to_rows(acts[layers], out + 4 * (member * rows + tile * ROWS) * m, here, m)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _backward(
    members: int, rows: int, widths: Any, sizes: Any, weights: Any, shared: bool, seen: int, structured: bool,
    pattern: Any, scale: Any, row: Any, column: Any, value: Any, offsets: Any, stack: int, step: int, grad_out: int,
    grads: Any, grad_in: int,
) -> int:  # fmt: skip # pragma: no cover - compiled
    layers = widths.shape[0] - 1
    tiles = (rows + ROWS - 1) // ROWS
    own, acts = np.empty(sizes.shape[0], dtype=np.int64), np.empty(layers + 1, dtype=np.int64)
    into = np.empty(sizes.shape[0], dtype=np.int64)
    widest, for_weights = widths.max(), grads[0] != 0
    n, m = widths[0], widths[layers]
    work = np.empty((2, tiles * widest * ROWS), dtype=np.float32)
    turned, more = np.empty(widest * ROWS, dtype=np.float32), np.empty(sizes.max() if tiles > 1 else 1, dtype=np.float32)
    given, back = np.empty(tiles * m * ROWS, dtype=np.float32), np.empty(tiles * n * ROWS, dtype=np.float32)
    room = np.empty(4, dtype=np.int64)
    room[0], room[1] = work.ctypes.data, work.ctypes.data + 4 * tiles * widest * ROWS
    room[2], room[3] = turned.ctypes.data, more.ctypes.data
    for member in range(members):
        for t in range(sizes.shape[0]):
            own[t] = weights[t] + 4 * member * sizes[t]
            into[t] = grads[t] + 4 * member * sizes[t]
        for layer in range(layers + 1):
            acts[layer] = stack + member * step + offsets[layer]
        if shared:
            acts[0] = seen
        rows_to_panels(grad_out + 4 * member * rows * m, np.int64(given.ctypes.data), rows, m)
        if structured:
            grad = np.int64(given.ctypes.data)
            hidden = network_backward(own, into, 0, widths, 1, tiles, acts, grad, room, room[1], for_weights)
            if for_weights:
                first_backward(hidden, into[0], into[1], widths[1], pattern, scale, row, column, value)
        else:
            goal = np.int64(back.ctypes.data) if grad_in != 0 else np.int64(0)
            network_backward(own, into, 0, widths, 0, tiles, acts, np.int64(given.ctypes.data), room, goal, for_weights)
            if grad_in != 0:
                panels_to_rows(goal, grad_in + 4 * member * rows * n, rows, n)
    # What only addresses point at must live until here: Numba gives arrays up after their last use.
    return len(work) + len(turned) + len(more) + len(given) + len(back)


@lru_cache(maxsize=256)
def _widths(*widths: int) -> np.ndarray[Any, Any]:
    return np.array(widths, dtype=np.int64)


class Kept:
    """What a backward pass needs of a forward pass.

    Attributes:
        widths, rows: of the network and the input.
        seen: (tiles, in, 32) panels of an input that the members share, else None.
        pattern: the same input taken apart, where that is less work.
        stack: (members, numbers) panels of every layer, one after the other.
    """

    def __init__(self, x: Tensor, weights: Sequence[Tensor], *, keep: bool) -> None:
        self.rows, members = x.shape[-2], weights[0].shape[0]
        self.widths = _widths(x.shape[-1], *[bias.shape[1] for bias in weights[1::2]])
        self.sizes = np.array([weight[0].numel() for weight in weights], dtype=np.int64)
        tiles = max(1, -(-self.rows // ROWS))
        self.pattern: Observed | None = observed(x) if x.dim() == 2 and len(weights) > 2 else None
        self.seen: Tensor | None = None
        if x.dim() == 2 and self.pattern is None:
            self.seen = torch.zeros(tiles, x.shape[1], ROWS, dtype=torch.float32, device="cpu")
            rows_to_panels(address(x), address(self.seen), self.rows, x.shape[1])
        lengths = self.widths * PANEL * tiles
        if x.dim() == 2:
            lengths[0] = 0
        if not keep:
            lengths = np.where(np.arange(len(lengths)) == (1 if self.pattern else -1), lengths, lengths // tiles)
        self.offsets = np.concatenate(([0], np.cumsum(lengths)[:-1]))
        self.step = int(lengths.sum()) if keep else 0
        self.stack = torch.empty(members if keep else 1, int(lengths.sum()) // 4, dtype=torch.float32, device="cpu")

    def arguments(self) -> tuple[Any, ...]:
        """Of both kernels: whether the input is shared, its panels, and what it comes apart into."""
        empty, none = np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.int64)
        seen = 0 if self.seen is None else self.seen.data_ptr()
        p = self.pattern
        parts = (empty, empty, none, none, empty) if p is None else (p.shared, p.scale, p.row, p.column, p.value)
        return (self.seen is not None or p is not None, seen, p is not None, *parts, self.offsets, self.stack.data_ptr(), self.step)


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
    out = torch.empty(weights[0].shape[0], kept.rows, int(kept.widths[-1]), dtype=torch.float32, device="cpu")
    _forward(len(out), kept.rows, kept.widths, kept.sizes, given, address(x), *kept.arguments(), out.data_ptr())
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
    grad_in = torch.empty(*grad.shape[:2], int(kept.widths[0]), dtype=torch.float32, device="cpu") if for_input else None
    _backward(
        len(grad), kept.rows, kept.widths, kept.sizes, given, *kept.arguments(), address(grad),
        np.zeros(len(weights), dtype=np.int64) if grads is None else np.array([g.data_ptr() for g in grads], dtype=np.int64),
        0 if grad_in is None else grad_in.data_ptr(),
    )  # fmt: skip
    return grads, grad_in
