"""The instructions of the tile unit (AMX), as LLVM writes them: a block of C = A B, float32 numbers as pairs of bfloat16 ones.

A number x is taken as high + low, both bfloat16, and a b as low_a high_b + high_a high_b + high_a low_b, summed in float32 in the order of the
summed index, 32 of it at a time: what is left out is 2^-16 of a b. Each sum is the same whatever block it falls into.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

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
def block(
    typing_context: Any, columns: Any, a: Any, a_i: Any, a_half: Any, a_s: Any, a_low: Any, b: Any, b_row: Any, b_half: Any, b_low: Any,
    c: Any, c_i: Any, c_down: Any, c_right: Any, steps: Any, outer: Any, add: Any,
) -> Any:  # fmt: skip
    """Two tiles of rows times one or two of columns (literal): their sums, added to what C holds where `add`.

    a: rows of bfloat16 numbers `a_i` apart, the second tile `a_half` behind the first; along a row DEPTH numbers a step, `steps` of them for each
    of `outer` runs `a_s` apart. b: lines of pairs `b_row` apart, DEPTH / 2 of them a step, run behind run; the second tile `b_half` behind.
    a_low, b_low: from a number's high part to its low part. c: float32 lines `c_i` apart, tiles `c_down` and `c_right` apart. All int64,
    in bytes.
    """
    if not hasattr(columns, "literal_value"):
        return None  # Numba asks without literals first

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _write_block(builder, columns.literal_value, *arguments[1:])
        return context.get_dummy_value()

    return numba.types.void(columns, *([_INT] * 16)), build


def _write_block(
    builder: Any, columns: int, a: Any, a_i: Any, a_half: Any, a_s: Any, a_low: Any, b: Any, b_row: Any, b_half: Any, b_low: Any,
    c: Any, c_i: Any, c_down: Any, c_right: Any, steps: Any, outer: Any, add: Any,
) -> None:  # fmt: skip
    tiles, zero, one = _Tiles(builder), ir.Constant(_I64, 0), ir.Constant(_I64, 1)
    rows = [c, builder.add(c, c_down)]
    targets = [builder.add(row, c_right) if j else row for row in rows for j in range(columns)]
    sums = [2 * i + j for i in range(2) for j in range(columns)]
    b_step = builder.mul(b_row, ir.Constant(_I64, DEPTH // 2))
    with builder.if_else(builder.icmp_signed("!=", add, zero)) as (held, fresh):
        with held:
            for tile, target in zip(sums, targets, strict=True):
                tiles.moved("tileloadd64", tile, target, c_i)
        with fresh:
            for tile in sums:
                tiles.call("llvm.x86.tilezero", ir.Constant(_I8, tile))
    entry = builder.block
    over, within, latch, done = (builder.append_basic_block(name) for name in ("over", "within", "latch", "done"))
    builder.branch(over)
    builder.position_at_end(over)
    s, a_line, b_line = (builder.phi(_I64) for _ in range(3))
    builder.branch(within)
    builder.position_at_end(within)
    k, a_now, b_now = (builder.phi(_I64) for _ in range(3))
    a_two, b_two = builder.add(a_now, a_half), builder.add(b_now, b_half)
    for tile, at in zip(_A, (a_now, a_two), strict=True):
        tiles.moved("tileloadd64", tile, builder.add(at, a_low), a_i)
    b_tiles = list(zip(_B, (b_now, b_two), strict=True))[:columns]
    for tile, at in b_tiles:
        tiles.moved("tileloadd64", tile, at, b_row)
    tiles.multiply(columns)
    for tile, at in zip(_A, (a_now, a_two), strict=True):
        tiles.moved("tileloadd64", tile, at, a_i)
    tiles.multiply(columns)
    for tile, at in b_tiles:
        tiles.moved("tileloadd64", tile, builder.add(at, b_low), b_row)
    tiles.multiply(columns)
    k_next, a_next, b_next = builder.add(k, one), builder.add(a_now, ir.Constant(_I64, 2 * DEPTH)), builder.add(b_now, b_step)
    builder.cbranch(builder.icmp_signed("<", k_next, steps), within, latch)
    for phi, start, step in ((k, zero, k_next), (a_now, a_line, a_next), (b_now, b_line, b_next)):
        phi.add_incoming(start, over)
        phi.add_incoming(step, within)
    builder.position_at_end(latch)
    s_next, a_line_next = builder.add(s, one), builder.add(a_line, a_s)
    builder.cbranch(builder.icmp_signed("<", s_next, outer), over, done)
    for phi, start, step in ((s, zero, s_next), (a_line, a, a_line_next), (b_line, b, b_next)):
        phi.add_incoming(start, entry)
        phi.add_incoming(step, latch)
    builder.position_at_end(done)
    for tile, target in zip(sums, targets, strict=True):
        tiles.moved("tilestored64", tile, target, c_i)
