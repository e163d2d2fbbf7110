"""Compiled CPU kernels for member-batched dense tanh networks in float32.

A network of 31 rows and 200 units is so small that starting PyTorch operations, not arithmetic, would take most of
an update. Here one call runs all layers of all members. Each member is computed on its own, so its result
does not depend on who shares the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.compiled import numba
from crar_model.nets._blas import FLAGS, addresses, bias_tanh, pointer, product, sgemm_address, sum_rows, through_tanh


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _forward(
    sgemm: Any, members: int, rows: int, shared: bool, widths: Any, flags: Any, weights: Any, activations: Any
) -> None:  # pragma: no cover
    layers = widths.shape[0] - 1
    scratch = np.empty(8, dtype=np.int32)
    for member in range(members):
        for layer in range(layers):
            n, m = widths[layer], widths[layer + 1]
            source = activations[layer] + (0 if shared and layer == 0 else 4 * member * rows * n)
            target = activations[layer + 1] + 4 * member * rows * m
            product(sgemm, scratch, flags, 0, rows, n, m, source, weights[2 * layer] + 4 * member * m * n, target)
            bias = numba.carray(pointer(weights[2 * layer + 1] + 4 * member * m), (m,))
            bias_tanh(numba.carray(pointer(target), (rows, m)), bias, layer == layers - 1)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _backward(
    sgemm: Any, members: int, rows: int, shared: bool, widths: Any, flags: Any, weights: Any, activations: Any,
    grad_out: int, grads: Any, grad_in: int,
) -> None:  # fmt: skip # pragma: no cover
    layers = widths.shape[0] - 1
    scratch = np.empty(8, dtype=np.int32)
    buffers = np.empty((2, rows * widths.max()), dtype=np.float32)
    for member in range(members):
        grad = grad_out + 4 * member * rows * widths[layers]
        for layer in range(layers - 1, -1, -1):
            n, m = widths[layer], widths[layer + 1]
            if grads[2 * layer] != 0:
                source = activations[layer] + (0 if shared and layer == 0 else 4 * member * rows * n)
                product(sgemm, scratch, flags, 2, m, rows, n, grad, source, grads[2 * layer] + 4 * member * m * n)
                sum_rows(
                    numba.carray(pointer(grad), (rows, m)),
                    numba.carray(pointer(grads[2 * layer + 1] + 4 * member * m), (m,)),
                )
            if layer == 0 and grad_in == 0:
                continue
            into = grad_in + 4 * member * rows * n if layer == 0 else buffers[layer % 2].ctypes.data
            product(sgemm, scratch, flags, 1, rows, m, n, grad, weights[2 * layer] + 4 * member * m * n, into)
            if layer > 0:
                size = rows * n
                y = numba.carray(pointer(activations[layer] + 4 * member * size), (size,))
                through_tanh(numba.carray(pointer(into), (size,)), y)
            grad = into


def dense_forward(x: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
    """All layers of a dense tanh network with linear output, for every member.

    Args:
        x: (members, rows, in), or (rows, in) shared by the members; float32 on the CPU.
        weights: weight (members, out, in) and bias (members, out) of each layer in turn, contiguous.

    Returns:
        the input and each layer's output, (members, rows, width).
    """
    members, rows = weights[0].shape[0], x.shape[-2]
    activations = [x.contiguous()] + [x.new_empty(members, rows, bias.shape[-1]) for bias in weights[1::2]]
    widths = np.array([a.shape[-1] for a in activations], dtype=np.int64)
    _forward(sgemm_address(), members, rows, x.dim() == 2, widths, FLAGS, addresses(weights), addresses(activations))
    return activations


def dense_backward(
    activations: Sequence[Tensor], weights: Sequence[Tensor], grad: Tensor, *, for_weights: bool, for_input: bool
) -> tuple[list[Tensor] | None, Tensor | None]:
    """Gradients of :func:`dense_forward`.

    Args:
        activations: what the forward pass returned.
        weights: as in the forward pass.
        grad: (members, rows, out), gradient of the output.
        for_weights, for_input: which gradients to compute.

    Returns:
        gradients of the weights, or None, and of a per-member input (members, rows, in), or None.
    """
    members, rows = weights[0].shape[0], grad.shape[1]
    grad = grad.contiguous()
    grads = [torch.empty_like(w) for w in weights] if for_weights else None
    shape = (members, rows, activations[0].shape[-1])
    grad_in = grad.new_empty(shape) if for_input else None
    widths = np.array([a.shape[-1] for a in activations], dtype=np.int64)
    _backward(
        sgemm_address(), members, rows, activations[0].dim() == 2, widths, FLAGS, addresses(weights),
        addresses(activations), grad.data_ptr(), addresses(grads or [None] * len(weights)),
        0 if grad_in is None else grad_in.data_ptr(),
    )  # fmt: skip
    return grads, grad_in
