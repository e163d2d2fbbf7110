"""Parameters of an agent: a table of tensors whose dotted names begin with the block that they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the names of blocks are for the command line too, which does not wait for PyTorch
    from torch import Tensor

    Params = dict[str, Tensor]
else:
    Params = dict
BLOCKS = ("encoder", "transition", "reward", "discount", "value")
DYNAMICS = ("transition", "reward", "discount", "value")
"""Blocks that a `freeze` transfer keeps as they are."""


def block_of(name: str) -> str:
    """The block a parameter belongs to, e.g. "encoder" for "encoder.0.weight"."""
    return name.partition(".")[0]


def select(params: Params, blocks: tuple[str, ...]) -> Params:
    """The parameters of some blocks, in the order of `params`; no copy."""
    return {name: value for name, value in params.items() if block_of(name) in blocks}
