"""Compiled products on panels: 32 rows of a batch, feature by feature, so that a feature of all of them is one vector.

The layers of the dense agent are 2 to 200 wide and its batches are a few dozen rows. A BLAS spends its time on packing such matrices; here a
block of outputs stays in registers while the inner dimension runs, whatever the widths. Every number is one chain of fused
multiply-adds in the order of the inner dimension, so it does not depend on how outputs are blocked, nor on who shares the call.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from crar_model.core.compiled import numba
from crar_model.nets._blas import fusing, kernel, place_of, pointer, summing, tanh_of, through_tanh
from crar_model.nets._micro import BIAS, HELD, WIDE, tile_product

ROWS = 32
"""Rows of a panel: a panel of `width` features is (width, 32), contiguous."""
PANEL = 4 * ROWS
"""Bytes of a panel's feature."""
_BLOCK = 5 if WIDE else 3
"""Outputs that share a load of the panel: with vectors of 16 they take 10 of 32 registers, with vectors of 8 they take 12 of 16."""


@numba.njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _product(columns: Any, begin: Any, a: int, a_i: int, a_k: int, b: int, b_k: int, c: int, c_i: int, inner: int, bias: int, rows: int) -> None:  # fmt: skip
    """:func:`tile_product` for any number of rows; bias is 0 for sums that begin with 0."""
    i = 0
    while i + _BLOCK <= rows:
        tile_product(_BLOCK, columns, begin, a + 4 * i * a_i, a_i, a_k, 0, b, b_k, 0, c + 4 * i * c_i, c_i, inner, 1, bias + 4 * i * begin)
        i += _BLOCK
    while i < rows:
        tile_product(1, columns, begin, a + 4 * i * a_i, a_i, a_k, 0, b, b_k, 0, c + 4 * i * c_i, c_i, inner, 1, bias + 4 * i * begin)
        i += 1


@kernel
def layer_forward(weight: int, bias: int, x: int, y: int, n: int, m: int) -> None:
    """Panel y (m) = weight (m, n) times panel x (n), plus the bias."""
    _product(32, BIAS, weight, n, 1, x, ROWS, y, ROWS, n, bias, m)


@kernel
def layer_backward(weight: int, grad: int, into: int, n: int, m: int) -> None:
    """Panel `into` (n) = the transposed weight (m, n) times panel grad (m)."""
    _product(32, HELD, weight, 1, n, grad, ROWS, into, ROWS, m, 0, n)


@kernel
def _set_gradient(grad: int, rows: int, into: int, n: int, m: int) -> None:
    j = 0
    while j + 32 <= n:
        _product(32, HELD, grad, ROWS, 1, rows + 4 * j, n, into + 4 * j, n, ROWS, 0, m)
        j += 32
    if n & 16:
        _product(16, HELD, grad, ROWS, 1, rows + 4 * j, n, into + 4 * j, n, ROWS, 0, m)
        j += 16
    if n & 8:
        _product(8, HELD, grad, ROWS, 1, rows + 4 * j, n, into + 4 * j, n, ROWS, 0, m)
        j += 8
    if n & 4:
        _product(4, HELD, grad, ROWS, 1, rows + 4 * j, n, into + 4 * j, n, ROWS, 0, m)
        j += 4
    if n & 2:
        _product(2, HELD, grad, ROWS, 1, rows + 4 * j, n, into + 4 * j, n, ROWS, 0, m)
        j += 2
    if n & 1:
        _product(1, HELD, grad, ROWS, 1, rows + 4 * j, n, into + 4 * j, n, ROWS, 0, m)


@kernel
def weight_gradient(grad: int, rows: int, into: int, n: int, m: int, scratch: int) -> None:
    """into (m, n) = panel grad (m) times rows (32, n); with room for (m, n) at `scratch` not 0, added to what `into` holds."""
    if scratch == 0:
        _set_gradient(grad, rows, into, n, m)
        return
    _set_gradient(grad, rows, scratch, n, m)
    total, more = numba.carray(pointer(into), (m * n,)), numba.carray(pointer(scratch), (m * n,))
    for k in range(m * n):
        total[k] += more[k]


@summing
def bias_gradient(grad: int, into: int, m: int, add: bool) -> None:
    """into (m,) = the sums of panel grad (m) over its rows, or added to it."""
    panel, bias = numba.carray(pointer(grad), (m, ROWS)), numba.carray(pointer(into), (m,))
    for i in range(m):
        total = np.float32(0)
        for r in range(ROWS):
            total += panel[i, r]
        bias[i] = bias[i] + total if add else total


@kernel
def panel_to_rows(panel: int, rows: int, n: int) -> None:
    """Panel (n, 32) -> rows (32, n)."""
    source, target = numba.carray(pointer(panel), (n, ROWS)), numba.carray(pointer(rows), (ROWS, n))
    for r in range(ROWS):
        for k in range(n):
            target[r, k] = source[k, r]


@fusing
def tanh_flat(x: Any) -> None:
    """tanh of flat numbers, in place."""
    for k in range(x.shape[0]):
        x[k] = tanh_of(x[k])


class Net(NamedTuple):
    """A tanh network with linear output."""

    widths: Any  # of its layers, input first
    tiles: int  # panels of a layer
    at: Any  # addresses of weights and biases in turn
    grads: Any  # addresses of their gradients
    acts: Any  # addresses of each layer's panels, (tiles, width, 32)
    memory: Any  # what they point at, where nobody else keeps it


class Room(NamedTuple):
    """What a backward pass works on."""

    even: Any  # panels of every other layer's gradient
    odd: Any  # panels of the others'
    turned: Any  # (32, widest) rows
    more: Any  # numbers of the largest weight, where there are several panels
    given: Any  # panels of the output's gradient
    back: Any  # panels of the input's


@kernel
def aligned(numbers: int) -> Any:
    """Room for panels, from the beginning of a line of the cache on: a vector that lies in two lines takes twice as long."""
    room = np.empty(numbers + 16, dtype=np.float32)
    first = (-place_of(room) % 64) // 4
    return room[first : first + numbers]


@kernel
def room_for(tiles: int, widest: int, largest: int) -> Room:
    """Room for networks with as many panels, with layers as wide and weights as large."""
    size = tiles * widest * ROWS
    more = np.empty(largest if tiles > 1 else 1, dtype=np.float32)
    return Room(aligned(size), aligned(size), aligned(widest * ROWS), more, aligned(size), aligned(size))


@kernel
def network_forward(net: Net, begin: int) -> None:
    """Layers `begin` and on; the panels of the layer `begin` are filled."""
    widths, tiles, at, _, acts, _ = net
    layers = widths.shape[0] - 1
    for tile in range(tiles):
        for layer in range(begin, layers):
            n, m = widths[layer], widths[layer + 1]
            y = acts[layer + 1] + tile * m * PANEL
            layer_forward(at[2 * layer], at[2 * layer + 1], acts[layer] + tile * n * PANEL, y, n, m)
            if layer < layers - 1:
                tanh_flat(numba.carray(pointer(y), (m * ROWS,)))


@kernel
def network_backward(net: Net, begin: int, grad: int, room: Room, grad_in: int, for_weights: bool) -> int:
    """Gradients of :func:`network_forward` from panels of the output's gradient, those of weights where `for_weights`. grad_in: where the
    gradient of what layer `begin` reads goes, 0 for nowhere. Returns where it went, before the tanh behind it for `begin` > 0."""
    widths, tiles, at, grads, acts, _ = net
    even, odd, turned, more = place_of(room.even), place_of(room.odd), place_of(room.turned), place_of(room.more)
    for layer in range(widths.shape[0] - 2, begin - 1, -1):
        n, m = widths[layer], widths[layer + 1]
        if for_weights:
            for tile in range(tiles):
                panel_to_rows(acts[layer] + tile * n * PANEL, turned, n)
                weight_gradient(grad + tile * m * PANEL, turned, grads[2 * layer], n, m, more if tile else 0)
                bias_gradient(grad + tile * m * PANEL, grads[2 * layer + 1], m, tile > 0)
        if layer == begin and grad_in == 0:
            return 0
        into = grad_in if layer == begin else odd if layer % 2 else even
        for tile in range(tiles):
            layer_backward(at[2 * layer], grad + tile * m * PANEL, into + tile * n * PANEL, n, m)
        if layer > 0:
            size = tiles * n * ROWS
            through_tanh(numba.carray(pointer(into), (size,)), numba.carray(pointer(acts[layer]), (size,)))
        grad = into
    return grad
