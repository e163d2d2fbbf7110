"""Compiled products on panels: 32 rows of a batch, feature by feature, so that a feature of all of them is one vector.

The layers of the dense agent are 2 to 200 wide and its batches are a few dozen rows. A BLAS spends its time on packing such matrices; here a
block of outputs stays in registers while the inner dimension runs, whatever the widths. Every number is one chain of fused
multiply-adds in the order of the inner dimension, so it does not depend on how outputs are blocked, nor on who shares the call.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba.core import cgutils

from crar_model.core.compiled import numba
from crar_model.nets._blas import intrinsic, pointer, tanh_of, through_tanh

ROWS = 32
"""Rows of a panel: a panel of `width` features is (width, 32), contiguous."""
PANEL = 4 * ROWS
"""Bytes of a panel's feature."""
_BLOCK = 5 if llvm.get_host_cpu_features().get("avx512f") else 3
"""Outputs that share a load of the panel: with vectors of 16 they take 10 of 32 registers, with vectors of 8 they take 12 of 16."""
_ZERO, _ADD, _BIAS = range(3)
_FLOAT, _INT = ir.FloatType(), ir.IntType(64)


@intrinsic(prefer_literal=True)
def _block(
    typing_context: Any, outputs: Any, vector: Any, begin: Any,
    a: Any, row: Any, step: Any, b: Any, step_b: Any, c: Any, row_c: Any, inner: Any, bias: Any,
) -> Any:  # fmt: skip
    """C = A B for `outputs` rows of A and `vector` columns of B (literal integers), as LLVM instructions.

    The sums begin with zero, with what C holds, or with the bias of each output (`begin`). The rest are int64: addresses, and steps in
    bytes; B's columns and C's lie side by side.
    """
    sizes: list[Any] = [getattr(size, "literal_value", None) for size in (outputs, vector, begin)]
    if None in sizes:
        return None  # Numba asks without literals first

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _write_block(builder, *sizes, *arguments[3:])
        return context.get_dummy_value()

    return numba.types.void(outputs, vector, begin, *([numba.types.int64] * 9)), build


def _write_block(builder: Any, outputs: int, vector: int, begin: int, *arguments: Any) -> None:
    a, row, step, b, step_b, c, row_c, inner, bias = arguments
    lane = ir.VectorType(_FLOAT, vector)
    fma = cgutils.get_or_insert_function(builder.module, ir.FunctionType(lane, [lane] * 3), f"llvm.fma.v{vector}f32")

    def along(start: Any, by: Any) -> list[Any]:
        return [builder.add(start, builder.mul(by, ir.Constant(_INT, i))) for i in range(outputs)]

    def load(at: Any, kind: Any) -> Any:
        return builder.load(builder.inttoptr(at, kind.as_pointer()), align=4)

    def spread(number: Any) -> Any:
        empty = ir.Constant(lane, ir.Undefined)
        first = builder.insert_element(empty, number, ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(ir.IntType(32), vector), [0] * vector))

    targets, sources = along(c, row_c), along(a, row)
    if begin == _ZERO:
        initial = [ir.Constant(lane, [0.0] * vector)] * outputs
    elif begin == _ADD:
        initial = [load(target, lane) for target in targets]
    else:
        initial = [spread(load(at, _FLOAT)) for at in along(bias, ir.Constant(_INT, 4))]
    before, loop, done = builder.block, builder.append_basic_block("inner"), builder.append_basic_block("done")
    builder.cbranch(builder.icmp_signed(">", inner, ir.Constant(_INT, 0)), loop, done)
    builder.position_at_end(loop)
    k = builder.phi(_INT)
    sums = [builder.phi(lane) for _ in range(outputs)]
    shared, shift = load(builder.add(b, builder.mul(k, step_b)), lane), builder.mul(k, step)
    found = [
        builder.call(fma, [spread(load(builder.add(source, shift), _FLOAT)), shared, old])
        for source, old in zip(sources, sums, strict=True)
    ]
    following = builder.add(k, ir.Constant(_INT, 1))
    builder.cbranch(builder.icmp_signed("<", following, inner), loop, done)
    builder.position_at_end(done)
    results = [builder.phi(lane) for _ in range(outputs)]
    k.add_incoming(ir.Constant(_INT, 0), before)
    k.add_incoming(following, loop)
    for i in range(outputs):
        for phi, end in ((sums[i], loop), (results[i], loop)):
            phi.add_incoming(initial[i], before)
            phi.add_incoming(found[i], end)
    for result, target in zip(results, targets, strict=True):
        builder.store(result, builder.inttoptr(target, lane.as_pointer()), align=4)


@numba.njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _columns(
    vector: Any, begin: Any, a: int, row: int, step: int, b: int, step_b: int, c: int, row_c: int, inner: int, bias: int, outputs: int
) -> None:  # fmt: skip # pragma: no cover - compiled
    """:func:`_block` for any number of outputs."""
    i = 0
    while i + _BLOCK <= outputs:
        _block(_BLOCK, vector, begin, a + i * row, row, step, b, step_b, c + i * row_c, row_c, inner, bias + 4 * i)
        i += _BLOCK
    while i < outputs:
        _block(1, vector, begin, a + i * row, row, step, b, step_b, c + i * row_c, row_c, inner, bias + 4 * i)
        i += 1


@numba.njit(cache=True, nogil=True, error_model="numpy")
def layer_forward(weight: int, bias: int, x: int, y: int, n: int, m: int) -> None:  # pragma: no cover - compiled
    """Panel y (m) = weight (m, n) times panel x (n), plus the bias."""
    _columns(32, 2, weight, 4 * n, 4, x, PANEL, y, PANEL, n, bias, m)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def layer_backward(weight: int, grad: int, into: int, n: int, m: int) -> None:  # pragma: no cover - compiled
    """Panel `into` (n) = the transposed weight (m, n) times panel grad (m)."""
    _columns(32, 0, weight, 4, 4 * n, grad, PANEL, into, PANEL, m, 0, n)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _set_gradient(grad: int, rows: int, into: int, n: int, m: int) -> None:  # pragma: no cover - compiled
    j, row = 0, 4 * n
    while j + 32 <= n:
        _columns(32, 0, grad, PANEL, 4, rows + 4 * j, row, into + 4 * j, row, ROWS, 0, m)
        j += 32
    if n & 16:
        _columns(16, 0, grad, PANEL, 4, rows + 4 * j, row, into + 4 * j, row, ROWS, 0, m)
        j += 16
    if n & 8:
        _columns(8, 0, grad, PANEL, 4, rows + 4 * j, row, into + 4 * j, row, ROWS, 0, m)
        j += 8
    if n & 4:
        _columns(4, 0, grad, PANEL, 4, rows + 4 * j, row, into + 4 * j, row, ROWS, 0, m)
        j += 4
    if n & 2:
        _columns(2, 0, grad, PANEL, 4, rows + 4 * j, row, into + 4 * j, row, ROWS, 0, m)
        j += 2
    if n & 1:
        _columns(1, 0, grad, PANEL, 4, rows + 4 * j, row, into + 4 * j, row, ROWS, 0, m)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def weight_gradient(grad: int, rows: int, into: int, n: int, m: int, scratch: int) -> None:  # pragma: no cover - compiled
    """into (m, n) = panel grad (m) times rows (32, n); with room for (m, n) at `scratch` not 0, added to what `into` holds."""
    if scratch == 0:
        _set_gradient(grad, rows, into, n, m)
        return
    _set_gradient(grad, rows, scratch, n, m)
    total, more = numba.carray(pointer(into), (m * n,)), numba.carray(pointer(scratch), (m * n,))
    for k in range(m * n):
        total[k] += more[k]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def bias_gradient(grad: int, into: int, m: int, add: bool) -> None:  # pragma: no cover - compiled
    """into (m,) = the sums of panel grad (m) over its rows, or added to it."""
    panel, bias = numba.carray(pointer(grad), (m, ROWS)), numba.carray(pointer(into), (m,))
    for i in range(m):
        total = np.float32(0)
        for r in range(ROWS):
            total += panel[i, r]
        bias[i] = bias[i] + total if add else total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def panel_to_rows(panel: int, rows: int, n: int) -> None:  # pragma: no cover - compiled
    """Panel (n, 32) -> rows (32, n)."""
    source, target = numba.carray(pointer(panel), (n, ROWS)), numba.carray(pointer(rows), (ROWS, n))
    for r in range(ROWS):
        for k in range(n):
            target[r, k] = source[k, r]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def tanh_flat(x: Any) -> None:  # pragma: no cover - compiled
    """tanh of flat numbers, in place."""
    for k in range(x.shape[0]):
        x[k] = tanh_of(x[k])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def network_forward(
    at: Any, first: int, widths: Any, begin: int, tiles: int, acts: Any
) -> None:  # fmt: skip # pragma: no cover - compiled
    """Layers `begin` and on of a tanh network with linear output.

    at: addresses of weights and biases in turn, those of the network from `first` on; acts: addresses of each layer's panels,
    (tiles, width, 32), that of the layer `begin` filled.
    """
    layers = widths.shape[0] - 1
    for tile in range(tiles):
        for layer in range(begin, layers):
            n, m = widths[layer], widths[layer + 1]
            y = acts[layer + 1] + tile * m * PANEL
            layer_forward(at[first + 2 * layer], at[first + 2 * layer + 1], acts[layer] + tile * n * PANEL, y, n, m)
            if layer < layers - 1:
                tanh_flat(numba.carray(pointer(y), (m * ROWS,)))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def network_backward(
    at: Any, grads: Any, first: int, widths: Any, begin: int, tiles: int, acts: Any, grad: int, room: Any, grad_in: int, for_weights: bool
) -> int:  # fmt: skip # pragma: no cover - compiled
    """Gradients of :func:`network_forward`.

    grads: addresses like `at`, written where `for_weights`; grad: panels of the output's gradient; room: addresses of two stacks of
    panels, of (32, widest) rows, and, for several tiles, of the largest weight; grad_in: where the gradient of what layer `begin` reads goes, 0 for nowhere. Returns where it went,
    before the tanh behind it for `begin` > 0.
    """
    layers = widths.shape[0] - 1
    for layer in range(layers - 1, begin - 1, -1):
        n, m = widths[layer], widths[layer + 1]
        if for_weights:
            for tile in range(tiles):
                panel_to_rows(acts[layer] + tile * n * PANEL, room[2], n)
                weight_gradient(
                    grad + tile * m * PANEL, room[2], grads[first + 2 * layer], n, m, 0 if tile == 0 else room[3]
                )  # fmt: skip
                bias_gradient(grad + tile * m * PANEL, grads[first + 2 * layer + 1], m, tile > 0)
        if layer == begin and grad_in == 0:
            return 0
        into = grad_in if layer == begin else room[layer % 2]
        for tile in range(tiles):
            layer_backward(at[first + 2 * layer], grad + tile * m * PANEL, into + tile * n * PANEL, n, m)
        if layer > 0:
            size = tiles * n * ROWS
            through_tanh(numba.carray(pointer(into), (size,)), numba.carray(pointer(acts[layer]), (size,)))
        grad = into
    return grad
