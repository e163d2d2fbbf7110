"""Which compiled functions a training starts with, so that it can be told beforehand whether they have to be compiled.

The seconds are about those of `benchmarks/results/compile.json`, which `python -m benchmarks.compile_time` measures.
"""

from __future__ import annotations

from crar_model.core.compiled import Kernels
from crar_model.nets import _conv_backward, _conv_forward, _conv_pack, _dense, _rmsprop, _tile_index, _tiles, _update

DENSE_UPDATES = Kernels((_update.update_kernel, _dense._forward), 15.0)
"""Whole updates of dense networks, and their losses for the log."""
DENSE_STEPS = Kernels((_dense._forward, _dense._backward, _rmsprop.rmsprop_kernel), 5.0)
"""Steps of dense networks through autograd."""
CONV_STEPS = Kernels(
    (
        _conv_forward.forward, _conv_backward.backward, _conv_pack.pack, _conv_pack.unpack, _tiles._forward, _tiles._backward,
        _tile_index._draw, _rmsprop.rmsprop_kernel,
    ),
    20.0, tiles=True,
)  # fmt: skip
"""Steps of convolutional networks on tile maps."""
IMAGE_STEPS = Kernels((*DENSE_STEPS.functions, _tile_index._draw), 11.0)
"""Steps of dense networks behind convolutions of tile maps, whose pieces are found by kernels and convolved by tensor operations."""
