"""Compiled CPU kernels of the random mazes' encoder in float32, on the distinct pieces of a batch.

After `tile_index` has found what repeats, one call runs all of an encoder pass (`_encoder`) for one model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.nets._blas import address, kernel, of_members
from crar_model.nets._encoder import Encoding, encode_pieces, pack_encoder, room_for_encoder
from crar_model.nets._encoder_backward import encoder_gradient
from crar_model.nets._pieces import Drawn, Pieces, find_pieces, room_for_pieces
from crar_model.nets._threads import share
from crar_model.nets._tile_index import TileIndex


@kernel
def _forward(w: Any, index: Drawn, out: Any) -> Any:
    """Abstract states out (boards, 192), and what :func:`_backward` needs."""
    boards = out.shape[0]
    pieces, counts, team = room_for_pieces(index, boards), np.empty((2, 3), dtype=np.int64), np.zeros(4, dtype=np.int64)
    team[1] = 1
    find_pieces(index.values, index.windows, index.places, boards, pieces, counts)
    encoding = room_for_encoder(index, counts[1, 0], counts[1, 1], counts[1, 2])
    pack_encoder(w, encoding.packed)
    encode_pieces(team, encoding, pieces, counts[1], boards, out)
    return encoding, pieces, counts


@kernel
def _backward(g: Any, encoding: Encoding, pieces: Pieces, counts: Any, grad: Any) -> None:
    team = np.zeros(4, dtype=np.int64)
    team[1] = 1
    encoder_gradient(team, encoding, pieces, counts[1], grad.shape[0], grad, g)


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
            kept[member] = _forward(weight_at[member], drawn(indices[member]), made[member])

    share(len(indices), work)
    return kept


def drawn(index: TileIndex) -> Drawn:
    """An index as the kernels read it."""
    patches, inside = index.patches.view(-1, 16).float().numpy(), index.inside.view(-1, 9).numpy()
    return Drawn(patches, inside, index.values.numpy(), index.windows.numpy(), index.places.numpy())


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
