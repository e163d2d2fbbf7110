"""The inner loop of all convolutions: a tile of C = A B held in vector registers, with A and B read where they lie.

A BLAS wants a matrix, so a convolution has to copy its windows first. Here the strides of A are free: its rows may be neighbouring pixels,
whose windows overlap in memory, or images, or channels. So the forward pass and both gradients of a convolution are this one loop on the
maps as they are. Every element is one chain of fused multiply-adds in the order of the summed index, whatever tile it falls into: a result
does not depend on how work is cut into tiles.
"""

from __future__ import annotations

from typing import Any

from llvmlite import binding, ir
from numba.extending import intrinsic as _intrinsic

from crar_model.core.compiled import numba

intrinsic: Any = _intrinsic
LANES = 16
"""Columns of C come in multiples of this many float32: one vector register of AVX-512, several of what is narrower."""
WIDE = bool(binding.get_host_cpu_features().get("avx512f"))
"""Whether 16 sums of 16 lanes have room in the registers; without AVX-512, 4 have."""
SLACK = 2 * LANES
"""Numbers beyond its end that a buffer must have where tiles may read them: what is read there is not used."""
_INT = numba.types.int64
_I64, _F32 = ir.IntType(64), ir.FloatType()
_VECTOR = ir.VectorType(_F32, LANES)


@intrinsic(prefer_literal=True)
def _tile(
    typing_context: Any, rows: Any, vectors: Any, a: Any, a_i: Any, a_k: Any, a_s: Any, b: Any, b_k: Any, b_s: Any, c: Any, c_i: Any,
    inner: Any, outer: Any, add: Any,
) -> Any:  # fmt: skip
    """C[i, :] = sum over s < outer, k < inner of A[s a_s + k a_k + i a_i] B[s b_s + k b_k + :], added to what C holds where `add`; i < rows and
    16 `vectors` columns, both literal. Addresses a, b, c in bytes, strides in numbers; outer and inner at least 1."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _build_tile(builder, rows.literal_value, vectors.literal_value, *arguments[2:])
        return context.get_dummy_value()

    return numba.types.void(rows, vectors, *([_INT] * 12)), build


def _build_tile(
    builder: Any, rows: int, vectors: int, a: Any, a_i: Any, a_k: Any, a_s: Any, b: Any, b_k: Any, b_s: Any, c: Any, c_i: Any,
    inner: Any, outer: Any, add: Any,
) -> None:  # fmt: skip
    """Two nested loops whose sums stay in registers."""

    def constant(value: int) -> Any:
        return ir.Constant(_I64, value)

    def at(address: Any, kind: Any, shift: int = 0) -> Any:
        return builder.inttoptr(builder.add(address, constant(4 * shift)), kind.as_pointer())

    a_i, a_k, a_s, b_k, b_s, c_i = (builder.mul(stride, constant(4)) for stride in (a_i, a_k, a_s, b_k, b_s, c_i))
    places = [(i, v) for i in range(rows) for v in range(vectors)]
    targets = [at(builder.add(c, builder.mul(c_i, constant(i))), _VECTOR, LANES * v) for i, v in places]
    entry = builder.block
    held, over, within, latch, done = (builder.append_basic_block(name) for name in ("held", "over", "within", "latch", "done"))
    builder.cbranch(builder.icmp_signed("!=", add, constant(0)), held, over)
    builder.position_at_end(held)
    before = [builder.load(target, align=4) for target in targets]
    builder.branch(over)

    builder.position_at_end(over)
    s, a_line, b_line = (builder.phi(_I64) for _ in range(3))
    line_sums = [builder.phi(_VECTOR) for _ in places]
    builder.branch(within)

    builder.position_at_end(within)
    k, a_now, b_now = (builder.phi(_I64) for _ in range(3))
    sums = [builder.phi(_VECTOR) for _ in places]
    columns = [builder.load(at(b_now, _VECTOR, LANES * v), align=4) for v in range(vectors)]
    undefined, first = ir.Constant(_VECTOR, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    spread = []
    for i in range(rows):
        number = builder.load(at(builder.add(a_now, builder.mul(a_i, constant(i))), _F32), align=4)
        spread.append(builder.shuffle_vector(builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0)), undefined, first))
    fused = ("contract",)
    new = [
        builder.fadd(old, builder.fmul(spread[i], columns[v], flags=fused), flags=fused) for old, (i, v) in zip(sums, places, strict=True)
    ]
    k_next, a_next, b_next = builder.add(k, constant(1)), builder.add(a_now, a_k), builder.add(b_now, b_k)
    builder.cbranch(builder.icmp_signed("<", k_next, inner), within, latch)
    for phi, start, step in (
        (k, constant(0), k_next),
        (a_now, a_line, a_next),
        (b_now, b_line, b_next),
        *zip(sums, line_sums, new, strict=True),
    ):
        phi.add_incoming(start, over)
        phi.add_incoming(step, within)

    builder.position_at_end(latch)
    s_next, a_line_next, b_line_next = builder.add(s, constant(1)), builder.add(a_line, a_s), builder.add(b_line, b_s)
    builder.cbranch(builder.icmp_signed("<", s_next, outer), over, done)
    zero = ir.Constant(_VECTOR, [0.0] * LANES)
    for phi, start, loaded, step in (
        (s, constant(0), constant(0), s_next), (a_line, a, a, a_line_next), (b_line, b, b, b_line_next),
        *((total, zero, old, last) for total, old, last in zip(line_sums, before, new, strict=True)),
    ):  # fmt: skip
        phi.add_incoming(start, entry)
        phi.add_incoming(loaded, held)
        phi.add_incoming(step, latch)

    builder.position_at_end(done)
    for target, value in zip(targets, new, strict=True):
        builder.store(value, target, align=4)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def panel(
    a: int, a_i: int, a_k: int, a_s: int, b: int, b_k: int, b_s: int, c: int, c_i: int, inner: int, outer: int, add: int,
    rows: int, columns: int,
) -> None:  # fmt: skip # pragma: no cover
    """A tile's sum for any number of rows, and of columns that is a multiple of LANES.

    The last rows are no loop: where this was inlined into a loop over images, and a loop of two rows was left, LLVM took the first row of the first image alone.
    """
    column = 0
    while column < columns:
        here, there, row = b + 4 * column, c + 4 * column, 0
        if WIDE and columns - column >= 2 * LANES:
            while row + 8 <= rows:
                _tile(8, 2, a + 4 * row * a_i, a_i, a_k, a_s, here, b_k, b_s, there + 4 * row * c_i, c_i, inner, outer, add)
                row += 8
            while row + 4 <= rows:
                _tile(4, 2, a + 4 * row * a_i, a_i, a_k, a_s, here, b_k, b_s, there + 4 * row * c_i, c_i, inner, outer, add)
                row += 4
            while row < rows:
                _tile(1, 2, a + 4 * row * a_i, a_i, a_k, a_s, here, b_k, b_s, there + 4 * row * c_i, c_i, inner, outer, add)
                row += 1
            column += 2 * LANES
            continue
        while WIDE and row + 8 <= rows:
            _tile(8, 1, a + 4 * row * a_i, a_i, a_k, a_s, here, b_k, b_s, there + 4 * row * c_i, c_i, inner, outer, add)
            row += 8
        while row + 4 <= rows:
            _tile(4, 1, a + 4 * row * a_i, a_i, a_k, a_s, here, b_k, b_s, there + 4 * row * c_i, c_i, inner, outer, add)
            row += 4
        if row + 2 <= rows:
            _tile(2, 1, a + 4 * row * a_i, a_i, a_k, a_s, here, b_k, b_s, there + 4 * row * c_i, c_i, inner, outer, add)
            row += 2
        if row < rows:
            _tile(1, 1, a + 4 * row * a_i, a_i, a_k, a_s, here, b_k, b_s, there + 4 * row * c_i, c_i, inner, outer, add)
        column += LANES
