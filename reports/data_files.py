"""Data files beside the pages."""

from __future__ import annotations

import xarray as xr

from crar_model.files import StrPath, write_bytes
from reports.measure.subject import Subject

TITLES = {"embedding": "embedding space", "weight": "weight space", "aligned": "weight space, nearest copy"}


def origin_of(pair: Subject, command: str) -> dict[str, str | int]:
    """Attributes that say what a data file is of."""
    return {"failed": pair.failed_file.digest, "base": pair.optimum_file.digest, "inverse": int(pair.inverse), "command": command}


def save_netcdf(data: xr.Dataset, path: StrPath) -> None:
    """Write a dataset as compressed netCDF, atomically."""
    content = data.to_netcdf(engine="h5netcdf", encoding={name: {"zlib": True} for name in data.data_vars})
    assert content is not None
    write_bytes(path, bytes(content))
