"""Numbers inside a page as typed arrays: base64 of little-endian bytes, which a browser reads without parsing."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
from torch import Tensor

from crar_model.core.files import Plain

KINDS = ("f4", "i4", "u1")
"""Float32Array, Int32Array and Uint8Array."""


def packed(values: Any, kind: str = "f4") -> Plain:
    """An array as plain data.

    Args:
        values: a tensor, an array or nested lists, of any shape.
        kind: one of `KINDS`.

    Raises:
        ValueError: for another kind, or whole numbers that this kind does not hold.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; choose from {', '.join(KINDS)}")
    array = np.asarray(values.detach().cpu().numpy() if isinstance(values, Tensor) else values)
    small = np.ascontiguousarray(array.astype(f"<{kind}"))
    if kind != "f4" and not np.array_equal(small, array):
        raise ValueError(f"{kind} does not hold {array.min()} to {array.max()}")
    return {"type": kind, "shape": list(array.shape), "data": base64.b64encode(small.tobytes()).decode("ascii")}


def unpacked(plain: Plain) -> np.ndarray[Any, Any]:
    """The array of :func:`packed`, read-only."""
    return np.frombuffer(base64.b64decode(plain["data"]), dtype=f"<{plain['type']}").reshape(plain["shape"])


def embedded(plain: Plain) -> str:
    """JSON that may stand inside a `<script>`; what is not finite becomes null."""
    return json.dumps(_finite(plain), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _finite(plain: Any) -> Any:
    if isinstance(plain, dict):
        return {name: _finite(value) for name, value in plain.items()}
    if isinstance(plain, list | tuple):
        return [_finite(value) for value in plain]
    return None if isinstance(plain, float) and not np.isfinite(plain) else plain


def spread(count: int, most: int, keep: tuple[int, ...] = ()) -> list[int]:
    """Which of `count` rows to keep so that there are at most `most`: evenly spread, both ends and those of `keep` among them.

    Raises:
        ValueError: where fewer than the ends and those of `keep` are allowed.
    """
    wanted = sorted({0, count - 1, *keep})
    if count <= most:
        return list(range(count))
    if len(wanted) > most:
        raise ValueError(f"{most} rows cannot hold {len(wanted)} that are to be kept")
    chosen = set(wanted)
    for row in np.linspace(0, count - 1, most).round().astype(int).tolist():
        if len(chosen) < most:
            chosen.add(row)
    return sorted(chosen)
