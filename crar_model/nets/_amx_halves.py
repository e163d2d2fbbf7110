"""Float32 numbers as pairs of bfloat16 ones, high and low, in the orders that the tile unit takes them in (`_amx_block`), as LLVM writes it."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from crar_model.core.compiled import numba
from crar_model.nets._blas import intrinsic

_I32, _I64, _F32 = ir.IntType(32), ir.IntType(64), ir.FloatType()
_INT = numba.types.int64
_LANES = 16
"""Numbers of a vector."""
_LINE = ir.VectorType(_I32, _LANES)
_NUMBERS = ir.VectorType(_F32, _LANES)


def _same(number: int) -> Any:
    return ir.Constant(_LINE, [number] * _LANES)


def _halves(builder: Any, x: Any) -> tuple[Any, Any]:
    """Bits of numbers rounded to bfloat16, and of what that leaves of them; a number's lies in the upper half of its 32 bits."""

    def rounded(bits: Any) -> Any:
        return builder.and_(builder.add(bits, _same(0x8000)), _same(0xFFFF0000))

    upper = rounded(builder.bitcast(x, _LINE))
    return upper, rounded(builder.bitcast(builder.fsub(x, builder.bitcast(upper, _NUMBERS)), _LINE))


def _paired(builder: Any, first: Any, second: Any) -> Any:
    """Two numbers of bfloat16 as one of 32 bits, the first one below."""
    return builder.or_(builder.lshr(first, _same(16)), second)


def _lanes(builder: Any, left: Any) -> Any:
    """Which of 16 lanes are among those that are left."""
    return builder.icmp_signed(">", _spread(builder, left), ir.Constant(_LINE, list(range(_LANES))))


def _read(builder: Any, address: Any, left: Any) -> Any:
    """16 numbers at an address, or as many as are left and zeros for the others."""
    pointer = builder.inttoptr(address, _NUMBERS.as_pointer())
    if left is None:
        return builder.load(pointer, align=4)
    lanes = _lanes(builder, left)
    kinds = [_NUMBERS.as_pointer(), _I32, lanes.type, _NUMBERS]
    load = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_NUMBERS, kinds), "llvm.masked.load.v16f32.p0")
    return builder.call(load, [pointer, ir.Constant(_I32, 4), lanes, ir.Constant(_NUMBERS, [0.0] * _LANES)])


def _spread(builder: Any, number: Any) -> Any:
    """The same 32 bits in every lane."""
    empty = ir.Constant(_LINE, ir.Undefined)
    first = builder.insert_element(empty, builder.trunc(number, _I32), ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, empty, _same(0))


def _largest(builder: Any, found: Any, x: Any) -> Any:
    """Bits of the largest |x|, which are ordered as the numbers are, then infinity, then what is not a number."""
    size = builder.and_(builder.bitcast(x, _LINE), _same(0x7FFFFFFF))
    return builder.select(builder.icmp_unsigned(">", size, found), size, found)


def _written(builder: Any, address: Any, line: Any, left: Any) -> None:
    """16 numbers, or as many as are left, to an address."""
    pointer = builder.inttoptr(address, _LINE.as_pointer())
    if left is None:
        builder.store(line, pointer, align=4)
        return
    lanes = _lanes(builder, left)
    kinds = [_LINE, _LINE.as_pointer(), _I32, lanes.type]
    store = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.VoidType(), kinds), "llvm.masked.store.v16i32.p0")
    builder.call(store, [line, pointer, ir.Constant(_I32, 4), lanes])


def _swept(builder: Any, count: Any, stride: int, worst: Any, body: Any) -> None:
    """body(done, left, largest) for `count` numbers, `stride` a turn, left being None but for what fills no turn; the largest magnitudes of 16
    lanes are kept at `worst`."""
    held, step = builder.inttoptr(worst, _LINE.as_pointer()), ir.Constant(_I64, stride)
    largest = cgutils.alloca_once_value(builder, builder.load(held, align=4))
    turns, left = builder.sdiv(count, step), builder.srem(count, step)
    with cgutils.for_range(builder, turns) as turn:
        builder.store(body(builder.mul(turn.index, step), None, builder.load(largest)), largest)
    with builder.if_then(builder.icmp_signed(">", left, ir.Constant(_I64, 0))):
        builder.store(body(builder.sub(count, left), left, builder.load(largest)), largest)
    builder.store(builder.load(largest), held, align=4)


@intrinsic
def pair(typing_context: Any, first: Any, second: Any, count: Any, into: Any, low: Any, worst: Any) -> Any:
    """`count` numbers at one address beside those at another as pairs of bfloat16: high parts to `into`, low ones `low` bytes behind; the largest
    magnitudes to 16 numbers at `worst`."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        one, other, numbers, goal, behind, held = arguments

        def body(at: Any, left: Any, largest: Any) -> Any:
            shift = builder.mul(at, ir.Constant(_I64, 4))
            x, y = (_read(builder, builder.add(start, shift), left) for start in (one, other))
            parts = zip(_halves(builder, x), _halves(builder, y), strict=True)
            for address, line in zip((goal, builder.add(goal, behind)), [_paired(builder, *both) for both in parts], strict=True):
                _written(builder, builder.add(address, shift), line, left)
            return _largest(builder, _largest(builder, largest, x), y)

        _swept(builder, numbers, _LANES, held, body)
        return context.get_dummy_value()

    return numba.types.void(*([_INT] * 6)), build


@intrinsic
def fold(typing_context: Any, source: Any, count: Any, into: Any, low: Any, worst: Any) -> Any:
    """`count` numbers one after the other as bfloat16, whole runs of 32, zeros behind: of every 16 the first 8 paired with the last 8. The rest
    as :func:`pair`."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start, numbers, goal, behind, held = arguments

        def body(at: Any, left: Any, largest: Any) -> Any:
            begin = builder.add(start, builder.mul(at, ir.Constant(_I64, 4)))
            x = _read(builder, begin, left)
            y = _read(
                builder,
                builder.add(begin, ir.Constant(_I64, 4 * _LANES)),
                None if left is None else builder.sub(left, ir.Constant(_I64, _LANES)),
            )
            found = _largest(builder, _largest(builder, largest, x), y)
            lanes = [[half * 8 + lane % 8 + lane // 8 * _LANES for lane in range(_LANES)] for half in range(2)]
            first, second = (builder.shuffle_vector(x, y, ir.Constant(_LINE, own)) for own in lanes)
            parts = zip(_halves(builder, first), _halves(builder, second), strict=True)
            target = builder.add(goal, builder.mul(at, ir.Constant(_I64, 2)))
            for address, both in zip((target, builder.add(target, behind)), parts, strict=True):
                _written(builder, address, _paired(builder, *both), None)
            return found

        _swept(builder, numbers, 2 * _LANES, held, body)
        return context.get_dummy_value()

    return numba.types.void(*([_INT] * 5)), build


@intrinsic
def transposed(typing_context: Any, source: Any, source_row: Any, target: Any, target_row: Any) -> Any:
    """16 x 16 numbers of 32 bits with rows and columns exchanged; addresses and the bytes from one row to the next."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start, step, goal, goal_step = arguments
        kind = ir.VectorType(_I32, 16)

        def at(begin: Any, stride: Any, row: int) -> Any:
            return builder.inttoptr(builder.add(begin, builder.mul(stride, ir.Constant(_I64, row))), kind.as_pointer())

        rows = [builder.load(at(start, step, row), align=4) for row in range(16)]
        for size in (1, 2, 4, 8):  # swap the off-diagonal squares of this size
            low_lanes = [lane if not lane & size else 16 + lane - size for lane in range(16)]
            high_lanes = [lane + size if not lane & size else 16 + lane for lane in range(16)]
            swapped = list(rows)
            for row in range(16):
                if not row & size:
                    for target_place, lanes in ((row, low_lanes), (row + size, high_lanes)):
                        mask = ir.Constant(ir.VectorType(_I32, 16), lanes)
                        swapped[target_place] = builder.shuffle_vector(rows[row], rows[row + size], mask)
            rows = swapped
        for row, line in enumerate(rows):
            builder.store(line, at(goal, goal_step, row), align=4)
        return context.get_dummy_value()

    return numba.types.void(_INT, _INT, _INT, _INT), build
