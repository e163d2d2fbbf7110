"""Numba without types: its decorators carry none, and a strict type checker would refuse every compiled function."""

from __future__ import annotations

from typing import Any

import numba as _numba

numba: Any = _numba
