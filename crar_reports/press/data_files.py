"""Data files beside the pages."""

from __future__ import annotations

from typing import Any

import xarray as xr

from crar_model.core.files import StrPath, write_bytes

DIGITS = 10
"""Significant digits of what a file of many models keeps: a term above its floor is the difference of two that share five of them."""
TITLES = {"embedding": "embedding space", "weight": "weight space", "aligned": "weight space, nearest copy"}


def save_netcdf(data: xr.Dataset, path: StrPath) -> None:
    """Write a dataset as compressed netCDF, atomically."""
    content = data.to_netcdf(engine="h5netcdf", encoding={name: {"zlib": True} for name in data.data_vars})
    assert content is not None
    write_bytes(path, bytes(content))


def shortened(plain: Any) -> Any:
    """Plain data with numbers of `DIGITS` digits: a file of many models is kept with the report."""
    if isinstance(plain, dict):
        return {name: shortened(value) for name, value in plain.items()}
    if isinstance(plain, list | tuple):
        return [shortened(value) for value in plain]
    return float(f"{plain:.{DIGITS}g}") if isinstance(plain, float) else plain
