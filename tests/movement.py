"""How far apart two trainings have moved, in shares of how far they have moved."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

KERNELS = 0.01
"""Largest share that other kernels of full float32 may make. Measured on a CPU over 3 to 5 updates: weights off by 1e-6 of themselves make at
most 2e-4, a rate 1 % too high 0.03 and more, weights rounded to TF32 up to 0.08, so a GPU is compared with TF32 switched off."""


def apart(start: Mapping[str, Tensor], one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """Largest share over tensors: Euclidean distance of the two ends over the distance of the first from the start; infinite where the other alone has
    moved.

    Args:
        start: parameters before the updates.
        one, other: the same after them, on any device.
    """
    shares = [0.0]
    for name, value in start.items():
        ends = [params[name].detach().cpu().double() for params in (one, other)]
        moved, gap = float((ends[0] - value.detach().cpu().double()).norm()), float((ends[0] - ends[1]).norm())
        if gap:
            shares.append(gap / moved if moved else math.inf)
    return max(shares)


def in_full_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch off TF32, which PyTorch has on in convolutions on a GPU."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
