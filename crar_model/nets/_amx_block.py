"""The instructions of the tile unit (AMX), as LLVM writes them: a block of C = A B, float32 numbers as pairs of bfloat16 ones.

A number x is taken as high + low, both bfloat16, and a b as low_a high_b + high_a high_b + high_a low_b, summed in float32 in the order of the
summed index, 32 of it at a time: what is left out is 2^-16 of a b. Each sum is the same whatever block it falls into.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic as _intrinsic

from crar_model.core.compiled import numba

intrinsic: Any = _intrinsic
DEPTH = 32
"""Numbers of the summed index that one instruction takes."""
_I8, _I32, _I64, _F32 = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.FloatType()
_INT = numba.types.int64
_A, _B = (4, 5), (6, 7)
"""Registers of the rows of A and the columns of B; 0 to 3 hold the sums."""


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
    held, nothing, step = builder.inttoptr(worst, _LINE.as_pointer()), ir.Constant(_I64, 0), ir.Constant(_I64, stride)
    whole = builder.sub(count, builder.srem(count, step))
    before, start = builder.load(held, align=4), builder.block
    loop, done, rest, end = (builder.append_basic_block(name) for name in ("loop", "done", "rest", "end"))
    builder.cbranch(builder.icmp_signed(">", whole, nothing), loop, done)
    builder.position_at_end(loop)
    at, largest = builder.phi(_I64), builder.phi(_LINE)
    found, following = body(at, None, largest), builder.add(at, step)
    for phi, begin, later in ((at, nothing, following), (largest, before, found)):
        phi.add_incoming(begin, start)
        phi.add_incoming(later, loop)
    builder.cbranch(builder.icmp_signed("<", following, whole), loop, done)
    builder.position_at_end(done)
    so_far = builder.phi(_LINE)
    so_far.add_incoming(before, start)
    so_far.add_incoming(found, loop)
    builder.store(so_far, held, align=4)
    builder.cbranch(builder.icmp_signed("<", whole, count), rest, end)
    builder.position_at_end(rest)
    builder.store(body(whole, builder.sub(count, whole), so_far), held, align=4)
    builder.branch(end)
    builder.position_at_end(end)


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
                builder, builder.add(begin, ir.Constant(_I64, 4 * _LANES)), None if left is None else builder.sub(left, ir.Constant(_I64, _LANES))
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
