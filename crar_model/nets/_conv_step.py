"""What an update of the convolutional agent does with a gradient: clipping, RMSprop, and what follows from new weights, for the threads of a team."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from crar_model.core.compiled import numba
from crar_model.nets import _conv_layout as place
from crar_model.nets._blas import fusing, kernel, pointer
from crar_model.nets._conv_layout import Sizes
from crar_model.nets._conv_pack import BIAS, FRONT, IN, OUT, SIZE, WIDE_OUT, move_weights, planes_and_maps, turn_weights
from crar_model.nets._encoder import SIZES, TENSORS
from crar_model.nets._rmsprop import Optimiser, _apply, _finite, _sum_squares, scale_of
from crar_model.nets._terms import ENCODER

WHOLE = sum(SIZES)


class Home(NamedTuple):
    """Where a member's parameters lie."""

    tables: Any  # of all layers, `_conv_pack`
    nets: Any  # of the networks, `_conv_layout`
    sizes: Sizes
    at: Any  # (tensors,) addresses of its tensors, block by block
    square_at: Any  # (steps, tensors) addresses of their running averages, 0 for what a step lacks
    grads: Any  # (tensors,) addresses of the encoder's gradients, and of all that a call for the gradient alone leaves behind


@kernel
def whole_numbers(team: Any, home: Home, trained: Any, out: bool) -> None:
    """Networks from and to the tensors as they are stored; on the way in with what follows from the weights."""
    for n in range(home.nets.shape[0]):
        if n % team[1] != team[0]:
            continue
        net = home.nets[n]
        layers, first, last = (
            home.tables[net[place.FIRST] : net[place.FIRST] + net[place.LAYERS]],
            net[place.TENSOR],
            net[place.TENSOR] + 2 * net[place.LAYERS],
        )
        if trained[n + 1] or not out:
            move_weights(home.at[first:last], layers, net[place.PLANES], net[place.PARAMS], net[place.OF_PLANES], out)
        for slot in range(home.square_at.shape[0]):
            if home.square_at[slot, first]:
                shift = home.sizes.squares + slot * home.sizes.slot
                move_weights(
                    home.square_at[slot, first:last],
                    layers,
                    net[place.PLANES],
                    net[place.GRADS] + shift,
                    net[place.PLANE_GRADS] + shift,
                    out,
                )
        if not out:
            for layer in range(net[place.LAYERS]):
                _derive(layers[layer], net, layer == 0, not out)


@kernel
def _derive(layer: Any, net: Any, top: bool, fresh: bool) -> None:
    """What follows from a layer's weights: the turned ones, and the maps of the first layer's planes."""
    turn_weights(layer, net[place.PARAMS], fresh)
    if top and net[place.PLANES]:
        planes_and_maps(layer, net[place.PLANES], layer[SIZE] // layer[SIZE], net[place.OF_PLANES], net[place.MADE], False)


@fusing
def sum_parts(layer: Any, net: Any, top: bool, parts: int, norms: Any) -> None:
    """Gradients of a layer from those of the parts, and the sums of squares of its weight and its bias."""
    n, m, area, wide, size = layer[IN], layer[OUT], layer[SIZE] * layer[SIZE], layer[WIDE_OUT], net[place.PACKED]
    given, made = numba.carray(pointer(net[place.SUMS]), (parts, size)), numba.carray(pointer(net[place.GRADS]), (size,))
    begin, end = layer[FRONT], layer[FRONT] + (area * n + 1) * wide  # the bias lies behind the weights
    for k in range(begin, end):
        made[k] = given[0, k]
    for part in range(1, parts):
        for k in range(begin, end):
            made[k] += given[part, k]
    norms[0], norms[1] = (
        _row_squares(net[place.GRADS] + 4 * begin, area * n, m, wide),
        _row_squares(net[place.GRADS] + 4 * layer[BIAS], m // m, m, wide),
    )
    if top and net[place.PLANES]:
        planes_and_maps(layer, net[place.PLANES], parts, net[place.PLANE_GRADS], net[place.PLANE_SUMS], True)
        norms[0] += _row_squares(net[place.PLANE_GRADS], net[place.PLANES] * area, m, wide)


@kernel
def _row_squares(at: int, rows: int, m: int, wide: int) -> Any:
    """Sum of squares of the first m numbers in each of some rows of `wide`; the others are anything."""
    if m == wide:
        return _sum_squares(numba.carray(pointer(at), (rows * wide,)))
    values, result = numba.carray(pointer(at), (rows, wide)), np.float32(0)
    for row in range(rows):
        result += _sum_squares(values[row, :m])
    return result


@kernel
def _step_rows(param: int, grad: int, square: int, rows: int, m: int, wide: int, scale: Any, rate: Any, optimiser: Optimiser, look: bool) -> bool:  # fmt: skip
    """One RMSprop step of the first m numbers in each of some rows of `wide`; False where one was looked at and is not finite."""
    shape = (1, rows * wide) if m == wide else (rows, wide)
    own, finite = shape[1] if m == wide else m, True
    p, g, s = numba.carray(pointer(param), shape), numba.carray(pointer(grad), shape), numba.carray(pointer(square), shape)
    for row in range(shape[0]):
        _apply(p[row, :own], g[row, :own], s[row, :own], scale, rate, optimiser)
        if look:
            finite &= _finite(p[row, :own]) and _finite(s[row, :own])
    return finite


@kernel
def step_member(
    team: Any, home: Home, slot: int, takes: Any, norms: Any, rate: Any, optimiser: Optimiser, look: bool
) -> bool:  # fmt: skip
    """RMSprop of what a step trains, this thread's share of the tensors; False where something was looked at and is not finite."""
    whole, finite, item = norm_of(norms, home.nets, takes), True, 0
    for n in range(-1, home.nets.shape[0]):
        if not takes[n + 1]:
            continue
        for layer in range(TENSORS if n < 0 else home.nets[n, place.LAYERS]):
            item += 1
            if item % team[1] != team[0]:
                continue
            if n < 0:
                size, at, square = SIZES[layer], home.at[layer], home.square_at[slot, layer]
                scale = scale_of(norms[layer], whole, optimiser)
                finite &= _step_rows(at, home.grads[layer], square, size // size, size, size, scale, rate, optimiser, look)
                continue
            net = home.nets[n]
            own, tensor, squares = (
                home.tables[net[place.FIRST] + layer],
                net[place.TENSOR] + 2 * layer,
                home.sizes.squares + slot * home.sizes.slot,
            )
            m, wide, area, packed, grads = own[OUT], own[WIDE_OUT], own[SIZE] * own[SIZE], net[place.PARAMS], net[place.GRADS]
            for k in range(2):
                begin, rows = (4 * own[BIAS], m // m) if k else (4 * own[FRONT], area * own[IN])
                scale = scale_of(norms[tensor + k], whole, optimiser)
                at, grad = packed + begin, grads + begin
                finite &= _step_rows(at, grad, grad + squares, rows, m, wide, scale, rate, optimiser, look)
            if layer == 0 and net[place.PLANES]:
                scale, grad = scale_of(norms[tensor], whole, optimiser), net[place.PLANE_GRADS]
                finite &= _step_rows(
                    net[place.OF_PLANES], grad, grad + squares, net[place.PLANES] * area, m, wide, scale, rate, optimiser, look
                )
            _derive(own, net, layer == 0, n < 0)
    return finite


@kernel
def norm_of(norms: Any, nets: Any, takes: Any) -> Any:
    """Sum of squares of the whole gradient."""
    whole = np.float32(0)
    for t in range(TENSORS if takes[ENCODER] else 0):
        whole += norms[t]
    for n in range(nets.shape[0]):
        if takes[n + 1]:
            for t in range(nets[n, place.TENSOR], nets[n, place.TENSOR] + 2 * nets[n, place.LAYERS]):
                whole += norms[t]
    return whole


@kernel
def encoder_copy(at: Any, squares: Any, kept: Any, back: bool) -> None:
    """The encoder's parameters and averages to kept (2, numbers), or back."""
    start = 0
    for t in range(TENSORS):
        size = SIZES[t]
        for row in range(2):
            address = squares[t] if row else at[t]
            if address:
                own, copy = numba.carray(pointer(address), (size,)), kept[row, start : start + size]
                if back:
                    own[:] = copy
                else:
                    copy[:] = own
        start += size
