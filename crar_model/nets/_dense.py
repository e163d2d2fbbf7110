"""Compiled CPU kernels for member-batched dense tanh networks in float32.

A network of 31 rows and 200 units is so small that starting PyTorch operations, not arithmetic, would take most of
an update. Here one call runs all layers of all members. Each member is computed on its own, so its result
does not depend on who shares the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.compiled import numba
from crar_model.nets._blas import FLAGS, address, addresses, bias_tanh, pointer, product, sgemm_address, sum_rows, through_tanh


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


@lru_cache(maxsize=256)
def _widths(*widths: int) -> np.ndarray[Any, Any]:
    return np.array(widths, dtype=np.int64)


def dense_forward(x: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
    """All layers of a dense tanh network with linear output, for every member.

    Args:
        x: (members, rows, in), or (rows, in) shared by the members; float32 on the CPU.
        weights: weight (members, out, in) and bias (members, out) of each layer in turn, contiguous float32 on the CPU; their shapes fit
            each other and x.

    Returns:
        the input and each layer's output, (members, rows, width).
    """
    members, rows = weights[0].shape[0], x.shape[-2]
    x, given = x.contiguous(), addresses(weights)
    sizes = [bias.shape[1] for bias in weights[1::2]]
    activations = [x, *[torch.empty(members, rows, size, dtype=torch.float32, device="cpu") for size in sizes]]
    _forward(
        sgemm_address(), members, rows, x.dim() == 2, _widths(x.shape[-1], *sizes), FLAGS, given,
        np.array([address(x), *[a.data_ptr() for a in activations[1:]]], dtype=np.int64),
    )  # fmt: skip
    return activations


def dense_backward(
    inputs: Sequence[Tensor], weights: Sequence[Tensor], grad: Tensor, *, for_weights: bool, for_input: bool
) -> tuple[list[Tensor] | None, Tensor | None]:
    """Gradients of :func:`dense_forward`.

    Args:
        inputs: of each layer: what the forward pass returned, without the output.
        weights: as in the forward pass.
        grad: (members, rows, out), gradient of the output, float32 on the CPU.
        for_weights, for_input: which gradients to compute.

    Returns:
        gradients of the weights, or None, and of a per-member input (members, rows, in), or None.
    """
    members, rows, out = grad.shape
    grad = grad.contiguous()
    x, given = inputs[0], addresses(weights)
    grads = [torch.empty_like(w) for w in weights] if for_weights else None
    grad_in = torch.empty(members, rows, x.shape[-1], dtype=torch.float32, device="cpu") if for_input else None
    _backward(
        sgemm_address(), members, rows, x.dim() == 2, _widths(*[a.shape[-1] for a in inputs], out), FLAGS, given,
        np.array([a.data_ptr() for a in inputs], dtype=np.int64), address(grad),
        np.zeros(len(weights), dtype=np.int64) if grads is None else np.array([g.data_ptr() for g in grads], dtype=np.int64),
        0 if grad_in is None else grad_in.data_ptr(),
    )  # fmt: skip
    return grads, grad_in
