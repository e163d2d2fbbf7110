#!/usr/bin/env bash
# minari 0.5.4: `pip install "minari[hdf5]"` brings h5py, but not Pillow, without which no HDF5 dataset can be written or read.
#
# Guess before running: the extra "hdf5" is all that the format needs; where h5py is missing the message names this very extra.
# Seen: `minari` itself is imported; the first DataCollector raises "No module named 'PIL'", for the module of that format begins with an import of it,
# for images alone. A CartPole has none.
# Why it matters: it is seen only where nothing else brings Pillow, as in a small container, and there the message names no extra.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "minari[hdf5]==0.5.4" gymnasium==1.4.0
cat >"$work/run.py" <<'PYTHON'
import gymnasium
import h5py  # is there
import minari

try:
    minari.DataCollector(gymnasium.make("CartPole-v1"), data_format="hdf5")
    print("a collector")
except ImportError as error:
    print(f"{type(error).__name__}: {error}")
PYTHON
seen=$("$work/venv/bin/python" "$work/run.py" 2>/dev/null)
echo "$seen"
expected="ModuleNotFoundError: No module named 'PIL'"
[ "$seen" = "$expected" ] || { echo "changed; seen before:"; echo "$expected"; exit 1; }
