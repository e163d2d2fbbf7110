"""The instructions of the tile unit (AMX), as LLVM writes them: a block of C = A B, float32 numbers as pairs of bfloat16 ones.

A number x is taken as high + low, both bfloat16, and a b as low_a high_b + high_a high_b + high_a low_b, summed in float32 in the order of the
summed index, 32 of it at a time: what is left out is 2^-16 of a b. Each sum is the same whatever block it falls into.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from crar_model.core.compiled import numba
from crar_model.nets._blas import intrinsic

DEPTH = 32
"""Numbers of the summed index that one instruction takes."""
_I8, _I64 = ir.IntType(8), ir.IntType(64)
_INT = numba.types.int64
_A, _B = (4, 5), (6, 7)
"""Registers of the rows of A and the columns of B; 0 to 3 hold the sums."""


class _Tiles:
    """Writes tile instructions."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def call(self, name: str, *arguments: Any) -> None:
        """An intrinsic of LLVM."""
        kinds = [argument.type for argument in arguments]
        module = self.builder.module
        function = module.globals.get(name) or ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
        self.builder.call(function, arguments)

    def moved(self, what: str, tile: int, address: Any, stride: Any) -> None:
        """A load or a store."""
        self.call(f"llvm.x86.{what}", ir.Constant(_I8, tile), self.builder.inttoptr(address, _I8.as_pointer()), stride)

    def multiply(self, pairs: int) -> None:
        """Add the products of the registers of A and B to all sums."""
        for i in range(2):
            for j in range(pairs):
                self.call("llvm.x86.tdpbf16ps", *(ir.Constant(_I8, tile) for tile in (2 * i + j, _A[i], _B[j])))


@intrinsic
def configure(typing_context: Any, address: Any) -> Any:
    """Give this thread's tiles the shapes at an address; zero gives the tiles back."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        tiles = _Tiles(builder)
        with builder.if_else(builder.icmp_signed("!=", arguments[0], ir.Constant(_I64, 0))) as (given, none):
            with given:
                tiles.call("llvm.x86.ldtilecfg", builder.inttoptr(arguments[0], _I8.as_pointer()))
            with none:
                tiles.call("llvm.x86.tilerelease")
        return context.get_dummy_value()

    return numba.types.void(_INT), build


@intrinsic(prefer_literal=True)
def block(typing_context: Any, columns: Any, a: Any, b: Any, c: Any, steps: Any, outer: Any, add: Any) -> Any:
    """Two tiles of rows times one or two of columns (literal): their sums, added to what C holds where `add`.

    a (address, row, half, run, low): rows of bfloat16 numbers, the second tile `half` behind the first; along a row DEPTH numbers a step, `steps`
    of them for each of `outer` runs. b (address, row, half, low): lines of pairs, DEPTH / 2 of them a step, run behind run; the second tile
    `half` behind. low: from a number's high part to its low part. c (address, row, down, right): float32 lines, tiles `down` and `right`
    apart. All int64, in bytes.
    """
    if not hasattr(columns, "literal_value"):
        return None  # Numba asks without literals first

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        given = [cgutils.unpack_tuple(builder, tuple_) for tuple_ in arguments[1:4]]
        _write_block(builder, columns.literal_value, *given, *arguments[4:])
        return context.get_dummy_value()

    return numba.types.void(columns, *(numba.types.UniTuple(_INT, size) for size in (5, 4, 4)), _INT, _INT, _INT), build


def _write_block(builder: Any, columns: int, a: Any, b: Any, c: Any, steps: Any, outer: Any, add: Any) -> None:
    tiles, (a, a_row, a_half, a_run, a_low) = _Tiles(builder), a
    (b, b_row, b_half, b_low), (c, c_row, c_down, c_right) = b, c
    rows = [c, builder.add(c, c_down)]
    targets = [builder.add(row, c_right) if j else row for row in rows for j in range(columns)]
    sums = [2 * i + j for i in range(2) for j in range(columns)]
    b_step = builder.mul(b_row, ir.Constant(_I64, DEPTH // 2))
    with builder.if_else(builder.icmp_signed("!=", add, ir.Constant(_I64, 0))) as (held, fresh):
        with held:
            for tile, target in zip(sums, targets, strict=True):
                tiles.moved("tileloadd64", tile, target, c_row)
        with fresh:
            for tile in sums:
                tiles.call("llvm.x86.tilezero", ir.Constant(_I8, tile))
    with cgutils.for_range(builder, outer) as run:
        a_line, b_line = builder.add(a, builder.mul(run.index, a_run)), builder.mul(run.index, steps)
        with cgutils.for_range(builder, steps) as step:
            a_now = builder.add(a_line, builder.mul(step.index, ir.Constant(_I64, 2 * DEPTH)))
            b_now = builder.add(b, builder.mul(builder.add(b_line, step.index), b_step))
            a_tiles = list(zip(_A, (a_now, builder.add(a_now, a_half)), strict=True))
            b_tiles = list(zip(_B, (b_now, builder.add(b_now, b_half)), strict=True))[:columns]
            for tile, at in a_tiles:
                tiles.moved("tileloadd64", tile, builder.add(at, a_low), a_row)
            for tile, at in b_tiles:
                tiles.moved("tileloadd64", tile, at, b_row)
            tiles.multiply(columns)
            for tile, at in a_tiles:
                tiles.moved("tileloadd64", tile, at, a_row)
            tiles.multiply(columns)
            for tile, at in b_tiles:
                tiles.moved("tileloadd64", tile, builder.add(at, b_low), b_row)
            tiles.multiply(columns)
    for tile, target in zip(sums, targets, strict=True):
        tiles.moved("tilestored64", tile, target, c_row)
