"""What an explorer holds, read back, and its losses by the package."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crar_model.agent.loss import FOLLOWED
from crar_model.core.params import DYNAMICS, Params
from crar_reports.figures.explorer import flat_dynamics
from crar_reports.measure.subject import Subject
from crar_reports.press.typed import unpacked


def data_of(page: Path) -> dict[str, Any]:
    """What a page holds, its arrays unpacked."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)
    assert found

    def opened(plain: Any) -> Any:
        if isinstance(plain, dict):
            return unpacked(plain) if set(plain) == {"type", "shape", "data"} else {name: opened(value) for name, value in plain.items()}
        return [opened(value) for value in plain] if isinstance(plain, list) else plain

    data: dict[str, Any] = opened(json.loads(found[1]))
    return data


def dynamics_of(flat: np.ndarray[Any, Any], like: Params, widths: dict[str, tuple[int, ...]]) -> Params:
    """Dynamics from a page's row of numbers; :func:`flat_dynamics` of them is that row again."""
    left, params = torch.tensor(flat, dtype=torch.float64), {}
    for block in DYNAMICS:
        for layer in range(len(widths[block]) - 1):
            for part in ("weight", "bias"):
                shape = like[f"{block}.{layer}.{part}"].shape
                params[f"{block}.{layer}.{part}"], left = left[: shape.numel()].view(shape), left[shape.numel() :]
    assert not len(left)
    assert torch.equal(flat_dynamics(params, widths), torch.tensor(flat, dtype=torch.float64))
    return params


def total_at(pair: Subject, dynamics: Params, embedding: np.ndarray[Any, Any]) -> float:
    """Total loss by the package of what a page holds."""
    return float(pair.terms(dynamics, torch.tensor(embedding, dtype=torch.float64), FOLLOWED)["total"])
