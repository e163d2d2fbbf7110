#!/usr/bin/env bash
# xarray 2025.7.1: Dataset.to_netcdf(engine="h5netcdf") without a path is refused, though h5netcdf writes to memory; 2025.9.0 gives a memoryview.
#
# Guess before running: without a path to_netcdf returns bytes with any engine, or says that this engine cannot.
# Seen: 2025.7.1 raises "invalid engine for creating bytes with to_netcdf: 'h5netcdf'". 2025.9.0 returns a memoryview, no bytes, so code that expects
# bytes has to convert it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/run.py" <<'PYTHON'
import warnings

import xarray as xr

warnings.simplefilter("ignore")
data = xr.Dataset({"loss": ("t", [1.0, 2.0])})
try:
    found = type(data.to_netcdf(engine="h5netcdf")).__name__
except ValueError as error:
    found = f"ValueError: {str(error).split(chr(10))[0][:60]}"
print(f"{xr.__version__}: {found}")
PYTHON
seen=""
for version in 2025.7.1 2025.9.0; do
    python3 -m venv "$work/$version"
    "$work/$version/bin/pip" install --quiet --disable-pip-version-check numpy==2.3.5 pandas==2.3.3 h5netcdf==1.6.4 h5py==3.14.0 "xarray==$version"
    seen="$seen$("$work/$version/bin/python" "$work/run.py")"$'\n'
done
echo "$seen"
expected=$'2025.7.1: ValueError: invalid engine for creating bytes with to_netcdf: \'h5netcdf\'\n2025.9.0: memoryview\n'
[ "$seen" = "$expected" ] || { echo "changed; seen before:"; echo "$expected"; exit 1; }
