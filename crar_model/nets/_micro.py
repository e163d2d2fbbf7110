"""The inner loop of all compiled products: a tile of C = A B held in vector registers, with A and B read where they lie.

A BLAS wants a matrix, so a convolution has to copy its windows first, and it spends its time on packing where matrices are as small as those
of the dense agent. Here the strides of A are free: its rows may be neighbouring pixels, whose windows overlap in memory, or images, or
channels, or outputs of a dense layer. So the forward pass and both gradients of a layer are this one loop on numbers as they are. Every element
is one chain of fused multiply-adds in the order of the summed index, whatever tile it falls into: a result does not depend on how work is cut
into tiles.
"""

from __future__ import annotations

from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils

from crar_model.core.compiled import numba
from crar_model.nets._blas import intrinsic, kernel

LANES = 16
"""Columns of C come in multiples of this many float32: one vector register of AVX-512, several of what is narrower."""
WIDE = bool(binding.get_host_cpu_features().get("avx512f"))
"""Whether 16 sums of 16 lanes have room in the registers; without AVX-512, 4 have."""
SLACK = 2 * LANES
"""Numbers beyond its end that a buffer must have where tiles may read them: what is read there is not used."""
HELD, BIAS = range(2)
"""What sums begin with: with what C holds, if anything, or with a number for each row."""
_INT = numba.types.int64
_I64, _F32 = ir.IntType(64), ir.FloatType()


@intrinsic(prefer_literal=True)
def tile_product(
    typing_context: Any, rows: Any, columns: Any, begin: Any, a: Any, a_i: Any, a_k: Any, a_s: Any, b: Any, b_k: Any, b_s: Any, c: Any,
    c_i: Any, inner: Any, outer: Any, start: Any,
) -> Any:  # fmt: skip
    """C[i, :] = sum over s < outer, k < inner of A[s a_s + k a_k + i a_i] B[s b_s + k b_k + :], added to what C holds where `start`, or, for
    `begin` BIAS, to the numbers at the address `start`, one a row. i < rows, so many columns, and `begin` are literal; columns are 32 or a
    power of two up to 16. Addresses a, b, c in bytes, strides in numbers; outer and inner at least 1."""
    sizes: list[Any] = [getattr(size, "literal_value", None) for size in (rows, columns, begin)]
    if None in sizes:
        return None  # Numba asks without literals first

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _build_tile(builder, *sizes, *arguments[3:])
        return context.get_dummy_value()

    return numba.types.void(rows, columns, begin, *([_INT] * 12)), build


def _build_tile(
    builder: Any, rows: int, columns: int, begin: int, a: Any, a_i: Any, a_k: Any, a_s: Any, b: Any, b_k: Any, b_s: Any, c: Any, c_i: Any,
    inner: Any, outer: Any, start: Any,
) -> None:  # fmt: skip
    """Two nested loops whose sums stay in registers."""
    lanes = min(columns, LANES)
    vector, vectors = ir.VectorType(_F32, lanes), columns // lanes

    def constant(value: int) -> Any:
        return ir.Constant(_I64, value)

    def at(address: Any, kind: Any, shift: int = 0) -> Any:
        return builder.inttoptr(builder.add(address, constant(4 * shift)), kind.as_pointer())

    def spread(address: Any) -> Any:
        undefined, first = ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
        number = builder.load(at(address, _F32), align=4)
        return builder.shuffle_vector(builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0)), undefined, first)

    a_i, a_k, a_s, b_k, b_s, c_i = (builder.mul(stride, constant(4)) for stride in (a_i, a_k, a_s, b_k, b_s, c_i))
    places = [(i, v) for i in range(rows) for v in range(vectors)]
    targets = [at(builder.add(c, builder.mul(c_i, constant(i))), vector, LANES * v) for i, v in places]
    sums = [cgutils.alloca_once(builder, vector) for _ in places]  # registers, once LLVM has looked at them
    if begin == BIAS:
        for (i, _), own in zip(places, sums, strict=True):
            builder.store(spread(builder.add(start, constant(4 * i))), own)
    else:
        with builder.if_else(builder.icmp_signed("!=", start, constant(0))) as (held, fresh):
            with held:
                for target, own in zip(targets, sums, strict=True):
                    builder.store(builder.load(target, align=4), own)
            with fresh:
                for own in sums:
                    builder.store(ir.Constant(vector, [0.0] * lanes), own)
    fused = ("contract",)
    with cgutils.for_range(builder, outer) as line:
        a_line, b_line = builder.add(a, builder.mul(line.index, a_s)), builder.add(b, builder.mul(line.index, b_s))
        with cgutils.for_range(builder, inner) as step:
            a_now, b_now = builder.add(a_line, builder.mul(step.index, a_k)), builder.add(b_line, builder.mul(step.index, b_k))
            shared = [builder.load(at(b_now, vector, LANES * v), align=4) for v in range(vectors)]
            factors = [spread(builder.add(a_now, builder.mul(a_i, constant(i)))) for i in range(rows)]
            for (i, v), own in zip(places, sums, strict=True):
                added = builder.fmul(factors[i], shared[v], flags=fused)
                builder.store(builder.fadd(builder.load(own), added, flags=fused), own)
    for target, own in zip(targets, sums, strict=True):
        builder.store(builder.load(own), target, align=4)


@kernel
def panel(
    a: int, a_i: int, a_k: int, a_s: int, b: int, b_k: int, b_s: int, c: int, c_i: int, inner: int, outer: int, add: int,
    rows: int, columns: int,
) -> None:  # fmt: skip
    """A tile's sum for any number of rows, and of columns that is a multiple of LANES.

    The last rows are no loop: where this was inlined into a loop over images, and a loop of two rows was left, LLVM took the first row of the first image alone.
    """
    column = 0
    while column < columns:
        here, there, row = b + 4 * column, c + 4 * column, 0
        if WIDE and columns - column >= 2 * LANES:
            while row + 8 <= rows:
                tile_product(8, 32, HELD, a + 4 * row * a_i, a_i, a_k, a_s, here, b_k, b_s, there + 4 * row * c_i, c_i, inner, outer, add)
                row += 8
            while row + 4 <= rows:
                tile_product(4, 32, HELD, a + 4 * row * a_i, a_i, a_k, a_s, here, b_k, b_s, there + 4 * row * c_i, c_i, inner, outer, add)
                row += 4
            while row < rows:
                tile_product(1, 32, HELD, a + 4 * row * a_i, a_i, a_k, a_s, here, b_k, b_s, there + 4 * row * c_i, c_i, inner, outer, add)
                row += 1
            column += 2 * LANES
            continue
        while WIDE and row + 8 <= rows:
            tile_product(8, 16, HELD, a + 4 * row * a_i, a_i, a_k, a_s, here, b_k, b_s, there + 4 * row * c_i, c_i, inner, outer, add)
            row += 8
        while row + 4 <= rows:
            tile_product(4, 16, HELD, a + 4 * row * a_i, a_i, a_k, a_s, here, b_k, b_s, there + 4 * row * c_i, c_i, inner, outer, add)
            row += 4
        if row + 2 <= rows:
            tile_product(2, 16, HELD, a + 4 * row * a_i, a_i, a_k, a_s, here, b_k, b_s, there + 4 * row * c_i, c_i, inner, outer, add)
            row += 2
        if row < rows:
            tile_product(1, 16, HELD, a + 4 * row * a_i, a_i, a_k, a_s, here, b_k, b_s, there + 4 * row * c_i, c_i, inner, outer, add)
        column += LANES
