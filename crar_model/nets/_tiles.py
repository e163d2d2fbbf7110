"""Compiled CPU kernels of the random mazes' encoder in float32, on the distinct pieces of a batch.

After `tile_index` has found what repeats, one call runs all of an encoder pass (`_encoder`) for one model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.core.compiled import numba
from crar_model.nets._blas import address, of_members
from crar_model.nets._encoder import PACKED, encode_pieces, pack_encoder, room_for_encoder
from crar_model.nets._encoder_backward import encoder_gradient
from crar_model.nets._pieces import find_pieces, room_for_pieces
from crar_model.nets._threads import share
from crar_model.nets._tile_index import TileIndex


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _forward(
    w: Any, patches: Any, inside: Any, values: Any, windows: Any, places: Any, out: Any
) -> Any:  # fmt: skip # pragma: no cover - compiled
    """Abstract states out (boards, 192), and what :func:`_backward` needs."""
    boards = out.shape[0]
    pieces = room_for_pieces(patches.shape[0], values.shape[0], windows.shape[0], boards)
    counts, team, packed = np.empty((2, 3), dtype=np.int64), np.zeros(4, dtype=np.int64), np.empty(PACKED, dtype=np.float32)
    team[1] = 1
    find_pieces(values, windows, places, boards, pieces, counts)
    room = room_for_encoder(counts[1, 0], counts[1, 1], counts[1, 2])
    pack_encoder(w, packed)
    encode_pieces(team, packed, patches, inside, pieces, counts[1], boards, room, out)
    return pieces, counts, packed, room


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _backward(g: Any, patches: Any, inside: Any, pieces: Any, counts: Any, packed: Any, room: Any, grad: Any) -> None:  # fmt: skip # pragma: no cover
    team = np.zeros(4, dtype=np.int64)
    team[1] = 1
    encoder_gradient(team, packed, patches, inside, pieces, counts[1], grad.shape[0], room, grad, g)


def tiles_forward(weights: Sequence[Tensor], indices: Sequence[TileIndex], out: Tensor) -> list[tuple[Any, ...]]:
    """Abstract states of the indexed tile maps for every member, and what :func:`tiles_backward` needs.

    Args:
        weights: weight and bias of the four layers with a leading member axis, contiguous float32 on the CPU, as PyTorch's convolutions
            have them; their shapes are those of the encoder.
        indices: from `index_tiles`, one a member, of N maps each.
        out: (members, N, 192) float32 on the CPU, written.
    """
    weight_at, made = of_members(weights), out.numpy()
    kept: list[tuple[Any, ...]] = [()] * len(indices)

    def work(first: int, last: int) -> None:
        for member in range(first, last):
            index = indices[member]
            patches, inside = drawn(index)
            found = _forward(
                weight_at[member], patches, inside, index.values.numpy(), index.windows.numpy(), index.places.numpy(), made[member]
            )
            kept[member] = (patches, inside, *found)

    share(len(indices), work)
    return kept


def drawn(index: TileIndex) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Pixels (M, 16) of an index's patches, and which of a patch's first-layer values (M, 9) lie inside the image, float32."""
    return index.patches.view(-1, 16).float().numpy(), index.inside.view(-1, 9).numpy()


def tiles_backward(weights: Sequence[Tensor], kept: Sequence[tuple[Any, ...]], grad: Tensor) -> list[Tensor]:
    """Gradients of the weights, in their layout.

    Args:
        weights: as in the forward pass.
        kept: what the forward pass returned.
        grad: (members, N, 192), gradient of the abstract states, float32 on the CPU.
    """
    address(grad := grad.contiguous())
    grads = [torch.empty_like(weight) for weight in weights]
    given, grad_at = grad.numpy(), of_members(grads)

    def work(first: int, last: int) -> None:
        for member in range(first, last):
            _backward(grad_at[member], *kept[member], given[member])

    share(len(kept), work)
    return grads
